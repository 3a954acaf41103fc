"""Bounds on the entropy of one reverse step, eq. 24 of Sohl-Dickstein et al. 2015 (row N4), and the data for which the upper one breaks.

The lower bound always holds. The upper one says that a step does not lower the entropy of the marginal, H(X_s) <= H(X_t). That follows where noising
does not lower the cross-entropy to the stationary law pi: E|x_0|^2 <= d for the Gaussian kernel, and for the binomial one any data at rate 0.5 (the
paper: "without qualification"), at any other rate only a mean activity on the outer side of that rate, seen from 1/2. Elsewhere it can break.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64
from ddpm_space.notes.entry import equation
from ddpm_space.notes.forward import beta_between
from ddpm_space.notes.gaussian import entropy
from ddpm_space.notes.thermo2015 import entropy_cumulative_gaussian
from ddpm_space.notes.thermo2015_binomial import entropy_bernoulli, q_cumulative_bits


class EntropyBounds(NamedTuple):
    """lower <= H(X_s | X_t) always; H(X_s | X_t) <= upper for sure where `upper_holds`, and where it is False it may break. Nats."""

    lower: Tensor
    upper: Tensor
    upper_holds: Tensor


@equation("N4.entropy_bounds_gaussian")
def entropy_bounds_gaussian(alpha_bar_t: Coefficient, alpha_bar_s: Coefficient, second_moment: Coefficient, num_dims: int) -> EntropyBounds:
    """H(X_t|X_s) + H(X_s|X_0) - H(X_t|X_0) <= H(X_s|X_t) <= H(X_t|X_s), Gaussian kernel [N4; Sohl-Dickstein 2015 eq. 24].

    Args:
        alpha_bar_t, alpha_bar_s: in (0, 1), abar_t < abar_s, shape () or (B,); second_moment: E|x_0|^2 of the data,
            shape () or (B,); num_dims: d.
    Returns:
        lower, upper in nats, float64, and upper_holds: whether E|x_0|^2 <= d.
    """
    step = entropy_cumulative_gaussian(1 - beta_between(alpha_bar_t, alpha_bar_s), num_dims)
    lower = step + entropy_cumulative_gaussian(alpha_bar_s, num_dims) - entropy_cumulative_gaussian(alpha_bar_t, num_dims)
    return EntropyBounds(*torch.broadcast_tensors(lower, step, as_float64(second_moment) <= num_dims))


@equation("N4.entropy_bounds_bits")
def entropy_bounds_bits(activity: Tensor, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient, *, rate: float = 0.5) -> EntropyBounds:
    """H(X_t|X_s) + H(X_s|X_0) - H(X_t|X_0) <= H(X_s|X_t) <= H(X_t|X_s), binomial kernel [N4; Sohl-Dickstein 2015 eq. 24].

    Both sides need no more of the data than how often each bit is 1, however the bits depend on one another.

    Args:
        activity: (B, n) probability of a 1 of each of the n bits of the data; alpha_bar_t < alpha_bar_s, shape () or (B,); rate as in `q_step_bits`.
    Returns:
        lower, upper (B,) in nats, and upper_holds: whether the cross-entropy to pi does not fall along the chain,
        sum (rate - activity) log((1 - rate) / rate) >= 0.
    """
    step = _mean_entropy(q_cumulative_bits(activity, alpha_bar_s, rate=rate), 1 - beta_between(alpha_bar_t, alpha_bar_s), rate)
    lower = step + _mean_entropy(activity, alpha_bar_s, rate) - _mean_entropy(activity, alpha_bar_t, rate)
    rise = (rate - activity).sum(dim=-1) * math.log((1 - rate) / rate)
    # A mean activity equal to the rate up to rounding counts as equal.
    slack = 8 * torch.finfo(activity.dtype).eps * activity.shape[-1]
    return EntropyBounds(lower, step, rise >= -slack)


def _mean_entropy(activity: Tensor, alpha_bar: Coefficient, rate: float) -> Tensor:
    """Entropy of bits noised down to `alpha_bar`, given what they were, averaged over bits that are 1 with probability `activity`: (B,)."""
    given_0, given_1 = (
        entropy_bernoulli(q_cumulative_bits(bit, alpha_bar, rate=rate)) for bit in (torch.zeros_like(activity), torch.ones_like(activity))
    )
    return ((1 - activity) * given_0 + activity * given_1).sum(dim=-1)


@equation("N4.reverse_entropy_gaussian")
def reverse_entropy_gaussian(variance_0: Coefficient, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient) -> Tensor:
    """H(X_s | X_t) = log(2 pi e beta_{t|s} V_s / V_t) / 2 for data N(0, variance_0), V = abar variance_0 + 1 - abar [N4; Sohl-Dickstein 2015 eq. 27].

    It exceeds the upper bound of eq. 24 by log(V_s / V_t) / 2, which is positive exactly where variance_0 > 1: there the bound breaks.

    Args:
        variance_0: of a coordinate, > 0; alpha_bar_t < alpha_bar_s; shapes () or (B,).
    Returns:
        float64 nats a coordinate.
    """
    variance_0, alpha_bar_t, alpha_bar_s = as_float64(variance_0), as_float64(alpha_bar_t), as_float64(alpha_bar_s)
    marginal_s, marginal_t = (alpha_bar * variance_0 + 1 - alpha_bar for alpha_bar in (alpha_bar_s, alpha_bar_t))
    return entropy(beta_between(alpha_bar_t, alpha_bar_s) * marginal_s / marginal_t)


@equation("N4.reverse_entropy_bits")
def reverse_entropy_bits(activity: Tensor, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient, *, rate: float = 0.5) -> Tensor:
    """H(X_s | X_t) = H(X_t|X_s) + H(X_s) - H(X_t) for independent bits [N4; Sohl-Dickstein 2015 eq. 27].

    It exceeds the upper bound of eq. 24 where H(X_s) > H(X_t): bits with activity between rate and 1 - rate lose entropy on their way to `rate`.

    Args:
        activity: (B, n) probability of a 1 of each bit; the rest as in `entropy_bounds_bits`.
    Returns:
        (B,) nats.
    """
    upper = entropy_bounds_bits(activity, alpha_bar_t, alpha_bar_s, rate=rate).upper
    marginal_s, marginal_t = (
        entropy_bernoulli(q_cumulative_bits(activity, alpha_bar, rate=rate)).sum(dim=-1) for alpha_bar in (alpha_bar_s, alpha_bar_t)
    )
    return upper + marginal_s - marginal_t
