"""One cell of a data set -> one uint8 picture (C, H, W): a stored file of a picture, or an array of numbers."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import fsspec
import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ddpm_space.images import FORMATS, ImageError, fitted, load_image

LOGGER = logging.getLogger(__name__)

FITS = {"center": "center", "random": "shorter", "stretch": "stretch"}
"""What of a picture is kept for each `crop`: a random crop is cut later, each time elsewhere, so the whole picture stays."""

MAX_PIXELS = 200_000_000
"""A photograph from any camera; more is a bomb or a mistake."""

MAX_RATIO = 20
"""Longer pictures than this many times their width would be blown up to many times their size before a random crop."""


DARK = 32
"""Brightest level of 255 below which a picture of 16 bits is taken for one of 12 or fewer."""


class DataError(ValueError):
    """A data set that cannot be trained on: the message names what was found and what to do."""


@dataclass(frozen=True)
class Decoder:
    """How the pictures of a run are read.

    Args:
        channels: 1 (gray), 3 (RGB), 4 (RGB and transparency); any number where the column holds arrays.
        size: height and width that the network sees. crop: "center", "stretch", or "random", which keeps a picture's proportions:
            its shorter side becomes `size`, and what sticks out is cut when it is drawn.
    """

    channels: int
    size: int
    crop: str = "center"

    def __call__(self, cell: Any, where: str) -> Tensor:
        """Read one cell.

        Args:
            cell: {"bytes", "path"} as datasets stores pictures, or an array (H, W), (C, H, W) or (H, W, C) of uint8, uint16, or float in [0, 1].
            where: the row and set, for errors.
        Returns:
            uint8 (C, H, W), H = W = size unless the crop is random.
        Raises:
            DataError: no picture, one that cannot be read, or of other channels.
        """
        if cell is None or (isinstance(cell, dict) and cell.get("bytes") is None and not cell.get("path")):
            raise DataError(f"{where} has no image: remove it from the data set, or leave such rows out with skip_broken")
        if not isinstance(cell, dict):
            return self._array(np.asarray(cell), where)
        where += f" ({cell['path']})" if cell.get("path") else ""
        try:
            with Image.open(io.BytesIO(_content(cell)), formats=_formats()) as picture:
                is_deep, found = picture.mode.startswith("I"), self._picture(picture)
        except (ImageError, DataError) as error:
            raise DataError(f"{where} cannot be used: {error} Remove or replace it, or leave such pictures out with skip_broken.") from error
        except Exception as error:  # Pillow's plugins raise nearly anything on a broken header
            raise DataError(f"{where} is not an image that can be read: remove or replace it, or leave such pictures out with skip_broken") from error
        if is_deep and 0 < int(found.max()) < DARK:
            _say_dark()
        return found

    def _picture(self, picture: Image.Image) -> Tensor:
        # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size for a fraction of the work; what is left still has twice the pixels wanted.
        picture.draft(None, (2 * self.size, 2 * self.size))
        self._check_ratio(picture.size)
        if self.channels == 4:
            if picture.width * picture.height > MAX_PIXELS:
                raise ImageError("error.image.too_many_pixels", pixels=picture.width * picture.height, max_pixels=MAX_PIXELS)
            layered = fitted(ImageOps.exif_transpose(picture).convert("RGBA"), self.size, FITS[self.crop])
            return torch.from_numpy(np.array(layered)).movedim(-1, 0).contiguous()
        x = load_image(picture, channels=self.channels, size=self.size, fit=FITS[self.crop], max_pixels=MAX_PIXELS)  # type: ignore[arg-type]
        return ((x[0] + 1) * 127.5).round().to(torch.uint8)

    def _check_ratio(self, size: tuple[int, ...]) -> None:
        if self.crop == "random" and max(size) > MAX_RATIO * min(size):
            raise DataError(f"{size[0]} x {size[1]} pixels is too long for crop = random (at most {MAX_RATIO} times the width): use center")

    def _array(self, values: np.ndarray, where: str) -> Tensor:
        values = values[None] if values.ndim == 2 else values
        if values.ndim != 3 or values.size == 0 or values.dtype.kind not in "uif" or self.channels not in (values.shape[0], values.shape[-1]):
            raise DataError(
                f"{where} is an array of shape {values.shape} and type {values.dtype}: with channels = {self.channels}, "
                f"({self.channels}, H, W) or (H, W, {self.channels}) of uint8, uint16, or float in [0, 1] is wanted"
            )
        if values.shape[0] != self.channels:
            values = np.moveaxis(values, -1, 0)
        highest = {"f": 1.0, "u": 65535.0 if values.dtype == np.uint16 else 255.0, "i": 255.0}[values.dtype.kind]
        low, high = values.min(), values.max()
        if not (low >= 0 and high <= highest):  # NaN is neither
            raise DataError(f"{where} has values from {low:.4g} to {high:.4g}: arrays of {values.dtype} must lie between 0 and {highest:g}")
        self._check_ratio(values.shape[1:])
        planes = [np.array(fitted(Image.fromarray(plane.astype(np.float32)), self.size, FITS[self.crop])) for plane in values]
        return torch.from_numpy(np.rint(np.clip(np.stack(planes) / highest, 0, 1) * 255).astype(np.uint8))


def say_skipped(count: int, name: str) -> None:
    """Tell of broken pictures that are met while training: the first, the tenth, the hundredth, ..."""
    if count == 10 ** (len(str(count)) - 1):
        LOGGER.warning("%s: %s of the pictures met so far cannot be read and were left out", name, f"{count:,}")


@lru_cache
def _say_dark() -> None:
    """Once, since they are hardly ever alone."""
    LOGGER.warning(
        "pictures of 16 bits are read as 0 (black) to 65535 (white), and some here use an eighth of that or less, as those of 10 or 12 bits do: "
        "the network sees them nearly black; stretch them to the full range first"
    )


def _content(cell: dict[str, Any]) -> bytes:
    """The bytes of a picture; a streamed set may name a file of the Hub (hf://...) instead of holding them."""
    if cell.get("bytes") is not None:
        return bytes(cell["bytes"])
    with fsspec.open(cell["path"], "rb") as file:
        return bytes(file.read())


@lru_cache
def _formats() -> list[str]:
    Image.init()  # fills Pillow's list of formats
    return [name for name in FORMATS if name in Image.OPEN]
