"""A small network that is trained while one watches (row N8): its loss against the Bayes floor, and its particles beside the exact ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from ddpm_space.denoiser import PREDICTION_TYPES, Denoiser
from ddpm_space.exact import Estimate, exact_denoiser
from ddpm_space.figures import array
from ddpm_space.live import LiveRecord, LiveSettings, average_floor, judge, train_live
from ddpm_space.mistakes.processes import denoise
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.labs.plane import FRESH_SEED, distance
from ddpm_space.ui.plane_world import REACH, chain_of, described, points_of, world_of
from ddpm_space.ui.widgets import Payload

TRAINING: dict[str, Any] = {"concurrency_id": "training", "concurrency_limit": 1}
"""One visitor trains at a time, and nobody else's run waits for it."""

THREAD = "live-network"
"""What the threads of runs are called."""

LIMIT_SECONDS = 30.0
FRAME_SECONDS, SAMPLES_SECONDS = 0.25, 1.0
"""Least time between two payloads, and between two drawings of samples."""

WIDTHS = ("32", "64", "128")
LENGTHS = ("500", "2500", "6000")
PARTICLES, STEPS = 500, 50
FINAL_DRAWS = 100_000


def run(asked: Asked) -> Iterator[Payload]:
    """Train on the world of the plane's lab and stream how it goes; LIMIT_SECONDS after the start it ends with what it has."""
    world, schedule, seed = world_of(asked), chain_of(asked), asked.whole("seed", 0, MAX_SEED)
    settings = LiveSettings(
        steps=int(asked.choice("length", LENGTHS)),
        width=int(asked.choice("width", WIDTHS)),
        prediction_type=asked.choice("prediction", PREDICTION_TYPES),
        seed=seed,
    )
    fresh = world.sample(PARTICLES, generator=torch.Generator().manual_seed(FRESH_SEED + seed))
    with ThreadPoolExecutor(1, THREAD, initializer=_one_thread) as worker:
        start = time.perf_counter()
        floor = worker.submit(average_floor, world, schedule, seed=seed).result()
        exact = worker.submit(particles, exact_denoiser(world, schedule), seed).result()
        state: Payload = {
            **{"world": described(world), "points": array(points_of(world), "float32"), "floor": estimate(floor)},
            **{"exact": array(exact, "float32"), "exact_distance": distance(exact, fresh), "T": len(schedule), "reach": REACH},
            **{"step": 0, "total": settings.steps, "seconds": 0.0, "limit": LIMIT_SECONDS, "curve": None, "samples": None, "judged": None},
        }
        yield state
        records: list[LiveRecord] = []
        training, sent, drawn = train_live(world, schedule, settings), 0.0, 0.0
        while (seconds := time.perf_counter() - start) < LIMIT_SECONDS:
            record = worker.submit(next, training, None).result()
            if record is None:
                break
            records.append(record)
            if seconds - sent < FRAME_SECONDS:
                continue
            if seconds - drawn > SAMPLES_SECONDS or drawn == 0.0:
                drawn = seconds
                state = state | worker.submit(shown, record, seed, exact, fresh).result()
            sent = seconds
            yield state | progress(records, seconds)
        if records:
            state = state | worker.submit(shown, records[-1], seed, exact, fresh).result()
            judged = worker.submit(judge, records[-1].denoiser, world, draws=FINAL_DRAWS, seed=FRESH_SEED + seed).result()
            found = {"loss": estimate(judged.loss), "floor": estimate(judged.floor), "excess": estimate(judged.excess)}
            state = state | {"judged": {**found, "above": judged.above, "draws": judged.draws}}
        yield state | progress(records, min(seconds, LIMIT_SECONDS)) | {"done": True}


def particles(denoiser: Denoiser, seed: int) -> Tensor:
    """Draw particles by algorithm 2; the same seed gives every network the same noise: (PARTICLES, 2)."""
    *_, last = denoise(denoiser, (2,), num_samples=PARTICLES, num_steps=STEPS, seed=seed)
    return last.x_s


def shown(record: LiveRecord, seed: int, exact: Tensor, fresh: Tensor) -> Payload:
    """Draw what the network draws now, and say how far that is from fresh data, and from the exact particles of the same noise."""
    samples = particles(record.denoiser, seed)
    apart = (samples - exact).norm(dim=1)
    return {
        "samples": array(samples, "float32"),
        "samples_step": record.step,
        "distance": distance(samples, fresh),
        "apart": {"value": float(apart.mean()), "se": float(apart.std() / len(apart) ** 0.5)},
    }


def progress(records: list[LiveRecord], seconds: float) -> Payload:
    """The loss of every record so far."""
    if not records:
        return {"seconds": seconds}
    curve = {"step": array([float(one.step) for one in records], "float64"), "loss": array([float(one.loss.value) for one in records], "float64")}
    return {"step": records[-1].step, "seconds": seconds, "curve": curve}


def estimate(found: Estimate) -> Payload:
    """Pack a value with its standard error."""
    return {"value": float(found.value), "se": float(found.standard_error)}


def _one_thread() -> None:
    """Let this thread compute alone, and leave the number of threads of all others, also of those that are yet to start, as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    # The number also holds for threads that begin later: another one, which then ends, puts that back.
    restoring = threading.Thread(target=torch.set_num_threads, args=(before,))
    restoring.start()
    restoring.join()
