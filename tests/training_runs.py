"""Shared by the tests of whole runs: a tiny network, its options, and what to read of a finished run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from PIL import Image
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = str(ROOT / "training" / "train.py")
TINY: dict[str, Any] = {
    "resolution": 8,
    "block_out_channels": (8, 8),
    "attention_levels": (),
    "attention_head_dim": 8,
    "norm_num_groups": 4,
    "num_train_timesteps": 40,
    "train_images": 200,
    "batch_size": 10,
    "lr_warmup_steps": 3,
    "learning_rate": 5e-3,
    "ema_decay": 0.9,
    "mixed_precision": "no",
    "log_every": 4,
    "sample_images": 4,
    "sample_steps": 4,
    "sample_every": 0,
    "checkpoint_every": 0,
    "keep_checkpoints": 9,
    "eval_images": 0,
    "cpu_threads": 1,
}


def write_pictures(folder: Path) -> Path:
    """Two dozen 8 x 8 pictures: a bright bar, each in another place and shade."""
    for index in range(24):
        picture = Image.new("L", (8, 8), 0)
        picture.paste(180 + 3 * index, (index % 6, 0, index % 6 + 3, 8))
        picture.save(folder / f"{index:02d}.png")
    return folder


def new_processes() -> None:
    """Forget what accelerate knows of the last run in this process, which another precision would contradict."""
    AcceleratorState._reset_state(True)


def options(pictures: Path, output: Path, **changes: Any) -> dict[str, Any]:
    """A tiny run's options."""
    return {**TINY, "dataset": str(pictures), "output_dir": str(output), **changes}


def weights(model: Path, variant: str = "") -> dict[str, torch.Tensor]:
    """The weights in a model's folder."""
    return load_file(model / "unet" / f"diffusion_pytorch_model{variant}.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are the same bits."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def log(run: Path, of: str = "loss") -> list[dict[str, float]]:
    """The lines of a run's log that have a number of this name."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if of in line]


def flags(values: dict[str, Any]) -> list[str]:
    """Options as a command line."""
    words = []
    for name, value in values.items():
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        elif isinstance(value, tuple):
            words += [f"--{name}", *map(str, value)]
        else:
            words.append(f"--{name}={value}")
    return words


def command(arguments: list[str], processes: int = 1) -> list[str]:
    """`accelerate launch`, of as many processes on this machine, with a script and its options."""
    several = ["--multi_gpu", f"--main_process_port={29500 + os.getpid() % 1000}"] if processes > 1 else []
    launcher = [sys.executable, "-m", "accelerate.commands.launch", f"--num_processes={processes}", *several]
    return [*launcher, *arguments]


def environment() -> dict[str, str]:
    """Of a started run: no path of this process."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def launch(arguments: list[str], cwd: Path, *, processes: int = 1, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run `accelerate launch` to its end."""
    return subprocess.run(command(arguments, processes), cwd=cwd, env=environment(), capture_output=True, text=True, timeout=timeout)
