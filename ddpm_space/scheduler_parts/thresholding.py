"""Dynamic thresholding, the one part of diffusers' `step` that is not in the notes."""

from __future__ import annotations

import torch
from torch import Tensor


def dynamic_threshold(x_0_hat: Tensor, ratio: float, max_value: float) -> Tensor:
    """Clip each image at its own quantile of |x_0_hat| and divide by it, so that saturated pixels move inwards [Saharia 2022 section 2.3].

    Args:
        x_0_hat: (B, ...); ratio: which quantile, in [0, 1]; max_value: upper bound on the divisor, whose lower bound is 1.
    Returns:
        (B, ...) in [-1, 1] and in x_0_hat's dtype.
    """
    # There is no quantile in half precision.
    flat = x_0_hat.flatten(1).to(torch.promote_types(x_0_hat.dtype, torch.float32))
    bound = torch.quantile(flat.abs(), ratio, dim=1, keepdim=True).clamp(min=1, max=max_value)
    return (flat.clamp(-bound, bound) / bound).reshape(x_0_hat.shape).to(x_0_hat.dtype)
