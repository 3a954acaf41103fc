"""Rows N2 and N3, vectors: full covariances, checked by quadrature in the plane, against torch.distributions, by Bayes and by simulation."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.notes import gaussian_full
from ddpm_space.notes.checks.noising import random_values
from ddpm_space.notes.entry import Measured, compare, entry

vector_law = torch.distributions.MultivariateNormal


def random_law(generator: torch.Generator, *shape: int) -> tuple[Tensor, Tensor]:
    """Draw Gaussians of `shape` = (..., D): means, and covariances A A^T / D + 0.3 I."""
    dims = shape[-1]
    mixing = random_values(generator, *shape, dims)
    return random_values(generator, *shape), mixing @ mixing.mT / dims + 0.3 * torch.eye(dims, dtype=torch.float64)


def plane(mean: Tensor, covariance: Tensor, points: int = 201) -> tuple[Tensor, Tensor]:
    """A grid over the plane along the axes of a 2-D covariance, 9 standard deviations on either side.

    Returns:
        points (N, 2), and the area that each stands for: sums over the grid are integrals to 1e-13.
    """
    values, axes = torch.linalg.eigh(covariance)
    steps = torch.linspace(-9, 9, points, dtype=torch.float64)
    x = mean + (torch.cartesian_prod(steps, steps) * values.sqrt()) @ axes.mT
    return x, values.prod().sqrt() * (steps[1] - steps[0]) ** 2


@entry(
    "N2.log_density_full",
    latex=r"\log \mathcal{N}(x;\mu,\Sigma) = -\frac{1}{2}(x-\mu)^\top\Sigma^{-1}(x-\mu) - \frac{1}{2}\log(\det(2\pi\Sigma))",
    zh="高斯向量的对数密度：协方差 Σ 描述各分量之间的相关。",
    en="The log-density of a Gaussian vector, whose covariance describes how its coordinates go together.",
    source="Bishop 2006 eq. B.37",
    route_zh="在平面网格上，用形状函数的二维数值积分作归一化；形状函数由特征分解计算",
    route_en="the shape, from the eigenvalues and axes of the covariance, normalized by its own integral over the plane",
)
def check_log_density_full(generator: torch.Generator) -> Measured:
    mean, covariance = random_law(generator, 2)
    values, axes = torch.linalg.eigh(covariance)

    def log_shape(x: Tensor) -> Tensor:
        return -((((x - mean) @ axes) ** 2 / values).sum(-1)) / 2

    grid, area = plane(mean, covariance)
    x = mean + random_values(generator, 16, 2)
    log_integral = (log_shape(grid).exp().sum() * area).log()
    return compare(gaussian_full.log_density_full(x, mean, covariance), log_shape(x) - log_integral, 1e-10)


@entry(
    "N2.entropy_full",
    latex=r"H(X) = \frac{1}{2}\log(\det(2\pi e\,\Sigma))",
    zh="高斯向量的熵：由协方差的行列式（椭球的体积）决定。",
    en="The entropy of a Gaussian vector: set by the determinant of the covariance, the volume of its ellipsoid.",
    source="Bishop 2006 eq. B.41",
    route_zh="在平面网格上对 −p log p 做二维数值积分",
    route_en="quadrature of -p log p over the plane",
)
def check_entropy_full(generator: torch.Generator) -> Measured:
    mean, covariance = random_law(generator, 2)
    x, area = plane(mean, covariance)
    log_p = vector_law(mean, covariance).log_prob(x)
    return compare(gaussian_full.entropy_full(covariance), -(log_p.exp() * log_p).sum() * area, 1e-10)


@entry(
    "N2.kl_full",
    latex=r"\mathrm{KL}(\mathcal{N}_1 \| \mathcal{N}_2) = \frac{1}{2}\Big(\operatorname{tr}(\Sigma_2^{-1}\Sigma_1) - D"
    r" - \log\frac{\det\Sigma_1}{\det\Sigma_2} + (\mu_1-\mu_2)^\top\Sigma_2^{-1}(\mu_1-\mu_2)\Big)",
    zh="两个高斯向量之间的 KL 散度；Σ 为对角阵时，就是各分量 KL 之和。",
    en="How far one Gaussian vector is from another; for diagonal covariances it is the sum over the coordinates.",
    source="Kullback, Leibler 1951",
    route_zh="在平面网格上对 p(log p − log q) 做二维数值积分",
    route_en="quadrature of p (log p - log q) over the plane",
)
def check_kl_full(generator: torch.Generator) -> Measured:
    means, covariances = random_law(generator, 2, 2)
    x, area = plane(means[0], covariances[0])
    log_p, log_q = (vector_law(mean, covariance).log_prob(x) for mean, covariance in zip(means, covariances))
    left = gaussian_full.kl_full(means[0], covariances[0], means[1], covariances[1])
    return compare(left, (log_p.exp() * (log_p - log_q)).sum() * area, 1e-9)


@entry(
    "N2.product_full",
    latex=r"\mathcal{N}(x;\mu_1,\Sigma_1)\,\mathcal{N}(x;\mu_2,\Sigma_2) = c\,\mathcal{N}(x;\mu,\Sigma),"
    r"\quad \Sigma = (\Sigma_1^{-1}+\Sigma_2^{-1})^{-1},"
    r"\quad \mu = \Sigma\,(\Sigma_1^{-1}\mu_1+\Sigma_2^{-1}\mu_2),"
    r"\quad \log c = \log \mathcal{N}(\mu_1;\mu_2,\Sigma_1+\Sigma_2)",
    zh="两个高斯向量的密度相乘：精度矩阵相加，均值按精度加权。",
    en="The densities of two Gaussian vectors multiplied: precision matrices add, means are weighted by them.",
    source="Deisenroth 2020 eq. 6.74-6.77",
    route_zh="在平面网格上把两个密度相乘，数值积分得到 c、均值和协方差",
    route_en="the two densities multiplied on a grid over the plane: c, mean and covariance by quadrature",
)
def check_product_full(generator: torch.Generator) -> Measured:
    means, covariances = random_law(generator, 2, 2)
    x, area = plane(means[0], covariances[0])
    both = sum(vector_law(mean, covariance).log_prob(x) for mean, covariance in zip(means, covariances)).exp()
    total = both.sum() * area
    centre = both @ x * area / total
    spread = (both[:, None] * (x - centre)).T @ (x - centre) * area / total
    mean, covariance, log_constant = gaussian_full.product_full(means[0], covariances[0], means[1], covariances[1])
    return compare(flat(mean, covariance, log_constant), flat(centre, spread, total.log()), 1e-9)


def flat(*values: Tensor) -> Tensor:
    """All values in one row."""
    return torch.cat([value.reshape(-1) for value in values])


@entry(
    "N2.marginal",
    latex=r"p(x_a) = \int p(x_a, x_b)\,dx_b = \mathcal{N}(x_a;\mu_a,\Sigma_{aa})",
    zh="边缘分布：只看一部分分量时，取出均值和协方差的相应部分即可。",
    en="The law of some coordinates alone: just their part of the mean and of the covariance.",
    source="Bishop 2006 eq. 2.98",
    route_zh="把联合密度对另一个分量数值积分，求所留分量的均值与方差",
    route_en="the joint density integrated over the other coordinate: mean and variance of the one that stays",
)
def check_marginal(generator: torch.Generator) -> Measured:
    mean, covariance = random_law(generator, 2)
    centre, spread = gaussian_full.marginal(mean, covariance, [1])
    x, area = plane(mean, covariance)
    weight = vector_law(mean, covariance).log_prob(x).exp() * area
    moment = weight @ x[:, 1]
    return compare(flat(centre, spread), flat(moment, weight @ (x[:, 1] - moment) ** 2), 1e-10)


@entry(
    "N2.condition",
    latex=r"p(x_a \mid x_b) = \mathcal{N}\big(\mu_a+\Sigma_{ab}\Sigma_{bb}^{-1}(x_b-\mu_b),\ \Sigma_{aa}-\Sigma_{ab}\Sigma_{bb}^{-1}\Sigma_{ba}\big)",
    zh="条件分布：已知 x_b 后 x_a 的分布；均值线性地跟随 x_b，方差变小且与 x_b 的取值无关。后验 q(x_{t−1}|x_t, x_0) 就是这样得到的。",
    en="The law of x_a once x_b is known: its mean follows x_b linearly, its variance shrinks and is the same for every x_b. "
    "q(x_{t-1}|x_t, x_0) is a case.",
    source="Bishop 2006 eq. 2.81-2.82",
    route_zh="固定 x_b，把联合密度在 x_a 的网格上归一化（贝叶斯公式），数值积分求均值与方差",
    route_en="Bayes: the joint density with x_b fixed, normalized over a grid of x_a; its mean and variance by quadrature",
)
def check_condition(generator: torch.Generator) -> Measured:
    mean, covariance = random_law(generator, 3)
    observed = mean[[2, 0]] + random_values(generator, 2)
    x_a = torch.linspace(-25, 25, 10_001, dtype=torch.float64)
    joint = torch.stack([observed[1].expand(10_001), x_a, observed[0].expand(10_001)], dim=-1)
    weight = torch.softmax(vector_law(mean, covariance).log_prob(joint), dim=0)
    centre = weight @ x_a
    left = flat(*gaussian_full.condition(mean, covariance, [2, 0], observed))
    return compare(left, flat(centre, weight @ (x_a - centre) ** 2), 1e-9)


@entry(
    "N3.affine_full",
    latex=r"AX+b \sim \mathcal{N}\big(A\mu+b,\ A\Sigma A^\top\big)",
    zh="高斯向量的线性变换仍是高斯向量。",
    en="A linear map of a Gaussian vector is a Gaussian vector.",
    source="Bishop 2006 eq. 2.109-2.110",
    route_zh="在平面网格上对 Ax + b 的一阶、二阶矩做数值积分",
    route_en="first and second moments of A x + b, by quadrature over the plane",
)
def check_affine_full(generator: torch.Generator) -> Measured:
    mean, covariance = random_law(generator, 2)
    matrix, offset = random_values(generator, 3, 2), random_values(generator, 3)
    x, area = plane(mean, covariance)
    weight = vector_law(mean, covariance).log_prob(x).exp() * area
    y = torch.einsum("ed,nd->ne", matrix, x) + offset
    centre = weight @ y
    spread = torch.einsum("n,ne,nf->ef", weight, y - centre, y - centre)
    return compare(flat(*gaussian_full.affine_full(mean, covariance, matrix, offset)), flat(centre, spread), 1e-10)


@entry(
    "N3.linear_combination_full",
    latex=r"aX+bY \sim \mathcal{N}\big(a\mu_1+b\mu_2,\ a^2\Sigma_1+b^2\Sigma_2\big)",
    zh="独立的高斯向量之和：均值相加，协方差相加。",
    en="Independent Gaussian vectors add up: means add, covariances add.",
    source="Deisenroth 2020 eq. 6.79",
    route_zh="特征函数：和的特征函数等于两者之积，各由平面数值积分得到",
    route_en="characteristic functions: that of the sum is the product of the two, each by quadrature over the plane",
)
def check_linear_combination_full(generator: torch.Generator) -> Measured:
    means, covariances = random_law(generator, 2, 2)
    weights = 0.5 + torch.rand(2, generator=generator, dtype=torch.float64)
    frequency = random_values(generator, 6, 2) / 2

    def characteristic(mean: Tensor, covariance: Tensor, scale: float) -> Tensor:
        x, area = plane(mean, covariance)
        density = vector_law(mean, covariance).log_prob(x).exp() * area
        phase = scale * frequency @ x.T
        return torch.complex(phase.cos() @ density, phase.sin() @ density)

    a, b = weights.tolist()
    both = characteristic(means[0], covariances[0], a) * characteristic(means[1], covariances[1], b)
    mean, covariance = gaussian_full.linear_combination_full(means[0], covariances[0], means[1], covariances[1], a, b)
    phase = frequency @ mean
    size = torch.exp(-torch.einsum("kd,de,ke->k", frequency, covariance, frequency) / 2)
    return compare(flat(size * phase.cos(), size * phase.sin()), flat(both.real, both.imag), 1e-9)


@entry(
    "N3.reparameterize_full",
    latex=r"x = \mu + L\,\varepsilon,\qquad L L^\top = \Sigma,\quad \varepsilon\sim\mathcal{N}(0,I)",
    zh="高斯向量的重参数化：用协方差的 Cholesky 因子 L 把独立噪声变成相关噪声。",
    en="The reparameterization of a vector: the Cholesky factor L of the covariance turns independent noise into correlated noise.",
    source="Kingma, Welling 2014",
    route_zh="抽样 20 万次，样本均值与协方差（容差为 5 个标准误）",
    route_en="200,000 draws: their mean and covariance, within 5 standard errors",
)
def check_reparameterize_full(generator: torch.Generator) -> Measured:
    draws = 200_000
    mean, covariance = random_law(generator, 3)
    x = gaussian_full.reparameterize_full(mean.expand(draws, 3), covariance, generator=generator)
    variances = covariance.diagonal()
    errors = flat((variances / draws).sqrt(), ((variances[:, None] * variances + covariance**2) / draws).sqrt())
    return compare(flat(x.mean(0), torch.cov(x.T)), flat(mean, covariance), 5 * errors)
