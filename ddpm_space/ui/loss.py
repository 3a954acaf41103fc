"""Tab 3: the loss taken apart for one image: the error of eps_theta at chosen t, L_simple, and the variational bound term by term."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gradio as gr
from torch import Tensor

from ddpm_space import figures
from ddpm_space.images import load_image
from ddpm_space.likelihood import BOUND_VARIANCES
from ddpm_space.loss import bound_terms, eps_errors, simple_loss
from ddpm_space.models import LoadedModel
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.spacing import spaced_timesteps
from ddpm_space.ui.example_files import example_path, is_digit
from ddpm_space.ui.examples import picture_choice
from ddpm_space.ui.forms import seed_box, timestep_list, whole_number
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.text import T
from ddpm_space.ui.widgets import HEAVY, Payload, answered, encode, panel, picked, streamed

FRAME_SECONDS = 0.15
TIMESTEPS = (0.01, 0.05, 0.2, 0.5, 0.9)
"""Where the error is measured at first, as shares of T."""

ERROR_DRAWS = 16
SIMPLE_DRAWS = 128
CHAINS = ("50", "100", "250", "all")
BOUND_DRAWS = (2, 4, 8)


def build(app: gr.Blocks, model: ModelSlot) -> None:
    """Lay out the tab and wire it."""
    panel("section", {}, section="loss")
    with gr.Row(elem_classes=["ddpm-columns", "controls-first"]):
        with gr.Column(scale=5, min_width=320):
            errors = panel("errors", empty="errors.empty")
        with gr.Column(scale=2, min_width=260):
            choice = picture_choice()
            seen = panel("seen", empty="model.loading")
            timesteps = gr.Textbox(suggested(1000), label=T("errors.timesteps"), max_lines=1)
            seed = seed_box(T("loss.seed"))
            with gr.Row():
                run_errors = gr.Button(T("errors.run"), variant="primary", min_width=100)
                stop_errors = gr.Button(T("loss.stop"), interactive=False, min_width=100)
    panel("section", {}, section="bound")
    with gr.Row(elem_classes=["ddpm-columns", "controls-first"]):
        with gr.Column(scale=5, min_width=320):
            bound = panel("bound", empty="bound.empty")
        with gr.Column(scale=2, min_width=260):
            chain = gr.Radio([(T(f"chain.{steps}"), steps) for steps in CHAINS], value="all", label=T("bound.chain"), info=T("bound.chain_info"))
            draws = gr.Radio(list(BOUND_DRAWS), value=2, label=T("bound.draws"))
            variance = gr.Dropdown([(T(f"variance.{name}"), name) for name in BOUND_VARIANCES], value="fixed_large", label=T("bound.variance"))
            clip = gr.Checkbox(True, label=T("bound.clip"))
            with gr.Row():
                run_bound = gr.Button(T("bound.run"), variant="primary", min_width=100)
                stop_bound = gr.Button(T("loss.stop"), interactive=False, min_width=100)

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    app.load(lambda path: introduce(model, path), [choice.chosen], [seen, timesteps], **quiet)
    choice.picker.select(lambda clicked: choose(model, clicked), [choice.picker], [choice.chosen, seen], **quiet)
    choice.upload.upload(lambda *values: take(model, *values), [choice.upload, choice.chosen], [choice.chosen, seen, choice.picker], **quiet)
    _wire(run_errors, stop_errors, errors, lambda *values: error_rows(model, *values), [choice.chosen, timesteps, seed], "errors")
    _wire(run_bound, stop_bound, bound, lambda *values: terms(model, *values), [choice.chosen, chain, draws, variance, clip, seed], "bound")


def _wire(run: gr.Button, stop: gr.Button, output: gr.HTML, handler, inputs: list, name: str) -> None:
    """Stream a handler into a panel, with a stop button that is awake while it runs."""

    def stream(*values: object) -> Iterator[tuple]:
        yield gr.skip(), gr.Button(interactive=False), gr.Button(interactive=True)
        for payload in handler(*values):
            yield encode(payload), gr.skip(), gr.skip()
        yield gr.skip(), gr.Button(interactive=True), gr.Button(interactive=False)

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    running = run.click(stream, inputs, [output, run, stop], js=f"window.ddpm.waiting.{name}", **quiet, **HEAVY)
    awake = lambda: (gr.Button(interactive=True), gr.Button(interactive=False))  # noqa: E731
    stop.click(awake, None, [run, stop], cancels=[running], js=f"window.ddpm.stopped.{name}", **quiet)


def suggested(length: int) -> str:
    """Write the first list of timesteps for a chain of `length` steps."""
    return ", ".join(str(int(share * length)) for share in TIMESTEPS)


def introduce(model: ModelSlot, path: str) -> tuple[str, object]:
    """Answer the opening of the page: the picture as the model sees it, and timesteps that its chain has."""
    payload = as_seen(model, path)
    return encode(payload), (gr.skip() if "error" in payload else suggested(len(model.get().denoiser.schedule)))


@answered
def as_seen(model: ModelSlot, path: str) -> Payload:
    """Show the picture at the model's size and channels, and whether it is of the kind the model was trained on."""
    loaded = model.get()
    return {"picture": figures.pictures(read_for(loaded, path)), "size": loaded.sample_size, "outside": not is_digit(path)}


def choose(model: ModelSlot, clicked: str) -> tuple[str, str]:
    """Answer a click on an example."""
    path = example_path(picked(clicked, "example"))
    return path, encode(as_seen(model, path))


def take(model: ModelSlot, upload: str, current: str) -> tuple[str, str, object]:
    """Answer an upload; one that cannot be read leaves the current picture in place."""
    payload = as_seen(model, upload)
    failed = "error" in payload
    return (current if failed else upload), encode(payload), (gr.skip() if failed else encode({"example": None}))


@streamed
def error_rows(model: ModelSlot, path: str, timesteps: str, seed: float) -> Iterator[Payload]:
    """Measure the error at each t as it comes, then L_simple."""
    loaded = model.get()
    longest = len(loaded.denoiser.schedule)
    chosen, number = timestep_list(timesteps, longest), whole_number(seed, "seed")
    x_0 = read_for(loaded, path)
    payload: Payload = {"rows": [], "total": len(chosen), "draws": ERROR_DRAWS, "T": longest, "simple": None}
    for t in chosen:
        payload["rows"] += [figures.eps_error(row) for row in eps_errors(loaded.denoiser, x_0, [t], draws=ERROR_DRAWS, seed=number)]
        yield payload
    payload["simple"] = figures.estimate(simple_loss(loaded.denoiser, x_0, draws=SIMPLE_DRAWS, seed=number))
    yield payload


@streamed
def terms(model: ModelSlot, path: str, steps: str, draws: int, variance: str, clip: bool, seed: float) -> Iterator[Payload]:
    """Stream the bound of one image along the training chain, or along a shorter one."""
    loaded = model.get()
    schedule = loaded.denoiser.schedule
    chain = shorter_chain(schedule, len(schedule) if steps == "all" else int(steps))
    about = {"T": len(schedule), "variance": variance, "clip": clip}
    arrived, sent = [], time.perf_counter()
    for term in bound_terms(
        loaded.denoiser, read_for(loaded, path), draws=draws, schedule=chain, variance=variance, clip_x0=clip, seed=whole_number(seed, "seed")
    ):
        arrived.append(term)
        if term.index == term.total - 1 or time.perf_counter() - sent > FRAME_SECONDS:
            sent = time.perf_counter()
            yield {**figures.bound(arrived, chain), **about}


def shorter_chain(schedule: NoiseSchedule, steps: int) -> NoiseSchedule:
    """Keep `steps` evenly spread timesteps, first and last among them; all of them when there are no more than that."""
    if steps >= len(schedule):
        return schedule
    return schedule.respaced(spaced_timesteps(len(schedule), steps, "linspace"))


def read_for(loaded: LoadedModel, path: str) -> Tensor:
    """Read a picture at the model's size and channels: (1, C, H, W)."""
    return load_image(path, channels=1 if loaded.channels == 1 else 3, size=loaded.sample_size)
