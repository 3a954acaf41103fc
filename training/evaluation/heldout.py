"""Bits/dim on images that were not trained on, with error bars, and whether it still falls.

Each image has its own choice of terms and its own noise, by its number: the same at every evaluation of a run, and however many processes share the
work. So two evaluations differ by what the network learned in between, and by far less than their error bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ddpm_space.bound import full_bound, mean_over_images
from ddpm_space.denoiser import Denoiser
from ddpm_space.images import images_a_call
from ddpm_space.stratified import estimated_bound
from training.evaluation.shares import share, together

PATIENCE = 3
"""Evaluations without a noticeably lower figure after which the held-out loss is said to have stopped falling."""

NOTICEABLE = (0.1, 1e-4)
"""A fall that is noticed: more than this many error bars (the evaluations share images, terms and noise, so that their difference is known better
than either) and more than this share of the figure."""

RISING = (2.0, 0.01)
"""A rise that is called one, in the same units."""


class Rows(Protocol):
    """A data set whose pictures are asked for by row: what an evaluation needs of one."""

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor) -> Tensor:
        """Pictures of these rows: float32 (B, C, H, W) in [-1, 1]."""
        ...


@dataclass(frozen=True)
class HeldOut:
    """Bits/dim averaged over n images.

    standard_error: of leaving terms out, for these images and this noise (0 if all were taken); image_error: how much another n images and other
    noise would change the mean, which includes it (nan for one image); evaluations: of the network, an image; per_image: (n,) bits/dim;
    conventions: in one sentence, to be printed beside the figure.
    """

    mean: float
    standard_error: float
    image_error: float
    n: int
    evaluations: int
    per_image: Tensor
    conventions: str

    def __str__(self) -> str:
        return f"{self.mean:.3f} +- {self.image_error:.3f} bits/dim (n = {self.n}; +- {self.standard_error:.3f} from leaving terms out)"


def some(data: Rows, count: int, seed: int) -> Tensor:
    """Choose pictures of a data set at random: the same ones for the same seed, all of them where there are not more.

    Returns:
        (min(count, len(data)), C, H, W) float32 in [-1, 1].
    """
    return data.batch(torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[:count].sort().values)


def held_out_bits(
    denoiser: Denoiser, images: Tensor, *, seed: int, evaluations: int, device: torch.device | str = "cpu", rank: int = 0, world: int = 1
) -> HeldOut:
    """Estimate the variational bound of each image, and average [N8; Ho 2020 eq. 5].

    Args:
        denoiser: the model in eval mode, on `device`; where it learned its variance, that is used, else beta_tilde.
        images: (n, C, H, W) in [-1, 1] on the 256-level grid, the same on every process.
        seed: fixes terms and noise of image i as a function of (seed, i). The global random numbers are left alone.
        evaluations: of the network an image, from 3; from T on all terms are taken.
        rank, world: this process and how many share the images; all of them must call this, and all get the result.
    Raises:
        ValueError: no images, evaluations below 3.
    """
    if not len(images):
        raise ValueError("there are no held-out images: give at least one")
    if evaluations < 3:
        raise ValueError(f"evaluations = {evaluations}: use 3 or more terms of the bound an image")
    done = {i: _bits(denoiser, images[i : i + 1].to(device), _seed(seed, i), evaluations) for i in share(len(images), rank, world)}
    results = together(done, len(images), world)
    per_image, errors = (torch.tensor([result[column] for result in results], dtype=torch.float64) for column in (0, 1))
    return HeldOut(
        mean=float(per_image.mean()),
        standard_error=float(errors.square().sum().sqrt()) / len(images),
        image_error=mean_over_images(per_image).standard_error,
        n=len(images),
        evaluations=results[0][2],
        per_image=per_image,
        conventions=results[0][3],
    )


def _bits(denoiser: Denoiser, x_0: Tensor, seed: int, evaluations: int) -> tuple[float, float, int, str]:
    """Bits/dim of one image (1, C, H, W), its error from leaving terms out, the calls of the network, and the conventions."""
    steps, variance = len(denoiser.schedule), "fixed_small" if denoiser.with_variance is None else "learned_range"
    batch = images_a_call(x_0.shape, 128)
    if evaluations >= steps:
        bound = full_bound(denoiser, x_0, variance=variance, seed=seed, chunk=batch)
        return bound.mean().mean, 0.0, steps, bound.conventions
    found = estimated_bound(denoiser, x_0, evaluations=evaluations, variance=variance, seed=seed, batch=batch)
    return found.mean, found.standard_error, found.evaluations, found.conventions


def _seed(seed: int, image: int) -> int:
    """A seed for each image: below 2^40, which the bound multiplies by its stride without leaving 63 bits."""
    return int(np.random.SeedSequence((seed, image)).generate_state(1, np.uint64)[0] >> 24)


def stopped_falling(history: Sequence[tuple[int, float, float]]) -> str | None:
    """Say that the held-out loss has stopped falling, or is rising; None while it falls, or before enough is known.

    Args:
        history: (images seen, bits/dim, standard error) of each evaluation so far, oldest first: `mean` and `standard_error` of HeldOut.
    Returns:
        one sentence for the log, or None.
    """
    if len(history) <= PATIENCE:
        return None
    best = min(range(len(history) - PATIENCE), key=lambda i: history[i][1])
    seen, lowest, error = history[best]
    last = history[-1]
    if lowest - min(bits for _, bits, _ in history[-PATIENCE:]) > max(NOTICEABLE[0] * error, NOTICEABLE[1] * lowest):
        return None
    where = f"{lowest:.3f} bits/dim at {seen:,} images, {last[1]:.3f} now, at {last[0]:,}"
    if last[1] - lowest > max(RISING[0] * max(error, last[2]), RISING[1] * lowest):
        return f"the held-out loss is rising ({where}): the model begins to fit the training images alone; the weights of its minimum were better"
    return f"the held-out loss has stopped falling ({where}): more of the same training gains little; lower the learning rate, or stop"
