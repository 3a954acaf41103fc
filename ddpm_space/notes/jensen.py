"""Jensen's inequality (row N9): f(E X) >= E f(X) for concave f, its gap, and what it becomes for f = log: log p >= ELBO, the gap a KL.

Random draws come first, (n, ...): whatever follows is treated element by element. Nothing here draws. What the bounds look like when only
log-weights of draws are known is in `ddpm_space.notes.importance`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ddpm_space.notes.entry import equation

CONCAVE: dict[str, Callable[[Tensor], Tensor]] = {
    "log x": torch.log,
    "sqrt x": torch.sqrt,
    "-x log x": lambda x: -torch.xlogy(x, x),
    "-x^2": lambda x: -(x**2),
    "min(x, 1)": lambda x: x.clamp(max=1),
}
"""Concave functions to try, on x > 0; min(x, 1) has gap 0 for any X that stays on one side of its corner."""


class SampledGap(NamedTuple):
    """The gap put together from draws, its standard error, and the bias of having put the sample mean in place of E X; each (...)."""

    gap: Tensor
    standard_error: Tensor
    bias: Tensor


class ElboGap(NamedTuple):
    """log p(x), the ELBO, and KL(q || posterior), which is what lies between them; nats, each (...)."""

    log_p: Tensor
    elbo: Tensor
    kl: Tensor


@equation("N9.jensen_sides")
def jensen_sides(function: Callable[[Tensor], Tensor], values: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """f(E X) and E f(X) of a discrete variable: the first is the larger one for concave f, the smaller one for convex f [N9; Jensen 1906].

    Args:
        function: f, element by element; values: (n, ...) of X; probabilities: (n,) or (n, ...), >= 0, adding up to 1 along the first dimension.
    Returns:
        f(E X), E f(X), each (...).
    Raises:
        ValueError: probabilities that are negative, do not add up to 1, or do not fit the values.
    """
    weights = _weights(values, probabilities)
    return function((weights * values).sum(0)), (weights * function(values)).sum(0)


def jensen_gap(function: Callable[[Tensor], Tensor], values: Tensor, probabilities: Tensor) -> Tensor:
    """f(E X) - E f(X) >= 0 for concave f, 0 when X is certain or f straight over its range [N9]; arguments as in `jensen_sides`, returns (...)."""
    f_of_mean, mean_of_f = jensen_sides(function, values, probabilities)
    return f_of_mean - mean_of_f


@equation("N9.jensen_second_order")
def jensen_second_order(function: Callable[[Tensor], Tensor], values: Tensor, probabilities: Tensor) -> Tensor:
    """The gap for a narrow X: f(E X) - E f(X) = -f''(E X) Var X / 2 + terms of third order in the spread [N9, Taylor]; exact for parabolas.

    Args:
        function: f, element by element, twice differentiable by torch at E X; values, probabilities: as in `jensen_sides`.
    Returns:
        (...).
    Raises:
        ValueError: as in `jensen_sides`.
    """
    weights = _weights(values, probabilities)
    mean = (weights * values).sum(0)
    return -0.5 * _derivatives(function, mean)[1] * (weights * (values - mean) ** 2).sum(0)


@equation("N9.jensen_sampled")
def jensen_sampled(function: Callable[[Tensor], Tensor], samples: Tensor) -> SampledGap:
    """f(mean x) - mean f(x) from n independent draws, with its delta-method error and its plug-in bias [N9].

    The sample mean stands in for E X, which lowers a concave f's first term on average: E f(mean x) - f(E X) = f''(E X) Var X / (2 n) to first
    order in 1 / n. That is the bias stated; subtract it for a better value. The gap as returned is never negative for concave f.

    Args:
        function: f, element by element, twice differentiable by torch; samples: (n, ...), n >= 2.
    Returns:
        gap, standard_error and bias, each (...).
    Raises:
        ValueError: n < 2.
    """
    draws = _count(samples)
    mean, of_samples = samples.mean(0), function(samples)
    slope, curvature = _derivatives(function, mean)
    influence = slope * (samples - mean) - of_samples
    return SampledGap(
        function(mean) - of_samples.mean(0),
        influence.std(0) / math.sqrt(draws),
        curvature * samples.var(0) / (2 * draws),
    )


@equation("N9.elbo_gap")
def elbo_gap(log_joint: Tensor, log_q: Tensor) -> ElboGap:
    """log p(x) = ELBO + KL(q(z|x) || p(z|x)) for a latent z of n values, each of the three by its own sum [N9; Kingma 2014 eq. 1-2].

    log p(x) = log sum_z p(x, z);  ELBO = sum_z q log(p(x, z) / q);  KL = sum_z q log(q / p(z|x)). A continuous z goes on a grid: add the log of the
    cell's width to both arguments.

    Args:
        log_joint: (n, ...) log p(x, z); log_q: (n, ...) log q(z | x), -inf where q is 0; the q of an x add up to 1.
    Returns:
        log_p, elbo and kl, each (...).
    Raises:
        ValueError: q does not add up to 1.
    """
    total = log_q.exp().sum(0)
    if bool(((total - 1).abs() > _tolerance(log_q)).any()):
        raise ValueError(f"exp(log_q) adds up to {float(total.reshape(-1)[(total - 1).abs().argmax()]):.9g}, not 1: subtract its logsumexp")
    log_p = torch.logsumexp(log_joint, 0)
    return ElboGap(log_p, expectation(log_q, log_joint - log_q), expectation(log_q, log_q - (log_joint - log_p)))


def expectation(log_q: Tensor, value: Tensor) -> Tensor:
    """Sum over the first dimension of q times value, where q = 0 counts as 0 whatever the value (even -inf - -inf) [N9]; both (n, ...)."""
    return torch.where(log_q == -torch.inf, torch.zeros_like(value), log_q.exp() * value).sum(0)


def _derivatives(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """f' and f'' at each element, also where the caller has switched gradients off."""
    with torch.inference_mode(False), torch.enable_grad():
        x = at.detach().clone().requires_grad_()
        first = _slope(function(x), x)
        second = _slope(first, x)
    return first.detach(), second.detach()


def _slope(y: Tensor, x: Tensor) -> Tensor:
    if not y.requires_grad:  # a straight line's slope, or a constant, no longer knows of x
        return torch.zeros_like(x)
    return torch.autograd.grad(y.sum(), x, create_graph=True, materialize_grads=True)[0]


def _weights(values: Tensor, probabilities: Tensor) -> Tensor:
    if probabilities.ndim not in (1, values.ndim) or probabilities.shape[0] != values.shape[0]:
        raise ValueError(f"{tuple(probabilities.shape)} probabilities do not fit {tuple(values.shape)} values: give (n,), or one for each value")
    if bool((probabilities < 0).any()):
        raise ValueError(f"a probability is {float(probabilities.min()):g}: use numbers >= 0")
    total = probabilities.sum(0)
    if bool(((total - 1).abs() > _tolerance(probabilities)).any()):
        raise ValueError(f"the probabilities add up to {float(total.reshape(-1)[(total - 1).abs().argmax()]):.9g}: divide them by their sum")
    if probabilities.ndim == values.ndim:
        return probabilities
    return probabilities.reshape(-1, *([1] * (values.ndim - 1)))


def _count(samples: Tensor) -> int:
    if samples.ndim == 0 or samples.shape[0] < 2:
        raise ValueError(f"samples have shape {tuple(samples.shape)}: give at least 2 draws along the first dimension, an error needs a spread")
    return samples.shape[0]


def _tolerance(values: Tensor) -> float:
    """How far a sum of rounded probabilities may be from 1; float64 numbers may have been float32 before."""
    return 1e-6 if values.dtype == torch.float64 else 1e-2 if values.dtype in (torch.float16, torch.bfloat16) else 1e-4
