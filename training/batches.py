"""Which images, timesteps and noise step k sees: a function of the seed and of k alone, so that a resumed run is the same run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.data import ImageSet


class Batch(NamedTuple):
    """One step's share of a process: x_0 (B, C, H, W) in [-1, 1], t int64 (B,) on the CPU, eps like x_0."""

    x_0: Tensor
    t: Tensor
    eps: Tensor


@dataclass(frozen=True)
class Batches:
    """Every batch of a run, by its number.

    Args:
        data: the pictures; batch_size: images a step on each process; num_timesteps: T; seed: of the run.
        rank, world: this process and how many there are; together they walk through one order of the images.
    """

    data: ImageSet
    batch_size: int
    num_timesteps: int
    seed: int
    rank: int = 0
    world: int = 1

    def at(self, step: int) -> Batch:
        """Images, timesteps and noise of one step."""
        generator = _generator(self.seed, step, self.rank)
        x_0 = self.data.batch(self.indices(step))
        return Batch(x_0, self.timesteps(step), torch.randn(x_0.shape, generator=generator))

    def indices(self, step: int) -> Tensor:
        """Rows of the data set: each epoch is a new order, and a batch may reach from one epoch into the next."""
        first = (step * self.world + self.rank) * self.batch_size
        places = torch.arange(first, first + self.batch_size)
        epochs = places // len(self.data)
        return torch.cat([_order(self.seed, epoch, len(self.data))[places[epochs == epoch] % len(self.data)] for epoch in epochs.unique().tolist()])

    def timesteps(self, step: int) -> Tensor:
        """Stratified t: each uniform on 0..T-1, and together spread evenly over the chain, which lowers the variance of the loss."""
        total = self.batch_size * self.world
        offset = torch.rand(1, generator=_generator(self.seed, step, -1), dtype=torch.float64)
        strata = torch.arange(self.rank, total, self.world, dtype=torch.float64)
        return ((strata + offset) / total * self.num_timesteps).long().clamp(max=self.num_timesteps - 1)


def _generator(seed: int, *place: int) -> torch.Generator:
    state = np.random.SeedSequence((seed, *(number + 1 for number in place))).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, length: int) -> Tensor:
    return torch.randperm(length, generator=_generator(seed, epoch))
