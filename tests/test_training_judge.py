"""Samples judged beside real images: damaged ones, copies, sets that are too small, and work shared by two processes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ddpm_space.images import quantize
from training.data import ImageSet, load_images
from training.evaluation.frechet import FeatureNetwork, load_features
from training.evaluation.judge import InMemory, judge


@pytest.fixture(scope="module")
def digits() -> tuple[ImageSet, ImageSet]:
    train, test = load_images("bundled", split="train"), load_images("bundled", split="test")
    return ImageSet(train.images[::4], None, train.name), test


def few_features(name: str = "mean and spread") -> FeatureNetwork:
    """Three features of any image: the means of its halves, and its spread."""

    def extract(x: Tensor) -> Tensor:
        half = x.shape[-1] // 2
        return torch.stack([x[..., :half].mean((1, 2, 3)), x[..., half:].mean((1, 2, 3)), x.std((1, 2, 3))], dim=1)

    return FeatureNetwork(name, "Fréchet distance", name, 3, extract)


def noise(count: int, seed: int, size: int = 6) -> Tensor:
    return quantize(torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(seed)) / 2)


def test_the_judge_knows_digits_and_tells_them_from_damaged_ones(digits: tuple[ImageSet, ImageSet]) -> None:
    train, test = digits
    network = load_features("mnist")
    good = test.batch(torch.arange(200, 400))
    real = judge(good, train, test, network)
    assert real.recognised is not None and real.recognised.samples > 0.93 and real.recognised.real is not None and real.recognised.real > 0.93
    assert sum(real.recognised.classes) == 200 and min(real.recognised.classes) > 5
    to_train, floor = real.frechet.to_train, real.frechet.floor_train
    assert to_train is not None and floor is not None and (to_train.n, floor.n, to_train.reference) == (200, 200, 1250)
    assert to_train.value < 3 * floor.value and 0 < floor.error < floor.value
    assert real.frechet.to_held_out is not None and real.frechet.floor_held_out is not None and real.frechet.floor_held_out.reference == 1000
    assert all(abs(nearness.closer - 0.5) < 0.15 and nearness.copies < 0.06 for nearness in real.memorisation) and not real.notes
    # A classifier must answer something, and it can be sure of what is no digit: the distance is what notices.
    damaged = torch.nn.functional.avg_pool2d(good, 5, 1, 2)
    for x in (damaged, -good):
        found = judge(quantize(x), train, None, network)
        assert found.frechet.to_train is not None and found.frechet.to_train.value > 10 * floor.value


def test_a_model_that_repeats_its_training_images_is_found_out(digits: tuple[ImageSet, ImageSet]) -> None:
    train, test = digits
    found = judge(train.batch(torch.arange(100)), train, test, load_features("mnist"))
    assert all(nearness.closer > 0.98 and nearness.copies > 0.98 for nearness in found.memorisation) and len(found.memorisation) == 2
    assert found.neighbours is not None and torch.equal(found.neighbours, train.batch(torch.arange(100)))
    # Mirrored copies are copies where training mirrors its images.
    mirrored = train.batch(torch.arange(100)).flip(-1)
    plain, found = (judge(mirrored, train, test, load_features("mnist"), flip=flip) for flip in (False, True))
    assert plain.memorisation[0].copies < 0.5 and found.memorisation[0].copies > 0.98
    assert found.neighbours is not None and torch.equal(found.neighbours, mirrored), "shown as they are near"


def test_small_sets_are_compared_as_far_as_they_go_and_the_rest_is_said() -> None:
    samples = noise(40, 0)
    few = judge(samples, InMemory(noise(100, 1)), InMemory(noise(10, 2)), few_features())
    assert few.frechet.floor_train is not None and (few.frechet.floor_train.n, few.frechet.floor_train.reference) == (40, 60)
    assert few.frechet.to_held_out is not None and few.frechet.floor_held_out is not None and few.frechet.floor_held_out.n == 40
    assert [nearness.real_n for nearness in few.memorisation] == [10, 10]
    assert any("the floor of the distance to the training set is that of 40 training images to the others" in note for note in few.notes)
    none_left = judge(samples, InMemory(noise(42, 1)), InMemory(noise(10, 2)), few_features())
    assert none_left.frechet.to_train is not None and none_left.frechet.floor_train is None
    assert any("the floor of the distance to the training set is not known" in note for note in none_left.notes)
    fewer = judge(samples, InMemory(noise(3, 1)), None, few_features())
    assert (fewer.frechet.to_train, fewer.frechet.floor_train, fewer.memorisation) == (None, None, ())
    assert any("there are 3 training images: no distance to them" in note for note in fewer.notes)
    streamed = judge(samples, None, InMemory(noise(50, 2)), few_features())
    assert streamed.frechet.to_train is None and streamed.frechet.to_held_out is not None and streamed.neighbours is None
    assert any("can only be streamed" in note for note in streamed.notes)


def test_the_real_images_beside_the_samples_are_drawn_at_random_from_sets_sorted_by_class() -> None:
    dim, bright = (InMemory(torch.cat([0.2 * noise(count, 1), noise(count, 2)])) for count in (300, 100))
    floor = judge(noise(100, 0), dim, bright, few_features()).frechet
    assert floor.floor_train is not None and floor.floor_held_out is not None
    # Half of the images spread by 0.1 and half by 0.5: the first hundred alone are as far from all of them as 0.2^2 from the mean of both.
    assert floor.floor_train.value < 0.01 and floor.floor_held_out.value < 0.01


def test_two_processes_find_what_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = InMemory(noise(2500, 1)), InMemory(noise(1500, 2))
    samples = noise(1200, 0)
    alone = judge(samples, *sets, few_features(), seed=3)
    by_hand = torch.cdist(samples.flatten(1), sets[0].images.flatten(1)).argmin(dim=1)
    assert alone.neighbours is not None and torch.equal(alone.neighbours, sets[0].images[by_hand])
    # Rank 0 and rank 1 in turn, phase by phase: what one adds to an exchange, the other finds there.
    exchanges: list[dict[int, Any]] = [{} for _ in range(4)]
    did: list[tuple[set[int], set[int]]] = [(set(), set()) for _ in range(4)]
    phase = 0

    def gather(found: list[Any]) -> list[Any]:
        nonlocal phase
        exchanges[phase].update(found)
        did[phase][rank].update(number for number, _ in found)
        phase += 1
        return list(exchanges[phase - 1].items())

    monkeypatch.setattr("accelerate.utils.gather_object", gather)
    for rank in (0, 1, 0, 1, 0, 1, 0, 1):
        phase = 0
        try:
            shared = judge(samples, *sets, few_features(), seed=3, rank=rank, world=2)
        except RuntimeError as error:
            assert "pieces of work" in str(error)  # the other has not been there yet
    assert (shared.frechet, shared.memorisation, shared.notes) == (alone.frechet, alone.memorisation, alone.notes)
    assert shared.neighbours is not None and torch.equal(shared.neighbours, alone.neighbours)
    assert [len(done) for done in exchanges] == [2, 2, 3, 4] and not any(first & second for first, second in did)
