"""Row N8, the bound's terms: checked by quadrature, by Monte Carlo, by summing to one, and by cases whose answer is known."""

from __future__ import annotations

import math

import torch

from ddpm_space.notes import elbo
from ddpm_space.notes.checks.noising import random_betas, random_values
from ddpm_space.notes.entry import Measured, compare, entry
from ddpm_space.notes.forward import q_cumulative_sample


@entry(
    "N8.prior_kl",
    latex=r"L_T = \mathrm{KL}\big(q(x_T \mid x_0)\,\|\,\mathcal{N}(0,I)\big)"
    r" = \frac{1}{2}\big(\bar\alpha_T\,x_0^2 - \bar\alpha_T - \log(1-\bar\alpha_T)\big)",
    zh="链的终点还保留了多少原图的信息；应当接近 0。",
    en="What the end of the chain still knows of the image; it should be close to 0.",
    source="Ho 2020 eq. 5",
    route_zh="蒙特卡罗：对抽样 x_T 求 log q(x_T|x_0) − log N(x_T; 0, 1) 的平均（容差为 5 个标准误）",
    route_en="Monte Carlo: the mean of log q(x_T|x_0) - log N(x_T; 0, 1) over draws of x_T, within 5 standard errors",
)
def check_prior_kl(generator: torch.Generator) -> Measured:
    draws, alpha_bar = 200_000, torch.tensor(0.3, dtype=torch.float64)
    x_0 = random_values(generator, 3)
    x_T = q_cumulative_sample(x_0.expand(draws, 3), alpha_bar, generator=generator)
    normal = torch.distributions.Normal
    log_ratio = normal(alpha_bar.sqrt() * x_0, (1 - alpha_bar).sqrt()).log_prob(x_T) - normal(0.0, 1.0).log_prob(x_T)
    return compare(elbo.prior_kl(x_0, alpha_bar), log_ratio.mean(0), 5 * log_ratio.std(0) / math.sqrt(draws))


@entry(
    "N8.kl_term",
    latex=r"L_{t-1} = \mathrm{KL}\big(q(x_{t-1} \mid x_t,x_0)\,\|\,p_\theta(x_{t-1} \mid x_t)\big)"
    r" = \frac{1}{2}\Big(\frac{\tilde\beta_t}{\sigma_t^2} - 1 - \log\frac{\tilde\beta_t}{\sigma_t^2}"
    r" + \frac{(\tilde\mu_t-\mu_\theta)^2}{\sigma_t^2}\Big)",
    zh="这一步里模型的反向分布与真实后验相差多少。",
    en="How far the model's step is from the true posterior at this t.",
    source="Ho 2020 eq. 5, 8",
    route_zh="对两个密度做数值积分",
    route_en="quadrature of the two densities",
)
def check_kl_term(generator: torch.Generator) -> Measured:
    mu_tilde, mu_theta = 0.1 * random_values(generator, 2, 8)
    beta_tilde, sigma2 = 0.01 + 0.02 * torch.rand(2, 8, generator=generator, dtype=torch.float64)
    x = mu_tilde + beta_tilde.sqrt() * torch.linspace(-12, 12, 20_001, dtype=torch.float64)[:, None]
    log_q = -((x - mu_tilde) ** 2) / (2 * beta_tilde) - torch.log(2 * math.pi * beta_tilde) / 2
    log_p = -((x - mu_theta) ** 2) / (2 * sigma2) - torch.log(2 * math.pi * sigma2) / 2
    return compare(elbo.kl_term(mu_tilde, beta_tilde, mu_theta, sigma2), torch.trapezoid(log_q.exp() * (log_q - log_p), x, dim=0), 1e-8)


@entry(
    "N8.discretized_log_likelihood",
    latex=r"-L_0 = \log \int_{x_0-1/255}^{x_0+1/255} \mathcal{N}(x;\mu_\theta,\sigma_1^2)\,dx"
    r" = \log\Big(\Phi\Big(\frac{x_0+1/255-\mu_\theta}{\sigma_1}\Big) - \Phi\Big(\frac{x_0-1/255-\mu_\theta}{\sigma_1}\Big)\Big)"
    r",\quad -1 < x_0 < 1",
    zh="最后一步把连续的高斯分布落到 256 级灰度上：原像素所在区间的概率的对数。",
    en="The last step puts the continuous Gaussian on 256 grey levels: the log of the mass on the pixel's own bin.",
    source="Ho 2020 eq. 13",
    route_zh="对高斯密度在该区间上数值积分；并检查 256 个区间的概率之和为 1",
    route_en="quadrature of the density over the bin, for every bin; the 256 masses must add up to 1",
)
def check_discretized_log_likelihood(generator: torch.Generator) -> Measured:
    levels = torch.linspace(-1, 1, 256, dtype=torch.float64)
    mean, sigma = 0.9 * torch.tanh(random_values(generator, 1)), 0.05
    mass = elbo.discretized_log_likelihood(levels, mean.expand(256), sigma**2).exp()
    edges = torch.cat([torch.tensor([-3.0], dtype=torch.float64), (levels[1:] + levels[:-1]) / 2, torch.tensor([3.0], dtype=torch.float64)])
    unit = torch.linspace(0, 1, 4_001, dtype=torch.float64)[:, None]
    x = edges[:-1] + (edges[1:] - edges[:-1]) * unit
    by_quadrature = torch.trapezoid(torch.exp(-((x - mean) ** 2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi)), x, dim=0)
    one = torch.ones(1, dtype=torch.float64)
    return compare(torch.cat([mass, mass.sum()[None]]), torch.cat([by_quadrature, one]), 1e-6)


@entry(
    "N8.simple_loss",
    latex=r"L_{\text{simple}} = \mathbb{E}_{t,x_0,\varepsilon}"
    r" \underbrace{\frac{1}{D}\sum_{i=1}^{D}\big(\varepsilon_i - \varepsilon_{\theta,i}\big)^2}_{\varepsilon_\theta = \varepsilon_\theta(x_t,t)}",
    zh="DDPM 实际训练用的损失：预测噪声的均方误差。",
    en="What a DDPM is trained on: the mean squared error of the predicted noise.",
    source="Ho 2020 eq. 14",
    route_zh="数据为高斯分布时，最优预测的误差是已知的条件方差 Var[ε|x_t]（容差为 5 个标准误）",
    route_en="for Gaussian data the best prediction's error is the known conditional variance Var[eps|x_t], within 5 standard errors",
)
def check_simple_loss(generator: torch.Generator) -> Measured:
    draws, variance_0 = 400_000, 0.4
    alpha_bar = torch.prod(1 - random_betas(generator, 5))
    x_0, eps = random_values(generator, 2, draws, 1)
    x_t = q_cumulative_sample(math.sqrt(variance_0) * x_0, alpha_bar, eps=eps)
    total = alpha_bar * variance_0 + 1 - alpha_bar
    loss = elbo.simple_loss(eps, (1 - alpha_bar).sqrt() / total * x_t)
    return compare(loss.mean(), alpha_bar * variance_0 / total, 5 * float(loss.std()) / math.sqrt(draws))


@entry(
    "N8.bits_per_dim",
    latex=r"\text{bits/dim} = \frac{\text{nats}}{D \ln 2}",
    zh="每一维（每个像素的每个通道）平均需要多少比特；越小越好。",
    en="How many bits one value (a channel of a pixel) takes on average; smaller is better.",
    source="Ho 2020 table 1",
    route_zh="256 级灰度上的均匀分布恰好是每像素 8 比特",
    route_en="a uniform law over 256 grey levels is exactly 8 bits a pixel",
)
def check_bits_per_dim(generator: torch.Generator) -> Measured:
    dims = int(torch.randint(1, 3000, (), generator=generator))
    probability = torch.full((256,), 1 / 256, dtype=torch.float64)
    return compare(elbo.bits_per_dim(dims * torch.distributions.Categorical(probability).entropy(), dims), torch.tensor(8.0), 1e-12)
