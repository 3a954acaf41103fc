"""Row N10: likelihood and its maximum, checked by autograd, another library, a prefix code and a generating function."""

from __future__ import annotations

import torch

from ddpm_space.notes import mle
from ddpm_space.notes.checks.noising import random_values
from ddpm_space.notes.entry import Measured, compare, entry


@entry(
    "N10.log_likelihood",
    latex=r"\log L(\mu,\sigma^2) = -\frac{n}{2}\log(2\pi\sigma^2) - \frac{1}{2\sigma^2}\sum_{i=1}^{n}(x_i-\mu)^2",
    zh="数据在某个高斯分布下的对数似然：各点对数密度之和。",
    en="The log-likelihood of data under a Gaussian: the sum of the log-densities of the points.",
    source="Fisher 1922",
    route_zh="torch.distributions.MultivariateNormal（单位协方差的倍数，把 n 个点当作一个 n 维向量）",
    route_en="torch.distributions.MultivariateNormal, which takes the n points for one vector with a multiple of the unit covariance",
)
def check_log_likelihood(generator: torch.Generator) -> Measured:
    x, mean = random_values(generator, 20, 3), random_values(generator, 3)
    variance = 0.3 + torch.rand(3, generator=generator, dtype=torch.float64)
    joint = torch.distributions.MultivariateNormal(mean[:, None].expand(3, 20), variance[:, None, None] * torch.eye(20, dtype=torch.float64))
    return compare(mle.log_likelihood(x, mean, variance), joint.log_prob(x.T), 1e-9)


@entry(
    "N10.mle_gaussian",
    latex=r"\hat\mu = \frac{1}{n}\sum_{i=1}^{n} x_i,\quad \hat\sigma^2 = \frac{1}{n}\sum_{i=1}^{n} (x_i - \hat\mu)^2",
    zh="高斯分布的最大似然估计：样本均值，和除以 n（而不是 n−1）的样本方差。",
    en="The likeliest Gaussian: the mean of the data, and their variance divided by n (not n - 1).",
    source="Fisher 1922",
    route_zh="自动微分：对数似然在该处沿均值与方差的斜率都为零",
    route_en="autograd: there the log-likelihood has no slope along the mean or the variance",
)
def check_mle_gaussian(generator: torch.Generator) -> Measured:
    x = 2 + random_values(generator, 30, 5)
    mean, variance = (value.requires_grad_() for value in mle.mle_gaussian(x))
    likelihood = torch.distributions.Normal(mean, variance.sqrt()).log_prob(x).mean(0).sum()
    along_mean, along_variance = torch.autograd.grad(likelihood, (mean, variance))
    return compare(torch.cat([variance.sqrt() * along_mean, variance * along_variance]).detach(), torch.zeros(10, dtype=torch.float64), 1e-12)


@entry(
    "N10.mle_gaussian_full",
    latex=r"\hat\mu = \frac{1}{n}\sum_{i=1}^{n} x_i,\quad \hat\Sigma = \frac{1}{n}\sum_{i=1}^{n} (x_i - \hat\mu)(x_i - \hat\mu)^\top",
    zh="多维高斯的最大似然估计：均值向量与除以 n 的协方差矩阵。",
    en="The likeliest Gaussian vector: the mean, and the covariance divided by n.",
    source="Bishop 2006 eq. 2.121-2.122",
    route_zh="自动微分：对数似然在该处沿均值与精度矩阵每个元素的斜率都为零",
    route_en="autograd: there the log-likelihood has no slope along the mean or along any element of the precision matrix",
)
def check_mle_gaussian_full(generator: torch.Generator) -> Measured:
    x = 2 + random_values(generator, 40, 3) @ random_values(generator, 3, 3)
    mean, covariance = (value.requires_grad_() for value in mle.mle_gaussian_full(x))
    precision = torch.linalg.inv(covariance).detach().requires_grad_()
    likelihood = torch.distributions.MultivariateNormal(mean, precision_matrix=precision, validate_args=False).log_prob(x).mean()
    along_mean, along_precision = torch.autograd.grad(likelihood, (mean, precision))
    slopes = torch.cat([covariance @ along_mean, (along_precision @ precision).reshape(-1)])
    return compare(slopes.detach(), torch.zeros(12, dtype=torch.float64), 1e-9)


@entry(
    "N10.likelihood_gradient",
    latex=r"\frac{\partial \ell}{\partial \mu} = \frac{1}{\sigma^2}\left(\frac{1}{n}\sum_{i=1}^{n} x_i - \mu\right),\quad"
    r" \frac{\partial \ell}{\partial \log\sigma^2} = \frac{1}{2}\left(\frac{1}{n\sigma^2}\sum_{i=1}^{n} (x_i-\mu)^2 - 1\right)",
    zh="平均对数似然 ℓ 沿均值与对数方差的斜率；两者同时为零之处就是最大似然估计。",
    en="The slope of the mean log-likelihood along the mean and the log variance; where both vanish is the maximum.",
    source="Fisher 1922",
    route_zh="对 torch.distributions.Normal 的对数密度自动微分",
    route_en="autograd through torch.distributions.Normal",
)
def check_likelihood_gradient(generator: torch.Generator) -> Measured:
    x, mean = random_values(generator, 25, 4), random_values(generator, 4).requires_grad_()
    log_variance = random_values(generator, 4).requires_grad_()
    total = torch.distributions.Normal(mean, torch.exp(log_variance / 2)).log_prob(x).mean(0).sum()
    slopes = torch.autograd.grad(total, (mean, log_variance))
    return compare(torch.stack(mle.likelihood_gradient(x, mean.detach(), log_variance.detach().exp())), torch.stack(slopes), 1e-12)


@entry(
    "N10.cross_entropy",
    latex=r"H(p, q) = -\sum_{i=1}^{n} p_i \log(q_i)",
    zh="交叉熵：真实分布是 p，却按 q 编码时的平均码长；q = p 时最短，等于熵。",
    en="The cross-entropy: the mean code length when p is true and q believed; shortest, and equal to the entropy, for q = p.",
    source="Shannon 1948",
    route_zh="q 为二进分布时，码长就是前缀码的位数：按码树逐位走到叶子来数",
    route_en="a dyadic q: code lengths are counted by walking down the tree of a prefix code, bit by bit",
)
def check_cross_entropy(generator: torch.Generator) -> Measured:
    lengths = torch.tensor([1, 2, 3, 4, 5, 5])
    p = torch.softmax(random_values(generator, 6), 0)
    # Bit by bit: at depth d, all symbols whose code is longer than d still need one more bit.
    bits = torch.stack([p[lengths > depth].sum() for depth in range(5)]).sum()
    log_q = -lengths.double() * torch.log(torch.tensor(2.0, dtype=torch.float64))
    return compare(mle.cross_entropy(torch.log(p), log_q), bits * torch.log(torch.tensor(2.0, dtype=torch.float64)), 1e-12)


@entry(
    "N10.kl_discrete",
    latex=r"\mathrm{KL}(p \,\|\, q) = \sum_{i=1}^{n} p_i \log\left(\frac{p_i}{q_i}\right)",
    zh="KL 散度：按 q 编码比按真实分布 p 编码平均多用多少；不为负，仅当两者相同时为零。",
    en="The KL divergence: how much longer the code of q is than that of the true p; never negative, 0 for q = p alone.",
    source="Kullback, Leibler 1951",
    route_zh="生成函数 log Σ pᵃ q¹⁻ᵃ 在 a = 1 处的导数（自动微分）",
    route_en="the derivative of log sum p^a q^(1-a) at a = 1, by autograd",
)
def check_kl_discrete(generator: torch.Generator) -> Measured:
    log_p, log_q = torch.log_softmax(random_values(generator, 2, 7, 5), dim=1)
    a = torch.ones(5, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(torch.logsumexp(a * log_p + (1 - a) * log_q, 0).sum(), a)
    return compare(mle.kl_discrete(log_p, log_q), slope, 1e-12)


@entry(
    "N10.likelihood_split",
    latex=r"\frac{1}{n}\sum_{i=1}^{n} \log q(x_i) = -H(\hat p) - \mathrm{KL}(\hat p \,\|\, q)",
    zh="平均对数似然等于负的（数据的熵 + 数据到模型的 KL）：熵与模型无关，所以最大似然就是最小 KL。",
    en="Mean log-likelihood = -entropy of the data - KL(data || model): the entropy is fixed, so the likeliest model is the one of least KL.",
    source="Akaike 1973",
    route_zh="由 torch.distributions.Categorical 的熵与 KL，以及逐点对数概率之平均",
    route_en="entropy and KL of torch.distributions.Categorical, and minus their sum for the data's mean log-probability",
)
def check_likelihood_split(generator: torch.Generator) -> Measured:
    law, model = (torch.distributions.Categorical(logits=random_values(generator, 6)) for _ in range(2))
    counts = 1 + torch.randint(0, 40, (6,), generator=generator)
    data = torch.arange(6).repeat_interleave(counts)[torch.randperm(int(counts.sum()), generator=generator)]
    law = torch.distributions.Categorical(probs=counts.double())
    entropy, kl = law.entropy(), torch.distributions.kl_divergence(law, model)
    return compare(torch.stack([*mle.likelihood_split(data, model.logits)]), torch.stack([-entropy - kl, entropy, kl]), 1e-12)
