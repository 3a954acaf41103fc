"""The variational bound term by term (row N8): L_T, L_{t-1}, L_0, L_simple and bits per dimension. Closed forms of values; no model, no chain.

Everything is element by element, in nats, with the batch first: sum over all but the batch for an image's term.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_precise, cast
from ddpm_space.notes.entry import equation
from ddpm_space.notes.forward import q_cumulative
from ddpm_space.notes.gaussian import kl_gaussian


@equation("N8.prior_kl")
def prior_kl(x_0: Tensor, alpha_bar_T: Coefficient) -> Tensor:
    """L_T = KL(q(x_T | x_0) || N(0, I)): what the chain's end still knows of the image [N8; Ho 2020 eq. 5].

    Args:
        x_0: (B, ...) clean data in [-1, 1]; alpha_bar_T: in [0, 1).
    Returns:
        (B, ...) nats.
    """
    mean, variance = q_cumulative(x_0, alpha_bar_T)
    return kl_gaussian(mean, variance, torch.zeros_like(mean), 1.0)


@equation("N8.kl_term")
def kl_term(mu_tilde: Tensor, beta_tilde: Coefficient, mu_theta: Tensor, sigma2_t: Coefficient) -> Tensor:
    """L_{t-1} = KL(q(x_{t-1} | x_t, x_0) || p_theta(x_{t-1} | x_t)) [N8; Ho 2020 eq. 5, 8].

    Args:
        mu_tilde, mu_theta: (B, ...) the two means; beta_tilde, sigma2_t: the two variances, > 0, shape () or (B,).
    Returns:
        (B, ...) nats.
    """
    return kl_gaussian(mu_tilde, beta_tilde, mu_theta, sigma2_t)


@equation("N8.discretized_log_likelihood")
def discretized_log_likelihood(x_0: Tensor, mean: Tensor, sigma2: Coefficient, *, bins: int = 256) -> Tensor:
    """-L_0 = log of the Gaussian's mass on the pixel's own bin, the outer bins reaching to infinity [N8; Ho 2020 eq. 13].

    Formed in float64 (where the device has it) from log Phi, on the side of the mean where the difference of two tails keeps its digits.

    Args:
        x_0: (B, ...) pixel values on the grid -1, -1 + 2/(bins-1), ..., 1; mean: (B, ...); sigma2: > 0, shape () or (B,).
        bins: number of grey levels.
    Returns:
        (B, ...) nats, <= 0, float64 (float32 on a device without it).
    """
    x, mean = as_precise(x_0), as_precise(mean)
    half_bin = 1.0 / (bins - 1)
    sigma = cast(sigma2, x).sqrt()
    lower = torch.where(x <= -1 + half_bin / 2, -torch.inf, (x - half_bin - mean) / sigma)
    upper = torch.where(x >= 1 - half_bin / 2, torch.inf, (x + half_bin - mean) / sigma)
    flip = lower + upper > 0
    lower, upper = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
    log_upper = torch.special.log_ndtr(upper)
    return log_upper + torch.log1p(-torch.exp(torch.special.log_ndtr(lower) - log_upper))


@equation("N8.simple_loss")
def simple_loss(eps: Tensor, eps_theta: Tensor) -> Tensor:
    """L_simple's integrand |eps - eps_theta|^2, averaged over each sample's elements [N8; Ho 2020 eq. 14].

    Args:
        eps, eps_theta: (B, ...).
    Returns:
        (B,) in eps's dtype.
    """
    return ((eps - eps_theta) ** 2).reshape(len(eps), -1).mean(dim=1)


@equation("N8.bits_per_dim")
def bits_per_dim(nats: Tensor, num_dims: int) -> Tensor:
    """Bits per dimension: nats / (D ln 2), D = channels x height x width [N8; Ho 2020 table 1].

    Args:
        nats: any shape, per image; num_dims: D >= 1.
    """
    return nats / (num_dims * math.log(2))
