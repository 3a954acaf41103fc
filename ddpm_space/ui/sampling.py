"""Tab 2: the model draws images. Frames stream as they are computed; the finished run can be moved through, and any of its steps opened up."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gradio as gr

from ddpm_space import figures
from ddpm_space.analytic import LAST_GREY_LEVELS
from ddpm_space.models import BUNDLED
from ddpm_space.notes.forward import beta_between
from ddpm_space.notes.reverse import beta_tilde, optimal_variance
from ddpm_space.sampling import ANALYTIC, VARIANCES, SamplingSettings, sample
from ddpm_space.spacing import OPTIMAL, TIMESTEP_SPACINGS
from ddpm_space.ui import downloads, gpu
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.labs import clipping, live, mistakes, samplers, step_counts
from ddpm_space.ui.model import Models, ModelSlot, shown_name
from ddpm_space.ui.trajectory import Trajectory
from ddpm_space.ui.visitor_models import MAX_MEGABYTES, MAX_SIDE
from ddpm_space.ui.widgets import HEAVY, Payload, answered, encode, error_payload, lab, on_run, panel, picked, streamed

MAX_IMAGES = 36
FRAME_SECONDS = 0.08
"""Least time between two frames that are sent; every step is computed whether it is sent or not."""

RUN_SECONDS = 300
"""Longest run; the one who waits behind it waits no longer than this."""

FEW_STEPS = 0.025
"""Below this share of the trained steps the page warns: one step is then too long for a Gaussian to describe it well."""

STATE_SECONDS = 1800
"""How long a visitor's last run stays in memory."""

FORGOTTEN: Payload = {"error": {"key": "error.film.forgotten", "values": {}}}
"""The page still shows a run that the server has let go, for its age or for other visitors."""

DESCRIBING = {"concurrency_id": "describe", "concurrency_limit": 8}
"""Waiting for a model is no work, and whoever runs one need not wait for who fetches another."""


def build(model: Models) -> None:
    """Lay out the tab and wire it."""
    panel("section", {}, section="sampling")
    own = shown_name(model.source)
    bundled = [f"bundled:{name}" for name in BUNDLED if f"bundled:{name}" != model.source]
    about = panel("model", None, own=own, bundled=bundled, hub=model.named.hub_allowed, megabytes=MAX_MEGABYTES, side=MAX_SIDE)
    on_run(about, lambda asked: introduce(model, asked), **DESCRIBING)

    trajectory = gr.State(None, time_to_live=STATE_SECONDS)
    film = panel("film", None, most=MAX_IMAGES)
    saved = panel("downloads", None)
    panel("section", {}, section="step")
    opened = panel("step", empty="step.empty")

    panel("section", {}, section="clipping")
    on_run(lab("clipping", most=clipping.MAX_IMAGES), lambda asked: clipping.run(model, asked))
    panel("section", {}, section="step_counts")
    on_run(lab("step_counts", counts=list(step_counts.COUNTS), most=step_counts.MAX_IMAGES), lambda asked: step_counts.run(model, asked))
    panel("section", {}, section="samplers")
    offered = {"offered": list(samplers.OFFERED), "steps": list(samplers.STEPS), "most": samplers.MAX_IMAGES}
    on_run(lab("samplers", **offered), lambda asked: samplers.run(model, asked))

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    start = lambda question: (yield from generate(model, question))  # noqa: E731
    running = film.submit(start, [film], [film, trajectory], trigger_mode="multiple", **quiet, **HEAVY)
    film.stop(halt, [trajectory], [film], cancels=[running], **quiet)
    film.select(open_up, [trajectory], [opened], trigger_mode="always_last", **quiet)
    saved.submit(save, [saved, trajectory], [saved], **quiet)

    panel("section", {}, section="plane")
    lab("plane")
    panel("section", {}, section="live")
    on_run(lab("live"), live.run, **live.TRAINING)
    panel("section", {}, section="mistakes")
    on_run(lab("mistakes"), mistakes.check, **mistakes.CHECKING)


def generate(model: ModelSlot, question: str | None) -> Iterator[tuple]:
    """Answer the button: stream frames, then the film; the trajectory fills up meanwhile and is there even after a stop."""
    values = picked(question, "asked")
    asked, kept = Asked(values if isinstance(values, dict) else {}), Trajectory()
    yield gr.skip(), kept
    for payload in frames(model, kept, asked):
        # The script tells by the number whether a payload belongs to a run that was stopped.
        yield encode({**payload, "run": asked.values.get("run")}), gr.skip()


@streamed
def frames(model: ModelSlot, kept: Trajectory, asked: Asked) -> Iterator[Payload]:
    """Sample, keep every step that fits, and send a frame now and then; a run that takes too long ends as a stopped one does."""
    loaded = model.get(asked)
    longest = len(loaded.denoiser.schedule)
    settings = SamplingSettings(
        num_images=asked.whole("images", 1, MAX_IMAGES),
        num_steps=asked.whole("steps", 1, longest),
        spacing=asked.choice("spacing", (*TIMESTEP_SPACINGS, OPTIMAL)),
        variance_type=asked.choice("variance", (*VARIANCES, ANALYTIC)),
        clip_sample=asked.flag("clip"),
        seed=asked.whole("seed", 0, MAX_SEED),
        num_train_timesteps=longest,
    )
    kept.begin(loaded.denoiser.schedule)
    sent = 0.0
    try:
        for frame in gpu.steps(sample, loaded, settings, calls=settings.num_steps, batch=settings.num_images):
            kept.add(frame)
            if kept.seconds > RUN_SECONDS:
                break
            if frame.index == 0 or time.perf_counter() - sent > FRAME_SECONDS:
                sent = time.perf_counter()
                yield {"frame": figures.frame(frame)}
    except gpu.GpuError as error:
        if error.key != "error.gpu.time" or not kept.frames:
            raise
        yield {**film_payload(kept), "limit": error.values["seconds"], "done": True}
        return
    yield {**film_payload(kept), "done": True}


def halt(kept: Trajectory | None) -> object:
    """Answer the stop button: the event is cancelled by Gradio; what there is so far becomes the film."""
    return encode({**film_payload(kept), "halted": True}) if kept is not None and kept.frames else gr.skip()


def film_payload(kept: Trajectory) -> Payload:
    """Pack what is kept of a run, which may still be taking its last step."""
    longest = len(kept.schedule)
    return {
        **figures.film(list(kept.frames)),
        "total": kept.total,
        "T": longest,
        "seconds": kept.seconds,
        "finished": kept.finished,
        "limit": RUN_SECONDS if kept.seconds > RUN_SECONDS and not kept.finished else None,
        "few": kept.total < FEW_STEPS * longest,
    }


def open_up(kept: Trajectory | None, event: gr.EventData) -> object:
    """Answer a choice of step and image in the film."""
    if kept is None:
        return encode(FORGOTTEN)
    return encode(step_payload(kept, event.position, event.image)) if kept.frames else gr.skip()


@answered
def step_payload(kept: Trajectory, position: int, image: int) -> Payload:
    """Open one step of one image, with the numbers that its formulas are made of."""
    step = kept.opened(int(position), int(image))
    alpha_bar_t, alpha_bar_s = kept.schedule.alpha_bar_at(step.t), kept.schedule.alpha_bar_at(step.s)
    return {
        **figures.reverse_step(step),
        "image": int(image),
        "alpha_bar_t": float(alpha_bar_t),
        "alpha_bar_s": float(alpha_bar_s),
        "beta_ts": float(beta_between(alpha_bar_t, alpha_bar_s)),
        "beta_tilde": float(beta_tilde(alpha_bar_t, alpha_bar_s)),
        "sigma2": step.sigma2,
        "posterior_variance": step.posterior_variance,
        "optimal": None if step.posterior_variance is None else float(optimal_variance(step.posterior_variance, alpha_bar_t, alpha_bar_s)),
        "bounded": step.bounded,
        "grey_levels": LAST_GREY_LEVELS,
    }


def save(question: str | None, kept: Trajectory | None) -> object:
    """Answer a download button."""
    values = picked(question, "asked")
    if kept is None:
        return encode(FORGOTTEN)
    if not kept.frames or not isinstance(values, dict):
        return gr.skip()
    return encode(answered(downloads.picture_file)(kept, Asked(values)))


def introduce(model: ModelSlot, asked: Asked) -> Iterator[Payload]:
    """Answer the opening of the page and the choice of a model: say which one this is, once it is there."""
    yield {**describe(model, asked), "done": True}


@answered
def describe(model: ModelSlot, asked: Asked | None = None) -> Payload:
    """Say which model this is, once it is there."""
    loaded = model.get(asked)
    return {
        "source": shown_name(loaded.source),
        "revision": loaded.revision,
        "num_parameters": loaded.num_parameters,
        "prediction_type": loaded.prediction_type,
        "learned_variance": loaded.learned_variance,
        "analytic": loaded.denoiser.posterior_variance is not None,
        "size": loaded.sample_size,
        "channels": loaded.channels,
        "T": len(loaded.denoiser.schedule),
        "schedule": loaded.denoiser.schedule.name,
        **({"note": error_payload(loaded.note)["error"]} if loaded.note else {}),
    }
