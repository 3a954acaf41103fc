"""Gaussian vectors with a full covariance (rows N2, N3): density, entropy, KL, products, marginals, conditioning, affine maps, sums.

Means and samples are (..., D), covariances (..., D, D); leading dimensions broadcast. What depends on covariances alone is formed in float64
on the CPU, by Cholesky factors and never by inverting a covariance, and cast once to the sample's dtype and device. A bare name returns
(mean, covariance), the covariance in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import as_float64, draw_eps
from ddpm_space.notes.covariances import apply, cholesky, log_determinant, part, symmetric, whitened
from ddpm_space.notes.entry import equation
from ddpm_space.notes.gaussian import excess
from ddpm_space.notes.variances import check_shapes


@equation("N2.log_density_full")
def log_density_full(x: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """log N(x; mean, S) = -((x - mean)^T S^{-1} (x - mean) + log det S + D log 2 pi) / 2 [N2; Bishop 2006 eq. B.37].

    Args:
        x, mean: (..., D); covariance: (..., D, D), symmetric and positive definite.
    Returns:
        (...) nats in x's dtype, one for a vector.
    Raises:
        ValueError: a covariance that is not one, shapes that do not fit.
    """
    factor = cholesky(covariance, "covariance", x, mean)
    constant = log_determinant(factor) + factor.shape[-1] * math.log(2 * math.pi)
    z = apply(whitened(torch.eye(factor.shape[-1], dtype=torch.float64), factor), x - mean)
    return -0.5 * ((z**2).sum(-1) + constant.to(x))


@equation("N2.entropy_full")
def entropy_full(covariance: Tensor) -> Tensor:
    """H = (log det S + D log(2 pi e)) / 2 [N2; Bishop 2006 eq. B.41].

    Args:
        covariance: (..., D, D), symmetric and positive definite.
    Returns:
        (...) float64 nats.
    Raises:
        ValueError: a covariance that is not one.
    """
    factor = cholesky(covariance, "covariance")
    return 0.5 * (log_determinant(factor) + factor.shape[-1] * math.log(2 * math.pi * math.e))


@equation("N2.kl_full")
def kl_full(mean_1: Tensor, covariance_1: Tensor, mean_2: Tensor, covariance_2: Tensor) -> Tensor:
    """KL(N_1 || N_2) = (tr S_2^{-1} S_1 - D - log det S_1 / det S_2 + d^T S_2^{-1} d) / 2, d = mean_1 - mean_2 [N2; Kullback, Leibler 1951].

    With L_i L_i^T = S_i and M = L_2^{-1} L_1, the trace is |M|^2 and the determinants are those of the diagonals: the terms that cancel for
    close Gaussians are taken together.

    Args:
        mean_1, mean_2: (..., D); covariance_1, covariance_2: (..., D, D), symmetric and positive definite.
    Returns:
        (...) nats, >= 0, in mean_1's dtype and on its device.
    Raises:
        ValueError: a covariance that is not one, shapes that do not fit.
    """
    factor_1 = cholesky(covariance_1, "covariance_1", mean_1, mean_2)
    factor_2 = cholesky(covariance_2, "covariance_2", mean_1, mean_2)
    diagonals = excess(factor_1.diagonal(dim1=-2, dim2=-1) ** 2, factor_2.diagonal(dim1=-2, dim2=-1) ** 2).sum(-1)
    outside = (whitened(factor_1, factor_2).tril(-1) ** 2).sum((-2, -1))
    z = whitened((as_float64(mean_1) - as_float64(mean_2))[..., None], factor_2)
    return (0.5 * (diagonals + outside + (z**2).sum((-2, -1)))).to(mean_1)


@equation("N2.product_full")
def product_full(mean_1: Tensor, covariance_1: Tensor, mean_2: Tensor, covariance_2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """N(x; mean_1, S_1) N(x; mean_2, S_2) = c N(x; mean, S), S = (S_1^{-1} + S_2^{-1})^{-1} [N2; Deisenroth 2020 eq. 6.74-6.77].

    Args:
        mean_1, mean_2: (..., D); covariance_1, covariance_2: (..., D, D), symmetric and positive definite.
    Returns:
        mean (..., D), covariance (..., D, D) float64, log c = log N(mean_1; mean_2, S_1 + S_2) (...) nats.
    Raises:
        ValueError: a covariance that is not one, shapes that do not fit.
    """
    cholesky(covariance_1, "covariance_1", mean_1, mean_2)
    cholesky(covariance_2, "covariance_2", mean_1, mean_2)
    covariance_1, covariance_2 = symmetric(covariance_1, "covariance_1"), symmetric(covariance_2, "covariance_2")
    factor = cholesky(covariance_1 + covariance_2, "covariance_1 + covariance_2")
    half_1, half_2 = whitened(covariance_1, factor), whitened(covariance_2, factor)
    # S_1 (S_1 + S_2)^{-1} S_2: a product, where S_1 - S_1 (S_1 + S_2)^{-1} S_1 would cancel for a narrow second factor.
    covariance = half_1.mT @ half_2
    gain = half_1.mT @ whitened(torch.eye(factor.shape[-1], dtype=torch.float64), factor)
    mean = mean_1 + apply(gain, mean_2 - mean_1)
    return mean, 0.5 * (covariance + covariance.mT), log_density_full(mean_1, mean_2, covariance_1 + covariance_2)


@equation("N2.marginal")
def marginal(mean: Tensor, covariance: Tensor, kept: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Law of some coordinates, the others integrated out: N(mean_a, S_aa) [N2; Bishop 2006 eq. 2.98].

    Args:
        mean: (..., D); covariance: (..., D, D), symmetric; kept: K of the indices 0..D-1, in any order.
    Returns:
        mean (..., K), covariance (..., K, K) float64.
    Raises:
        ValueError: an asymmetric covariance, indices that do not exist or repeat.
    """
    covariance = symmetric(covariance, "covariance", mean)
    chosen = part(kept, covariance.shape[-1], "kept")
    return mean[..., chosen], covariance[..., chosen, :][..., chosen]


@equation("N2.condition")
def condition(mean: Tensor, covariance: Tensor, observed: Sequence[int], values: Tensor) -> tuple[Tensor, Tensor]:
    """Law of the other coordinates a when x_b is known [N2; Bishop 2006 eq. 2.81-2.82].

    Mean mean_a + S_ab S_bb^{-1} (x_b - mean_b), covariance S_aa - S_ab S_bb^{-1} S_ba.

    Args:
        mean: (..., D); covariance: (..., D, D), symmetric and positive definite; observed: the K < D indices b.
        values: (..., K), x_b in the order of `observed`.
    Returns:
        mean (..., D - K) of the others in ascending order, covariance (..., D - K, D - K) float64, the same for every x_b.
    Raises:
        ValueError: a covariance that is not one, indices that do not exist, repeat or leave nothing, shapes that do not fit.
    """
    cholesky(covariance, "covariance", mean)
    covariance = symmetric(covariance, "covariance")
    dims = covariance.shape[-1]
    known = part(observed, dims, "observed")
    others = [i for i in range(dims) if i not in known]
    if not others:
        raise ValueError(f"observed = {list(observed)} leaves no coordinate of {dims}: observe fewer, or use the density")
    if values.shape[-1] != len(known):
        raise ValueError(f"{values.shape[-1]} values for {len(known)} observed coordinates: give one for each")
    factor = torch.linalg.cholesky(covariance[..., known, :][..., known])
    cross = whitened(covariance[..., known, :][..., others], factor)
    gain = whitened(cross, factor, transposed=True).mT
    conditional = covariance[..., others, :][..., others] - cross.mT @ cross
    return mean[..., others] + apply(gain, values - mean[..., known]), conditional


@equation("N3.affine_full")
def affine_full(mean: Tensor, covariance: Tensor, matrix: Tensor, offset: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
    """A X + b ~ N(A mean + b, A S A^T) for X ~ N(mean, S) [N3; Bishop 2006 eq. 2.109-2.110].

    Args:
        mean: (..., D); covariance: (..., D, D), symmetric; matrix: A, (..., E, D); offset: b, (..., E) or a number.
    Returns:
        mean (..., E) in mean's dtype, covariance (..., E, E) float64: singular when A loses rank, and then without a density.
    Raises:
        ValueError: an asymmetric covariance, shapes that do not fit.
    """
    covariance = symmetric(covariance, "covariance", mean)
    matrix_64 = as_float64(matrix)
    if matrix_64.ndim < 2 or matrix_64.shape[-1] != covariance.shape[-1]:
        raise ValueError(f"matrix of shape {tuple(matrix.shape)} does not multiply vectors of {covariance.shape[-1]}: its last size must be that")
    image = matrix_64 @ covariance @ matrix_64.mT
    return apply(matrix_64, mean) + offset, 0.5 * (image + image.mT)


@equation("N3.linear_combination_full")
def linear_combination_full(
    mean_1: Tensor, covariance_1: Tensor, mean_2: Tensor, covariance_2: Tensor, a: float = 1.0, b: float = 1.0
) -> tuple[Tensor, Tensor]:
    """a X + b Y ~ N(a mean_1 + b mean_2, a^2 S_1 + b^2 S_2), X and Y independent [N3; Deisenroth 2020 eq. 6.79].

    Args:
        mean_1, mean_2: (..., D); covariance_1, covariance_2: (..., D, D), symmetric; a, b: numbers (for matrices, `affine_full` first).
    Returns:
        mean (..., D) in mean_1's dtype, covariance (..., D, D) float64.
    Raises:
        ValueError: an asymmetric covariance, shapes that do not fit.
    """
    covariance_1, covariance_2 = symmetric(covariance_1, "covariance_1", mean_1), symmetric(covariance_2, "covariance_2", mean_1, mean_2)
    return a * mean_1 + b * mean_2, a**2 * covariance_1 + b**2 * covariance_2


@equation("N3.reparameterize_full")
def reparameterize_full(mean: Tensor, covariance: Tensor, *, eps: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
    """Draw x = mean + L eps, L L^T = covariance, eps ~ N(0, I): the reparameterization of a correlated vector [N3; Kingma, Welling 2014].

    Args:
        mean: (..., D); covariance: (..., D, D), symmetric and positive definite; eps: of the draws' shape, drawn when None; generator: what
            draws it.
    Returns:
        one independent draw for each mean and each covariance: (..., D) of the broadcast leading dimensions, in mean's dtype, differentiable in
        mean and covariance.
    Raises:
        ValueError: a covariance that is not one, shapes that do not fit, both eps and generator.
    """
    factor = cholesky(covariance, "covariance", mean)
    check_shapes(mean=mean, **{"rows of covariance": factor[..., 0]})
    mean = mean.expand(torch.broadcast_shapes(mean.shape, factor.shape[:-1]))
    return mean + apply(factor, draw_eps(mean, eps, generator))
