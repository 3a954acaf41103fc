"""What a lab of the page asks Python: named values from a browser, each checked where it is taken out, with an error that names it and the fix."""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor

from ddpm_space.errors import TextError
from ddpm_space.images import FORMATS, ImageError, load_image
from ddpm_space.ui.example_files import example_path, world_of
from ddpm_space.ui.forms import FormError, finite_number, whole_number

MAX_SIDE = 256
"""Largest height and width of a visitor's picture; the browser makes a larger one smaller before it sends it."""

ASKED_ERRORS = {
    "error.ask.malformed": "The page and the server do not understand each other: reload the page.",
    "error.ask.points": "{name}: between {lowest} and {highest} points are needed, each two finite numbers; {value} were sent.",
}


class AskedError(TextError):
    """A value that cannot be used; `key` is one of ASKED_ERRORS."""

    templates = ASKED_ERRORS


@dataclass(frozen=True)
class Asked:
    """The values of one question; every getter raises a `TextError` that names the value and what is possible."""

    values: Mapping[str, Any]

    def whole(self, name: str, lowest: int, highest: int) -> int:
        """Take a whole number in [lowest, highest]."""
        return whole_number(_real(self.values.get(name)), name, lowest, highest)

    def number(self, name: str, lowest: float, highest: float) -> float:
        """Take a finite number in [lowest, highest]."""
        return finite_number(_real(self.values.get(name)), name, lowest, highest)

    def choice(self, name: str, known: Collection[str]) -> str:
        """Take one of the known words."""
        value = self.values.get(name)
        if not isinstance(value, str) or value not in known:
            raise FormError("error.form.choice", name=name, value=_short(value), known=", ".join(known))
        return value

    def flag(self, name: str) -> bool:
        """Take yes or no; whatever is not true is no."""
        return self.values.get(name) is True

    def points(self, name: str, lowest: int, highest: int, bound: float) -> Tensor:
        """Take points of the plane: (n, 2) float64, lowest <= n <= highest, each coordinate in [-bound, bound]."""
        value = self.values.get(name)
        try:
            points = torch.tensor(value, dtype=torch.float64)
        except (TypeError, ValueError, OverflowError):
            points = torch.empty(0)
        if points.ndim != 2 or points.shape[1] != 2 or not lowest <= len(points) <= highest or not bool((points.abs() <= bound).all()):
            found = len(value) if isinstance(value, list) else _short(value)
            raise AskedError("error.ask.points", name=name, value=found, lowest=lowest, highest=highest)
        return points

    def picture(self, channels: Literal[1, 3], size: int) -> Tensor:
        """Take the visitor's picture, {"example": name} or {"png": base64}, as (1, channels, size, size) in [-1, 1].

        Raises:
            ImageError: none was sent, it is too large, or it is no picture.
        """
        picture = self.values.get("picture")
        if not isinstance(picture, Mapping):
            raise ImageError("error.image.missing")
        if "example" in picture:
            return load_image(example_path(str(picture["example"])), channels=channels, size=size)
        try:
            data = base64.b64decode(str(picture.get("png", "")), validate=True)
            with Image.open(io.BytesIO(data), formats=[name for name in FORMATS if name in ("PNG", "JPEG", "WEBP")]) as image:
                return load_image(image, channels=channels, size=size, max_pixels=MAX_SIDE * MAX_SIDE)
        except ImageError:
            raise
        except (binascii.Error, OSError, ValueError, Image.DecompressionBombError) as error:
            raise ImageError("error.image.not_an_image", name="png") from error

    def world(self) -> str | None:
        """What the picture shows, "digits" or "clothes", if it is an example: the kinds that the bundled models were trained on."""
        picture = self.values.get("picture")
        return world_of(example_path(str(picture["example"]))) if isinstance(picture, Mapping) and "example" in picture else None


def _real(value: Any) -> float | None:
    """Read a JSON number; None if it is none, or not finite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer beyond every float
        return None


def _short(value: Any) -> str | None:
    """Write what was sent, cut where it is long; None stays, as an empty entry has a word of its own."""
    return None if value is None else str(value)[:40]
