"""Gaussian data and mixtures of Gaussians, each component isotropic, along the axes, or with a full covariance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.exact.distribution import Components, ExactDistribution, normalized


class GaussianMixture(ExactDistribution):
    """x_0 ~ sum_k w_k N(mean_k, covariance_k); then x_t and x_0 given x_t are mixtures of as many Gaussians [N2, N6].

    Args:
        weights: (K,) >= 0, scaled to sum 1.
        means: (K, *shape).
        variances: (K,) isotropic, (K, *shape) along the axes, or (K, D, D) full covariances, D the number of elements of one x_0; positive.
    Raises:
        ValueError: shapes that do not fit, or a covariance that is not symmetric and positive definite (use a `PointSet` for points).
    """

    def __init__(self, weights: Tensor, means: Tensor, variances: Tensor) -> None:
        means = torch.as_tensor(means, dtype=torch.float64, device="cpu")
        if means.ndim < 2 or means.numel() == 0:
            raise ValueError(f"means have shape {tuple(means.shape)}: use (K, *shape), such as (3, 1) for three components on a line")
        super().__init__(tuple(means.shape[1:]))
        count, dims = means.shape[0], self.num_dims
        self._means = means.reshape(count, dims)
        self._weights = normalized(weights, count)
        self._axes, self._spread = _principal(torch.as_tensor(variances, dtype=torch.float64, device="cpu"), count, self.shape)

    def components(self) -> Components:
        variances = self._spread if self._axes is None else torch.einsum("kde,ke->kd", self._axes**2, self._spread)
        return Components(self._weights, self._means, variances)

    def _sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        device = generator.device if generator is not None else torch.device("cpu")
        chosen = torch.multinomial(self._on("_weights", device), n, replacement=True, generator=generator)
        noise = torch.randn(n, self.num_dims, generator=generator, dtype=torch.float64, device=device) * self._on("_spread", device)[chosen].sqrt()
        if self._axes is not None:
            axes = self._on("_axes", device)
            for k in range(len(axes)):
                noise[chosen == k] = noise[chosen == k] @ axes[k].T
        return self._on("_means", device)[chosen] + noise

    def _elements_per_row(self) -> int:
        return 4 * self._means.numel()

    def _along_axes(self, x: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """x minus each component's mean, along that component's principal axes, and the variances there: both (B, K, D)."""
        offset = x[:, None] - a.sqrt()[..., None] * self._on("_means", x.device)
        if self._axes is not None:
            offset = torch.einsum("bkd,kde->bke", offset, self._on("_axes", x.device))
        return offset, a[..., None] * self._on("_spread", x.device) + (1 - a)[..., None]

    def _back(self, along: Tensor) -> Tensor:
        return along if self._axes is None else torch.einsum("bke,kde->bkd", along, self._on("_axes", along.device))

    def _joint(self, offset: Tensor, spread: Tensor) -> Tensor:
        """log of w_k N(x; component k of q_t): (B, K)."""
        exponent = (offset**2 / spread + torch.log(2 * math.pi * spread)).sum(dim=-1)
        return self._on("_weights", offset.device).log() - 0.5 * exponent

    def _log_density(self, x: Tensor, a: Tensor) -> Tensor:
        return self._joint(*self._along_axes(x, a)).logsumexp(dim=1)

    def _score(self, x: Tensor, a: Tensor) -> Tensor:
        offset, spread = self._along_axes(x, a)
        share = self._joint(offset, spread).softmax(dim=1)
        return -(share[..., None] * self._back(offset / spread)).sum(dim=1)

    def _posterior(self, x: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of x_0 given x: the components' shares (B, K), their means (B, K, D) and their variances along their axes (B, K, D)."""
        offset, spread = self._along_axes(x, a)
        prior = self._on("_spread", x.device)
        shift = self._back(a.sqrt()[..., None] * prior / spread * offset)
        return self._joint(offset, spread).softmax(dim=1), self._on("_means", x.device) + shift, prior * (1 - a)[..., None] / spread

    def _posterior_mean(self, x: Tensor, a: Tensor) -> Tensor:
        share, means, _ = self._posterior(x, a)
        return (share[..., None] * means).sum(dim=1)

    def _posterior_variance(self, x: Tensor, a: Tensor) -> Tensor:
        share, means, within = self._posterior(x, a)
        between = means - (share[..., None] * means).sum(dim=1, keepdim=True)
        return (share[..., None] * (within + between**2)).sum(dim=(1, 2)) / self.num_dims

    def _posterior_covariance(self, x: Tensor, a: Tensor) -> Tensor:
        share, means, within = self._posterior(x, a)
        between = means - (share[..., None] * means).sum(dim=1, keepdim=True)
        weighted = share[..., None] * within
        if self._axes is None:
            inside = torch.diag_embed(weighted.sum(dim=1))
        else:
            axes = self._on("_axes", x.device)
            inside = torch.einsum("kde,bke,kfe->bdf", axes, weighted, axes)
        return inside + torch.einsum("bk,bkd,bke->bde", share, between, between)


class GaussianData(GaussianMixture):
    """x_0 ~ N(mean, covariance): the one world in which everything, also the chain's own p_theta(x_0), is a formula [N2].

    Args:
        mean: (*shape).
        variance_or_covariance: a number or () isotropic, (*shape) along the axes, or (D, D) full, D the number of elements; positive.
    """

    def __init__(self, mean: Tensor, variance_or_covariance: Tensor | float) -> None:
        mean = torch.as_tensor(mean, dtype=torch.float64, device="cpu")
        variance = torch.as_tensor(variance_or_covariance, dtype=torch.float64, device="cpu")
        super().__init__(torch.ones(1), mean[None], variance[None])

    def mean_posterior_variance(self, alpha_bar_t: Tensor) -> Tensor:
        """E[Var(x_0 | x_t)] per dimension, which does not depend on x_t here: float64 in the shape of alpha_bar_t."""
        spread, a = self._spread[0], alpha_bar_t[..., None]
        return (spread * (1 - a) / (a * spread + 1 - a)).mean(dim=-1)


def _principal(variances: Tensor, count: int, shape: tuple[int, ...]) -> tuple[Tensor | None, Tensor]:
    """The components' principal axes (K, D, D), None for the coordinate axes, and the variances along them (K, D)."""
    dims = math.prod(shape)
    axes = None
    if variances.shape == (count,):
        spread = variances[:, None].expand(count, dims).clone()
    elif variances.shape == (count, *shape):
        spread = variances.reshape(count, dims)
    elif variances.shape == (count, dims, dims):
        if not torch.allclose(variances, variances.mT, rtol=1e-9, atol=0):
            raise ValueError("a covariance is not symmetric: pass (C + C.T) / 2 if its halves differ by rounding alone")
        spread, axes = torch.linalg.eigh(variances)
    else:
        raise ValueError(f"variances have shape {tuple(variances.shape)}: use ({count},), {(count, *shape)} or {(count, dims, dims)}")
    if not bool((spread.isfinite() & (spread > 0)).all()):
        raise ValueError(f"the smallest variance is {float(spread.min()):g}: use finite variances > 0, and a PointSet for points")
    return axes, spread
