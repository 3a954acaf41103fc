"""Two Gaussians (rows N2, N3): the law of a X + b Y beside draws of it, and the product of the two densities beside its quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ddpm_space import figures
from ddpm_space.notes.gaussian import density
from ddpm_space.notes.gaussian_algebra import linear_combination, product, reparameterize
from ddpm_space.notes.gradients import estimate
from ddpm_space.notes.quadrature import integrate
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.widgets import Payload

KINDS = ("sum", "product")
DRAWS = 20_000
BINS = 60
NODES = 321
SPAN = 12


def answer(asked: Asked) -> Payload:
    """Take two Gaussians and what becomes of them.

    Returns:
        the densities on a grid; the result's moments by formula, and measured: for a sum by draws, for a product by quadrature.
    """
    first = asked.number("mu_1", -3, 3), asked.number("sigma_1", 0.2, 2) ** 2
    second = asked.number("mu_2", -3, 3), asked.number("sigma_2", 0.2, 2) ** 2
    if asked.choice("kind", KINDS) == "product":
        return multiplied(first, second)
    a, b = asked.number("a", 0.1, 1.5), asked.number("b", -1.5, 1.5)
    return added(first, second, a, b, asked.whole("seed", 0, MAX_SEED))


def added(first: tuple[float, float], second: tuple[float, float], a: float, b: float, seed: int) -> Payload:
    """a X + b Y for independent X and Y: formula against DRAWS draws."""
    generator = torch.Generator().manual_seed(seed)
    x, y = (reparameterize(torch.full((DRAWS,), mean, dtype=torch.float64), variance, generator=generator) for mean, variance in (first, second))
    centre_1, centre_2 = (torch.tensor(mean, dtype=torch.float64) for mean, _ in (first, second))
    mean, variance = (float(part) for part in linear_combination(centre_1, first[1], centre_2, second[1], a, b))
    drawn = a * x + b * y
    reach = reach_of(first, second, (mean, variance))
    edges = torch.linspace(-reach, reach, BINS + 1, dtype=torch.float64)
    counts, _ = torch.histogram(drawn, edges)
    found = estimate(drawn)
    # Deviations from the draws' own mean are too small by (n - 1) / n on average.
    spread = estimate((drawn - found.mean) ** 2 * DRAWS / (DRAWS - 1))
    return {
        **curves(first, second, (mean, variance), reach),
        "kind": "sum",
        "edges": figures.array(edges, "float64"),
        "heights": figures.array(counts / DRAWS / edges.diff(), "float64"),
        "draws": DRAWS,
        "rows": [
            {"name": "mean", "formula": mean, "measured": float(found.mean), "se": float(found.standard_error)},
            {"name": "variance", "formula": variance, "measured": float(spread.mean), "se": float(spread.standard_error)},
        ],
    }


def multiplied(first: tuple[float, float], second: tuple[float, float]) -> Payload:
    """The product of the two densities: its area c, and mean and variance of what it becomes when divided by c."""
    centre_1, centre_2 = (torch.tensor(mean, dtype=torch.float64) for mean, _ in (first, second))
    mean, variance, log_c = (float(part) for part in product(centre_1, first[1], centre_2, second[1]))
    edges = mean + math.sqrt(variance) * torch.linspace(-SPAN, SPAN, 2 * SPAN + 1, dtype=torch.float64)

    def moment(of: Callable[[Tensor], Tensor]) -> float:
        return float(integrate(lambda x: density(x, *first) * density(x, *second) * of(x), edges).sum())

    area = moment(torch.ones_like)
    middle = moment(lambda x: x) / area
    around = moment(lambda x: (x - middle) ** 2) / area
    both = [("c", math.exp(log_c), area), ("mean", mean, middle), ("variance", variance, around)]
    shown = curves(first, second, (mean, variance), reach_of(first, second, (mean, variance)))
    place = torch.linspace(-shown["reach"], shown["reach"], NODES, dtype=torch.float64)
    return {
        **shown,
        "kind": "product",
        "raw": figures.array(density(place, *first) * density(place, *second), "float64"),
        "rows": [{"name": name, "formula": formula, "measured": measured, "se": None} for name, formula, measured in both],
    }


def curves(first: tuple[float, float], second: tuple[float, float], result: tuple[float, float], reach: float) -> Payload:
    """The three densities on one grid."""
    place = torch.linspace(-reach, reach, NODES, dtype=torch.float64)
    named = {"first": first, "second": second, "result": result}
    return {
        "reach": reach,
        "x": figures.array(place, "float64"),
        "mean": result[0],
        "variance": result[1],
        **{name: figures.array(density(place, *moments), "float64") for name, moments in named.items()},
    }


def reach_of(*moments: tuple[float, float]) -> float:
    """How far the axis has to go, in whole fours, so that it seldom changes under a hand that drags."""
    return 4.0 * math.ceil(max(abs(mean) + 3 * math.sqrt(variance) for mean, variance in moments) / 4)
