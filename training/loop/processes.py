"""The processes of a run: started by `accelerate launch`, they find each other here, speak with one voice, and fail together."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import GradientAccumulationPlugin, InitProcessGroupKwargs, broadcast_object_list

from training import machine
from training.config import ConfigError, TrainConfig

PATIENCE = timedelta(hours=2)
"""How long processes wait for each other: the main one may be uploading."""


class FailedElsewhere(RuntimeError):
    """The main process has stopped with an error, which it reports itself."""


def start_processes(config: TrainConfig) -> Accelerator:
    """Join the other processes of the run, if there are any, and set this one's threads.

    Raises:
        ConfigError: several processes were asked for, and accelerate did not connect them: each would train alone, and into the same folder.
    """
    asked = int(os.environ.get("WORLD_SIZE", "1"))
    accelerator = Accelerator(
        # accelerate connects processes on a CPU only when it is told that they are on one.
        cpu=asked > 1 and not torch.accelerator.is_available(),
        mixed_precision=machine.precision(config.mixed_precision),
        # By a plugin, since an environment variable of the launcher would override the plain number.
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=config.gradient_accumulation_steps, sync_with_dataloader=False),
        log_with=list(config.trackers) or None,
        project_dir=config.output_dir,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )
    one_of_several = "MASTER_PORT" in os.environ and "WORLD_SIZE" not in os.environ and os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
    if accelerator.num_processes == 1 and (asked > 1 or one_of_several):
        raise ConfigError(
            "accelerate was asked for several processes and started them unconnected: it connects CPU processes with --cpu by MPI alone. Use "
            "accelerate launch --multi_gpu --num_processes N, which also works on a machine without a GPU"
        )
    machine.use_cores(accelerator, config.cpu_threads)
    return accelerator


def is_first() -> bool:
    """Whether this is the process that speaks, by what the launcher says: known before the processes have met, and after they parted."""
    return int(os.environ.get("RANK", "0")) == 0


def say(text: str) -> None:
    """Tell a person something, once for all processes; a line that a launcher's output does not hide."""
    if text and is_first():
        print(text, file=sys.stderr, flush=True)


def on_main(accelerator: Accelerator, action: Callable[[], Any]) -> None:
    """Let the main process do something while the others wait; every process must call it.

    Raises:
        what the action raises, on the main process; FailedElsewhere on the others, so that none of them waits for ever.
    """
    failure: Exception | None = None
    if accelerator.is_main_process:
        try:
            action()
        except Exception as error:
            failure = error
    if accelerator.num_processes > 1:
        told = broadcast_object_list([failure is not None])
        if told[0] and failure is None:
            raise FailedElsewhere("the main process has stopped with an error")
    if failure is not None:
        raise failure
