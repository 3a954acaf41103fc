"""Threads that give way: in a server, networks are evaluated by threads that leave the cores to quick answers first."""

from __future__ import annotations

import os
import sys
import threading

NICENESS = 10
"""Of a thread that gives way: beside one of niceness 0 it has about a tenth of a core."""

_networks_give_way = threading.Event()


def let_networks_give_way() -> None:
    """From now on, in this process. Only on Linux, where niceness is a thread's own; elsewhere nothing changes."""
    if sys.platform == "linux":
        _networks_give_way.set()


def is_giving_way() -> bool:
    """Whether threads that evaluate a network are to give way."""
    return _networks_give_way.is_set()


def give_way() -> None:
    """Lower the priority of the calling thread for the rest of its life: the system lets nobody raise it again. Linux."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
