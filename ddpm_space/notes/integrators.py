"""One time step of Langevin's equation (row N1): Euler-Maruyama for the overdamped form, BAOAB for the full one, and what a step does to the law.

In a harmonic well both steps are linear, so their stationary laws are known exactly, bias included: Euler-Maruyama is too wide by a term of
first order in dt, BAOAB has the exact positions and velocities too slow by a term of second order.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64, cast, draw_eps
from ddpm_space.notes.entry import equation
from ddpm_space.notes.langevin import ou_transition_sample, overdamped_equation, positive


@equation("N1.euler_maruyama")
def euler_maruyama_step(
    x: Tensor,
    force_x: Tensor,
    dt: Coefficient,
    gamma: Coefficient,
    kT: Coefficient,
    *,
    eps: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """x' = x + F(x) dt / gamma + sqrt(2 kT dt / gamma) eps, for the overdamped equation [N1; Maruyama 1955].

    Args:
        x, force_x: (B, d) position and the force there; dt, gamma: > 0; kT: >= 0; eps: (B, d).
    Returns:
        (B, d).
    """
    drift, amplitude = overdamped_equation(force_x, gamma, kT)
    dt = as_float64(dt)
    return x + cast(dt, x) * drift + cast(amplitude * dt.sqrt(), x) * draw_eps(x, eps, generator)


@equation("N1.baoab")
def baoab_step(
    x: Tensor,
    v: Tensor,
    force_x: Tensor,
    force: Callable[[Tensor], Tensor],
    dt: Coefficient,
    gamma: Coefficient,
    mass: Coefficient,
    kT: Coefficient,
    *,
    eps: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Half a kick (B), half a drift (A), the exact thermostat over dt (O), half a drift, half a kick [N1; Leimkuhler, Matthews 2013].

    B: v + F dt / (2 m); A: x + v dt / 2; O: v exp(-gamma dt / m) + sqrt(kT / m (1 - exp(-2 gamma dt / m))) eps. One force evaluation a step.

    Args:
        x, v, force_x: (B, d) position, velocity, and the force at x; force: positions (B, d) -> forces (B, d).
        dt, gamma, mass: > 0; kT: >= 0; eps: (B, d).
    Returns:
        position, velocity and force after the step, each (B, d).
    """
    dt, gamma, mass, kT = as_float64(dt), as_float64(gamma), as_float64(mass), as_float64(kT)
    kick, drift = cast(dt / (2 * mass), x), cast(dt / 2, x)
    v = v + kick * force_x
    x = x + drift * v
    v = ou_transition_sample(v, dt, gamma / mass, gamma * kT / mass**2, eps=eps, generator=generator)
    x = x + drift * v
    force_x = force(x)
    return x, v + kick * force_x, force_x


@equation("N1.euler_maruyama_variance")
def euler_maruyama_variance(stiffness: Coefficient, dt: Coefficient, gamma: Coefficient, kT: Coefficient) -> Tensor:
    """Stationary variance of Euler-Maruyama in U = k x^2 / 2: (kT / k) / (1 - k dt / (2 gamma)), too wide by first order in dt [N1].

    Args:
        stiffness: k > 0; dt, gamma, kT: > 0; any shapes that broadcast.
    Returns:
        float64.
    Raises:
        ValueError: a k or gamma that is not > 0; dt >= 2 gamma / k, where the steps grow without bound.
    """
    positive(stiffness=stiffness, gamma=gamma)
    stiffness, dt, gamma, kT = as_float64(stiffness), as_float64(dt), as_float64(gamma), as_float64(kT)
    _stable(dt, 2 * gamma / stiffness, "2 gamma / k")
    return kT / stiffness / (1 - stiffness * dt / (2 * gamma))


@equation("N1.baoab_variances")
def baoab_variances(stiffness: Coefficient, dt: Coefficient, mass: Coefficient, kT: Coefficient) -> tuple[Tensor, Tensor]:
    """Stationary variances of BAOAB in U = k x^2 / 2: positions kT / k exactly, velocities (kT / m) (1 - k dt^2 / (4 m)) [N1; Leimkuhler 2013].

    Neither depends on the friction.

    Args:
        stiffness: k > 0; dt, mass, kT: > 0; any shapes that broadcast.
    Returns:
        variance of x and of v, float64.
    Raises:
        ValueError: a k or m that is not > 0; dt >= 2 sqrt(m / k), where the steps grow without bound.
    """
    positive(stiffness=stiffness, mass=mass)
    stiffness, dt, mass, kT = as_float64(stiffness), as_float64(dt), as_float64(mass), as_float64(kT)
    _stable(dt, 2 * (mass / stiffness).sqrt(), "2 sqrt(m / k)")
    return kT / stiffness + 0 * dt, kT / mass * (1 - stiffness * dt**2 / (4 * mass))


def _stable(dt: Tensor, limit: Tensor, formula: str) -> None:
    dt, limit = torch.broadcast_tensors(dt, limit)
    wrong = ~((dt > 0) & (dt < limit))
    if bool(wrong.any()):
        value, highest = float(dt[wrong].reshape(-1)[0]), float(limit[wrong].reshape(-1)[0])
        raise ValueError(f"dt = {value:g} has no stationary law in this well: use 0 < dt < {formula} = {highest:g}")


@equation("N1.equipartition")
def equipartition(x: Tensor, v: Tensor, force_x: Tensor, mass: Coefficient) -> tuple[Tensor, Tensor]:
    """Two readings of the temperature: <m v^2> = kT and -<x F(x)> = kT per coordinate [N1; Maxwell 1860; Clausius 1870].

    Args:
        x, v, force_x: (B, d) of particles in equilibrium in a potential that holds them; mass: > 0, shape () or (B,).
    Returns:
        the kinetic and the virial reading of each particle, averaged over its coordinates, (B,) each; their means over particles tend to kT.
    """
    motion, virial = cast(mass, v) * v**2, -x * force_x
    return motion.reshape(len(v), -1).mean(1), virial.reshape(len(x), -1).mean(1)
