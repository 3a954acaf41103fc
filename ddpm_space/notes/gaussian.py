"""The Gaussian (rows N2, N3): log-density and the divergence between two of them, element by element, in nats."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, cast
from ddpm_space.notes.entry import equation


@equation("N2.log_density")
def log_density(x: Tensor, mean: Tensor, variance: Coefficient) -> Tensor:
    """log N(x; mean, variance) = -((x - mean)^2 / variance + log(2 pi variance)) / 2 [N2].

    Args:
        x, mean: (B, ...); variance: > 0, shape () or (B,).
    Returns:
        (B, ...) nats, element by element; sum over a sample for its joint density.
    """
    variance = cast(variance, x)
    return -0.5 * ((x - mean) ** 2 / variance + torch.log(2 * math.pi * variance))


@equation("N2.kl_gaussian")
def kl_gaussian(mean_1: Tensor, variance_1: Coefficient, mean_2: Tensor, variance_2: Coefficient) -> Tensor:
    """KL(N(mean_1, variance_1) || N(mean_2, variance_2)) = (r - 1 - log r + (mean_1 - mean_2)^2 / variance_2) / 2, r = variance_1 / variance_2 [N2].

    Args:
        mean_1, mean_2: (B, ...); variance_1, variance_2: > 0, shape () or (B,).
    Returns:
        (B, ...) nats, element by element, in mean_1's dtype.
    """
    ratio = torch.as_tensor(variance_1, dtype=torch.float64, device="cpu") / torch.as_tensor(variance_2, dtype=torch.float64, device="cpu")
    # log1p keeps the difference of two nearly equal terms when the variances are close.
    spread = ratio - 1 - torch.log1p(ratio - 1)
    return 0.5 * (cast(spread, mean_1) + (mean_1 - mean_2) ** 2 / cast(variance_2, mean_1))
