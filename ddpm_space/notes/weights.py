"""How much each timestep counts (row N8): the bound's weights on the errors of eps, x_0 and v, SNR forms, and min-SNR weights.

L_{t-1} = w_eps |eps - eps_theta|^2 = w_x_0 |x_0 - x_0_hat|^2 = w_v |v - v_theta|^2, plus what a variance other than beta_tilde costs by itself;
L_simple drops w_eps. Everything here is a coefficient: float64 in, float64 out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64
from ddpm_space.notes.entry import equation
from ddpm_space.notes.forward import beta_between
from ddpm_space.notes.reverse import posterior_coefficients


@equation("N8.snr")
def snr(alpha_bar_t: Coefficient) -> Tensor:
    """Signal-to-noise ratio abar_t / (1 - abar_t) of unit-variance data [N8; Kingma 2021 eq. 2].

    Args:
        alpha_bar_t: in [0, 1], any shape.
    Returns:
        float64 in [0, inf], the shape of alpha_bar_t.
    """
    alpha_bar = as_float64(alpha_bar_t)
    return alpha_bar / (1 - alpha_bar)


@equation("N8.alpha_bar_from_snr")
def alpha_bar_from_snr(snr_t: Coefficient) -> Tensor:
    """abar_t = SNR / (1 + SNR), the sigmoid of log SNR [N8; Kingma 2021 section 3.2]; snr_t in [0, inf), any shape; float64 in [0, 1)."""
    ratio = as_float64(snr_t)
    return ratio / (1 + ratio)


@equation("N8.eps_weight")
def eps_weight(sigma2_t: Coefficient, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient) -> Tensor:
    """Weight of |eps - eps_theta|^2 in L_{t-1}: beta_{t|s}^2 / (2 sigma_t^2 (1 - beta_{t|s}) (1 - abar_t)) [N8; Ho 2020 eq. 12].

    L_simple puts 1 in its place.

    Args:
        sigma2_t: variance of the reverse step, > 0; alpha_bar_t in (0, 1), alpha_bar_s in (0, 1], s < t; shape () or (B,).
    Returns:
        float64, the nats that a squared error of 1 costs.
    """
    beta_ts = beta_between(alpha_bar_t, alpha_bar_s)
    return beta_ts**2 / (2 * as_float64(sigma2_t) * (1 - beta_ts) * (1 - as_float64(alpha_bar_t)))


@equation("N8.x_0_weight")
def x_0_weight(sigma2_t: Coefficient, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient) -> Tensor:
    """Weight of |x_0 - x_0_hat|^2 in L_{t-1}: coef_x_0^2 / (2 sigma_t^2) [N8; from Ho 2020 eq. 7-8]; arguments as in `eps_weight`."""
    coef_x_0, _ = posterior_coefficients(alpha_bar_t, alpha_bar_s)
    return coef_x_0**2 / (2 * as_float64(sigma2_t))


@equation("N8.v_weight")
def v_weight(sigma2_t: Coefficient, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient) -> Tensor:
    """Weight of |v - v_theta|^2 in L_{t-1}: (1 - abar_t) coef_x_0^2 / (2 sigma_t^2) [N8; Salimans 2022 appendix D]; arguments as in `eps_weight`."""
    return (1 - as_float64(alpha_bar_t)) * x_0_weight(sigma2_t, alpha_bar_t, alpha_bar_s)


@equation("N8.snr_weight")
def snr_weight(snr_t: Coefficient, snr_s: Coefficient) -> Tensor:
    """Weight of |x_0 - x_0_hat|^2 in L_{t-1} when sigma_t^2 = beta_tilde: (SNR(s) - SNR(t)) / 2 [N8; Kingma 2021, discrete-time loss].

    Args:
        snr_t, snr_s: SNR at t and at the less noisy s, snr_t <= snr_s < inf, shape () or (B,).
    Returns:
        float64, nats a unit of squared error.
    """
    return (as_float64(snr_s) - as_float64(snr_t)) / 2


@equation("N8.continuous_bound")
def continuous_bound(log_snr: Tensor, eps_mse: Tensor) -> Tensor:
    """The sum of all L_{t-1} for infinitely many steps: half the integral of E|eps - eps_theta|^2 over -log SNR.

    [N8; Kingma 2021, continuous-time loss]

    No trace of the schedule is left but its two ends. The integral is taken by Simpson's rule on the given, evenly spaced log SNR.

    Args:
        log_snr: (n,) evenly spaced, in descending order, n odd and >= 3; eps_mse: (n, ...) the error summed over an image's elements at each of them.
    Returns:
        (...) nats.
    Raises:
        ValueError: n even or < 3, or log_snr not evenly spaced and descending.
    """
    points = as_float64(log_snr)
    n = points.numel()
    if n < 3 or n % 2 == 0:
        raise ValueError(f"{n} values of log SNR: Simpson's rule needs an odd number, at least 3")
    width = float(points[0] - points[-1]) / (n - 1)
    rounding = 4 * torch.finfo(log_snr.dtype).eps * float(points.abs().max())
    if not (width > 0 and float((points[:-1] - points[1:] - width).abs().max()) <= rounding):
        raise ValueError("log SNR must fall in equal steps, from little noise to much: use torch.linspace(high, low, n)")
    weight = torch.full((n,), 2.0, dtype=torch.float64)
    weight[1::2] = 4.0
    weight[0] = weight[-1] = 1.0
    return torch.tensordot((weight * width / 6).to(eps_mse), eps_mse, dims=1)


@equation("N8.min_snr_weight_eps")
def min_snr_weight_eps(snr_t: Coefficient, gamma: float) -> Tensor:
    """min-SNR weight on the error of eps: min(SNR, gamma) / SNR [N8; Hang 2023 section 3.4].

    Args:
        snr_t: in [0, inf], any shape; gamma: > 0, 5 in the paper.
    Returns:
        float64 in [0, 1]; 1 where the SNR is 0.
    """
    return (gamma / as_float64(snr_t)).clamp(max=1)


@equation("N8.min_snr_weight_x_0")
def min_snr_weight_x_0(snr_t: Coefficient, gamma: float) -> Tensor:
    """min-SNR weight on the error of x_0: min(SNR, gamma) [N8; Hang 2023 section 3.4]; arguments as in `min_snr_weight_eps`, in [0, gamma]."""
    return as_float64(snr_t).clamp(max=gamma)


@equation("N8.min_snr_weight_v")
def min_snr_weight_v(snr_t: Coefficient, gamma: float) -> Tensor:
    """min-SNR weight on the error of v: min(SNR, gamma) / (SNR + 1) [N8; Hang 2023 section 3.4]; arguments as in `min_snr_weight_eps`."""
    return min_snr_weight_x_0(snr_t, gamma) / (as_float64(snr_t) + 1)
