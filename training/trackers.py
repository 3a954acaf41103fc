"""Experiment trackers by accelerate's names: where the log of a run goes besides log.jsonl."""

from __future__ import annotations

import importlib.util
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from PIL import Image

from training.config import ConfigError, TrainConfig

PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "trackio": ("trackio",), "wandb": ("wandb",)}
"""Names of trackers, and the packages of which one must be installed."""


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


def start_trackers(accelerator: Accelerator, config: TrainConfig) -> None:
    """Open the trackers that the Accelerator was made with (log_with=list(config.trackers), project_dir=config.output_dir).

    A resumed run goes on in its own record where the tracker can: all are named after the output folder.
    """
    if not config.trackers:
        return
    name = Path(config.output_dir).name
    settings: dict[str, dict[str, Any]] = {
        "trackio": {"name": name, "resume": "allow", "embed": False},
        "wandb": {"name": name, "dir": config.output_dir},
    }
    accelerator.init_trackers(config.tracker_project, plain_options(config), init_kwargs=settings)


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
