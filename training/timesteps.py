"""Which timesteps a step trains, and how much each then counts: uniform, evenly spread, or drawn where the loss is large.

Every draw is a function of (seed, step, position in the whole batch) and, for the loss-aware one, of the losses seen so far: not of how many
processes share the batch, nor in how many parts each of them works on it (losses that differ in rounding may move a draw to the next timestep).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from training.config import ConfigError, TrainConfig

HISTORY = 10
"""Losses that are remembered for each timestep [Nichol 2021 section 3.3]."""

UNIFORM_SHARE = 0.001
"""Share of the draws that stays uniform, so that a timestep with a history of zeros is still visited and no importance weight exceeds 1000."""

_STREAM = 7
"""Keeps these numbers apart from others that are made from the same seed and step."""


class TimestepSampler:
    """Timesteps that are uniform over the chain.

    Args:
        num_timesteps: T; seed: of the run.
        spread: the batch is spread evenly over the chain, u_i = (u + i / G) mod 1 with one random u: each t is still uniform, and the mean over the
            batch varies less [Kingma 2021 appendix I.1]. Otherwise every t is drawn on its own.
    """

    def __init__(self, num_timesteps: int, seed: int, *, spread: bool) -> None:
        self.num_timesteps, self.seed, self.spread = num_timesteps, seed, spread

    needs_losses = False
    """Whether `update` wants the losses of every step."""

    def draw(self, step: int, positions: Tensor, global_batch: int) -> tuple[Tensor, Tensor]:
        """Timesteps of some images of a step, and the weight of each one's loss that makes the mean over the batch the mean over uniform t.

        Args:
            step: of the run; positions: int64 (B,) numbers of the images in the order of all that the run sees, or in the batch of this step.
            global_batch: G, images of the step on all processes; position p is number p mod G of its batch.
        Returns:
            t int64 (B,) in [0, T), weight float32 (B,); both on the CPU.
        """
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, _STREAM, step))))
        place = positions.cpu() % global_batch
        if self.spread:
            uniform = (generator.random() + place.double() / global_batch) % 1.0
        else:
            uniform = torch.from_numpy(generator.random(global_batch))[place]
        return self._at(uniform)

    def _at(self, uniform: Tensor) -> tuple[Tensor, Tensor]:
        t = (uniform * self.num_timesteps).long().clamp(max=self.num_timesteps - 1)
        return t, torch.ones(t.shape)

    def update(self, t: Tensor, losses: Tensor) -> None:
        """Take note of a step's losses, of the whole batch on every process; (G,) each, in any order."""

    def state_tensors(self) -> dict[str, Tensor]:
        """What a checkpoint has to hold besides seed and step."""
        return {}

    def load_state_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Go on from `state_tensors()`. Raises ConfigError where they are those of another chain."""


class LossAwareSampler(TimestepSampler):
    """p_t in proportion to sqrt(E[L_t^2]), the root mean square of the last losses at t; uniform until every t has its history.

    Each loss counts 1 / (T p_t), so that the mean stays that over uniform t, while it varies less [Nichol 2021 section 3.3]. The draws are spread.
    """

    needs_losses = True

    def __init__(self, num_timesteps: int, seed: int) -> None:
        super().__init__(num_timesteps, seed, spread=True)
        self.losses = torch.zeros(num_timesteps, HISTORY)
        self.seen = torch.zeros(num_timesteps, dtype=torch.int64)

    @property
    def is_warm(self) -> bool:
        """Whether every timestep has its history."""
        return bool((self.seen >= HISTORY).all())

    def probabilities(self) -> Tensor:
        """p_t, (T,) float64, positive, summing to 1."""
        size = self.losses.double().square().mean(dim=1).sqrt()
        even = torch.full_like(size, 1 / self.num_timesteps)
        if not self.is_warm or not size.sum() > 0:
            return even
        return (1 - UNIFORM_SHARE) * size / size.sum() + UNIFORM_SHARE * even

    def _at(self, uniform: Tensor) -> tuple[Tensor, Tensor]:
        probability = self.probabilities()
        t = torch.searchsorted(probability.cumsum(0), uniform, right=True).clamp(max=self.num_timesteps - 1)
        return t, (1 / (self.num_timesteps * probability[t])).float()

    def update(self, t: Tensor, losses: Tensor) -> None:
        """Take note of a step's losses, of the whole batch on every process; (G,) each, in any order. Losses that are no numbers are left out.

        This looks at the losses and so waits for the device: the price of choosing timesteps by them.
        """
        t, losses = t.cpu(), losses.detach().cpu().float()
        t, losses = t[losses.isfinite()], losses[losses.isfinite()]
        # One order, whichever process had which image: by loss, then by timestep.
        by_loss = losses.argsort(stable=True)
        order = by_loss[t[by_loss].argsort(stable=True)]
        t, losses = t[order], losses[order]
        count = torch.bincount(t, minlength=self.num_timesteps)
        turn = torch.arange(len(t)) - (count.cumsum(0) - count)[t]
        kept = turn >= (count[t] - HISTORY)
        self.losses[t[kept], (self.seen[t] + turn)[kept] % HISTORY] = losses[kept]
        self.seen += count

    def state_tensors(self) -> dict[str, Tensor]:
        return {"losses": self.losses, "seen": self.seen}

    def load_state_tensors(self, tensors: dict[str, Tensor]) -> None:
        if "losses" not in tensors or "seen" not in tensors:
            raise ConfigError("the checkpoint has no history of losses, its run drew timesteps without: resume with the timestep_sampling it had")
        if tensors["losses"].shape != self.losses.shape or tensors["seen"].shape != self.seen.shape:
            raise ConfigError(
                f"the checkpoint's history of losses is for {tensors['seen'].numel()} timesteps, this chain has {self.num_timesteps}: "
                "resume with the num_train_timesteps it had"
            )
        self.losses, self.seen = tensors["losses"].float().clone(), tensors["seen"].long().clone()


def make_sampler(config: TrainConfig, num_timesteps: int) -> TimestepSampler:
    """The sampler that config.timestep_sampling names, for a chain of T steps."""
    if config.timestep_sampling == "loss_aware":
        return LossAwareSampler(num_timesteps, config.seed)
    return TimestepSampler(num_timesteps, config.seed, spread=config.timestep_sampling == "stratified")
