"""Rows N6 and N8, the chain as a whole: its moments carried through it step by step, for data whose law at every step is known."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.notes import chain
from ddpm_space.notes.checks.noising import random_betas, random_values
from ddpm_space.notes.checks.posterior import joint_covariance
from ddpm_space.notes.entry import Measured, compare, entry
from ddpm_space.notes.forward import q_step


def walked(beta: Tensor) -> list[Tensor]:
    """The signal's share abar after 0, 1, 2, ... single steps, from the variance of the noise, carried along: 1 - v."""
    variance = torch.zeros((), dtype=torch.float64)
    shares = [1 - variance]
    for step in beta:
        _, added = q_step(torch.zeros(1, dtype=torch.float64), step)
        variance = (1 - step) * variance + added
        shares.append(1 - variance)
    return shares


@entry(
    "N6.chain_alpha_bars",
    latex=r"\bar\alpha_t = \prod_{i=1}^{t}(1-\beta_i),\qquad \bar\alpha_s = \prod_{i=1}^{s}(1-\beta_i)\quad (s<t \text{: the next one visited})",
    zh="采样链每一步从哪个 ᾱ_t 走到哪个 ᾱ_s；跳步之后，s 不再是 t−1。",
    en="Which abar_t a step of the sampling chain leaves and which abar_s it reaches; after skipping steps, s is no longer t - 1.",
    source="Ho 2020 eq. 4",
    route_zh="从原图出发逐步递推噪声方差 v，ᾱ = 1 − v，再按访问次序取值",
    route_en="the variance v of the noise, carried from clean data step by step: abar = 1 - v, read off in the order of the visits",
)
def check_chain_alpha_bars(generator: torch.Generator) -> Measured:
    beta = random_betas(generator, 12)
    shares = walked(beta)
    visits = (torch.randperm(12, generator=generator)[:5]).sort(descending=True).values
    after = [int(t) + 1 for t in visits]  # the notes' t: how many steps have been taken
    right = torch.stack([torch.stack([shares[n] for n in after]), torch.stack([shares[n] for n in [*after[1:], 0]])])
    return compare(torch.stack(chain.chain_alpha_bars(beta, visits)), right, 1e-12)


@entry(
    "N6.shortened_betas",
    latex=r"\beta'_k = 1 - \frac{\bar\alpha(kT/K)}{\bar\alpha((k-1)T/K)},\qquad \prod_{k=1}^{K}(1-\beta'_k) = \bar\alpha_T",
    zh="把 T 步的链缩短成 K 步：每一步的 β 必须相应变大，链的终点才仍是标准高斯噪声。",
    en="A chain of T steps made into one of K: each beta must grow accordingly, or the end of the chain is not the prior N(0, I).",
    source="from Ho 2020 eq. 4",
    route_zh="分别沿两条链逐步递推均值与方差：终点（先验）与其间的整数时刻都必须相同",
    route_en="mean and variance carried along both chains step by step: the same end, which is the prior, and the same at whole times between",
)
def check_shortened_betas(generator: torch.Generator) -> Measured:
    beta = random_betas(generator, 60)
    shares = torch.stack(walked(beta))
    every_fifth = torch.stack(walked(chain.shortened_betas(beta, 12)))
    end = walked(chain.shortened_betas(beta, 7))[-1]
    # The prior itself: what is left of the image at the end is its share of 60 steps, a few millionths.
    return compare(torch.cat([every_fifth, end[None]]), torch.cat([shares[::5], shares[-1:]]), 1e-12)


@entry(
    "N8.ancestral_step",
    latex=r"x_s = \tilde\mu_t(x_t,\hat x_0) + \sigma_t\,z,\qquad z\sim\mathcal{N}(0,I),\quad z = 0 \text{ if } x_s \text{ is clean data}",
    zh="采样的一步：后验均值加上标准差为 σ_t 的噪声；最后一步不再加噪声。",
    en="One step of sampling: the posterior mean plus noise of standard deviation sigma_t; none on the last step.",
    source="Ho 2020 algorithm 2",
    route_zh="高斯数据配精确去噪器：沿整条链传播均值与方差，每一步都应等于数据加噪后的精确值，末步等于 E[x_0|x_1] 的分布",
    route_en="Gaussian data, exact denoiser: mean and variance carried down the chain are those of the noised data, and at last of E[x_0|x_1]",
)
def check_ancestral_step(generator: torch.Generator) -> Measured:
    alpha_bar = torch.cumprod(1 - random_betas(generator, 6), 0)
    centre, spread = float(random_values(generator, 1)), 0.4
    unit = torch.eye(3, dtype=torch.float64)
    # Each step is affine in (x_t, z): three calls give its offset, its slope and its noise.
    x_t, z = unit[1], unit[2]
    mean, variance = alpha_bar[-1].sqrt() * centre, alpha_bar[-1] * spread + 1 - alpha_bar[-1]
    left, right = [], []
    for t in range(5, -1, -1):
        alpha_bar_s = alpha_bar[t - 1] if t else torch.ones((), dtype=torch.float64)
        covariance = joint_covariance(alpha_bar[t], alpha_bar_s, spread)
        x_0_hat = centre + covariance[0, 2] / covariance[2, 2] * (x_t - alpha_bar[t].sqrt() * centre)
        sigma2 = covariance[1, 1] - covariance[1, 2] ** 2 / covariance[2, 2]
        offset, slope, noise = chain.ancestral_step(x_0_hat, x_t, alpha_bar[t], alpha_bar_s, sigma2, eps=z)
        slope, noise = slope - offset, noise - offset
        mean, variance = slope * mean + offset, slope**2 * variance + noise**2
        left += [mean, variance]
        right += [alpha_bar_s.sqrt() * centre, covariance[1, 1] - (sigma2 if t == 0 else 0)]
    return compare(torch.stack(left), torch.stack(right), 1e-10)
