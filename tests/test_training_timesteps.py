"""Which timesteps are trained: uniform, spread and loss-aware laws against their definitions, whoever draws them and in whatever order."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from itertools import pairwise

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from training.config import ConfigError, make_config
from training.timesteps import HISTORY, LossAwareSampler, TimestepSampler, make_sampler

STEPS = 4000


def sampler(kind: str, num_timesteps: int = 10, seed: int = 0) -> TimestepSampler:
    return make_sampler(make_config({"timestep_sampling": kind, "seed": seed}), num_timesteps)


def drawn(source: TimestepSampler, steps: int, batch: int) -> Tensor:
    """Timesteps (steps, batch)."""
    return torch.stack([source.draw(step, torch.arange(batch), batch)[0] for step in range(steps)])


def warmed(loss: Tensor, seed: int = 0) -> LossAwareSampler:
    """A loss-aware sampler that has seen each timestep's loss ten times."""
    source = LossAwareSampler(len(loss), seed)
    for _ in range(HISTORY):
        source.update(torch.arange(len(loss)), loss)
    return source


@pytest.mark.parametrize("kind", ["uniform", "stratified"])
def test_each_place_of_the_batch_gets_every_timestep_equally_often(kind: str) -> None:
    t = drawn(sampler(kind), STEPS, 6)
    for place in range(6):
        share = torch.bincount(t[:, place], minlength=10) / STEPS
        assert (share - 0.1).abs().max() < 4 * math.sqrt(0.1 * 0.9 / STEPS)


def test_stratified_timesteps_are_evenly_spread_and_uniform_ones_are_independent() -> None:
    spread, free = drawn(sampler("stratified", 1000), 200, 50), drawn(sampler("uniform", 1000), STEPS, 2)
    for t in spread:
        gaps = {b - a for a, b in pairwise(sorted(t.tolist()))}
        assert gaps <= {19, 20, 21}
    assert (torch.corrcoef(free.double().T)[0, 1]).abs() < 4 / math.sqrt(STEPS)
    # Another step begins elsewhere.
    assert len(set(spread[:, 0].tolist())) > 150
    first, next_step = spread[:-1, 0].double(), spread[1:, 0].double()
    assert torch.corrcoef(torch.stack([first, next_step]))[0, 1].abs() < 4 / math.sqrt(199)


def test_the_spread_lowers_the_variance_of_the_mean_loss_and_not_its_mean() -> None:
    loss = torch.linspace(1, 3, 100).double() ** 3
    means = {kind: loss[drawn(sampler(kind, 100), STEPS, 8)].mean(dim=1) for kind in ("uniform", "stratified")}
    for mean in means.values():
        assert (mean.mean() - loss.mean()).abs() < 4 * mean.std() / math.sqrt(STEPS)
    assert means["stratified"].var() < means["uniform"].var() / 4


@pytest.mark.parametrize("kind", ["uniform", "stratified", "loss_aware"])
def test_a_draw_depends_on_seed_step_and_position_alone(kind: str) -> None:
    whole = sampler(kind).draw(3, torch.arange(36, 48), 12)
    # Four processes with three images each, in another order of time and on a sampler that has drawn other steps before; places instead of positions.
    other = sampler(kind)
    parts = {first: [other.draw(step, torch.arange(first, first + 3), 12) for step in (9, 3)][1] for first in (6, 0, 9, 3)}
    for which in (0, 1):
        assert torch.equal(torch.cat([parts[first][which] for first in (0, 3, 6, 9)]), whole[which])
    changed = (sampler(kind, seed=1).draw(3, torch.arange(12), 12), sampler(kind).draw(4, torch.arange(12), 12))
    assert all(not torch.equal(again[0], whole[0]) for again in changed)
    assert whole[0].dtype == torch.int64 and whole[1].dtype == torch.float32 and whole[0].min() >= 0 and whole[0].max() < 10


def test_the_loss_aware_law_is_the_root_mean_square_of_the_last_ten_losses() -> None:
    generator = torch.Generator().manual_seed(0)
    source, memory = LossAwareSampler(7, 0), defaultdict(lambda: deque[float](maxlen=HISTORY))
    for step in range(60):
        t = torch.randint(0, 7, (120 if step == 30 else 5,), generator=generator)
        losses = torch.rand(len(t), generator=generator) + t
        # Within a step the losses of one timestep count in their order of size.
        for loss, place in sorted(zip(losses.tolist(), t.tolist())):
            memory[place].append(loss)
        shuffled = torch.randperm(len(t), generator=generator)
        source.update(t[shuffled], losses[shuffled])
        warm = len(memory) == 7 and all(len(values) == HISTORY for values in memory.values())
        assert source.is_warm == warm
        size = torch.tensor([math.sqrt(sum(value**2 for value in memory[place]) / HISTORY) for place in range(7)]).double()
        expected = 0.999 * size / size.sum() + 0.001 / 7 if warm else torch.full((7,), 1 / 7).double()
        assert torch.allclose(source.probabilities(), expected, rtol=1e-6)
    assert source.is_warm
    t = drawn(source, STEPS, 1).flatten()
    share = torch.bincount(t, minlength=7) / STEPS
    error = (source.probabilities() * (1 - source.probabilities()) / STEPS).sqrt()
    assert ((share - source.probabilities()).abs() < 4 * error).all()


@pytest.mark.parametrize("batch", [1, 8])
def test_the_loss_aware_mean_is_unbiased_and_varies_less(batch: int) -> None:
    """The sampler has learned from noisy losses; the mean over a batch is that over uniform t all the same, for any losses to come."""
    steep = torch.exp(-torch.arange(50) / 5.0).double() * 20 + 0.1
    later = steep.flip(0)
    source = warmed(steep)
    means, bare = [], []
    for step in range(STEPS):
        t, weight = source.draw(step, torch.arange(batch), batch)
        means.append((weight * torch.stack([steep, later])[:, t]).mean(dim=1))
        bare.append(steep[t].mean())
    mean = torch.stack(means).double()
    error = mean.std(dim=0) / math.sqrt(STEPS)
    assert abs(mean[:, 0].mean() - steep.mean()) < 4 * error[0]
    # Losses that it did not expect cost variance, not truth.
    assert abs(mean[:, 1].mean() - later.mean()) < 4 * error[1]
    assert torch.stack(bare).mean() - steep.mean() > 20 * error[0], "without the weights the mean is that of the large losses"
    uniform = steep[drawn(sampler("uniform", 50), STEPS, batch)].mean(dim=1)
    assert mean[:, 0].var() < uniform.var() / 50


def test_losses_that_are_no_numbers_are_left_out_and_zeros_do_not_end_the_sampling() -> None:
    source = warmed(torch.zeros(5))
    assert torch.equal(source.probabilities(), torch.full((5,), 0.2, dtype=torch.float64))
    source.update(torch.tensor([0, 1, 2]), torch.tensor([math.nan, math.inf, 1.0]))
    assert source.seen.tolist() == [10, 10, 11, 10, 10]
    t, weight = source.draw(0, torch.arange(1000), 1000)
    assert set(t.tolist()) <= set(range(5)) and weight.isfinite().all() and weight.max() <= 1000
    assert source.probabilities()[2] == pytest.approx(0.999 + 0.0002) and source.probabilities().min() > 0


def test_its_state_goes_through_a_checkpoint_and_not_into_another_chain() -> None:
    source = warmed(torch.rand(20, generator=torch.Generator().manual_seed(0)))
    again = LossAwareSampler(20, 0)
    again.load_state_tensors(load(save(source.state_tensors())))
    for sampler_now in (source, again):
        sampler_now.update(torch.arange(5), torch.ones(5))
    assert all(torch.equal(a, b) for a, b in zip(source.draw(5, torch.arange(64), 64), again.draw(5, torch.arange(64), 64)))
    with pytest.raises(ConfigError, match=r"for 20 timesteps, this chain has 30"):
        LossAwareSampler(30, 0).load_state_tensors(source.state_tensors())
    with pytest.raises(ConfigError, match=r"no history of losses"):
        LossAwareSampler(20, 0).load_state_tensors({})
    plain = sampler("stratified")
    plain.load_state_tensors(plain.state_tensors())
    assert plain.state_tensors() == {} and not plain.needs_losses and source.needs_losses
