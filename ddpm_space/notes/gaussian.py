"""The Gaussian (row N2), element by element: density, entropy, cdf, quantile, and the divergence between two of them, in nats.

A variance is a number, one value a sample (shape (B,)), or one value an element (a diagonal covariance).
`gaussian_algebra` holds what keeps it Gaussian, `gaussian_full` the same for full covariances.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64
from ddpm_space.notes.entry import equation
from ddpm_space.notes.variances import check_positive, check_shapes, fit, together


def standardized(x: Tensor, mean: Tensor | float, variance: Coefficient) -> tuple[Tensor, Tensor]:
    """z = (x - mean) / sqrt(variance), how many standard deviations x lies above the mean, and the variance where coefficients are formed.

    Args, Raises:
        as in `log_density`.
    """
    check_positive(variance=variance)
    check_within(variance, x=x, mean=mean)
    (variance,) = together(x, variance)
    return (x - mean) * fit(variance.rsqrt(), x), variance


def check_within(*variances: Coefficient, **tensors: Tensor | float) -> None:
    """Refuse shapes that do not fit, and a second tensor that widens the first one where that has several variances.

    The batch of the first would then be another dimension of the result than the one the variances meet. Looks at shapes alone: no value is read.

    Raises:
        ValueError: both shapes.
    """
    check_shapes(**tensors)
    (name, first), (other, second) = tensors.items()
    if not isinstance(first, Tensor) or not isinstance(second, Tensor) or second.shape == first.shape:
        return
    several = any(isinstance(value, Tensor) and value.numel() > 1 for value in variances)
    if several and torch.broadcast_shapes(first.shape, second.shape) != first.shape:
        raise ValueError(
            f"{other} of shape {tuple(second.shape)} widens {name} of shape {tuple(first.shape)}, to which the variances belong: expand {name} first"
        )


@equation("N2.log_density")
def log_density(x: Tensor, mean: Tensor | float, variance: Coefficient) -> Tensor:
    """log N(x; mean, variance) = -((x - mean)^2 / variance + log(2 pi variance)) / 2 [N2; Gauss 1809].

    Args:
        x, mean: (B, ...), and mean may not widen x where there are several variances; variance: > 0, shape (), (B,), or element by element.
    Returns:
        (B, ...) nats, element by element; sum over a sample for its joint density.
    Raises:
        ValueError: a variance <= 0 (looked at on the CPU only), shapes that do not fit.
    """
    z, variance = standardized(x, mean, variance)
    return -0.5 * (z**2 + fit(torch.log(2 * math.pi * variance), x))


@equation("N2.density")
def density(x: Tensor, mean: Tensor | float, variance: Coefficient) -> Tensor:
    """N(x; mean, variance) = exp(-(x - mean)^2 / (2 variance)) / sqrt(2 pi variance) [N2; Gauss 1809].

    Args, Raises:
        as in `log_density`.
    Returns:
        (B, ...) > 0, element by element: a density, which may exceed 1.
    """
    return log_density(x, mean, variance).exp()


@equation("N2.entropy")
def entropy(variance: Coefficient) -> Tensor:
    """H = log(2 pi e variance) / 2 [N2; Shannon 1948 section 20].

    Args:
        variance: > 0, any shape.
    Returns:
        float64 nats in the variance's shape: of one element; the elements of a sample add up.
    Raises:
        ValueError: a variance <= 0.
    """
    check_positive(variance=variance)
    return 0.5 * torch.log(2 * math.pi * math.e * as_float64(variance))


@equation("N2.cdf")
def cdf(x: Tensor, mean: Tensor | float, variance: Coefficient, *, upper: bool = False) -> Tensor:
    """P(X <= x) = Phi(z) = erfc(-z / sqrt 2) / 2, z = (x - mean) / sigma [N2; Abramowitz, Stegun 1964 section 26.2].

    By erfc and not by 1 + erf, which has lost every digit at z = -8.3: this keeps them down to the smallest float.

    Args:
        x, mean, variance: as in `log_density`; upper: P(X > x) instead, with all its digits too.
    Returns:
        (B, ...) in [0, 1].
    Raises:
        ValueError: as in `log_density`.
    """
    z, _ = standardized(x, mean, variance)
    return 0.5 * torch.special.erfc((z if upper else -z) / math.sqrt(2))


@equation("N2.log_cdf")
def log_cdf(x: Tensor, mean: Tensor | float, variance: Coefficient, *, upper: bool = False) -> Tensor:
    """log P(X <= x), finite where the probability itself underflows [N2; Abramowitz, Stegun 1964 section 26.2].

    Args, Raises:
        as in `cdf`.
    Returns:
        (B, ...) <= 0, nats.
    """
    z, _ = standardized(x, mean, variance)
    wide = z.to(torch.promote_types(z.dtype, torch.float32))  # log_ndtr knows no half precision
    return torch.special.log_ndtr(-wide if upper else wide).to(z.dtype)


@equation("N2.quantile")
def quantile(p: Coefficient, mean: Tensor, variance: Coefficient, *, upper: bool = False) -> Tensor:
    """The x with P(X <= x) = p: mean + sigma Phi^{-1}(p) [N2, N3; Abramowitz, Stegun 1964 section 26.2].

    Args:
        p: in (0, 1), any shape that broadcasts with mean's; taken in float64. upper: the x with P(X > x) = p instead: for the far upper
            tail, where 1 - p would round to 1.
        mean: (B, ...), one of shape () takes p's; variance: of the means, as in `log_density`.
    Returns:
        the broadcast shape, in mean's dtype.
    Raises:
        ValueError: p outside (0, 1), a variance <= 0, shapes that do not fit.
    """
    check_positive(variance=variance)
    probability = as_float64(p)
    inside = (probability > 0) & (probability < 1)
    if not bool(inside.all()):
        wrong = probability[~inside].reshape(-1)[0].item()
        raise ValueError(f"p = {wrong:g} is outside (0, 1): only a probability strictly between has a finite quantile")
    check_shapes(p=probability, mean=mean)
    z = torch.special.ndtri(probability).to(device=mean.device, dtype=mean.dtype)
    # The variance meets the means before p widens them: a grid (K, 1) of p would put another dimension where the batch is.
    mean = mean if mean.ndim else mean.expand(z.shape)
    (variance,) = together(mean, variance)
    return mean + fit(variance.sqrt(), mean) * (-z if upper else z)


@equation("N2.kl_gaussian")
def kl_gaussian(mean_1: Tensor, variance_1: Coefficient, mean_2: Tensor, variance_2: Coefficient) -> Tensor:
    """KL(N(mean_1, variance_1) || N(mean_2, variance_2)) = (r - 1 - log r + (mean_1 - mean_2)^2 / variance_2) / 2, r = variance_1 / variance_2 [N2].

    Args:
        mean_1, mean_2: (B, ...); variance_1, variance_2: > 0, shape (), (B,), or element by element.
    Returns:
        (B, ...) nats, element by element, in mean_1's dtype; the elements of a diagonal Gaussian add up.
    Raises:
        ValueError: a variance <= 0 (looked at on the CPU only), shapes that do not fit.
    """
    check_positive(variance_1=variance_1, variance_2=variance_2)
    check_within(variance_1, variance_2, mean_1=mean_1, mean_2=mean_2)
    variance_1, variance_2 = together(mean_1, variance_1, variance_2)
    spread = excess(variance_1, variance_2)
    return 0.5 * (fit(spread, mean_1) + ((mean_1 - mean_2) * fit(variance_2.rsqrt(), mean_1)) ** 2)


def excess(value: Tensor, reference: Tensor) -> Tensor:
    """r - 1 - log r for r = value / reference > 0, which is >= 0 and keeps its digits when r is close to 1 and when r is tiny; inf where r is."""
    change = (value - reference) / reference
    # Near r = 1 the terms cancel, unless log1p sees the small difference; near r = 0 that difference has rounded to -1, and r itself may be
    # too small for a float, which its root never is. An infinite r has a logarithm that is not.
    near_zero = 2 * torch.log(value.sqrt() / reference.sqrt())
    return change - torch.where(change < -0.5, near_zero, torch.log1p(change.clamp(min=-0.5, max=torch.finfo(change.dtype).max)))
