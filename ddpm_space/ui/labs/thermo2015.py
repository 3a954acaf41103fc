"""The bound K of 2015 and its entropy bounds in worlds small enough to be exact (row N4): numbers on the line, or eight bits with a heartbeat.

The terms of K come by two routes: KLs averaged over all (x_0, x_t), and entropies. Steps are the notes' 1..T. What is sent is in bits a sample.
"""

from __future__ import annotations

import math

import torch

from ddpm_space import figures
from ddpm_space.notes.thermo2015 import gain_bits
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.labs.thermo2015_bits import Heartbeat
from ddpm_space.ui.labs.thermo2015_line import SHAPES, Account, Entropies, Line
from ddpm_space.ui.widgets import Payload

KERNELS = ("gaussian", "binomial")
PERIODS = ("2", "4", "8")
RATES = ("data", "half")
LONGEST = 60
LN2 = math.log(2)


def answer(asked: Asked) -> Payload:
    """Evaluate K, K - L_null and the entropy bounds of one small chain."""
    steps = asked.whole("steps", 3, LONGEST)
    if asked.choice("kernel", KERNELS) == "gaussian":
        line = Line(asked.choice("shape", SHAPES), asked.number("moment", 0.2, 6.0), NoiseSchedule.cosine(steps))
        return {"kernel": "gaussian", **_account(line.account()), **_entropies(line.entropies())}
    beat = Heartbeat(int(asked.choice("period", PERIODS)), asked.choice("rate", RATES) == "data", steps)
    random = torch.Generator().manual_seed(asked.whole("seed", 0, MAX_SEED))
    films = {name: figures.array(bits, "uint8") for name, bits in (("noised", beat.noised(random)), ("drawn", beat.drawn(random)))}
    return {"kernel": "binomial", "pi": beat.rate, **_account(beat.account()), **_entropies(beat.entropies()), **films}


def _account(found: Account) -> Payload:
    """K with and without what eq. 14 leaves out, K - L_null, the truth, and how far the two routes are apart: bits."""
    bound = found.bound + found.moment
    numbers = {"plain": found.bound, "moment": found.moment, "bound": bound, "null": found.null, "truth": found.truth}
    return {
        **{name: float(value) / LN2 for name, value in numbers.items()},
        "gain": float(gain_bits(bound, found.null)),
        "routes": abs(float(found.bound - found.other)) / LN2,
        "terms": figures.array(found.terms / LN2, "float64"),
    }


def _entropies(found: Entropies) -> Payload:
    """The bounds and the entropy between them, at t = 2..T: bits; at how many steps the upper one is broken, beyond rounding."""
    broken = found.reverse > found.upper + 1e-9
    return {
        **{name: figures.array(getattr(found, name) / LN2, "float64") for name in ("lower", "upper", "reverse")},
        "sure": found.sure,
        "broken": int(broken.sum()),
        "worst": float((found.reverse - found.upper).max()) / LN2,
        "entropy_routes": None if found.other is None else float((found.reverse - found.other).abs().max()) / LN2,
    }
