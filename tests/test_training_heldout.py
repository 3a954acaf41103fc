"""Held-out bits/dim: the bound of each image whoever computes it, its error bars, and the hint that it has stopped falling."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from ddpm_space.bound import full_bound
from ddpm_space.denoiser import Denoiser
from ddpm_space.images import quantize
from ddpm_space.schedule import NoiseSchedule
from training.evaluation import heldout, shares
from training.evaluation.heldout import HeldOut, held_out_bits, some, stopped_falling
from training.evaluation.judge import InMemory

STEPS = 60
IMAGES = quantize(0.5 * torch.randn(10, 1, 4, 4, generator=torch.Generator().manual_seed(0)))


def gaussian_denoiser(steps: int = STEPS, *, learns_variance: bool = False) -> Denoiser:
    """The best eps for pixels of N(0, 1/4), all independent."""
    schedule = NoiseSchedule.cosine(steps)

    def network(x_t: Tensor, t: Tensor) -> Tensor:
        abar = schedule.at(t).alpha_bar_t.view(-1, 1, 1, 1)
        return (x_t * ((1 - abar).sqrt() / (1 - abar + abar / 4))).float()

    def with_variance(x_t: Tensor, t: Tensor) -> Tensor:
        return torch.cat([network(x_t, t), torch.full_like(x_t, 0.4)], dim=1)

    return Denoiser(network, "epsilon", schedule, with_variance if learns_variance else None)


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, HeldOut]]:
    """Run rank 0 and rank 1 of two, one after the other; what they exchange is kept between the runs."""
    exchanged: list[tuple[int, object]] = []

    def gather(found: list[tuple[int, object]]) -> list[tuple[int, object]]:
        exchanged.extend(found)
        return list(exchanged)

    monkeypatch.setattr("accelerate.utils.gather_object", gather)
    found: dict[int, HeldOut] = {}
    with pytest.raises(RuntimeError, match="5 results for 10 pieces"):  # rank 0 alone has not all of them yet
        held_out_bits(gaussian_denoiser(), IMAGES, seed=3, evaluations=9, rank=0, world=2)
    found[1] = held_out_bits(gaussian_denoiser(), IMAGES, seed=3, evaluations=9, rank=1, world=2)
    yield found


def test_every_image_has_the_bound_that_the_core_gives_it() -> None:
    found = held_out_bits(gaussian_denoiser(), IMAGES, seed=3, evaluations=STEPS)
    direct = [full_bound(gaussian_denoiser(), IMAGES[i : i + 1], seed=heldout._seed(3, i)).mean().mean for i in range(10)]
    assert found.per_image.tolist() == pytest.approx(direct, rel=1e-12)
    assert (found.n, found.evaluations, found.standard_error) == (10, STEPS, 0.0)
    assert found.mean == pytest.approx(sum(direct) / 10) and found.image_error == pytest.approx(np.std(direct, ddof=1) / math.sqrt(10))
    assert "fixed_small" in found.conventions and f"{STEPS} steps" in found.conventions


def test_a_part_of_the_terms_is_unbiased_and_the_error_bar_is_its_spread() -> None:
    # The noise of a term is the same whichever terms are asked for: only the choice of terms differs from the whole.
    found = [[held_out_bits(gaussian_denoiser(24), IMAGES[:4], seed=seed, evaluations=n) for n in (7, 24)] for seed in range(60)]
    off = torch.tensor([part.mean - whole.mean for part, whole in found])
    promised = torch.tensor([part.standard_error for part, _ in found])
    assert abs(float(off.mean())) < 4 * float(off.std()) / 60**0.5
    # Both standard deviations of 60 draws are known to 9 % or a little worse.
    assert float(promised.square().mean().sqrt()) == pytest.approx(float(off.std()), rel=0.3)
    assert {part.evaluations for part, _ in found} == {7}


def test_learned_variances_are_used_where_there_are_any() -> None:
    fixed, learned = (held_out_bits(gaussian_denoiser(learns_variance=learns), IMAGES[:2], seed=0, evaluations=STEPS) for learns in (False, True))
    assert "learned_range" in learned.conventions and learned.mean != fixed.mean


def test_the_figure_does_not_depend_on_the_number_of_processes(two_processes: dict[int, HeldOut]) -> None:
    alone = held_out_bits(gaussian_denoiser(), IMAGES, seed=3, evaluations=9)
    assert torch.equal(two_processes[1].per_image, alone.per_image) and two_processes[1].standard_error == alone.standard_error


def test_an_images_noise_depends_on_its_number_alone() -> None:
    few, many = (held_out_bits(gaussian_denoiser(), IMAGES[:n], seed=3, evaluations=9).per_image for n in (4, 10))
    assert torch.equal(few, many[:4])
    same = held_out_bits(gaussian_denoiser(), IMAGES[:1].expand(3, -1, -1, -1), seed=3, evaluations=9).per_image
    assert len(set(same.tolist())) == 3  # equal images, each with its own noise


def test_the_global_random_numbers_are_left_alone() -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    held_out_bits(gaussian_denoiser(), some(InMemory(IMAGES), 4, seed=1), seed=3, evaluations=9)
    assert torch.equal(before[0], torch.get_rng_state()) and before[1:] == (random.getstate(), np.random.get_state()[1].tolist())


def test_some_images_are_the_same_ones_each_time_and_not_the_first_ones() -> None:
    numbered = InMemory(torch.arange(100.0).view(100, 1, 1, 1))
    chosen = some(numbered, 10, seed=1).flatten()
    assert torch.equal(chosen, some(numbered, 10, seed=1).flatten()) and len(chosen.unique()) == 10 and chosen.max() > 50
    assert not torch.equal(chosen, some(numbered, 10, seed=2).flatten()) and len(some(numbered, 200, seed=1)) == 100


@pytest.mark.parametrize(("images", "evaluations", "message"), [(IMAGES[:0], 9, "no held-out images"), (IMAGES, 2, "evaluations = 2: use 3 or more")])
def test_what_cannot_be_measured_is_named(images: Tensor, evaluations: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        held_out_bits(gaussian_denoiser(), images, seed=0, evaluations=evaluations)


def history(*bits: float) -> list[tuple[int, float, float]]:
    return [(1000 * (i + 1), value, 0.01) for i, value in enumerate(bits)]


def test_the_hint_waits_until_the_loss_has_stopped_falling() -> None:
    assert stopped_falling([]) is None and stopped_falling(history(3, 3, 3)) is None
    assert stopped_falling(history(3, 2.5, 2.2, 2.1, 2.08, 2.07, 2.065)) is None
    assert stopped_falling(history(3, 2.5, 2.51, 2.52, 2.4)) is None  # it rose for a while, and falls again
    flat = stopped_falling(history(3, 2.5, 2.5004, 2.4998, 2.4999))
    assert flat is not None and "has stopped falling (2.500 bits/dim at 2,000 images" in flat
    certain = [(images, bits, 0.0) for images, bits, _ in history(3, 2.5, 2.4999, 2.5001, 2.5002)]
    assert "has stopped falling" in str(stopped_falling(certain))  # without an error bar, too, a hair is neither a fall nor a rise
    rising = stopped_falling(history(3, 2.5, 2.51, 2.52, 2.54))
    assert rising is not None and "is rising (2.500 bits/dim at 2,000 images, 2.540 now, at 5,000)" in rising


def test_pieces_of_work_are_done_once_each() -> None:
    for world in (1, 2, 3, 8):
        assert sorted(piece for rank in range(world) for piece in shares.share(7, rank, world)) == list(range(7))
    with pytest.raises(ValueError, match="process 2 of 2"):
        shares.share(7, 2, 2)
    assert shares.together({1: "b", 0: "a"}, 2, 1) == ["a", "b"]
    with pytest.raises(RuntimeError, match="2 results for 3 pieces"):
        shares.together({0: "a", 2: "c"}, 3, 1)


def test_a_piece_that_two_processes_did_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelerate.utils.gather_object", lambda found: [*found, *found])
    with pytest.raises(RuntimeError, match="4 results for 2 pieces of work: 2 processes"):
        shares.together({0: "a", 1: "b"}, 2, 2)
