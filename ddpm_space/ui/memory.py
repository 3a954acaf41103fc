"""Freed memory goes back to the system now and then: the C library keeps what many small tensors leave between others, and the page grows by it."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

EVERY_SECONDS = 10.0


def trimmer() -> Callable[[], object] | None:
    """What hands freed memory back, all of it: glibc's malloc_trim; None where the C library is another one, which does so by itself."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return lambda: trim(0)


def give_back_now_and_then(seconds: float = EVERY_SECONDS) -> threading.Event:
    """Start a thread that hands back freed memory every `seconds`, until the event that is returned is set."""
    ended, trim = threading.Event(), trimmer()

    def work() -> None:
        while trim is not None and not ended.wait(seconds):
            trim()

    threading.Thread(target=work, name="give-back-memory", daemon=True).start()
    return ended
