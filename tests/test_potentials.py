"""The named potentials: their landmarks, their stationary laws, and refusals."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ddpm_space.notes import potentials
from ddpm_space.notes.checks.particles import check_stationary_density
from ddpm_space.notes.entry import Measured
from ddpm_space.notes.potentials import (
    POTENTIALS,
    DoubleWell,
    Free,
    Harmonic,
    MuellerBrown,
    Ring,
    Washboard,
    force,
    stationary_density,
)


def point(*coordinates: float) -> Tensor:
    return torch.tensor(coordinates, dtype=torch.float64)


def curvature(potential, at: Tensor) -> Tensor:
    return torch.func.hessian(potential)(at)


@pytest.mark.parametrize("name", POTENTIALS)
def test_every_potential_takes_any_leading_shape(name: str) -> None:
    potential = POTENTIALS[name]()
    x = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
    energy, pull = potential(x), force(potential, x)
    assert energy.shape == (3, 4) and pull.shape == x.shape and energy.dtype == pull.dtype == torch.float32
    assert torch.allclose(potential(x[1, 2]), energy[1, 2]) and torch.allclose(force(potential, x[1, 2]), pull[1, 2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "potential",
    [Free(), Harmonic(1.7), DoubleWell(2.3, 1.4, 0.6, -0.4), Washboard(1.9, 0.7, 0.3, 1.2), Ring(5.0, 1.3), MuellerBrown(0.04)],
    ids=lambda potential: type(potential).__name__,
)
def test_the_gradient_that_is_written_out_is_autograds(potential, dtype: torch.dtype) -> None:
    for d in (2,) if isinstance(potential, MuellerBrown) else (2, 3) if isinstance(potential, Ring) else (1, 2, 3):
        x = torch.randn(50, d, generator=torch.Generator().manual_seed(d), dtype=dtype)
        written, automatic = force(potential, x), force(potential.__call__, x)
        assert written.dtype == dtype and written.shape == x.shape
        assert torch.allclose(
            written, automatic, rtol=64 * torch.finfo(dtype).eps, atol=64 * torch.finfo(dtype).eps * float(1 + automatic.abs().max())
        )


def test_landmarks() -> None:
    well = DoubleWell(barrier=3.0, half_distance=1.5, stiffness=2.0)
    assert float(well(point(0, 0))) == 3.0 and float(well(point(1.5, 0))) == float(well(point(-1.5, 0))) == 0.0
    assert float(force(well, point(1.5, 0.0)).abs().max()) == 0.0
    assert float(curvature(well, point(1.5, 0))[1, 1]) == 2.0
    assert float(force(DoubleWell(tilt=0.7), point(1.0))) == pytest.approx(0.7)
    board = Washboard(barrier=2.5, wavelength=0.8, tilt=1.1)
    assert float(board(point(0.4)) - board(point(0.0))) == pytest.approx(2.5 - 1.1 * 0.4)
    assert float(board(point(0.3 + 0.8)) - board(point(0.3))) == pytest.approx(-1.1 * 0.8)
    ring = Ring(stiffness=7.0, radius=2.0)
    assert float(force(ring, point(2 * math.cos(1.0), 2 * math.sin(1.0))).abs().max()) < 1e-14
    assert float(curvature(ring, point(2.0, 0.0))[0, 0]) == pytest.approx(7.0) and float(curvature(ring, point(2.0, 0.0))[1, 1]) == pytest.approx(0.0)
    assert float(curvature(Harmonic(4.0), point(1.0))) == 4.0
    assert torch.equal(force(Free(), point(1.0, 2.0)), torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize("name", POTENTIALS)
@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_the_force_is_there_where_gradients_are_switched_off(off, name: str) -> None:
    potential, x = POTENTIALS[name](), torch.tensor([[0.3, -0.7], [1.1, 0.2]], dtype=torch.float64)
    expected = force(potential, x)
    with off():
        assert torch.equal(force(potential, x), expected) and torch.equal(force(potential, x + 0), expected)
    assert bool(expected.any()) == (name != "free")


@pytest.mark.parametrize(
    ("place", "energy"), [((-0.558224, 1.441726), -146.6995), ((0.623499, 0.028038), -108.1667), ((-0.822002, 0.624313), -40.6648)]
)
def test_mueller_browns_published_landmarks(place: tuple[float, float], energy: float) -> None:
    """Two minima and the higher saddle, as in Mueller and Brown 1979 and every textbook since."""
    potential = MuellerBrown(scale=1.0)
    assert float(potential(point(*place))) == pytest.approx(energy, abs=1e-3)
    assert float(force(potential, point(*place)).abs().max()) < 0.02
    assert float(MuellerBrown()(point(*place))) == pytest.approx(0.05 * energy, abs=1e-4)


def test_the_stationary_law_of_a_harmonic_well_is_gaussian() -> None:
    x = torch.linspace(-9, 9, 2_001, dtype=torch.float64)
    density = stationary_density(Harmonic(2.0), 3.0, x)
    assert float((density - torch.distributions.Normal(point(0.0), point(1.5).sqrt()).log_prob(x).exp()).abs().max()) < 1e-9
    plane = stationary_density(Harmonic(2.0), 3.0, x[::10], x[::20])
    both = torch.distributions.Normal(point(0.0), point(1.5).sqrt()).log_prob(x).exp()
    assert plane.shape == (201, 101) and float((plane - both[::10, None] * both[None, ::20]).abs().max()) < 1e-8


def passed(measured: Measured) -> bool:
    return measured.error <= measured.tolerance


def test_the_registry_check_tells_a_law_that_only_shares_steins_means(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half as much again here and there, so that the four test functions and the total probability do not notice."""

    def wrong(potential, kT: Tensor, x: Tensor) -> Tensor:
        slope = -force(potential, x[:, None])[:, 0]
        one = torch.ones_like(x)
        stein = [f * slope - kT * df for f, df in ((one, 0 * x), (x, one), (x**2, 2 * x), (x.sin(), x.cos()))]
        bumps = torch.exp(-((x - torch.linspace(-1.2, 1.2, 8).double()[:, None]) ** 2))
        right = stationary_density(potential, kT, x)
        unseen = torch.linalg.svd(torch.trapezoid(torch.stack([one, *stein])[:, None] * bumps * right, x))[2][-1] @ bumps
        return right * (1 + 0.5 * unseen / unseen.abs().max())

    assert passed(check_stationary_density(torch.Generator().manual_seed(0)))
    monkeypatch.setattr(potentials, "stationary_density", wrong)
    assert not passed(check_stationary_density(torch.Generator().manual_seed(0)))


def test_a_hard_wall_has_no_density() -> None:
    x = torch.linspace(-1, 6, 7_001, dtype=torch.float64)
    density = stationary_density(lambda at: torch.where(at[..., 0] > 0, 2 * at[..., 0], torch.inf), 1.0, x, confined=True)
    assert float(density[x <= 0].max()) == 0.0
    assert float(density[x > 0].max()) == pytest.approx(2 / (1 - math.exp(-12)), rel=3e-3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: stationary_density(Harmonic(), 1.0, x / 3), "widen the grid"),
        (lambda x: stationary_density(Washboard(), 1.0, x), r"has no stationary law, unless .* \(confined=True\)"),
        (lambda x: stationary_density(Free(), 1.0, x), "no stationary law"),
        (lambda x: stationary_density(Harmonic(), 0.0, x), "kT = 0"),
        (lambda x: stationary_density(lambda at: at[..., 0].sqrt(), 1.0, x), "nan somewhere on the grid"),
        (lambda x: stationary_density(Harmonic(), 1e-6, torch.linspace(-4, 4, 200)), "spacing is too coarse for kT = 1e-06, use more points"),
        (lambda x: stationary_density(Harmonic(), 1e-6, torch.linspace(-4, 4, 201)), "spacing is too coarse for kT = 1e-06"),
        (lambda x: stationary_density(Harmonic(), 1e-3, x, x), "spacing is too coarse for kT = 0.001"),
        (lambda x: stationary_density(Harmonic(), 1.0), "no axis: give one ascending grid a dimension"),
        (lambda x: stationary_density(Harmonic(), 1.0, x.flip(0)), "axis 0 is not ascending"),
        (lambda x: stationary_density(Harmonic(), 1.0, x, x[:1]), r"axis 1 has shape \(1,\): use a grid of at least 2 points"),
        (lambda x: stationary_density(Harmonic(), 1.0, x * math.nan), "axis 0 is not ascending"),
        (lambda x: stationary_density(lambda at: at[..., 0] * 0 + math.inf, 1.0, x), "lowest energy on the grid is inf"),
        (lambda x: stationary_density(lambda at: torch.where(at[..., 0] > 1, at[..., 0], -torch.inf), 1.0, x), "lowest energy on the grid is -inf"),
        (lambda x: DoubleWell(tilt=math.nan), "tilt = nan: use a finite number"),
        (lambda x: Washboard(tilt=-math.inf), "tilt = -inf: use a finite number"),
        (lambda x: MuellerBrown()(x[:, None]), "have 1 coordinates: the Mueller-Brown landscape lies in the plane"),
        (lambda x: force(lambda at: at.round().detach().sum(-1), x[:, None]), r"autograd cannot follow .* a constant is 0 \* x.sum\(-1\)"),
        (lambda x: force(lambda at: at.detach().sum(-1) * torch.ones((), requires_grad=True), x[:, None]), "autograd cannot follow"),
        (lambda x: Harmonic(0.0), "stiffness = 0"),
        (lambda x: DoubleWell(barrier=-1.0), "barrier = -1"),
        (lambda x: Ring(radius=math.nan), "radius = nan"),
    ],
)
def test_refusals_name_the_value(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(torch.linspace(-8, 8, 101, dtype=torch.float64))
