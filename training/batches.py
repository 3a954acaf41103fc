"""Which images, timesteps and noise step k sees: a function of the seed, of k and of an image's place in the run.

All images that a run passes, repeats counted, stand in one line: step k takes places k G to k G + G - 1, where G is the global batch. What an image
gets depends on its place alone, so that a resumed run is the same run, and the same global batch is the same step however many processes
share it and in however many parts each of them works on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.data import ImageStream, Pictures
from training.timesteps import TimestepSampler

ORDER, NOISE, DROPOUT = 1, 2, 3
"""What numbers are drawn for: each draw has a generator of its own, seeded with one of these and its place."""


class Batch(NamedTuple):
    """What one process works on in one forward pass, on the CPU.

    x_0 (B, C, H, W) in [-1, 1]; t int64 (B,); eps like x_0; weight float32 (B,): importance weight of each image's loss.
    """

    x_0: Tensor
    t: Tensor
    eps: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Batches:
    """Every batch of a run, by the number of its step.

    Args:
        data: the pictures, or this process's stream of them; sampler: of the timesteps; seed: of the run.
        batch_size: images in one forward pass of each process; parts: forward passes for one step; rank, world: this process, and how many there are.
    """

    data: Pictures | ImageStream
    sampler: TimestepSampler
    batch_size: int
    seed: int
    parts: int = 1
    rank: int = 0
    world: int = 1

    @property
    def global_batch(self) -> int:
        """G, the images of one step on all processes."""
        return self.batch_size * self.parts * self.world

    def at(self, step: int, part: int = 0) -> Batch:
        """Images, timesteps and noise of one forward pass of a step."""
        places = self.places(step, part)
        if isinstance(self.data, ImageStream):
            x_0 = self.data.next_batch(self.batch_size)  # which come in their own order, each process's from its own share
        else:
            x_0 = self.data.batch(_rows(self.seed, places, len(self.data)), places, self.seed)
            following = self.places(step, part + 1) if part + 1 < self.parts else self.places(step + 1)
            self.data.expect(_rows(self.seed, following, len(self.data)))
        t, weight = self.sampler.draw(step, places, self.global_batch)
        return Batch(x_0, t, self.noise(places, x_0.shape[1:]), weight)

    def places(self, step: int, part: int = 0) -> Tensor:
        """Places of this process's images in the line of all, int64 (B,); over the processes and parts of a step they cover its G places once."""
        first = step * self.global_batch + (part * self.world + self.rank) * self.batch_size
        return torch.arange(first, first + self.batch_size)

    def noise(self, places: Tensor, shape: torch.Size) -> Tensor:
        """Standard normal noise (B, *shape), each image's from its place."""
        eps, generator = torch.empty(len(places), *shape), torch.Generator()
        for index, place in enumerate(places.tolist()):
            torch.randn(shape, generator=generator.manual_seed(derived_seed(self.seed, NOISE, place)), out=eps[index])
        return eps


def derived_seed(seed: int, *place: int) -> int:
    """A seed for one purpose and place, unrelated to that of any other; numbers from 0."""
    return int(np.random.SeedSequence((seed, *place)).generate_state(1, np.uint64)[0] >> 1)


def _rows(seed: int, places: Tensor, length: int) -> Tensor:
    """Rows of the data set at these places: each epoch is a new order, and a batch may reach from one epoch into the next."""
    epochs = places // length
    return torch.cat([_order(seed, epoch, length)[places[epochs == epoch] % length] for epoch in epochs.unique().tolist()])


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, length: int) -> Tensor:
    return torch.randperm(length, generator=torch.Generator().manual_seed(derived_seed(seed, ORDER, epoch)))
