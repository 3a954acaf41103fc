"""Denoising: the posterior q(x_s | x_t, x_0) (row N7), the model's step p_theta(x_s | x_t), and eps / x_0 / v (row N8).

Everything is written for any s < t; s = t - 1 is a case, and s = -1 (clean data, abar_s = 1) is the last step.
The posterior is conditioned on x_0: it is not p(x_s | x_t). beta_tilde is a variance; its square root is the standard deviation.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64, cast, draw_eps
from ddpm_space.notes.entry import equation
from ddpm_space.notes.forward import beta_between


@equation("N7.posterior_coefficients")
def posterior_coefficients(alpha_bar_t: Coefficient, alpha_bar_s: Coefficient) -> tuple[Tensor, Tensor]:
    """The weights of x_0 and of x_t in the posterior mean [N7; Ho 2020 eq. 7].

    coef_x_0 = sqrt(abar_s) beta_{t|s} / (1 - abar_t), coef_x_t = sqrt(1 - beta_{t|s}) (1 - abar_s) / (1 - abar_t).

    Args:
        alpha_bar_t, alpha_bar_s: in [0, 1], s < t, shape () or (B,).
    Returns:
        two float64 tensors; (1, 0) when s is clean data.
    """
    alpha_bar_t, alpha_bar_s = as_float64(alpha_bar_t), as_float64(alpha_bar_s)
    beta_ts = beta_between(alpha_bar_t, alpha_bar_s)
    coef_x_0 = alpha_bar_s.sqrt() * beta_ts / (1 - alpha_bar_t)
    coef_x_t = (1 - beta_ts).sqrt() * (1 - alpha_bar_s) / (1 - alpha_bar_t)
    return coef_x_0, coef_x_t


@equation("N7.beta_tilde")
def beta_tilde(alpha_bar_t: Coefficient, alpha_bar_s: Coefficient) -> Tensor:
    """Variance of the posterior: (1 - abar_s) / (1 - abar_t) beta_{t|s} [N7; Ho 2020 eq. 7].

    Args:
        alpha_bar_t, alpha_bar_s: in [0, 1], s < t, shape () or (B,).
    Returns:
        float64 in [0, 1]; 0 when s is clean data.
    """
    alpha_bar_t, alpha_bar_s = as_float64(alpha_bar_t), as_float64(alpha_bar_s)
    return (1 - alpha_bar_s) / (1 - alpha_bar_t) * beta_between(alpha_bar_t, alpha_bar_s)


@equation("N7.q_posterior")
def q_posterior(x_0: Tensor, x_t: Tensor, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient) -> tuple[Tensor, Tensor]:
    """q(x_s | x_t, x_0) = N(mu_tilde, beta_tilde I), mu_tilde = coef_x_0 x_0 + coef_x_t x_t [N7; Ho 2020 eq. 6-7].

    Args:
        x_0, x_t: (B, ...); alpha_bar_t, alpha_bar_s: in [0, 1], s < t, shape () or (B,).
    Returns:
        mu_tilde (B, ...), beta_tilde float64.
    """
    coef_x_0, coef_x_t = posterior_coefficients(alpha_bar_t, alpha_bar_s)
    return cast(coef_x_0, x_t) * x_0 + cast(coef_x_t, x_t) * x_t, beta_tilde(alpha_bar_t, alpha_bar_s)


def q_posterior_sample(
    x_0: Tensor,
    x_t: Tensor,
    alpha_bar_t: Coefficient,
    alpha_bar_s: Coefficient,
    *,
    eps: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw x_s ~ q(x_s | x_t, x_0); shapes as in `q_posterior`."""
    mean, variance = q_posterior(x_0, x_t, alpha_bar_t, alpha_bar_s)
    return mean + cast(variance.sqrt(), x_t) * draw_eps(x_t, eps, generator)


@equation("N8.p_reverse")
def p_reverse(x_0_hat: Tensor, x_t: Tensor, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient, sigma2_t: Coefficient) -> tuple[Tensor, Tensor]:
    """p_theta(x_s | x_t) = N(mu_tilde(x_0_hat, x_t), sigma_t^2 I): the posterior at the predicted x_0 [N8; Ho 2020 eq. 1, section 3.2].

    Args:
        x_0_hat, x_t: (B, ...) the predicted x_0 (clipped or not) and the noisy sample.
        sigma2_t: the variance chosen for the step, shape () or (B,).
    Returns:
        mu_theta (B, ...), sigma2_t as float64.
    """
    return q_posterior(x_0_hat, x_t, alpha_bar_t, alpha_bar_s)[0], as_float64(sigma2_t)


def p_reverse_sample(
    x_0_hat: Tensor,
    x_t: Tensor,
    alpha_bar_t: Coefficient,
    alpha_bar_s: Coefficient,
    sigma2_t: Coefficient,
    *,
    eps: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw x_s ~ p_theta(x_s | x_t) as mu_theta + sigma_t eps; shapes as in `p_reverse` [N8; Ho 2020 algorithm 2]."""
    mean, variance = p_reverse(x_0_hat, x_t, alpha_bar_t, alpha_bar_s, sigma2_t)
    return mean + cast(variance.sqrt(), x_t) * draw_eps(x_t, eps, generator)


@equation("N8.mu_theta_from_eps")
def mu_theta_from_eps(x_t: Tensor, eps_theta: Tensor, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient) -> Tensor:
    """mu_theta = (x_t - beta_{t|s} / sqrt(1 - abar_t) eps_theta) / sqrt(1 - beta_{t|s}) [N8; Ho 2020 eq. 11].

    Equal to the posterior mean at x_0_hat as long as x_0_hat is not clipped.

    Args:
        x_t, eps_theta: (B, ...); alpha_bar_t in (0, 1), alpha_bar_s in (0, 1], s < t, shape () or (B,).
    Returns:
        (B, ...).
    """
    beta_ts = beta_between(alpha_bar_t, alpha_bar_s)
    scale = (1 - beta_ts).rsqrt()
    return cast(scale, x_t) * x_t - cast(scale * beta_ts / (1 - as_float64(alpha_bar_t)).sqrt(), x_t) * eps_theta


@equation("N8.clipping_difference")
def clipping_difference(x_t: Tensor, eps_theta: Tensor, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient, *, clip: float = 1.0) -> Tensor:
    """What clipping x_0_hat to [-clip, clip] adds to mu_theta: coef_x_0 (clip(x_0_hat) - x_0_hat) [N8; Ho 2020 eq. 11 against eq. 7].

    The posterior mean at the clipped x_0_hat, minus eq. (11), which never clips; 0 wherever |x_0_hat| <= clip.

    Args:
        x_t, eps_theta, alpha_bar_t, alpha_bar_s as in `mu_theta_from_eps`; clip: bound on |x_0_hat|, > 0.
    Returns:
        (B, ...).
    """
    x_0_hat = x_0_from_eps(x_t, eps_theta, alpha_bar_t)
    coef_x_0, _ = posterior_coefficients(alpha_bar_t, alpha_bar_s)
    return cast(coef_x_0, x_t) * (x_0_hat.clamp(-clip, clip) - x_0_hat)


@equation("N8.optimal_variance")
def optimal_variance(posterior_variance: Coefficient, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient) -> Tensor:
    """The best sigma_t^2 for a perfect mean: beta_tilde + coef_x_0^2 E Var[x_0 | x_t] [N8; Bao 2022 theorem 1].

    Args:
        posterior_variance: E over x_t of Var[x_0 | x_t], per dimension, >= 0; alpha_bar_t in [0, 1), alpha_bar_s in (0, 1], s < t; shape () or (B,).
    Returns:
        float64, between beta_tilde and, for data of at most unit variance, beta_{t|s}.
    """
    coef_x_0, _ = posterior_coefficients(alpha_bar_t, alpha_bar_s)
    return beta_tilde(alpha_bar_t, alpha_bar_s) + coef_x_0**2 * as_float64(posterior_variance)


@equation("N8.posterior_variance_from_eps")
def posterior_variance_from_eps(mean_square_eps: Coefficient, alpha_bar_t: Coefficient) -> Tensor:
    """E Var[x_0 | x_t] = (1 - abar_t) / abar_t (1 - E |eps*|^2): the score's size tells what x_t leaves unknown [N8; Bao 2022 theorem 1].

    Args:
        mean_square_eps: E over x_t of |E[eps | x_t]|^2, per dimension, in [0, 1]; alpha_bar_t in (0, 1), shape () or (B,).
    Returns:
        float64; negative where a network predicts a larger eps than any posterior mean can be.
    """
    alpha_bar = as_float64(alpha_bar_t)
    return (1 - alpha_bar) / alpha_bar * (1 - as_float64(mean_square_eps))


@equation("N8.largest_last_sigma")
def largest_last_sigma(grey_levels: Coefficient) -> Tensor:
    """The sigma whose noise is so many of 256 levels on average: sqrt(pi / 2) 2 / 255 levels [N8; Bao 2022 section 5].

    Args:
        grey_levels: > 0, of images in [-1, 1].
    Returns:
        float64 in grey_levels' shape.
    """
    return math.sqrt(math.pi / 2) * 2 / 255 * as_float64(grey_levels)


@equation("N8.learned_variance")
def learned_variance(share: Tensor, smaller: Coefficient, larger: Coefficient) -> Tensor:
    """sigma_t^2 between two variances on the log scale: larger^share smaller^(1 - share) [N8; Nichol 2021 eq. 15].

    Args:
        share: (B, ...) what the network says, 0 for the smaller and 1 for the larger.
        smaller, larger: > 0, such as beta_tilde and beta_t, shape () or (B,).
    Returns:
        (B, ...) in share's dtype.
    """
    low, high = as_float64(smaller).log(), as_float64(larger).log()
    return torch.exp(cast(low, share) + cast(high - low, share) * share)


@equation("N8.x_0_from_eps")
def x_0_from_eps(x_t: Tensor, eps: Tensor, alpha_bar_t: Coefficient) -> Tensor:
    """x_0 = (x_t - sqrt(1 - abar_t) eps) / sqrt(abar_t) [N8; Ho 2020 eq. 15]; x_t, eps (B, ...), alpha_bar_t in (0, 1]."""
    alpha_bar = as_float64(alpha_bar_t)
    # The difference first: where little signal is left the factor is large, and two overflows of half precision would make a NaN.
    return cast(alpha_bar.rsqrt(), x_t) * (x_t - cast((1 - alpha_bar).sqrt(), x_t) * eps)


@equation("N8.x_0_from_v")
def x_0_from_v(x_t: Tensor, v: Tensor, alpha_bar_t: Coefficient) -> Tensor:
    """x_0 = sqrt(abar_t) x_t - sqrt(1 - abar_t) v [N8; Salimans 2022 appendix D]; x_t, v (B, ...), alpha_bar_t in [0, 1]."""
    alpha_bar = as_float64(alpha_bar_t)
    return cast(alpha_bar.sqrt(), x_t) * x_t - cast((1 - alpha_bar).sqrt(), x_t) * v


@equation("N8.eps_from_x_0")
def eps_from_x_0(x_0: Tensor, x_t: Tensor, alpha_bar_t: Coefficient) -> Tensor:
    """eps = (x_t - sqrt(abar_t) x_0) / sqrt(1 - abar_t) [N8; Ho 2020 eq. 9]; x_0, x_t (B, ...), alpha_bar_t in [0, 1)."""
    alpha_bar = as_float64(alpha_bar_t)
    return cast((1 - alpha_bar).rsqrt(), x_t) * x_t - cast((alpha_bar / (1 - alpha_bar)).sqrt(), x_t) * x_0


@equation("N8.eps_from_v")
def eps_from_v(x_t: Tensor, v: Tensor, alpha_bar_t: Coefficient) -> Tensor:
    """eps = sqrt(1 - abar_t) x_t + sqrt(abar_t) v [N8; Salimans 2022 appendix D]; x_t, v (B, ...), alpha_bar_t in [0, 1]."""
    alpha_bar = as_float64(alpha_bar_t)
    return cast((1 - alpha_bar).sqrt(), x_t) * x_t + cast(alpha_bar.sqrt(), x_t) * v


@equation("N8.velocity")
def velocity(x_0: Tensor, eps: Tensor, alpha_bar_t: Coefficient) -> Tensor:
    """v = sqrt(abar_t) eps - sqrt(1 - abar_t) x_0 [N8; Salimans 2022 section 4]; x_0, eps (B, ...), alpha_bar_t in [0, 1]."""
    alpha_bar = as_float64(alpha_bar_t)
    return cast(alpha_bar.sqrt(), x_0) * eps - cast((1 - alpha_bar).sqrt(), x_0) * x_0


@equation("N8.v_from_x_0")
def v_from_x_0(x_0: Tensor, x_t: Tensor, alpha_bar_t: Coefficient) -> Tensor:
    """v = (sqrt(abar_t) x_t - x_0) / sqrt(1 - abar_t) [N8, from the two definitions]; x_0, x_t (B, ...), alpha_bar_t in [0, 1)."""
    alpha_bar = as_float64(alpha_bar_t)
    return cast((alpha_bar / (1 - alpha_bar)).sqrt(), x_t) * x_t - cast((1 - alpha_bar).rsqrt(), x_t) * x_0


@equation("N8.v_from_eps")
def v_from_eps(x_t: Tensor, eps: Tensor, alpha_bar_t: Coefficient) -> Tensor:
    """v = (eps - sqrt(1 - abar_t) x_t) / sqrt(abar_t) [N8, from the two definitions]; x_t, eps (B, ...), alpha_bar_t in (0, 1]."""
    alpha_bar = as_float64(alpha_bar_t)
    return cast(alpha_bar.rsqrt(), x_t) * (eps - cast((1 - alpha_bar).sqrt(), x_t) * x_t)
