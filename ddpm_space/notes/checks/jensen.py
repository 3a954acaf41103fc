"""Row N9, Jensen's inequality and the ELBO's gap: checked by known cases, the jackknife, narrow variables, and a Gaussian latent in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.notes import jensen
from ddpm_space.notes.checks.noising import random_values
from ddpm_space.notes.entry import Measured, compare, entry


def random_law(generator: torch.Generator, values: int) -> Tensor:
    """Draw the probabilities of `values` values, each at least a tenth of the largest; float64."""
    weights = 0.1 + 0.9 * torch.rand(values, generator=generator, dtype=torch.float64)
    return weights / weights.sum()


@entry(
    "N9.jensen_sides",
    latex=r"f\big(\mathbb{E}X\big) \ge \mathbb{E}f(X),\qquad \mathbb{E}X = \sum_i p_i x_i,"
    r"\quad \mathbb{E}f(X) = \sum_i p_i f(x_i)\qquad (f\ \text{concave})",
    zh="Jensen 不等式：对凹函数，先平均再取函数值，不小于先取函数值再平均。",
    en="Jensen's inequality: a concave function of the average is at least the average of the function.",
    source="Jensen 1906",
    route_zh="X = exp(cB)，B 为二项分布：E log X = cmp 与 log E X = m log(1 − p + p eᶜ)（矩母函数）都有已知公式",
    route_en="X = exp(c B) with B binomial: E log X = c m p and, from the moment generating function, log E X = m log(1 - p + p exp(c)) are known",
)
def check_jensen_sides(generator: torch.Generator) -> Measured:
    m, k = 12, torch.arange(13, dtype=torch.float64)
    p, c = 0.2 + 0.6 * torch.rand(2, generator=generator, dtype=torch.float64)
    choose = torch.tensor([math.comb(m, i) for i in range(m + 1)], dtype=torch.float64)
    law = choose * p**k * (1 - p) ** (m - k)
    left = torch.stack(jensen.jensen_sides(torch.log, torch.exp(c * k), law))
    return compare(left, torch.stack([m * torch.log(1 - p + p * c.exp()), c * m * p]), 1e-12)


@entry(
    "N9.jensen_second_order",
    latex=r"f\big(\mathbb{E}X\big) - \mathbb{E}f(X) \approx -\frac{1}{2} f''(\mathbb{E}X) \operatorname{Var}(X)",
    zh="变量集中时，Jensen 间隙约等于曲率乘以方差的一半：函数越弯、变量越散，间隙越大。",
    en="For a narrow variable the gap is half the curvature times the variance: more bend or more spread, more gap.",
    source="Taylor",
    route_zh="把 X 缩到均值附近千分之一的宽度，与按定义算出的间隙比较（容差为间隙的 1%）",
    route_en="X shrunk to a thousandth of its width about its mean, against the gap by its definition, within 1% of it",
)
def check_jensen_second_order(generator: torch.Generator) -> Measured:
    law, mean = random_law(generator, 6)[:, None], 1 + torch.rand(4, generator=generator, dtype=torch.float64)
    x = mean + 1e-3 * random_values(generator, 6, 4)
    gap = torch.log((law * x).sum(0)) - (law * torch.log(x)).sum(0)
    return compare(jensen.jensen_second_order(torch.log, x, law.expand(6, 4)), gap, 0.01 * gap)


@entry(
    "N9.jensen_sampled",
    latex=r"\hat g = f(\bar x) - \frac{1}{n}\sum_i f(x_i),\qquad \mathbb{E}\hat g - g \approx \frac{f''(\mathbb{E}X)\operatorname{Var}(X)}{2n}",
    zh="用样本估计 Jensen 间隙：除了统计误差，还有用样本均值代替期望带来的 1/n 阶偏差。",
    en="The gap from samples: besides its statistical error it has a bias of order 1/n, because the sample mean replaces the expectation.",
    source="delta method",
    route_zh="刀切法：逐个去掉一个样本重算间隙，得到标准误与偏差（容差为 2%，二者相差 1/n 阶）",
    route_en="the jackknife: the gap recomputed without each sample in turn gives error and bias, within 2% (they differ at order 1/n)",
)
def check_jensen_sampled(generator: torch.Generator) -> Measured:
    n = 4_000
    x = torch.exp(0.5 * random_values(generator, n))
    logs = torch.log(x)
    without = torch.log((x.sum() - x) / (n - 1)) - (logs.sum() - logs) / (n - 1)
    gap = torch.logsumexp(logs, 0) - math.log(n) - logs.mean()
    right = torch.stack([gap, without.std(correction=0) * math.sqrt(n - 1), (n - 1) * (without.mean() - gap)])
    return compare(torch.stack([*jensen.jensen_sampled(torch.log, x)]), right, 0.02 * right.abs())


@entry(
    "N9.elbo_gap",
    latex=r"\log p(x) = \log\left(\sum_{z=1}^{n} p_z\right) = \underbrace{\sum_{z=1}^{n} q_z \log\left(\frac{p_z}{q_z}\right)}_{\mathrm{ELBO}}"
    r" + \underbrace{\sum_{z=1}^{n} q_z \log\left(\frac{q_z}{p_z / p(x)}\right)}_{\mathrm{KL}(q(z \mid x)\,\|\,p(z \mid x)) \ge 0},"
    r"\quad p_z = p(x,z),\ q_z = q(z \mid x)",
    zh="变分下界（ELBO）：对数似然不小于 ELBO，差额恰好是 q 与真实后验之间的 KL 散度。",
    en="The evidence lower bound: the log-likelihood is at least the ELBO, and what is missing is exactly the KL from q to the true posterior.",
    source="Kingma 2014 eq. 1-2",
    route_zh="线性高斯模型 z ~ N(0, 1)，x|z ~ N(z, s²)，q 为任意高斯：log p、ELBO 与 KL 各有解析式，与网格上的求和比较",
    route_en="z ~ N(0, 1), x|z ~ N(z, s^2) and any Gaussian q: log p, ELBO and KL in closed form, against the sums over a grid of z",
)
def check_elbo_gap(generator: torch.Generator) -> Measured:
    x, m = random_values(generator, 2, 8)
    s2, v = 0.3 + torch.rand(2, 8, generator=generator, dtype=torch.float64)
    normal = torch.distributions.Normal
    z = torch.linspace(-14, 14, 4_001, dtype=torch.float64)[:, None]
    log_width = math.log(28 / 4_000)
    log_joint = normal(0.0, 1.0).log_prob(z) + normal(z, s2.sqrt()).log_prob(x) + log_width
    left = jensen.elbo_gap(log_joint, normal(m, v.sqrt()).log_prob(z) + log_width)
    log_p = normal(0.0, (1 + s2).sqrt()).log_prob(x)
    elbo = -0.5 * (torch.log(2 * math.pi * s2) + ((x - m) ** 2 + v) / s2 + m**2 + v - 1 - torch.log(v))
    kl = torch.distributions.kl_divergence(normal(m, v.sqrt()), normal(x / (1 + s2), (s2 / (1 + s2)).sqrt()))
    return compare(torch.stack([*left]), torch.stack([log_p, elbo, kl]), 1e-9)
