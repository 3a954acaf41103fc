"""Memory that many small tensors leave behind is handed back to the system."""

from __future__ import annotations

import psutil
import pytest
import torch

from ddpm_space.ui import memory

pytestmark = pytest.mark.skipif(memory.trimmer() is None, reason="this C library has no malloc_trim")
MEGABYTES = 100


def resident() -> float:
    return psutil.Process().memory_info().rss / 1e6


def leave_holes() -> list[torch.Tensor]:
    """Allocate MEGABYTES in pieces too small to be mapped one by one, and keep every fiftieth: the rest cannot shrink the heap from its end."""
    pieces = [torch.ones(25_000 // 4) for _ in range(MEGABYTES * 40)]
    return pieces[::50]


def test_what_lies_between_goes_back() -> None:
    before = resident()
    kept = leave_holes()
    held = resident() - before
    trim = memory.trimmer()
    assert trim is not None and held > 0.7 * MEGABYTES, "the C library gave it back by itself: this test shows nothing here"
    trim()
    assert resident() - before < 0.4 * MEGABYTES and all(float(piece.sum()) == len(piece) for piece in kept)


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
