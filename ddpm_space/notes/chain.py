"""The whole chain: which alpha_bar a step goes from and to, what fewer steps need, and the one step that sampling repeats (rows N6, N8).

Where these three are wrong, every single formula may be right and the samples are wrong all the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64
from ddpm_space.notes.entry import equation
from ddpm_space.notes.reverse import p_reverse_sample


@equation("N6.chain_alpha_bars")
def chain_alpha_bars(beta: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """abar_t and abar_s of every step of a chain that visits some timesteps only: products of 1 - beta up to each [N6; Ho 2020 eq. 4].

    Args:
        beta: (T,) variances of the single steps, in (0, 1]; timesteps: (K,) int64, strictly descending, each in [0, T).
    Returns:
        two float64 (K,): abar at each t, and at the s it steps to: the next one listed, after the last one clean data, where abar is 1.
    Raises:
        ValueError: an empty, unordered or out-of-range list, or an abar_s of 0, from which no step leads on.
    """
    alpha_bar = torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - as_float64(beta), dim=0)])
    t = torch.as_tensor(timesteps, device="cpu")
    if t.is_floating_point():
        raise ValueError(f"timesteps are {t.dtype}: use whole numbers")
    t = t.long()
    if t.ndim != 1 or t.numel() == 0 or bool((t[1:] >= t[:-1]).any()) or int(t[0]) >= len(alpha_bar) - 1 or int(t[-1]) < 0:
        raise ValueError(f"timesteps = {t.tolist()}: use a strictly descending list within 0..{len(alpha_bar) - 2}")
    s = torch.cat([t[1:], torch.tensor([-1])])
    # Below the smallest normal float64 the products have lost their digits, and the ratio abar_t / abar_s says nothing.
    lost = alpha_bar[s + 1] < torch.finfo(torch.float64).tiny
    if lost.any():
        first = int(s[lost][-1])
        raise ValueError(f"abar is 0 already at t = {first}, so nothing tells a later t from it: start the chain there, or use smaller betas")
    return alpha_bar[t + 1], alpha_bar[s + 1]


@equation("N6.shortened_betas")
def shortened_betas(beta: Tensor, steps: int) -> Tensor:
    """The betas of a chain of fewer steps that ends in the same noise: each takes the share of log abar that its piece of time holds [N6].

    A beta range made for T steps leaves the image in x_T when it is spread over fewer; sampling then starts where the chain never arrives.

    Args:
        beta: (T,) variances of the single steps, in (0, 1); steps: K, 1 to T.
    Returns:
        float64 (K,); the same abar_T, and the same abar at every k T / K that is a whole number.
    Raises:
        ValueError: steps outside 1..T, or a beta of 1, after which nothing of the image is left to share out.
    """
    beta = as_float64(beta)
    if bool((beta >= 1).any()):
        raise ValueError(f"beta[{int((beta >= 1).nonzero()[0])}] = 1: abar is 0 from there on and has no logarithm; use betas below 1")
    if not 1 <= steps <= len(beta):
        raise ValueError(f"steps = {steps}: use 1 to {len(beta)}, the steps of the chain to be shortened")
    log_alpha_bar = torch.cat([torch.zeros(1, dtype=torch.float64), torch.cumsum(torch.log1p(-beta), dim=0)])
    place = torch.linspace(0, len(beta), steps + 1, dtype=torch.float64)
    below = place.floor().long().clamp(max=len(beta) - 1)
    ends = torch.lerp(log_alpha_bar[below], log_alpha_bar[below + 1], place - below)
    return -torch.expm1(ends.diff())


@equation("N8.ancestral_step")
def ancestral_step(
    x_0_hat: Tensor,
    x_t: Tensor,
    alpha_bar_t: Coefficient,
    alpha_bar_s: Coefficient,
    sigma2_t: Coefficient,
    *,
    eps: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """One step of sampling: x_s = mu_theta + sigma_t z, and the mean itself, without noise, on the step to clean data [N8; Ho 2020 algorithm 2].

    Args:
        x_0_hat, x_t: (B, ...); alpha_bar_t, alpha_bar_s: in [0, 1], s < t, abar_s = 1 for clean data; sigma2_t: >= 0; each of shape () or (B,).
        eps: z, (B, ...), drawn if not given.
    Returns:
        x_s (B, ...).
    """
    sigma2 = torch.where(as_float64(alpha_bar_s) == 1, 0.0, as_float64(sigma2_t))
    return p_reverse_sample(x_0_hat, x_t, alpha_bar_t, alpha_bar_s, sigma2, eps=eps, generator=generator)
