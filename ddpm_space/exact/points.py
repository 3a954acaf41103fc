"""Data that is a finite set of points: a swiss roll, letters, a drawing, any small set of images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ddpm_space.exact.distribution import Components, ExactDistribution, normalized

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont


class PointSet(ExactDistribution):
    """x_0 is one of N points; then E[x_0 | x_t] is an average of the points, weighted by how well each explains x_t [N6, N7].

    At alpha_bar_t = 1 the points themselves are left: `posterior_mean` and `posterior_variance` return their limit (the nearest point), while
    the density, score, eps* and v* do not exist and are refused. Below 1, rounding moves log-weights by about 1e-16 |x||point| / (1 - alpha_bar_t).

    Args:
        points: (N, *shape), such as (N, 2) for a drawn shape or (N, C, H, W) for images; weights: (N,) >= 0, scaled to sum 1; equal when None.
    Raises:
        ValueError: no points, or values that are not finite.
    """

    has_density = False

    def __init__(self, points: Tensor, weights: Tensor | None = None) -> None:
        points = torch.as_tensor(points).to("cpu", torch.float64)
        if points.ndim < 2 or points.numel() == 0:
            raise ValueError(f"points have shape {tuple(points.shape)}: use (N, *shape) with at least one point, such as (N, 2)")
        if not bool(points.isfinite().all()):
            raise ValueError("a point is not finite: remove NaN and infinite values")
        super().__init__(tuple(points.shape[1:]))
        weights = normalized(torch.ones(len(points)) if weights is None else weights, len(points))
        # A point of weight 0 never explains anything; without it the nearest point is always a possible one.
        self.points, self._weights = points[weights > 0], weights[weights > 0]
        flat = self.points.flatten(1)
        # Products of coordinates lose the fewest digits around the middle of the set.
        self._middle = flat.mean(dim=0)
        self._flat = flat - self._middle
        self._half_squares = 0.5 * (self._flat**2).sum(dim=1)

    @classmethod
    def swiss_roll(cls, num_points: int = 2000, *, noise: float = 0.0, generator: torch.Generator | None = None) -> PointSet:
        """The flat swiss roll (angle, angle), angle from 1.5 pi to 4.5 pi in equal steps, scaled into [-1, 1]: points (N, 2).

        Args:
            noise: standard deviation of what is added to each coordinate, 0 for none; generator: where that comes from.
        """
        if num_points < 1:
            raise ValueError(f"num_points = {num_points}: use at least 1")
        angle = torch.linspace(1.5 * math.pi, 4.5 * math.pi, num_points, dtype=torch.float64)
        roll = torch.stack([angle * angle.cos(), angle * angle.sin()], dim=1) / (4.5 * math.pi)
        return cls(roll + noise * torch.randn(roll.shape, generator=generator, dtype=torch.float64))

    @classmethod
    def drawing(cls, ink: Tensor, *, threshold: float = 0.5) -> PointSet:
        """The centres of a drawing's inked pixels, the longer side scaled into [-1, 1], y upwards: points (N, 2).

        Args:
            ink: (H, W), larger is darker; threshold: a pixel above it belongs to the shape.
        Raises:
            ValueError: another shape, or no pixel above the threshold.
        """
        if ink.ndim != 2:
            raise ValueError(f"ink has shape {tuple(ink.shape)}: use (H, W)")
        row, column = (ink > threshold).nonzero(as_tuple=True)
        if len(row) == 0:
            raise ValueError(f"no pixel is above {threshold}: the drawing is empty; draw something, or lower the threshold")
        height, width = ink.shape
        scale = 2 / max(height, width)
        x = (column.double() + 0.5 - width / 2) * scale
        y = (height / 2 - row.double() - 0.5) * scale
        return cls(torch.stack([x, y], dim=1))

    @classmethod
    def letters(cls, text: str, *, size: int = 48, font: FreeTypeFont | None = None) -> PointSet:
        """The pixels of a written text as points in [-1, 1]^2: (N, 2).

        Args:
            text: one line; size: height of the letters in pixels, 4 to 512; font: Pillow's built-in font (Latin letters) when None.
        Raises:
            ValueError: a text without ink, a size out of range, or a letter that the font lacks.
        """
        from PIL import Image, ImageDraw, ImageFont

        if not 4 <= size <= 512:
            raise ValueError(f"size = {size}: use 4 to 512 pixels")
        face = ImageFont.load_default(size) if font is None else font
        missing = bytes(face.getmask("\uffff"))
        lacking = [letter for letter in text if not letter.isspace() and bytes(face.getmask(letter)) == missing]
        if lacking:
            raise ValueError(f"the font has no '{lacking[0]}': use Latin letters, or pass a font that has it")
        left, top, right, bottom = (round(edge) for edge in face.getbbox(text))
        if right <= left or bottom <= top:
            raise ValueError(f"the text {text!r} leaves no ink: write at least one letter")
        page = Image.new("L", (right - left, bottom - top), 0)
        ImageDraw.Draw(page).text((-left, -top), text, fill=255, font=face)
        return cls.drawing(torch.frombuffer(bytearray(page.tobytes()), dtype=torch.uint8).reshape(page.height, page.width) / 255)

    def components(self) -> Components:
        points = self.points.flatten(1)
        return Components(self._weights, points, torch.zeros_like(points))

    def _sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        device = generator.device if generator is not None else torch.device("cpu")
        chosen = torch.multinomial(self._on("_weights", device), n, replacement=True, generator=generator)
        return self._on("_flat", device)[chosen] + self._on("_middle", device)

    def _elements_per_row(self) -> int:
        return 4 * len(self._weights)

    def _logits(self, x: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """Each point's log-weight given x, up to a constant of the row, (B, N); and x from the middle of the points' images, (B, D)."""
        scale = a.sqrt()
        offset = x - scale * self._on("_middle", x.device)
        # |x|^2 is the same for all points and left out: so far away x costs no digits and nothing overflows.
        fit = scale * (offset @ self._on("_flat", x.device).T) - a * self._on("_half_squares", x.device)
        # From the best fit, which stays 0 where 1 - a is 0 and all others become -inf: the limit, without asking the device which case it is.
        fit = (fit - fit.detach().amax(dim=1, keepdim=True)) / (1 - a).clamp(min=1e-300)
        return fit + self._on("_weights", x.device).log(), offset

    def _log_density(self, x: Tensor, a: Tensor) -> Tensor:
        logits, offset = self._logits(x, a)
        # From the best point, whose distance is formed directly: the difference of two large squares would lose the digits as a -> 1.
        best = logits.argmax(dim=1)
        reference = logits.gather(1, best[:, None])
        distance = offset - a.sqrt() * self._on("_flat", x.device)[best]
        exponent = (distance**2 / (1 - a) + torch.log(2 * math.pi * (1 - a))).sum(dim=1)
        return self._on("_weights", x.device)[best].log() - 0.5 * exponent + (logits - reference).logsumexp(dim=1)

    def _score(self, x: Tensor, a: Tensor) -> Tensor:
        return (a.sqrt() * self._posterior_mean(x, a) - x) / (1 - a)

    def _v_star(self, x: Tensor, a: Tensor) -> Tensor:
        return (a.sqrt() * x - self._posterior_mean(x, a)) / (1 - a).sqrt()

    def _posterior_mean(self, x: Tensor, a: Tensor) -> Tensor:
        return self._logits(x, a)[0].softmax(dim=1) @ self._on("_flat", x.device) + self._on("_middle", x.device)

    def _posterior_variance(self, x: Tensor, a: Tensor) -> Tensor:
        flat = self._on("_flat", x.device)
        share = self._logits(x, a)[0].softmax(dim=1)
        squares = torch.cdist(share @ flat, flat) ** 2
        return (share * squares).sum(dim=1) / self.num_dims

    def _posterior_covariance(self, x: Tensor, a: Tensor) -> Tensor:
        flat = self._on("_flat", x.device)
        share = self._logits(x, a)[0].softmax(dim=1)
        covariance = x.new_empty(len(x), self.num_dims, self.num_dims)
        for i, weights in enumerate(share):
            between = flat - weights @ flat
            covariance[i] = (weights[:, None] * between).T @ between
        return covariance
