"""`Bound`: all terms of the variational bound for a batch of images, and what is read off them: bits/dim, rate and distortion, error bars."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.likelihood import BoundTerm, Variance, conventions, variational_bound
from ddpm_space.notes.elbo import bits_per_dim
from ddpm_space.schedule import NoiseSchedule

PARTS = ("L_T", "L_t-1", "L_0", "total")
"""The bound's parts: the prior's, the sum of all L_{t-1}, the decoder's, and their sum."""


@dataclass(frozen=True)
class MeanOverImages:
    """A mean over `images` images, and its standard error: their standard deviation / sqrt(images), the noise's share included; nan for one image."""

    mean: float
    standard_error: float
    images: int


def mean_over_images(values: Tensor) -> MeanOverImages:
    """Average (B,) values, one an image."""
    spread = float(values.std()) if len(values) > 1 else math.nan
    return MeanOverImages(float(values.mean()), spread / math.sqrt(len(values)), len(values))


@dataclass(frozen=True)
class RatePoint:
    """The image as a lossy code, cut after x_t has been sent [Ho 2020 table 4]: bits/dim sent so far, and the error of x_0_hat(x_t) then.

    rmse is the root of the mean squared error over images and pixels, on the 0..255 scale.
    """

    t: int
    rate: float
    rmse: float


@dataclass(frozen=True)
class Bound:
    """Every term of the bound, per image and per step of the chain.

    schedule: the chain of T steps; nats: (T, B), row r the term of step r, row 0 is L_0; prior_nats: (B,) L_T; eps_mse, x_0_mse: (T, B), mean over
    elements; num_dims: D; conventions: one sentence, to be printed beside every figure.
    """

    schedule: NoiseSchedule
    nats: Tensor
    prior_nats: Tensor
    eps_mse: Tensor
    x_0_mse: Tensor
    num_dims: int
    conventions: str

    def per_image(self, part: str = "total") -> Tensor:
        """Bits/dim of each image: (B,) float64.

        Args:
            part: one of PARTS.
        Raises:
            ValueError: unknown part.
        """
        if part not in PARTS:
            raise ValueError(f"unknown part '{part}' of the bound: use one of {', '.join(PARTS)}")
        sums = {"L_T": self.prior_nats, "L_t-1": self.nats[1:].sum(dim=0), "L_0": self.nats[0]}
        return bits_per_dim(sum(sums.values(), torch.zeros(())) if part == "total" else sums[part], self.num_dims)

    def mean(self, part: str = "total") -> MeanOverImages:
        """Bits/dim averaged over the images, with its standard error; `part` as in `per_image`."""
        return mean_over_images(self.per_image(part))

    def rate(self) -> MeanOverImages:
        """Bits/dim for everything but the last step, L_T + sum L_{t-1}: the rate; L_0 is the distortion in bits [Ho 2020 section 4.3]."""
        return mean_over_images(self.per_image("total") - self.per_image("L_0"))

    def rate_distortion(self) -> list[RatePoint]:
        """Rate against distortion as x_t is sent step by step, from x_T to the last x_t before x_0 [Ho 2020 table 4, figure 5]."""
        sent = torch.cat([self.prior_nats[None], self.nats[1:].flip(0)]).mean(dim=1).cumsum(0)
        rmse = 127.5 * self.x_0_mse.mean(dim=1).flip(0).sqrt()
        rate = bits_per_dim(sent, self.num_dims)
        return [RatePoint(int(t), float(bits), float(error)) for t, bits, error in zip(self.schedule.timesteps.flip(0), rate, rmse)]


def full_bound(
    denoiser: Denoiser,
    x_0: Tensor,
    *,
    schedule: NoiseSchedule | None = None,
    variance: Variance = "fixed_small",
    clip_x0: bool = True,
    seed: int = 0,
    chunk: int = 16,
    progress: Callable[[BoundTerm], None] | None = None,
) -> Bound:
    """Take all terms of `likelihood.variational_bound` and keep them; arguments as there.

    Args:
        progress: called with each term as it comes; an exception from it stops the work.
    """
    chain = denoiser.schedule if schedule is None else schedule
    terms = []
    for term in variational_bound(denoiser, x_0, schedule=chain, variance=variance, clip_x0=clip_x0, seed=seed, chunk=chunk):
        terms.append(term)
        if progress is not None:
            progress(term)
    prior, *steps = terms
    steps.reverse()
    return Bound(
        schedule=chain,
        nats=torch.stack([term.nats for term in steps]),
        prior_nats=prior.nats,
        eps_mse=torch.stack([term.eps_mse for term in steps if term.eps_mse is not None]),
        x_0_mse=torch.stack([term.x_0_mse for term in steps if term.x_0_mse is not None]),
        num_dims=x_0[0].numel(),
        conventions=conventions(chain, variance, clip_x0, denoiser),
    )
