"""The same picture in 10, 50, 250 and 1000 steps, driven by one noise or sharing x_T alone (row N8). Runs the model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeVar

from torch import Tensor

from ddpm_space import figures
from ddpm_space.coupling import coupled_sample
from ddpm_space.errors import TextError
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.labs.clipping import largest, rms
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.widgets import Payload

MAX_IMAGES = 6
COUNTS = (10, 50, 250, 1000)
SHARED = ("path", "start")
"""What the rows share: the whole noise, or x_T alone."""

Step = TypeVar("Step")

FRAME_SECONDS = 0.15
RUN_SECONDS = 300
"""Longest run; rows that are not finished by then are left out."""

STEP_ERRORS = {"error.steps.none": "No row to compute: choose at least one number of steps up to {highest}, which is this model's T."}


class StepsError(TextError):
    """No number of steps that the model can take; `key` is one of STEP_ERRORS."""

    templates = STEP_ERRORS


def run(model: ModelSlot, asked: Asked) -> Iterator[Payload]:
    """Stream the rows, few steps first, each with its time, its network calls and its distance from the finest one."""
    loaded = model.get(asked)
    longest = len(loaded.denoiser.schedule)
    chosen = [count for count in COUNTS if asked.flag(f"s{count}")]
    counts = [count for count in chosen if count <= longest]
    if not counts:
        raise StepsError("error.steps.none", highest=longest)
    shared, clip = asked.choice("shared", SHARED), asked.flag("clip")
    images, seed = asked.whole("images", 1, MAX_IMAGES), asked.whole("seed", 0, MAX_SEED)
    rows: list[Payload] = []
    results: list[Tensor] = []
    about = {"T": longest, "shared": shared, "left_out": [count for count in chosen if count > longest], "limit": None}
    begun, sent = time.perf_counter(), 0.0
    for count in counts:
        seconds = 0.0
        chain = coupled_sample(
            loaded.denoiser, loaded.shape, count, num_images=images, seed=seed, clip=clip, coupled=shared == "path", device=loaded.device
        )
        for step, spent in timed(chain):
            seconds += spent
            if time.perf_counter() - begun > RUN_SECONDS:
                yield {**about, "rows": rows, "now": None, "limit": RUN_SECONDS, "done": True}
                return
            if step.s >= 0 and time.perf_counter() - sent > FRAME_SECONDS:
                now = {"steps": count, "index": step.index, "t": step.t, "pictures": figures.pictures(step.x_0_hat)}
                yield {**about, "rows": rows, "now": now}
                sent = time.perf_counter()
        results.append(step.x_prev)
        rows.append({"steps": count, "calls": count, "seconds": seconds, "pictures": figures.pictures(step.x_prev)})
        rows = compared(rows, results)
        yield {**about, "rows": rows, "now": None, "done": count == counts[-1]}


def timed(steps: Iterator[Step]) -> Iterator[tuple[Step, float]]:
    """Each step with the seconds it took to compute; how long the browser takes with it is not counted."""
    while True:
        start = time.perf_counter()
        step = next(steps, None)
        if step is None:
            return
        yield step, time.perf_counter() - start


def compared(rows: list[Payload], results: list[Tensor]) -> list[Payload]:
    """Say of each row how far its pictures are from those of the finest row so far: root mean square, and the largest pixel."""
    finest = results[-1]
    return [{**row, "rms": rms(x_0 - finest), "max": largest(x_0 - finest)} for row, x_0 in zip(rows, results)]
