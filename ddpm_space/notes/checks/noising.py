"""Rows N5 and N6: the forward process, checked by integration, recursion and simulation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.notes.entry import Measured, compare, entry
from ddpm_space.notes.forward import beta_between, q_between, q_cumulative, q_cumulative_sample, q_step, q_step_sample


def random_betas(generator: torch.Generator, steps: int) -> Tensor:
    """Draw the betas of a chain, float64 in (0.01, 0.4)."""
    return 0.01 + 0.39 * torch.rand(steps, generator=generator, dtype=torch.float64)


def random_values(generator: torch.Generator, *shape: int) -> Tensor:
    """Draw float64 standard normal values."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@entry(
    "N5.q_step",
    latex=r"q(x_t \mid x_{t-1}) = \mathcal{N}\big(\sqrt{1-\beta_t}\,x_{t-1},\ \beta_t I\big)",
    zh="前向单步加噪：把上一步缩小一点，再加入方差为 β_t 的高斯噪声。",
    en="One step of noising: shrink the last sample a little and add Gaussian noise of variance beta_t.",
    source="Sohl-Dickstein 2015 table App.1; Ho 2020 eq. 2",
    route_zh="用四阶龙格-库塔法积分朗之万方程（OU 过程）的均值与方差方程",
    route_en="the moments of the Ornstein-Uhlenbeck process, integrated by fourth-order Runge-Kutta",
)
def check_q_step(generator: torch.Generator) -> Measured:
    beta, x = random_betas(generator, 8), random_values(generator, 8)
    rate = -torch.log1p(-beta)  # beta(s), constant over a step of unit length

    def slope(state: Tensor) -> Tensor:
        mean, variance = state
        return torch.stack([-rate / 2 * mean, rate * (1 - variance)])

    state, h = torch.stack([x, torch.zeros_like(x)]), 1e-2
    for _ in range(100):
        k1 = slope(state)
        k2 = slope(state + h / 2 * k1)
        k3 = slope(state + h / 2 * k2)
        k4 = slope(state + h * k3)
        state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    mean, variance = q_step(x, beta)
    return compare(torch.stack([mean, variance]), state, 1e-10)


@entry(
    "N6.beta_between",
    latex=r"\beta_{t|s} = 1 - \frac{\bar\alpha_t}{\bar\alpha_s}",
    zh="从时刻 s 直接跳到时刻 t 所加的噪声方差。",
    en="The variance added by jumping from s straight to t.",
    source="Kingma 2021 eq. 23",
    route_zh="逐步递推方差 v ← (1 − β) v + β",
    route_en="the step-by-step recursion of the variance, v <- (1 - beta) v + beta",
)
def check_beta_between(generator: torch.Generator) -> Measured:
    beta = random_betas(generator, 12)
    alpha_bar = torch.cumprod(1 - beta, 0)
    variance = torch.zeros((), dtype=torch.float64)
    for step in beta[5:]:
        variance = (1 - step) * variance + step
    return compare(beta_between(alpha_bar[-1], alpha_bar[4]), variance, 1e-12)


@entry(
    "N6.q_between",
    latex=r"q(x_t \mid x_s) = \mathcal{N}\Big(\sqrt{\bar\alpha_t/\bar\alpha_s}\,x_s,\ \big(1-\bar\alpha_t/\bar\alpha_s\big) I\Big),\quad s<t",
    zh="任意两个时刻之间的加噪分布，由单步分布复合而成。",
    en="The noising between any two times, composed from single steps.",
    source="Kingma 2021 eq. 20-23",
    route_zh="逐步复合单步分布的均值与方差",
    route_en="mean and variance carried through the single steps one by one",
)
def check_q_between(generator: torch.Generator) -> Measured:
    beta, mean = random_betas(generator, 9), random_values(generator, 6)
    alpha_bar = torch.cumprod(1 - beta, 0)
    left = q_between(mean, alpha_bar[-1], alpha_bar[2])
    variance = torch.zeros((), dtype=torch.float64)
    for step in beta[3:]:
        mean, added = q_step(mean, step)
        variance = (1 - step) * variance + added
    return compare(torch.cat([left[0], left[1][None]]), torch.cat([mean, variance[None]]), 1e-12)


@entry(
    "N6.q_cumulative",
    latex=r"q(x_t \mid x_0) = \mathcal{N}\big(\sqrt{\bar\alpha_t}\,x_0,\ (1-\bar\alpha_t) I\big),\qquad \bar\alpha_t=\prod_{s\le t}(1-\beta_s)",
    zh="前向累计加噪：从原图一步跳到任意时刻，不必逐步模拟。",
    en="Noising in one jump: from the clean image straight to any time, without walking through the steps.",
    source="Sohl-Dickstein 2015; Ho 2020 eq. 4",
    route_zh="模拟 40 万条逐步加噪的链，比较终点的均值与方差（容差为 5 个标准误）",
    route_en="400,000 simulated chains of single steps: mean and variance at the end, within 5 standard errors",
)
def check_q_cumulative(generator: torch.Generator) -> Measured:
    chains, x_0 = 400_000, 1.7
    beta = random_betas(generator, 8)
    x = torch.full((chains,), x_0, dtype=torch.float64)
    for step in beta:
        x = q_step_sample(x, step, generator=generator)
    mean, variance = q_cumulative(torch.tensor([x_0], dtype=torch.float64), torch.prod(1 - beta))
    standard_errors = torch.stack([(variance / chains).sqrt(), variance * math.sqrt(2 / chains)])
    return compare(torch.stack([mean[0], variance]), torch.stack([x.mean(), x.var()]), 5 * standard_errors)


@entry(
    "N3.q_cumulative_sample",
    latex=r"x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon,\qquad \varepsilon\sim\mathcal{N}(0,I)",
    zh="重参数化：把随机性全部放进 ε，x_t 就是 x_0 与 ε 的线性组合。",
    en="Reparameterization: all randomness sits in eps, and x_t is a linear combination of x_0 and eps.",
    source="Ho 2020 section 3.2",
    route_zh="抽样 40 万次，比较 x_t 与 x_0、ε 的相关性（容差为 5 个标准误）",
    route_en="400,000 draws: the regression of x_t on x_0 and eps, and the variance of x_t, within 5 standard errors",
)
def check_q_cumulative_sample(generator: torch.Generator) -> Measured:
    draws, alpha_bar = 400_000, torch.prod(1 - random_betas(generator, 6))
    x_0, eps = random_values(generator, 2, draws)
    x_t = q_cumulative_sample(x_0, alpha_bar, eps=eps)
    # With x_0 and eps independent and of unit variance, each covariance is the coefficient itself, and x_t keeps unit variance.
    left = torch.stack([(x_t * x_0).mean(), (x_t * eps).mean(), x_t.var()])
    right = torch.stack([alpha_bar.sqrt(), (1 - alpha_bar).sqrt(), torch.ones((), dtype=torch.float64)])
    return compare(left, right, 5 * math.sqrt(2 / draws))
