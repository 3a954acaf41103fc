"""Tab 1: an image is noised. The slider moves in the browser; Python is asked for a new picture, noise or schedule, and for the comparison."""

from __future__ import annotations

from typing import Literal

import gradio as gr
from torch import Tensor

from ddpm_space import figures
from ddpm_space.images import load_image
from ddpm_space.noising import compare_routes, noise_image
from ddpm_space.schedule import SCHEDULES, NoiseSchedule
from ddpm_space.ui.example_files import example_path
from ddpm_space.ui.examples import picture_choice
from ddpm_space.ui.forms import seed_box, whole_number
from ddpm_space.ui.text import T
from ddpm_space.ui.widgets import Payload, answered, encode, lab, panel, picked

VIEWS: dict[str, tuple[Literal[1, 3], int]] = {"gray_28": (1, 28), "gray_64": (1, 64), "colour_64": (3, 64), "colour_128": (3, 128)}
"""How a picture is read: channels and size."""

LENGTHS = (1000, 200, 50)
"""The T to choose from; the short ones show what too few steps for the beta range do."""

FIRST_VIEW, FIRST_SCHEDULE, FIRST_SEED, FIRST_T = "gray_28", "linear", 0, 250
DRAWS = 64


def build() -> None:
    """Lay out the tab and wire it."""
    first = (example_path("digit_3"), FIRST_VIEW, FIRST_SCHEDULE, LENGTHS[0], FIRST_SEED, FIRST_T)
    panel("section", {}, section="noising")
    with gr.Row(elem_classes="ddpm-columns"):
        with gr.Column(scale=5, min_width=320):
            picture = panel("noising", draw(*first))
            t = gr.Slider(0, LENGTHS[0] - 1, FIRST_T, step=1, label=T("noising.t"), info=T("noising.t_info"), elem_id="noise-t")
            panel("numbers", {})
        with gr.Column(scale=2, min_width=260):
            choice = picture_choice()
            view = gr.Dropdown([(T(f"view.{name}"), name) for name in VIEWS], value=FIRST_VIEW, label=T("noising.view"))
            name = gr.Dropdown([(T(f"schedule.{key}"), key) for key in SCHEDULES], value=FIRST_SCHEDULE, label=T("noising.schedule"))
            length = gr.Radio(list(LENGTHS), value=LENGTHS[0], label=T("noising.length"))
            seed = seed_box(T("noising.seed"))
    panel("path", {})
    panel("section", {}, section="routes")
    measure = gr.Button(T("routes.measure"), variant="primary", elem_classes="ddpm-action")
    measured = panel("routes", compare(*first))

    settings = [view, name, length, seed, t]
    redraw = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
    t.change(None, [t], None, js="window.ddpm.onStep", api_visibility="private")
    choice.picker.select(choose, [choice.picker, *settings], [choice.chosen, picture], **redraw)
    choice.upload.upload(take, [choice.upload, choice.chosen, *settings], [choice.chosen, picture, choice.picker], **redraw)
    for control in (view, name, seed):
        control.change(show, [choice.chosen, *settings], picture, **redraw)
    length.change(shorten, [choice.chosen, *settings], [picture, t], **redraw)
    measure.click(measure_routes, [choice.chosen, *settings], measured, show_progress="minimal", api_visibility="private")

    for question in ("langevin", "msd", "bridge", "ula", "gaussian", "pairs", "gradients"):
        panel("section", {}, section=question)
        lab(question)


@answered
def draw(path: str, view: str, name: str, length: int, seed: float | None, t: int) -> Payload:
    """Compute x_0, eps and the schedule of one picture."""
    schedule = NoiseSchedule.make(name, length)
    x_0 = _read(path, view)
    return figures.noised(noise_image(x_0, schedule, min(t, length - 1), seed=whole_number(seed, "seed")), schedule)


@answered
def compare(path: str, view: str, name: str, length: int, seed: float | None, t: int) -> Payload:
    """Measure single steps against one jump."""
    schedule = NoiseSchedule.make(name, length)
    return figures.routes(compare_routes(_read(path, view), schedule, min(t, length - 1), draws=DRAWS, seed=whole_number(seed, "seed")))


def show(*arguments: object) -> str:
    """Answer a change of a control."""
    return encode(draw(*arguments))


def shorten(path: str, view: str, name: str, length: int, seed: float | None, t: int) -> tuple[str, gr.Slider]:
    """Answer a new T: the slider ends at T - 1."""
    t = min(t, length - 1)
    return encode(draw(path, view, name, length, seed, t)), gr.Slider(maximum=length - 1, value=t)


def choose(clicked: str, *settings: object) -> tuple[str, str]:
    """Answer a click on an example."""
    path = example_path(picked(clicked, "example"))
    return path, encode(draw(path, *settings))


def take(upload: str, current: str, *settings: object) -> tuple[str, str, object]:
    """Answer an upload; one that cannot be read leaves the current picture in place."""
    payload = draw(upload, *settings)
    failed = "error" in payload
    return (current if failed else upload), encode(payload), (gr.skip() if failed else encode({"example": None}))


def measure_routes(*arguments: object) -> str:
    """Answer the button."""
    return encode(compare(*arguments))


def _read(path: str, view: str) -> Tensor:
    channels, size = VIEWS[view]
    return load_image(path, channels=channels, size=size)
