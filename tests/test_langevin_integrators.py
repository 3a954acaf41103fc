"""What the integrators do to a law, without a random number: moments in a harmonic well carried exactly, and the order of each error by its slope."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ddpm_space.notes.checks.linear_sde import linear_step, solve_linear_sde, stationary_covariance, underdamped_well
from ddpm_space.notes.integrators import baoab_step, baoab_variances, euler_maruyama_step, euler_maruyama_variance
from ddpm_space.notes.langevin import free_particle_msd, ou_transition

STIFFNESS, GAMMA, MASS, KT = (torch.tensor(value, dtype=torch.float64) for value in (1.7, 0.8, 1.3, 0.6))
WELL = underdamped_well(STIFFNESS, GAMMA, MASS, KT)
RATE = STIFFNESS / GAMMA
DURATION = 1.5


def em_map(dt: float) -> tuple[Tensor, Tensor]:
    """Euler-Maruyama's linear map and noise in the well."""
    return linear_step(lambda x, eps: euler_maruyama_step(x, -STIFFNESS * x, dt, GAMMA, KT, eps=eps), 1)


def baoab_map(dt: float) -> tuple[Tensor, Tensor]:
    """BAOAB's linear map of (x, v) and noise in the well."""

    def step(z: Tensor, eps: Tensor) -> Tensor:
        return torch.cat(baoab_step(z[:1], z[1:], -STIFFNESS * z[:1], lambda x: -STIFFNESS * x, dt, GAMMA, MASS, KT, eps=eps)[:2])

    return linear_step(step, 2)


def carried(linear_map: Tensor, added: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Power of the map and covariance after `steps` steps from a sure start."""
    power, covariance = torch.eye(len(linear_map), dtype=torch.float64), torch.zeros_like(linear_map)
    for _ in range(steps):
        power, covariance = linear_map @ power, linear_map @ covariance @ linear_map.mT + added
    return power, covariance


def slopes(errors: list[float]) -> np.ndarray:
    """Orders seen between neighbours when the step is halved each time."""
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


STEPS = [40, 80, 160, 320]


def test_euler_maruyama_has_weak_order_one() -> None:
    exact_mean, exact_variance = solve_linear_sde(-RATE.reshape(1, 1), (2 * KT / GAMMA).sqrt().reshape(1, 1), DURATION)
    errors = []
    for steps in STEPS:
        factor, noise = em_map(DURATION / steps)
        mean, variance = carried(factor, noise @ noise.mT, steps)
        errors.append((abs(float(mean - exact_mean)), abs(float(variance - exact_variance))))
    for of_one_moment in zip(*errors):
        assert np.all(np.abs(slopes(list(of_one_moment)) - 1) < 0.1), slopes(list(of_one_moment))


def test_baoab_has_weak_order_two() -> None:
    exact_map, exact_covariance = solve_linear_sde(*WELL, DURATION)
    errors = []
    for steps in STEPS:
        linear_map, noise = baoab_map(DURATION / steps)
        power, covariance = carried(linear_map, noise @ noise.mT, steps)
        errors.append((float((power - exact_map).abs().max()), float((covariance - exact_covariance).abs().max())))
    for of_one_moment in zip(*errors):
        assert np.all(np.abs(slopes(list(of_one_moment)) - 2) < 0.1), slopes(list(of_one_moment))


def test_euler_maruyama_has_strong_order_one() -> None:
    """The error on the same Brownian path: exact and stepped x carried together as one Gaussian pair.

    Over a step the exact noise is the integral of exp(-rate (dt - s)) sigma dW, the stepped one sigma W(dt); their covariance is known.
    """
    sigma2 = 2 * KT / GAMMA
    errors = []
    for steps in STEPS:
        dt = DURATION / steps
        factor, noise = em_map(dt)
        exact_factor, exact_variance = (value.reshape(()) for value in ou_transition(torch.ones(1, dtype=torch.float64), dt, RATE, KT / GAMMA))
        shared = sigma2 * -torch.expm1(-RATE * dt) / RATE
        pair = torch.diag(torch.stack([exact_factor, factor[0, 0]]))
        added = torch.stack([torch.stack([exact_variance, shared]), torch.stack([shared, noise[0, 0] ** 2])])
        _, covariance = carried(pair, added, steps)
        errors.append(float((covariance[0, 0] - 2 * covariance[0, 1] + covariance[1, 1]).sqrt()))
    assert np.all(np.abs(slopes(errors) - 1) < 0.1), slopes(errors)


def test_baoab_has_strong_order_one() -> None:
    """The same for BAOAB, whose one normal number a step is the thermostat's own integral z of the path, carried exactly beside (x, v)."""
    drift = torch.zeros(3, 3, dtype=torch.float64)
    drift[:2, :2], drift[2, 2] = WELL[0], -GAMMA / MASS
    noise_in = torch.cat([WELL[1], WELL[1][1:]])
    errors = []
    for steps in STEPS:
        dt = DURATION / steps
        exact_map, gathered = solve_linear_sde(drift, noise_in, dt)
        linear_map, noise = baoab_map(dt)
        # The exact step's noise is what (x, v) gather; the stepped one's is b z / sd(z).
        mixing = torch.zeros(4, 3, dtype=torch.float64)
        mixing[:2, :2] = torch.eye(2)
        mixing[2:, 2] = noise[:, 0] / gathered[2, 2].sqrt()
        both = torch.block_diag(exact_map[:2, :2], linear_map)
        _, covariance = carried(both, mixing @ gathered @ mixing.mT, steps)
        difference = torch.cat([torch.eye(2), -torch.eye(2)], dim=1).double()
        errors.append(float((difference @ covariance @ difference.mT).trace().sqrt()))
    assert np.all(np.abs(slopes(errors) - 1) < 0.1), slopes(errors)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_stationary_laws_of_large_steps(share: float) -> None:
    """Exact positions for BAOAB up to its limit; Euler-Maruyama too wide, both as the closed forms say, reached step by step."""
    dt = share * 2 * float((MASS / STIFFNESS).sqrt())
    linear_map, noise = baoab_map(dt)
    _, covariance = carried(linear_map, noise @ noise.mT, 4000)
    variance_x, variance_v = baoab_variances(STIFFNESS, dt, MASS, KT)
    assert abs(float(covariance[0, 0] - KT / STIFFNESS)) < 1e-9 and abs(float(covariance[0, 0] - variance_x)) < 1e-9
    assert abs(float(covariance[1, 1] - variance_v)) < 1e-9 and abs(float(covariance[0, 1])) < 1e-9
    dt = share * 2 * float(GAMMA / STIFFNESS)
    factor, noise = em_map(dt)
    _, variance = carried(factor, noise @ noise.mT, 4000)
    assert abs(float(variance / euler_maruyama_variance(STIFFNESS, dt, GAMMA, KT)) - 1) < 1e-9


def test_the_bias_of_the_stationary_law_has_its_order() -> None:
    shares = [0.2, 0.1, 0.05, 0.025]
    em_bias, kinetic_bias, position_bias = [], [], []
    for share in shares:
        factor, noise = em_map(share * float(GAMMA / STIFFNESS))
        em_bias.append(abs(float(stationary_covariance(factor, noise @ noise.mT) - KT / STIFFNESS)))
        linear_map, noise = baoab_map(share * float((MASS / STIFFNESS).sqrt()))
        covariance = stationary_covariance(linear_map, noise @ noise.mT)
        kinetic_bias.append(abs(float(covariance[1, 1] - KT / MASS)))
        position_bias.append(abs(float(covariance[0, 0] - KT / STIFFNESS)))
    assert np.all(np.abs(slopes(em_bias) - 1) < 0.1) and np.all(np.abs(slopes(kinetic_bias) - 2) < 0.01)
    assert max(position_bias) < 1e-12


def test_without_friction_and_noise_baoab_is_reversible_and_keeps_the_energy() -> None:
    generator = torch.Generator().manual_seed(0)
    x, v = torch.randn(2, 50, 2, generator=generator, dtype=torch.float64)

    def force(at: Tensor) -> Tensor:
        return -(at**3)

    def energy(x: Tensor, v: Tensor) -> Tensor:
        return (x**4).sum(-1) / 4 + (v**2).sum(-1) / 2

    here, speed, pull = x, v, force(x)
    for _ in range(200):
        here, speed, pull = baoab_step(here, speed, pull, force, 0.02, 1e-30, 1.0, 0.0, eps=torch.zeros_like(x))
    assert float((energy(here, speed) / energy(x, v) - 1).abs().max()) < 0.01
    assert float((here - x).abs().max()) > 0.5
    speed = -speed
    for _ in range(200):
        here, speed, pull = baoab_step(here, speed, pull, force, 0.02, 1e-30, 1.0, 0.0, eps=torch.zeros_like(x))
    assert float((here - x).abs().max()) < 1e-10 and float((speed + v).abs().max()) < 1e-10


def test_the_overdamped_equation_is_the_limit_of_a_small_mass() -> None:
    """The flow of the full equation tends to the Ornstein-Uhlenbeck law of the overdamped one, by first order in m k / gamma^2."""
    t = 2 * float(GAMMA / STIFFNESS)
    mean, variance = ou_transition(torch.ones(1, dtype=torch.float64), t, RATE, KT / GAMMA)
    errors = []
    for share in (4e-3, 2e-3, 1e-3, 5e-4):
        propagator, covariance = solve_linear_sde(*underdamped_well(STIFFNESS, GAMMA, share * GAMMA**2 / STIFFNESS, KT), t)
        errors.append((abs(float(propagator[0, 0] - mean)), abs(float(covariance[0, 0] - variance))))
    for of_one_moment in zip(*errors):
        assert np.all(np.abs(slopes(list(of_one_moment)) - 1) < 0.05), slopes(list(of_one_moment))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: euler_maruyama_variance(1.0, 2.0, 1.0, 1.0), r"dt = 2 has no stationary law in this well: use 0 < dt < 2 gamma / k = 2"),
        (lambda: baoab_variances(4.0, 1.0, 1.0, 1.0), r"dt = 1 has no .*2 sqrt\(m / k\) = 1"),
        (lambda: baoab_variances(4.0, 0.0, 1.0, 1.0), "dt = 0 has no"),
        (lambda: euler_maruyama_variance(-1.0, 0.1, 1.0, 1.0), "stiffness = -1: use a finite number > 0"),
        (lambda: baoab_variances(-4.0, 0.1, 1.0, 1.0), "stiffness = -4: use a finite number > 0"),
        (lambda: baoab_variances(4.0, 0.1, -1.0, 1.0), "mass = -1: use a finite number > 0"),
        (lambda: free_particle_msd(1.0, 0.0, 1.0, 1.0), "gamma = 0: use a finite number > 0"),
        (lambda: free_particle_msd(1.0, torch.tensor([1.0, -2.0]), 1.0, 1.0), "gamma = -2: use a finite number > 0"),
    ],
)
def test_refusals_name_the_value(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
