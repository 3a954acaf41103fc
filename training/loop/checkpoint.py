"""Everything a run needs to go on, in one folder that is written whole or not at all: one safetensors file and one JSON file, no pickles."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers.training_utils import EMAModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from training.config import ConfigError
from training.loop.folders import removed_folder, replaced_folder
from training.timesteps import TimestepSampler

STATE, PROGRESS = "state.safetensors", "progress.json"
FORMAT = 2
"""Of the two files; another number is refused."""

BLOCK = 1 << 22


class Damaged(ConfigError):
    """A checkpoint that cannot be read, or not any more."""


@dataclass
class Trained:
    """What changes while training.

    Args:
        unet: the network; ema: its averaged weights; optimizer; sampler: of the timesteps; scaler: the loss scaler of float16, or None.
    """

    unet: torch.nn.Module
    ema: EMAModel
    optimizer: torch.optim.Optimizer
    sampler: TimestepSampler
    scaler: Any = None

    def is_finite(self) -> bool:
        """Whether every weight is a number; a device is waited for."""
        weights = [*self.unet.parameters(), *self.ema.shadow_params]
        return bool(torch.stack([weight.detach().isfinite().all() for weight in weights]).all())


class Checkpoint(NamedTuple):
    """What was read of a checkpoint: where it was, its tensors, and its facts."""

    folder: Path
    tensors: dict[str, torch.Tensor]
    progress: dict[str, Any]


def save_checkpoint(run: Path, trained: Trained, progress: dict[str, Any], keep: int) -> Path:
    """Write `run`/checkpoints/images-NNNNNNNNN and remove all but the newest `keep`.

    Args:
        progress: JSON-able facts, "images" among them; the run's number of images names the folder.
    Raises:
        DiskFull: nothing has changed then.
    """
    tensors = {f"unet.{name}": value for name, value in trained.unet.state_dict().items()}
    tensors |= {f"ema.{index}": value for index, value in enumerate(trained.ema.shadow_params)}
    tensors |= {f"sampler.{name}": value for name, value in trained.sampler.state_tensors().items()}
    for index, slots in trained.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in slots.items()}
    scaler = trained.scaler.state_dict() if trained.scaler else None
    folder = run / "checkpoints" / folder_name(progress["images"])
    with replaced_folder(folder) as draft:
        # contiguous(): two views of one memory cannot be stored, and the layout is restored by the network itself.
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, draft / STATE)
        facts = {**progress, "format": FORMAT, "ema_steps": trained.ema.optimization_step, "scaler": scaler, "sha256": _sha256(draft / STATE)}
        (draft / PROGRESS).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    for old in checkpoints(run)[:-keep]:
        removed_folder(old)
    return folder


def folder_name(images: int) -> str:
    """What the checkpoint after so many images is called."""
    return f"images-{images:09d}"


def by_images(name: str) -> tuple[int, str]:
    """What such names are sorted by: after a billion images they have one digit more."""
    return len(name), name


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted((folder for folder in (run / "checkpoints").glob("images-*") if folder.is_dir()), key=lambda folder: by_images(folder.name))


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint, and see that every byte is as it was written.

    Raises:
        Damaged: a file that is missing, cut short or changed. ConfigError: of another version of this program.
    """
    try:
        progress = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        written = progress.get("format", 1)
        if written == FORMAT and _sha256(folder / STATE) != progress["sha256"]:
            raise ValueError(f"{STATE} has changed since it was written")
        tensors = load_file(folder / STATE)
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
        raise Damaged(f"the checkpoint '{folder}' is damaged ({error}): resume from an older one in the same place") from error
    if written != FORMAT:
        raise ConfigError(
            f"the checkpoint '{folder}' was written by another version of this program (format {written}, this one reads {FORMAT}): "
            "go on with that version, or start from its model with --init_from"
        )
    return Checkpoint(folder, tensors, progress)


def restore(checkpoint: Checkpoint, trained: Trained) -> None:
    """Put a checkpoint's state into network, averaged weights, optimizer, timestep sampler and loss scaler.

    Raises:
        ConfigError: it is of another network.
    """
    tensors, progress = checkpoint.tensors, checkpoint.progress
    try:
        trained.unet.load_state_dict(_part(tensors, "unet."))
        averaged = _part(tensors, "ema.")
        for index, shadow in enumerate(trained.ema.shadow_params):
            shadow.copy_(averaged[str(index)])
    except (RuntimeError, KeyError) as error:
        raise ConfigError(f"the checkpoint '{checkpoint.folder}' belongs to another network: resume with the options that its run had") from error
    slots: dict[int, dict[str, torch.Tensor]] = {}
    parameters = [parameter for group in trained.optimizer.param_groups for parameter in group["params"]]
    for name, value in _part(tensors, "optimizer.").items():
        row, slot = name.split(".", 1)
        # In the layout of its parameter: the fused optimizer walks through both memories side by side, and does not look at their strides.
        slots.setdefault(int(row), {})[slot] = torch.empty_like(parameters[int(row)]).copy_(value) if value.ndim else value
    trained.optimizer.load_state_dict({"state": slots, "param_groups": trained.optimizer.state_dict()["param_groups"]})
    trained.ema.optimization_step = progress["ema_steps"]
    trained.sampler.load_state_tensors(_part(tensors, "sampler."))
    if trained.scaler and progress["scaler"]:
        trained.scaler.load_state_dict(progress["scaler"])


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
