"""Noising: one step (row N5), any number of steps at once (row N6), and the transition between any two times s < t.

A bare name returns (mean, variance); `_sample` draws. Coefficients are plain numbers or float64 tensors of shape () or (B,).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64, cast, draw_eps
from ddpm_space.notes.entry import equation


@equation("N5.q_step")
def q_step(x_prev: Tensor, beta_t: Coefficient) -> tuple[Tensor, Tensor]:
    """q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t I) [N5; Ho 2020 eq. 2].

    Args:
        x_prev: (B, ...) the less noisy sample x_{t-1}.
        beta_t: variance of the step, in (0, 1], shape () or (B,).
    Returns:
        mean (B, ...) in x_prev's dtype, variance float64 in beta_t's shape.
    """
    beta = as_float64(beta_t)
    return cast((1 - beta).sqrt(), x_prev) * x_prev, beta


def q_step_sample(x_prev: Tensor, beta_t: Coefficient, *, eps: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
    """Draw x_t ~ q(x_t | x_{t-1}) as mean + sqrt(variance) eps [N3, N5]; shapes as in `q_step`, eps (B, ...)."""
    mean, variance = q_step(x_prev, beta_t)
    return mean + cast(variance.sqrt(), x_prev) * draw_eps(x_prev, eps, generator)


@equation("N6.beta_between")
def beta_between(alpha_bar_t: Coefficient, alpha_bar_s: Coefficient) -> Tensor:
    """Variance of the jump from s to t: beta_{t|s} = 1 - abar_t / abar_s [N6; Kingma 2021 eq. 23, variance preserving].

    Args:
        alpha_bar_t, alpha_bar_s: in [0, 1], abar_t <= abar_s, s < t; shape () or (B,). s = -1 (clean data) has abar_s = 1.
    Returns:
        float64 in [0, 1].
    """
    return 1 - as_float64(alpha_bar_t) / as_float64(alpha_bar_s)


@equation("N6.q_between")
def q_between(x_s: Tensor, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient) -> tuple[Tensor, Tensor]:
    """q(x_t | x_s) = N(sqrt(abar_t / abar_s) x_s, (1 - abar_t / abar_s) I) for any s < t [N6; Kingma 2021 eq. 20-23].

    Args:
        x_s: (B, ...); alpha_bar_t, alpha_bar_s as in `beta_between`.
    Returns:
        mean (B, ...), variance float64.
    """
    return q_step(x_s, beta_between(alpha_bar_t, alpha_bar_s))


def q_between_sample(
    x_s: Tensor, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient, *, eps: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Draw x_t ~ q(x_t | x_s); shapes as in `q_between`."""
    return q_step_sample(x_s, beta_between(alpha_bar_t, alpha_bar_s), eps=eps, generator=generator)


@equation("N6.q_cumulative")
def q_cumulative(x_0: Tensor, alpha_bar_t: Coefficient) -> tuple[Tensor, Tensor]:
    """q(x_t | x_0) = N(sqrt(abar_t) x_0, (1 - abar_t) I) [N6; Ho 2020 eq. 4].

    Args:
        x_0: (B, ...) clean data.
        alpha_bar_t: in [0, 1], shape () or (B,).
    Returns:
        mean (B, ...) in x_0's dtype, variance float64 in alpha_bar_t's shape.
    """
    alpha_bar = as_float64(alpha_bar_t)
    return cast(alpha_bar.sqrt(), x_0) * x_0, 1 - alpha_bar


@equation("N3.q_cumulative_sample")
def q_cumulative_sample(x_0: Tensor, alpha_bar_t: Coefficient, *, eps: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
    """Draw x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps [N3, N6]; shapes as in `q_cumulative`, eps (B, ...)."""
    mean, variance = q_cumulative(x_0, alpha_bar_t)
    return mean + cast(variance.sqrt(), x_0) * draw_eps(x_0, eps, generator)
