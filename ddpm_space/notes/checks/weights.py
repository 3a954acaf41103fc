"""Row N8, the weights of the terms: checked through the divergences themselves, by information theory and by noising one image three ways."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from ddpm_space.notes import weights
from ddpm_space.notes.checks.noising import random_values
from ddpm_space.notes.checks.posterior import two_times
from ddpm_space.notes.entry import Measured, compare, entry
from ddpm_space.notes.reverse import q_posterior


def divergence_difference(generator: torch.Generator, error: str) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """By how much a unit error in eps, x_0 or v raises KL(posterior || model's step), by torch's own divergence of Gaussians.

    Returns:
        the rise (6,) a unit of squared error, and sigma2, alpha_bar_t, alpha_bar_s that it belongs to.
    """
    alpha_bar_t, alpha_bar_s = two_times(generator)
    sigma2 = 0.05 + 0.3 * torch.rand((), generator=generator, dtype=torch.float64)
    x_0, x_t, offset = random_values(generator, 3, 6)
    signal, noise = alpha_bar_t.sqrt(), (1 - alpha_bar_t).sqrt()
    # x_t = signal x_0 + noise eps at fixed x_t, and v turns (x_0, eps) by a right angle: what an error of each does to x_0_hat.
    shift = {"eps": -noise / signal * offset, "x_0": offset, "v": -noise * offset}[error]
    mean, variance = q_posterior(x_0, x_t, alpha_bar_t, alpha_bar_s)
    wrong, _ = q_posterior(x_0 + shift, x_t, alpha_bar_t, alpha_bar_s)
    posterior, scale = Normal(mean, variance.sqrt()), sigma2.sqrt()
    rise = kl_divergence(posterior, Normal(wrong, scale)) - kl_divergence(posterior, Normal(mean, scale))
    return rise / offset**2, sigma2, alpha_bar_t, alpha_bar_s, offset


RISE_ROUTE = {
    "route_zh": "用 torch.distributions 计算 KL 散度：预测偏离一点后 KL 增加多少，除以偏差的平方",
    "route_en": "torch.distributions' KL: how much an error in the prediction raises the divergence, over the squared error",
}


@entry(
    "N8.eps_weight",
    latex=r"w_\varepsilon = \frac{\beta_{t|s}^2}{2\,\sigma_t^2\,(1-\beta_{t|s})\,(1-\bar\alpha_t)}",
    zh="变分下界给噪声误差的权重；L_simple 把它换成 1。",
    en="The bound's weight on the error of the noise; L_simple puts 1 in its place.",
    source="Ho 2020 eq. 12",
    **RISE_ROUTE,
)
def check_eps_weight(generator: torch.Generator) -> Measured:
    rise, *coefficients, _ = divergence_difference(generator, "eps")
    return compare(weights.eps_weight(*coefficients), rise, 1e-8 * rise)


@entry(
    "N8.x_0_weight",
    latex=r"w_{x_0} = \frac{\bar\alpha_s\,\beta_{t|s}^2}{2\,\sigma_t^2\,(1-\bar\alpha_t)^2}",
    zh="同一项写成原图误差时的权重。",
    en="The weight when the same term is written as an error of x_0.",
    source="from Ho 2020 eq. 7-8",
    **RISE_ROUTE,
)
def check_x_0_weight(generator: torch.Generator) -> Measured:
    rise, *coefficients, _ = divergence_difference(generator, "x_0")
    return compare(weights.x_0_weight(*coefficients), rise, 1e-8 * rise)


@entry(
    "N8.v_weight",
    latex=r"w_v = \frac{\bar\alpha_s\,\beta_{t|s}^2}{2\,\sigma_t^2\,(1-\bar\alpha_t)}",
    zh="同一项写成 v 的误差时的权重。",
    en="The weight when the same term is written as an error of v.",
    source="from Salimans 2022 appendix D",
    **RISE_ROUTE,
)
def check_v_weight(generator: torch.Generator) -> Measured:
    rise, *coefficients, _ = divergence_difference(generator, "v")
    return compare(weights.v_weight(*coefficients), rise, 1e-8 * rise)


@entry(
    "N8.snr",
    latex=r"\mathrm{SNR}(t) = \frac{\bar\alpha_t}{1-\bar\alpha_t}",
    zh="信噪比：x_t 里信号与噪声的方差之比。",
    en="The ratio of the signal's variance to the noise's in x_t.",
    source="Kingma 2021 eq. 2",
    route_zh="抽样 40 万次，把 x_t 对 x_0 作线性回归：已解释方差与残差方差之比（容差为 5 个标准误）",
    route_en="400,000 draws: x_t regressed on x_0, explained over unexplained variance, within 5 standard errors",
)
def check_snr(generator: torch.Generator) -> Measured:
    draws, (alpha_bar, _) = 400_000, two_times(generator)
    x_0, eps = random_values(generator, 2, draws)
    x_t = alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps
    covariance = torch.cov(torch.stack([x_0, x_t]))
    explained = covariance[0, 1] ** 2 / covariance[0, 0]
    measured = explained / (covariance[1, 1] - explained)
    # By the delta method, Var[log SNR] of the regression is 4 / (n SNR) from the slope, 2 / n from each of the two variances.
    return compare(weights.snr(alpha_bar), measured, 5 * measured * torch.sqrt((4 / measured + 4) / draws))


@entry(
    "N8.alpha_bar_from_snr",
    latex=r"\bar\alpha_t = \frac{\mathrm{SNR}(t)}{1+\mathrm{SNR}(t)}",
    zh="由信噪比反求 ᾱ_t，即 log SNR 的 sigmoid。",
    en="abar_t from the signal-to-noise ratio: the sigmoid of log SNR.",
    source="Kingma 2021 section 3.2",
    route_zh="对 log SNR 取 torch.sigmoid",
    route_en="torch.sigmoid of log SNR",
)
def check_alpha_bar_from_snr(generator: torch.Generator) -> Measured:
    log_snr = 4 * random_values(generator, 8)
    return compare(weights.alpha_bar_from_snr(log_snr.exp()), torch.sigmoid(log_snr), 1e-12)


@entry(
    "N8.snr_weight",
    latex=r"w_{x_0} = \frac{1}{2}\big(\mathrm{SNR}(s)-\mathrm{SNR}(t)\big),\qquad L_{t-1}=w_{x_0}\,\|x_0-\hat x_0\|^2",
    zh="方差取 β̃ 时，这一项只看信噪比的差，与噪声调度的其余细节无关。",
    en="With the variance beta_tilde the term knows the schedule only through the two signal-to-noise ratios.",
    source="Kingma 2021, discrete-time loss",
    route_zh="用 torch.distributions 计算两个方差为 β̃ 的高斯之间的 KL 散度",
    route_en="torch.distributions' KL between two Gaussians of variance beta_tilde",
)
def check_snr_weight(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    x_0, x_0_hat, x_t = random_values(generator, 3, 6)
    mean, variance = q_posterior(x_0, x_t, alpha_bar_t, alpha_bar_s)
    wrong, _ = q_posterior(x_0_hat, x_t, alpha_bar_t, alpha_bar_s)
    nats = kl_divergence(Normal(mean, variance.sqrt()), Normal(wrong, variance.sqrt()))
    weight = weights.snr_weight(alpha_bar_t / (1 - alpha_bar_t), alpha_bar_s / (1 - alpha_bar_s))
    return compare(weight * (x_0 - x_0_hat) ** 2, nats, 1e-8 * nats)


@entry(
    "N8.continuous_bound",
    latex=r"L_\infty = \tfrac{1}{2}\int_{\log\mathrm{SNR}_{\min}}^{\log\mathrm{SNR}_{\max}}"
    r" \mathbb{E}\,\|\varepsilon-\varepsilon_\theta\|^2\; d\log\mathrm{SNR}",
    zh="步数趋于无穷时的下界：只与信噪比的两端有关，与中间的噪声调度无关。",
    en="The bound for infinitely many steps: only the two ends of the signal-to-noise ratio matter, not the schedule between them.",
    source="Kingma 2021, continuous-time loss",
    route_zh="数据为高斯时，最优去噪器的这个积分是互信息之差 ½ log (1 + v·SNR_max)/(1 + v·SNR_min)（I-MMSE）",
    route_en="Gaussian data, best denoiser: the integral is a difference of mutual informations, half the log of (1 + v SNR_max) / (1 + v SNR_min)",
)
def check_continuous_bound(generator: torch.Generator) -> Measured:
    variance = 0.2 + 2 * torch.rand(4, generator=generator, dtype=torch.float64)
    log_snr = torch.linspace(6, -7, 2_001, dtype=torch.float64)
    snr = log_snr.exp()[:, None]
    # The best guess of x_0 is off by 1 / (1 / variance + SNR), and an error of eps is SNR times that of x_0.
    left = weights.continuous_bound(log_snr, snr / (1 / variance + snr))
    information = 0.5 * torch.log1p(variance * math.exp(6)) - 0.5 * torch.log1p(variance * math.exp(-7))
    return compare(left, information, 1e-8)


def min_snr_reference(generator: torch.Generator) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """An error of x_0, and the errors of eps and v that are the same mistake at the same x_t; with the loss that min-SNR puts on it."""
    alpha_bar = torch.linspace(0.02, 0.98, 25, dtype=torch.float64)
    snr, offset = alpha_bar / (1 - alpha_bar), random_values(generator, 25)
    squares = {"x_0": offset**2, "eps": (alpha_bar.sqrt() * offset) ** 2 / (1 - alpha_bar), "v": offset**2 / (1 - alpha_bar)}
    loss = torch.minimum(snr, torch.full_like(snr, 5.0)) * offset**2
    return snr, loss, squares


MIN_SNR_ROUTE = {
    "route_zh": "同一个 x_t 上的同一个错误，分别写成 x_0、ε、v 的误差：三种权重给出的损失必须相同",
    "route_en": "one mistake at one x_t, written as an error of x_0, of eps and of v: the three weights must give one loss",
}


@entry(
    "N8.min_snr_weight_eps",
    latex=r"w_\varepsilon = \frac{\min(\mathrm{SNR},\gamma)}{\mathrm{SNR}}",
    zh="min-SNR 加权用在预测噪声的网络上：压低几乎无噪声的时刻。",
    en="min-SNR weighting for a network that predicts the noise: it holds the nearly clean times down.",
    source="Hang 2023 section 3.4",
    **MIN_SNR_ROUTE,
)
def check_min_snr_weight_eps(generator: torch.Generator) -> Measured:
    snr, loss, squares = min_snr_reference(generator)
    return compare(weights.min_snr_weight_eps(snr, 5.0) * squares["eps"], loss, 1e-12)


@entry(
    "N8.min_snr_weight_x_0",
    latex=r"w_{x_0} = \min(\mathrm{SNR},\gamma)",
    zh="min-SNR 加权用在预测原图的网络上。",
    en="min-SNR weighting for a network that predicts x_0.",
    source="Hang 2023 section 3.4",
    **MIN_SNR_ROUTE,
)
def check_min_snr_weight_x_0(generator: torch.Generator) -> Measured:
    snr, loss, squares = min_snr_reference(generator)
    return compare(weights.min_snr_weight_x_0(snr, 5.0) * squares["x_0"], loss, 1e-12)


@entry(
    "N8.min_snr_weight_v",
    latex=r"w_v = \frac{\min(\mathrm{SNR},\gamma)}{\mathrm{SNR}+1}",
    zh="min-SNR 加权用在预测 v 的网络上。",
    en="min-SNR weighting for a network that predicts v.",
    source="Hang 2023 section 3.4",
    **MIN_SNR_ROUTE,
)
def check_min_snr_weight_v(generator: torch.Generator) -> Measured:
    snr, loss, squares = min_snr_reference(generator)
    return compare(weights.min_snr_weight_v(snr, 5.0) * squares["v"], loss, 1e-12)
