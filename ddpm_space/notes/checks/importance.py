"""Row N9, bounds from log-weights: checked on weights of two values, where every expectation is a finite sum over how often each came up.

All groups of k draws from two equally likely values are a data set of 2^k groups, whose averages are expectations exactly: nothing is left to chance.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.notes import importance
from ddpm_space.notes.checks.noising import random_values
from ddpm_space.notes.entry import Measured, compare, entry


def two_weights(generator: torch.Generator) -> Tensor:
    """Draw two weights, (2,) float64 in (1.2, 2.2) and (3, 6): far enough from 1 that no logarithm is near 0."""
    return torch.tensor([1.2, 3.0], dtype=torch.float64) + torch.tensor([1.0, 3.0]) * torch.rand(2, generator=generator, dtype=torch.float64)


def every_group(weights: Tensor, k: int) -> Tensor:
    """The log-weights of all 2^k equally likely groups, one after the other: (2^k k,)."""
    places = torch.arange(2**k)[:, None] >> torch.arange(k) & 1
    return torch.log(weights)[places].reshape(-1)


def binomial(k: int, p: float = 0.5) -> Tensor:
    """The probabilities of 0..k successes in k trials, (k + 1,) float64, from log factorials."""
    count = torch.arange(k + 1, dtype=torch.float64)
    log_choose = math.lgamma(k + 1) - torch.lgamma(count + 1) - torch.lgamma(k - count + 1)
    return torch.exp(log_choose + count * math.log(p) + (k - count) * math.log1p(-p))


def log_means(weights: Tensor, k: int) -> Tensor:
    """log of the mean weight when the second value came up 0..k times in k draws: (k + 1,)."""
    share = torch.arange(k + 1, dtype=torch.float64) / k
    return torch.log((1 - share) * weights[0] + share * weights[1])


def error_of_mean(law: Tensor, values: Tensor, groups: int) -> Tensor:
    """Standard error that a set of `groups` groups with exactly this law shows: its spread about the mean has groups - 1 degrees of freedom."""
    mean = (law * values).sum()
    return ((law * (values - mean) ** 2).sum() / (groups - 1)).sqrt()


@entry(
    "N9.elbo",
    latex=r"\mathrm{ELBO} = \mathbb{E}_{z \sim q} \log w(z),\quad w = \frac{p(x,z)}{q(z \mid x)},\quad \hat L = \frac{1}{n}\sum_{i=1}^{n} \log(w_i),"
    r"\quad \text{s.e.} = \sqrt{\frac{1}{n(n-1)}\sum_{i=1}^{n} \big(\log(w_i) - \hat L\big)^2}",
    zh="ELBO 是对数权重的平均：样本均值无偏，并附标准误。",
    en="The ELBO is the mean log-weight: a sample mean, unbiased, with its standard error.",
    source="Ho 2020 eq. 3",
    route_zh="只取两个值的权重：均值与标准误由二项分布写出",
    route_en="weights of two values: mean and standard error from the binomial law",
)
def check_elbo(generator: torch.Generator) -> Measured:
    weights, ones, n = two_weights(generator), int(torch.randint(20, 80, (), generator=generator)), 100
    low, high = torch.log(weights)
    share = ones / n
    left = importance.elbo(torch.cat([low.expand(n - ones), high.expand(ones)]))
    right = torch.stack([low + share * (high - low), (high - low) * math.sqrt(share * (1 - share) / (n - 1))])
    return compare(torch.stack([*left]), right, 1e-12)


@entry(
    "N9.iwae",
    latex=r"\mathrm{IWAE}_k = \mathbb{E} \log \frac{1}{k}\sum_{i=1}^{k} w_i,\qquad"
    r" \log p(x) \ge \mathrm{IWAE}_{k+1} \ge \mathrm{IWAE}_k \ge \mathrm{IWAE}_1 = \mathrm{ELBO}",
    zh="重要性加权下界：先把 k 条轨迹的权重平均，再取对数；k 越大越接近对数似然。",
    en="The importance-weighted bound: average the weights of k trajectories, then take the log; the larger k, the closer to the log-likelihood.",
    source="Burda 2016 eq. 8, theorem 1",
    route_zh="枚举两值权重的全部 2ᵏ 组，与按二项分布求的期望与方差比较",
    route_en="all 2^k groups of weights of two values, against expectation and variance summed over the binomial law",
)
def check_iwae(generator: torch.Generator) -> Measured:
    k, weights = 8, two_weights(generator)
    law, values = binomial(k), log_means(weights, k)
    right = torch.stack([(law * values).sum(), error_of_mean(law, values, 2**k)])
    return compare(torch.stack([*importance.iwae(every_group(weights, k), k)]), right, 1e-12)


@entry(
    "N9.iwae_rise",
    latex=r"\mathrm{IWAE}_k - \mathrm{IWAE}_j = \mathbb{E}\Big[\log \frac{1}{k}\sum_{i=1}^{k} w_i"
    r" - \frac{j}{k}\sum_{g=1}^{k/j} \log \frac{1}{j}\sum_{i \in g} w_i\Big] \ge 0",
    zh="用同一批随机数比较两个下界：每一组里的差都不为负，差的误差也小得多。",
    en="Two bounds on the same random numbers: the difference is never negative in any group, and its error is much smaller.",
    source="Burda 2016 theorem 1",
    route_zh="枚举全部 2ᵏ 组，与对两个半组各自的二项分布求和的均值与方差比较",
    route_en="all 2^k groups, against mean and variance summed over the binomial laws of the two halves",
)
def check_iwae_rise(generator: torch.Generator) -> Measured:
    j, weights = 4, two_weights(generator)
    half, fine = binomial(j), log_means(weights, j)
    count = torch.arange(j + 1)
    rise = log_means(weights, 2 * j)[count[:, None] + count] - (fine[:, None] + fine) / 2
    law = half[:, None] * half
    right = torch.stack([(law * rise).sum(), error_of_mean(law, rise, 2 ** (2 * j))])
    return compare(torch.stack([*importance.iwae_rise(every_group(weights, 2 * j), j, 2 * j)]), right, 1e-12)


@entry(
    "N9.relative_variance",
    latex=r"\hat v = \frac{1}{n-1}\sum_{i=1}^{n} \left(\frac{w_i}{\bar w} - 1\right)^2,\quad \bar w = \frac{1}{n}\sum_{i=1}^{n} w_i",
    zh="权重的相对方差：重要性加权下界在 k 较大时离 log p 有多远，就由它决定。",
    en="The weights' relative variance: for large k, the one number that decides how far an importance-weighted bound is from log p.",
    source="Nowozin 2018",
    route_zh="对数正态权重：相对方差为 exp(σ²) − 1（取 4 万个等概率分位点，容差 1%）",
    route_en="log-normal weights: it is exp(sigma^2) - 1 (40,000 equally likely quantiles, within 1%)",
)
def check_relative_variance(generator: torch.Generator) -> Measured:
    n, sigma, shift = 40_000, 0.2 + 0.2 * torch.rand((), generator=generator, dtype=torch.float64), random_values(generator, 3)
    quantiles = torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)
    right = torch.expm1(sigma**2).expand(3)
    return compare(importance.relative_variance(100 * shift + sigma * quantiles[:, None]), right, 0.01 * right)


@entry(
    "N9.iwae_gap",
    latex=r"\log p(x) - \mathrm{IWAE}_k = b_k + O\big(k^{-2}\big),\quad b_k = \frac{\hat v}{2 k}",
    zh="IWAE 与对数似然之差约为权重相对方差的 1/(2k)：轨迹翻倍，差额减半。",
    en="What the importance-weighted bound misses is the weights' relative variance over 2k: twice the trajectories, half the gap.",
    source="Nowozin 2018 proposition 1",
    route_zh="两值权重的 log p − IWAE_k 由二项分布精确求和（k = 500，容差 2%）",
    route_en="log p - IWAE_k of two-valued weights, summed exactly over the binomial law (k = 500, within 2%)",
)
def check_iwae_gap(generator: torch.Generator) -> Measured:
    k, weights = 500, two_weights(generator)
    exact = torch.log(weights.mean()) - (binomial(k) * log_means(weights, k)).sum()
    return compare(importance.iwae_gap(torch.log(weights).repeat(5_000), k), exact, 0.02 * exact)


@entry(
    "N9.log_mean",
    latex=r"\widehat{\log p} = \log\left(\frac{1}{n}\sum_{i=1}^{n} w_i\right),\quad \text{s.e.} = \sqrt{\frac{\hat v}{n}},\quad"
    r" \text{bias} = -\frac{\hat v}{2 n}",
    zh="用全部 n 条轨迹估计 log p：平均权重的对数，附 delta 法的标准误与偏差。",
    en="log p from all n trajectories: the log of the mean weight, with its standard error and bias by the delta method.",
    source="delta method",
    route_zh="两值权重：log(平均权重) 的均值与标准差由二项分布精确求和（n = 1000，容差 1%）",
    route_en="two-valued weights: mean and spread of the log of the mean weight, summed exactly over the binomial law (n = 1000, within 1%)",
)
def check_log_mean(generator: torch.Generator) -> Measured:
    n, weights = 1_000, two_weights(generator)
    law, values = binomial(n), log_means(weights, n)
    log_p, mean = torch.log(weights.mean()), (law * values).sum()
    right = torch.stack([log_p, (law * (values - mean) ** 2).sum().sqrt(), mean - log_p])
    return compare(torch.stack([*importance.log_mean(torch.log(weights).repeat(n // 2))]), right, 0.01 * right.abs())


@entry(
    "N9.jackknife",
    latex=r"\hat L = n L_n - \frac{n-1}{n}\sum_{i=1}^{n} L_{n-1}^{(-i)},\qquad L_n = \log\frac{1}{n}\sum_{i=1}^{n} w_i",
    zh="刀切法去偏：逐个去掉一条轨迹，消去 1/n 阶偏差；结果更准，但不再是下界。",
    en="The jackknife: leaving out one trajectory at a time removes the bias of order 1/n; closer to log p, but no bound any more.",
    source="Nowozin 2018 (JVI of order 1)",
    route_zh="对全部 2ⁿ 组求平均，应等于 n·IWAE_n − (n−1)·IWAE_{n−1}（二项分布求和）；标准误与 delta 法比较（容差 1%）",
    route_en="averaged over all 2^n groups it is n IWAE_n - (n-1) IWAE_{n-1} by the binomial law; its error against the delta method's, within 1%",
)
def check_jackknife(generator: torch.Generator) -> Measured:
    n, weights = 6, two_weights(generator)
    groups = every_group(weights, n).reshape(-1, n).T
    bounds = [(binomial(k) * log_means(weights, k)).sum() for k in (n, n - 1)]
    many = torch.exp(0.3 * random_values(generator, 4_000))
    right = torch.stack([n * bounds[0] - (n - 1) * bounds[1], many.std() / many.mean() / math.sqrt(len(many))])
    value, _ = importance.jackknife(groups)
    _, error = importance.jackknife(torch.log(many))
    return compare(torch.stack([value.mean(), error]), right, torch.tensor([1e-12, 0.01 * float(right[1])]))


@entry(
    "N9.effective_sample_size",
    latex=r"\mathrm{ESS} = \frac{\left(\sum_{i=1}^{n} w_i\right)^2}{\sum_{i=1}^{n} w_i^2}",
    zh="有效样本数：这些不等的权重相当于多少个相等的权重；从 1 到 n。",
    en="The effective sample size: how many equal weights these unequal ones are worth, from 1 to n.",
    source="Kong 1994",
    route_zh="独立单位噪声按权重平均，其方差应为 1/ESS（6 万次，容差为 5 个标准误）；m 个相等权重应恰为 m",
    route_en="the weighted mean of independent unit noise has variance 1/ESS (60,000 draws, within 5 standard errors); m equal weights give m",
)
def check_effective_sample_size(generator: torch.Generator) -> Measured:
    draws, log_weights = 60_000, random_values(generator, 12)
    weights = log_weights.exp() / log_weights.exp().sum()
    variance = (torch.randn(draws, 12, generator=generator, dtype=torch.float64) @ weights).var()
    equal = torch.full((12,), -torch.inf, dtype=torch.float64)
    equal[3:8] = 2.5
    left = torch.stack([importance.effective_sample_size(log_weights), importance.effective_sample_size(equal)])
    right = torch.stack([1 / variance, torch.tensor(5.0, dtype=torch.float64)])
    return compare(left, right, torch.tensor([5 * math.sqrt(2 / draws) / float(variance), 1e-12]))
