"""Row N1, particles in potentials: steps checked through their linear maps in a harmonic well, laws by their slopes and their means."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.notes import integrators, potentials
from ddpm_space.notes.checks.linear_sde import linear_step, random_constants, solve_linear_sde, stationary_covariance, underdamped_well
from ddpm_space.notes.checks.noising import random_values
from ddpm_space.notes.entry import Measured, compare, entry


def random_double_well(generator: torch.Generator) -> potentials.DoubleWell:
    """Draw the dials of a tilted double well."""
    barrier, half_distance, stiffness, tilt = random_constants(generator, 4).tolist()
    return potentials.DoubleWell(barrier, half_distance, stiffness, tilt / 2)


@entry(
    "N1.force",
    latex=r"F(x) = -\nabla U(x)",
    zh="力是势能的负梯度；势能可以是任意的 torch 函数：写明了梯度的用其解析式，其余由自动微分得到。",
    en="The force is minus the gradient of the potential, which may be any torch function: its gradient as written out, or autograd's.",
    source="Lagrange 1773",
    route_zh="四阶中心差分（二维 Müller-Brown 势与双势阱，解析梯度与自动微分各一次）",
    route_en="central differences of fourth order, in the Mueller-Brown landscape and a double well, each by its own gradient and by autograd",
)
def check_force(generator: torch.Generator) -> Measured:
    x, h = random_values(generator, 16, 2) / 2, 1e-3
    left, right = [], []
    for potential in (potentials.MuellerBrown(), random_double_well(generator)):
        slopes = []
        for step in h * torch.eye(2, dtype=torch.float64):
            near, far = potential(x + step) - potential(x - step), potential(x + 2 * step) - potential(x - 2 * step)
            slopes.append((8 * near - far) / (12 * h))
        # A bound method is the same function, without the gradient that is written out.
        left += [potentials.force(potential, x), potentials.force(potential.__call__, x)]
        right += 2 * [-torch.stack(slopes, dim=-1)]
    return compare(torch.stack(left), torch.stack(right), 1e-6)


@entry(
    "N1.stationary_density",
    latex=r"p(x) = \frac{1}{Z}\exp\left(-\frac{U(x)}{kT}\right),\qquad Z = \int \exp\left(-\frac{U(x)}{kT}\right) dx",
    zh="长时间之后粒子位置的分布（玻尔兹曼分布）：与质量和摩擦无关。",
    en="Where the particles are after a long time (Boltzmann's law), whatever their mass and friction.",
    source="Boltzmann 1868; Kramers 1940",
    route_zh="对数密度的四阶差分逐点等于 -U'/kT，总概率为 1（两者合起来只有这个分布满足）；以及斯坦恒等式 E[f U'] = kT E[f']（f = 1, x, x², sin x）",
    route_en="differences of log p against -U'/kT at every point and total probability 1, which together hold for no other law; and Stein's identity "
    "E[f U'] = kT E[f'] for f = 1, x, x^2 and sin x",
)
def check_stationary_density(generator: torch.Generator) -> Measured:
    potential, kT = random_double_well(generator), random_constants(generator, 1)[0]
    x = torch.linspace(-8, 8, 4_001, dtype=torch.float64)
    density = potentials.stationary_density(potential, kT, x)
    slope = torch.func.vmap(torch.func.grad(lambda at: potential(at[None])))(x)

    def mean(values: Tensor) -> Tensor:
        return torch.trapezoid(density * values, x)

    one = torch.ones_like(x)
    pairs = [(one, 0 * x), (x, one), (x**2, 2 * x), (x.sin(), x.cos())]
    left = torch.stack([mean(one), *(mean(f * slope) for f, _ in pairs)])
    right = torch.stack([torch.ones((), dtype=torch.float64), *(kT * mean(df) for _, df in pairs)])
    # Where the density is not lost to underflow; the energy is a polynomial of degree 4, for which these differences are exact up to rounding.
    held = (density > 1e-200).nonzero()[:, 0]
    at, log_p, h = slice(int(held[0]) + 2, int(held[-1]) - 1), density.log(), x[1] - x[0]
    near, far = (log_p[at.start + n : at.stop + n] - log_p[at.start - n : at.stop - n] for n in (1, 2))
    left = torch.cat([left, (8 * near - far) / (12 * h)])
    right = torch.cat([right, -slope[at] / kT])
    tolerance = torch.cat([torch.full((5,), 1e-9, dtype=torch.float64), 1e-10 * (1 + (slope[at] / kT).abs())])
    return compare(left, right, tolerance)


@entry(
    "N1.euler_maruyama",
    latex=r"x' = x + \frac{F(x)}{\gamma}\,\Delta t + \sqrt{\frac{2kT\,\Delta t}{\gamma}}\,\varepsilon",
    zh="欧拉-丸山法：过阻尼方程的一步，力在这一步内当作不变。",
    en="Euler-Maruyama: one step of the overdamped equation, the force held fixed during the step.",
    source="Maruyama 1955",
    route_zh="谐振子势阱中的线性映射（自动微分）与精确传播子、协方差（矩阵指数）比较，小步长",
    route_en="its linear map in a harmonic well, by autograd, against the exact propagator and covariance for a small step",
)
def check_euler_maruyama(generator: torch.Generator) -> Measured:
    stiffness, gamma, kT = random_constants(generator, 3)
    rate, dt = stiffness / gamma, 1e-5 * gamma / stiffness
    factor, noise = linear_step(lambda x, eps: integrators.euler_maruyama_step(x, -stiffness * x, dt, gamma, kT, eps=eps), 1)
    propagator, covariance = solve_linear_sde(-rate.reshape(1, 1), (2 * kT / gamma).sqrt().reshape(1, 1), dt)
    left = torch.stack([(factor[0, 0] - 1) / (rate * dt), noise[0, 0] ** 2 / covariance[0, 0]])
    return compare(left, torch.stack([(propagator[0, 0] - 1) / (rate * dt), torch.ones(())]), 1e-4)


@entry(
    "N1.baoab",
    latex=r"\text{B: } v \leftarrow v + \frac{F(x)}{m}\frac{\Delta t}{2}\quad \text{A: } x \leftarrow x + v\,\frac{\Delta t}{2}\quad"
    r" \text{O: } v \leftarrow e^{-\gamma\Delta t/m}\,v + \sqrt{\frac{kT}{m}\big(1-e^{-2\gamma\Delta t/m}\big)}\,\varepsilon"
    r"\quad\text{A}\quad\text{B}",
    zh="BAOAB：把完整的郎之万方程拆成踢、漂移、精确热浴三种动作，对称地拼成一步；每步只算一次力。",
    en="BAOAB: the full equation split into kick, drift and an exact thermostat, put together symmetrically; one force a step.",
    source="Leimkuhler, Matthews 2013",
    route_zh="谐振子势阱中的线性映射（自动微分）与精确传播子、协方差（矩阵指数）比较，小步长",
    route_en="its linear map in a harmonic well, by autograd, against the exact propagator and covariance for a small step",
)
def check_baoab(generator: torch.Generator) -> Measured:
    stiffness, gamma, mass, kT = random_constants(generator, 4)
    dt = 1e-2 * torch.minimum(mass / gamma, (mass / stiffness).sqrt())

    def step(z: Tensor, eps: Tensor) -> Tensor:
        x, v = z[:1], z[1:]
        return torch.cat(integrators.baoab_step(x, v, -stiffness * x, lambda at: -stiffness * at, dt, gamma, mass, kT, eps=eps))

    linear_map, noise = linear_step(step, 2)
    propagator, covariance = solve_linear_sde(*underdamped_well(stiffness, gamma, mass, kT), dt)
    # The last row is the force that the step hands on: -k times the new position. The velocity's noise in its own units.
    left = torch.cat([linear_map.reshape(-1), (noise[1] ** 2 / covariance[1, 1]).reshape(-1)])
    right = torch.cat([propagator.reshape(-1), -stiffness * propagator[0], torch.ones(1, dtype=torch.float64)])
    return compare(left, right, torch.tensor([1e-4] * 6 + [1e-2]))


@entry(
    "N1.euler_maruyama_variance",
    latex=r"\operatorname{Var}_{\text{EM}}[x] = \frac{kT/k}{1 - k\,\Delta t/(2\gamma)}",
    zh="欧拉-丸山法在谐振子势阱中的稳态方差：比真实的 kT/k 大，误差与步长成正比。",
    en="Euler-Maruyama's own stationary variance in a harmonic well: wider than kT / k, by first order in dt.",
    source="from the step's fixed point; Roberts, Tweedie 1996 for the bias",
    route_zh="由 N1.euler_maruyama 的线性映射解离散李雅普诺夫方程",
    route_en="the discrete Lyapunov equation of the step's linear map, read off by autograd",
)
def check_euler_maruyama_variance(generator: torch.Generator) -> Measured:
    stiffness, gamma, kT, share = random_constants(generator, 4)
    dt = share / 2 * gamma / stiffness
    factor, noise = linear_step(lambda x, eps: integrators.euler_maruyama_step(x, -stiffness * x, dt, gamma, kT, eps=eps), 1)
    variance = stationary_covariance(factor, noise @ noise.mT)
    return compare(integrators.euler_maruyama_variance(stiffness, dt, gamma, kT), variance[0, 0], 1e-10)


@entry(
    "N1.baoab_variances",
    latex=r"\operatorname{Var}[x] = \frac{kT}{k},\qquad \operatorname{Var}[v] = \frac{kT}{m}\Big(1 - \frac{k\,\Delta t^2}{4m}\Big)",
    zh="BAOAB 在谐振子势阱中的稳态方差：位置的分布对任意步长都精确，速度略慢，误差为步长的二阶。",
    en="BAOAB's stationary variances in a harmonic well: positions exact for every step length, velocities too slow by second order in dt.",
    source="Leimkuhler, Matthews 2013",
    route_zh="由 N1.baoab 的线性映射解离散李雅普诺夫方程（大步长）",
    route_en="the discrete Lyapunov equation of the step's linear map, read off by autograd, for a large step",
)
def check_baoab_variances(generator: torch.Generator) -> Measured:
    stiffness, gamma, mass, kT, share = random_constants(generator, 5)
    dt = 0.9 * share * (mass / stiffness).sqrt()

    def step(z: Tensor, eps: Tensor) -> Tensor:
        x, v = z[:1], z[1:]
        return torch.cat(integrators.baoab_step(x, v, -stiffness * x, lambda at: -stiffness * at, dt, gamma, mass, kT, eps=eps)[:2])

    linear_map, noise = linear_step(step, 2)
    covariance = stationary_covariance(linear_map, noise @ noise.mT)
    return compare(torch.stack(integrators.baoab_variances(stiffness, dt, mass, kT)), covariance.diagonal(), 1e-9)


@entry(
    "N1.equipartition",
    latex=r"m\,\langle v^2 \rangle = kT = -\langle x\,F(x) \rangle",
    zh="能量均分与位力定理：平衡时动能和势场各给出一次温度读数，两者都应等于 kT。",
    en="Equipartition and the virial theorem: in equilibrium the motion and the potential each give a reading of kT.",
    source="Maxwell 1860; Clausius 1870",
    route_zh="双势阱中按逆累积分布精确抽取的位置和热平衡速度（40 万个，容差为 5 个标准误）",
    route_en="400,000 particles drawn exactly: positions of a double well by inverse cdf, thermal velocities; within 5 standard errors",
)
def check_equipartition(generator: torch.Generator) -> Measured:
    draws, well = 400_000, random_double_well(generator)
    mass, kT = random_constants(generator, 2)
    grid = torch.linspace(-6, 6, 4_001, dtype=torch.float64)
    cdf = torch.cumulative_trapezoid(torch.exp(-well(grid[:, None]) / kT), grid)
    cdf = torch.cat([torch.zeros(1, dtype=torch.float64), cdf / cdf[-1]])
    uniform = torch.rand(draws, generator=generator, dtype=torch.float64)
    place = torch.searchsorted(cdf, uniform).clamp(1, len(grid) - 1)
    share = (uniform - cdf[place - 1]) / (cdf[place] - cdf[place - 1])
    x = (grid[place - 1] + share * (grid[1] - grid[0]))[:, None]
    v = (kT / mass).sqrt() * random_values(generator, draws, 1)
    slope = 4 * well.barrier * x / well.half_distance**2 * ((x / well.half_distance) ** 2 - 1) - well.tilt
    readings = torch.stack(integrators.equipartition(x, v, -slope, mass))
    return compare(readings.mean(1), kT.expand(2), 5 * readings.std(1) / math.sqrt(draws))
