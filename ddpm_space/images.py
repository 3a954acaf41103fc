"""Pictures in, tensors in [-1, 1] out, and back: the only place that knows pixel ranges, modes and sizes.

A tensor of images is (B, C, H, W), C = 1 or 3, black is -1 and white is 1. What goes out is rounded to 8 bits and clamped:
a noisy x_t has values outside [-1, 1], which no screen can show.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ddpm_space.errors import TextError
from ddpm_space.reasons import reason_of

MAX_PIXELS = 8_000_000

FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF")
"""Only what is a plain picture: Pillow's list also holds formats that start other programs (EPS) or hide several sizes."""

IMAGE_ERRORS = {
    "error.image.missing": "There is no image: choose or upload one.",
    "error.image.not_found": "There is no file at {path}: check the path.",
    "error.image.not_an_image": "'{name}' is not an image that can be read: use a PNG, JPEG, GIF, WebP, BMP, TIFF or AVIF file.",
    "error.image.too_many_pixels": "The image has {pixels} pixels; at most {max_pixels} are accepted. Make it smaller and try again.",
    "error.image.damaged": "'{name}' is damaged or cut short ({reason}): save or download it again.",
    "error.image.not_finite": "The image holds NaN or infinite values ({count} of {total}): every value must be a finite number.",
    "error.image.sample_not_finite": "The samples hold NaN or infinite values ({count} of {total}): the model is faulty. Use another one.",
    "error.image.range": "The image's values run from {low} to {high}: values of this kind must lie between {lowest} and {highest}.",
    "error.image.array": "An array of shape {shape} and type {dtype} is not an image: use (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16 or float.",
}


class ImageError(TextError):
    """A picture that cannot be used; `key` is one of IMAGE_ERRORS."""

    templates = IMAGE_ERRORS


def load_image(
    source: str | Path | Image.Image | np.ndarray,
    *,
    channels: Literal[1, 3] = 1,
    size: int | None = None,
    fit: Literal["center", "shorter", "stretch"] = "center",
    max_pixels: int = MAX_PIXELS,
    background: Literal["white", "black"] = "white",
) -> Tensor:
    """Read any ordinary picture as the models see it.

    The first frame of an animation; turned as its EXIF says; transparent parts laid on `background`; 16-bit gray kept (not cut to 8);
    palette, CMYK and other colour spaces converted to RGB, or to gray by ITU-R 601. With a `size`, `fitted` to it.

    Args:
        source: a file, a Pillow image, or an array (H, W[, 3 or 4]) of uint8, uint16 or float in [0, 1].
        channels: 1 (gray) or 3 (RGB).
        size: height and width of the result; None keeps the picture's own. fit: what of the picture that shows.
        max_pixels: larger pictures are refused from their header, before a pixel is decoded.
        background: what shows through transparent parts.
    Returns:
        (1, channels, H, W) float32 in [-1, 1].
    Raises:
        ImageError: not an image, too large, damaged, NaN, values out of range.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels = {channels}: use 1 (gray) or 3 (RGB)")
    if source is None:
        raise ImageError("error.image.missing")
    if isinstance(source, np.ndarray):
        source = _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        return _to_tensor(source, "image", channels, size, fit, max_pixels, background)
    path = Path(source)
    with _open(path, max_pixels) as image:
        return _to_tensor(image, path.name, channels, size, fit, max_pixels, background)


def fitted(image: Image.Image, size: int, fit: str = "center") -> Image.Image:
    """Resample a picture to size x size pixels.

    Args:
        fit: "center": its middle square; "stretch": all of it, squeezed into a square; "shorter": all of it in its own proportions, the
            shorter side `size` pixels long, so that the result need not be square.
    """
    if fit == "center":
        return image if image.size == (size, size) else ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    if fit not in ("shorter", "stretch"):
        raise ValueError(f"fit = '{fit}': use center, shorter or stretch")
    scale = size / min(image.size)
    wanted = (size, size) if fit == "stretch" else (max(size, round(image.width * scale)), max(size, round(image.height * scale)))
    return image if image.size == wanted else image.resize(wanted, Image.Resampling.LANCZOS)


def images_a_call(shape: Sequence[int], most: int) -> int:
    """How many images to give a network at once: `most` of up to 32 x 32 pixels, fewer of larger ones, so that memory stays as it is.

    Args:
        shape: (..., H, W) of the images.
    """
    return max(1, min(most, most * 32 * 32 // (shape[-1] * shape[-2])))


def quantize(x: Tensor) -> Tensor:
    """Round to the 256 levels of 8-bit images, -1, -1 + 2/255, ..., 1, clamped; same shape, still in [-1, 1]."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def to_uint8(x: Tensor) -> np.ndarray:
    """Round a tensor (..., C, H, W) in [-1, 1] to bytes (..., H, W) for gray or (..., H, W, 3) for RGB; values outside are clamped."""
    levels = ((x.detach().cpu().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    if levels.shape[-3] == 1:
        return levels.squeeze(-3).numpy()
    return levels.movedim(-3, -1).numpy()


def to_pil(x: Tensor) -> Image.Image:
    """Make a picture of one image, (C, H, W) or (1, C, H, W) in [-1, 1]."""
    if x.ndim == 4 and len(x) == 1:
        x = x[0]
    if x.ndim != 3 or x.shape[0] not in (1, 3):
        raise ValueError(f"one image of shape (C, H, W) with C = 1 or 3 is wanted, not {tuple(x.shape)}")
    return Image.fromarray(to_uint8(x))


def grid(x: Tensor, columns: int, *, gap: int = 1) -> Image.Image:
    """Lay a batch (B, C, H, W) out row by row, `columns` wide, `gap` gray pixels between the images."""
    if columns < 1:
        raise ValueError(f"columns = {columns}: use at least 1")
    _, channels, height, width = x.shape
    rows = math.ceil(len(x) / columns)
    sheet = torch.zeros(channels, rows * (height + gap) - gap, columns * (width + gap) - gap)
    for i, image in enumerate(x):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[:, top : top + height, left : left + width] = image
    return to_pil(sheet)


def png_bytes(x: Tensor, scale: int = 1) -> bytes:
    """Encode one image (C, H, W) as PNG, each pixel drawn as a square of `scale` pixels."""
    picture = to_pil(x)
    if scale != 1:
        picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def data_uri(x: Tensor, scale: int = 1) -> str:
    """Encode one image (C, H, W) as a `data:` address, so that a page shows it without another request."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(x, scale)).decode("ascii")


def check_finite(x: Tensor, key: str = "error.image.not_finite") -> Tensor:
    """Return x, or raise the ImageError `key` with the count of its NaN and infinite values."""
    bad = int((~torch.isfinite(x)).sum())
    if bad:
        raise ImageError(key, count=bad, total=x.numel())
    return x


def _open(path: Path, max_pixels: int) -> Image.Image:
    if not path.is_file():
        raise ImageError("error.image.not_found", path=str(path))
    Image.init()
    try:
        return Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        counted = re.search(r"\((\d+) pixels\)", str(error))
        pixels = int(counted[1]) if counted else 2 * int(Image.MAX_IMAGE_PIXELS or 0)
        raise ImageError("error.image.too_many_pixels", pixels=pixels, max_pixels=max_pixels) from error
    except Exception as error:  # a hostile header makes Pillow's plugins raise nearly anything
        raise ImageError("error.image.not_an_image", name=path.name) from error


def _to_tensor(image: Image.Image, name: str, channels: int, size: int | None, fit: str, max_pixels: int, background: str) -> Tensor:
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise ImageError("error.image.too_many_pixels", pixels=pixels, max_pixels=max_pixels)
    if pixels == 0:
        raise ImageError("error.image.not_an_image", name=name)
    try:
        image.load()
        turned = ImageOps.exif_transpose(image)
        plane, full_scale = _plain_mode(turned, channels, background)
    except ImageError:
        raise
    except Exception as error:  # as in _open: what a broken file raises depends on the plugin
        raise ImageError("error.image.damaged", name=name, reason=reason_of(error)) from error
    if size is not None:
        plane = fitted(plane, size, fit)
    values = torch.from_numpy(np.array(plane, dtype=np.float32)) / full_scale
    x = values.clamp(0, 1) * 2 - 1
    x = x.movedim(-1, 0) if x.ndim == 3 else x.expand(channels, -1, -1)
    return x[None].contiguous()


def _plain_mode(image: Image.Image, channels: int, background: str) -> tuple[Image.Image, float]:
    """Convert to mode L, RGB, or F (what has more than 8 bits); returns it with the value that stands for white."""
    if image.mode.startswith("I"):
        # Pillow's own conversion of these modes to L clips at 255, which turns nearly every 16-bit picture white.
        deep = image.convert("I").convert("F")
        _check_range(np.array(deep), 65535)
        return deep, 65535.0
    if image.mode == "F":
        values = np.array(image)
        check_finite(torch.from_numpy(values))
        _check_range(values, 1)
        return image, 1.0
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), layered)
    if image.mode not in ("1", "L"):
        image = image.convert("RGB")
    return image.convert("L" if channels == 1 else "RGB"), 255.0


def _check_range(values: np.ndarray, highest: int) -> None:
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > highest * (1 + 1e-5):  # what rounding leaves above white is no error
        raise ImageError("error.image.range", low=float(f"{low:.4g}"), high=float(f"{high:.4g}"), lowest=0, highest=highest)


def _from_array(array: np.ndarray, max_pixels: int) -> Image.Image:
    wrong_shape = array.ndim not in (2, 3) or array.size == 0 or (array.ndim == 3 and array.shape[2] not in (1, 3, 4))
    known = array.dtype in (np.uint8, np.uint16) or np.issubdtype(array.dtype, np.floating)
    if wrong_shape or not known:
        raise ImageError("error.image.array", shape=array.shape, dtype=str(array.dtype))
    if array.shape[0] * array.shape[1] > max_pixels:
        raise ImageError("error.image.too_many_pixels", pixels=array.shape[0] * array.shape[1], max_pixels=max_pixels)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if np.issubdtype(array.dtype, np.floating):
        check_finite(torch.from_numpy(array.astype(np.float32)))
        _check_range(array, 1)
        array = array.astype(np.float32) if array.ndim == 2 else np.round(array * 255).astype(np.uint8)
    elif array.dtype == np.uint16 and array.ndim == 3:
        array = np.round(array / 257).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(array))
