"""Two ways to the gradient of E f(x), x ~ N(mu, sigma^2), in mu and sigma (row N3), and why a diffusion model takes the first.

The reparameterized (pathwise) estimator differentiates f along x = mu + sigma eps; the score-function estimator (REINFORCE) never
differentiates f, but weighs its values by the score of the density. Both are unbiased; for a quadratic f both variances are known.
Every estimator returns one value a draw, for d/dmu and for d/dsigma: `estimate` makes mean, standard error and variance of either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64
from ddpm_space.notes.entry import equation
from ddpm_space.notes.variances import check_positive, check_shapes


class Gradient(NamedTuple):
    """Derivatives in mu and in sigma, or one number for each of the two."""

    d_mean: Tensor
    d_std: Tensor


class Estimate(NamedTuple):
    """What n draws say of an expectation."""

    mean: Tensor
    standard_error: Tensor
    variance: Tensor


def placed(mean: Coefficient, std: Coefficient, eps: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and std with eps's dtype and device.

    Args:
        mean, std: () or eps's shape without its first dimension (the draws); std > 0.
    Raises:
        ValueError: std <= 0 (looked at on the CPU only), or a shape that would add draws.
    """
    check_positive(std=std)
    check_shapes(eps=eps, mean=mean, std=std)
    for name, value in (("mean", mean), ("std", std)):
        if isinstance(value, Tensor) and value.ndim >= max(eps.ndim, 1):
            raise ValueError(f"{name} of shape {tuple(value.shape)} has a value a draw: give it eps's shape {tuple(eps.shape)} less the first size")
    at_eps = {"dtype": eps.dtype, "device": eps.device}
    return torch.as_tensor(mean, **at_eps), torch.as_tensor(std, **at_eps)


def values_of(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return f(x), one value for each element of x.

    Raises:
        ValueError: f changes the shape.
    """
    y = f(x)
    if y.shape != x.shape:
        raise ValueError(f"f turns shape {tuple(x.shape)} into {tuple(y.shape)}: it must act on each element by itself and keep the shape")
    return y


@equation("N3.pathwise_gradient")
def pathwise_gradient(f: Callable[[Tensor], Tensor], mean: Coefficient, std: Coefficient, eps: Tensor) -> Gradient:
    """f'(x) and f'(x) eps at x = mean + std eps: unbiased for the gradient of E f(x) [N3; Kingma, Welling 2014; Mohamed 2020 section 5].

    Args:
        f: acts element by element, differentiable by autograd; mean, std: () or (...), std > 0.
        eps: (n, ...) standard normal draws.
    Returns:
        d_mean, d_std, each (n, ...): one value a draw.
    Raises:
        ValueError: std <= 0, shapes that do not fit, an f that autograd cannot follow (its gradient would read as 0).
    """
    mean, std = placed(mean, std, eps)
    with torch.inference_mode(False), torch.enable_grad():
        x = (mean + std * eps).detach().clone().requires_grad_()
        y = values_of(f, x)
        (slope,) = torch.autograd.grad(y.sum(), x, allow_unused=True) if y.requires_grad else (None,)
    if slope is None:
        raise ValueError("autograd cannot follow f from x to its result (a step, an integer or a constant?): use score_function_gradient")
    return Gradient(slope, slope * eps)


@equation("N3.score_function_gradient")
def score_function_gradient(
    f: Callable[[Tensor], Tensor], mean: Coefficient, std: Coefficient, eps: Tensor, baseline: tuple[Coefficient, Coefficient] = (0.0, 0.0)
) -> Gradient:
    """(f(x) - b) eps / std and (f(x) - b) (eps^2 - 1) / std at x = mean + std eps: unbiased for any constant b [N3; Williams 1992].

    The factors are the score: the derivatives of log N(x; mean, std^2) in mean and std, whose expectations are 0.

    Args:
        f: acts element by element, need not be differentiable; mean, std: () or (...), std > 0; eps: (n, ...) standard normal draws.
        baseline: b for d_mean and for d_std, each () or (...); it must not depend on these draws (`optimal_baseline` of others).
    Returns:
        d_mean, d_std, each (n, ...): one value a draw.
    Raises:
        ValueError: std <= 0, shapes that do not fit.
    """
    mean, std = placed(mean, std, eps)
    with torch.no_grad():
        y = values_of(f, mean + std * eps).to(eps.dtype)
        b_mean, b_std = (torch.as_tensor(b, dtype=eps.dtype, device=eps.device) for b in baseline)
        check_shapes(eps=eps, baseline=b_mean, baseline_std=b_std)
        return Gradient((y - b_mean) * eps / std, (y - b_std) * (eps**2 - 1) / std)


@equation("N3.optimal_baseline")
def optimal_baseline(f: Callable[[Tensor], Tensor], mean: Coefficient, std: Coefficient, eps: Tensor) -> Gradient:
    """b = E[f(x) s^2] / E[s^2], s the score: the constant that leaves the score-function estimator the least variance [N3; Greensmith 2004].

    Args:
        as in `score_function_gradient`; eps: pilot draws, (n, ...), others than those of the estimate, which would bias it.
    Returns:
        b for d_mean (s = eps) and for d_std (s = eps^2 - 1), each (...).
    Raises:
        ValueError: as in `score_function_gradient`.
    """
    mean, std = placed(mean, std, eps)
    with torch.no_grad():
        y = values_of(f, mean + std * eps).to(eps.dtype)
        weights = (eps**2, (eps**2 - 1) ** 2)
        return Gradient(*((y * weight).sum(0) / weight.sum(0) for weight in weights))


@equation("N3.estimate")
def estimate(samples: Tensor) -> Estimate:
    """Sample mean, its standard error s / sqrt(n), and the sample variance s^2, which has n - 1 in its denominator [N3; Bessel's correction].

    Args:
        samples: (n, ...), independent draws, n >= 2; taken in float64 on the CPU.
    Returns:
        mean, standard_error, variance: each (...) float64.
    Raises:
        ValueError: fewer than two draws.
    """
    if samples.ndim == 0 or samples.shape[0] < 2:
        raise ValueError(f"samples of shape {tuple(samples.shape)} hold fewer than two draws: a variance needs two or more along the first dimension")
    values = as_float64(samples)
    variance = values.var(0)
    return Estimate(values.mean(0), (variance / values.shape[0]).sqrt(), variance)


@equation("N3.quadratic_gradient")
def quadratic_gradient(a: Coefficient, b: Coefficient, mean: Coefficient, std: Coefficient) -> Gradient:
    """d/dmu and d/dsigma of E[a x^2 + b x + c] = a (mu^2 + sigma^2) + b mu + c: 2 a mu + b and 2 a sigma [N3].

    Args:
        a, b: f's coefficients; mean, std: of x; numbers or tensors of one shape.
    Returns:
        d_mean, d_std, float64.
    """
    a, b, mean, std = (as_float64(value) for value in (a, b, mean, std))
    return Gradient(2 * a * mean + b, 2 * a * std)


@equation("N3.pathwise_variance")
def pathwise_variance(a: Coefficient, b: Coefficient, mean: Coefficient, std: Coefficient) -> Gradient:
    """Variance of one draw of the pathwise estimator for f(x) = a x^2 + b x + c: 4 a^2 sigma^2 and m^2 + 8 a^2 sigma^2, m = 2 a mu + b [N3].

    Args:
        as in `quadratic_gradient`.
    Returns:
        for d_mean and d_std, float64.
    """
    a, b, mean, std = (as_float64(value) for value in (a, b, mean, std))
    slope = 2 * a * mean + b
    return Gradient(4 * a**2 * std**2, slope**2 + 8 * a**2 * std**2)


@equation("N3.score_function_variance")
def score_function_variance(
    a: Coefficient, b: Coefficient, c: Coefficient, mean: Coefficient, std: Coefficient, baseline: tuple[Coefficient, Coefficient] = (0.0, 0.0)
) -> Gradient:
    """Variance of one draw of the score-function estimator for f(x) = a x^2 + b x + c [N3].

    k^2 / sigma^2 + 6 a k + 15 a^2 sigma^2 + 2 m^2 and 2 k^2 / sigma^2 + 20 a k + 74 a^2 sigma^2 + 10 m^2, m = 2 a mu + b, k = f(mu) - baseline:
    least at k = -3 a sigma^2 and k = -5 a sigma^2, and even there above the pathwise one.

    Args:
        a, b, c: f's coefficients; mean, std: of x; baseline: as in `score_function_gradient`; numbers or tensors of one shape.
    Returns:
        for d_mean and d_std, float64.
    """
    a, b, c, mean, std, b_mean, b_std = (as_float64(value) for value in (a, b, c, mean, std, *baseline))
    slope, top = 2 * a * mean + b, a * mean**2 + b * mean + c
    k_mean, k_std = top - b_mean, top - b_std
    d_mean = k_mean**2 / std**2 + 6 * a * k_mean + 15 * a**2 * std**2 + 2 * slope**2
    return Gradient(d_mean, 2 * k_std**2 / std**2 + 20 * a * k_std + 74 * a**2 * std**2 + 10 * slope**2)


@equation("N3.quadratic_baseline")
def quadratic_baseline(a: Coefficient, b: Coefficient, c: Coefficient, mean: Coefficient, std: Coefficient) -> Gradient:
    """The best baselines for f(x) = a x^2 + b x + c: f(mu) + 3 a sigma^2 for d/dmu, f(mu) + 5 a sigma^2 for d/dsigma [N3].

    Args:
        as in `score_function_variance`.
    Returns:
        b for d_mean and for d_std, float64.
    """
    a, b, c, mean, std = (as_float64(value) for value in (a, b, c, mean, std))
    top = a * mean**2 + b * mean + c
    return Gradient(top + 3 * a * std**2, top + 5 * a * std**2)
