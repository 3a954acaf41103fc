"""Rows N2 and N3, one dimension: the Gaussian, its maps, sums and products, checked by quadrature, by convolution and by another library."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.notes import gaussian, gaussian_algebra
from ddpm_space.notes.checks.noising import random_values
from ddpm_space.notes.entry import Measured, compare, entry

normal = torch.distributions.Normal


def random_laws(generator: torch.Generator, count: int, size: int) -> list[tuple[Tensor, Tensor]]:
    """Draw `count` times `size` Gaussians: means in float64, variances in (0.2, 1.2)."""
    variances = 0.2 + torch.rand(count, size, generator=generator, dtype=torch.float64)
    return list(zip(random_values(generator, count, size), variances))


def line(mean: Tensor, variance: Tensor, points: int = 4_001) -> Tensor:
    """A grid over 12 standard deviations on either side, (points, size): the trapezoid rule is exact there to rounding."""
    return mean + variance.sqrt() * torch.linspace(-12, 12, points, dtype=torch.float64)[:, None]


def shape_only(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """exp(-(x - mean)^2 / (2 variance)), whose integral nobody has put in."""
    return torch.exp(-((x - mean) ** 2) / (2 * variance))


@entry(
    "N2.density",
    latex=r"\mathcal{N}(x;\mu,\sigma^2) = \frac{1}{\sqrt{2\pi\sigma^2}}\exp\Big(-\frac{(x-\mu)^2}{2\sigma^2}\Big)",
    zh="高斯分布的概率密度；它是密度而不是概率，可以大于 1。",
    en="The density of a Gaussian; a density, not a probability: it may exceed 1.",
    source="Gauss 1809",
    route_zh="形状函数 exp(−(x−μ)²/2σ²) 除以它自己的数值积分",
    route_en="the shape exp(-(x-mu)^2 / 2 sigma^2) divided by its own integral, by quadrature",
)
def check_density(generator: torch.Generator) -> Measured:
    ((mean, variance),) = random_laws(generator, 1, 16)
    x, grid = mean + random_values(generator, 16), line(mean, variance)
    integral = torch.trapezoid(shape_only(grid, mean, variance), grid, dim=0)
    return compare(gaussian.density(x, mean, variance), shape_only(x, mean, variance) / integral, 1e-12)


@entry(
    "N2.log_density",
    latex=r"\log \mathcal{N}(x;\mu,\sigma^2) = -\frac{(x-\mu)^2}{2\sigma^2} - \frac{1}{2}\log(2\pi\sigma^2)",
    zh="高斯分布在一点的对数密度。",
    en="The log-density of a Gaussian at a point.",
    source="Gauss 1809",
    route_zh="与 torch.distributions.Normal 的对数密度比较",
    route_en="against torch.distributions.Normal's log-density",
)
def check_log_density(generator: torch.Generator) -> Measured:
    ((mean, variance),) = random_laws(generator, 1, 64)
    x = random_values(generator, 64)
    return compare(gaussian.log_density(x, mean, variance), normal(mean, variance.sqrt()).log_prob(x), 1e-12)


@entry(
    "N2.entropy",
    latex=r"H(X) = \frac{1}{2}\log(2\pi e\,\sigma^2)",
    zh="高斯分布的（微分）熵，单位为奈特：只取决于方差，可以为负。",
    en="The (differential) entropy of a Gaussian, in nats: set by the variance alone, and negative for a narrow one.",
    source="Shannon 1948 section 20",
    route_zh="对 −p(x) log p(x) 做数值积分",
    route_en="quadrature of -p(x) log p(x)",
)
def check_entropy(generator: torch.Generator) -> Measured:
    ((mean, variance),) = random_laws(generator, 1, 16)
    x = line(mean, variance)
    log_p = normal(mean, variance.sqrt()).log_prob(x)
    return compare(gaussian.entropy(variance), torch.trapezoid(-log_p.exp() * log_p, x, dim=0), 1e-12)


def log_tail(z: Tensor) -> Tensor:
    """Log of the standard Gaussian's mass to the left of z, (size,): phi(z - s) = phi(z) exp(z s - s^2 / 2), integrated by Simpson's rule."""
    intervals = 8_000
    reach = torch.where(z < -4, 40 / z.abs(), z + 14)  # where the integrand has long vanished
    s = reach * torch.linspace(0, 1, intervals + 1, dtype=torch.float64)[:, None]
    weights = torch.full((intervals + 1, 1), 2.0, dtype=torch.float64)
    weights[1::2], weights[0], weights[-1] = 4.0, 1.0, 1.0
    integral = (weights * torch.exp(z * s - s**2 / 2)).sum(0) * reach / (3 * intervals)
    return integral.log() - z**2 / 2 - math.log(2 * math.pi) / 2


def places(generator: torch.Generator, lowest: float) -> tuple[Tensor, Tensor, Tensor]:
    """Draw 24 Gaussians and as many z from `lowest` to 2: z, mean, variance."""
    ((mean, variance),) = random_laws(generator, 1, 24)
    steps = torch.linspace(lowest, 1, 24, dtype=torch.float64)
    return steps + torch.rand(24, generator=generator, dtype=torch.float64), mean, variance


@entry(
    "N2.cdf",
    latex=r"P(X \le x) = \Phi\Big(\frac{x-\mu}{\sigma}\Big) = \frac{1}{2}\operatorname{erfc}\Big(-\frac{x-\mu}{\sqrt{2}\,\sigma}\Big)",
    zh="分布函数：落在 x 左边的概率；用 erfc 计算，远尾也不丢有效数字。",
    en="The distribution function: the probability to the left of x; by erfc, so that the far tail keeps its digits.",
    source="Abramowitz, Stegun 1964 section 26.2",
    route_zh="对 x 左边（以及右边）的密度做数值积分，直到 36 个标准差处；比较相对误差",
    route_en="quadrature of the density to the left of x (and to the right), as far as 36 standard deviations; relative errors",
)
def check_cdf(generator: torch.Generator) -> Measured:
    z, mean, variance = places(generator, -36.0)
    # On either side x is rounded, which the far tail magnifies: z is taken back from the x that was passed.
    below, above = mean + variance.sqrt() * z, mean - variance.sqrt() * z
    left = gaussian.cdf(below, mean, variance) / log_tail((below - mean) / variance.sqrt()).exp()
    right = gaussian.cdf(above, mean, variance, upper=True) / log_tail((mean - above) / variance.sqrt()).exp()
    return compare(torch.cat([left, right]), torch.ones(48, dtype=torch.float64), 1e-10)


@entry(
    "N2.log_cdf",
    latex=r"\log P(X \le x) = \log\Big(\Phi\Big(\frac{x-\mu}{\sigma}\Big)\Big)",
    zh="分布函数的对数：概率小到下溢时仍然有限。",
    en="The log of the distribution function, still finite where the probability underflows.",
    source="Abramowitz, Stegun 1964 section 26.2",
    route_zh="提出密度因子后数值积分，直到 1000 个标准差处（概率约为 e 的 −50 万次方）；比较相对误差",
    route_en="quadrature with the density taken out, as far as 1,000 standard deviations (a probability of e^-500000); relative errors",
)
def check_log_cdf(generator: torch.Generator) -> Measured:
    z, mean, variance = places(generator, -1000.0)
    left = gaussian.log_cdf(mean + variance.sqrt() * z, mean, variance) / log_tail(z)
    right = gaussian.log_cdf(mean - variance.sqrt() * z, mean, variance, upper=True) / log_tail(z)
    return compare(torch.cat([left, right]), torch.ones(48, dtype=torch.float64), 1e-10)


@entry(
    "N2.quantile",
    latex=r"x_p = \mu + \sigma\,\Phi^{-1}(p)",
    zh="分位数：左边概率恰为 p 的那一点，是分布函数的反函数。",
    en="The quantile: the point with probability p to its left; the inverse of the distribution function.",
    source="Abramowitz, Stegun 1964 section 26.2",
    route_zh="对所得点左边（以及右边）的密度做数值积分，应得回 p；p 小到 10 的 −290 次方",
    route_en="quadrature of the density to the left (and right) of the point must give p back; p as small as 1e-290",
)
def check_quantile(generator: torch.Generator) -> Measured:
    _, mean, variance = places(generator, 0.0)
    log_p = -math.log(10) * torch.linspace(0.05, 290, 24, dtype=torch.float64)
    below = gaussian.quantile(log_p.exp(), mean, variance)
    above = gaussian.quantile(log_p.exp(), mean, variance, upper=True)
    left, right = (log_tail((side - mean) / variance.sqrt() * sign) for side, sign in ((below, 1), (above, -1)))
    return compare(torch.cat([left, right]), torch.cat([log_p, log_p]), 1e-9)


@entry(
    "N2.kl_gaussian",
    latex=r"\mathrm{KL}(\mathcal{N}_1 \| \mathcal{N}_2) = \frac{1}{2}\Big(\frac{\sigma_1^2}{\sigma_2^2} - 1 - \log\frac{\sigma_1^2}{\sigma_2^2}"
    r" + \frac{(\mu_1-\mu_2)^2}{\sigma_2^2}\Big)",
    zh="两个高斯分布之间的 KL 散度：方差之比的贡献加上均值之差的贡献。",
    en="How far one Gaussian is from another: a part from the ratio of the variances, a part from the difference of the means.",
    source="Kullback, Leibler 1951",
    route_zh="对 p(x)(log p(x) − log q(x)) 做数值积分",
    route_en="quadrature of p(x) (log p(x) - log q(x))",
)
def check_kl_gaussian(generator: torch.Generator) -> Measured:
    (mean_1, variance_1), (mean_2, variance_2) = random_laws(generator, 2, 16)
    x = line(mean_1, variance_1)
    log_p, log_q = (normal(mean, variance.sqrt()).log_prob(x) for mean, variance in ((mean_1, variance_1), (mean_2, variance_2)))
    by_quadrature = torch.trapezoid(log_p.exp() * (log_p - log_q), x, dim=0)
    return compare(gaussian.kl_gaussian(mean_1, variance_1, mean_2, variance_2), by_quadrature, 1e-9)


@entry(
    "N2.product",
    latex=r"\mathcal{N}(x;\mu_1,\sigma_1^2)\,\mathcal{N}(x;\mu_2,\sigma_2^2) = c\,\mathcal{N}(x;\mu,\sigma^2),"
    r"\quad \sigma^2 = \frac{1}{\frac{1}{\sigma_1^2} + \frac{1}{\sigma_2^2}},"
    r"\quad \mu = \sigma^2\Big(\frac{\mu_1}{\sigma_1^2} + \frac{\mu_2}{\sigma_2^2}\Big),"
    r"\quad \log c = -\frac{(\mu_1-\mu_2)^2}{2v} - \frac{1}{2}\log(2\pi v),\quad v = \sigma_1^2+\sigma_2^2",
    zh="两个高斯密度相乘仍是高斯：精度（方差的倒数）相加，均值按精度加权，另有归一化常数 c。",
    en="Two Gaussian densities multiply to a third: precisions (1/variance) add, means are weighted by precision, and a constant c remains.",
    source="Deisenroth 2020 eq. 6.74-6.77",
    route_zh="在网格上把两个密度相乘，数值积分得到 c、均值和方差",
    route_en="the two densities multiplied on a grid: c, mean and variance by quadrature",
)
def check_product(generator: torch.Generator) -> Measured:
    (mean_1, variance_1), (mean_2, variance_2) = random_laws(generator, 2, 16)
    x = line(mean_1, variance_1)
    both = (normal(mean_1, variance_1.sqrt()).log_prob(x) + normal(mean_2, variance_2.sqrt()).log_prob(x)).exp()
    total = torch.trapezoid(both, x, dim=0)
    centre = torch.trapezoid(both * x, x, dim=0) / total
    spread = torch.trapezoid(both * (x - centre) ** 2, x, dim=0) / total
    mean, variance, log_constant = gaussian_algebra.product(mean_1, variance_1, mean_2, variance_2)
    return compare(torch.stack([mean, variance, log_constant]), torch.stack([centre, spread, total.log()]), 1e-10)


@entry(
    "N3.affine",
    latex=r"aX+b \sim \mathcal{N}\big(a\mu+b,\ a^2\sigma^2\big)",
    zh="高斯变量的线性变换仍是高斯：均值同样变换，方差乘以 a²。",
    en="A linear map of a Gaussian is Gaussian: the mean is mapped too, the variance is multiplied by a^2.",
    source="Bishop 2006 eq. 2.109-2.110",
    route_zh="换元公式给出 Y = aX + b 的密度 p((y−b)/a)/|a|，数值积分求均值与方差",
    route_en="the density of Y = aX + b by change of variables, p((y-b)/a)/|a|: its mean and variance by quadrature",
)
def check_affine(generator: torch.Generator) -> Measured:
    ((mean, variance),) = random_laws(generator, 1, 12)
    a, b = random_values(generator, 2, 12)
    a = a.sign() * (0.3 + a.abs())
    y = line(torch.zeros(12, dtype=torch.float64), torch.full((12,), 9.0, dtype=torch.float64), 40_001)
    weight = normal(mean, variance.sqrt()).log_prob((y - b) / a).exp() / a.abs() * (y[1, 0] - y[0, 0])
    centre = (weight * y).sum(0)
    left = torch.stack(gaussian_algebra.affine(mean, variance, a, b))
    return compare(left, torch.stack([centre, (weight * (y - centre) ** 2).sum(0)]), 1e-9)


@entry(
    "N3.linear_combination",
    latex=r"aX+bY \sim \mathcal{N}\big(a\mu_1+b\mu_2,\ a^2\sigma_1^2+b^2\sigma_2^2\big)",
    zh="独立高斯之和仍是高斯：均值相加，方差（不是标准差）相加。a² + b² = 1 时方差保持为 1，这正是加噪一步的写法。",
    en="Independent Gaussians add up to a Gaussian: means add, variances (not sigmas) add. "
    "With a^2 + b^2 = 1 a unit variance stays 1, as in a step of noising.",
    source="Deisenroth 2020 eq. 6.79",
    route_zh="两个密度的卷积（数值积分）在若干点上的对数值",
    route_en="log of the convolution of the two densities, by quadrature, at several points",
)
def check_linear_combination(generator: torch.Generator) -> Measured:
    (mean_1, variance_1), (mean_2, variance_2) = random_laws(generator, 2, 12)
    a, b = 0.5 + torch.rand(2, 12, generator=generator, dtype=torch.float64)
    x = line(mean_1, variance_1)
    z = a * mean_1 + b * mean_2 + random_values(generator, 12)
    # P(aX + bY in dz) = integral over x of p_X(x) p_Y((z - a x) / b) / b.
    joint = normal(mean_1, variance_1.sqrt()).log_prob(x) + normal(mean_2, variance_2.sqrt()).log_prob((z - a * x) / b)
    convolution = torch.trapezoid(joint.exp(), x, dim=0) / b
    mean, variance = gaussian_algebra.linear_combination(mean_1, variance_1, mean_2, variance_2, a, b)
    return compare(normal(mean, variance.sqrt()).log_prob(z), convolution.log(), 1e-9)


@entry(
    "N3.reparameterize",
    latex=r"x = \mu + \sigma\,\varepsilon,\qquad \varepsilon\sim\mathcal{N}(0,1)",
    zh="重参数化：随机性全部来自 ε，x 是 μ 与 σ 的可微函数，梯度因此能穿过抽样。",
    en="Reparameterization: all randomness comes from eps; x is a differentiable function of mu and sigma, and gradients pass through the draw.",
    source="Kingma, Welling 2014",
    route_zh="对 ε 数值积分求 x 的均值与方差；并用自动微分验证 E[x²] 对 μ 的导数为 2μ、对 σ² 的导数为 1",
    route_en="mean and variance of x by quadrature over eps; autograd of E[x^2] must give 2 mu in mu and 1 in sigma^2",
)
def check_reparameterize(generator: torch.Generator) -> Measured:
    ((mean, variance),) = random_laws(generator, 1, 1)
    mean, variance = mean[0].requires_grad_(), variance[0].requires_grad_()
    eps = torch.linspace(-12, 12, 4_001, dtype=torch.float64)
    weight = normal(torch.zeros_like(eps), 1.0).log_prob(eps).exp() * (eps[1] - eps[0])
    x = gaussian_algebra.reparameterize(mean.expand(4_001), variance, eps=eps)
    centre = (weight * x).sum()
    slopes = torch.autograd.grad((weight * x**2).sum(), (mean, variance), retain_graph=True)
    left = torch.stack([centre, (weight * (x - centre) ** 2).sum(), *slopes]).detach()
    right = torch.stack([mean, variance, 2 * mean, torch.ones_like(mean)]).detach()
    return compare(left, right, 1e-10)
