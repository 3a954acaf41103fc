"""Row N3, gradients through a draw: both estimators against gradients known exactly, their variances against quadrature over eps."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.notes import gradients
from ddpm_space.notes.checks.noising import random_values
from ddpm_space.notes.entry import Measured, compare, entry
from ddpm_space.notes.gradients import Gradient

DRAWS = 200_000


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64).item()


def random_wave(generator: torch.Generator) -> tuple[float, float, float, Gradient]:
    """Draw a frequency w, a mean and a std, and the exact gradient of E sin(w x) = sin(w mean) exp(-w^2 std^2 / 2).

    w mean is near pi / 4 and w std near 1: both derivatives are far from 0.
    """
    frequency, std_phase, phase = uniform(generator, 0.5, 2), uniform(generator, 0.9, 1.1), uniform(generator, 0.6, 0.9)
    damping = math.exp(-(std_phase**2) / 2)
    exact = torch.tensor([frequency * math.cos(phase) * damping, -frequency * std_phase * math.sin(phase) * damping], dtype=torch.float64)
    return frequency, phase / frequency, std_phase / frequency, Gradient(exact[0], exact[1])


def random_quadratic(generator: torch.Generator) -> tuple[list[float], float, float]:
    """Draw (a, b, c) of f(x) = a x^2 + b x + c, and a mean and a std."""
    return random_values(generator, 3).tolist(), random_values(generator, 1).item(), uniform(generator, 0.5, 1.5)


def polynomial(a: float, b: float, c: float, x: Tensor) -> Tensor:
    return a * x**2 + b * x + c


def over_eps() -> tuple[Tensor, Tensor]:
    """A grid of eps with the weights that make sums over it expectations, to rounding: two of (4001,)."""
    eps = torch.linspace(-14, 14, 4_001, dtype=torch.float64)
    return eps, torch.exp(-(eps**2) / 2) / math.sqrt(2 * math.pi) * (eps[1] - eps[0])


def moments(samples: Tensor, weight: Tensor) -> Tensor:
    """Exact mean and variance of an estimator whose values at the grid of eps are `samples`: (2,)."""
    mean = (weight * samples).sum()
    return torch.stack([mean, (weight * (samples - mean) ** 2).sum()])


def against_exact(samples: Gradient, exact: Gradient) -> Measured:
    """Compare the means of the draws with the exact gradient, within 5 standard errors."""
    errors = torch.stack([values.std() for values in samples]) / math.sqrt(DRAWS)
    return compare(torch.stack([values.mean() for values in samples]), torch.stack(list(exact)), 5 * errors)


WAVE_ROUTE = {
    "route_zh": "f(x) = sin(ωx) 时 E f = sin(ωμ) exp(−ω²σ²/2)，其导数精确已知；20 万次抽样的平均（容差为 5 个标准误）",
    "route_en": "for f(x) = sin(wx), E f = sin(w mu) exp(-w^2 sigma^2 / 2), whose derivatives are exact; mean of 200,000 draws, 5 standard errors",
}


@entry(
    "N3.pathwise_gradient",
    latex=r"\nabla_\mu \mathbb{E}f(x) = \mathbb{E}\big[f'(\mu+\sigma\varepsilon)\big],\qquad "
    r"\nabla_\sigma \mathbb{E}f(x) = \mathbb{E}\big[f'(\mu+\sigma\varepsilon)\,\varepsilon\big]",
    zh="重参数化梯度：沿着 x = μ + σε 对 f 求导；扩散模型训练用的就是它。",
    en="The reparameterized gradient: differentiate f along x = mu + sigma eps. It is what diffusion models train with.",
    source="Kingma, Welling 2014; Mohamed 2020 section 5",
    **WAVE_ROUTE,
)
def check_pathwise_gradient(generator: torch.Generator) -> Measured:
    frequency, mean, std, exact = random_wave(generator)
    eps = random_values(generator, DRAWS)
    return against_exact(gradients.pathwise_gradient(lambda x: torch.sin(frequency * x), mean, std, eps), exact)


@entry(
    "N3.score_function_gradient",
    latex=r"\nabla_\mu \mathbb{E}f(x) = \mathbb{E}\Big[(f(x)-b)\,\frac{\varepsilon}{\sigma}\Big],\qquad "
    r"\nabla_\sigma \mathbb{E}f(x) = \mathbb{E}\Big[(f(x)-b)\,\frac{\varepsilon^2-1}{\sigma}\Big]",
    zh="得分函数梯度（REINFORCE）：不对 f 求导，只用 f 的值乘以对数密度的导数；基线 b 不改变期望，只改变方差。",
    en="The score-function gradient (REINFORCE): values of f times the derivative of the log-density, f itself never differentiated. "
    "A baseline b changes the variance, not the expectation.",
    source="Williams 1992; Mohamed 2020 section 4",
    **WAVE_ROUTE,
)
def check_score_function_gradient(generator: torch.Generator) -> Measured:
    frequency, mean, std, exact = random_wave(generator)
    eps = random_values(generator, DRAWS)
    baseline = (uniform(generator, 0.2, 0.5), uniform(generator, 0.2, 0.5))
    return against_exact(gradients.score_function_gradient(lambda x: torch.sin(frequency * x), mean, std, eps, baseline), exact)


@entry(
    "N3.optimal_baseline",
    latex=r"b^* = \frac{\mathbb{E}[f(x)\,s^2]}{\mathbb{E}[s^2]},\qquad s=\varepsilon\ (\text{for }\mu),\quad s=\varepsilon^2-1\ (\text{for }\sigma)",
    zh="使得分函数梯度方差最小的基线：f 的均值，但以得分的平方加权。",
    en="The baseline that leaves the score-function gradient the least variance: the mean of f, weighted by the square of the score.",
    source="Greensmith 2004",
    route_zh="方差是 b 的二次函数：用三个 b 处的精确方差（对 ε 数值积分）定出抛物线，其顶点应与 20 万次抽样估计的 b 一致（5 个标准误）",
    route_en="the variance is a parabola in b: its vertex from three exact variances (quadrature over eps); 200,000 draws, 5 standard errors",
)
def check_optimal_baseline(generator: torch.Generator) -> Measured:
    frequency, mean, std, _ = random_wave(generator)
    grid, weight = over_eps()

    def f(x: Tensor) -> Tensor:
        return 1 + torch.sin(frequency * x)

    at = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    below, here, above = (
        torch.stack([moments(values, weight)[1] for values in gradients.score_function_gradient(f, mean, std, grid, (b, b))]) for b in at
    )
    vertex = (below - above) / (2 * (below - 2 * here + above))
    eps = random_values(generator, DRAWS)
    y, squares = f(mean + std * eps), (eps**2, (eps**2 - 1) ** 2)
    errors = torch.stack([((y - b) * square).std() / square.mean() for b, square in zip(vertex, squares)]) / math.sqrt(DRAWS)
    return compare(torch.stack(list(gradients.optimal_baseline(f, mean, std, eps))), vertex, 5 * errors)


@entry(
    "N3.estimate",
    latex=r"\bar g = \frac{1}{n}\sum_{i=1}^{n} g_i,\qquad \mathrm{SE} = \frac{s}{\sqrt{n}},\qquad s^2 = \frac{1}{n-1}\sum_{i=1}^{n}(g_i-\bar g)^2",
    zh="由 n 次抽样估计期望：样本均值、标准误与样本方差。没有误差棒的差别不算差别。",
    en="What n draws say of an expectation: mean, standard error, variance. A difference without an error bar is not a difference.",
    source="Bessel's correction",
    route_zh="方差由所有两两之差计算，标准误由留一法（jackknife）计算",
    route_en="the variance from all differences of pairs, the standard error by the jackknife",
)
def check_estimate(generator: torch.Generator) -> Measured:
    n = 50
    samples = 2 + random_values(generator, n)
    without_one = (samples.sum() - samples) / (n - 1)
    jackknife = ((n - 1) / n * ((without_one - without_one.mean()) ** 2).sum()).sqrt()
    pairs = (samples[:, None] - samples) ** 2
    reference = torch.stack([torch.dot(samples, torch.full_like(samples, 1 / n)), jackknife, pairs.sum() / (2 * n * (n - 1))])
    return compare(torch.stack(list(gradients.estimate(samples))), reference, 1e-12)


@entry(
    "N3.quadratic_gradient",
    latex=r"\nabla_\mu \mathbb{E}[ax^2+bx+c] = 2a\mu+b,\qquad \nabla_\sigma \mathbb{E}[ax^2+bx+c] = 2a\sigma",
    zh="f 为二次函数时期望的精确梯度，两种估计都应围绕它波动。",
    en="The exact gradient for a quadratic f, around which both estimators scatter.",
    source="from E[x^2] = mu^2 + sigma^2",
    route_zh="两种估计量对 ε 的精确期望（数值积分）",
    route_en="the exact expectations of both estimators, by quadrature over eps",
)
def check_quadratic_gradient(generator: torch.Generator) -> Measured:
    (a, b, c), mean, std = random_quadratic(generator)
    eps, weight = over_eps()
    pathwise = gradients.pathwise_gradient(lambda x: polynomial(a, b, c, x), mean, std, eps)
    score = gradients.score_function_gradient(lambda x: polynomial(a, b, c, x), mean, std, eps)
    exact = torch.stack(list(gradients.quadratic_gradient(a, b, mean, std)))
    return compare(torch.cat([exact, exact]), torch.stack([moments(values, weight)[0] for values in (*pathwise, *score)]), 1e-10)


@entry(
    "N3.pathwise_variance",
    latex=r"\mathrm{Var}[g_\mu] = 4a^2\sigma^2,\qquad \mathrm{Var}[g_\sigma] = (2a\mu+b)^2 + 8a^2\sigma^2",
    zh="f = ax² + bx + c 时，重参数化梯度单次抽样的方差。",
    en="The variance of one draw of the reparameterized gradient for f = a x^2 + b x + c.",
    source="from the moments of a Gaussian",
    route_zh="估计量平方对 ε 的精确积分（数值积分）",
    route_en="the estimator's exact variance, by quadrature over eps",
)
def check_pathwise_variance(generator: torch.Generator) -> Measured:
    (a, b, c), mean, std = random_quadratic(generator)
    eps, weight = over_eps()
    samples = gradients.pathwise_gradient(lambda x: polynomial(a, b, c, x), mean, std, eps)
    by_quadrature = torch.stack([moments(values, weight)[1] for values in samples])
    return compare(torch.stack(list(gradients.pathwise_variance(a, b, mean, std))), by_quadrature, 1e-9)


@entry(
    "N3.score_function_variance",
    latex=r"\mathrm{Var}[g_\mu] = \frac{k_\mu^2}{\sigma^2} + 6ak_\mu + 15a^2\sigma^2 + 2m^2,"
    r"\quad \mathrm{Var}[g_\sigma] = \frac{2k_\sigma^2}{\sigma^2} + 20ak_\sigma + 74a^2\sigma^2 + 10m^2,"
    r"\quad m = 2a\mu+b,\quad k_\mu = a\mu^2+b\mu+c-b_\mu,\quad k_\sigma = a\mu^2+b\mu+c-b_\sigma",
    zh="f = ax² + bx + c 时，得分函数梯度单次抽样的方差：随 f 的常数项增大，即使用最优基线仍大于重参数化。",
    en="The variance of one draw of the score-function gradient for f = a x^2 + b x + c: it grows with the level of f, "
    "and even with the best baseline exceeds the reparameterized one.",
    source="from the moments of a Gaussian up to the eighth",
    route_zh="估计量（含基线）对 ε 的精确方差（数值积分）",
    route_en="the exact variance of the estimator, baselines included, by quadrature over eps",
)
def check_score_function_variance(generator: torch.Generator) -> Measured:
    (a, b, c), mean, std = random_quadratic(generator)
    baseline = (uniform(generator, -1, 1), uniform(generator, -1, 1))
    eps, weight = over_eps()
    samples = gradients.score_function_gradient(lambda x: polynomial(a, b, c, x), mean, std, eps, baseline)
    by_quadrature = torch.stack([moments(values, weight)[1] for values in samples])
    return compare(torch.stack(list(gradients.score_function_variance(a, b, c, mean, std, baseline))), by_quadrature, 1e-7)


@entry(
    "N3.quadratic_baseline",
    latex=r"b_\mu^* = a\mu^2+b\mu+c+3a\sigma^2,\qquad b_\sigma^* = a\mu^2+b\mu+c+5a\sigma^2",
    zh="f = ax² + bx + c 时的最优基线。",
    en="The best baselines for f = a x^2 + b x + c.",
    source="from the moments of a Gaussian up to the sixth",
    route_zh="E[f(x) s²] / E[s²] 对 ε 的数值积分",
    route_en="E[f(x) s^2] / E[s^2] by quadrature over eps",
)
def check_quadratic_baseline(generator: torch.Generator) -> Measured:
    (a, b, c), mean, std = random_quadratic(generator)
    eps, weight = over_eps()
    y = polynomial(a, b, c, mean + std * eps)
    reference = torch.stack([(weight * y * square).sum() / (weight * square).sum() for square in (eps**2, (eps**2 - 1) ** 2)])
    return compare(torch.stack(list(gradients.quadratic_baseline(a, b, c, mean, std))), reference, 1e-10)
