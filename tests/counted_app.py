"""`app.py`, beside a thread that says how much memory is in use: `python counted_app.py ANSWERS [options of app.py]`.

A line on standard input asks; the answer is a line in the file ANSWERS: megabytes in use by the process's own count, and resident ones. The count
(glibc's) shows what is kept to a tenth of a megabyte, where resident memory moves by ten with what the allocator holds between two small tensors. Run
it with PYTHONMALLOC=malloc: then Python's objects are in the count too.
"""

from __future__ import annotations

import ctypes
import gc
import runpy
import sys
import threading
from pathlib import Path

import psutil

APP = Path(__file__).resolve().parents[1] / "app.py"


class MallocInfo(ctypes.Structure):
    """What glibc's mallinfo2 returns."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    )


def in_use() -> float:
    """Megabytes that the process has asked for and not given back, after what only waits for Python's collector is gone."""
    count = ctypes.CDLL(None).mallinfo2
    count.restype = MallocInfo
    gc.collect()
    info = count()
    return (info.uordblks + info.hblkhd) / 1e6


def answer(file: Path) -> None:
    """Answer every line of standard input."""
    with file.open("w", buffering=1) as answers:
        for _ in sys.stdin:
            print(f"{in_use():.3f} {psutil.Process().memory_info().rss / 1e6:.3f}", file=answers)


if __name__ == "__main__":
    threading.Thread(target=answer, args=(Path(sys.argv.pop(1)),), daemon=True).start()
    sys.path[0], sys.argv[0] = str(APP.parent), str(APP)
    runpy.run_path(str(APP), run_name="__main__")
