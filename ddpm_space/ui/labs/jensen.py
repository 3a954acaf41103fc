"""Jensen's inequality (row N9): a concave function, a variable of two or more values, and the gap by definition, by curvature and by draws."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space import figures
from ddpm_space.notes.jensen import CONCAVE, jensen_gap, jensen_sampled, jensen_second_order, jensen_sides
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.widgets import Payload

FUNCTIONS = {"log": "log x", "sqrt": "sqrt x", "entropy": "-x log x", "parabola": "-x^2", "corner": "min(x, 1)"}
"""word -> the library's name of the function."""

SHAPES = ("two", "many")
LOWEST, HIGHEST = 0.05, 4.0
NODES = 241
DRAWS = 1000


def answer(asked: Asked) -> Payload:
    """Take the function and the variable.

    Returns:
        curve and points, both sides and the gap, the gap by the curvature, and from draws with standard error and bias.
    """
    word = asked.choice("f", FUNCTIONS)
    function = CONCAVE[FUNCTIONS[word]]
    values, probabilities = variable(asked)
    f_of_mean, mean_of_f = jensen_sides(function, values, probabilities)
    generator = torch.Generator().manual_seed(asked.whole("seed", 0, MAX_SEED))
    drawn = values[torch.multinomial(probabilities, DRAWS, replacement=True, generator=generator)]
    sampled = jensen_sampled(function, drawn)
    place = torch.linspace(LOWEST, HIGHEST, NODES, dtype=torch.float64)
    return {
        "f": word,
        "lowest": LOWEST,
        "highest": HIGHEST,
        "x": figures.array(place, "float64"),
        "curve": figures.array(function(place), "float64"),
        "values": figures.array(values, "float64"),
        "of_values": figures.array(function(values), "float64"),
        "mean": float((probabilities * values).sum()),
        "f_of_mean": float(f_of_mean),
        "mean_of_f": float(mean_of_f),
        "gap": float(jensen_gap(function, values, probabilities)),
        "second_order": float(jensen_second_order(function, values, probabilities)),
        "draws": DRAWS,
        "sampled": {"gap": float(sampled.gap), "se": float(sampled.standard_error), "bias": float(sampled.bias)},
    }


def variable(asked: Asked) -> tuple[Tensor, Tensor]:
    """The values of X in ascending order and their probabilities: two with chance 1 - p and p, or n equally likely ones drawn between the two."""
    ends = sorted(asked.number(name, LOWEST, HIGHEST) for name in ("low", "high"))
    if asked.choice("shape", SHAPES) == "two":
        p = asked.number("p", 0, 1)
        return torch.tensor(ends, dtype=torch.float64), torch.tensor([1 - p, p], dtype=torch.float64)
    count, seed = asked.whole("n", 2, 60), asked.whole("seed", 0, MAX_SEED)
    share = torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).sort().values
    return ends[0] + (ends[1] - ends[0]) * share, torch.full((count,), 1 / count, dtype=torch.float64)
