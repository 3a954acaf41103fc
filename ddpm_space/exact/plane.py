"""Worlds of the plane by name, of mean 0 and mean variance 1 a coordinate, which noising then keeps; and the mass of q_t in the cells of a grid."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.exact.distribution import ExactDistribution
from ddpm_space.exact.mixture import GaussianMixture
from ddpm_space.exact.points import PointSet

BUMPS = 8
LETTER_SIZES = (28, 24, 20, 16, 12, 8)
"""Heights in pixels that are tried for a written text, until its ink is few enough points."""


def eight_bumps(std: float = 0.1) -> GaussianMixture:
    """Eight equal Gaussians of standard deviation `std`, in (0, 1), evenly on a circle around 0 that makes the whole's variance 1 a coordinate.

    Raises:
        ValueError: a std outside (0, 1).
    """
    if not 0 < std < 1:
        raise ValueError(f"std = {std:g}: use a number between 0 and 1, the standard deviation of the whole")
    angle = torch.arange(BUMPS, dtype=torch.float64) * (2 * math.pi / BUMPS)
    radius = math.sqrt(2 * (1 - std**2))
    return GaussianMixture(
        torch.ones(BUMPS), radius * torch.stack([angle.cos(), angle.sin()], dim=1), torch.full((BUMPS,), std**2, dtype=torch.float64)
    )


def swiss_roll(num_points: int = 300) -> PointSet:
    """`PointSet.swiss_roll`, standardized: (N, 2)."""
    return standardized(PointSet.swiss_roll(num_points).points)


def two_moons(num_points: int = 240) -> PointSet:
    """Two half circles that reach into each other, evenly covered: (N, 2)."""
    angle = torch.linspace(0, math.pi, num_points // 2, dtype=torch.float64)
    upper = torch.stack([angle.cos(), angle.sin()], dim=1)
    return standardized(torch.cat([upper, torch.tensor([1.0, 0.5], dtype=torch.float64) - upper]))


def two_rings(num_points: int = 300) -> PointSet:
    """A ring around another of half its radius, evenly covered: (N, 2)."""
    outer, inner = num_points - num_points // 3, num_points // 3
    parts = []
    for count, radius in ((outer, 1.0), (inner, 0.5)):
        angle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
        parts.append(radius * torch.stack([angle.cos(), angle.sin()], dim=1))
    return standardized(torch.cat(parts))


def letters(text: str, *, most: int = 400) -> PointSet:
    """The ink of a written text as at most `most` points, in the largest size that gives so few, standardized: (N, 2).

    Raises:
        ValueError: a text without ink, a letter that the font lacks, or a text that is too long for so few points.
    """
    for size in LETTER_SIZES:
        found = PointSet.letters(text, size=size).points
        if len(found) <= most:
            return standardized(found)
    raise ValueError(f"{len(text)} letters are more than {most} points: write fewer")


def standardized(points: Tensor) -> PointSet:
    """Move points (N, 2) to mean 0 and scale them to mean variance 1 a coordinate; points that are all the same stay at 0."""
    centred = points.double() - points.double().mean(dim=0)
    spread = float((centred**2).mean().sqrt())
    return PointSet(centred / spread if spread > 0 else centred)


def cell_masses(distribution: ExactDistribution, alpha_bar_t: float, edges: Tensor) -> Tensor:
    """The probability of q_t in each cell of a square grid, exactly: each component's is a product of two differences of normal cdfs [N2, N6].

    Args:
        distribution: in the plane, its components along the axes; alpha_bar_t: in [0, 1]; edges: (n + 1,) ascending, of both axes.
    Returns:
        float64 (n, n), [row, column] = [second, first coordinate], both ascending. At alpha_bar_t = 1 points weigh where they lie.
    Raises:
        ValueError: not in the plane, or components that are not along the axes.
    """
    weights, means, variances = distribution.components()
    if distribution.shape != (2,) or getattr(distribution, "_axes", None) is not None:
        raise ValueError(f"shape {distribution.shape}, or components across the axes: cell masses are for shape (2,) and components along them")
    # So narrow that a point's mass is in one cell; 0 would leave 0/0 where a point lies on an edge.
    spread = (alpha_bar_t * variances + 1 - alpha_bar_t).clamp(min=1e-30).sqrt()
    centre = math.sqrt(alpha_bar_t) * means
    columns, rows = (torch.special.ndtr((edges.double()[:, None] - centre[:, axis]) / spread[:, axis]).diff(dim=0) for axis in (0, 1))
    return (rows * weights) @ columns.T
