"""Worlds of the plane: their moments, and the mass of q_t in cells against the density integrated and against counted draws."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ddpm_space.exact import ExactDistribution, GaussianMixture, PointSet
from ddpm_space.exact.plane import cell_masses, eight_bumps, letters, standardized, swiss_roll, two_moons, two_rings
from ddpm_space.notes.forward import q_cumulative_sample

WORLDS: dict[str, ExactDistribution] = {
    "roll": swiss_roll(),
    "moons": two_moons(),
    "rings": two_rings(),
    "letters": letters("DDPM"),
    "bumps": eight_bumps(0.1),
    "wide bumps": eight_bumps(0.4),
}
EDGES = torch.linspace(-3, 3, 13, dtype=torch.float64)


@pytest.mark.parametrize("name", WORLDS)
def test_every_world_has_mean_0_and_mean_variance_1(name: str) -> None:
    weights, means, variances = WORLDS[name].components()
    mean = weights @ means
    assert float(mean.abs().max()) < 1e-12
    assert float((weights @ (variances + means**2)).mean()) == pytest.approx(1, abs=1e-12)


def test_the_bumps_have_the_standard_deviation_that_is_asked_for() -> None:
    x = eight_bumps(0.1).sample(40_000, generator=torch.Generator().manual_seed(0))
    centres = math.sqrt(2 * 0.99) * torch.stack([torch.cos(torch.arange(8) * math.pi / 4), torch.sin(torch.arange(8) * math.pi / 4)], dim=1).double()
    offset = (x[:, None] - centres).norm(dim=2).min(dim=1).values
    assert float((offset**2).mean() / 2) == pytest.approx(0.01, rel=5 / math.sqrt(40_000))


@pytest.mark.parametrize("std", [0.0, 1.0, -0.1, math.nan])
def test_bumps_of_no_width_or_wider_than_the_whole_are_refused(std: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        eight_bumps(std)


def test_points_that_are_all_the_same_stay_where_the_mean_is() -> None:
    assert torch.equal(standardized(torch.full((5, 2), 3.0)).points, torch.zeros(5, 2, dtype=torch.float64))


def test_letters_are_as_large_as_their_number_of_points_allows() -> None:
    for text in ("I", "DDPM", "MMMMMM"):
        assert 10 < len(letters(text).points) <= 400
    with pytest.raises(ValueError, match="write fewer"):
        letters("M" * 60)
    with pytest.raises(ValueError, match="no ink"):
        letters("  ")


def integrated(world: ExactDistribution, alpha_bar: float) -> Tensor:
    """Cell masses from the density, by Gauss-Legendre in every cell: (12, 12)."""
    fine = torch.linspace(-3, 3, 12 * 20 + 1, dtype=torch.float64)
    middle = (fine[1:] + fine[:-1]) / 2
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    density = world.log_density(torch.stack([x.flatten(), y.flatten()], dim=1), alpha_bar).exp().reshape(240, 240)
    return density.reshape(12, 20, 12, 20).sum(dim=(1, 3)) * (6 / 240) ** 2


@pytest.mark.parametrize("name", WORLDS)
def test_cell_masses_are_the_density_s_integral(name: str) -> None:
    for alpha_bar in (0.0, 0.3, 0.95):
        exact, summed = cell_masses(WORLDS[name], alpha_bar, EDGES), integrated(WORLDS[name], alpha_bar)
        # The midpoint rule: h^2 / 24 of the second derivative, 1 / sd^2 of the mass.
        assert float((exact - summed).abs().max()) < 1e-4
        assert float((exact - exact.T).abs().max()) > 1e-3 or name in ("bumps", "wide bumps", "rings") or alpha_bar == 0.0, "rows are not columns"


def test_cell_masses_are_counted_draws() -> None:
    world, draws = letters("F"), 200_000
    generator = torch.Generator().manual_seed(1)
    x_t = q_cumulative_sample(world.sample(draws, generator=generator), 0.9, generator=generator)
    column, row = (torch.bucketize(x_t[:, axis].contiguous(), EDGES) - 1 for axis in (0, 1))
    inside = (column >= 0) & (column < 12) & (row >= 0) & (row < 12)
    counted = torch.zeros(12, 12, dtype=torch.float64).index_put(
        (row[inside], column[inside]), torch.tensor(1 / draws, dtype=torch.float64), accumulate=True
    )
    exact = cell_masses(world, 0.9, EDGES)
    assert float(((counted - exact).abs() / (exact / draws).sqrt().clamp(min=1e-5)).max()) < 5


def test_without_noise_points_weigh_where_they_lie() -> None:
    exact = cell_masses(PointSet(torch.tensor([[-2.9, 0.1], [0.2, 2.8], [0.3, 2.9], [9.0, 0.0]])), 1.0, EDGES)
    expected = torch.zeros(12, 12, dtype=torch.float64)
    expected[6, 0], expected[11, 6] = 0.25, 0.5
    assert float((exact - expected).abs().max()) < 1e-12


def test_cells_are_for_the_plane_and_for_components_along_its_axes() -> None:
    rotated = GaussianMixture(torch.ones(1), torch.zeros(1, 2), torch.tensor([[[1.0, 0.5], [0.5, 1.0]]]))
    for world in (PointSet(torch.zeros(1, 3)), rotated):
        with pytest.raises(ValueError, match="cell masses are for"):
            cell_masses(world, 0.5, EDGES)
