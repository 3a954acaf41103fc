"""Row N1, the bridge to beta_t: checked by stepping the process finely, by an antiderivative, and by a particle's stationary autocorrelation."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.notes import langevin_bridge
from ddpm_space.notes.checks.linear_sde import random_constants, solve_linear_sde, underdamped_well
from ddpm_space.notes.checks.noising import random_betas, random_values
from ddpm_space.notes.entry import Measured, compare, entry
from ddpm_space.notes.forward import q_step


def fine_steps(rate: Tensor, h: float) -> tuple[Tensor, Tensor]:
    """Factor of the mean and the variance after Euler-Maruyama steps of length h along dx = -beta(s)/2 x ds + sqrt(beta(s)) dW.

    Args:
        rate: beta(s) at the start of each step.
    """
    factor, variance = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for beta in rate:
        factor, variance = (1 - beta * h / 2) * factor, (1 - beta * h / 2) ** 2 * variance + beta * h
    return factor, variance


@entry(
    "N1.vp_transition",
    latex=r"dx = -\frac{\beta(s)}{2}x\,ds + \sqrt{\beta(s)}\,dW \qquad"
    r" x_t \mid x_{t-1} \sim \mathcal{N}\Big(\exp\left(-\frac{B}{2}\right) x_{t-1},\ 1-\exp\left(-B\right)\Big)",
    zh="前向加噪的一步就是郎之万方程在这段时间里的精确解；B 是 β(s) 在这一步内的积分。",
    en="A step of noising is the exact solution of a Langevin equation over that step; B is the integral of beta(s) over it.",
    source="Song 2021 eq. 11, 29",
    route_zh="用 64、128 与 256 个欧拉-丸山小步推进矩，再外推到步长为 0（β(s) 随时间变化）",
    route_en="moments carried through 64, 128 and 256 Euler-Maruyama steps with a beta(s) that varies, extrapolated to step length 0",
)
def check_vp_transition(generator: torch.Generator) -> Measured:
    level, slope = random_constants(generator, 2)
    x = random_values(generator, 4)
    walks = []
    for steps in (64, 128, 256):
        s = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
        walks.append(torch.stack(fine_steps(level + slope * s, 1 / steps)))
    first, second = 2 * walks[1] - walks[0], 2 * walks[2] - walks[1]
    factor, variance = (4 * second - first) / 3
    mean, spread = langevin_bridge.vp_transition(x, level + slope / 2)
    return compare(torch.cat([mean / x, spread[None]]), torch.cat([factor.expand(4), variance[None]]), 1e-6)


@entry(
    "N1.step_integrals",
    latex=r"B_t = \int_{s_{t-1}}^{s_t} \beta(s)\,ds",
    zh="每一步之内 β(s) 的积分；离散的链只通过它与连续的 β(s) 相联系。",
    en="The integral of beta(s) over each step: all that the discrete chain sees of the continuous beta(s).",
    source="Song 2021 eq. 29",
    route_zh="已知原函数的 β(s)（包含一处跳变）：原函数之差",
    route_en="a beta(s) with a known antiderivative, and a jump: differences of the antiderivative",
)
def check_step_integrals(generator: torch.Generator) -> Measured:
    level, height, rate, jump = random_constants(generator, 4)
    place = jump / 2.5

    def beta(s: Tensor) -> Tensor:
        return level + height * torch.exp(rate * s) + jump * (s > place)

    def antiderivative(s: Tensor) -> Tensor:
        return level * s + height / rate * torch.exp(rate * s) + jump * (s - place).clamp(min=0)

    edges = torch.linspace(0, 1, 8, dtype=torch.float64)
    right = antiderivative(edges)
    return compare(langevin_bridge.step_integrals(beta, edges), right[1:] - right[:-1], 1e-12)


@entry(
    "N1.beta_from_integral",
    latex=r"\beta_t = 1-\exp\left(-B_t\right)",
    zh="从连续到离散：一步的噪声方差由 β(s) 在这一步内的积分决定。",
    en="From continuous to discrete: the step's variance follows from the integral of beta(s) over it.",
    source="Song 2021 eq. 29, read as Ho 2020 eq. 2",
    route_zh="矩阵指数：速率为 B/2 的 OU 过程走一个单位时间后的方差",
    route_en="matrix exponential: the variance an Ornstein-Uhlenbeck process of rate B/2 gathers in unit time",
)
def check_beta_from_integral(generator: torch.Generator) -> Measured:
    integrals = 2 * random_constants(generator, 6)
    right = torch.stack([solve_linear_sde(-b.reshape(1, 1) / 2, b.sqrt().reshape(1, 1), 1.0)[1][0, 0] for b in integrals])
    return compare(langevin_bridge.beta_from_integral(integrals), right, 1e-12)


@entry(
    "N1.integral_from_beta",
    latex=r"B_t = -\log\left(1-\beta_t\right)",
    zh="从离散回到连续：方差为 β_t 的一步相当于连续过程走了多远。",
    en="Back from discrete to continuous: how far the process runs in a step of variance beta_t.",
    source="inverse of Song 2021 eq. 29",
    route_zh="把一步拆成 n 个相同的更小的步，n 很大时 n·β_n 趋于 B（两个 n 外推）",
    route_en="split the step into n equal ones that compose to it; n times their variance tends to B, extrapolated from two n",
)
def check_integral_from_beta(generator: torch.Generator) -> Measured:
    beta = random_betas(generator, 6)
    one = torch.ones(6, dtype=torch.float64)
    parts = [n * q_step(one, 1 - (1 - beta) ** (1 / n))[1] for n in (512, 1024, 2048)]
    first, second = 2 * parts[1] - parts[0], 2 * parts[2] - parts[1]
    return compare(langevin_bridge.integral_from_beta(beta), (4 * second - first) / 3, 1e-8)


@entry(
    "N1.beta_from_physics",
    latex=r"\beta_t = 1-\exp\left(-\frac{2k\,\Delta t}{\gamma}\right),\qquad U = \frac{k x^2}{2},\qquad \frac{kT}{k} = 1",
    zh="用物理量表示：谐振子势阱中的过阻尼粒子，每隔 Δt 看一次，就是方差为 β_t 的加噪链（要求稳态方差 kT/k 为 1）。",
    en="In physical units: an overdamped particle in a harmonic well, seen every dt, is the noising chain (its variance kT / k must be 1).",
    source="from Uhlenbeck, Ornstein 1930 and Ho 2020 eq. 2",
    route_zh="质量很小的完整郎之万方程在谐振子势阱中从确定的位置出发，位置的方差（矩阵指数）",
    route_en="the full Langevin equation with a tiny mass in the well, from a sure start: the variance of x, by matrix exponential",
)
def check_beta_from_physics(generator: torch.Generator) -> Measured:
    stiffness, gamma, share = random_constants(generator, 3)
    dt, mass = share * gamma / stiffness / 4, 1e-5 * gamma**2 / stiffness
    _, covariance = solve_linear_sde(*underdamped_well(stiffness, gamma, mass, stiffness), dt)
    # The flight of the first m / gamma is a matter of order m k / gamma^2.
    return compare(langevin_bridge.beta_from_physics(stiffness, dt, gamma, stiffness), covariance[0, 0], 1e-4)


@entry(
    "N1.dt_from_beta",
    latex=r"\Delta t = -\frac{\gamma}{2k}\log\left(1-\beta_t\right)",
    zh="反过来：方差为 β_t 的一步相当于粒子在势阱中运动多久。",
    en="The other way: how long the particle moves in its well during a step of variance beta_t.",
    source="inverse of N1.beta_from_physics",
    route_zh="稳态自相关：经过 Δt 后的相关系数（矩阵指数）应为 √(1 − β_t)",
    route_en="the stationary autocorrelation after dt, by matrix exponential, must be the chain's sqrt(1 - beta_t)",
)
def check_dt_from_beta(generator: torch.Generator) -> Measured:
    stiffness, gamma = random_constants(generator, 2)
    beta = random_betas(generator, 6)
    times = langevin_bridge.dt_from_beta(beta, stiffness, gamma, stiffness)
    rate = (stiffness / gamma).reshape(1, 1)
    kept = torch.stack([torch.linalg.matrix_exp(-rate * t)[0, 0] for t in times])
    # In units of the time, so that a relative error of dt shows as one however small beta is.
    return compare((1 - kept**2) / beta, torch.ones(6), 1e-9)
