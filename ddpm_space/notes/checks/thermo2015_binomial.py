"""Row N4, the binomial kernel: checked by matrices over all states of a few bits and Bayes' formula by brute force."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.notes import thermo2015_binomial as binomial
from ddpm_space.notes.checks.noising import random_betas
from ddpm_space.notes.checks.posterior import two_times
from ddpm_space.notes.checks.thermo2015_states import all_states, bayes, ones_share, transition
from ddpm_space.notes.entry import Measured, compare, entry

RATE = 0.3
"""Away from 1/2, so that a 0 and a 1 cannot be mistaken for each other."""


def random_probabilities(generator: torch.Generator, *shape: int) -> Tensor:
    """Draw float64 values in (0.02, 0.98)."""
    return 0.02 + 0.96 * torch.rand(*shape, generator=generator, dtype=torch.float64)


@entry(
    "N4.beta_erase",
    latex=r"\beta_t = \frac{1}{T-t+1},\qquad t=1,\dots,T",
    zh="二项扩散的噪声调度：每一步都抹去同样多（1/T）的信号，走完 T 步时恰好一点不剩。",
    en="The schedule of binomial diffusion: every step erases the same share 1/T of the signal, and after T steps none is left.",
    source="Sohl-Dickstein 2015 section 2.4.1",
    route_zh="逐步相乘：剩下的信号 ∏(1 − β) 应当从 1 匀速降到 0",
    route_en="step by step: what is left of the signal, the product of (1 - beta), must fall from 1 to 0 in equal parts",
)
def check_beta_erase(generator: torch.Generator) -> Measured:
    steps = int(torch.randint(2, 50, (), generator=generator))
    left = torch.cumprod(1 - binomial.beta_erase(steps), 0)
    return compare(left, torch.linspace(1, 0, steps + 1, dtype=torch.float64)[1:], 1e-12)


@entry(
    "N4.q_step_bits",
    latex=r"q(x_t = 1 \mid x_{t-1}) = x_{t-1}\,(1-\beta_t) + \pi_1\,\beta_t",
    zh="二项前向单步加噪：以概率 1 − β_t 保留这个比特，否则按平稳概率 π_1（论文的表里是 0.5）重新抽一个。",
    en="One step of binomial noising: keep the bit with probability 1 - beta_t, otherwise draw a new one that is 1 at the stationary rate pi_1"
    " (0.5 in the paper's table).",
    source="Sohl-Dickstein 2015 table App.1",
    route_zh="连续时间两状态马尔可夫链的转移矩阵：生成元的矩阵指数",
    route_en="the two-state Markov chain in continuous time: the matrix exponential of its generator",
)
def check_q_step_bits(generator: torch.Generator) -> Measured:
    beta = random_betas(generator, 8)
    leaving = torch.tensor([[-RATE, RATE], [1 - RATE, RATE - 1]], dtype=torch.float64)
    kernel = torch.linalg.matrix_exp(-torch.log1p(-beta)[:, None, None] * leaving)
    bits = torch.tensor([0.0, 1.0], dtype=torch.float64).expand(8, 2)
    return compare(binomial.q_step_bits(bits, beta, rate=RATE), kernel[:, :, 1], 1e-12)


@entry(
    "N4.q_cumulative_bits",
    latex=r"q(x_t = 1 \mid x_0) = \bar\alpha_t\,x_0 + \pi_1\,(1-\bar\alpha_t),\qquad \bar\alpha_t=\prod_{s\le t}(1-\beta_s)",
    zh="二项前向累计加噪：到 t 时比特仍未被重抽的概率是 ᾱ_t（这里没有平方根）。",
    en="Binomial noising in one jump: abar_t is the chance that the bit has not been drawn anew by time t (no square root here).",
    source="composed from Sohl-Dickstein 2015 table App.1",
    route_zh="把每一步的 2×2 转移矩阵依次相乘",
    route_en="the 2 x 2 transition matrices of the single steps, multiplied one by one",
)
def check_q_cumulative_bits(generator: torch.Generator) -> Measured:
    beta = random_betas(generator, 9)
    product = torch.eye(2, dtype=torch.float64)
    for step in beta:
        product = product @ transition(1 - step, RATE, 1)
    bits = torch.tensor([0.0, 1.0], dtype=torch.float64)
    return compare(binomial.q_cumulative_bits(bits, torch.prod(1 - beta), rate=RATE), product[:, 1], 1e-12)


@entry(
    "N4.q_posterior_bits",
    latex=r"q(x_s = 1 \mid x_t, x_0) = \frac{q(x_t \mid x_s = 1)\,q(x_s = 1 \mid x_0)}{\sum_{x_s \in \{0,1\}} q(x_t \mid x_s)\,q(x_s \mid x_0)}",
    zh="已知 x_t 和 x_0 时，较早时刻的比特 x_s 是 1 的概率（贝叶斯公式）。",
    en="The chance that the earlier bit x_s was 1 when x_t and x_0 are both known (by Bayes).",
    source="Bayes, from Sohl-Dickstein 2015 table App.1",
    route_zh="三个比特的全部 8 个状态：对 x_s 的每个取值用贝叶斯公式，再逐位求和",
    route_en="all 8 states of three bits: Bayes for every x_s, summed bit by bit",
)
def check_q_posterior_bits(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    states = all_states(3)
    first, last = transition(alpha_bar_s, RATE, 3), transition(alpha_bar_t / alpha_bar_s, RATE, 3)
    weight = first[:, None, :] * last.T[None]  # (x_0, x_t, x_s)
    posterior = ones_share(weight / weight.sum(-1, keepdim=True))
    x_0, x_t = states[:, None].expand(8, 8, 3), states[None].expand(8, 8, 3)
    return compare(binomial.q_posterior_bits(x_0, x_t, alpha_bar_t, alpha_bar_s, rate=RATE), posterior, 1e-12)


@entry(
    "N4.p_reverse_bits",
    latex=r"p_\theta(x_s = 1 \mid x_t) = (1-\hat x_0)\,q(x_s = 1 \mid x_t, 0) + \hat x_0\,q(x_s = 1 \mid x_t, 1)",
    zh="模型的反向一步：按预测的“原比特是 1 的概率”把两种后验加权平均。",
    en="The model's reverse step: the two posteriors, weighted by the predicted chance that the clean bit is 1.",
    source="f_b of Sohl-Dickstein 2015 table App.1",
    route_zh="三个互相关联的比特：用贝叶斯公式求 E[x_0|x_t]，结果应等于 8 个状态上真正的 q(x_s = 1|x_t)",
    route_en="three dependent bits: given E[x_0|x_t] by Bayes, it must be the true q(x_s = 1|x_t) over all 8 states",
)
def check_p_reverse_bits(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    law = torch.softmax(2 * torch.randn(8, generator=generator, dtype=torch.float64), 0)
    x_0_hat = ones_share(bayes(law, transition(alpha_bar_t, RATE, 3)))
    truth = ones_share(bayes(law @ transition(alpha_bar_s, RATE, 3), transition(alpha_bar_t / alpha_bar_s, RATE, 3)))
    return compare(binomial.p_reverse_bits(x_0_hat, all_states(3), alpha_bar_t, alpha_bar_s, rate=RATE), truth, 1e-12)


@entry(
    "N4.entropy_bernoulli",
    latex=r"h(p) = -p\,\log p - (1-p)\,\log(1-p)",
    zh="一个比特的熵；p = 1/2 时最大，等于 log 2。",
    en="The entropy of one bit; largest, log 2, at p = 1/2.",
    source="Shannon 1948",
    route_zh="从 h(1/2) = log 2 出发，用辛普森法积分 h′(p) = log((1 − p)/p)",
    route_en="integration of h'(p) = log((1 - p) / p) from 1/2, where h = log 2, by Simpson's rule",
)
def check_entropy_bernoulli(generator: torch.Generator) -> Measured:
    p = random_probabilities(generator, 16)
    share = torch.linspace(0, 1, 4_001, dtype=torch.float64)[:, None]
    between = 0.5 + (p - 0.5) * share
    slope = torch.log((1 - between) / between)
    simpson = (slope[0] + slope[-1] + 4 * slope[1::2].sum(0) + 2 * slope[2:-1:2].sum(0)) / 12_000
    return compare(binomial.entropy_bernoulli(p), torch.log(torch.tensor(2.0, dtype=torch.float64)) + (p - 0.5) * simpson, 1e-8)


@entry(
    "N4.kl_bernoulli",
    latex=r"\mathrm{KL}(B_1 \| B_2) = p_1\,\log\frac{p_1}{p_2} + (1-p_1)\,\log\frac{1-p_1}{1-p_2}",
    zh="两个比特分布之间的 KL 散度。",
    en="How far one law of a bit is from another.",
    source="Kullback, Leibler 1951",
    route_zh="与 torch.distributions 的 kl_divergence 比较",
    route_en="against kl_divergence of torch.distributions",
)
def check_kl_bernoulli(generator: torch.Generator) -> Measured:
    p_1, p_2 = random_probabilities(generator, 2, 32)
    law = torch.distributions.Bernoulli
    return compare(binomial.kl_bernoulli(p_1, p_2), torch.distributions.kl_divergence(law(p_1), law(p_2)), 1e-12)
