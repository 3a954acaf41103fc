"""The classic mistakes (rows N5 to N8): one formula wrong, the same noise, the damage in pictures and numbers, both codes, and the check, run now."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ddpm_space.exact import ExactDistribution, GaussianData, PointSet, exact_denoiser
from ddpm_space.figures import array
from ddpm_space.mistakes import MISTAKES, RIGHT, Formulas, Mistake, add_noise, denoise
from ddpm_space.mistakes.apart import caught_apart
from ddpm_space.mistakes.damage import energy_distances, mean_and_error
from ddpm_space.notes.equations import EQUATIONS
from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.labs.plane import FRESH_SEED
from ddpm_space.ui.widgets import Payload

CHECKING: dict[str, Any] = {"concurrency_id": "checking", "concurrency_limit": 1}
"""A check with a mistake planted runs in a process of its own; one at a time."""

NONE = "none"
CHOICES = (NONE, *MISTAKES)
WORLDS = ("suited", "roll", "cloud")
PARTICLES, GROUPS, DRAWN = 1000, 20, 500
"""Every number counts all particles; the first DRAWN of them are drawn."""

BOX = (-2.2, 2.8)
"""What is shown of each axis."""

STEPS = {"prior_never_reached": 20}
MOST_STEPS = 50
FORWARD_FRAMES = 40
FORWARD_ABAR = 0.4
"""Where the damage of noising is measured: the image is half gone there, and at the end every x_t is noise."""

SUITED = {name: "cloud" for name in ("std_as_variance", "prior_never_reached", "missing_root", "variance_as_std_forward")}
"""The world that shows a mistake best; points pull every particle in, however wrong it was, and a cloud does not."""

NEAREST = ("off_by_one", "noise_at_the_last_step")
"""Mistakes that leave the law almost right and every particle beside its point: their damage is the distance from the nearest one."""


class Run(NamedTuple):
    """A process: its frames (F, N, 2), the abar of each, and which frame the damage is measured at."""

    frames: list[Tensor]
    alpha_bars: list[float]
    judged: int


def answer(asked: Asked) -> Payload:
    """Run the right and the wrong process with the same noise and compare both with the law that they should have.

    Returns:
        frames of both (F, N, 2); their energy distance from exact draws of q_t at every frame; at the judged frame each with its standard error,
        and the difference; the words and codes of the mistake. `none` has no wrong side.
    """
    name, seed = asked.choice("mistake", CHOICES), asked.whole("seed", 0, MAX_SEED)
    mistake = MISTAKES.get(name)
    chosen = asked.choice("world", WORLDS)
    place = SUITED.get(name, "roll") if chosen == "suited" else chosen
    world, schedule = world_of(place), NoiseSchedule.linear(1000)
    right = run(mistake, RIGHT, world, schedule, seed)
    truth = [exact_draws(world, alpha_bar, seed, k) for k, alpha_bar in enumerate(right.alpha_bars)]
    payload: Payload = {
        "mistake": name,
        "world": place,
        "process": mistake.process if mistake else "reverse",
        "points": array(world.points if isinstance(world, PointSet) else world.sample(300, generator=torch.Generator().manual_seed(0)), "float32"),
        "alpha_bar": array(right.alpha_bars, "float64"),
        "judged": right.judged,
        "steps": len(right.frames) - 1,
        "particles": PARTICLES,
        "right": side(right, truth, world),
        "wrong": None,
    }
    if mistake is None:
        return payload
    wrong = run(mistake, mistake.formulas, world, schedule, seed)
    last = right.judged
    measure = "nearest" if mistake.id in NEAREST and isinstance(world, PointSet) else "distance"
    if measure == "nearest":
        far = [nearest(one.frames[last], world) for one in (wrong, right)]
    else:
        far = [energy_distances(one.frames[last], truth[last], groups=GROUPS) for one in (wrong, right)]
    return {
        **payload,
        "wrong": side(wrong, truth, world),
        "measure": measure,
        "damage": numbers(far[0] - far[1]),
        "reason": {"zh-CN": mistake.zh, "en": mistake.en},
        "member": mistake.member,
        "codes": {"right": source(getattr(RIGHT, mistake.member)), "wrong": source(mistake.wrong)},
        "equations": list(mistake.equations),
    }


def check(asked: Asked) -> Iterator[Payload]:
    """Run the checks that must notice the mistake: here with the right formula, and in another process with the wrong one."""
    mistake = MISTAKES[asked.choice("mistake", tuple(MISTAKES))]
    rows: list[Payload] = []
    state: Payload = {"mistake": mistake.id, "rows": rows, "total": len(mistake.equations)}
    yield state
    for found in caught_apart(mistake.id):
        right = EQUATIONS[found.equation_id].check()
        finite = found.error if found.error < float("inf") else None
        rows.append(
            {
                **{"id": found.equation_id, "right": right.error, "right_tolerance": right.tolerance, "right_passed": right.passed},
                **{"wrong": finite, "wrong_tolerance": found.tolerance, "caught": found.error > found.tolerance},
            }
        )
        yield state
    yield {**state, "done": True}


def world_of(name: str) -> ExactDistribution:
    """A swiss roll off the centre, as pictures on a dark ground are; or one narrow Gaussian there."""
    if name == "roll":
        return PointSet(0.8 * PointSet.swiss_roll(200).points + 0.6)
    return GaussianData(torch.tensor([1.2, 1.2]), torch.tensor([0.05, 0.05]))


def run(mistake: Mistake | None, formulas: Formulas, world: ExactDistribution, schedule: NoiseSchedule, seed: int) -> Run:
    """Noise or sample by `formulas`, with the options under which the mistake shows."""
    if mistake is not None and mistake.process == "forward":
        return _noised(mistake, formulas, world, schedule, seed)
    steps = STEPS.get(mistake.id, MOST_STEPS) if mistake else MOST_STEPS
    options: dict[str, Any] = {"variance_type": mistake.variance_type, "shorten": mistake.shorten} if mistake else {}
    frames = list(denoise(exact_denoiser(world, schedule), (2,), num_samples=PARTICLES, num_steps=steps, formulas=formulas, seed=seed, **options))
    if options.get("shorten"):
        beta = RIGHT.shortened_betas(schedule.beta, steps)
        alpha_bar_t, _ = RIGHT.chain_alpha_bars(beta, torch.arange(steps - 1, -1, -1))
    else:
        alpha_bar_t = schedule.alpha_bar_at(torch.tensor([frame.t for frame in frames]))
    return Run([*(frame.x_t for frame in frames), frames[-1].x_s], [*alpha_bar_t.tolist(), 1.0], len(frames))


def _noised(mistake: Mistake, formulas: Formulas, world: ExactDistribution, schedule: NoiseSchedule, seed: int) -> Run:
    x_0 = world.sample(PARTICLES, generator=torch.Generator().manual_seed(seed)).float()
    judged = int((schedule.alpha_bar - FORWARD_ABAR).abs().argmin())
    kept = sorted({*range(0, len(schedule), len(schedule) // FORWARD_FRAMES), judged, len(schedule) - 1})
    # Single steps where one step is wrong, the jump where the jump is.
    route = "walked" if mistake.member == "q_step_sample" else "jumped"
    noised = [getattr(frame, route) for frame in add_noise(x_0, schedule, formulas=formulas, seed=seed) if frame.t in kept]
    return Run([x_0, *noised], [1.0, *(float(schedule.alpha_bar[t]) for t in kept)], kept.index(judged) + 1)


def exact_draws(world: ExactDistribution, alpha_bar: float, seed: int, frame: int) -> Tensor:
    """Draw from q_t itself, apart from every process: (PARTICLES, 2)."""
    generator = torch.Generator().manual_seed(FRESH_SEED + MAX_SEED * (frame + 1) + seed)
    return q_cumulative_sample(world.sample(PARTICLES, generator=generator), alpha_bar, generator=generator)


def side(found: Run, truth: list[Tensor], world: ExactDistribution) -> Payload:
    """Pack a process: its frames, how far each is from the law it should have, and how far the judged one is from the nearest point."""
    far = [energy_distances(frame, draws, groups=GROUPS) for frame, draws in zip(found.frames, truth)]
    judged = found.frames[found.judged]
    outside = (~((judged >= BOX[0]) & (judged <= BOX[1])).all(dim=1)).double().mean()
    payload = {
        "frames": array(torch.stack(found.frames)[:, :DRAWN], "float32"),
        "far": array([float(one.mean()) for one in far], "float64"),
        "distance": numbers(far[found.judged]),
        "outside": float(outside),
        "nearest": None,
    }
    if isinstance(world, PointSet) and found.alpha_bars[found.judged] == 1:
        payload["nearest"] = numbers(nearest(judged, world))
    return payload


def nearest(x: Tensor, world: ExactDistribution) -> Tensor:
    """How far each particle is from the nearest point of the world's: (N,)."""
    return torch.cdist(x.double(), world.components().means).amin(dim=1)


def numbers(values: Tensor) -> Payload:
    """Mean and standard error; None for what is not finite."""
    found = mean_and_error(values)
    finite = bool(torch.isfinite(found.value) & torch.isfinite(found.standard_error))
    return {"value": float(found.value) if finite else None, "se": float(found.standard_error) if finite else None}


def source(function: Any) -> str:
    """The function's code as it runs."""
    return textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
