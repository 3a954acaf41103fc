"""Being asked to stop: a job that is pre-empted gets SIGTERM, a person at a terminal sends SIGINT; both end the run after a checkpoint."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

SAME_REQUEST = 2.0
"""Seconds in which further signals are the first one passed on by a launcher, or sent to a whole group of processes; a later one ends at once."""


class Stopped(Exception):
    """The run was asked to stop, and what it had done is saved; the message says where and how to go on."""


class StopSignals:
    """A context in which SIGTERM and SIGINT are noted instead of ending the process; the second one ends it as it would have without this.

    `received` is the name of the signal, or None. Once all is saved, `ends_with` may be set: a signal then ends the run at once, by that.
    Outside the main thread, where no handler can be set, nothing is noted.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self.ends_with: Stopped | None = None
        self.since = 0.0
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self.previous[number] = signal.signal(number, self._note)
            _follow_launcher()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous.clear()

    def _note(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None and self.ends_with is not None:
            self.received, self.since = signal.Signals(number).name, now
            raise self.ends_with
        if self.received is None:
            self.received, self.since = signal.Signals(number).name, now
            # print() may be in the middle of a line; a system call may not.
            os.write(2, f"\n{self.received}: saving a checkpoint after this step; a second signal ends the run at once\n".encode())
        elif now - self.since > SAME_REQUEST:
            signal.signal(number, self.previous[number] or signal.SIG_DFL)
            signal.raise_signal(number)


def _follow_launcher() -> None:
    """Receive SIGTERM when the launcher dies: `accelerate launch` with one process does not pass it on, and the run would go on alone."""
    if sys.platform != "linux" or "ACCELERATE_MIXED_PRECISION" not in os.environ:
        return
    try:
        ctypes.CDLL(None, use_errno=True).prctl(1, int(signal.SIGTERM))  # PR_SET_PDEATHSIG
    except (AttributeError, OSError):
        return  # a system without it: the launcher's death then ends nothing
