"""Memory that many small tensors leave behind is handed back to the system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ddpm_space.ui import memory

ROOT = Path(__file__).resolve().parent.parent
MEGABYTES = 100

# In a process of its own: one that has run other tests has free memory already, and takes the tensors from there.
HOLES = f"""
import gc, psutil, torch
from ddpm_space.ui import memory

def resident():
    return psutil.Process().memory_info().rss / 1e6

before = resident()
pieces = [torch.ones(25_000 // 4) for _ in range({MEGABYTES} * 40)]  # too small to be mapped one by one
pieces = pieces[::50]  # what is kept lies among what is freed: the heap cannot shrink from its end
gc.collect()
held = resident() - before
memory.trimmer()()
print(held, resident() - before, all(float(piece.sum()) == len(piece) for piece in pieces))
"""


@pytest.mark.skipif(memory.trimmer() is None, reason="this C library has no malloc_trim")
def test_what_lies_between_goes_back() -> None:
    told = subprocess.run([sys.executable, "-c", HOLES], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True).stdout.split()
    held, left = map(float, told[:2])
    assert held > 0.7 * MEGABYTES, "the C library gave it back by itself: this test shows nothing here"
    assert left < 0.4 * MEGABYTES and told[2] == "True"


def test_it_happens_by_itself_until_it_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(memory, "trimmer", lambda: lambda: calls.append(1))
    ended = memory.give_back_now_and_then(0.01)
    while len(calls) < 3:
        assert not ended.wait(0.01)
    ended.set()


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert memory.trimmer() is None
