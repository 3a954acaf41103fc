"""The processes of a run: started by `accelerate launch`, they find each other here, speak with one voice, and fail together."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, GradientAccumulationPlugin, InitProcessGroupKwargs, broadcast_object_list, gather_object

from training import machine
from training.config import ConfigError, TrainConfig

Result = TypeVar("Result")

PATIENCE = timedelta(hours=2)
"""How long processes wait for each other: the main one may be uploading."""


SHARDING = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)
"""Ways of training for networks far larger than these."""


class FailedElsewhere(RuntimeError):
    """Another process has stopped with an error, which it reports itself."""


def start_processes(config: TrainConfig) -> Accelerator:
    """Join the other processes of the run, if there are any, and set this one's threads.

    Raises:
        ConfigError: several processes were asked for, and accelerate did not connect them: each would train alone, and into the same folder.
    """
    asked = int(os.environ.get("WORLD_SIZE", "1"))
    if config.mixed_precision == "fp16" and not torch.accelerator.is_available():
        raise ConfigError("mixed_precision = fp16 needs a GPU: use bf16, no, or auto")
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
    if accelerator.distributed_type in SHARDING:
        raise ConfigError(
            f"accelerate was set up for {accelerator.distributed_type.value}, which splits the network up between processes: averaged weights and "
            "checkpoints would be pieces. Choose multi-GPU in `accelerate config`, or accelerate launch --multi_gpu"
        )
    machine.use_cores(accelerator, config.cpu_threads)
    return accelerator


def is_first() -> bool:
    """Whether this is the process that speaks, by what the launcher says: known before the processes have met, and after they parted."""
    return int(os.environ.get("RANK", "0")) == 0


def say(text: str, *, alone: bool = False) -> None:
    """Tell a person something, once for all processes, or `alone`: what this one alone may know. A line that a launcher's output does not hide."""
    if text and (alone or is_first()):
        print(text, file=sys.stderr, flush=True)


def in_turn(accelerator: Accelerator, action: Callable[[], Result]) -> Result:
    """Let the first process of each machine do something, then the others, who find what it fetched; every process must call it.

    Raises:
        what the action raises, where it does; FailedElsewhere on the other processes, so that none of them waits for ever.
    """
    found, failure = None, None
    for first in (True, False):
        if accelerator.is_local_main_process == first:
            try:
                found = action()
            except Exception as error:
                failure = error
        if accelerator.num_processes > 1 and any(gather_object([failure is not None])):
            raise failure or FailedElsewhere("another process has stopped with an error")
    if failure is not None:
        raise failure
    return cast(Result, found)


def same_everywhere(accelerator: Accelerator, fact: Any) -> bool:
    """Whether all processes found the same; every process must call it."""
    return accelerator.num_processes == 1 or len(set(gather_object([fact]))) == 1


def part(accelerator: Accelerator) -> None:
    """Take leave of the other processes, where all have come to the end: one that failed would wait here for those that wait for it.

    On a CPU gloo's group waits for ever when it is destroyed before the network that uses it: see `end_process`.
    """
    if accelerator.device.type != "cpu":
        accelerator.state.destroy_process_group()


def end_process() -> None:
    """End this process with success, if it is still connected to others; otherwise return.

    The interpreter is not taken down around gloo's threads: one that lets go of a Python object after that began aborts the process
    ("terminate called without an active exception"), once in dozens of runs, and its launcher then calls a finished run a failure.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


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
