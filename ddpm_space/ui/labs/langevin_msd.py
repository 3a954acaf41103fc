"""Row N1 on the page: how far a free particle gets, measured over a cloud at times of every size, beside the formula and its two regimes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ddpm_space.figures import array
from ddpm_space.notes.langevin import free_particle_msd, msd_regimes, thermal_velocity, velocity_autocorrelation
from ddpm_space.notes.particles import underdamped
from ddpm_space.notes.potentials import Free
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.widgets import Payload

PARTICLES, DIMENSIONS = 2000, 2
STAGES = ((0.02, 10), (0.05, 36), (0.2, 290))
"""(step in units of m / gamma, how many): short steps while the velocity is remembered, longer ones after. With the longest step, 0.2, a diffusing
particle gets 0.33% too far in the mean square (step^2 / 12), a seventh of the standard error."""

KEPT = 26
"""Times at which the cloud is measured, equally far apart on a logarithmic axis."""

MEMORY = 6.0
"""How long the velocity's memory is followed, in units of m / gamma."""


def answer(asked: Asked) -> Payload:
    """Walk free particles from one point, velocities drawn from the thermal law, and measure their displacement and their velocity's memory.

    Returns:
        t (KEPT), the mean-square displacement per coordinate with standard errors, and the formula and both regimes there and on a fine axis;
        the same for E v(0) v(t); the largest difference in standard errors.
    """
    kT, gamma, mass = asked.number("kT", 0.25, 2), asked.number("gamma", 0.1, 10), asked.number("mass", 0.2, 5)
    generator = torch.Generator().manual_seed(asked.whole("seed", 0, MAX_SEED))
    memory = mass / gamma
    x_0 = torch.zeros(PARTICLES, DIMENSIONS, dtype=torch.float64)
    v_0 = thermal_velocity(x_0, mass, kT, generator=generator)
    times, displacement, correlation = [], [], []
    for t, x, v in _walk(x_0, v_0, gamma, mass, kT, generator):
        times.append(t)
        displacement.append(_estimate((x**2).mean(1)))
        correlation.append(_estimate((v * v_0).mean(1)))
    t = torch.tensor(times, dtype=torch.float64)
    kept = _spread(t)
    msd, velocity = torch.tensor(displacement, dtype=torch.float64).T, torch.tensor(correlation, dtype=torch.float64).T
    early = (t <= MEMORY * memory).nonzero().flatten()[::2]
    fine = torch.logspace(math.log10(float(t[0]) / 1.5), math.log10(float(t[-1]) * 1.5), 160, dtype=torch.float64)
    line = torch.linspace(0, MEMORY * memory, 100, dtype=torch.float64)
    constants = (gamma, mass, kT)
    theory = free_particle_msd(t[kept], *constants)
    ballistic, diffusive = msd_regimes(t[kept], *constants)
    return {
        "memory": memory,
        "crossing": 2 * memory,
        "particles": PARTICLES,
        "t": array(t[kept], "float64"),
        "msd": array(msd[0, kept], "float64"),
        "se": array(msd[1, kept], "float64"),
        "theory": array(theory, "float64"),
        "ballistic": array(ballistic, "float64"),
        "diffusive": array(diffusive, "float64"),
        "worst": float(((msd[0, kept] - theory) / msd[1, kept]).abs().max()),
        "curve": array(torch.stack([fine, free_particle_msd(fine, *constants), *msd_regimes(fine, *constants)]), "float64"),
        "velocity": array(torch.stack([t[early], velocity[0, early], velocity[1, early]]), "float64"),
        "velocity_curve": array(torch.stack([line, velocity_autocorrelation(line, *constants)]), "float64"),
    }


def _walk(x: Tensor, v: Tensor, gamma: float, mass: float, kT: float, generator: torch.Generator) -> Iterator[tuple[float, Tensor, Tensor]]:
    """Time, positions and velocities after every step of every stage."""
    begun = 0.0
    for share, steps in STAGES:
        dt = share * mass / gamma
        for frame in underdamped(Free(), x, v, dt=dt, steps=steps, gamma=gamma, mass=mass, kT=kT, generator=generator):
            if frame.step and frame.v is not None:
                x, v = frame.x, frame.v
                yield begun + frame.t, x, v
        begun += steps * dt


def _spread(t: Tensor) -> Tensor:
    """Indices of the times nearest to KEPT equally spread ones, each once."""
    wanted = torch.linspace(float(t[0].log()), float(t[-1].log()), KEPT, dtype=torch.float64)
    return (t.log()[None] - wanted[:, None]).abs().argmin(1).unique()


def _estimate(values: Tensor) -> tuple[float, float]:
    return float(values.mean()), float(values.std()) / math.sqrt(len(values))
