"""Copies are told from new images, whatever the data look like."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.evaluation.memorisation import COPIES, compare, nearest, pixels


def draw(count: int, seed: int, shape: tuple[int, ...] = (1, 6, 6)) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def closeness(queries: Tensor, train: Tensor) -> Tensor:
    return nearest(pixels(queries), pixels(train))[0]


def test_the_nearest_point_is_the_one_that_a_search_one_by_one_finds() -> None:
    queries, points = draw(700, 0).flatten(1), draw(300, 1).flatten(1)
    distance, row = nearest(queries, points)
    by_hand = (queries[:, None] - points[None]).norm(dim=2).min(dim=1)
    assert torch.equal(row, by_hand.indices) and torch.allclose(distance, by_hand.values)
    distance, row = nearest(points[7:9] + 1e-6, points)
    assert row.tolist() == [7, 8] and float(distance.max()) < 1e-4  # squares alone would be off by 1e-2


def test_pixel_distances_are_in_grey_levels_and_large_images_are_averaged() -> None:
    black, white = -torch.ones(1, 3, 5, 7), torch.ones(1, 3, 5, 7)
    assert float((pixels(black) - pixels(white)).norm()) == pytest.approx(255)
    assert pixels(torch.zeros(2, 3, 128, 100)).shape == (2, 3 * 64 * 64) and pixels(torch.zeros(2, 1, 64, 20)).shape == (2, 64 * 20)
    checks = (torch.arange(128)[:, None] + torch.arange(128)).remainder(2).float()[None, None] * 2 - 1
    assert float(pixels(checks).abs().max()) < 1e-4


def test_new_images_are_as_close_as_real_ones_and_copies_are_closer() -> None:
    train, real = draw(400, 0), closeness(draw(300, 1), draw(400, 0))
    alike = compare("pixels", closeness(draw(300, 2), train), real)
    assert abs(alike.closer - 0.5) < 4 * alike.closer_error and alike.copies < 0.05
    mixed = torch.cat([draw(240, 2), train[:60] + 0.01 * draw(60, 3)])
    copying = compare("pixels", closeness(mixed, train), real)
    # A fifth is copied: closer than all real images, the others closer in half of the pairs.
    assert copying.closer == pytest.approx(0.6, abs=4 * copying.closer_error) and copying.closer - 0.5 > 3 * copying.closer_error
    assert copying.copies == pytest.approx(0.2, abs=4 * copying.copies_error) and (copying.n, copying.real_n) == (300, 300)
    assert "64.1% +- 2.3% of the pairs (50% if alike)" in str(copying) and "of samples (n = 300)" in str(copying)


def test_the_share_counts_pairs_and_ties_as_half() -> None:
    samples, real = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([2.0, 3.0, 4.0, 6.0])
    by_hand = torch.tensor([[1.0, 1, 1, 1], [0.5, 1, 1, 1], [0, 0, 0, 1]]).mean()
    assert compare("x", samples, real).closer == pytest.approx(float(by_hand))
    assert compare("x", real, real).closer == pytest.approx(0.5)


@pytest.mark.parametrize("real", [6, 64, 500])
def test_few_real_images_tell_less_of_what_a_copy_is_and_that_is_said(real: int) -> None:
    generator = torch.Generator().manual_seed(real)
    found = [compare("x", torch.rand(500, generator=generator), torch.rand(real, generator=generator)) for _ in range(400)]
    copies = torch.tensor([one.copies for one in found])
    assert float(copies.mean()) == pytest.approx(found[0].copies_if_alike, abs=4 * float(copies.std()) / 400**0.5)
    assert f"({found[0].copies_if_alike:.1%} if alike)" in str(found[0])


def test_the_shares_error_is_its_spread_over_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    found = [compare("x", torch.rand(40, generator=generator) ** 1.5, torch.rand(60, generator=generator)) for _ in range(300)]
    closer, errors = (torch.tensor([getattr(one, name) for one in found]) for name in ("closer", "closer_error"))
    # The standard deviation of 300 values is known to 4 %.
    assert float(errors.square().mean().sqrt()) == pytest.approx(float(closer.std()), rel=0.15)
    # P(U^1.5 < V) for uniform U, V is the mean of V^(2/3), 3/5.
    assert float(closer.mean()) == pytest.approx(0.6, abs=4 * float(closer.std()) / 300**0.5)
    assert COPIES == 0.01
