"""A Gaussian under the visitor's hand (rows N2, N3): its density, what formula and quadrature say of it, and the fixed eps that move with it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ddpm_space import figures
from ddpm_space.notes.gaussian import density, entropy, kl_gaussian, log_density
from ddpm_space.notes.gaussian_algebra import reparameterize
from ddpm_space.notes.gradients import estimate
from ddpm_space.notes.quadrature import integrate
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.widgets import Payload

DRAWS = 60
REACH = 7.0
NODES = 281
SPAN = 12
"""Standard deviations on either side that the quadrature covers; what lies beyond is below 1e-32."""


def answer(asked: Asked) -> Payload:
    """Take mu, sigma and a seed.

    Returns:
        the density and N(0, 1) on a grid, the eps, area, entropy and KL to N(0, 1) by two routes, and mean and standard error of the points.
    """
    mean, std = asked.number("mu", -3, 3), asked.number("sigma", 0.15, 2)
    variance = std**2
    place = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64)
    eps = draw_eps(asked.whole("seed", 0, MAX_SEED))
    points = estimate(reparameterize(torch.full_like(eps, mean), variance, eps=eps))
    centre = torch.tensor(mean, dtype=torch.float64)
    return {
        "mu": mean,
        "sigma": std,
        "reach": REACH,
        "x": figures.array(place, "float64"),
        "density": figures.array(density(place, mean, variance), "float64"),
        "standard": figures.array(density(place, 0.0, 1.0), "float64"),
        "eps": figures.array(eps, "float64"),
        "top": float(density(centre, mean, variance)),
        "flank": float(density(centre + std, mean, variance)),
        "points": {"mean": float(points.mean), "se": float(points.standard_error), "std": math.sqrt(float(points.variance))},
        "facts": [
            fact("area", 1.0, lambda x: density(x, mean, variance), mean, std),
            fact("entropy", float(entropy(variance)), lambda x: -density(x, mean, variance) * log_density(x, mean, variance), mean, std),
            fact(
                "kl",
                float(kl_gaussian(centre, variance, torch.zeros_like(centre), 1.0)),
                lambda x: density(x, mean, variance) * (log_density(x, mean, variance) - log_density(x, 0.0, 1.0)),
                mean,
                std,
            ),
        ],
    }


def draw_eps(seed: int) -> Tensor:
    """The eps of a seed, which stay while mu and sigma move: (DRAWS,) float64."""
    return torch.randn(DRAWS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fact(name: str, formula: float, integrand: Callable[[Tensor], Tensor], mean: float, std: float) -> Payload:
    """One number by its formula and by quadrature."""
    edges = mean + std * torch.linspace(-SPAN, SPAN, 2 * SPAN + 1, dtype=torch.float64)
    integral = float(integrate(integrand, edges).sum())
    return {"name": name, "formula": formula, "quadrature": integral, "difference": abs(formula - integral)}
