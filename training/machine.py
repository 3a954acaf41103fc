"""What this machine can do: its cores, its memory and its fast number format."""

from __future__ import annotations

import ctypes
import os
import platform

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
    """Set the threads of a CPU process, which `accelerate launch` leaves with one (it sets OMP_NUM_THREADS=1), and have it keep its memory.

    Args:
        threads: 0 for all cores this process may use, shared by the processes of the run.
    """
    if accelerator.device.type == "cpu":
        torch.set_num_threads(threads or max(1, _cores() // accelerator.num_processes))
        keep_memory()


def keep_memory() -> bool:
    """Have glibc keep freed memory for the next allocation, instead of giving every large block back to the system at once.

    A training step on a CPU allocates and frees the same activations again and again. By default each of more than 32 MB is a mapping of its own, and
    each of its pages is faulted in and zeroed anew: about a tenth of a step. The process keeps its peak; it does not grow beyond it.

    Returns:
        whether the C library is glibc and took the settings.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # as in malloc.h
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(mmap_max, 0) and mallopt(trim_threshold, 2**31 - 1) and mallopt(top_pad, 64 << 20))


def describe() -> str:
    """The kind of machine, without its name: what decides how long a run takes."""
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"{torch.get_num_threads()} CPU core{'s' if torch.get_num_threads() > 1 else ''}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
