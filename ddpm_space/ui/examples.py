"""The pictures that come with the package, and the controls that choose one of them or a visitor's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from ddpm_space.images import data_uri, load_image
from ddpm_space.ui.text import T
from ddpm_space.ui.widgets import panel

FOLDER = Path(__file__).parent.parent / "assets" / "examples"
DEFAULT = "digit_3"
MAX_MEGABYTES = 20
"""Largest file that a visitor may send."""


@dataclass(frozen=True)
class PictureChoice:
    """The controls that a tab wires up: `chosen` holds the path of the visitor's current picture."""

    chosen: gr.State
    picker: gr.HTML
    upload: gr.UploadButton


def example_path(name: str) -> str:
    """Find an example picture by name; a name that is not in the list gives the default, so that nothing else can be opened."""
    return str(FOLDER / f"{name if name in example_names() else DEFAULT}.png")


def example_names() -> list[str]:
    """List the examples, digits first."""
    return sorted((path.stem for path in FOLDER.glob("*.png")), key=lambda name: (not name.startswith("digit_"), name))


def is_digit(path: str) -> bool:
    """Tell whether a picture is one of the bundled digits, which are of the kind that the bundled model was trained on."""
    return Path(path).parent == FOLDER and Path(path).stem.startswith("digit_")


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
