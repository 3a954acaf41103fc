"""Threads that give way: in a server, networks are evaluated by threads that leave the cores to quick answers first."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

NICENESS = 10
"""Of a thread that gives way: beside one of niceness 0 it has about a tenth of a core."""

_networks_give_way = threading.Event()


def let_networks_give_way() -> None:
    """From now on, in this process. Only on Linux, where niceness is a thread's own; elsewhere nothing changes."""
    if sys.platform == "linux":
        _networks_give_way.set()


def share_out(work: Callable[[], None], threads: int) -> None:
    """Run `work` in so many threads at once, the caller among them unless networks give way; returns when all are done.

    Raises:
        what `work` raises.
    """
    if _networks_give_way.is_set():
        # The caller only waits: it could not take back its priority afterwards.
        _wait([_lowered_threads().submit(work) for _ in range(threads)])
    elif threads <= 1:
        work()
    else:
        with ThreadPoolExecutor(threads - 1) as pool:
            helping = [pool.submit(work) for _ in range(threads - 1)]
            work()
            _wait(helping)


def _wait(helping: list[Future[None]]) -> None:
    for helper in helping:
        helper.result()


def _give_way() -> None:
    """Lower the priority of the calling thread for the rest of its life: the system lets nobody raise it again."""
    with contextlib.suppress(OSError):  # a sandbox may forbid it: then the thread does its work as it is
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))


@cache
def _lowered_threads() -> ThreadPoolExecutor:
    """A server's: as many as there are cores, whoever asks, and always the same ones."""
    return ThreadPoolExecutor(os.cpu_count(), "network", initializer=_give_way)


if hasattr(os, "register_at_fork"):
    # Threads do not survive a fork: a child needs its own.
    os.register_at_fork(after_in_child=_lowered_threads.cache_clear)
