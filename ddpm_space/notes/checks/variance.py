"""Row N8, the reverse step's variance and the effect of clipping: by quadrature over a two-valued world, and by forming both means."""

from __future__ import annotations

import math

import torch

from ddpm_space.notes import reverse
from ddpm_space.notes.checks.noising import random_values
from ddpm_space.notes.checks.posterior import two_times
from ddpm_space.notes.entry import Measured, compare, entry


@entry(
    "N8.clipping_difference",
    latex=r"\Delta\mu = \frac{\sqrt{\bar\alpha_s}\,\beta_{t|s}}{1-\bar\alpha_t}\,\big(\max(-1,\min(1,\hat x_0))-\hat x_0\big)",
    zh="“先求 x̂_0、截断、再代入后验”与公式 (11) 的差；x̂_0 没有越界时为 0。",
    en="What separates x_0-then-posterior with clipping from eq. (11); 0 where x_0_hat stays within bounds.",
    source="Ho 2020 eq. 11 against eq. 7",
    route_zh="分别用两条路线求出反向均值，再相减",
    route_en="both means formed, each by its own route, and subtracted",
)
def check_clipping_difference(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    x_t, eps = random_values(generator, 2, 64)
    x_0_hat = torch.linalg.solve(alpha_bar_t.sqrt().reshape(1, 1), (x_t - (1 - alpha_bar_t).sqrt() * eps)[None])[0]
    clipped, _ = reverse.q_posterior(x_0_hat.clamp(-1, 1), x_t, alpha_bar_t, alpha_bar_s)
    difference = clipped - reverse.mu_theta_from_eps(x_t, eps, alpha_bar_t, alpha_bar_s)
    return compare(reverse.clipping_difference(x_t, eps, alpha_bar_t, alpha_bar_s), difference, 1e-12)


@entry(
    "N8.optimal_variance",
    latex=r"\sigma_t^{*2} = \tilde\beta_t"
    r" + \Big(\frac{\sqrt{\bar\alpha_s}\,\beta_{t|s}}{1-\bar\alpha_t}\Big)^2\,V_t,\qquad V_t=\mathbb{E}\,\mathrm{Var}[x_0 \mid x_t]",
    zh="均值完全准确时，反向一步的最优方差：β̃ 加上 x_0 本身的不确定性。",
    en="The best variance of the step when its mean is perfect: beta_tilde plus what x_t leaves unknown of x_0.",
    source="Bao 2022 theorem 1",
    route_zh="x_0 只取两个值：在 (x_s, x_t) 网格上用贝叶斯公式求 E Var[x_s | x_t]",
    route_en="x_0 takes two values: E Var[x_s | x_t] by Bayes on a grid of (x_s, x_t)",
)
def check_optimal_variance(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    x_0, ratio = torch.tensor([-1.0, 0.7], dtype=torch.float64), alpha_bar_t / alpha_bar_s
    x_s = torch.linspace(-7, 7, 601, dtype=torch.float64)
    x_t = torch.linspace(-7, 7, 603, dtype=torch.float64)
    normal = torch.distributions.Normal

    def density(x: torch.Tensor, scale: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        return normal(scale * x_0, variance.sqrt()).log_prob(x[:, None]).exp() / 2

    p_s = density(x_s, alpha_bar_s.sqrt(), 1 - alpha_bar_s).sum(1)
    joint = p_s * normal(ratio.sqrt() * x_s, (1 - ratio).sqrt()).log_prob(x_t[:, None]).exp()
    weight = joint / joint.sum()
    p_t = weight.sum(1)
    mean = (weight * x_s).sum(1) / p_t
    by_quadrature = (weight * (x_s - mean[:, None]) ** 2).sum()
    share = density(x_t, alpha_bar_t.sqrt(), 1 - alpha_bar_t)
    posterior = share / share.sum(1, keepdim=True)
    spread = (posterior * x_0**2).sum(1) - (posterior * x_0).sum(1) ** 2
    return compare(reverse.optimal_variance((p_t * spread).sum(), alpha_bar_t, alpha_bar_s), by_quadrature, 1e-6)


@entry(
    "N8.posterior_variance_from_eps",
    latex=r"V_t = \frac{1-\bar\alpha_t}{\bar\alpha_t}\,(1-m_t),\qquad V_t=\mathbb{E}\,\mathrm{Var}[x_0 \mid x_t],\quad"
    r" m_t=\mathbb{E}\,\big|\mathbb{E}[\varepsilon \mid x_t]\big|^2",
    zh="完美的网络输出越小，x_t 对 x_0 说明得越少：由 ε 的大小求出 x_0 尚未确定的部分。",
    en="The smaller the perfect network's eps, the less x_t tells about x_0: what remains unknown of x_0, from the size of eps.",
    source="Bao 2022 theorem 1",
    route_zh="x_0 只取两个值：用贝叶斯公式在 x_t 网格上直接求 Var[x_0 | x_t] 的期望",
    route_en="x_0 takes two values: E Var[x_0 | x_t] itself, by Bayes on a grid of x_t",
)
def check_posterior_variance_from_eps(generator: torch.Generator) -> Measured:
    alpha_bar_t, _ = two_times(generator)
    x_0, x_t = torch.tensor([-1.0, 0.7], dtype=torch.float64), torch.linspace(-9, 9, 4001, dtype=torch.float64)
    density = torch.distributions.Normal(alpha_bar_t.sqrt() * x_0, (1 - alpha_bar_t).sqrt()).log_prob(x_t[:, None]).exp() / 2
    p_t, posterior = density.sum(1), density / density.sum(1, keepdim=True)
    spread = (posterior * x_0**2).sum(1) - (posterior * x_0).sum(1) ** 2
    eps = (posterior * (x_t[:, None] - alpha_bar_t.sqrt() * x_0) / (1 - alpha_bar_t).sqrt()).sum(1)
    mean_square = torch.trapezoid(p_t * eps**2, x_t)
    return compare(reverse.posterior_variance_from_eps(mean_square, alpha_bar_t), torch.trapezoid(p_t * spread, x_t), 1e-9)


@entry(
    "N8.largest_last_sigma",
    latex=r"\sigma_{\max} = k\,\sqrt{\frac{\pi}{2}}\,\frac{2}{255},\qquad \mathbb{E}\,|\sigma_{\max}\,\varepsilon| = k\,\frac{2}{255}",
    zh="最后一次加入的噪声平均不超过 k 个灰度级：再大，人眼就会看见。",
    en="The last noise that a chain adds is k grey levels on average: more of it would be seen.",
    source="Bao 2022 section 5 (k = 1 or 2)",
    route_zh="对正态密度数值积分求 |σε| 的期望，再换算成灰度级",
    route_en="E |sigma eps| by quadrature over the normal density, in grey levels",
)
def check_largest_last_sigma(generator: torch.Generator) -> Measured:
    levels = 0.5 + 3 * torch.rand(4, generator=generator, dtype=torch.float64)
    sigma = reverse.largest_last_sigma(levels)
    eps = torch.linspace(0, 12, 20_001, dtype=torch.float64)
    density = torch.distributions.Normal(0.0, 1.0).log_prob(eps).exp()
    average = 2 * torch.trapezoid(density * sigma[:, None] * eps, eps)
    return compare(average * 255 / 2, levels, 1e-6)


@entry(
    "N8.learned_variance",
    latex=r"\sigma_t^2 = \exp\left(v\,\log(\beta_t) + (1-v)\,\log(\tilde\beta_t)\right)",
    zh="让网络在两个固定方差之间（对数尺度上）选择。",
    en="The network chooses between the two fixed variances, on a log scale.",
    source="Nichol 2021 eq. 15",
    route_zh="把区间从小方差的一端按几何级数连乘 1000 步走到 v 处",
    route_en="a geometric progression: a thousand equal factors lead from the smaller variance to the larger, of which a share v is taken",
)
def check_learned_variance(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    smaller, larger = reverse.beta_tilde(alpha_bar_t, alpha_bar_s), reverse.beta_between(alpha_bar_t, alpha_bar_s)
    taken = torch.randint(0, 1001, (6,), generator=generator)
    factor = math.pow(float(larger / smaller), 1 / 1000)
    progression = torch.cumprod(torch.cat([smaller[None], torch.full((1000,), factor, dtype=torch.float64)]), 0)
    return compare(reverse.learned_variance(taken.double() / 1000, smaller, larger), progression[taken], 1e-10)
