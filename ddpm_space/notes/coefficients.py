"""How a coefficient meets a sample: formed in float64, cast once, broadcast over the leading batch dimension."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

Coefficient: TypeAlias = float | Tensor
"""A number, or a float64 tensor of shape () (one value for all samples) or (B,) (one value a sample)."""


def as_float64(coefficient: Coefficient) -> Tensor:
    """Return the coefficient as a float64 tensor on the CPU, where every coefficient is formed.

    Args:
        coefficient: a Python number, or a tensor of shape () or (B,) in any floating dtype on any device.
    Returns:
        float64 tensor of the same shape. float64 exists on every CPU, but not on every accelerator.
    """
    return torch.as_tensor(coefficient, dtype=torch.float64, device="cpu")


def cast(coefficient: Coefficient, like: Tensor) -> Tensor:
    """Cast a finished coefficient to the sample it multiplies: same dtype, same device, broadcast from the batch dimension.

    Args:
        coefficient: shape () or (B,), any float dtype.
        like: the sample, shape (B, ...).
    Returns:
        tensor of shape () or (B, 1, ..., 1) with `like`'s dtype and device.
    Raises:
        ValueError: a 1-D coefficient whose length is neither 1 nor the batch size of `like`, or more than one dimension.
    """
    # A plain number would become float32, and lose half of its digits before it meets a float64 sample.
    value = coefficient if isinstance(coefficient, Tensor) else as_float64(coefficient)
    if value.ndim == 1:
        if value.shape[0] not in (1, like.shape[0] if like.ndim else 1):
            raise ValueError(f"{value.shape[0]} coefficients do not fit a batch of {like.shape[0]}: pass one number, or one a sample")
        value = value.reshape(-1, *([1] * (like.ndim - 1)))
    elif value.ndim > 1:
        raise ValueError(f"a coefficient has shape () or (B,), not {tuple(value.shape)}")
    return value.to(device=like.device, dtype=like.dtype)


def as_precise(x: Tensor) -> Tensor:
    """Return the sample in float64, or in float32 on an accelerator that has no float64 (Apple's)."""
    return x.to(torch.float32 if x.device.type == "mps" else torch.float64)


def draw_eps(like: Tensor, eps: Tensor | None, generator: torch.Generator | None) -> Tensor:
    """Return `eps` as given, or standard normal noise of the shape, dtype and device of `like`.

    Raises:
        ValueError: `eps` and `generator` are both given (the noise would be ambiguous), or `eps` has another shape.
    """
    if eps is None:
        return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)
    if generator is not None:
        raise ValueError("pass either eps or generator, not both: eps already fixes the noise")
    if eps.shape != like.shape:
        raise ValueError(f"eps has shape {tuple(eps.shape)}, the sample {tuple(like.shape)}: they must be equal")
    return eps
