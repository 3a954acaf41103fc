"""A step of sampling by Langevin's equation with a score (row N1): unadjusted (ULA), Metropolis-adjusted (MALA), and the annealed step sizes.

A step of size eta is x' = x + eta / 2 score(x) + sqrt(eta) z: an Euler-Maruyama step with U = -log p, kT = gamma = 1 and dt = eta / 2.
Samples are (B, ...); a score maps (B, ...) to (B, ...), a log-density to (B,).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64, cast, draw_eps
from ddpm_space.notes.entry import equation
from ddpm_space.notes.langevin import between, positive
from ddpm_space.notes.quadrature import gauss_legendre

Function: TypeAlias = Callable[[Tensor], Tensor]

RATIO_NODES = 8

HIGHEST_ALPHA_BAR = math.nextafter(1.0, 0.0)
"""The largest alpha_bar below 1: some noise is left."""


@equation("N1.score_from_eps")
def score_from_eps(eps_theta: Tensor, alpha_bar_t: Coefficient) -> Tensor:
    """score = -eps_theta / sqrt(1 - abar_t): a network that predicts the noise knows the score of x_t's law [N1; Vincent 2011].

    Args:
        eps_theta: (B, ...); alpha_bar_t: in [0, 1), shape () or (B,).
    Returns:
        (B, ...).
    Raises:
        ValueError: an alpha_bar_t outside [0, 1) (looked at on the CPU only).
    """
    between(0, HIGHEST_ALPHA_BAR, "numbers in [0, 1): without noise the data have no score that eps could tell", alpha_bar_t=alpha_bar_t)
    return cast(-(1 - as_float64(alpha_bar_t)).rsqrt(), eps_theta) * eps_theta


@equation("N1.ula_step")
def ula_step(x: Tensor, score_x: Tensor, eta: Coefficient, *, eps: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
    """x' = x + eta / 2 score(x) + sqrt(eta) z, z ~ N(0, I) [N1; Song 2019 eq. 4; Roberts, Tweedie 1996].

    Args:
        x, score_x: (B, ...) a sample and the score there; eta: > 0, shape () or (B,); eps: z (B, ...).
    Returns:
        (B, ...).
    Raises:
        ValueError: a negative eta (looked at on the CPU only).
    """
    between(0, torch.inf, "numbers >= 0", eta=eta)
    eta = as_float64(eta)
    return x + cast(eta / 2, x) * score_x + cast(eta.sqrt(), x) * draw_eps(x, eps, generator)


@equation("N1.log_density_ratio")
def log_density_ratio(score: Function, x: Tensor, y: Tensor, *, nodes: int = RATIO_NODES) -> Tensor:
    """log p(y) - log p(x) = integral over u in (0, 1) of score(x + u (y - x)) . (y - x), by Gauss-Legendre nodes [N1].

    A score alone gives every ratio of densities. The rule is antisymmetric in (x, y) whatever the nodes; it is exact where the score is a
    polynomial of degree up to 2 nodes - 1 along the way (a Gaussian's: 1 node). Eight nodes suit the short moves of a sampler; a long way over
    several modes takes more. It means something only for a score that is a gradient.

    Args:
        score: (B, ...) -> (B, ...); x, y: (B, ...); nodes: evaluations of the score.
    Returns:
        (B,) nats.
    """
    way = y - x
    total = torch.zeros_like(_per_sample(way))
    for position, weight in zip(*(values.tolist() for values in gauss_legendre(nodes))):
        total = total + weight * _per_sample(score(x + position * way) * way)
    return total


@equation("N1.mala_log_ratio")
def mala_log_ratio(x: Tensor, y: Tensor, score_x: Tensor, score_y: Tensor, log_ratio: Tensor, eta: Coefficient) -> Tensor:
    """log r = log p(y) - log p(x) + log q(x | y) - log q(y | x), q the ULA step; y is taken with probability min(1, r) [N1; Roberts, Tweedie 1996].

    Args:
        x, y: (B, ...) where the chain is and where it would go; score_x, score_y: (B, ...); log_ratio: log p(y) - log p(x), (B,).
        eta: the size of the step, shape () or (B,).
    Returns:
        (B,) nats.
    """
    eta = as_float64(eta)
    half, scale = cast(eta / 2, x), 1 / (2 * eta)
    forward, backward = _per_sample((y - x - half * score_x) ** 2), _per_sample((x - y - half * score_y) ** 2)
    return log_ratio + cast(scale, forward) * (forward - backward)


@equation("N1.mala_step")
def mala_step(
    x: Tensor,
    score: Function,
    eta: Coefficient,
    *,
    log_density: Function | None = None,
    eps: Tensor | None = None,
    uniform: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Propose a ULA step y; go there with probability min(1, r), else stay: the law p is kept exactly, whatever eta [N1; Roberts, Tweedie 1996].

    Args:
        x: (B, ...); score: (B, ...) -> (B, ...); eta: > 0; log_density: (B, ...) -> (B,) up to a constant; from the score if None.
        eps: z of the proposal (B, ...); uniform: numbers in [0, 1) that decide, (B,); both are drawn if None.
    Returns:
        the next sample (B, ...), and each one's probability of going (B,); a proposal whose ratio is not a number is never taken.
    """
    score_x = score(x)
    # With eps given, the generator still serves the decision.
    y = ula_step(x, score_x, eta, eps=eps, generator=None if eps is not None else generator)
    log_ratio = log_density_ratio(score, x, y) if log_density is None else log_density(y) - log_density(x)
    probability = mala_log_ratio(x, y, score_x, score(y), log_ratio, eta).clamp(max=0).exp().nan_to_num(nan=0.0)
    if uniform is None:
        uniform = torch.rand(probability.shape, generator=generator, dtype=probability.dtype, device=x.device)
    taken = (uniform < probability).reshape(-1, *([1] * (x.ndim - 1)))
    return torch.where(taken, y, x), probability


@equation("N1.geometric_sigmas")
def geometric_sigmas(sigma_1: Coefficient, sigma_L: Coefficient, levels: int) -> Tensor:
    """sigma_i = sigma_1 (sigma_L / sigma_1)^((i - 1) / (L - 1)): each level a fixed share of the one before [N1; Song 2019 section 4.1].

    Args:
        sigma_1, sigma_L: the largest and the smallest noise, > 0; levels: L >= 2.
    Returns:
        (L,) float64, from sigma_1 to sigma_L.
    Raises:
        ValueError: sigma_L is not below sigma_1, or fewer than two levels.
    """
    positive(sigma_1=sigma_1, sigma_L=sigma_L)
    sigma_1, sigma_L = as_float64(sigma_1), as_float64(sigma_L)
    if levels < 2 or bool(sigma_L >= sigma_1):
        raise ValueError(f"{levels} levels from {float(sigma_1):g} to {float(sigma_L):g}: use at least 2, and sigma_1 > sigma_L")
    return sigma_1 * (sigma_L / sigma_1) ** (torch.arange(levels, dtype=torch.float64) / (levels - 1))


@equation("N1.annealed_step_size")
def annealed_step_size(sigma_i: Coefficient, sigma_L: Coefficient, epsilon: Coefficient) -> Tensor:
    """eta_i = epsilon sigma_i^2 / sigma_L^2: the step shrinks with the noise, so that drift and noise keep their proportion [N1; Song 2019 alg. 1].

    Args:
        sigma_i: noise of the level, > 0; sigma_L: that of the last level; epsilon: the step there.
    Returns:
        float64 in the shape of sigma_i.
    """
    return as_float64(epsilon) * as_float64(sigma_i) ** 2 / as_float64(sigma_L) ** 2


def _per_sample(values: Tensor) -> Tensor:
    return values.reshape(len(values), -1).sum(1)
