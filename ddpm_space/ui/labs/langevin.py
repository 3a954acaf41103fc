"""Row N1 on the page: particles in a potential, their histogram against exp(-U / kT), and their temperature read in two ways.

Many particles are walked, every number counts all of them, and the first few hundred are sent to be drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_space.figures import array
from ddpm_space.notes.integrators import equipartition
from ddpm_space.notes.particles import Frame, overdamped, underdamped
from ddpm_space.notes.potentials import DoubleWell, Harmonic, MuellerBrown, Potential, Ring, force, stationary_density
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.labs.langevin_histogram import Histogram
from ddpm_space.ui.widgets import Payload

PARTICLES, DRAWN = 1600, 600
FRAMES = 80
"""Pictures after the start."""

STEP_SHARES = {"underdamped": 0.2, "overdamped": 0.05}
"""A step in units of the stiffest motion's own time. In a well that stiff BAOAB's velocities are then 1% too slow (`baoab_variances`),
and Euler-Maruyama's positions 2.6% too wide (`euler_maruyama_variance`): both less than 1600 particles can tell."""

STEPS_A_FRAME = {"underdamped": 6, "overdamped": 12}
BINS, POINTS_A_BIN = 32, 8
UP_POINTS = 480
PICTURE = (80, 64)


@dataclass(frozen=True)
class Landscape:
    """A potential of the plane, where its particles start, the box shown, and the stiffest curvature at its bottom, which sets the step."""

    potential: Potential
    start: tuple[float, float]
    box: tuple[float, float, float, float]
    stiffest: float

    def grids(self) -> tuple[Tensor, Tensor]:
        """Grids over twice the box, which hold all of the density; every POINTS_A_BIN-th point across is the edge of a bin."""
        left, right, low, high = self.box
        across, up = (right - left) / 2, (high - low) / 2
        return (
            torch.linspace(left - across, right + across, 2 * BINS * POINTS_A_BIN + 1, dtype=torch.float64),
            torch.linspace(low - up, high + up, UP_POINTS + 1, dtype=torch.float64),
        )


LANDSCAPES = {
    "harmonic": Landscape(Harmonic(1.0), (2.5, 1.5), (-4.5, 4.5, -4.0, 4.0), 1.0),
    "double_well": Landscape(DoubleWell(1.5, 1.5, 1.0), (-1.5, 0.0), (-3.4, 3.4, -4.0, 4.0), 5.4),
    "tilted": Landscape(DoubleWell(1.5, 1.5, 1.0, tilt=0.4), (-1.5, 0.0), (-3.4, 3.4, -4.0, 4.0), 5.4),
    "ring": Landscape(Ring(6.0, 2.0), (2.0, 0.0), (-4.0, 4.0, -4.0, 4.0), 6.0),
    "mueller_brown": Landscape(MuellerBrown(0.03), (0.62, 0.03), (-2.2, 1.6, -0.9, 2.5), 123.0),
}


def answer(asked: Asked) -> Payload:
    """Walk particles from rest at one point, and compare them with the stationary law at every frame.

    Returns:
        frames (F, DRAWN, 2) and their times; the histogram of all particles along the first coordinate and the density there; <m v^2> and -<x F>
        per frame with standard errors (2, F).
    """
    landscape = LANDSCAPES[asked.choice("potential", LANDSCAPES)]
    motion = asked.choice("motion", STEP_SHARES)
    kT, gamma = asked.number("kT", 0.25, 2), asked.number("gamma", 0.1, 10)
    mass = asked.number("mass", 0.2, 5) if motion == "underdamped" else 1.0
    generator = torch.Generator().manual_seed(asked.whole("seed", 0, MAX_SEED))
    with torch.inference_mode():
        frames, dt = _walk(landscape, motion, kT, gamma, mass, generator)
    x = torch.stack([frame.x for frame in frames]).double()
    v = torch.stack([frame.v for frame in frames if frame.v is not None]).double() if motion == "underdamped" else None
    places, density, probability = _law(landscape, kT)
    kinetic, virial = _temperatures(landscape.potential, x, v, mass)
    return {
        "box": list(landscape.box),
        "dt": dt,
        "particles": PARTICLES,
        "frames": array(x[:, :DRAWN], "float32"),
        "times": array([frame.t for frame in frames], "float64"),
        "curve": array(torch.stack([places, density]), "float64"),
        "heat": array(_picture(landscape, kT), "float32"),
        "kinetic": None if v is None else array(kinetic, "float64"),
        "virial": array(virial, "float64"),
        **Histogram(x[..., 0], places[::POINTS_A_BIN].contiguous(), probability).payload(),
    }


def _walk(landscape: Landscape, motion: str, kT: float, gamma: float, mass: float, generator: torch.Generator) -> tuple[list[Frame], float]:
    """The frames and the time step."""
    # float32, in which a step takes half the time: it rounds positions by 1e-7, a step moves them by 1e-2.
    x_0 = torch.tensor(landscape.start).expand(PARTICLES, 2).contiguous()
    every = STEPS_A_FRAME[motion]
    long = {"steps": FRAMES * every, "every": every}
    if motion == "overdamped":
        dt = STEP_SHARES[motion] * gamma / landscape.stiffest
        return list(overdamped(landscape.potential, x_0, dt=dt, gamma=gamma, kT=kT, generator=generator, **long)), dt
    dt = STEP_SHARES[motion] * math.sqrt(mass / landscape.stiffest)
    at_rest = torch.zeros_like(x_0)
    return list(underdamped(landscape.potential, x_0, at_rest, dt=dt, gamma=gamma, mass=mass, kT=kT, generator=generator, **long)), dt


def _law(landscape: Landscape, kT: float) -> tuple[Tensor, Tensor, Tensor]:
    """The stationary law along the first coordinate, inside the box: places, the density there, and the probability of each bin."""
    across, up = landscape.grids()
    along = torch.trapezoid(stationary_density(landscape.potential, kT, across, up), up, dim=1)
    inside = slice(BINS * POINTS_A_BIN // 2, 3 * BINS * POINTS_A_BIN // 2 + 1)
    places, density = across[inside], along[inside]
    in_bin = [values.unfold(0, POINTS_A_BIN + 1, POINTS_A_BIN) for values in (density, places)]
    return places, density, torch.trapezoid(*in_bin, dim=1)


def _temperatures(potential: Potential, x: Tensor, v: Tensor | None, mass: float) -> tuple[Tensor, Tensor]:
    """Both readings of kT, each (2, F): the mean over all particles and its standard error."""
    flat = x.reshape(-1, 2)
    readings = equipartition(flat, torch.zeros_like(flat) if v is None else v.reshape(-1, 2), force(potential, flat), mass)
    kinetic, virial = (values.reshape(len(x), -1) for values in readings)
    return _estimates(kinetic), _estimates(virial)


def _estimates(values: Tensor) -> Tensor:
    return torch.stack([values.mean(1), values.std(1) / math.sqrt(values.shape[1])])


def _picture(landscape: Landscape, kT: float) -> Tensor:
    """exp(-U / kT) over the box as a picture (H, W), 1 where it is highest, the first row at the top."""
    left, right, low, high = landscape.box
    wide, tall = PICTURE
    across = left + (torch.arange(wide, dtype=torch.float64) + 0.5) * (right - left) / wide
    up = low + (torch.arange(tall, dtype=torch.float64) + 0.5) * (high - low) / tall
    energy = landscape.potential(torch.stack(torch.meshgrid(across, up.flip(0), indexing="xy"), dim=-1))
    return torch.exp(-(energy - energy.min()) / kT)
