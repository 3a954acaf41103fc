"""Rows N7 and N8: the posterior and the reverse step, checked by Bayes on a grid, by conditioning joint Gaussians and by linear algebra."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.notes import reverse
from ddpm_space.notes.checks.noising import random_betas, random_values
from ddpm_space.notes.entry import Measured, compare, entry


def joint_covariance(alpha_bar_t: Tensor, alpha_bar_s: Tensor, variance_0: float) -> Tensor:
    """Covariance of (x_0, x_s, x_t) when x_0 has variance `variance_0`: (3, 3), built from x_s = a x_0 + b e_1, x_t = c x_s + d e_2."""
    a, b = alpha_bar_s.sqrt(), (1 - alpha_bar_s).sqrt()
    c, d = (alpha_bar_t / alpha_bar_s).sqrt(), (1 - alpha_bar_t / alpha_bar_s).sqrt()
    zero = torch.zeros((), dtype=torch.float64)
    scale = torch.tensor(variance_0, dtype=torch.float64).sqrt()
    rows = [torch.stack([scale, zero, zero]), torch.stack([a * scale, b, zero]), torch.stack([c * a * scale, c * b, d])]
    mixing = torch.stack(rows)
    return mixing @ mixing.T


def two_times(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw (abar_t, abar_s) of two times s < t of a random chain."""
    alpha_bar = torch.cumprod(1 - random_betas(generator, 10), 0)
    return alpha_bar[7], alpha_bar[3]


@entry(
    "N7.posterior_coefficients",
    latex=r"\tilde\mu_t = \underbrace{\frac{\sqrt{\bar\alpha_s}\,\beta_{t|s}}{1-\bar\alpha_t}}_{\text{coef}_{x_0}} x_0"
    r" + \underbrace{\frac{\sqrt{1-\beta_{t|s}}\,(1-\bar\alpha_s)}{1-\bar\alpha_t}}_{\text{coef}_{x_t}} x_t",
    zh="后验均值中 x_0 与 x_t 各占的权重。",
    en="The weights of x_0 and of x_t in the posterior mean.",
    source="Ho 2020 eq. 7",
    route_zh="由 (x_0, x_s, x_t) 的联合高斯协方差解线性方程组，得到 x_s 对 x_0、x_t 的回归系数",
    route_en="regression of x_s on (x_0, x_t), solved from the covariance of the joint Gaussian",
)
def check_posterior_coefficients(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    covariance = joint_covariance(alpha_bar_t, alpha_bar_s, 2.3)
    given = torch.tensor([0, 2])
    weights = torch.linalg.solve(covariance[given][:, given], covariance[given, 1])
    return compare(torch.stack(reverse.posterior_coefficients(alpha_bar_t, alpha_bar_s)), weights, 1e-10)


@entry(
    "N7.beta_tilde",
    latex=r"\tilde\beta_t = \frac{1-\bar\alpha_s}{1-\bar\alpha_t}\,\beta_{t|s}",
    zh="后验的方差（注意：这是方差，不是标准差）。",
    en="The variance of the posterior (a variance: its square root is the standard deviation).",
    source="Ho 2020 eq. 7",
    route_zh="两个高斯因子相乘：精度相加，1/β̃ = (ᾱ_t/ᾱ_s)/β_{t|s} + 1/(1 − ᾱ_s)",
    route_en="product of the two Gaussian factors: precisions add, 1/beta_tilde = (abar_t/abar_s)/beta + 1/(1 - abar_s)",
)
def check_beta_tilde(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    ratio = alpha_bar_t / alpha_bar_s
    precision = ratio / (1 - ratio) + 1 / (1 - alpha_bar_s)
    return compare(reverse.beta_tilde(alpha_bar_t, alpha_bar_s), 1 / precision, 1e-12)


@entry(
    "N7.q_posterior",
    latex=r"q(x_s \mid x_t, x_0) = \mathcal{N}\big(\tilde\mu_t(x_t,x_0),\ \tilde\beta_t I\big)",
    zh="反向单步去噪：已知 x_t 和 x_0 时，x_s 的分布（由贝叶斯公式得到；条件里有 x_0）。",
    en="One step of denoising: the law of x_s when x_t and x_0 are both known (by Bayes; x_0 is among the conditions).",
    source="Ho 2020 eq. 6-7",
    route_zh="在网格上用贝叶斯公式：q(x_t|x_s) q(x_s|x_0) 归一化后数值积分求均值与方差",
    route_en="Bayes on a grid: q(x_t|x_s) q(x_s|x_0), normalized, its mean and variance by quadrature",
)
def check_q_posterior(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    x_0, x_t = random_values(generator, 2, 5)
    grid = torch.linspace(-12, 12, 40_001, dtype=torch.float64)[:, None]
    normal, ratio = torch.distributions.Normal, alpha_bar_t / alpha_bar_s
    log_weight = normal(ratio.sqrt() * grid, (1 - ratio).sqrt()).log_prob(x_t)
    log_weight = log_weight + normal(alpha_bar_s.sqrt() * x_0, (1 - alpha_bar_s).sqrt()).log_prob(grid)
    weight = torch.softmax(log_weight, dim=0)
    mean = (weight * grid).sum(0)
    variance = (weight * (grid - mean) ** 2).sum(0)
    mu_tilde, beta_tilde = reverse.q_posterior(x_0, x_t, alpha_bar_t, alpha_bar_s)
    return compare(torch.stack([mu_tilde, beta_tilde.expand(5)]), torch.stack([mean, variance]), 1e-8)


@entry(
    "N8.p_reverse",
    latex=r"p_\theta(x_s \mid x_t) = \mathcal{N}\big(\tilde\mu_t(x_t, \hat x_0),\ \sigma_t^2 I\big)",
    zh="模型的反向一步：用预测的 x̂_0 代替未知的 x_0。",
    en="The model's reverse step: the predicted x_0 takes the place of the unknown one.",
    source="Ho 2020 eq. 1, section 3.2",
    route_zh="数据为高斯分布且 x̂_0 = E[x_0|x_t] 时，均值应等于联合高斯给出的 E[x_s|x_t]，且全方差等于 Var[x_s]",
    route_en="for Gaussian data and x_0_hat = E[x_0|x_t]: the mean must be the joint Gaussian's E[x_s|x_t], the total variance Var[x_s]",
)
def check_p_reverse(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    x_t = random_values(generator, 5)
    covariance = joint_covariance(alpha_bar_t, alpha_bar_s, 0.4)
    x_0_hat = covariance[0, 2] / covariance[2, 2] * x_t
    conditional_variance = covariance[1, 1] - covariance[1, 2] ** 2 / covariance[2, 2]
    mean, variance = reverse.p_reverse(x_0_hat, x_t, alpha_bar_t, alpha_bar_s, conditional_variance)
    # The whole reverse law maps the marginal at t to the marginal at s: mean as regressed, and Var[E] + E[Var] = Var[x_s].
    slope = (mean / x_t)[0]
    left = torch.cat([mean, (slope**2 * covariance[2, 2] + variance)[None]])
    return compare(left, torch.cat([covariance[1, 2] / covariance[2, 2] * x_t, covariance[1, 1][None]]), 1e-12)


@entry(
    "N8.mu_theta_from_eps",
    latex=r"\mu_\theta = \frac{1}{\sqrt{1-\beta_{t|s}}}\Big(x_t - \frac{\beta_{t|s}}{\sqrt{1-\bar\alpha_t}}\,\varepsilon_\theta\Big)",
    zh="用预测的噪声直接写出反向一步的均值（论文公式 11）；不截断时与“先求 x̂_0 再求后验”相同。",
    en="The mean of the reverse step straight from the predicted noise (eq. 11); without clipping it equals x_0-then-posterior.",
    source="Ho 2020 eq. 11",
    route_zh="先由 ε_θ 求 x̂_0，再代入后验均值",
    route_en="x_0_hat from eps_theta, then the posterior mean",
)
def check_mu_theta_from_eps(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    x_t, eps = random_values(generator, 2, 6)
    x_0_hat = (x_t - (1 - alpha_bar_t).sqrt() * eps) / alpha_bar_t.sqrt()
    mean, _ = reverse.q_posterior(x_0_hat, x_t, alpha_bar_t, alpha_bar_s)
    return compare(reverse.mu_theta_from_eps(x_t, eps, alpha_bar_t, alpha_bar_s), mean, 1e-12)


def solved(known: tuple[Tensor, Tensor], values: tuple[Tensor, Tensor], wanted: Tensor) -> Tensor:
    """Solve for `wanted` = w . (x_0, eps), given two linear forms of (x_0, eps) and their values; each form is a pair of coefficients."""
    x_0_and_eps = torch.linalg.solve(torch.stack(known), torch.stack(values))
    return wanted @ x_0_and_eps


def forms(alpha_bar_t: Tensor) -> dict[str, Tensor]:
    """x_0, eps, x_t and v as linear forms of (x_0, eps)."""
    a, s = alpha_bar_t.sqrt(), (1 - alpha_bar_t).sqrt()
    one, zero = torch.ones_like(a), torch.zeros_like(a)
    return {"x_0": torch.stack([one, zero]), "eps": torch.stack([zero, one]), "x_t": torch.stack([a, s]), "v": torch.stack([-s, a])}


SOLVE_ROUTE = {
    "route_zh": "解二元线性方程组：x_t 与 v 都是 (x_0, ε) 的线性组合",
    "route_en": "a 2 x 2 linear system: x_t and v are linear forms of (x_0, eps)",
}


def check_conversion(generator: torch.Generator, name: str, given: str, wanted: str) -> Measured:
    """Compare the conversion `wanted` from (x_t, `given`) with the solution of the linear system."""
    alpha_bar_t, _ = two_times(generator)
    x_t, other = random_values(generator, 2, 6)
    linear = forms(alpha_bar_t)
    arguments = (other, x_t) if given == "x_0" else (x_t, other)
    result = getattr(reverse, name)(*arguments, alpha_bar_t)
    return compare(result, solved((linear["x_t"], linear[given]), (x_t, other), linear[wanted]), 1e-10)


@entry(
    "N8.x_0_from_eps",
    latex=r"\hat x_0 = \frac{x_t - \sqrt{1-\bar\alpha_t}\,\varepsilon_\theta}{\sqrt{\bar\alpha_t}}",
    zh="由预测的噪声得到预测的原图。",
    en="The predicted image from the predicted noise.",
    source="Ho 2020 eq. 15",
    **SOLVE_ROUTE,
)
def check_x_0_from_eps(generator: torch.Generator) -> Measured:
    return check_conversion(generator, "x_0_from_eps", "eps", "x_0")


@entry(
    "N8.x_0_from_v",
    latex=r"\hat x_0 = \sqrt{\bar\alpha_t}\,x_t - \sqrt{1-\bar\alpha_t}\,v_\theta",
    zh="由预测的 v 得到预测的原图。",
    en="The predicted image from the predicted v.",
    source="Salimans 2022 appendix D",
    **SOLVE_ROUTE,
)
def check_x_0_from_v(generator: torch.Generator) -> Measured:
    return check_conversion(generator, "x_0_from_v", "v", "x_0")


@entry(
    "N8.eps_from_x_0",
    latex=r"\varepsilon_\theta = \frac{x_t - \sqrt{\bar\alpha_t}\,\hat x_0}{\sqrt{1-\bar\alpha_t}}",
    zh="由预测的原图得到预测的噪声。",
    en="The predicted noise from the predicted image.",
    source="Ho 2020 eq. 9",
    **SOLVE_ROUTE,
)
def check_eps_from_x_0(generator: torch.Generator) -> Measured:
    return check_conversion(generator, "eps_from_x_0", "x_0", "eps")


@entry(
    "N8.eps_from_v",
    latex=r"\varepsilon_\theta = \sqrt{1-\bar\alpha_t}\,x_t + \sqrt{\bar\alpha_t}\,v_\theta",
    zh="由预测的 v 得到预测的噪声。",
    en="The predicted noise from the predicted v.",
    source="Salimans 2022 appendix D",
    **SOLVE_ROUTE,
)
def check_eps_from_v(generator: torch.Generator) -> Measured:
    return check_conversion(generator, "eps_from_v", "v", "eps")


@entry(
    "N8.v_from_x_0",
    latex=r"v = \frac{\sqrt{\bar\alpha_t}\,x_t - x_0}{\sqrt{1-\bar\alpha_t}}",
    zh="由原图和 x_t 得到 v。",
    en="v from the image and x_t.",
    source="from the definitions of x_t and v",
    **SOLVE_ROUTE,
)
def check_v_from_x_0(generator: torch.Generator) -> Measured:
    return check_conversion(generator, "v_from_x_0", "x_0", "v")


@entry(
    "N8.v_from_eps",
    latex=r"v = \frac{\varepsilon - \sqrt{1-\bar\alpha_t}\,x_t}{\sqrt{\bar\alpha_t}}",
    zh="由噪声和 x_t 得到 v。",
    en="v from the noise and x_t.",
    source="from the definitions of x_t and v",
    **SOLVE_ROUTE,
)
def check_v_from_eps(generator: torch.Generator) -> Measured:
    return check_conversion(generator, "v_from_eps", "eps", "v")


@entry(
    "N8.velocity",
    latex=r"v = \sqrt{\bar\alpha_t}\,\varepsilon - \sqrt{1-\bar\alpha_t}\,x_0",
    zh="v：x_t 沿着由 x_0 转向 ε 的圆弧运动时的速度。",
    en="v: the velocity of x_t on the arc that turns x_0 into eps.",
    source="Salimans 2022 section 4",
    route_zh="自动微分：x(φ) = cos φ x_0 + sin φ ε 对 φ 求导",
    route_en="automatic differentiation of x(phi) = cos(phi) x_0 + sin(phi) eps",
)
def check_velocity(generator: torch.Generator) -> Measured:
    alpha_bar_t, _ = two_times(generator)
    x_0, eps = random_values(generator, 2, 6)

    def arc(phi: Tensor) -> Tensor:
        return torch.cos(phi) * x_0 + torch.sin(phi) * eps

    phi = torch.arccos(alpha_bar_t.sqrt())
    return compare(reverse.velocity(x_0, eps, alpha_bar_t), torch.func.jacrev(arc)(phi), 1e-12)
