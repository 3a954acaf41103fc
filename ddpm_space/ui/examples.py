"""The controls that choose an example picture or a visitor's own."""

from __future__ import annotations

import re
from dataclasses import dataclass

import gradio as gr

from ddpm_space.images import data_uri, load_image
from ddpm_space.ui.example_files import DEFAULT, FOLDER, example_names, example_path
from ddpm_space.ui.text import T
from ddpm_space.ui.widgets import panel

MAX_MEGABYTES = 20
"""Largest file that a visitor may send."""


@dataclass(frozen=True)
class PictureChoice:
    """The controls that a tab wires up: `chosen` holds the path of the visitor's current picture."""

    chosen: gr.State
    picker: gr.HTML
    upload: gr.UploadButton


def picture_choice(default: str = DEFAULT) -> PictureChoice:
    """Place the row of examples and the upload button."""
    chosen = gr.State(example_path(default))
    picker = panel("picker", {"example": default}, examples=[_thumbnail(name) for name in example_names()], max_megabytes=MAX_MEGABYTES)
    upload = gr.UploadButton(T("picker.upload"), type="filepath", size="sm", variant="secondary")
    return PictureChoice(chosen, picker, upload)


def _thumbnail(name: str) -> dict[str, object]:
    digit = re.fullmatch(r"digit_(\d)", name)
    key, values = ("picker.digit", {"digit": digit[1]}) if digit else (f"picker.{name}", {})
    return {"id": name, "picture": data_uri(load_image(FOLDER / f"{name}.png")[0]), "key": key, "values": values}
