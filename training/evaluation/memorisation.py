"""Does a model repeat its training images? How close its samples come to them, against how close new real images come.

A sample is close to some training image because all images of its kind are: what counts is the comparison with real images that were not trained on
[Meehan, Chaudhuri, Dasgupta 2020, "A non-parametric test to detect data-copying in generative models"]. A share of 50 % says that samples come as
close as new real images do; far above, the model copies. Blurred samples come close in pixels as well, by being average: read features beside pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

LARGEST = 64
"""Larger images are averaged down to this height and width before their pixels are compared."""

COPIES = 0.01
"""Share of the real images that is closest of all; samples closer than those are counted as near-copies."""

BLOCK = 512
"""Images compared at once, which bounds the memory."""


@dataclass(frozen=True)
class Nearness:
    """How close n samples come to the training set, against `real_n` real images that were not trained on.

    space: what distances are taken in, in words; samples, real: median distance to the nearest training image; closer: probability that a sample is
    closer than a real image (0.5 if alike), with its standard error; copies: share of the samples closer than the closest 1 % of the real images,
    with its standard error for these real images.
    """

    space: str
    samples: float
    real: float
    closer: float
    closer_error: float
    copies: float
    copies_error: float
    n: int
    real_n: int

    @property
    def copies_if_alike(self) -> float:
        """What `copies` is on average where samples are as close as real images: 0.01, and more where few real images tell what is close."""
        return (1 + COPIES * (self.real_n - 1)) / (self.real_n + 1)

    def __str__(self) -> str:
        return (
            f"nearest training image, {self.space}: median distance {self.samples:.3g} of samples (n = {self.n:,}), {self.real:.3g} of real held-out "
            f"images (n = {self.real_n:,}); a sample is the closer one in {self.closer:.1%} +- {self.closer_error:.1%} of the pairs (50% if alike); "
            f"{self.copies:.1%} +- {self.copies_error:.1%} of the samples are closer than the closest {COPIES:.0%} of the real images "
            f"({self.copies_if_alike:.1%} if alike)"
        )


def compare(space: str, samples: Tensor, real: Tensor) -> Nearness:
    """Compare distances to the nearest training image.

    Args:
        space: see Nearness; samples: (n,); real: (m,); both above 1 image.
    """
    samples, real = samples.double(), real.double().sort().values
    # The share of real images that are farther than each sample, ties counted as half: the Mann-Whitney statistic, and DeLong's (1988) error of it.
    farther = 1 - (torch.searchsorted(real, samples) + torch.searchsorted(real, samples, right=True)).double() / (2 * len(real))
    in_order = samples.sort().values
    nearer = (torch.searchsorted(in_order, real) + torch.searchsorted(in_order, real, right=True)).double() / (2 * len(samples))
    copies = float((samples < real.quantile(COPIES)).double().mean())
    return Nearness(
        space=space,
        samples=float(samples.median()),
        real=float(real.median()),
        closer=float(farther.mean()),
        closer_error=float((farther.var() / len(samples) + nearer.var() / len(real)).sqrt()),
        copies=copies,
        copies_error=(copies * (1 - copies) / len(samples)) ** 0.5,
        n=len(samples),
        real_n=len(real),
    )


def pixels(x: Tensor) -> Tensor:
    """Images (B, C, H, W) in [-1, 1] as points (B, D): a distance of two is the root mean square of their difference, in grey levels of 0..255."""
    if max(x.shape[-2:]) > LARGEST:
        x = adaptive_avg_pool2d(x, (min(LARGEST, x.shape[-2]), min(LARGEST, x.shape[-1])))
    flat = x.flatten(1).float()
    return flat * (127.5 / flat.shape[1] ** 0.5)


def nearest(queries: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Find the nearest of the points (N, D) to each of the queries (M, D): its distance (M,) and its row (M,) int64."""
    rows = torch.cat([torch.cdist(part, points).argmin(dim=1) for part in queries.split(BLOCK)])
    # Again by differences: what cdist forms from squares is no good for near-copies.
    return (queries - points[rows]).norm(dim=1), rows
