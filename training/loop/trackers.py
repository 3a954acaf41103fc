"""Experiment trackers by accelerate's names: where the log of a run goes besides log.jsonl."""

from __future__ import annotations

import importlib.util
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from PIL import Image

from training.config import ConfigError, TrainConfig

PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "trackio": ("trackio",), "wandb": ("wandb",)}
"""Names of trackers, and the packages of which one must be installed."""

IDENTITY = "tracker_run.txt"


def check_trackers(names: tuple[str, ...]) -> None:
    """Refuse a tracker that accelerate would leave out in silence.

    Raises:
        ConfigError: an unknown name, or a package that is not installed, with what to install.
    """
    for name in names:
        if name not in PACKAGES:
            raise ConfigError(f"trackers has '{name}': use {', '.join(PACKAGES)}")
        if not any(importlib.util.find_spec(package) for package in PACKAGES[name]):
            raise ConfigError(f"trackers has '{name}', which is not installed: pip install {PACKAGES[name][0]}, or leave it out")


def start_trackers(accelerator: Accelerator, config: TrainConfig, first_step: int) -> None:
    """Open the trackers that the Accelerator was made with (log_with=list(config.trackers), project_dir=config.output_dir).

    A resumed run goes on in its own record; another run in the same folder begins one of its own.

    Args:
        first_step: steps done before, 0 for a new run.
    Raises:
        ConfigError: one could not be opened.
    """
    if not config.trackers or not accelerator.is_main_process:
        return
    folder = Path(config.output_dir)
    name, identity = folder.resolve().name, run_identity(folder, resumed=first_step > 0)
    settings: dict[str, dict[str, Any]] = {
        # Hides what an earlier run in this folder, or this one before it was killed, had written beyond this point.
        "tensorboard": {"purge_step": first_step + 1},
        "trackio": {"name": f"{name}-{identity}", "resume": "allow", "embed": False},
        "wandb": {"name": name, "id": identity, "resume": "allow", "dir": config.output_dir},
    }
    try:
        accelerator.init_trackers(config.tracker_project, plain_options(config), init_kwargs=settings)
    except Exception as error:  # each raises its own types, such as wandb's for a missing login
        names = ", ".join(config.trackers)
        raise ConfigError(f"trackers: {names} could not be opened ({error}): set up its account or place, or leave it out") from error


def run_identity(folder: Path, *, resumed: bool) -> str:
    """The name of a run's record in the trackers, kept in its folder, so that a resumed run finds it again."""
    file = folder / IDENTITY
    if resumed and file.is_file():
        return file.read_text(encoding="utf-8").strip()
    folder.mkdir(parents=True, exist_ok=True)
    made = secrets.token_hex(4)
    file.write_text(made + "\n", encoding="utf-8")
    return made


def plain_options(config: TrainConfig) -> dict[str, bool | int | float | str]:
    """The options in the only types that every tracker takes: a list or None becomes text."""
    return {name: value if isinstance(value, (bool, int, float, str)) else str(value) for name, value in asdict(config).items()}


def track_image(accelerator: Accelerator, name: str, image: Image.Image, step: int) -> None:
    """Show a picture in the trackers that show pictures."""
    for tracker in accelerator.trackers:
        if tracker.name == "tensorboard":
            tracker.log_images({name: np.asarray(image.convert("RGB"))[None]}, step=step, dataformats="NHWC")
        elif tracker.name == "wandb":
            tracker.log_images({name: [image]}, step=step)


def finish_trackers(accelerator: Accelerator) -> None:
    """Close them, so that the last lines are sent; also after an error."""
    if accelerator.is_main_process:
        for tracker in accelerator.trackers:
            tracker.finish()
    accelerator.trackers = []
