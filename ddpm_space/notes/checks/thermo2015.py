"""Row N4, the bound K and its terms: checked by writing out every trajectory of a small chain, by quadrature, and by the paper's own numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.notes import thermo2015
from ddpm_space.notes.checks.noising import random_betas, random_values
from ddpm_space.notes.checks.posterior import two_times
from ddpm_space.notes.checks.thermo2015_binomial import RATE, random_probabilities
from ddpm_space.notes.checks.thermo2015_states import Chain, all_states, entropy_of, random_chain, transition
from ddpm_space.notes.entry import Measured, compare, entry
from ddpm_space.notes.thermo2015_binomial import kl_bernoulli, p_reverse_bits, q_posterior_bits


@entry(
    "N4.trajectory_log_ratio",
    latex=r"\log\frac{p(x_{0\cdots T})}{q(x_{1\cdots T} \mid x_0)} = \log p(x_T) + \sum_{t=1}^{T}\log\frac{p(x_{t-1} \mid x_t)}{q(x_t \mid x_{t-1})}",
    zh="一条轨迹：反向概率与前向概率之比的对数；对前向轨迹取 exp 的平均就是 p(x_0)。",
    en="One trajectory: log of its reverse over its forward probability; over forward trajectories its exponential averages to p(x_0).",
    source="Sohl-Dickstein 2015 eq. 9, 12",
    route_zh="两个比特、三步的链：对全部 256 条轨迹求和，与转移矩阵相乘得到的 p(x_0) 比较",
    route_en="two bits, three steps: the sum over all 256 trajectories against p(x_0) by multiplying the reverse matrices",
)
def check_trajectory_log_ratio(generator: torch.Generator) -> Measured:
    chain = random_chain(generator, RATE)
    path, log_prior, log_reverse, log_forward = chain.trajectories()
    ratio = thermo2015.trajectory_log_ratio(log_prior, log_reverse, log_forward)
    weighted = (log_forward.sum(0) + ratio).exp()
    by_sum = torch.zeros(4, dtype=torch.float64).index_add(0, path[:, 0], weighted)
    by_matrices = chain.stationary @ chain.reverse[2] @ chain.reverse[1] @ chain.reverse[0]
    return compare(by_sum, by_matrices, 1e-12)


def bound_by_formula(chain: Chain) -> Tensor:
    """K of each of the four x_0, its KLs averaged over x_t by the matrices: (4,)."""
    states, x_0 = all_states(2), all_states(2)[:, None].expand(4, 4, 2)
    kl_terms = []
    for t in (1, 2):
        truth = q_posterior_bits(x_0, states.expand(4, 4, 2), chain.alpha_bar[t], chain.alpha_bar[t - 1], rate=chain.rate)
        each = kl_bernoulli(truth, chain.reverse_rates[t].expand(4, 4, 2)).sum(-1)
        kl_terms.append((transition(chain.alpha_bar[t], chain.rate, 2) * each).sum(-1))
    entropy_T, entropy_1 = (entropy_of(transition(chain.alpha_bar[t], chain.rate, 2)) for t in (2, 0))
    return thermo2015.log_likelihood_bound(torch.stack(kl_terms), entropy_T, entropy_1, entropy_of(chain.stationary))


@entry(
    "N4.K",
    latex=r"K = -\sum_{t=2}^{T}\mathbb{E}\,\mathrm{KL}\big(q(x_{t-1} \mid x_t,x_0)\,\|\,p(x_{t-1} \mid x_t)\big)"
    r" + H_q(X_T \mid X_0) - H_q(X_1 \mid X_0) - H_p(X_T) \le \mathbb{E}\log p(x_0)"
    r"\quad \text{if } \mathbb{E}\log\pi(x_0) = -H_p(X_T)",
    zh="2015 年论文的下界 K，越大越好。当 E|x_0|² = d（二项核：数据中 1 的比例为 π_1）时，对数似然至少有这么多；否则须先补上 N4.moment_*。",
    en="The lower bound K of the 2015 paper; larger is better. The log-likelihood is at least this where E|x_0|^2 = d, for bits where the share "
    "of ones is pi_1; otherwise N4.moment_* has to be added first.",
    source="Sohl-Dickstein 2015 eq. 14",
    route_zh="两个比特、三步的链：写出全部 256 条轨迹，直接求 E_q log [p(x_0…x_T)/q(x_1…x_T|x_0)]",
    route_en="two bits, three steps: E_q log [p(x_0..x_T) / q(x_1..x_T|x_0)] over all 256 trajectories written out",
)
def check_log_likelihood_bound(generator: torch.Generator) -> Measured:
    chain = random_chain(generator, 0.5)
    path, log_prior, log_reverse, log_forward = chain.trajectories()
    weight = chain.law[path[:, 0]] * log_forward.sum(0).exp()
    written_out = (weight * (log_prior + log_reverse.sum(0) - log_forward.sum(0))).sum()
    return compare(chain.law @ bound_by_formula(chain), written_out, 1e-12)


@entry(
    "N4.step_kl_gaussian",
    latex=r"\mathrm{KL}_t = \mathrm{KL}\big(q(x_s \mid x_t,x_0)\,\|\,\mathcal{N}\big(f_\mu(x_t,t),\ f_\Sigma(x_t,t)\big)\big)",
    zh="K 的一项（高斯核）：学到的反向一步（均值和对角协方差都由网络给出）与真实后验相差多少。",
    en="One term of K, Gaussian kernel: how far the learned step, mean and diagonal covariance from a network, is from the true posterior.",
    source="Sohl-Dickstein 2015 eq. 14, table App.1",
    route_zh="在网格上用贝叶斯公式求后验，再对 q (log q − log p) 数值积分",
    route_en="the posterior by Bayes on a grid, then quadrature of q (log q - log p)",
)
def check_step_kl_gaussian(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    x_0, x_t, mean = random_values(generator, 3, 3, 2)
    variance = 0.1 + torch.rand(3, 2, generator=generator, dtype=torch.float64)
    grid = torch.linspace(-9, 9, 8_001, dtype=torch.float64)[:, None, None]
    normal, ratio = torch.distributions.Normal, alpha_bar_t / alpha_bar_s
    log_q = normal(ratio.sqrt() * grid, (1 - ratio).sqrt()).log_prob(x_t) + normal(alpha_bar_s.sqrt() * x_0, (1 - alpha_bar_s).sqrt()).log_prob(grid)
    log_q = log_q - torch.logsumexp(log_q, 0) - math.log(float(grid[1, 0, 0] - grid[0, 0, 0]))
    integrand = log_q.exp() * (log_q - normal(mean, variance.sqrt()).log_prob(grid))
    by_quadrature = torch.trapezoid(integrand, grid, dim=0).sum(-1)
    return compare(thermo2015.step_kl_gaussian(x_0, x_t, mean, variance, alpha_bar_t, alpha_bar_s), by_quadrature, 1e-7)


@entry(
    "N4.step_kl_bits",
    latex=r"\mathrm{KL}_t = \sum_{i=1}^{n}\mathrm{KL}\big(B(q(x_{s,i}=1 \mid x_{t,i},x_{0,i}))\,\|\,B(p_\theta(x_{s,i}=1 \mid x_t))\big)",
    zh="K 的一项（二项核）：逐个比特的 KL 散度之和。",
    en="One term of K, binomial kernel: the bits' KLs added up.",
    source="Sohl-Dickstein 2015 eq. 14, table App.1",
    route_zh="三个比特的全部 8 个状态：对 x_s 求和 q log(q/p)",
    route_en="all 8 states of three bits: the sum of q log(q / p) over x_s",
)
def check_step_kl_bits(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    states, x_0_hat = all_states(3), random_probabilities(generator, 8, 3)
    x_0 = states[torch.randperm(8, generator=generator)]
    rates = [q_posterior_bits(x_0, states, alpha_bar_t, alpha_bar_s, rate=RATE), p_reverse_bits(x_0_hat, states, alpha_bar_t, alpha_bar_s, rate=RATE)]
    q, p = (torch.where(states == 1, rate[:, None], 1 - rate[:, None]).prod(-1) for rate in rates)
    return compare(thermo2015.step_kl_bits(x_0, states, x_0_hat, alpha_bar_t, alpha_bar_s, rate=RATE), (q * (q / p).log()).sum(-1), 1e-12)


@entry(
    "N4.entropy_cumulative_gaussian",
    latex=r"H_q(X_t \mid X_0) = \frac{d}{2}\,\log\left(2\pi e \cdot (1-\bar\alpha_t)\right)",
    zh="已知原图时 x_t 的熵（高斯核），与 x_0 无关；ᾱ_t = 0 时就是 H_p(X_T)。",
    en="The entropy of x_t when the clean sample is known, Gaussian kernel: the same for every x_0; at abar_t = 0 it is H_p(X_T).",
    source="Sohl-Dickstein 2015 eq. 14",
    route_zh="逐步递推 x_t 的方差，再对 −q log q 数值积分",
    route_en="the variance of x_t carried through the steps, then quadrature of -q log q",
)
def check_entropy_cumulative_gaussian(generator: torch.Generator) -> Measured:
    beta, dims = random_betas(generator, 6), 3
    variance = torch.zeros((), dtype=torch.float64)
    for step in beta:
        variance = (1 - step) * variance + step
    x = variance.sqrt() * torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    log_q = torch.distributions.Normal(0.0, variance.sqrt()).log_prob(x)
    return compare(thermo2015.entropy_cumulative_gaussian(torch.prod(1 - beta), dims), -dims * torch.trapezoid(log_q.exp() * log_q, x), 1e-9)


@entry(
    "N4.entropy_cumulative_bits",
    latex=r"H_q(X_t \mid X_0 = x_0) = \sum_{i=1}^{n} h\big(\bar\alpha_t\,x_{0,i} + \pi_1\,(1-\bar\alpha_t)\big)",
    zh="已知原来的比特时 x_t 的熵（二项核）；ᾱ_t = 0 时就是 H_p(X_T)。",
    en="The entropy of x_t when the clean bits are known, binomial kernel; at abar_t = 0 it is H_p(X_T).",
    source="Sohl-Dickstein 2015 eq. 14",
    route_zh="把各步的转移矩阵相乘，对三个比特的 8 个状态求 −Σ q log q",
    route_en="the steps' matrices multiplied, then -sum of q log q over the 8 states of three bits",
)
def check_entropy_cumulative_bits(generator: torch.Generator) -> Measured:
    beta = random_betas(generator, 6)
    law = torch.eye(8, dtype=torch.float64)
    for step in beta:
        law = law @ transition(1 - step, RATE, 3)
    return compare(thermo2015.entropy_cumulative_bits(all_states(3), torch.prod(1 - beta), rate=RATE), entropy_of(law), 1e-12)


@entry(
    "N4.moment_gaussian",
    latex=r"\Delta K = \frac{\bar\alpha_T + 1 - \bar\alpha_1}{2}\,\left(d - \sum_{i=1}^{d} x_{0,i}^2\right)",
    zh="式 (14) 默认 E|x_0|² = d；不满足时要补上这一项。",
    en="Eq. 14 takes E|x_0|^2 = d for granted; where that fails, this is what has to be added.",
    source="from Sohl-Dickstein 2015 eq. 41-46",
    route_zh="对 log π(x_T) 与 log π(x_0)/π(x_1) 在 q(x_T|x_0)、q(x_1|x_0) 下数值积分",
    route_en="quadrature of log pi(x_T) and of log pi(x_0) / pi(x_1) under q(x_T|x_0) and q(x_1|x_0)",
)
def check_moment_gaussian(generator: torch.Generator) -> Measured:
    alpha_bar_T, alpha_bar_1 = two_times(generator)
    x_0 = 2 * random_values(generator, 6, 1)
    zero = torch.zeros((), dtype=torch.float64)
    unit = torch.distributions.Normal(zero, zero + 1)
    z = torch.linspace(-12, 12, 10_001, dtype=torch.float64)

    def cross_entropy(alpha_bar: Tensor) -> Tensor:
        x = alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * z
        return -torch.trapezoid(unit.log_prob(z).exp() * unit.log_prob(x), z, dim=1)

    lacking = -cross_entropy(alpha_bar_T) + unit.log_prob(x_0)[:, 0] + cross_entropy(alpha_bar_1) + unit.entropy()
    return compare(thermo2015.moment_gaussian(x_0, alpha_bar_1, alpha_bar_T), lacking, 1e-9)


@entry(
    "N4.moment_bits",
    latex=r"\Delta K = (\bar\alpha_T + 1 - \bar\alpha_1)\,\log\left(\frac{\pi_1}{1-\pi_1}\right)\,\left(\sum_{i=1}^{n} x_{0,i} - n\,\pi_1\right)",
    zh="式 (14) 默认数据中 1 的比例等于平稳概率 π_1；不满足时要补上这一项（π_1 = 1/2 时恒为 0）。",
    en="Eq. 14 takes the data's share of ones to be the stationary rate pi_1; where that fails, this has to be added (it is 0 at pi_1 = 1/2).",
    source="from Sohl-Dickstein 2015 eq. 41-46",
    route_zh="两个比特、三步的链：全部 256 条轨迹的 E_q log(p/q) 减去式 (14)",
    route_en="two bits, three steps: E_q log(p / q) over all 256 trajectories, less eq. 14, for each x_0",
)
def check_moment_bits(generator: torch.Generator) -> Measured:
    chain = random_chain(generator, RATE)
    path, log_prior, log_reverse, log_forward = chain.trajectories()
    term = log_forward.sum(0).exp() * (log_prior + log_reverse.sum(0) - log_forward.sum(0))
    written_out = torch.zeros(4, dtype=torch.float64).index_add(0, path[:, 0], term)
    added = thermo2015.moment_bits(all_states(2), chain.alpha_bar[0], chain.alpha_bar[2], rate=RATE)
    return compare(added, written_out - bound_by_formula(chain), 1e-11)


@entry(
    "N4.log_null_gaussian",
    latex=r"\log\pi(x_0) = -\frac{1}{2}\left(\sum_{i=1}^{d} x_{0,i}^2 + d\,\log(2\pi)\right)",
    zh="“空模型”单位高斯噪声给数据的对数概率；平均后就是 L_null。",
    en="The log-probability that the null model, unit Gaussian noise, gives the data; its mean is L_null.",
    source="Sohl-Dickstein 2015 table 1",
    route_zh="与 torch.distributions 的多元高斯比较；并且二维、单位二阶矩时应为论文的 −4.094 比特",
    route_en="against the multivariate Gaussian of torch.distributions; two dimensions of unit second moment must give the paper's -4.094 bits",
)
def check_log_null_gaussian(generator: torch.Generator) -> Measured:
    x_0 = torch.cat([random_values(generator, 5, 2), torch.tensor([[1.0, -1.0]], dtype=torch.float64)])
    law = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    from_paper = torch.tensor([(2.35 - 6.45) * math.log(2)], dtype=torch.float64)  # table 1: K and K - L_null
    right = torch.cat([law.log_prob(x_0), from_paper])
    tolerance = torch.tensor([1e-12] * 6 + [0.01 * math.log(2)], dtype=torch.float64)
    left = thermo2015.log_null_gaussian(x_0)
    return compare(torch.cat([left, left[-1:]]), right, tolerance)


@entry(
    "N4.log_null_bits",
    latex=r"\log\pi(x_0) = \sum_{i=1}^{n}\left(x_{0,i}\,\log\pi_1 + (1-x_{0,i})\,\log(1-\pi_1)\right)",
    zh="“空模型”独立比特给数据的对数概率；平均后就是 L_null。",
    en="The log-probability that the null model, independent bits, gives the data; its mean is L_null.",
    source="Sohl-Dickstein 2015 table 1",
    route_zh="与 8 个状态上写出的乘积分布比较；并且 20 位的心跳序列应为论文的 −14.438 比特",
    route_en="against the product law written out over 8 states; the heartbeat of 20 bits must give the paper's -14.438 bits",
)
def check_log_null_bits(generator: torch.Generator) -> Measured:
    rate = float(random_probabilities(generator, 1))
    small = thermo2015.log_null_bits(all_states(3), rate=rate).exp()
    heartbeat = torch.zeros(1, 20, dtype=torch.float64)
    heartbeat[:, int(torch.randint(0, 5, (), generator=generator)) :: 5] = 1
    left = torch.cat([small, thermo2015.log_null_bits(heartbeat, rate=0.2)])
    from_paper = torch.tensor([(-2.414 - 12.024) * math.log(2)], dtype=torch.float64)
    tolerance = torch.tensor([1e-12] * 8 + [0.001 * math.log(2)], dtype=torch.float64)
    return compare(left, torch.cat([transition(0.0, rate, 3)[0], from_paper]), tolerance)


@entry(
    "N4.gain_bits",
    latex=r"G = \frac{K - L_{\text{null}}}{\ln 2}",
    zh="扩散模型比同样矩的独立噪声好多少比特。",
    en="How many bits better than independent noise of the same moments.",
    source="Sohl-Dickstein 2015 table 1",
    route_zh="概率之比：2 的“增益”次方应等于两个概率相除",
    route_en="2 to this power must be the ratio of the two probabilities",
)
def check_gain_bits(generator: torch.Generator) -> Measured:
    p, q = random_probabilities(generator, 2, 8)
    return compare(2 ** thermo2015.gain_bits(p.log(), q.log()), p / q, 1e-10)
