"""A picture, a schedule and a noise (rows N3, N5, N6): what the page mixes x_t from for every t, and what the chain's end still knows (N8).

The other labs of the picture read it, the chain and t from the same question: `picture_of`, `chain_of`, `step_of`.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from ddpm_space import figures
from ddpm_space.noising import compare_routes, noise_image
from ddpm_space.notes.elbo import bits_per_dim, prior_kl
from ddpm_space.schedule import SCHEDULES, NoiseSchedule
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.widgets import Payload

VIEWS: dict[str, tuple[Literal[1, 3], int]] = {
    "gray_28": (1, 28),
    "gray_64": (1, 64),
    "gray_256": (1, 256),
    "colour_64": (3, 64),
    "colour_128": (3, 128),
    "colour_256": (3, 256),
}
"""How a picture is read: channels and size."""

LENGTHS = (1000, 200, 50)
"""The T to choose from; the short ones show what too few steps for the beta range do."""

ENDED = ("linear", "scaled_linear", "sigmoid")
"""Schedules that run from a beta_1 to a beta_T of one's own; the others follow from T alone."""

ENDS = (1e-5, 0.5)
"""The smallest and the largest beta that a visitor may set."""

DRAWS = 64


def picture_of(asked: Asked) -> Tensor:
    """Read the picture as it is asked for: (1, C, H, W) in [-1, 1]."""
    return asked.picture(*VIEWS[asked.choice("view", VIEWS)])


def chain_of(asked: Asked) -> NoiseSchedule:
    """Make the chain: `schedule` and `T`, and where the schedule has them the endpoints `beta_1` and `beta_T`."""
    name = asked.choice("schedule", SCHEDULES)
    length = int(asked.choice("T", [str(length) for length in LENGTHS]))
    ends = {"beta_start": asked.number("beta_1", *ENDS), "beta_end": asked.number("beta_T", *ENDS)} if name in ENDED else {}
    return NoiseSchedule.make(name, length, **ends)


def seed_of(asked: Asked) -> int:
    """Take the seed of the noise."""
    return asked.whole("seed", 0, MAX_SEED)


def answer(asked: Asked) -> Payload:
    """Pack x_0, eps and the chain's table; L_T in bits/dim, for this picture."""
    schedule, x_0 = chain_of(asked), picture_of(asked)
    payload = figures.noised(noise_image(x_0, schedule, 0, seed=seed_of(asked)), schedule)
    nats = prior_kl(x_0.double(), schedule.alpha_bar[-1]).sum()
    payload["L_T"] = float(bits_per_dim(nats, x_0.numel()))
    return payload


def answer_routes(asked: Asked) -> Payload:
    """Measure single steps against one jump for this picture and t."""
    schedule = chain_of(asked)
    t = asked.whole("t", 0, len(schedule) - 1)
    return figures.routes(compare_routes(picture_of(asked), schedule, t, draws=DRAWS, seed=seed_of(asked)))
