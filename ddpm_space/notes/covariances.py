"""Covariance matrices as the formulas for Gaussian vectors use them: float64 on the CPU, checked at the edge, met through Cholesky factors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import as_float64

ASYMMETRY_LIMIT = 1e-5
"""Of a matrix's largest entry: float32 products A A^T stay well below, a mistaken matrix does not."""


def symmetric(covariance: Tensor, name: str, *vectors: Tensor) -> Tensor:
    """Return the covariance in float64 on the CPU, symmetric to the last bit.

    Args:
        covariance: (..., D, D); vectors: what it must fit, each (..., D).
    Raises:
        ValueError: not square, not symmetric, not finite, or another D than a vector's.
    """
    value = as_float64(covariance)
    if value.ndim < 2 or value.shape[-1] != value.shape[-2]:
        raise ValueError(f"{name} has shape {tuple(value.shape)}, not (..., D, D): for independent coordinates pass torch.diag(variances)")
    for vector in vectors:
        if vector.ndim == 0 or vector.shape[-1] != value.shape[-1]:
            raise ValueError(f"{name} of shape {tuple(value.shape)} does not fit a vector of shape {tuple(vector.shape)}: both end in D")
    if value.shape[-1] == 0:
        raise ValueError(f"{name} has shape {tuple(value.shape)}: a vector needs one coordinate or more")
    if not bool(value.isfinite().all()):
        wrong = value[~value.isfinite()][0].item()
        raise ValueError(f"{name} has an entry {wrong:g}: variances and covariances are finite, look at what they were computed from")
    # Of each matrix by itself: a large one in the batch must not excuse a small one.
    largest, off = value.abs().amax((-2, -1)), (value - value.mT).abs().amax((-2, -1))
    asymmetric = off > ASYMMETRY_LIMIT * largest
    if bool(asymmetric.any()):
        raise ValueError(
            f"{name} is not symmetric: entries differ from their mirror images by {off[asymmetric].amax().item():g}; use (S + S.mT) / 2 if that is "
            "rounding"
        )
    return 0.5 * (value + value.mT)


def cholesky(covariance: Tensor, name: str, *vectors: Tensor) -> Tensor:
    """Return the lower triangular L with L L^T = covariance, float64 (..., D, D).

    Raises:
        ValueError: as in `symmetric`, or not positive definite, with the smallest eigenvalue.
    """
    value = symmetric(covariance, name, *vectors)
    factor, failed = torch.linalg.cholesky_ex(value)
    if bool(failed.any()):
        smallest = torch.linalg.eigvalsh(value).amin().item()
        raise ValueError(
            f"{name} is not positive definite: its smallest eigenvalue is {smallest:g}; every combination of coordinates needs a variance > 0"
        )
    return factor


def log_determinant(factor: Tensor) -> Tensor:
    """log det of L L^T, (...), from the diagonal of the factor L (..., D, D)."""
    return 2 * torch.log(factor.diagonal(dim1=-2, dim2=-1)).sum(-1)


def whitened(matrix: Tensor, factor: Tensor, *, transposed: bool = False) -> Tensor:
    """L^{-1} matrix, or L^{-T} matrix, by substitution; matrix (..., D, K), factor L (..., D, D), both float64."""
    if transposed:
        return torch.linalg.solve_triangular(factor.mT, matrix, upper=True)
    return torch.linalg.solve_triangular(factor, matrix, upper=False)


def apply(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Multiply vectors (..., D) by a finished float64 matrix (..., E, D), cast to their dtype and device: (..., E)."""
    return (matrix.to(vectors) @ vectors[..., None])[..., 0]


def part(indices: Sequence[int], dims: int, name: str) -> list[int]:
    """Return the indices of coordinates as a list.

    Raises:
        ValueError: none, one outside 0..dims-1, or one twice.
    """
    chosen = [int(i) for i in indices]
    if not chosen or len(set(chosen)) != len(chosen) or not all(0 <= i < dims for i in chosen):
        raise ValueError(f"{name} = {chosen} is not a set of coordinates of {dims}: give one or more different indices in 0..{dims - 1}")
    return chosen
