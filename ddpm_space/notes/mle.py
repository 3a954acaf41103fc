"""Maximum likelihood (row N10): the likelihood of data, the best Gaussian in closed form and by gradient ascent, and why it is the least KL.

Data come first, (n, ...); whatever follows is treated element by element, unless a function says `full`. Everything is in nats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import as_float64
from ddpm_space.notes.entry import equation
from ddpm_space.notes.gaussian import log_density
from ddpm_space.notes.jensen import expectation

MAX_HALVINGS = 60
"""A step that still lowers the likelihood after so many halvings is smaller than rounding."""


class LikelihoodSplit(NamedTuple):
    """The mean log-likelihood of data, the entropy of the data's own law, and KL(data || model); the first is minus the sum of the others."""

    mean_log_likelihood: Tensor
    entropy: Tensor
    kl: Tensor


@dataclass(frozen=True)
class AscentFrame:
    """One step of the ascent: parameters (...), the data's log-likelihood summed over everything, and the gradient that the stopping rule looks at.

    gradient is the largest slope of the mean log-likelihood in units of one standard deviation (mean) and of log variance. stopped is None while the
    ascent goes on; the last frame says "gradient below tolerance", "no step improves" or "max_steps reached".
    """

    step: int
    mean: Tensor
    variance: Tensor
    log_likelihood: float
    gradient: float
    stopped: str | None


@equation("N10.log_likelihood")
def log_likelihood(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """log L(mean, variance) = sum_i log N(x_i; mean, variance), the data being independent [N10; Fisher 1922].

    Args:
        x: (n, ...) data; mean, variance: (...), the variance > 0.
    Returns:
        (...) nats, element by element; sum for the joint likelihood of a diagonal Gaussian. For a full covariance sum `log_density_full`.
    """
    columns = x.reshape(x.shape[0], -1).T
    centre = mean.reshape(-1, 1).expand_as(columns)
    return log_density(columns, centre, variance.reshape(-1)).sum(1).reshape(x.shape[1:])


@equation("N10.mle_gaussian")
def mle_gaussian(x: Tensor) -> tuple[Tensor, Tensor]:
    """The Gaussian under which the data are likeliest: their mean, and their variance with 1/n, on average low by (n - 1)/n [N10; Fisher 1922].

    Args:
        x: (n, ...) data.
    Returns:
        mean and variance, each (...).
    Raises:
        ValueError: no data, or all values of an element equal: the likelihood then grows without bound as the variance shrinks.
    """
    _check_data(x)
    mean, variance = x.mean(0), x.var(0, correction=0)
    # Equal values are told by looking at them: the rounding of their mean leaves a variance above 0.
    if bool(((x == x[:1]).all(0) | (variance <= 0)).any()):
        raise ValueError(f"{x.shape[0]} equal values have no most likely Gaussian (its variance shrinks to 0): give data that differ")
    return mean, variance


@equation("N10.mle_gaussian_full")
def mle_gaussian_full(x: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest Gaussian vector: mean, and covariance sum_i (x_i - mean)(x_i - mean)^T / n [N10; Bishop 2006 eq. 2.121-2.122].

    Args:
        x: (n, D) data, n > D.
    Returns:
        mean (D,), covariance (D, D).
    Raises:
        ValueError: x is not (n, D), or the data lie in a plane of fewer than D dimensions, which makes the likelihood unbounded.
    """
    if x.ndim != 2:
        raise ValueError(f"x has shape {tuple(x.shape)}: give (n, D), one vector a row")
    _check_data(x)
    mean = x.mean(0)
    centred = x - mean
    covariance = centred.T @ centred / x.shape[0]
    if int(torch.linalg.matrix_rank(centred)) < x.shape[1]:
        raise ValueError(f"{x.shape[0]} vectors do not span all {x.shape[1]} dimensions about their mean: give more data, or drop a dependent column")
    return mean, covariance


@equation("N10.likelihood_gradient")
def likelihood_gradient(x: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Slope of the mean log-likelihood along mean and along log variance; both are 0 at `mle_gaussian` and nowhere else [N10].

    d/d mean = (mean(x) - mean) / variance,  d/d log variance = (mean((x - mean)^2) / variance - 1) / 2.

    Args:
        x: (n, ...) data; mean, variance: (...), the variance > 0.
    Returns:
        two tensors (...).
    """
    return (x - mean).mean(0) / variance, 0.5 * (((x - mean) ** 2).mean(0) / variance - 1)


def gradient_ascent(
    x: Tensor,
    mean: float | Tensor = 0.0,
    variance: float | Tensor = 1.0,
    *,
    learning_rate: float = 0.5,
    natural: bool = False,
    tolerance: float = 1e-6,
    max_steps: int = 1000,
) -> Iterator[AscentFrame]:
    """Climb the likelihood of a diagonal Gaussian along (mean, log variance) and yield every place, the start included [N10].

    A step that would lower the likelihood is halved until it does not. The ascent stops when the gradient (see `AscentFrame`) is at most `tolerance`,
    when no step improves the likelihood any more, or after `max_steps`. Computed in float64 on the CPU.

    Args:
        x: (n, ...) data; mean, variance: the start, a number or (...), the variance > 0.
        learning_rate: > 0; natural: multiply the gradient by the inverse Fisher information, diag(variance, 2), so that units do not matter.
        tolerance: > 0; max_steps: >= 0.
    Yields:
        AscentFrame, the last with `stopped` set.
    Raises:
        ValueError: as `mle_gaussian`, or a start, learning rate or tolerance that is not positive.
    """
    for name, value in (("learning_rate", learning_rate), ("tolerance", tolerance)):
        if not value > 0:
            raise ValueError(f"{name} = {value}: use a positive number")
    data = as_float64(x)
    mle_gaussian(data)
    centre = as_float64(mean).expand(data.shape[1:]).clone()
    if not bool((as_float64(variance) > 0).all()):
        raise ValueError(f"the variance to start from is {float(as_float64(variance).min()):g}: use a positive number")
    log_variance = as_float64(variance).log().expand(data.shape[1:]).clone()
    height = float(log_likelihood(data, centre, log_variance.exp()).sum())
    for step in range(max_steps + 1):
        spread = log_variance.exp()
        along_mean, along_log = likelihood_gradient(data, centre, spread)
        gradient = float(torch.stack([(along_mean * spread.sqrt()).abs().max(), along_log.abs().max()]).max())
        direction = (along_mean * spread, along_log * 2) if natural else (along_mean, along_log)
        stopped = "gradient below tolerance" if gradient <= tolerance else "max_steps reached" if step == max_steps else None
        climbed = None if stopped else _climb(data, centre, log_variance, direction, learning_rate, height)
        stopped = stopped if stopped or climbed else "no step improves"
        yield AscentFrame(step, centre, spread, height, gradient, stopped)
        if climbed is None:
            return
        centre, log_variance, height = climbed


@equation("N10.cross_entropy")
def cross_entropy(log_p: Tensor, log_q: Tensor) -> Tensor:
    """H(p, q) = -sum p log q, the mean code length when q is believed and p true; H(p, p) is the entropy [N10; Shannon 1948].

    Args:
        log_p, log_q: (n, ...) log-probabilities, -inf where 0. A density on a grid: add the log of the cell's width to both.
    Returns:
        (...) nats; infinite where q is 0 and p is not.
    """
    return -expectation(log_p, log_q)


@equation("N10.kl_discrete")
def kl_discrete(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) = sum p log(p / q) >= 0, 0 for q = p alone [N10; Kullback, Leibler 1951]; arguments and result as in `cross_entropy`."""
    return expectation(log_p, log_p - log_q)


@equation("N10.likelihood_split")
def likelihood_split(data: Tensor, log_q: Tensor) -> LikelihoodSplit:
    """The mean log-likelihood of data is -H(data) - KL(data || q): with H fixed, the likeliest model is the one of least KL [N10; Akaike 1973].

    The first number goes through the data one by one; the other two know only how often each value came up.

    Args:
        data: (n,) int64, which of the m values each datum is; log_q: (m,) log-probabilities of the values.
    Returns:
        mean_log_likelihood, entropy and kl, each ().
    Raises:
        ValueError: no data, or a value outside the model's.
    """
    _check_data(data)
    if data.is_floating_point() or int(data.min()) < 0 or int(data.max()) >= log_q.shape[0]:
        raise ValueError(
            f"data must be whole numbers in [0, {log_q.shape[0]}), the places of the values: got {data.dtype}, "
            f"from {float(data.min()):g} to {float(data.max()):g}"
        )
    log_p = torch.log(torch.bincount(data, minlength=log_q.shape[0]).to(log_q) / data.shape[0])
    return LikelihoodSplit(log_q[data].mean(), cross_entropy(log_p, log_p), kl_discrete(log_p, log_q))


def _climb(
    x: Tensor, mean: Tensor, log_variance: Tensor, direction: tuple[Tensor, Tensor], rate: float, height: float
) -> tuple[Tensor, Tensor, float] | None:
    """The next place and its log-likelihood, or None where no step along `direction` improves it."""
    # A step tells the variance by a factor of e at most: far from the top the slope promises far more than the likelihood keeps.
    rate = min(rate, 1 / max(float(direction[1].abs().max()), 1e-300))
    for _ in range(MAX_HALVINGS):
        there = mean + rate * direction[0], log_variance + rate * direction[1]
        higher = float(log_likelihood(x, there[0], there[1].exp()).sum())
        # Near the top the gain is below rounding while the parameters still improve: a loss of that size is let pass.
        if higher >= height - 1e-14 * abs(height):
            return *there, higher
        rate /= 2
    return None


def _check_data(x: Tensor) -> None:
    if x.ndim == 0 or x.shape[0] == 0:
        raise ValueError(f"the data have shape {tuple(x.shape)}: give at least one datum, (n, ...)")
    if x.is_floating_point() and not bool(x.isfinite().all()):
        raise ValueError(f"the data hold {float(x[~x.isfinite()][0])}: give finite numbers")
