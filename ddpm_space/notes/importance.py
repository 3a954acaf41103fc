"""Bounds on log p(x) from log-weights log w = log p(x, z) - log q(z | x) of draws z ~ q (row N9): ELBO <= IWAE_k <= log p, with their errors.

Everything takes a tensor of log-weights, draws first: (n, ...), z_1..z_n independent; whatever follows (one x each, say) is treated element by
element. Any world can feed it; for a diffusion chain z is the whole trajectory x_1..x_T, and log w = log p_theta(x_0:T) - log q(x_1:T | x_0).
Nothing here draws, so all bounds of one tensor share their random numbers: ELBO <= IWAE_j <= IWAE_k then holds for the estimates themselves
whenever j divides k.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ddpm_space.notes.entry import equation


class BoundEstimate(NamedTuple):
    """An unbiased estimate of a bound (or of a difference of two), in nats, and its standard error; each (...)."""

    value: Tensor
    standard_error: Tensor


class LogMean(NamedTuple):
    """log of the mean weight, its standard error by the delta method, and its bias as an estimate of log p (< 0), all in nats; each (...)."""

    value: Tensor
    standard_error: Tensor
    bias: Tensor


@equation("N9.elbo")
def elbo(log_weights: Tensor) -> BoundEstimate:
    """ELBO = E_q log w, the mean log-weight of n >= 2 draws [N9; Ho 2020 eq. 3]; log_weights (n, ...), returns value and standard_error (...).

    Raises:
        ValueError: fewer than 2 draws.
    """
    return _mean(_checked(log_weights))


@equation("N9.iwae")
def iwae(log_weights: Tensor, k: int) -> BoundEstimate:
    """IWAE_k = E log((w_1 + ... + w_k) / k), estimated from n / k separate groups of k draws [N9; Burda 2016 eq. 8].

    IWAE_1 is the ELBO; log p >= IWAE_{k+1} >= IWAE_k [Burda 2016 theorem 1]. With a single group (k = n) the error is the delta method's.

    Args:
        log_weights: (n, ...); k: trajectories a group, a divisor of n.
    Returns:
        value and standard_error, each (...).
    Raises:
        ValueError: fewer than 2 draws, or k does not divide n.
    """
    groups = _log_means(_checked(log_weights), k)
    return _mean(groups) if groups.shape[0] > 1 else BoundEstimate(*log_mean(log_weights)[:2])


@equation("N9.iwae_rise")
def iwae_rise(log_weights: Tensor, j: int, k: int) -> BoundEstimate:
    """IWAE_k - IWAE_j on common random numbers: by Jensen >= 0 in every single group, with the difference's own error [N9; Burda 2016 theorem 1].

    Args:
        log_weights: (n, ...); j, k: j divides k, k divides n, n / k >= 2; j = 1 compares with the ELBO.
    Returns:
        value and standard_error, each (...).
    Raises:
        ValueError: j does not divide k, k does not divide n, or there is one group only.
    """
    coarse = _log_means(_checked(log_weights), k)
    if j < 1 or k % j:
        raise ValueError(f"j = {j} does not divide k = {k}: groups of k must split into groups of j to share their draws")
    fine = _log_means(log_weights, j)
    return _mean(_checked(coarse - fine.reshape(coarse.shape[0], k // j, *fine.shape[1:]).mean(1)))


@equation("N9.relative_variance")
def relative_variance(log_weights: Tensor) -> Tensor:
    """Var(w) / (E w)^2 as n draws show it: the one number that decides how far an importance-weighted bound is from log p [N9; Nowozin 2018].

    Args:
        log_weights: (n, ...).
    Returns:
        (...) >= 0, at most n; a few heavy weights among n make it too low.
    Raises:
        ValueError: fewer than 2 draws.
    """
    draws = _checked(log_weights).shape[0]
    # Weights in units of their mean: softmax subtracts the largest log-weight, so nothing overflows.
    return (draws * torch.softmax(log_weights, 0)).var(0)


@equation("N9.iwae_gap")
def iwae_gap(log_weights: Tensor, k: int) -> Tensor:
    """log p - IWAE_k = Var(w) / (2 k (E w)^2) + O(1 / k^2), with the variance and mean of the n given draws [N9; Nowozin 2018 proposition 1].

    Args:
        log_weights: (n, ...); k: >= 1, need not divide n, large enough that the result is small against 1.
    Returns:
        (...) nats, >= 0.
    Raises:
        ValueError: fewer than 2 draws, k < 1.
    """
    if k < 1:
        raise ValueError(f"k = {k}: use at least 1 trajectory")
    return relative_variance(log_weights) / (2 * k)


@equation("N9.log_mean")
def log_mean(log_weights: Tensor) -> LogMean:
    """log p from all n draws at once: value log(mean w), error sqrt(Var(w) / n) / E w, bias -Var(w) / (2 n (E w)^2) [N9, delta method].

    The value is one draw of IWAE_n: a lower bound on average, by the bias stated.

    Args:
        log_weights: (n, ...).
    Returns:
        value, standard_error and bias, each (...).
    Raises:
        ValueError: fewer than 2 draws.
    """
    draws = _checked(log_weights).shape[0]
    variance = relative_variance(log_weights) / draws
    return LogMean(torch.logsumexp(log_weights, 0) - math.log(draws), variance.sqrt(), -variance / 2)


@equation("N9.jackknife")
def jackknife(log_weights: Tensor) -> BoundEstimate:
    """log p with the 1/n bias removed: n L_n - (n - 1) mean_i L_{n-1} without draw i, L the log mean weight; no bound any more [N9; Nowozin 2018].

    Args:
        log_weights: (n, ...).
    Returns:
        value and standard_error (the jackknife's own), each (...).
    Raises:
        ValueError: fewer than 2 draws.
    """
    draws = _checked(log_weights).shape[0]
    total, largest = torch.logsumexp(log_weights, 0), log_weights.argmax(0, keepdim=True)
    share = (log_weights - total).exp()
    # Without the largest weight, 1 - share may have lost every digit: that one sum is formed anew.
    others = torch.logsumexp(log_weights.scatter(0, largest, -torch.inf), 0, keepdim=True)
    left_out = (total + torch.log1p(-share.clamp(max=0.5))).scatter(0, largest, others) - math.log(draws - 1)
    value = draws * (total - math.log(draws)) - (draws - 1) * left_out.mean(0)
    return BoundEstimate(value, ((draws - 1) * left_out.var(0, correction=0)).sqrt())


@equation("N9.effective_sample_size")
def effective_sample_size(log_weights: Tensor) -> Tensor:
    """(sum w)^2 / sum w^2: how many equal weights would be worth as much, from 1 (one weight has it all) to n [N9; Kong 1994].

    Args:
        log_weights: (n, ...).
    Returns:
        (...) in [1, n], float32 for log-weights of 16 bits, which could not hold it.
    Raises:
        ValueError: a weight is NaN or infinite, or all of an element are 0.
    """
    _check_finite(log_weights)
    wide = log_weights.float() if torch.finfo(log_weights.dtype).bits == 16 else log_weights
    return 1 / (torch.softmax(wide, 0) ** 2).sum(0)


def _log_means(log_weights: Tensor, k: int) -> Tensor:
    """Log of the mean weight of each group of k consecutive draws: (n / k, ...)."""
    draws = log_weights.shape[0]
    if not 1 <= k <= draws or draws % k:
        raise ValueError(f"k = {k} does not divide the {draws} draws into groups: use a divisor of {draws}, or give a multiple of k draws")
    return torch.logsumexp(log_weights.reshape(draws // k, k, *log_weights.shape[1:]), 1) - math.log(k)


def _mean(values: Tensor) -> BoundEstimate:
    return BoundEstimate(values.mean(0), values.std(0) / math.sqrt(values.shape[0]))


def _checked(values: Tensor) -> Tensor:
    if values.ndim == 0 or values.shape[0] < 2:
        raise ValueError(f"shape {tuple(values.shape)} has fewer than 2 independent draws (or groups) in front: an error needs a spread")
    _check_finite(values)
    return values


def _check_finite(log_weights: Tensor) -> None:
    wrong = log_weights.isnan() | (log_weights == torch.inf)
    if bool(wrong.any()) or bool((log_weights == -torch.inf).all(0).any()):
        raise ValueError("log-weights must be numbers below infinity, and not all -inf: look for a density that is 0 or not finite where q draws")
