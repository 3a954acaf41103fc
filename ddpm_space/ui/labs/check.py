"""The check of one equation, run now: the registry's own independent route, on values drawn from the seed that was asked for."""

from __future__ import annotations

import math
import time

import torch

from ddpm_space.notes.equations import EQUATIONS
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.widgets import Payload


def answer(asked: Asked) -> Payload:
    """Run the check of the equation `id` with `seed`.

    Returns:
        the two values where they differ most, that difference, what is allowed, and how long it took.
    """
    equation = EQUATIONS[asked.choice("id", EQUATIONS)]
    seed = asked.whole("seed", 0, MAX_SEED)
    start = time.perf_counter()
    found = equation.check(torch.Generator().manual_seed(seed))
    return {
        "id": equation.id,
        "seed": seed,
        **{name: _finite(getattr(found, name)) for name in ("left", "right")},
        "difference": _finite(found.error),
        "tolerance": found.tolerance,
        "passed": found.passed,
        "seconds": time.perf_counter() - start,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
