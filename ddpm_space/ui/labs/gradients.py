"""Two ways to the gradient of E f(x) side by side (row N3): single draws of each, their means and variances, and what the difference costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_space import figures
from ddpm_space.notes import gradients
from ddpm_space.notes.gaussian import density
from ddpm_space.notes.quadrature import integrate
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.widgets import Payload

PARAMETERS = ("mean", "std")
BINS = 61
SPAN = 14
"""Standard deviations of eps that the quadrature covers: eps^6 times the density is below 1e-35 there."""

Estimator = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Target:
    """A function f to average; where it is a x^2 + b x + c, gradient and variances have formulas."""

    f: Callable[[Tensor], Tensor]
    quadratic: tuple[float, float, float] | None = None


def _quadratic(a: float, b: float, c: float) -> Target:
    return Target(lambda x: a * x**2 + b * x + c, (a, b, c))


TARGETS = {
    "square": _quadratic(1, 0, 0),
    "shifted": _quadratic(1, -4, 4),
    "lifted": _quadratic(1, 0, 10),
    "line": _quadratic(0, 1, 0),
    "wave": Target(lambda x: torch.cos(3 * x)),
    "step": Target(lambda x: (x > 0).to(x)),
}
"""x^2, (x - 2)^2, x^2 + 10, x, cos 3x and the step at 0, which has no slope to follow."""


def answer(asked: Asked) -> Payload:
    """Take f, where its gradient is wanted, the number of draws and a seed.

    Returns:
        the exact gradient by two routes, and for each estimator its draws as a histogram, mean, standard error, measured and exact variance.
    """
    name, parameter = asked.choice("f", TARGETS), asked.choice("parameter", PARAMETERS)
    mean, std = asked.number("mu", -2, 2), asked.number("sigma", 0.2, 2)
    draws, seed = asked.whole("draws", 50, 20_000), asked.whole("seed", 0, MAX_SEED)
    target, which = TARGETS[name], PARAMETERS.index(parameter)
    generator = torch.Generator().manual_seed(seed)
    # The pilot's draws are others than those of the estimate, which a baseline of its own draws would bias.
    pilot, eps = (torch.randn(draws, generator=generator, dtype=torch.float64) for _ in range(2))
    baseline = gradients.optimal_baseline(target.f, mean, std, pilot)
    chosen = float(baseline[which])

    def pathwise(at: Tensor) -> Tensor:
        return gradients.pathwise_gradient(target.f, mean, std, at)[which]

    def score(at: Tensor, b: float = 0.0) -> Tensor:
        return gradients.score_function_gradient(target.f, mean, std, at, (b, b))[which]

    estimators: dict[str, Estimator] = {"score": score, "baseline": lambda at: score(at, chosen)}
    if name != "step":
        estimators = {"pathwise": pathwise, **estimators}
    found = {key: value(eps) for key, value in estimators.items()}
    exact = {key: expected(value) for key, value in estimators.items()}
    truth, second_route = exact["score"][0], exact["pathwise"][0] if "pathwise" in exact else None
    variances = {key: variance for key, (_, variance) in exact.items()}
    if target.quadratic is not None:
        a, b, c = target.quadratic
        second_route = float(gradients.quadratic_gradient(a, b, mean, std)[which])
        variances = {
            "pathwise": float(gradients.pathwise_variance(a, b, mean, std)[which]),
            "score": float(gradients.score_function_variance(a, b, c, mean, std)[which]),
            "baseline": float(gradients.score_function_variance(a, b, c, mean, std, (chosen, chosen))[which]),
        }
    edges = shared_edges(list(found.values()), truth)
    return {
        "f": name,
        "parameter": parameter,
        "draws": draws,
        "exact": truth,
        "second_route": second_route,
        "quadratic": target.quadratic,
        "baseline": chosen,
        "edges": figures.array(edges, "float64"),
        "estimators": {key: summary(values, variances[key], variances.get("pathwise"), truth, edges) for key, values in found.items()},
    }


def expected(estimator: Estimator) -> tuple[float, float]:
    """Mean and variance of one draw, by quadrature over eps."""
    edges = torch.arange(-SPAN, SPAN + 1, dtype=torch.float64)
    mean = float(integrate(lambda eps: estimator(eps) * density(eps, 0.0, 1.0), edges).sum())
    return mean, float(integrate(lambda eps: (estimator(eps) - mean) ** 2 * density(eps, 0.0, 1.0), edges).sum())


def shared_edges(draws: list[Tensor], truth: float) -> Tensor:
    """Edges of the histograms, the same for all: around the middle 96 % of every estimator and the exact value."""
    low = min(truth, *(float(values.quantile(0.02)) for values in draws))
    high = max(truth, *(float(values.quantile(0.98)) for values in draws))
    room = max(0.05 * (high - low), 0.1)
    return torch.linspace(low - room, high + room, BINS + 1, dtype=torch.float64)


def summary(values: Tensor, variance: float, reference: float | None, truth: float, edges: Tensor) -> Payload:
    """One estimator: what its draws gave, what one draw's variance is exactly, and how many draws do the work of one pathwise draw."""
    found = gradients.estimate(values)
    # Deviations from the draws' own mean are too small by (n - 1) / n on average.
    spread = gradients.estimate((values - found.mean) ** 2 * len(values) / (len(values) - 1))
    counts, _ = torch.histogram(values, edges)
    return {
        "mean": float(found.mean),
        "se": float(found.standard_error),
        "variance": float(spread.mean),
        "variance_se": float(spread.standard_error),
        "theory": variance,
        "ratio": variance / reference if reference else None,
        "needed": math.ceil(variance / (0.01 * truth) ** 2) if abs(truth) > 1e-9 else None,
        "outside": 1 - float(counts.sum()) / len(values),
        "shares": figures.array(counts / len(values), "float64"),
    }
