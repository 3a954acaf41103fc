"""What a visitor may take along of a finished run: the result as PNG, the way there as GIF, neither larger than a few megabytes."""

from __future__ import annotations

import base64
import io
import math

import torch
from PIL import Image

from ddpm_space.images import grid
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.trajectory import Trajectory
from ddpm_space.ui.widgets import Payload

KINDS = ("png", "gif")
MOST_FRAMES = 60
MOST_PIXELS = 6_000_000
"""Of all frames of a GIF together; noise takes about a byte for each."""

WIDEST = 768
"""Pixels that a sheet is enlarged to at most, each of its own becoming a square."""

FRAME_MILLISECONDS = 70
LAST_MILLISECONDS = 2500


def picture_file(kept: Trajectory, asked: Asked) -> Payload:
    """Pack the file that was asked for: name, MIME type, base64."""
    kind = asked.choice("kind", KINDS)
    data = result_png(kept) if kind == "png" else trajectory_gif(kept)
    return {"file": {"name": f"ddpm_{kept.total}_steps.{kind}", "mime": f"image/{kind}", "b64": base64.b64encode(data).decode("ascii")}}


def result_png(kept: Trajectory) -> bytes:
    """The images of the last kept step, in a square sheet."""
    sheet = _sheet(kept.frames[-1].x_prev)
    buffer = io.BytesIO()
    _enlarged(sheet, max(1, WIDEST // max(sheet.size))).save(buffer, "PNG")
    return buffer.getvalue()


def trajectory_gif(kept: Trajectory) -> bytes:
    """x_t from noise to the result, at most MOST_FRAMES of the kept steps, first and last among them."""
    states = [*(frame.x_t for frame in kept.frames), kept.frames[-1].x_prev]
    first = _sheet(states[0])
    area = first.width * first.height
    count = max(2, min(MOST_FRAMES, len(states), MOST_PIXELS // area))
    scale = max(1, min(WIDEST // max(first.size), math.isqrt(MOST_PIXELS // (count * area))))
    places = torch.linspace(0, len(states) - 1, count).round().long().tolist()
    frames = [_enlarged(_sheet(states[place]), scale) for place in places]
    durations = [FRAME_MILLISECONDS] * (len(frames) - 1) + [LAST_MILLISECONDS]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return buffer.getvalue()


def _sheet(x: torch.Tensor) -> Image.Image:
    return grid(x, columns=math.ceil(math.sqrt(len(x))))


def _enlarged(sheet: Image.Image, scale: int) -> Image.Image:
    return sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST)
