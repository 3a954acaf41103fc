"""Eq. (11) against x_0 first and then the posterior, with and without clipping, on one noise (row N8). Runs the model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from torch import Tensor

from ddpm_space import figures
from ddpm_space.mean_routes import ROUTES, MeansStep, compare_means
from ddpm_space.sampling import VARIANCES, SamplingSettings
from ddpm_space.ui import gpu
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.widgets import Payload

MAX_IMAGES = 9
STEPS = ("50", "100", "250")
FRAME_SECONDS = 0.15
RUN_SECONDS = 300
"""Longest run; the one who waits behind it waits no longer than this."""


def run(model: ModelSlot, asked: Asked) -> Iterator[Payload]:
    """Stream the three chains and how far they are apart at each t."""
    loaded = model.get(asked)
    longest = len(loaded.denoiser.schedule)
    settings = SamplingSettings(
        num_images=asked.whole("images", 1, MAX_IMAGES),
        num_steps=min(int(asked.choice("steps", STEPS)), longest),
        variance_type=asked.choice("variance", VARIANCES),
        seed=asked.whole("seed", 0, MAX_SEED),
        num_train_timesteps=longest,
    )
    arrived: list[Payload] = []
    begun, sent = time.perf_counter(), 0.0
    for step in gpu.steps(compare_means, loaded, settings, calls=settings.num_steps, batch=len(ROUTES) * settings.num_images):
        arrived.append(measured(step))
        late = time.perf_counter() - begun > RUN_SECONDS and step.s >= 0
        done = late or step.s < 0
        if not done and time.perf_counter() - sent < FRAME_SECONDS:
            continue
        sent = time.perf_counter()
        yield {
            **{"index": step.index, "total": step.total, "t": step.t, "s": step.s, "T": longest},
            "pictures": {route: figures.pictures(x) for route, x in step.x_prev.items()},
            "difference": figures.array(step.x_prev["clipped"] - step.x_prev["eq11"], "float32"),
            "series": {name: figures.array(column(arrived, name), "float64") for name in arrived[0]},
            "residual": max(row["residual"] for row in arrived),
            "limit": RUN_SECONDS if late else None,
            "done": done,
        }
        if done:
            return


def measured(step: MeansStep) -> Payload:
    """How far the chains are apart after a step, and what clipping added to the mean in it alone: over all pixels of all images."""
    eq11, posterior, clipped = (step.x_prev[route] for route in ("eq11", "posterior", "clipped"))
    return {
        "t": float(step.t),
        "rounding": largest(posterior - eq11),
        "apart_max": largest(clipped - eq11),
        "apart_rms": rms(clipped - eq11),
        "step_max": largest(step.added),
        "step_rms": rms(step.added),
        "outside": step.outside,
        "residual": step.residual,
    }


def column(rows: Sequence[Payload], name: str) -> list[float]:
    """One quantity of every step."""
    return [row[name] for row in rows]


def largest(x: Tensor) -> float:
    """The largest absolute value."""
    return float(x.abs().max())


def rms(x: Tensor) -> float:
    """The root of the mean square."""
    return float(x.double().square().mean().sqrt())
