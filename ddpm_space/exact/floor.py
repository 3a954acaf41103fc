"""What no network can beat: the Bayes floor of L_simple, and the reverse variance that goes best with a perfect mean."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ddpm_space.exact.distribution import ExactDistribution
from ddpm_space.exact.mixture import GaussianData
from ddpm_space.notes import reverse
from ddpm_space.notes.coefficients import Coefficient, as_float64
from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.schedule import NoiseSchedule

TAILS = 9
"""Standard deviations on either side of a component that quadrature covers; what lies beyond is below 1e-18."""

PANEL_NODES = 24
"""Gauss-Legendre nodes a panel; a panel is about one standard deviation of the narrowest component wide."""


class Estimate(NamedTuple):
    """A value and its standard error, each float64 of shape () or (B,); 0 where the value comes from a formula or from quadrature."""

    value: Tensor
    standard_error: Tensor


def quadrature_nodes(distribution: ExactDistribution, alpha_bar_t: float) -> tuple[Tensor, Tensor]:
    """Nodes and weights for integrals over a line on which q_t lives: sum of weights f(nodes) = integral of f, for f smooth as q_t is.

    Args:
        distribution: in 1-D, shape (1,); alpha_bar_t: a number in [0, 1], below 1 for a set of points.
    Returns:
        nodes (n,) ascending and weights (n,), float64.
    Raises:
        ValueError: not in 1-D, or no density at this alpha_bar_t.
    """
    if distribution.shape != (1,):
        raise ValueError(f"quadrature is for shape (1,), not {distribution.shape}: estimate by samples instead")
    _, means, variances = distribution.components()
    centre = math.sqrt(alpha_bar_t) * means
    sd = (alpha_bar_t * variances + 1 - alpha_bar_t).sqrt()
    if float(sd.min()) <= 0:
        raise ValueError("alpha_bar_t = 1: a set of points has no density there; use alpha_bar_t < 1")
    # Panels end on a lattice of half the narrowest width, so that thousands of overlapping components share theirs.
    lattice = float(sd.min()) / 2
    edges = torch.unique(torch.round((centre + sd * torch.arange(-TAILS, TAILS + 1)) / lattice)) * lattice
    node, weight = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(PANEL_NODES))
    half = (edges[1:] - edges[:-1])[:, None] / 2
    nodes = (edges[:-1, None] + half * (1 + node)).reshape(-1)
    inside = _covered(nodes, centre[:, 0], TAILS * sd[:, 0] + lattice)
    return nodes[inside], (half * weight).reshape(-1)[inside]


def mean_posterior_variance(
    distribution: ExactDistribution, alpha_bar_t: Coefficient, *, samples: int = 4096, generator: torch.Generator | None = None
) -> Estimate:
    """E over x_t of tr Cov[x_0 | x_t] / D: the least mean squared error of any x_0_hat at t.

    By formula for a Gaussian, by quadrature in 1-D, else the mean of the exact posterior variance over exact samples of x_t, which has far
    less spread than the squared errors themselves.

    Args:
        alpha_bar_t: in [0, 1), shape () or (n,); samples: how many x_t for each; generator: where they come from.
    Raises:
        ValueError: alpha_bar_t = 1, or samples < 2 where they are needed.
    """
    alpha_bar = as_float64(alpha_bar_t)
    inside = (alpha_bar >= 0) & (alpha_bar < 1)
    if alpha_bar.numel() == 0 or not bool(inside.all()):
        shown = alpha_bar[~inside].reshape(-1).tolist()[:4]
        raise ValueError(f"alpha_bar_t = {shown}: use at least one value in [0, 1); at 1, clean data, nothing is left to predict")
    if isinstance(distribution, GaussianData):
        exact = distribution.mean_posterior_variance(alpha_bar)
        return Estimate(exact, torch.zeros_like(exact))
    if distribution.shape == (1,):
        exact = torch.stack([_by_quadrature(distribution, float(a)) for a in alpha_bar.reshape(-1)]).reshape(alpha_bar.shape)
        return Estimate(exact, torch.zeros_like(exact))
    if samples < 2:
        raise ValueError(f"samples = {samples}: use at least 2, or the estimate has no error bar")
    drawn = [_by_samples(distribution, float(a), samples, generator) for a in alpha_bar.reshape(-1)]
    return Estimate(*(torch.stack(column).reshape(alpha_bar.shape) for column in zip(*drawn)))


def bayes_floor(
    distribution: ExactDistribution, alpha_bar_t: Coefficient, *, samples: int = 4096, generator: torch.Generator | None = None
) -> Estimate:
    """E |eps - eps*(x_t)|^2 / D = abar_t / (1 - abar_t) E tr Cov[x_0 | x_t] / D, which L_simple at t cannot go below [N8; Ho 2020 eq. 14].

    Arguments and errors as in `mean_posterior_variance`.
    """
    alpha_bar = as_float64(alpha_bar_t)
    estimate = mean_posterior_variance(distribution, alpha_bar, samples=samples, generator=generator)
    return Estimate(*(alpha_bar / (1 - alpha_bar) * part for part in estimate))


def optimal_variance(
    distribution: ExactDistribution,
    alpha_bar_t: Coefficient,
    alpha_bar_s: Coefficient,
    *,
    samples: int = 4096,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The sigma_t^2 that maximizes the bound when mu_theta is exact, one number for all dimensions [N8; Bao 2022 theorem 1].

    Args:
        alpha_bar_t in [0, 1), alpha_bar_s in (0, 1], s < t, shape () or (n,); samples, generator as in `mean_posterior_variance`.
    Returns:
        float64; at the last step (abar_s = 1) it is E Var[x_0 | x_t], which unlike beta_tilde has a density.
    """
    estimate = mean_posterior_variance(distribution, alpha_bar_t, samples=samples, generator=generator)
    return reverse.optimal_variance(estimate.value, alpha_bar_t, alpha_bar_s)


def optimal_variances(
    distribution: ExactDistribution, schedule: NoiseSchedule, *, samples: int = 4096, generator: torch.Generator | None = None
) -> Tensor:
    """`optimal_variance` of every step of a chain: (T,) float64."""
    return optimal_variance(distribution, schedule.alpha_bar, schedule.alpha_bar_prev, samples=samples, generator=generator)


def _by_quadrature(distribution: ExactDistribution, alpha_bar_t: float) -> Tensor:
    nodes, weights = quadrature_nodes(distribution, alpha_bar_t)
    density = distribution.log_density(nodes[:, None], alpha_bar_t).exp()
    return (weights * density * distribution.posterior_variance(nodes[:, None], alpha_bar_t)).sum()


def _by_samples(distribution: ExactDistribution, alpha_bar_t: float, samples: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    x_t = q_cumulative_sample(distribution.sample(samples, generator=generator), alpha_bar_t, generator=generator)
    spread = distribution.posterior_variance(x_t, alpha_bar_t).cpu()
    return spread.mean(), spread.std() / samples**0.5


def _covered(nodes: Tensor, centre: Tensor, reach: Tensor) -> Tensor:
    """Which nodes lie within reach of at least one component: the gaps between far components are skipped."""
    starts, ends = (centre - reach).sort().values, (centre + reach).sort().values
    # As many intervals have begun as have ended: the node lies in a gap.
    return torch.searchsorted(starts, nodes, right=True) > torch.searchsorted(ends, nodes, right=False)
