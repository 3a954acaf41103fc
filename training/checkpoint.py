"""Everything a run needs to go on, in one folder that is written whole or not at all: one safetensors file and one JSON file, no pickles."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from training.config import ConfigError
from training.model import replaced_folder

STATE, PROGRESS = "state.safetensors", "progress.json"


@dataclass
class Trained:
    """What changes while training: the network, its averaged weights, the optimizer, and the loss scaler of float16 (or None)."""

    unet: torch.nn.Module
    ema: EMAModel
    optimizer: torch.optim.Optimizer
    scaler: Any = None


def save_checkpoint(run: Path, trained: Trained, progress: dict[str, Any], keep: int) -> Path:
    """Write `run`/checkpoints/images-NNNNNNNNN and remove all but the newest `keep`."""
    tensors = {f"unet.{name}": value for name, value in trained.unet.state_dict().items()}
    tensors |= {f"ema.{index}": value for index, value in enumerate(trained.ema.shadow_params)}
    for index, slots in trained.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in slots.items()}
    facts = {**progress, "ema_steps": trained.ema.optimization_step, "scaler": trained.scaler.state_dict() if trained.scaler else None}
    folder = run / "checkpoints" / f"images-{progress['images']:09d}"
    with replaced_folder(folder) as draft:
        # contiguous(): two views of one memory cannot be stored, and the layout is restored by the network itself.
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, draft / STATE)
        (draft / PROGRESS).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted((run / "checkpoints").glob("images-*"))


def find_checkpoint(run: Path, wanted: str) -> Path:
    """The newest checkpoint of a run for "latest", else the folder that was named.

    Raises:
        ConfigError: there is none.
    """
    if wanted == "latest":
        found = checkpoints(run)
        if not found:
            raise ConfigError(f"resume = latest, but there is no checkpoint under '{run / 'checkpoints'}': start without --resume, or set output_dir")
        return found[-1]
    if not (Path(wanted) / PROGRESS).is_file():
        raise ConfigError(f"resume: '{wanted}' is no checkpoint ({PROGRESS} is missing): give a folder checkpoints/images-..., or 'latest'")
    return Path(wanted)


def load_checkpoint(folder: Path, trained: Trained) -> dict[str, Any]:
    """Put a checkpoint's state into network, averaged weights and optimizer; returns its progress.

    Raises:
        ConfigError: damaged, or of another network.
    """
    try:
        tensors = load_file(folder / STATE)
        progress = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorError) as error:
        raise ConfigError(f"the checkpoint '{folder}' is damaged ({error}): resume from an older one in the same place") from error
    try:
        trained.unet.load_state_dict(_part(tensors, "unet."))
        averaged = _part(tensors, "ema.")
        for index, shadow in enumerate(trained.ema.shadow_params):
            shadow.copy_(averaged[str(index)])
    except (RuntimeError, KeyError) as error:
        raise ConfigError(f"the checkpoint '{folder}' belongs to another network: resume with the options that its run had") from error
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _part(tensors, "optimizer.").items():
        row, slot = name.split(".", 1)
        slots.setdefault(int(row), {})[slot] = value
    trained.optimizer.load_state_dict({"state": slots, "param_groups": trained.optimizer.state_dict()["param_groups"]})
    trained.ema.optimization_step = progress["ema_steps"]
    if trained.scaler and progress["scaler"]:
        trained.scaler.load_state_dict(progress["scaler"])
    return progress


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
