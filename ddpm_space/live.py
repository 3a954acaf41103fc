"""A small network trained while one watches: on a known world, with the notes' loss, as a generator of records.

The network is a multilayer perceptron that sees x_t and its log SNR. A world is known, so every x_0 is new, the loss of a step is that of data never
seen, and the loss that no network can go below is known too.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from ddpm_space.denoiser import PREDICTION_TYPES, Denoiser
from ddpm_space.exact import Estimate, ExactDistribution, bayes_floor, exact_denoiser
from ddpm_space.notes.elbo import simple_loss
from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.schedule import NoiseSchedule

STEPS_A_RECORD = 25
FREQUENCIES = 8
GAIN = 1.4
LARGEST_LOG_SNR = 10.0
CHUNK = 10_000
"""Draws that are judged at a time."""


@dataclass(frozen=True)
class LiveSettings:
    """What is trained and how.

    Args:
        steps: of the optimizer, whose rate falls to 0 over them; batch: fresh draws of (x_0, t, eps) a step.
        width, depth: of the hidden layers; learning_rate: the largest; ema: share of the averaged weights that a step keeps.
        prediction_type: what the network's output means; the loss is that of eps_theta in any case.
        seed: decides weights, data, t and noise.
    Raises:
        ValueError: an unknown prediction type.
    """

    steps: int = 2500
    batch: int = 512
    width: int = 128
    depth: int = 3
    learning_rate: float = 3e-3
    ema: float = 0.995
    prediction_type: str = "v_prediction"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.prediction_type not in PREDICTION_TYPES:
            raise ValueError(f"unknown prediction type '{self.prediction_type}': use one of {', '.join(PREDICTION_TYPES)}")


class PlaneNetwork(nn.Module):
    """A multilayer perceptron of (x_t, t): x_t (B, D), t int64 (B,) -> (B, D)."""

    embedding: Tensor

    def __init__(self, schedule: NoiseSchedule, settings: LiveSettings, dims: int, generator: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("embedding", time_features(schedule), persistent=False)
        sizes = [dims + self.embedding.shape[1], *[settings.width] * settings.depth]
        hidden = [layer for pair in pairwise(sizes) for layer in (skip_init(nn.Linear, *pair), nn.SiLU())]
        self.layers = nn.Sequential(*hidden, skip_init(nn.Linear, sizes[-1], dims))
        # Drawn here: the constructors would take their numbers from the generator that all of the process shares.
        with torch.no_grad():
            for layer in self.layers:
                if isinstance(layer, nn.Linear):
                    bound = GAIN * math.sqrt(3 / layer.in_features)
                    layer.weight.uniform_(-bound, bound, generator=generator)
                    layer.bias.uniform_(-bound, bound, generator=generator)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        return self.layers(torch.cat([x_t, self.embedding[t]], dim=1))


class LiveRecord(NamedTuple):
    """The state after `step` of `total` steps; `loss` is L_simple over the draws since the record before, of the weights as they changed.

    `denoiser` holds the averaged weights, and goes on changing with the next record.
    """

    step: int
    total: int
    loss: Estimate
    denoiser: Denoiser


class Judged(NamedTuple):
    """L_simple of a network and of the perfect one, averaged over t, on the same `draws`; `excess` is their difference, draw by draw."""

    loss: Estimate
    floor: Estimate
    excess: Estimate
    draws: int

    @property
    def above(self) -> float:
        """By how much of the floor the network is above it."""
        return float(self.excess.value / self.floor.value)


def time_features(schedule: NoiseSchedule) -> Tensor:
    """What the network is told of t: its log SNR, scaled, and sines and cosines of it: (T, 1 + 2 FREQUENCIES) float32."""
    log_snr = torch.logit(schedule.alpha_bar).clamp(-LARGEST_LOG_SNR, LARGEST_LOG_SNR) / LARGEST_LOG_SNR
    angle = log_snr[:, None] * (math.pi / 2 * torch.arange(1, FREQUENCIES + 1))
    return torch.cat([2 * log_snr[:, None], angle.sin(), angle.cos()], dim=1).float()


def train_live(world: ExactDistribution, schedule: NoiseSchedule, settings: LiveSettings) -> Iterator[LiveRecord]:
    """Train a network on a world by algorithm 1, with L_simple [N8; Ho 2020 algorithm 1, eq. 14].

    Args:
        world: of vectors, shape (D,); schedule: the chain whose t are trained, each as often as the others.
    Yields:
        a LiveRecord every STEPS_A_RECORD steps, and at the last one. Equal settings give equal records on one machine with one thread.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    network = PlaneNetwork(schedule, settings, world.num_dims, generator)
    averaged = copy.deepcopy(network).requires_grad_(False)
    denoiser = Denoiser(network, settings.prediction_type, schedule)
    shown = Denoiser(averaged, settings.prediction_type, schedule)
    pairs = list(averaged.parameters()), list(network.parameters())
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)
    losses: list[Tensor] = []
    for step in range(1, settings.steps + 1):
        with torch.enable_grad():
            loss = _loss(denoiser, *_drawn(world, schedule, settings.batch, generator))
            optimizer.param_groups[0]["lr"] = settings.learning_rate * rate(step / settings.steps)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
        optimizer.step()
        # Early on the average follows quickly: what the first steps knew is worth little.
        keep = min(settings.ema, step / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(pairs[0], [own.detach() for own in pairs[1]], 1 - keep)
        losses.append(loss.detach())
        if step % STEPS_A_RECORD == 0 or step == settings.steps:
            found = torch.stack(losses).double()
            losses = []
            spread = found.std() / len(found) ** 0.5 if len(found) > 1 else torch.full((), torch.nan, dtype=torch.float64)
            yield LiveRecord(step, settings.steps, Estimate(found.mean(), spread), shown)


def rate(share: float) -> float:
    """The learning rate, as a share of its largest, once `share` of the steps are done: a short rise, then a half cosine down to 0."""
    rise = 0.02
    return min(1.0, share / rise) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def average_floor(world: ExactDistribution, schedule: NoiseSchedule, *, samples: int = 32, seed: int = 0) -> Estimate:
    """The Bayes floor of L_simple averaged over all t of the schedule, from `samples` exact draws of x_t at each [N8]."""
    floor = bayes_floor(world, schedule.alpha_bar, samples=samples, generator=torch.Generator().manual_seed(seed))
    return Estimate(floor.value.mean(), (floor.standard_error**2).sum().sqrt() / len(schedule))


def judge(denoiser: Denoiser, world: ExactDistribution, *, draws: int = 100_000, seed: int = 0) -> Judged:
    """Measure a network against the perfect one on fresh draws, spread evenly over all t.

    Args:
        draws: of (x_0, t, eps), at least 2; the same for both networks.
    """
    generator = torch.Generator().manual_seed(seed)
    perfect = exact_denoiser(world, denoiser.schedule)
    found: list[tuple[Tensor, Tensor]] = []
    with torch.inference_mode():
        for start in range(0, draws, CHUNK):
            x_t, t, eps = _drawn(world, denoiser.schedule, min(CHUNK, draws - start), generator)
            found.append((_errors(denoiser, x_t, t, eps), _errors(perfect, x_t, t, eps)))
    own, best = (torch.cat(parts).double() for parts in zip(*found))
    loss, floor, excess = (Estimate(values.mean(), values.std() / draws**0.5) for values in (own, best, own - best))
    return Judged(loss, floor, excess, draws)


def _drawn(world: ExactDistribution, schedule: NoiseSchedule, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """x_t (B, D), t (B,) and eps (B, D), with t spread evenly over the chain: each equally likely, and the batches alike."""
    x_0 = world.sample(count, generator=generator).float()
    place = (torch.arange(count) + torch.rand((), generator=generator)) / count
    t = (place * len(schedule)).long().clamp(max=len(schedule) - 1)
    eps = torch.randn(x_0.shape, generator=generator)
    return q_cumulative_sample(x_0, schedule.alpha_bar[t], eps=eps), t, eps


def _errors(denoiser: Denoiser, x_t: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    return simple_loss(eps, denoiser.predict(x_t, t).eps_theta)


def _loss(denoiser: Denoiser, x_t: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    return _errors(denoiser, x_t, t, eps).mean()
