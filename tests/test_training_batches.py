"""What a step sees is a function of seed, step and place: orders against bookkeeping, processes against one, noise against its law."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from training.batches import Batches
from training.config import make_config
from training.data import ImageSet
from training.timesteps import make_sampler


def batches(count: int, batch_size: int, *, sampling: str = "stratified", flip: bool = False, **place: Any) -> Batches:
    """Batches of pictures whose pixels are their row's number; left and right differ by 100."""
    images = torch.arange(count, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4).clone()
    images[..., 2:] += 100
    seed = place.pop("seed", 0)
    sampler = make_sampler(make_config({"timestep_sampling": sampling, "seed": seed}), 50)
    return Batches(ImageSet(images, None, "numbers", flip), sampler, batch_size, seed, **place)


def rows(x_0: torch.Tensor) -> list[int]:
    return ((x_0[:, 0, 0].amin(dim=1) + 1) * 127.5).round().int().tolist()


def test_every_epoch_shows_every_image_once_in_a_new_order() -> None:
    plan = batches(23, 5)
    seen = torch.tensor([rows(plan.at(step).x_0) for step in range(23)]).reshape(5, 23)
    assert all(epoch.sort().values.tolist() == list(range(23)) for epoch in seen)
    assert len({tuple(epoch.tolist()) for epoch in seen}) == 5


@pytest.mark.parametrize("sampling", ["stratified", "uniform"])
@pytest.mark.parametrize(("parts", "world"), [(1, 2), (3, 1), (2, 2), (1, 12)])
def test_processes_and_parts_share_one_batch(parts: int, world: int, sampling: str) -> None:
    whole = batches(40, 12, flip=True, sampling=sampling)
    size = 12 // parts // world
    shared = [batches(40, size, flip=True, sampling=sampling, parts=parts, rank=rank, world=world) for rank in range(world)]
    for step in (0, 1, 7):
        found = [plan.at(step, part) for part in range(parts) for plan in shared]
        for name in ("x_0", "t", "eps", "weight"):
            assert torch.equal(torch.cat([getattr(batch, name) for batch in found]), getattr(whole.at(step), name)), name
    assert all(plan.global_batch == 12 for plan in [whole, *shared])


def test_a_step_is_the_same_whenever_it_is_asked_for_and_another_seed_is_another_run() -> None:
    plan = batches(20, 6, flip=True)
    first = plan.at(7)
    for step in (3, 12):
        plan.at(step)
    again, other = plan.at(7), batches(20, 6, flip=True, seed=1).at(7)
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert not any(torch.equal(a, b) for a, b in zip(first[:3], other[:3]))
    assert not torch.equal(plan.at(8).eps, first.eps)


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    plan, state = batches(20, 6, flip=True), torch.get_rng_state()
    first = plan.at(2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(plan.at(2).eps, first.eps)


def test_noise_is_standard_normal_and_that_of_two_images_has_nothing_in_common() -> None:
    plan = batches(64, 64)
    noise = torch.cat([plan.at(step).eps.reshape(64, 16) for step in range(200)]).double()
    n = noise.numel()
    assert abs(noise.mean()) < 4 / math.sqrt(n) and abs(noise.var() - 1) < 4 * math.sqrt(2 / n) and abs((noise**4).mean() - 3) < 4 * math.sqrt(96 / n)
    for shift in (1, 64):  # a neighbour in the batch, the same place in the next one
        correlation = (noise[shift:] * noise[:-shift]).mean()
        assert abs(correlation) < 4 / math.sqrt(n)


@pytest.mark.parametrize("sampling", ["stratified", "uniform"])
def test_timesteps_are_independent_of_the_images(sampling: str) -> None:
    plan, steps = batches(64, 16, sampling=sampling), 2000
    found = [plan.at(step) for step in range(steps)]
    drawn, images = torch.stack([batch.t for batch in found]), torch.tensor([rows(batch.x_0) for batch in found])
    for image in (0, 17, 63):
        mine = drawn[images == image].double()
        # T = 50: mean 24.5, variance (T^2 - 1) / 12.
        assert abs(mine.mean() - 24.5) < 4.5 * math.sqrt(2499 / 12 / len(mine))
