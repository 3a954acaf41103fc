"""What this machine can do: its cores and its fast number format."""

from __future__ import annotations

import os

import torch
from accelerate import Accelerator


def precision(wanted: str) -> str:
    """Resolve "auto": bf16 where the hardware computes in it, else "no". A CPU without it emulates bf16, far slower than float32."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    # Not public names: where a torch release lacks them, float32 is the safe answer.
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return "bf16" if any(check() for check in checks if check) else "no"


def use_cores(accelerator: Accelerator, threads: int) -> None:
    """Set the threads of a CPU process: `accelerate launch` leaves it with one (it sets OMP_NUM_THREADS=1).

    Args:
        threads: 0 for all cores this process may use, shared by the processes of the run.
    """
    if accelerator.device.type == "cpu":
        torch.set_num_threads(threads or max(1, _cores() // accelerator.num_processes))


def describe() -> str:
    """The kind of machine, without its name: what decides how long a run takes."""
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"{torch.get_num_threads()} CPU core{'s' if torch.get_num_threads() > 1 else ''}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
