"""Binomial diffusion of Sohl-Dickstein et al. 2015 (row N4): the kernel that flips bits, its jump, its posterior, entropy and KL of single bits.

A bit is a floating-point 0 or 1. A law of bits is the probability of a 1, element by element: that one tensor is what a bare name returns.
What a chain keeps of a bit after several steps is alpha_bar = the product of (1 - beta), without the Gaussian kernel's square root.
The Gaussian kernel of the same paper is `q_step` and `q_cumulative` in `forward.py`, its posterior `q_posterior` in `reverse.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64, cast
from ddpm_space.notes.entry import equation
from ddpm_space.notes.forward import beta_between
from ddpm_space.notes.gaussian import excess


def checked_bits(x: Tensor, rate: float) -> Tensor:
    """Return `x`, having made sure that coefficients below 1 survive the cast to its dtype.

    Raises:
        ValueError: bits of an integer type, or a stationary rate outside (0, 1).
    """
    if not x.is_floating_point():
        raise ValueError(f"bits of dtype {x.dtype} would round every probability to 0 or 1: pass x.float() or x.double()")
    if not 0 < rate < 1:
        raise ValueError(f"rate = {rate}: the stationary probability of a 1 lies strictly between 0 and 1")
    return x


@equation("N4.beta_erase")
def beta_erase(num_steps: int) -> Tensor:
    """beta_t = 1 / (T - t + 1), t = 1..T: every step erases the same share 1/T of the signal [N4; Sohl-Dickstein 2015 section 2.4.1].

    Args:
        num_steps: T >= 1.
    Returns:
        float64 (T,), from 1/T up to 1 at the last step, after which nothing of the data is left.
    Raises:
        ValueError: T < 1, or not a whole number.
    """
    if not float(num_steps).is_integer():
        raise ValueError(f"num_steps = {num_steps}: a chain has a whole number of steps, pass an int")
    if num_steps < 1:
        raise ValueError(f"num_steps = {num_steps}: a chain has at least one step")
    return 1 / torch.arange(num_steps, 0, -1, dtype=torch.float64)


@equation("N4.q_step_bits")
def q_step_bits(x_prev: Tensor, beta_t: Coefficient, *, rate: float = 0.5) -> Tensor:
    """q(x_t = 1 | x_{t-1}) = x_{t-1} (1 - beta_t) + rate beta_t: keep the bit, or draw it anew [N4; Sohl-Dickstein 2015 table App.1].

    Args:
        x_prev: (B, ...) bits, or probabilities of a 1; beta_t: in [0, 1], shape () or (B,).
        rate: stationary probability of a 1; the table has 0.5, the heartbeat of its appendix D.1.2 has 0.2.
    Returns:
        (B, ...) probability of a 1.
    Raises:
        ValueError: bits of an integer type, or a rate outside (0, 1).
    """
    beta = as_float64(beta_t)
    return cast(1 - beta, checked_bits(x_prev, rate)) * x_prev + cast(rate * beta, x_prev)


@equation("N4.q_cumulative_bits")
def q_cumulative_bits(x_0: Tensor, alpha_bar_t: Coefficient, *, rate: float = 0.5) -> Tensor:
    """q(x_t = 1 | x_0) = abar_t x_0 + rate (1 - abar_t), abar_t = prod (1 - beta_s) [N4; composed from Sohl-Dickstein 2015 table App.1].

    Args:
        x_0: (B, ...) bits, or probabilities of a 1; alpha_bar_t: in [0, 1], shape () or (B,); rate as in `q_step_bits`.
    Returns:
        (B, ...) probability of a 1.
    Raises:
        ValueError: as in `q_step_bits`.
    """
    alpha_bar = as_float64(alpha_bar_t)
    return cast(alpha_bar, checked_bits(x_0, rate)) * x_0 + cast(rate * (1 - alpha_bar), x_0)


def draw_bits(probability: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Draw each bit: 1 with the given probability [N4].

    Args:
        probability: (B, ...) in [0, 1].
    Returns:
        (B, ...) of 0 and 1 in the same dtype.
    """
    return torch.bernoulli(probability, generator=generator)


@equation("N4.q_posterior_bits")
def q_posterior_bits(x_0: Tensor, x_t: Tensor, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient, *, rate: float = 0.5) -> Tensor:
    """q(x_s = 1 | x_t, x_0) = q(x_t | 1) q(1 | x_0) / sum over x_s of the same, s < t [N4; Bayes from Sohl-Dickstein 2015 table App.1].

    The four values it can take are formed in float64 and picked by (x_0, x_t), so that a step with beta = 1/2000 keeps its digits in float32.

    Args:
        x_0, x_t: (B, ...) bits; alpha_bar_t, alpha_bar_s: as in `q_cumulative_bits`, abar_t < abar_s, shape () or (B,); rate as in `q_step_bits`.
    Returns:
        (B, ...) probability of a 1, in x_t's dtype.
    Raises:
        ValueError: as in `q_step_bits`.
    """
    checked_bits(x_0, rate)
    low_low, low_high, high_low, high_high = (cast(value, checked_bits(x_t, rate)) for value in _posterior_values(alpha_bar_t, alpha_bar_s, rate))
    given_low = low_low + (low_high - low_low) * x_t
    given_high = high_low + (high_high - high_low) * x_t
    return given_low + (given_high - given_low) * x_0


def _posterior_values(alpha_bar_t: Coefficient, alpha_bar_s: Coefficient, rate: float) -> list[Tensor]:
    """The posterior of a bit for (x_0, x_t) = (0, 0), (0, 1), (1, 0), (1, 1)."""
    beta, alpha_bar = beta_between(alpha_bar_t, alpha_bar_s), as_float64(alpha_bar_s)
    # For each x_t: its probability when x_s is 1, and when x_s is 0; no 1 - p of a p close to 1.
    likelihoods = ((beta * (1 - rate), 1 - beta * rate), (1 - beta * (1 - rate), beta * rate))
    # For each x_0: the probability that x_s is 1, and that it is 0.
    priors = ((rate * (1 - alpha_bar), 1 - rate * (1 - alpha_bar)), (1 - (1 - rate) * (1 - alpha_bar), (1 - rate) * (1 - alpha_bar)))
    return [one * high / (one * high + zero * low) for high, low in priors for one, zero in likelihoods]


@equation("N4.p_reverse_bits")
def p_reverse_bits(x_0_hat: Tensor, x_t: Tensor, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient, *, rate: float = 0.5) -> Tensor:
    """p(x_s = 1 | x_t) = (1 - x_0_hat) q(x_s = 1 | x_t, 0) + x_0_hat q(x_s = 1 | x_t, 1) [N4; f_b of Sohl-Dickstein 2015 table App.1].

    With x_0_hat = P(x_0 = 1 | x_t) it is the true chance of a 1 in x_s. The paper's network gives that rate f_b itself.

    Args:
        x_0_hat: (B, ...) predicted probability that the clean bit is 1; x_t: (B, ...) bits; the rest as in `q_posterior_bits`.
    Returns:
        (B, ...) probability of a 1, in x_t's dtype.
    Raises:
        ValueError: as in `q_step_bits`.
    """
    given_low = q_posterior_bits(torch.zeros_like(x_t), x_t, alpha_bar_t, alpha_bar_s, rate=rate)
    given_high = q_posterior_bits(torch.ones_like(x_t), x_t, alpha_bar_t, alpha_bar_s, rate=rate)
    return (1 - x_0_hat) * given_low + x_0_hat * given_high


@equation("N4.entropy_bernoulli")
def entropy_bernoulli(probability: Tensor) -> Tensor:
    """h(p) = -p log p - (1 - p) log(1 - p), with 0 log 0 = 0 [N4; Shannon 1948].

    Args:
        probability: (B, ...) in [0, 1].
    Returns:
        (B, ...) nats, element by element, at most log 2.
    """
    return -torch.special.xlogy(probability, probability) - torch.special.xlog1py(1 - probability, -probability)


@equation("N4.kl_bernoulli")
def kl_bernoulli(probability_1: Tensor, probability_2: Tensor) -> Tensor:
    """KL(B(p_1) || B(p_2)) = p_1 log(p_1 / p_2) + (1 - p_1) log((1 - p_1) / (1 - p_2)) [N4; Kullback, Leibler 1951].

    Formed as p_1 e(p_2 / p_1) + (1 - p_1) e((1 - p_2) / (1 - p_1)), e(r) = r - 1 - log r >= 0: what that adds to the two logarithms is 0 in all,
    and close laws keep their digits.

    Args:
        probability_1, probability_2: (B, ...) in [0, 1].
    Returns:
        (B, ...) nats >= 0, element by element; infinite where the second law forbids what the first allows.
    """
    return _outcome(probability_1, probability_2) + _outcome(1 - probability_1, 1 - probability_2)


def _outcome(true: Tensor, model: Tensor) -> Tensor:
    """true e(model / true) = model - true - true log(model / true) of one outcome; `model` itself where `true` is 0."""
    possible = true > 0
    one = torch.ones((), dtype=true.dtype, device=true.device)
    return torch.where(possible, true * excess(torch.where(possible, model, one), torch.where(possible, true, one)), model)
