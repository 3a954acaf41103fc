"""What the network is asked for, and how much each timestep counts."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.notes.reverse import velocity
from ddpm_space.notes.weights import min_snr_weight_eps, min_snr_weight_v, min_snr_weight_x_0

MIN_SNR_WEIGHTS = {"epsilon": min_snr_weight_eps, "sample": min_snr_weight_x_0, "v_prediction": min_snr_weight_v}


def target(prediction_type: str, x_0: Tensor, eps: Tensor, alpha_bar_t: Tensor) -> Tensor:
    """eps, x_0 or v, whichever the network predicts [N8; Ho 2020 eq. 14, Salimans 2022 section 4]; all (B, C, H, W)."""
    if prediction_type == "epsilon":
        return eps
    return x_0 if prediction_type == "sample" else velocity(x_0, eps, alpha_bar_t)


def loss_weight(prediction_type: str, snr_t: Tensor, min_snr_gamma: float | None) -> Tensor:
    """Weight of each timestep's squared error: 1, or min(SNR, gamma) in terms of x_0 [Hang 2023 section 3.4].

    The error of x_0 is that of eps divided by the SNR, and that of v divided by SNR + 1.

    Args:
        snr_t: (B,) float64; min_snr_gamma: None for the plain mean squared error, which is L_simple when eps is predicted [Ho 2020 eq. 14].
    Returns:
        (B,) float64.
    """
    if min_snr_gamma is None:
        return torch.ones_like(snr_t)
    return MIN_SNR_WEIGHTS[prediction_type](snr_t, min_snr_gamma)


def learning_rate_factor(progress: float, step: int, warmup_steps: int, kind: str) -> float:
    """Share of the highest learning rate: a linear rise over the first steps, times a fall from 1 to 0 as `progress` goes from 0 to 1."""
    rise = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    if kind == "constant":
        return rise
    fall = 1 - progress if kind == "linear" else 0.5 * (1 + float(torch.cos(torch.tensor(progress * torch.pi))))
    return rise * max(0.0, fall)
