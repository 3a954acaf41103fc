"""One noise through several samplers in the same few steps: the ancestral chain beside diffusers' DDIM and DPM-Solver++ (row N8). Runs the model."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from ddpm_space import figures
from ddpm_space.coupling import PathNoise
from ddpm_space.errors import TextError
from ddpm_space.models import LoadedModel
from ddpm_space.samplers import SAMPLERS, walk
from ddpm_space.sampling import image_generator
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.labs.step_counts import timed
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.widgets import Payload

OFFERED = {"ddpm": "ddpm-small", "analytic": "ddpm-analytic", "sde": "sde-dpm-solver++", "ddim": "ddim", "dpm": "dpm-solver++"}
"""The rows by the page's words, in this order; the page's last one is the first of these over the whole chain."""

STEPS = ("5", "10", "20", "50")
MAX_IMAGES = 8
FRAME_SECONDS = 0.15
RUN_SECONDS = 300
"""Longest run; rows that are not finished by then are left out."""

SAMPLER_ERRORS = {"error.samplers.none": "No row to compute: choose at least one sampler."}


class SamplersError(TextError):
    """No sampler was chosen; `key` is one of SAMPLER_ERRORS."""

    templates = SAMPLER_ERRORS


def run(model: ModelSlot, asked: Asked) -> Iterator[Payload]:
    """Stream the rows, each with its time and its network calls; all begin from the same x_T, and those that add noise share it.

    A sampler that needs the model's posterior variance is left out where there is none, and named; so is DDIM where it has no such steps.
    """
    loaded = model.get(asked)
    longest = len(loaded.denoiser.schedule)
    steps = min(int(asked.choice("steps", STEPS)), longest)
    chosen = [word for word in OFFERED if asked.flag(word)]
    there = [word for word in chosen if SAMPLERS[OFFERED[word]].problem(loaded.denoiser, steps) is None]
    runs = [*((word, steps) for word in there), *([("ddpm", longest)] if asked.flag("whole") else [])]
    images, seed = asked.whole("images", 1, MAX_IMAGES), asked.whole("seed", 0, MAX_SEED)
    if not chosen and not runs:
        raise SamplersError("error.samplers.none")
    rows: list[Payload] = []
    about = {"T": longest, "left_out": [word for word in chosen if word not in there], "limit": None}
    begun, sent = time.perf_counter(), 0.0
    for word, count in runs:
        row, seconds = {"sampler": word, "steps": count}, 0.0
        x_T, noise = shared_noise(loaded, images, seed)
        for step, spent in timed(walk(loaded.denoiser, x_T, SAMPLERS[OFFERED[word]], count, noise)):
            seconds += spent
            if time.perf_counter() - begun > RUN_SECONDS:
                yield {**about, "rows": rows, "now": None, "limit": RUN_SECONDS, "done": True}
                return
            if step.index < step.total - 1 and time.perf_counter() - sent > FRAME_SECONDS:
                guess = loaded.denoiser.convert(step.output, step.x_t, torch.tensor(step.t).expand(images)).x_0_hat
                yield {**about, "rows": rows, "now": {**row, "index": step.index, "t": step.t, "pictures": figures.pictures(guess)}}
                sent = time.perf_counter()
        # Some solvers visit a timestep twice: calls are counted, not taken from what was asked.
        rows = [*rows, {**row, "calls": step.total, "seconds": seconds - noise.surplus(count), "pictures": figures.pictures(step.x_prev)}]
        yield {**about, "rows": rows, "now": None, "done": len(rows) == len(runs)}
    if not runs:
        yield {**about, "rows": rows, "now": None, "done": True}


def shared_noise(loaded: LoadedModel, images: int, seed: int) -> tuple[Tensor, PathNoise]:
    """x_T and the noise on the way. Image i of a seed has noise of its own, the same in every row: over all T steps, that of the film above."""
    generators = [image_generator(seed, index) for index in range(images)]
    draw = lambda: torch.cat([torch.randn((1, *loaded.shape), generator=generator) for generator in generators])  # noqa: E731
    return draw().to(loaded.device), PathNoise(loaded.denoiser.schedule, draw)
