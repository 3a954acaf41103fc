"""What keeps a Gaussian Gaussian (rows N2, N3): affine maps, sums, products, and the reparameterization x = mean + sigma eps.

Element by element; a variance is a number, one value a sample (shape (B,)), or one value an element. A bare name returns (mean, variance).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, draw_eps
from ddpm_space.notes.entry import equation
from ddpm_space.notes.gaussian import log_density
from ddpm_space.notes.variances import check_positive, check_shapes, fit, together


@equation("N3.affine")
def affine(mean: Tensor, variance: Coefficient, a: Coefficient = 1.0, b: Coefficient = 0.0) -> tuple[Tensor, Tensor]:
    """a X + b ~ N(a mean + b, a^2 variance) for X ~ N(mean, variance) [N3; Bishop 2006 eq. 2.109-2.110].

    Args:
        mean: (B, ...); variance: > 0, shape (), (B,), or element by element; a, b: any number, same shapes.
    Returns:
        mean (B, ...) in mean's dtype; variance, float64 unless it varies element by element.
    Raises:
        ValueError: a variance <= 0, shapes that do not fit.
    """
    check_positive(variance=variance)
    variance, a, b = together(mean, variance, a, b)
    return fit(a, mean) * mean + fit(b, mean), a**2 * variance


@equation("N3.linear_combination")
def linear_combination(
    mean_1: Tensor, variance_1: Coefficient, mean_2: Tensor, variance_2: Coefficient, a: Coefficient = 1.0, b: Coefficient = 1.0
) -> tuple[Tensor, Tensor]:
    """a X + b Y ~ N(a mean_1 + b mean_2, a^2 variance_1 + b^2 variance_2), X and Y independent [N3; Deisenroth 2020 eq. 6.79].

    With a^2 + b^2 = 1 and unit variances the variance stays 1: that is why one step of noising uses sqrt(1 - beta) and sqrt(beta).

    Args:
        mean_1, mean_2: (B, ...); variances as in `affine`; a, b: any number.
    Returns:
        mean (B, ...) in mean_1's dtype; variance, float64 unless it varies element by element.
    Raises:
        ValueError: a variance <= 0, shapes that do not fit.
    """
    check_positive(variance_1=variance_1, variance_2=variance_2)
    check_shapes(mean_1=mean_1, mean_2=mean_2)
    variance_1, variance_2, a, b = together(mean_1, variance_1, variance_2, a, b)
    return fit(a, mean_1) * mean_1 + fit(b, mean_1) * mean_2, a**2 * variance_1 + b**2 * variance_2


@equation("N2.product")
def product(mean_1: Tensor, variance_1: Coefficient, mean_2: Tensor, variance_2: Coefficient) -> tuple[Tensor, Tensor, Tensor]:
    """N(x; mean_1, variance_1) N(x; mean_2, variance_2) = c N(x; mean, variance) [N2; Deisenroth 2020 eq. 6.74-6.77].

    Precisions add, the mean is weighted by precision, and c = N(mean_1; mean_2, variance_1 + variance_2).

    Args:
        mean_1, mean_2: (B, ...); variances as in `affine`.
    Returns:
        mean (B, ...); variance, float64 unless it varies element by element; log c (B, ...) nats.
    Raises:
        ValueError: a variance <= 0, shapes that do not fit.
    """
    check_positive(variance_1=variance_1, variance_2=variance_2)
    check_shapes(mean_1=mean_1, mean_2=mean_2)
    variance_1, variance_2 = together(mean_1, variance_1, variance_2)
    total = variance_1 + variance_2
    weight_1, weight_2 = variance_2 / total, variance_1 / total
    mean = fit(weight_1, mean_1) * mean_1 + fit(weight_2, mean_1) * mean_2
    return mean, weight_1 * variance_1, log_density(mean_1, mean_2, total)


@equation("N3.reparameterize")
def reparameterize(mean: Tensor, variance: Coefficient, *, eps: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
    """Draw x = mean + sigma eps, eps ~ N(0, 1): all randomness sits in eps, so that gradients pass to mean and variance [N3; Kingma, Welling 2014].

    Args:
        mean: (B, ...); variance: > 0, as in `affine`; eps: (B, ...), drawn when None; generator: what draws it.
    Returns:
        (B, ...) in mean's dtype, differentiable in mean and variance.
    Raises:
        ValueError: a variance <= 0, shapes that do not fit, both eps and generator.
    """
    check_positive(variance=variance)
    (variance,) = together(mean, variance)
    return mean + fit(variance.sqrt(), mean) * draw_eps(mean, eps, generator)
