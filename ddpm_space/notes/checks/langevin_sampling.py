"""Row N1, sampling with a score: checked by a mixture's own densities, by fixed points of linear maps, and by detailed balance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.notes import langevin_sampling as sampling
from ddpm_space.notes.checks.linear_sde import linear_step, random_constants, stationary_covariance
from ddpm_space.notes.checks.noising import random_values
from ddpm_space.notes.entry import Measured, compare, entry


def two_modes(generator: torch.Generator) -> torch.distributions.MixtureSameFamily:
    """Draw a mixture of two Gaussians on the line, float64."""
    weights, spread = random_constants(generator, 4).reshape(2, 2)
    means = torch.tensor([-1.0, 1.0], dtype=torch.float64) + random_values(generator, 2) / 4
    return torch.distributions.MixtureSameFamily(torch.distributions.Categorical(weights), torch.distributions.Normal(means, spread / 2))


def score_of(law: torch.distributions.Distribution, x: Tensor) -> Tensor:
    """The score of a law at x, element by element, by autograd."""
    return torch.func.grad(lambda at: law.log_prob(at).sum())(x)


@entry(
    "N1.score_from_eps",
    latex=r"\nabla_{x_t} \log q(x_t) = -\frac{\varepsilon_\theta}{\sqrt{1-\bar\alpha_t}}",
    zh="预测噪声的网络同时给出了对数密度的梯度（得分），因此可以直接用于郎之万采样。",
    en="A network that predicts the noise also gives the gradient of the log-density (the score), so Langevin sampling can use it.",
    source="Vincent 2011; Song 2019; Ho 2020 section 3.2",
    route_zh="混合高斯数据：E[ε|x_t] 由对 x_0 的数值积分得到，得分由 log q(x_t) 的自动微分得到",
    route_en="data from a mixture: E[eps | x_t] by quadrature over x_0, the score by autograd of log q(x_t), also by quadrature",
)
def check_score_from_eps(generator: torch.Generator) -> Measured:
    law, alpha_bar = two_modes(generator), 0.2 + 0.6 * torch.rand((), generator=generator, dtype=torch.float64)
    x_0 = torch.linspace(-8, 8, 2_001, dtype=torch.float64)[:, None]
    x_t, sigma = random_values(generator, 8), (1 - alpha_bar).sqrt()

    def log_joint(x: Tensor) -> Tensor:
        return law.log_prob(x_0) - (x - alpha_bar.sqrt() * x_0) ** 2 / (2 * sigma**2)

    weight = torch.softmax(log_joint(x_t), dim=0)
    eps_star = (weight * (x_t - alpha_bar.sqrt() * x_0) / sigma).sum(0)
    score = torch.func.grad(lambda x: torch.logsumexp(log_joint(x), dim=0).sum())(x_t)
    return compare(sampling.score_from_eps(eps_star, alpha_bar), score, 1e-9)


@entry(
    "N1.ula_step",
    latex=r"x' = x + \frac{\eta}{2}\,s(x) + \sqrt{\eta}\,z,\qquad z\sim\mathcal{N}(0,I)",
    zh="无校正的郎之万采样（ULA）：沿得分走一小步，再加噪声；步长有限时分布有偏差。",
    en="Unadjusted Langevin sampling (ULA): a small step along the score, then noise; with a finite step its law is a little off.",
    source="Song 2019 eq. 4; Roberts, Tweedie 1996",
    route_zh="目标为 N(μ, σ²) 时线性映射的不动点：均值应为 μ，方差应为 σ²/(1 − η/(4σ²))",
    route_en="for a target N(mu, sigma^2): the fixed point of the linear map must have mean mu and variance sigma^2 / (1 - eta / (4 sigma^2))",
)
def check_ula_step(generator: torch.Generator) -> Measured:
    mean, spread, eta = random_constants(generator, 3)

    def step(x: Tensor, eps: Tensor) -> Tensor:
        return sampling.ula_step(x, -(x - mean) / spread**2, spread**2 * eta, eps=eps)

    factor, noise = linear_step(step, 1)
    shift = step(torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
    fixed = torch.stack([(shift / (1 - factor[0, 0]))[0], stationary_covariance(factor, noise @ noise.mT)[0, 0]])
    return compare(fixed, torch.stack([mean, spread**2 / (1 - eta / 4)]), 1e-10)


@entry(
    "N1.log_density_ratio",
    latex=r"\log \frac{p(y)}{p(x)} = \int_0^1 s\big(x + u\,(y-x)\big)\cdot (y-x)\,du",
    zh="只知道得分也能得到两点密度之比：沿连线积分。",
    en="A score alone gives the ratio of two densities: integrate it along the way.",
    source="fundamental theorem of calculus",
    route_zh="混合高斯的对数密度之差（三个坐标）",
    route_en="the difference of a mixture's own log-densities, three coordinates",
)
def check_log_density_ratio(generator: torch.Generator) -> Measured:
    law, (x, y) = two_modes(generator), random_values(generator, 2, 16, 3)
    # Moves that a sampler makes; over a long way between narrow modes the integrand has a kink that asks for many nodes.
    y = x + y / 8
    ratio = sampling.log_density_ratio(lambda at: score_of(law, at), x, y)
    return compare(ratio, (law.log_prob(y) - law.log_prob(x)).sum(1), 1e-3)


@entry(
    "N1.mala_log_ratio",
    latex=r"\log r = \log\frac{p(y)}{p(x)} + \frac{1}{2\eta}\sum_{i=1}^{D}\Big(\big(y_i - x_i - \frac{\eta}{2} s_{x,i}\big)^2"
    r" - \big(x_i - y_i - \frac{\eta}{2} s_{y,i}\big)^2\Big),\qquad s_x = s(x)",
    zh="MALA 的接受率：目标密度之比乘以反向与正向提议密度之比，取 min(1, r)。",
    en="MALA's acceptance: the ratio of target densities times that of the backward and forward proposals, capped at 1.",
    source="Roberts, Tweedie 1996; Metropolis 1953; Hastings 1970",
    route_zh="细致平衡：p(x) q(y|x) min(1, r) 对 x、y 对称（密度取自 torch.distributions）",
    route_en="detailed balance: p(x) q(y|x) min(1, r) is symmetric in x and y, densities from torch.distributions",
)
def check_mala_log_ratio(generator: torch.Generator) -> Measured:
    law, eta = two_modes(generator), random_constants(generator, 1)[0]
    x, y = random_values(generator, 2, 32, 2)

    def log_flow(a: Tensor, b: Tensor) -> Tensor:
        score_a, score_b = score_of(law, a), score_of(law, b)
        proposal = torch.distributions.Normal(a + eta / 2 * score_a, eta.sqrt())
        log_ratio = (law.log_prob(b) - law.log_prob(a)).sum(1)
        accepted = sampling.mala_log_ratio(a, b, score_a, score_b, log_ratio, eta).clamp(max=0)
        return (law.log_prob(a) + proposal.log_prob(b)).sum(1) + accepted

    return compare(log_flow(x, y), log_flow(y, x), 1e-9)


@entry(
    "N1.mala_step",
    latex=r"x' = \begin{cases} y & \text{with probability } \min(1, r) \\ x & \text{otherwise}\end{cases},"
    r"\qquad y = x + \frac{\eta}{2}s(x) + \sqrt{\eta}\,z",
    zh="MALA 的一步：以 ULA 提议，再决定接受与否；无论步长多大，目标分布都保持不变。",
    en="A step of MALA: ULA proposes, a coin decides; the target stays exactly as it is, however large the step.",
    source="Besag 1994; Roberts, Tweedie 1996",
    route_zh="从目标分布精确抽取 10 万个样本，用大步长走一步：x' 的矩与分布函数不变，动了的比例等于接受率（5 个标准误）",
    route_en="100,000 exact draws, one large step: moments and cdf stay, the share that moved is the probability, within 5 standard errors",
)
def check_mala_step(generator: torch.Generator) -> Measured:
    draws, law = 100_000, two_modes(generator)
    which = torch.multinomial(law.mixture_distribution.probs, draws, replacement=True, generator=generator)
    means, spreads = law.component_distribution.loc, law.component_distribution.scale
    x = (means[which] + spreads[which] * random_values(generator, draws))[:, None]
    after, probability = sampling.mala_step(x, lambda at: score_of(law, at), 0.5, log_density=lambda at: law.log_prob(at).sum(1), generator=generator)
    cut = means.mean()
    moved = (after != x).double()[:, 0]
    values = torch.stack([after[:, 0], after[:, 0] ** 2, (after[:, 0] < cut).double(), moved - probability], dim=1)
    right = torch.stack([law.mean, law.variance + law.mean**2, law.cdf(cut), torch.zeros((), dtype=torch.float64)])
    return compare(values.mean(0), right, 5 * values.std(0) / math.sqrt(draws))


@entry(
    "N1.geometric_sigmas",
    latex=r"\sigma_i = \sigma_1 \Big(\frac{\sigma_L}{\sigma_1}\Big)^{\frac{i-1}{L-1}}",
    zh="退火的噪声水平：从大到小，每一级都是前一级的固定倍数。",
    en="The noise levels of annealing: from large to small, each a fixed share of the one before.",
    source="Song 2019 section 4.1",
    route_zh="首尾为给定值；中间每一级都是相邻两级的几何平均",
    route_en="the ends are the given ones, and each level between is the geometric mean of its neighbours",
)
def check_geometric_sigmas(generator: torch.Generator) -> Measured:
    largest, smallest = random_constants(generator, 2)
    largest = 10 * largest
    sigmas = sampling.geometric_sigmas(largest, smallest, 9)
    right = torch.cat([largest[None], (sigmas[:-2] * sigmas[2:]).sqrt(), smallest[None]])
    return compare(sigmas, right, 1e-10)


@entry(
    "N1.annealed_step_size",
    latex=r"\eta_i = \epsilon\,\frac{\sigma_i^2}{\sigma_L^2}",
    zh="退火郎之万采样的步长：随噪声水平的平方缩小，使漂移与噪声之比在每一级都相同。",
    en="The step sizes of annealed Langevin sampling: they shrink as sigma^2, so that drift and noise keep their proportion at every level.",
    source="Song 2019 algorithm 1",
    route_zh="在每一级，对真正的噪声样本 x = σ_i z 求漂移与噪声的均方比：应都等于 ε/(4σ_L²)（5 个标准误）",
    route_en="drift against noise, mean squares over x = sigma_i z at every level: each must be epsilon / (4 sigma_L^2), within 5 standard errors",
)
def check_annealed_step_size(generator: torch.Generator) -> Measured:
    draws, smallest, epsilon = 100_000, 0.1, random_constants(generator, 1)[0] / 100
    sigmas = smallest * (1 + 4 * torch.rand(5, generator=generator, dtype=torch.float64))
    eta = sampling.annealed_step_size(sigmas, smallest, epsilon)
    x = sigmas * random_values(generator, draws, 5)
    drift = eta / 2 * -x / sigmas**2
    ratio = (drift**2).mean(0) / eta
    expected = epsilon / (4 * smallest**2)
    return compare(ratio / expected, torch.ones(5), 5 * math.sqrt(2 / draws))
