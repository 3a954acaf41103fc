"""`ExactDistribution`: data whose every question has an exact answer, and what all of them share: shapes, precision, chunks.

Everything is computed in float64, on the sample's device where that has float64 and on the CPU otherwise, and returned in the sample's dtype and
on its device. `alpha_bar_t` is a number or of shape (B,), in [0, 1].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64, cast

WITHOUT_FLOAT64 = ("mps",)
"""Device types that have no float64: there the exact worlds compute on the CPU."""

CHUNK_ELEMENTS = 2**23
"""Largest temporary, in float64 elements (64 MiB): a batch is worked off in parts of at most this size."""


class Components(NamedTuple):
    """The data as a mixture of Gaussians along the axes: weights (K,), means (K, D), variances (K, D), 0 for a point."""

    weights: Tensor
    means: Tensor
    variances: Tensor


class ExactDistribution(ABC):
    """A distribution of x_0 for which the law of x_t and of x_0 given x_t are known in closed form, at every alpha_bar_t.

    Args:
        shape: of one x_0, such as (1,), (2,) or (1, 28, 28).
    """

    has_density = True
    """Whether x_0 itself has one; x_t has one as soon as there is noise."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = tuple(shape)
        self.num_dims = prod(self.shape)
        self._moved: dict[tuple[str, torch.device], Tensor] = {}

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw x_0: (n, *shape) float64, on the generator's device or the CPU."""
        if n < 1:
            raise ValueError(f"n = {n} samples: use at least 1")
        return self._sample(n, generator).reshape(n, *self.shape)

    def log_density(self, x_t: Tensor, alpha_bar_t: Coefficient) -> Tensor:
        """log q_t(x_t), the noised data's density [N6]: (B,) nats. alpha_bar_t = 1 gives the data's own density."""
        return self._by_chunk(self._log_density, x_t, alpha_bar_t, needs_density=True)

    def score(self, x_t: Tensor, alpha_bar_t: Coefficient) -> Tensor:
        """The gradient of log q_t at x_t [N1]: (B, *shape)."""
        return self._by_chunk(self._score, x_t, alpha_bar_t, needs_density=True).reshape(x_t.shape)

    def posterior_mean(self, x_t: Tensor, alpha_bar_t: Coefficient) -> Tensor:
        """E[x_0 | x_t], the best x_0_hat there is [N8]: (B, *shape)."""
        return self._by_chunk(self._posterior_mean, x_t, alpha_bar_t).reshape(x_t.shape)

    def eps_star(self, x_t: Tensor, alpha_bar_t: Coefficient) -> Tensor:
        """E[eps | x_t] = -sqrt(1 - abar_t) score, what a perfect eps-network returns [N8; Song 2021 section 3, Tweedie]: (B, *shape)."""
        return self._by_chunk(self._eps_star, x_t, alpha_bar_t, needs_density=True).reshape(x_t.shape)

    def v_star(self, x_t: Tensor, alpha_bar_t: Coefficient) -> Tensor:
        """E[v | x_t], what a perfect v-network returns [N8; Salimans 2022 section 4]: (B, *shape)."""
        return self._by_chunk(self._v_star, x_t, alpha_bar_t, needs_density=True).reshape(x_t.shape)

    def posterior_covariance(self, x_t: Tensor, alpha_bar_t: Coefficient) -> Tensor:
        """Cov[x_0 | x_t]: (B, D, D), D the number of elements of one x_0. For images `posterior_variance` is the cheap part of it."""
        return self._by_chunk(self._posterior_covariance, x_t, alpha_bar_t)

    def posterior_variance(self, x_t: Tensor, alpha_bar_t: Coefficient) -> Tensor:
        """tr Cov[x_0 | x_t] / D, the mean squared error of the best x_0_hat at this x_t: (B,)."""
        return self._by_chunk(self._posterior_variance, x_t, alpha_bar_t)

    @abstractmethod
    def components(self) -> Components:
        """The mixture this distribution is; for a full covariance its diagonal."""

    @abstractmethod
    def _sample(self, n: int, generator: torch.Generator | None) -> Tensor: ...

    # Each of these takes x (B, D) and a (B, 1), float64 on one device.
    @abstractmethod
    def _log_density(self, x: Tensor, a: Tensor) -> Tensor: ...

    @abstractmethod
    def _score(self, x: Tensor, a: Tensor) -> Tensor: ...

    @abstractmethod
    def _posterior_mean(self, x: Tensor, a: Tensor) -> Tensor: ...

    @abstractmethod
    def _posterior_covariance(self, x: Tensor, a: Tensor) -> Tensor: ...

    @abstractmethod
    def _posterior_variance(self, x: Tensor, a: Tensor) -> Tensor: ...

    @abstractmethod
    def _elements_per_row(self) -> int:
        """float64 elements that one sample of a batch occupies while it is worked on."""

    def _eps_star(self, x: Tensor, a: Tensor) -> Tensor:
        return -(1 - a).sqrt() * self._score(x, a)

    def _v_star(self, x: Tensor, a: Tensor) -> Tensor:
        return a.sqrt() * self._eps_star(x, a) - (1 - a).sqrt() * self._posterior_mean(x, a)

    def _on(self, name: str, device: torch.device) -> Tensor:
        """The parameter `name`, kept in float64 on the CPU, on the device: copied there once."""
        if device.type == "cpu":
            return getattr(self, name)
        key = (name, device)
        if key not in self._moved:
            self._moved[key] = getattr(self, name).to(device)
        return self._moved[key]

    def _by_chunk(
        self, function: Callable[[Tensor, Tensor], Tensor], x_t: Tensor, alpha_bar_t: Coefficient, *, needs_density: bool = False
    ) -> Tensor:
        if x_t.shape[1:] != self.shape or x_t.ndim != len(self.shape) + 1:
            raise ValueError(f"x_t has shape {tuple(x_t.shape)}: use (B, {', '.join(map(str, self.shape))}), a batch of this distribution's samples")
        if not x_t.is_floating_point():
            raise ValueError(f"x_t is {x_t.dtype}: use a floating dtype")
        alpha_bar = as_float64(alpha_bar_t)
        if not bool(((alpha_bar >= 0) & (alpha_bar <= 1)).all()):
            raise ValueError(f"alpha_bar_t = {alpha_bar.tolist()}: use values in [0, 1]")
        if needs_density and not self.has_density and bool((alpha_bar == 1).any()):
            raise ValueError("alpha_bar_t = 1: points have no density and no score there; use alpha_bar_t < 1, at least one step of noise")
        device = torch.device("cpu") if x_t.device.type in WITHOUT_FLOAT64 else x_t.device
        x = x_t.to(device, torch.float64).reshape(x_t.shape[0], self.num_dims)
        a = cast(alpha_bar, x).expand(x.shape[0], 1)
        rows = max(1, CHUNK_ELEMENTS // self._elements_per_row())
        parts = [function(x[start : start + rows], a[start : start + rows]) for start in range(0, max(1, x.shape[0]), rows)]
        return torch.cat(parts).to(x_t.device, x_t.dtype)


def normalized(weights: Tensor, count: int) -> Tensor:
    """Weights of `count` components as float64 that sum to 1.

    Raises:
        ValueError: another number of weights, a negative or infinite one, or none above 0.
    """
    weights = torch.as_tensor(weights, dtype=torch.float64, device="cpu")
    if weights.shape != (count,):
        raise ValueError(f"weights have shape {tuple(weights.shape)}: use ({count},), one for each component")
    if not bool((weights.isfinite() & (weights >= 0)).all()) or float(weights.sum()) <= 0:
        raise ValueError(f"weights = {weights.tolist()[:8]}: use finite numbers >= 0, at least one above 0")
    return weights / weights.sum()
