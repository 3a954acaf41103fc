"""How a variance meets a sample: a coefficient as any other, or one value an element (a diagonal covariance); positive, where looking is cheap."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64, cast


def together(like: Tensor, *values: Coefficient) -> list[Tensor]:
    """Bring the coefficients of one formula to one place, where they can be combined.

    Numbers and CPU tensors of shape () or (B,) become float64 on the CPU. As soon as one varies element by element, or already lives on an
    accelerator, all come to the sample's device (in float32 or wider): nothing is copied back, and no device waits.

    Args:
        like: the sample, (B, ...); values: each (), (B,), or of `like`'s rank and broadcastable to it.
    Returns:
        one tensor a value.
    Raises:
        ValueError: a shape that fits neither.
    """
    tensors = [value if isinstance(value, Tensor) else as_float64(value) for value in values]
    if all(tensor.ndim <= 1 and tensor.device.type == "cpu" for tensor in tensors):
        return [as_float64(tensor) for tensor in tensors]
    wide = torch.promote_types(like.dtype, torch.float32)
    for tensor in tensors:
        if tensor.device == like.device and tensor.ndim > 0:
            wide = torch.promote_types(wide, tensor.dtype)
    return [fit(tensor, like, wide) for tensor in tensors]


def fit(value: Tensor, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Cast a finished coefficient, or one value an element, to the sample it multiplies.

    Args:
        value: (), (B,), or of `like`'s rank; like: (B, ...); dtype: `like`'s when None.
    Returns:
        a tensor on `like`'s device that broadcasts against it.
    Raises:
        ValueError: a shape that does not fit.
    """
    dtype = dtype or like.dtype
    if value.ndim <= 1:
        return cast(value, like.new_empty((), dtype=dtype).expand(like.shape))
    if value.ndim != like.ndim or any(mine not in (1, other) for mine, other in zip(value.shape, like.shape)):
        raise ValueError(
            f"a variance of shape {tuple(value.shape)} does not fit a sample of shape {tuple(like.shape)}: pass one number, one a sample "
            "(shape (B,)), or one an element"
        )
    return value.to(device=like.device, dtype=dtype)


def check_positive(**variances: Coefficient) -> None:
    """Refuse a variance (or a sigma) that is not > 0. One that lives on an accelerator is not looked at: that would make the host wait for it.

    Raises:
        ValueError: the first such variance, by name and value.
    """
    for name, value in variances.items():
        if isinstance(value, Tensor):
            if value.device.type != "cpu" or bool((value > 0).all()):
                continue
            wrong = value[~(value > 0)].reshape(-1)[0].item()
        elif value > 0:
            continue
        else:
            wrong = value
        raise ValueError(f"{name} = {wrong:g} is not positive: a Gaussian has sigma^2 > 0 and sigma > 0 (with 0 it is a point and has no density)")


def check_shapes(**tensors: Tensor | float) -> None:
    """Refuse tensors that do not broadcast against each other.

    Raises:
        ValueError: names and shapes.
    """
    shapes = {name: tuple(value.shape) for name, value in tensors.items() if isinstance(value, Tensor)}
    if len(set(shapes.values())) <= 1:
        return
    try:
        torch.broadcast_shapes(*shapes.values())
    except RuntimeError:
        words = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"shapes do not fit together: {words}; give all the same shape") from None
