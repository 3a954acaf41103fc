"""Tab 2: the model draws images. Frames stream as they are computed; the finished run can be moved through, and any of its steps opened up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr

from ddpm_space import figures
from ddpm_space.sampling import VARIANCES, SamplingSettings, sample
from ddpm_space.spacing import TIMESTEP_SPACINGS
from ddpm_space.ui.forms import seed_box, whole_number
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.text import T
from ddpm_space.ui.trajectory import Trajectory
from ddpm_space.ui.widgets import HEAVY, Payload, answered, encode, error_payload, panel, streamed

MAX_IMAGES = 36
FRAME_SECONDS = 0.08
"""Least time between two frames that are sent; every step is computed whether it is sent or not."""

FEW_STEPS = 0.025
"""Below this share of the trained steps the page warns: one step is then too long for a Gaussian to describe it well."""

STATE_SECONDS = 1800
"""How long a visitor's last run stays in memory."""


def build(app: gr.Blocks, model: ModelSlot) -> None:
    """Lay out the tab and wire it."""
    panel("section", {}, section="sampling")
    trajectory = gr.State(None, time_to_live=STATE_SECONDS)
    with gr.Row(elem_classes=["ddpm-columns", "controls-first"]):
        with gr.Column(scale=5, min_width=320):
            film = panel("film", empty="film.empty")
        with gr.Column(scale=2, min_width=260):
            images = gr.Slider(1, MAX_IMAGES, 16, step=1, label=T("sampling.images"))
            steps = gr.Slider(1, 1000, 50, step=1, label=T("sampling.steps"), info=T("sampling.steps_info"))
            variance = gr.Dropdown([(T(f"variance.{name}"), name) for name in VARIANCES], value="fixed_small", label=T("sampling.variance"))
            spacing = gr.Dropdown([(T(f"spacing.{name}"), name) for name in TIMESTEP_SPACINGS], value="trailing", label=T("sampling.spacing"))
            clip = gr.Checkbox(True, label=T("sampling.clip"))
            seed = seed_box(T("sampling.seed"))
            with gr.Row():
                run = gr.Button(T("sampling.run"), variant="primary", min_width=100)
                stop = gr.Button(T("sampling.stop"), interactive=False, min_width=100)
            about = panel("model", empty="model.loading")
    panel("section", {}, section="step")
    opened = panel("step", empty="step.empty")

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    settings = [images, steps, variance, spacing, clip, seed]
    outputs, start = [film, trajectory, run, stop], lambda *values: (yield from generate(model, *values))
    running = run.click(start, settings, outputs, js="window.ddpm.waiting.film", **quiet, **HEAVY)
    stop.click(halt, [trajectory], [film, run, stop], cancels=[running], js="window.ddpm.stopped.film", **quiet)
    film.select(open_up, [trajectory], [opened], trigger_mode="always_last", **quiet)
    app.load(lambda: introduce(model), None, [about, steps], **quiet)


def generate(model: ModelSlot, *settings: object) -> Iterator[tuple]:
    """Answer the button: stream frames, then the film; the trajectory fills up meanwhile and is there even after a stop."""
    kept = Trajectory()
    yield gr.skip(), kept, gr.Button(interactive=False), gr.Button(interactive=True)
    for payload in frames(model, kept, *settings):
        yield encode(payload), gr.skip(), gr.skip(), gr.skip()
    yield gr.skip(), gr.skip(), gr.Button(interactive=True), gr.Button(interactive=False)


@streamed
def frames(
    model: ModelSlot, kept: Trajectory, images: float, steps: float, variance: str, spacing: str, clip: bool, seed: float
) -> Iterator[Payload]:
    """Sample, keep every step that fits, and send a frame now and then."""
    loaded = model.get()
    longest = len(loaded.denoiser.schedule)
    count, number = whole_number(images, "num_images", 1, MAX_IMAGES), whole_number(steps, "num_steps", 1, longest)
    settings = SamplingSettings(count, number, spacing, variance, clip, whole_number(seed, "seed"), longest)
    kept.begin(loaded.denoiser.schedule)
    sent = 0.0
    for frame in sample(loaded.denoiser, loaded.shape, settings, device=loaded.device):
        kept.add(frame)
        if frame.index == 0 or time.perf_counter() - sent > FRAME_SECONDS:
            sent = time.perf_counter()
            yield {"frame": figures.frame(frame)}
    yield film_payload(kept)


def halt(kept: Trajectory | None) -> tuple[object, gr.Button, gr.Button]:
    """Answer the stop button: the event is cancelled by Gradio; what there is so far becomes the film."""
    film = encode(film_payload(kept)) if kept is not None and kept.frames else gr.skip()
    return film, gr.Button(interactive=True), gr.Button(interactive=False)


def film_payload(kept: Trajectory) -> Payload:
    """Pack what is kept of a run, which may still be taking its last step."""
    longest = len(kept.schedule)
    return {
        **figures.film(list(kept.frames)),
        "total": kept.total,
        "T": longest,
        "seconds": kept.seconds,
        "finished": kept.finished,
        "few": kept.total < FEW_STEPS * longest,
    }


def open_up(kept: Trajectory | None, event: gr.EventData) -> object:
    """Answer a choice of step and image in the film."""
    if kept is None or not kept.frames:
        return gr.skip()
    return encode(step_payload(kept, event.position, event.image))


@answered
def step_payload(kept: Trajectory, position: int, image: int) -> Payload:
    """Open one step of one image."""
    return {**figures.reverse_step(kept.opened(int(position), int(image))), "image": int(image)}


def introduce(model: ModelSlot) -> tuple[str, object]:
    """Answer the opening of the page: say which model this is, and let the steps end at its T."""
    about = describe(model)
    return encode(about), (gr.Slider(maximum=about["T"]) if "T" in about else gr.skip())


@answered
def describe(model: ModelSlot) -> Payload:
    """Say which model this is, once it is there."""
    loaded = model.get()
    return {
        # A visitor need not know where on the server a folder lies.
        "source": Path(loaded.source).name if Path(loaded.source).is_dir() else loaded.source,
        "num_parameters": loaded.num_parameters,
        "prediction_type": loaded.prediction_type,
        "learned_variance": loaded.learned_variance,
        "size": loaded.sample_size,
        "channels": loaded.channels,
        "T": len(loaded.denoiser.schedule),
        "schedule": loaded.denoiser.schedule.name,
        **({"note": error_payload(loaded.note)["error"]} if loaded.note else {}),
    }
