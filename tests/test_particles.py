"""Particles simulated: displacement against theory, equipartition, and one reading from each of many independent particles against its law."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from sympy import N, Rational, exp
from torch import Tensor

from ddpm_space.notes import potentials
from ddpm_space.notes.integrators import equipartition, euler_maruyama_step, euler_maruyama_variance
from ddpm_space.notes.langevin import free_particle_msd, msd_regimes, thermal_velocity
from ddpm_space.notes.particles import Frame, overdamped, underdamped

PARTICLES = 20_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def last(frames) -> Frame:
    *_, frame = frames
    return frame


def chi_square(x: Tensor, edges: Tensor, probability: Tensor) -> float:
    """The chance of counts at least this far from `probability` (p-value of Pearson's chi-square); edges holds the inner edges of the bins."""
    counts = torch.bincount(torch.bucketize(x, edges), minlength=len(probability)).double()
    expected = probability / probability.sum() * len(x)
    return float(chi2.sf(float(((counts - expected) ** 2 / expected).sum()), len(probability) - 1))


def equal_bins(grid: Tensor, density: Tensor, bins: int = 25) -> tuple[Tensor, Tensor]:
    """Inner edges that cut a law on a grid into bins of about equal probability, at grid points, and the exact probability of each."""
    cdf = torch.cat([torch.zeros(1, dtype=torch.float64), torch.cumulative_trapezoid(density, grid)])
    places = torch.searchsorted(cdf, torch.arange(1, bins, dtype=torch.float64) / bins)
    inner = cdf[places]
    return grid[places], torch.cat([inner, cdf[-1:]]) - torch.cat([torch.zeros(1, dtype=torch.float64), inner])


@pytest.mark.parametrize(("gamma", "mass", "kT"), [(1.0, 1.0, 1.0), (0.5, 2.0, 0.3)])
def test_displacement_in_both_regimes(gamma: float, mass: float, kT: float) -> None:
    memory = mass / gamma
    start = torch.zeros(PARTICLES, 1, dtype=torch.float64)
    times, measured, errors = [], [], []
    frames = underdamped(potentials.Free(), start, dt=0.02 * memory, steps=1000, gamma=gamma, mass=mass, kT=kT, generator=generator())
    for frame in frames:
        if frame.step in (1, 2, 5, 10, 50, 100, 250, 500, 1000):
            squares = frame.x**2
            times.append(frame.t)
            measured.append(float(squares.mean()))
            errors.append(float(squares.std()) / math.sqrt(PARTICLES))
    theory = free_particle_msd(torch.tensor(times), gamma, mass, kT)
    # The trapezoid of BAOAB's free flight is off by (dt gamma / m)^2 / 12, 3e-5 of the whole.
    assert np.all(np.abs(np.array(measured) - theory.numpy()) < 5 * np.array(errors) + 1e-4 * theory.numpy())
    ballistic, diffusive = (regime.numpy() for regime in msd_regimes(torch.tensor(times), gamma, mass, kT))
    assert abs(measured[1] / ballistic[1] - 1) < 0.1 and measured[-1] / ballistic[-1] < 0.15
    assert abs(measured[-1] / (diffusive[-1] * (1 - memory / times[-1])) - 1) < 0.1 and measured[1] / diffusive[1] < 0.05
    growth = [math.log(b / a) / math.log(t / s) for (a, s), (b, t) in pairwise(zip(measured, times))]
    assert abs(growth[0] - 2) < 0.05 and abs(growth[-1] - 1) < 0.1


def test_displacement_theory_keeps_its_digits() -> None:
    """Against the theory in 50 digits, over 14 decades of time."""
    for power in range(-10, 5):
        u = Rational(10) ** power
        exact = float(N(2 * (u - 1 + exp(-u)), 50))
        assert abs(float(free_particle_msd(float(u), 1.0, 1.0, 1.0)) / exact - 1) < 1e-13


@pytest.mark.parametrize("dimensions", [1, 2])
def test_equipartition(dimensions: int) -> None:
    """Started cold at the bottom of a well, kinetic and virial readings settle at kT; so does each energy in a harmonic well."""
    mass, kT = 2.0, 0.7
    cold = torch.full((PARTICLES // 2, dimensions), -1.0, dtype=torch.float64)
    for potential in (potentials.DoubleWell(barrier=1.0, tilt=0.3), potentials.Harmonic(3.0)):
        frame = last(
            underdamped(potential, cold, 0 * cold, dt=0.04, steps=500, gamma=1.5, mass=mass, kT=kT, every=500, generator=generator(dimensions))
        )
        readings = equipartition(frame.x, frame.v, potentials.force(potential, frame.x), mass)
        for reading in readings:
            assert abs(float(reading.mean()) - kT) < 5 * float(reading.std()) / math.sqrt(PARTICLES // 2) + 2e-3 * kT
        assert float((frame.kinetic_energy - readings[0] * dimensions / 2).abs().max()) < 1e-12
    potential_energy = frame.potential_energy
    assert abs(float(potential_energy.mean()) - dimensions * kT / 2) < 5 * float(potential_energy.std()) / math.sqrt(PARTICLES // 2)


@pytest.mark.parametrize(("kT", "gamma", "mass"), [(1.0, 1.0, 1.0), (0.8, 2.0, 0.5)])
def test_one_reading_of_each_particle_follows_exp_minus_U(kT: float, gamma: float, mass: float) -> None:
    """The full equation in a tilted double well, everybody started in the left one, whatever mass and friction."""
    potential = potentials.DoubleWell(barrier=1.2, tilt=0.3)
    grid = torch.linspace(-4, 4, 8_001, dtype=torch.float64)
    edges, probability = equal_bins(grid, potentials.stationary_density(potential, kT, grid))
    start = torch.full((PARTICLES, 1), -1.0, dtype=torch.float64)
    frame = last(underdamped(potential, start, dt=0.06, steps=900, gamma=gamma, mass=mass, kT=kT, every=900, generator=generator(2)))
    assert chi_square(frame.x[:, 0], edges, probability) > 1e-4
    # The test can tell: the same readings are not those of a law 15 % hotter.
    warm = equal_bins(grid, potentials.stationary_density(potential, 1.15 * kT, grid))
    assert chi_square(frame.x[:, 0], *warm) < 1e-4


def test_euler_maruyama_follows_its_own_biased_law() -> None:
    """In a harmonic well with a large step: a Gaussian of variance (kT / k) / (1 - k dt / (2 gamma)), and not exp(-U / kT)."""
    stiffness, gamma, kT, dt = 2.0, 1.5, 0.8, 0.3
    start = torch.full((PARTICLES, 1), 2.0, dtype=torch.float64)
    frame = last(overdamped(potentials.Harmonic(stiffness), start, dt=dt, steps=80, gamma=gamma, kT=kT, every=80, generator=generator(3)))
    assert frame.v is None and frame.kinetic_energy is None
    for variance, follows in ((float(euler_maruyama_variance(stiffness, dt, gamma, kT)), True), (kT / stiffness, False)):
        grid = torch.linspace(-8, 8, 8_001, dtype=torch.float64) * math.sqrt(variance)
        density = torch.exp(-(grid**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
        chance = chi_square(frame.x[:, 0], *equal_bins(grid, density))
        assert (chance > 1e-4) if follows else (chance < 1e-12)


def test_a_washboard_read_within_one_period() -> None:
    """Particles that wander over the whole line: folded into one period they follow the confined law."""
    potential = potentials.Washboard(barrier=1.5, wavelength=2.0)
    grid = torch.linspace(0, 2, 4_001, dtype=torch.float64)
    edges, probability = equal_bins(grid, potentials.stationary_density(potential, 1.0, grid, confined=True), 20)
    start = torch.zeros(PARTICLES, 1, dtype=torch.float64)
    frame = last(overdamped(potential, start, dt=0.002, steps=800, every=800, generator=generator(4)))
    assert chi_square(frame.x[:, 0] % 2, edges, probability) > 1e-4
    assert float(frame.x.std()) > 0.5
    tilted = potentials.Washboard(barrier=1.5, wavelength=2.0, tilt=3.0)
    assert float(last(overdamped(tilted, start, dt=0.002, steps=500, every=500, generator=generator(4))).x.mean()) > 1.0


def test_a_ring_in_the_plane() -> None:
    potential = potentials.Ring()
    axis = torch.linspace(-3.5, 3.5, 701, dtype=torch.float64)
    density = potentials.stationary_density(potential, 1.0, axis, axis)
    area = float(axis[1] - axis[0]) ** 2
    radius2 = axis[:, None] ** 2 + axis[None, :] ** 2
    assert float(density.sum()) * area == pytest.approx(1.0, abs=1e-10)
    start = torch.tensor([[1.5, 0.0]], dtype=torch.float64).repeat(PARTICLES, 1)
    frame = last(underdamped(potential, start, dt=0.05, steps=600, gamma=1.0, every=600, generator=generator(5)))
    measured = (frame.x**2).sum(1)
    assert abs(float(measured.mean()) - float((density * radius2).sum()) * area) < 5 * float(measured.std()) / math.sqrt(PARTICLES) + 2e-3
    # Friction 1 carries a particle around the ring: all directions alike.
    angle = torch.atan2(frame.x[:, 1], frame.x[:, 0])
    sixteen = torch.linspace(-math.pi, math.pi, 17, dtype=torch.float64)[1:-1]
    assert chi_square(angle, sixteen, torch.ones(16, dtype=torch.float64)) > 1e-4


def test_thermal_velocities_are_reproducible_and_maxwellian() -> None:
    x = torch.zeros(PARTICLES, 2, dtype=torch.float64)
    v = thermal_velocity(x, 2.0, 0.5, generator=generator())
    assert torch.equal(v, thermal_velocity(x, 2.0, 0.5, generator=generator()))
    assert abs(float((v**2).mean()) - 0.25) < 5 * 0.25 * math.sqrt(1 / PARTICLES)


def test_frames_count_steps_and_time() -> None:
    x_0 = torch.randn(5, 2, generator=generator())
    frames = list(underdamped(potentials.Harmonic(), x_0, dt=0.1, steps=7, every=3, generator=generator()))
    assert [frame.step for frame in frames] == [0, 3, 6] and [frame.t for frame in frames] == pytest.approx([0.0, 0.3, 0.6])
    assert torch.equal(frames[0].x, x_0)
    for frame in frames:
        assert frame.x.shape == frame.v.shape == (5, 2) and frame.potential_energy.shape == frame.kinetic_energy.shape == (5,)
        assert frame.x.dtype == frame.potential_energy.dtype == torch.float32
        assert torch.equal(frame.potential_energy, potentials.Harmonic()(frame.x))
        assert not frame.x.requires_grad
    again = list(underdamped(potentials.Harmonic(), x_0, dt=0.1, steps=7, every=3, generator=generator()))
    assert all(torch.equal(one.x, other.x) and torch.equal(one.v, other.v) for one, other in zip(frames, again))
    assert [frame.step for frame in overdamped(potentials.Free(), x_0, dt=0.1, steps=0)] == [0]


def test_each_particle_may_have_its_own_constants() -> None:
    x_0 = torch.randn(3, 1, generator=generator(), dtype=torch.float64)
    gamma = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    eps = torch.randn(3, 1, generator=generator(1), dtype=torch.float64)
    together = euler_maruyama_step(x_0, -x_0, 0.1, gamma, 1.0, eps=eps)
    alone = [euler_maruyama_step(x_0[i : i + 1], -x_0[i : i + 1], 0.1, float(gamma[i]), 1.0, eps=eps[i : i + 1]) for i in range(3)]
    assert torch.equal(together, torch.cat(alone))


def test_cold_particles_roll_to_the_bottom() -> None:
    frame = last(overdamped(potentials.DoubleWell(), torch.tensor([[0.1, 1.0], [-0.1, 1.0]]), dt=0.02, steps=800, kT=0.0, every=800))
    assert float((frame.x - torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).abs().max()) < 1e-5


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: overdamped(potentials.Harmonic(), x, dt=0.0, steps=1), "dt = 0: use a finite number > 0"),
        (lambda x: overdamped(potentials.Harmonic(), x, dt=0.1, steps=1, gamma=-1.0), "gamma = -1: use"),
        (lambda x: overdamped(potentials.Harmonic(), x, dt=0.1, steps=1, kT=-1.0), "kT = -1: use a finite number >= 0"),
        (lambda x: underdamped(potentials.Harmonic(), x, dt=0.1, steps=1, mass=math.inf), "mass = inf"),
        (lambda x: underdamped(potentials.Harmonic(), x, x[:1], dt=0.1, steps=1), r"v_0 has shape \(1, 1\), x_0 \(4, 1\)"),
        (lambda x: underdamped(potentials.Harmonic(), x, dt=0.1, steps=-1), "steps = -1"),
        (lambda x: underdamped(potentials.Harmonic(), x, dt=0.1, steps=1, every=0), "every = 0"),
        (lambda x: overdamped(potentials.Harmonic(), x[:, 0], dt=0.1, steps=1), r"x_0 has shape \(4,\): use \(particles, coordinates\)"),
        (lambda x: overdamped(potentials.Harmonic(), x * math.nan, dt=0.1, steps=1), "x_0 holds nan: use finite positions"),
        (lambda x: underdamped(potentials.Harmonic(), x / 0, dt=0.1, steps=1), "x_0 holds inf: use finite positions"),
        (lambda x: underdamped(potentials.Harmonic(), x, x * math.nan, dt=0.1, steps=1), "v_0 holds nan: use finite velocities"),
        (lambda x: list(overdamped(potentials.DoubleWell(), 10 * x, dt=1.0, steps=50)), "no longer finite: the step is too long"),
        (lambda x: list(overdamped(lambda at: at, x, dt=0.1, steps=1)), r"maps \(4, 1\) to \(4, 1\): it must return one energy a particle"),
    ],
)
def test_refusals_name_the_value(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(torch.ones(4, 1))
