"""Particles on the move (row N1): the two forms of Langevin's equation as generators of frames, for any potential."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64, cast
from ddpm_space.notes.integrators import baoab_step, euler_maruyama_step
from ddpm_space.notes.langevin import not_negative, positive, thermal_velocity
from ddpm_space.notes.potentials import Potential, force


@dataclass(frozen=True)
class Frame:
    """All particles at one time. The overdamped equation has no velocity: there v and kinetic_energy are None.

    step: steps taken; t: their time; x, v: (B, d); potential_energy, kinetic_energy: (B,), in the unit of kT.
    """

    step: int
    t: float
    x: Tensor
    v: Tensor | None
    potential_energy: Tensor
    kinetic_energy: Tensor | None


def overdamped(
    potential: Potential,
    x_0: Tensor,
    *,
    dt: float,
    steps: int,
    gamma: Coefficient = 1.0,
    kT: Coefficient = 1.0,
    every: int = 1,
    generator: torch.Generator | None = None,
) -> Iterator[Frame]:
    """Walk particles along dx = F / gamma dt + sqrt(2 kT / gamma) dW by Euler-Maruyama [N1].

    Args:
        potential: positions (B, d) -> energies (B,), differentiable; x_0: (B, d) start.
        dt: > 0; steps: how many; gamma: > 0; kT: >= 0; every: show each `every`-th step.
    Yields:
        the start, then every `every`-th frame.
    Raises:
        ValueError: a constant out of range or a start that is not finite, at once; positions that are no longer finite, at their frame.
    """
    _check(x_0, dt, steps, every, gamma=gamma)
    not_negative(kT=kT)
    # Numbers would become tensors again in every step.
    gamma, kT = as_float64(gamma), as_float64(kT)

    def walk() -> Iterator[Frame]:
        x = x_0
        yield _frame(potential, 0, dt, x)
        for step in range(1, steps + 1):
            x = euler_maruyama_step(x, force(potential, x), dt, gamma, kT, generator=generator)
            if step % every == 0:
                yield _frame(potential, step, dt, x)

    return walk()


def underdamped(
    potential: Potential,
    x_0: Tensor,
    v_0: Tensor | None = None,
    *,
    dt: float,
    steps: int,
    gamma: Coefficient = 1.0,
    mass: Coefficient = 1.0,
    kT: Coefficient = 1.0,
    every: int = 1,
    generator: torch.Generator | None = None,
) -> Iterator[Frame]:
    """Walk particles along m dv = (-gamma v + F) dt + sqrt(2 gamma kT) dW, dx = v dt by BAOAB [N1].

    Args:
        potential: positions (B, d) -> energies (B,), differentiable; x_0, v_0: (B, d) start; v_0 is drawn from the thermal law if None.
        dt: > 0; steps: how many; gamma, mass: > 0; kT: >= 0; every: show each `every`-th step.
    Yields:
        the start, then every `every`-th frame.
    Raises:
        ValueError: a constant out of range, a start that is not finite, or v_0 of another shape, at once; positions that are no longer finite,
            at their frame.
    """
    _check(x_0, dt, steps, every, gamma=gamma, mass=mass)
    not_negative(kT=kT)
    if v_0 is not None and v_0.shape != x_0.shape:
        raise ValueError(f"v_0 has shape {tuple(v_0.shape)}, x_0 {tuple(x_0.shape)}: they must be equal")
    if v_0 is not None:
        _check_start("v_0", v_0, "velocities")
    gamma, mass, kT = as_float64(gamma), as_float64(mass), as_float64(kT)

    def walk() -> Iterator[Frame]:
        x = x_0
        v = thermal_velocity(x, mass, kT, generator=generator) if v_0 is None else v_0
        force_x = force(potential, x)
        yield _frame(potential, 0, dt, x, v, mass)
        for step in range(1, steps + 1):
            x, v, force_x = baoab_step(x, v, force_x, lambda at: force(potential, at), dt, gamma, mass, kT, generator=generator)
            if step % every == 0:
                yield _frame(potential, step, dt, x, v, mass)

    return walk()


def _check(x_0: Tensor, dt: float, steps: int, every: int, **constants: Coefficient) -> None:
    positive(dt=dt, **constants)
    if x_0.ndim < 2:
        raise ValueError(f"x_0 has shape {tuple(x_0.shape)}: use (particles, coordinates), such as (B, 1) on a line")
    _check_start("x_0", x_0, "positions")
    for name, value, lowest in (("steps", steps, 0), ("every", every, 1)):
        if value < lowest:
            raise ValueError(f"{name} = {value}: use a whole number >= {lowest}")


def _check_start(name: str, start: Tensor, what: str) -> None:
    wrong = ~start.isfinite()
    if bool(wrong.any()):
        raise ValueError(f"{name} holds {float(start[wrong][0]):g}: use finite {what}")


def _frame(potential: Potential, step: int, dt: float, x: Tensor, v: Tensor | None = None, mass: Coefficient = 1.0) -> Frame:
    if not bool(x.isfinite().all()):
        raise ValueError(f"after {step} steps of dt = {dt:g} a position is no longer finite: the step is too long for this force, use a smaller dt")
    with torch.no_grad():
        energy = potential(x)
    kinetic = None if v is None else (cast(mass, v) * v**2).sum(-1) / 2
    return Frame(step, step * dt, x, v, energy, kinetic)
