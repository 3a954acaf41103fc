"""Row N1, the motion itself: checked by the Fokker-Planck equation, by matrix exponentials, and by quadrature of the velocity's memory."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.notes import langevin
from ddpm_space.notes.checks.linear_sde import random_constants, solve_linear_sde, underdamped_well
from ddpm_space.notes.checks.noising import random_values
from ddpm_space.notes.entry import Measured, compare, entry


def double_well(x: Tensor) -> Tensor:
    """U = (x^2 - 1)^2 + x / 3."""
    return (x**2 - 1) ** 2 + x / 3


@entry(
    "N1.langevin",
    latex=r"m\,dv = \underbrace{\big(-\gamma v + F(x)\big)}_{\text{friction and force}} dt + \underbrace{\sqrt{2\gamma kT}}_{\text{kicks}}\,dW,"
    r"\qquad dx = v\,dt,\qquad F(x) = -U'(x)",
    zh="郎之万方程：质量乘加速度等于摩擦力、势场的力与随机碰撞之和；摩擦与随机力由同一个 γ 联系（涨落耗散）。",
    en="Langevin's equation: mass times acceleration is friction, the potential's force and random kicks; one gamma ties friction to kicks.",
    source="Langevin 1908; Kramers 1940",
    route_zh="福克-普朗克方程：吉布斯密度 exp(−(m v²/2 + U)/kT) 的变化率应为 0（自动微分，双势阱中的随机点）",
    route_en="Fokker-Planck: the Gibbs density exp(-(m v^2 / 2 + U) / kT) must not change, by autograd at points of a double well",
)
def check_langevin(generator: torch.Generator) -> Measured:
    gamma, mass, kT = random_constants(generator, 3)
    points = random_values(generator, 32, 2)

    def density(z: Tensor) -> Tensor:
        return torch.exp(-(mass * z[1] ** 2 / 2 + double_well(z[0])) / kT)

    def terms(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        force_x = -torch.func.grad(double_well)(z[0])
        velocity, acceleration, amplitude = langevin.langevin_equation(z[1].reshape(1, 1), force_x.reshape(1, 1), gamma, mass, kT)
        return velocity.reshape(()), acceleration.reshape(()), amplitude.reshape(())

    def change(z: Tensor) -> Tensor:
        by_drift_x = torch.func.grad(lambda at: terms(at)[0] * density(at))(z)[0]
        by_drift_v = torch.func.grad(lambda at: terms(at)[1] * density(at))(z)[1]
        by_noise = terms(z)[2] ** 2 / 2 * torch.func.hessian(density)(z)[1, 1]
        return (by_noise - by_drift_x - by_drift_v) / density(z)

    return compare(torch.func.vmap(change)(points), torch.zeros(32), 1e-9)


@entry(
    "N1.overdamped",
    latex=r"dx = \underbrace{\frac{F(x)}{\gamma}}_{\text{drift}} dt + \underbrace{\sqrt{\frac{2kT}{\gamma}}}_{\text{noise}}\,dW",
    zh="过阻尼极限：m/γ 趋于 0 时惯性消失，速度由力直接决定。",
    en="The overdamped limit: for m / gamma -> 0 inertia is gone and the force alone sets the velocity.",
    source="Smoluchowski 1916; Kramers 1940",
    route_zh="质量很小的完整方程：谐振子势阱中的慢特征值（漂移），自由粒子方差随时间增长的速度（噪声）",
    route_en="the full equation with a tiny mass: its slow eigenvalue in a harmonic well (drift), the growth of a free particle's variance (noise)",
)
def check_overdamped(generator: torch.Generator) -> Measured:
    stiffness, gamma, kT = random_constants(generator, 3)
    x, mass, t = random_values(generator, 1, 1), 1e-6 * gamma**2 / stiffness, gamma / stiffness
    drift, amplitude = langevin.overdamped_equation(-stiffness * x, gamma, kT)
    slow = torch.linalg.eigvals(underdamped_well(stiffness, gamma, mass, kT)[0]).real.max()
    free = underdamped_well(torch.zeros(()), gamma, mass, kT)
    gathered = solve_linear_sde(*free, 2 * t)[1][0, 0] - solve_linear_sde(*free, t)[1][0, 0]
    left = torch.stack([drift[0, 0] / x[0, 0] / slow, amplitude**2 * t / gathered])
    return compare(left, torch.ones(2), 1e-5)


@entry(
    "N1.ou_transition",
    latex=r"x_{s+\Delta t} \mid x_s \sim \mathcal{N}\Big(\exp\left(-\theta\,\Delta t\right) x_s,"
    r"\ \frac{D}{\theta}\big(1-\exp\left(-2\theta\,\Delta t\right)\big)\Big)",
    zh="奥恩斯坦-乌伦贝克过程 dx = −θ x ds + √(2D) dW 的精确转移：无论步长多大都没有误差。",
    en="The exact transition of the Ornstein-Uhlenbeck process dx = -theta x ds + sqrt(2D) dW: no error, however long the step.",
    source="Uhlenbeck, Ornstein 1930",
    route_zh="矩阵指数给出的传播子与协方差（Van Loan 方法）",
    route_en="propagator and covariance from one matrix exponential (Van Loan)",
)
def check_ou_transition(generator: torch.Generator) -> Measured:
    rates, diffusions, times = random_constants(generator, 12).reshape(3, 4)
    rates[0] = 0.0  # Brownian motion
    x = random_values(generator, 4)
    solved = [solve_linear_sde(-r.reshape(1, 1), (2 * d).sqrt().reshape(1, 1), t) for r, d, t in zip(rates, diffusions, times)]
    mean, variance = langevin.ou_transition(x, times, rates, diffusions)
    right = torch.stack([torch.stack([propagator[0, 0] * value, added[0, 0]]) for (propagator, added), value in zip(solved, x)])
    return compare(torch.stack([mean, variance], dim=1), right, 1e-12)


@entry(
    "N1.velocity_autocorrelation",
    latex=r"\mathbb{E}\,v(0)\,v(t) = \frac{kT}{m} \exp\left(-\frac{\gamma t}{m}\right)",
    zh="自由粒子的速度要经过 m/γ 这么长的时间才被忘记。",
    en="How long a free particle remembers its velocity: a time m / gamma.",
    source="Uhlenbeck, Ornstein 1930",
    route_zh="矩阵指数给出的速度传播子乘以由长时间极限得到的平衡方差",
    route_en="the velocity's propagator by matrix exponential, times the equilibrium variance that a long run settles to",
)
def check_velocity_autocorrelation(generator: torch.Generator) -> Measured:
    gamma, mass, kT, t = random_constants(generator, 4)
    drift, noise = underdamped_well(torch.zeros(()), gamma, mass, kT)
    _, settled = solve_linear_sde(drift[1:, 1:], noise[1:], 12 * mass / gamma)
    propagator, _ = solve_linear_sde(drift, noise, t)
    return compare(langevin.velocity_autocorrelation(t, gamma, mass, kT), propagator[1, 1] * settled[0, 0], 1e-9)


@entry(
    "N1.free_particle_msd",
    latex=r"\mathbb{E}\,|x(t)-x(0)|^2 = \frac{2kT}{\gamma}\Big(t - \frac{m}{\gamma}\big(1-\exp\left(-\gamma t/m\right)\big)\Big)",
    zh="自由粒子的均方位移（每个坐标；初速度取自热平衡分布）：先随 t² 增长，后随 t 增长。",
    en="The free particle's mean-square displacement, per coordinate, v(0) from the thermal law: first it grows as t^2, then as t.",
    source="Fuerth 1920; Uhlenbeck, Ornstein 1930",
    route_zh="矩阵指数：热平衡初速度经传播子产生的位移方差，加上途中噪声的协方差；t 从 0.001 到 10 个 m/γ",
    route_en="matrix exponential: a thermal start carried by the propagator, plus the noise on the way; t from 0.001 to 10 m / gamma",
)
def check_free_particle_msd(generator: torch.Generator) -> Measured:
    gamma, mass, kT = random_constants(generator, 3)
    t = torch.logspace(-3, 1, 9, dtype=torch.float64) * mass / gamma
    sde = underdamped_well(torch.zeros(()), gamma, mass, kT)
    solved = [solve_linear_sde(*sde, at) for at in t]
    right = torch.stack([propagator[0, 1] ** 2 * kT / mass + covariance[0, 0] for propagator, covariance in solved])
    return compare(langevin.free_particle_msd(t, gamma, mass, kT) / right, torch.ones(9), 1e-9)


@entry(
    "N1.msd_regimes",
    latex=r"\text{MSD}_{\text{ballistic}} = \frac{kT}{m}\,t^2,\qquad \text{MSD}_{\text{diffusive}} = \frac{2kT}{\gamma}\,t",
    zh="两个阶段：t 远小于 m/γ 时粒子沿直线飞行，远大于 m/γ 时做扩散。",
    en="The two regimes: a straight flight for t far below m / gamma, diffusion far above it.",
    source="Einstein 1905; Langevin 1908",
    route_zh="弹道阶段：对麦克斯韦速度分布数值积分 v²；扩散阶段：格林-久保公式，对速度自相关积分",
    route_en="ballistic: v^2 by quadrature over Maxwell's law; diffusive: Green-Kubo, the integral of the velocity autocorrelation",
)
def check_msd_regimes(generator: torch.Generator) -> Measured:
    gamma, mass, kT, t = random_constants(generator, 4)
    v = (kT / mass).sqrt() * torch.linspace(-12, 12, 4_001, dtype=torch.float64)
    maxwell = torch.softmax(-mass * v**2 / (2 * kT), dim=0)
    times = torch.linspace(0, 40, 200_001, dtype=torch.float64) * mass / gamma
    memory = torch.trapezoid(langevin.velocity_autocorrelation(times, gamma, mass, kT), times)
    right = torch.stack([(maxwell * v**2).sum() * t**2, 2 * memory * t])
    return compare(torch.stack(langevin.msd_regimes(t, gamma, mass, kT)) / right, torch.ones(2), 1e-7)
