"""The bridge between a table of betas and a continuous beta(s): both ways, against the process stepped finely, in physical units, and refusals."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from ddpm_space.notes.forward import q_cumulative, q_step
from ddpm_space.notes.integrators import euler_maruyama_step
from ddpm_space.notes.langevin import ou_transition
from ddpm_space.notes.langevin_bridge import (
    PiecewiseConstantBeta,
    beta_from_integral,
    beta_from_physics,
    dt_from_beta,
    integral_from_beta,
    step_integrals,
    vp_transition,
)
from ddpm_space.notes.quadrature import gauss_legendre, integrate
from ddpm_space.schedule import SCHEDULES, NoiseSchedule


def song_beta(s: Tensor) -> Tensor:
    """beta(s) of the VP SDE with Song's constants, beta_min 0.1 and beta_max 20."""
    return 0.1 + 19.9 * s


@pytest.mark.parametrize("horizon", [1.0, 0.37, 1000.0])
@pytest.mark.parametrize("steps", [1, 137, 1000])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_to_continuous_and_back(name: str, steps: int, horizon: float) -> None:
    schedule = NoiseSchedule.make(name, steps)
    back = NoiseSchedule.from_continuous(schedule.continuous(horizon), steps, horizon=horizon)
    assert float((back.beta - schedule.beta).abs().max()) <= 1e-12
    assert float((back.beta / schedule.beta - 1).abs().max()) <= 1e-11
    assert float((back.alpha_bar - schedule.alpha_bar).abs().max()) <= 1e-12


def test_a_respaced_schedule_and_back() -> None:
    schedule = NoiseSchedule.linear(1000).respaced(range(999, 0, -37))
    back = NoiseSchedule.from_continuous(schedule.continuous(), len(schedule))
    assert float((back.beta - schedule.beta).abs().max()) <= 1e-12


def test_continuous_to_schedule_and_back_keeps_each_steps_average() -> None:
    steps = 50
    rate = NoiseSchedule.from_continuous(song_beta, steps).continuous()
    middle = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    # A straight line's average over a step is its value in the middle.
    assert float((rate(middle) / song_beta(middle) - 1).abs().max()) <= 1e-12
    assert float(rate(torch.tensor(0.0))) == float(rate(torch.tensor(1e-9)))
    assert float(rate(1.0)) == float(rate(middle[-1]))


def test_alpha_bar_is_the_closed_form_of_the_vp_sde() -> None:
    schedule = NoiseSchedule.from_continuous(song_beta, 1000)
    s = np.arange(1, 1001) / 1000
    exact = np.exp(-(0.1 * s + 19.9 * s**2 / 2))
    assert np.max(np.abs(schedule.alpha_bar.numpy() / exact - 1)) <= 1e-11
    # Ho's linear betas, 0.0001 to 0.02, are this process to first order: they differ by beta^2 / 2, and by half a step.
    assert float((schedule.beta - NoiseSchedule.linear(1000).beta).abs().max()) < 0.02**2 / 2 + 0.02 / 2000


def test_a_rate_with_jumps_and_a_pole() -> None:
    steps = 20

    def rate(s: Tensor) -> Tensor:
        return 0.5 / s.sqrt() + 3 * (s > math.pi / 10) + 2 * (s > 0.777)

    edges = np.linspace(0, 1, steps + 1)
    total = np.sqrt(edges) + 3 * np.clip(edges - math.pi / 10, 0, None) + 2 * np.clip(edges - 0.777, 0, None)
    exact = -np.expm1(-np.diff(total))
    assert np.max(np.abs(NoiseSchedule.from_continuous(rate, steps).beta.numpy() - exact)) <= 1e-12


def test_only_the_integral_of_a_step_matters() -> None:
    """Two clocks for the same chain: beta(s) over [0, 1], and the same process run along another time."""
    fast = NoiseSchedule.from_continuous(lambda s: 5 * s, 40)
    slow = NoiseSchedule.from_continuous(lambda s: 5 * (s / 300) / 300, 40, horizon=300.0)
    assert float((fast.beta - slow.beta).abs().max()) <= 1e-14


def em_moments(rate: Tensor, h: float, x_0: float) -> tuple[float, float]:
    """Mean and variance after Euler-Maruyama steps of the VP SDE, carried exactly: each step is linear in x and in the noise.

    A step of length h with rate beta is an overdamped step in the well U = x^2 / 2 with kT = gamma = 1 over beta h / 2.
    """
    zero, one = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    mean, variance = x_0 * one, zero
    for beta in rate:
        dt = beta * h / 2
        factor = euler_maruyama_step(one, -one, dt, 1.0, 1.0, eps=zero)
        noise = euler_maruyama_step(zero, zero, dt, 1.0, 1.0, eps=one)
        mean, variance = factor * mean, factor**2 * variance + noise**2
    return float(mean), float(variance)


def test_the_vp_sde_stepped_finely_becomes_the_exact_step() -> None:
    """First order: ten times as many steps, a tenth of the error; extrapolated, the exact law to seven digits."""
    x_0, integral = 1.3, 0.8 + 1.5 / 2
    exact_mean, exact_variance = (float(value) for value in q_step(torch.tensor([x_0], dtype=torch.float64), beta_from_integral(integral)))
    errors, walks = [], []
    for steps in (100, 200, 400, 800):
        s = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
        mean, variance = em_moments(0.8 + 1.5 * s, 1 / steps, x_0)
        walks.append(np.array([mean, variance]))
        errors.append([abs(mean - exact_mean), abs(variance - exact_variance)])
    slopes = np.log2(np.array(errors)[:-1] / np.array(errors)[1:])
    assert np.all(np.abs(slopes - 1) < 0.02), slopes
    first = [2 * fine - coarse for coarse, fine in pairwise(walks)]
    second = [(4 * fine - coarse) / 3 for coarse, fine in pairwise(first)]
    third = (8 * second[1] - second[0]) / 7
    assert np.max(np.abs(third - [exact_mean, exact_variance])) < 1e-10


def test_a_step_of_noising_is_an_exact_langevin_step() -> None:
    generator = torch.Generator().manual_seed(0)
    x, integral = torch.randn(7, 3, generator=generator, dtype=torch.float64), torch.rand(7, generator=generator, dtype=torch.float64) * 5
    noised, langevin = q_step(x, beta_from_integral(integral)), vp_transition(x, integral)
    particle = ou_transition(x, integral, 0.5, 0.5)
    for other in (langevin, particle):
        assert float((noised[0] - other[0]).abs().max()) <= 1e-14 and float((noised[1] - other[1]).abs().max()) <= 1e-14
    # Step after step is one long step: the integrals add up.
    assert torch.allclose(vp_transition(x, integral.sum())[0], q_cumulative(x, torch.exp(-integral.sum()))[0], rtol=1e-12)


def test_physical_units_both_ways() -> None:
    stiffness, gamma = 3.0, 0.7
    times = torch.tensor([1e-4, 0.05, 0.3, 2.0], dtype=torch.float64)
    beta = beta_from_physics(stiffness, times, gamma, stiffness)
    mean, variance = ou_transition(torch.ones(4, dtype=torch.float64), times, stiffness / gamma, stiffness / gamma)
    assert float((beta - variance).abs().max()) <= 1e-14 and float(((1 - beta).sqrt() - mean).abs().max()) <= 1e-12
    assert float((dt_from_beta(beta, stiffness, gamma, stiffness) / times - 1).abs().max()) <= 1e-9
    schedule = NoiseSchedule.linear(1000)
    again = beta_from_physics(stiffness, dt_from_beta(schedule.beta, stiffness, gamma, stiffness), gamma, stiffness)
    assert float((again - schedule.beta).abs().max()) <= 1e-12


def test_a_step_that_forgets_everything_takes_for_ever() -> None:
    """beta_t = 1: an infinite time, after which the particle has the well's own law; at rate 0 it only spreads."""
    dt = dt_from_beta(torch.tensor([0.5, 1.0]), 2.0, 1.0, 2.0)
    assert float(dt[1]) == math.inf == float(integral_from_beta(1.0)) and float(beta_from_integral(math.inf)) == 1.0
    mean, variance = ou_transition(torch.ones(2), dt, 2.0, 3.0)
    assert torch.allclose(variance, 1.5 * torch.tensor([0.5, 1.0]).double(), rtol=1e-14) and float(mean[1]) == 0.0
    mean, variance = ou_transition(torch.ones(2), torch.tensor([0.25, 0.5]), 0.0, 3.0)
    assert torch.equal(mean, torch.ones(2)) and variance.tolist() == [1.5, 3.0]
    mean, variance = ou_transition(torch.ones(1), math.inf, 0.0, 3.0)
    assert mean.tolist() == [1.0] and float(variance) == math.inf
    for rate in (1e-300, 1e-12, 1e-3):
        assert float(ou_transition(torch.ones(1), 0.5, rate, 3.0)[1]) == pytest.approx(-3.0 * math.expm1(-rate) / rate, rel=1e-14)


def test_small_betas_keep_their_digits() -> None:
    tiny = torch.tensor([1e-18, 1e-12, 1e-6], dtype=torch.float64)
    assert torch.allclose(beta_from_integral(tiny), tiny, rtol=1e-6, atol=0)
    assert torch.allclose(integral_from_beta(beta_from_integral(tiny)), tiny, rtol=1e-14, atol=0)


def test_a_long_chain_whose_steps_lie_close_to_rounding() -> None:
    """No jump is looked for at an edge where the next step's rate begins: one look at each block of steps is enough."""
    steps = 200_000
    rate = PiecewiseConstantBeta(torch.linspace(1e-6, 2e-5, steps, dtype=torch.float64))
    looks = []

    def counted(s: Tensor) -> Tensor:
        looks.append(len(s))
        return rate(s)

    schedule = NoiseSchedule.from_continuous(counted, steps)
    assert float((integral_from_beta(schedule.beta) / rate.integrals - 1).abs().max()) < 1e-8
    assert sum(looks) == steps


def test_gauss_legendre_against_numpy() -> None:
    for nodes in (1, 2, 7, 20, 64):
        position, weight = gauss_legendre(nodes)
        theirs, their_weight = np.polynomial.legendre.leggauss(nodes)
        assert np.max(np.abs(position.numpy() - (theirs + 1) / 2)) < 1e-14
        assert np.max(np.abs(weight.numpy() - their_weight / 2)) < 1e-14


@pytest.mark.parametrize("place", [0.5, 1 / 3, 1e-9, 1 - 1e-9, 0.0004, 0.1 + 1e-7, 0.123456789])
def test_a_jump_is_found_wherever_it_lies(place: float) -> None:
    edges = torch.linspace(0, 1, 11, dtype=torch.float64)
    value = integrate(lambda s: 1.0 + 4 * (s > place), edges)
    total = edges + 4 * (edges - place).clamp(min=0)
    assert float((value - total.diff()).abs().max()) <= 2e-13


@pytest.mark.parametrize(("start", "width", "height"), [(0.5, 1e-4, 1e4), (0.5, 0.01, 100.0), (0.3127, 0.0052, 1e6), (0.71, 0.005, 1.0)])
@pytest.mark.parametrize("steps", [1, 7])
def test_a_narrow_bump_is_not_lost(start: float, width: float, height: float, steps: int) -> None:
    edges = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    total = step_integrals(lambda s: 1 + height * ((s > start) & (s < start + width)), edges)
    exact = (edges + height * (edges - start).clamp(0, width)).diff()
    assert float((total / exact - 1).abs().max()) <= 1e-11


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NoiseSchedule.from_continuous(song_beta, 0), "T = 0 steps"),
        (lambda: NoiseSchedule.from_continuous(song_beta, 10, horizon=0.0), "horizon = 0: use a finite number > 0"),
        (
            lambda: NoiseSchedule.from_continuous(lambda s: s - 0.5, 10),
            r"= -0.(5|49\d*) at s = 2.1\d*e-05: a rate .* cannot be negative",
        ),
        (lambda: NoiseSchedule.from_continuous(lambda s: 1 / s, 10), "does not converge near 0.*more or smaller steps"),
        (lambda: NoiseSchedule.from_continuous(lambda s: s.float().sqrt(), 10), "does not converge .* must be computed in float64"),
        (lambda: NoiseSchedule.from_continuous(lambda s: s * math.nan, 10), r"nan at 2.1\d*e-05"),
        (lambda: NoiseSchedule.from_continuous(lambda s: 0.0, 10), r"beta\[0\] = 0 is outside"),
        (lambda: NoiseSchedule.from_betas([0.1, 1.0]).continuous(), "step 1 has integral inf: beta_t = 1 forgets x in one step"),
        (lambda: NoiseSchedule.linear(10).continuous(-1.0), "horizon = -1"),
        (lambda: NoiseSchedule.linear(10).continuous()(1.5), r"s = 1.5 is outside \[0, 1\]"),
        (lambda: beta_from_physics(2.0, 0.1, 1.0, 1.0), r"kT / k = 0.5, not 1: .* measure x in units of 0.707107"),
        (lambda: dt_from_beta(0.1, 2.0, 1.0, 1.0), "kT / k = 0.5, not 1"),
        (lambda: PiecewiseConstantBeta(torch.tensor([0.1, -0.5])), "step 1 has integral -0.5: use numbers >= 0"),
        (lambda: PiecewiseConstantBeta(torch.tensor([math.nan, 0.5])), "step 0 has integral nan: not a number; use finite numbers >= 0"),
        (lambda: dt_from_beta(1.2, 1.0, 1.0, 1.0), r"beta_t = 1.2: use numbers in \[0, 1\]"),
        (lambda: dt_from_beta(-1.0, 1.0, 1.0, 1.0), r"beta_t = -1: use numbers in \[0, 1\]"),
        (lambda: integral_from_beta(torch.tensor([0.2, 1.2, -0.5])), "beta_t = 1.2: use"),
        (lambda: integral_from_beta(math.nan), "beta_t = nan: use"),
        (lambda: beta_from_integral(-1.0), "integral = -1: use numbers >= 0"),
        (lambda: beta_from_integral(math.nan), "integral = nan: use numbers >= 0"),
        (lambda: vp_transition(torch.ones(2), -1.0), "integral = -1: use numbers >= 0"),
        (lambda: beta_from_physics(1.0, -0.1, 1.0, 1.0), "dt = -0.1: use a finite number >= 0"),
        (lambda: beta_from_physics(1.0, 0.1, 0.0, 1.0), "gamma = 0: use a finite number > 0"),
        (lambda: beta_from_physics(math.nan, 0.1, 1.0, 1.0), "stiffness = nan"),
        (lambda: integrate(lambda s: s, torch.tensor([0.0, 0.0])), "edges must be at least two numbers in ascending order"),
        (lambda: gauss_legendre(0), "nodes = 0"),
    ],
)
def test_refusals_name_the_value(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
