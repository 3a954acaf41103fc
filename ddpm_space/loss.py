"""The third story: how well the network predicts the noise, at one t, over all t (L_simple), and as a bound on the likelihood (row N8).

Every figure is a mean over random noise with its standard error. The images are taken as given: the error says how much another draw of the noise
would change the figure for these images, not for others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser, Prediction
from ddpm_space.images import quantize
from ddpm_space.likelihood import variational_bound
from ddpm_space.notes import elbo
from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.schedule import NoiseSchedule

BATCH = 64
"""Images in one call of the network."""


@dataclass(frozen=True)
class Estimate:
    """A mean over `draws` random draws, and its standard error (0 where nothing was random)."""

    mean: float
    standard_error: float
    draws: int


@dataclass(frozen=True)
class EpsError:
    """The error of eps_theta at one t: mean over pixels, draws and images of (eps - eps_theta)^2, and the first draw, each (B, C, H, W)."""

    t: int
    mse: float
    standard_error: float
    x_t: Tensor
    eps: Tensor
    eps_theta: Tensor
    x_0_hat: Tensor


@dataclass(frozen=True)
class BoundProgress:
    """One term of the bound and the sums so far, in bits per dimension; `index` of `total` terms, counted from 0, the first being L_T.

    running is the bound itself once index == total - 1 and every step of the chain was asked for; the parts (L_T, all L_{t-1}, L_0) add up to it.
    """

    index: int
    total: int
    t: int
    kind: str
    bits: Estimate
    eps_mse: Estimate | None
    running: Estimate
    parts: dict[str, Estimate]


def eps_errors(denoiser: Denoiser, x_0: Tensor, timesteps: Iterable[int], *, draws: int = 16, seed: int = 0) -> list[EpsError]:
    """Measure E |eps - eps_theta(x_t, t)|^2 at chosen t [N8; Ho 2020 eq. 12 without its weight].

    The same noise is used at every t, so that two errors differ by t alone; their standard errors are therefore not independent of each other.

    Args:
        x_0: (B, C, H, W) in [-1, 1]; timesteps: each 0 <= t < T, any order; draws: noises an image, at least 2.
    Raises:
        ValueError: t outside the chain, draws < 2.
    """
    _check_draws(draws)
    images = x_0.shape[0]
    clean = x_0.repeat(draws, 1, 1, 1)
    eps = _draw(clean, torch.Generator().manual_seed(seed))
    errors = []
    for t in timesteps:
        x_t = q_cumulative_sample(clean, denoiser.schedule.at(t).alpha_bar_t, eps=eps)
        prediction = _predict(denoiser, x_t, torch.full((len(clean),), int(t)))
        estimate = _estimate(elbo.simple_loss(eps.cpu().double(), prediction.eps_theta.cpu().double()).reshape(draws, images))
        first = slice(0, images)
        errors.append(
            EpsError(int(t), estimate.mean, estimate.standard_error, x_t[first], eps[first], prediction.eps_theta[first], prediction.x_0_hat[first])
        )
    return errors


def simple_loss(denoiser: Denoiser, x_0: Tensor, *, draws: int = 128, seed: int = 0) -> Estimate:
    """Estimate L_simple, E over uniform t and eps of |eps - eps_theta(x_t, t)|^2, averaged over elements [N8; Ho 2020 eq. 14].

    t is stratified: [0, T) is cut into draws / 2 equal parts and each gets two independent draws (t, eps), whose difference gives that part's
    variance without bias. The standard error is then the root of the sum over parts of (a - b)^2 / 4, divided by their number.

    Args:
        x_0: (B, C, H, W) in [-1, 1]; draws: pairs (t, eps) an image, even and at least 2.
    Raises:
        ValueError: draws odd or < 2.
    """
    _check_draws(draws)
    if draws % 2:
        raise ValueError(f"draws = {draws}: use an even number, two for each part of [0, T)")
    strata, images = draws // 2, x_0.shape[0]
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(2, strata, images, generator=generator, dtype=torch.float64)
    place = (torch.arange(strata, dtype=torch.float64)[:, None] + uniform) / strata
    t = (place * len(denoiser.schedule)).long().clamp(max=len(denoiser.schedule) - 1).reshape(-1)
    clean = x_0.repeat(draws, 1, 1, 1)
    eps = _draw(clean, generator)
    x_t = q_cumulative_sample(clean, denoiser.schedule.at(t).alpha_bar_t, eps=eps)
    first, second = elbo.simple_loss(eps.cpu().double(), _predict(denoiser, x_t, t).eps_theta.cpu().double()).reshape(2, strata, images)
    error = float(((first - second) ** 2 / 4).sum().sqrt()) / (strata * images)
    return Estimate(float((first.mean() + second.mean()) / 2), error, draws)


def bound_terms(
    denoiser: Denoiser,
    x_0: Tensor,
    *,
    draws: int = 4,
    schedule: NoiseSchedule | None = None,
    variance: str = "fixed_small",
    clip_x0: bool = True,
    seed: int = 0,
    rows: Sequence[int] | None = None,
) -> Iterator[BoundProgress]:
    """Stream the variational bound in bits/dim, each term with its error and the sums so far [N8; Ho 2020 eq. 5].

    Every term is estimated from `draws` independent noises an image; the noises of different terms are independent too. x_0 is rounded to the 256
    grey levels that L_0 is defined on.

    Args:
        x_0: (B, C, H, W) in [-1, 1]; draws: at least 2.
        schedule: the chain, default the training schedule; a `respaced()` one has fewer terms and is the bound of that shorter chain.
        variance, clip_x0: the conventions of `ddpm_space.likelihood`; rows: which steps of the chain, default all.
    Yields:
        BoundProgress for L_T, then from the noisiest step down to L_0.
    Raises:
        ValueError: draws < 2, unknown variance, a row outside the chain.
    """
    _check_draws(draws)
    images, dims = x_0.shape[0], x_0[0].numel()
    clean = quantize(x_0).repeat(draws, 1, 1, 1)
    steps = len(denoiser.schedule if schedule is None else schedule) if rows is None else len(set(rows))
    chunk = max(1, BATCH // len(clean))
    terms = variational_bound(denoiser, clean, schedule=schedule, variance=variance, clip_x0=clip_x0, seed=seed, rows=rows, chunk=chunk)
    parts = {kind: Estimate(0.0, 0.0, draws) for kind in ("L_T", "L_t-1", "L_0")}
    for index, term in enumerate(terms):
        bits = elbo.bits_per_dim(term.nats, dims).reshape(draws, images)
        estimate = _estimate(bits)
        parts[term.kind] = _add(parts[term.kind], estimate)
        yield BoundProgress(
            index=index,
            total=steps + 1,
            t=term.t,
            kind=term.kind,
            bits=estimate,
            eps_mse=None if term.eps_mse is None else _estimate(term.eps_mse.reshape(draws, images)),
            running=reduce(_add, parts.values()),
            parts=dict(parts),
        )


def _estimate(values: Tensor) -> Estimate:
    """Average (draws, images); the images are fixed, so the variances of their means add up: sqrt(sum_b s_b^2 / draws) / images."""
    draws, images = values.shape
    return Estimate(float(values.mean()), math.sqrt(float(values.var(dim=0).sum()) / draws) / images, draws)


def _add(one: Estimate, other: Estimate) -> Estimate:
    """Sum two terms of the bound: their noises are independent, so the variances add up, and two draws a term suffice for the error of the sum."""
    return Estimate(one.mean + other.mean, math.hypot(one.standard_error, other.standard_error), one.draws)


def _draw(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)


def _predict(denoiser: Denoiser, x_t: Tensor, t: Tensor) -> Prediction:
    t = t.to(x_t.device)
    with torch.inference_mode():
        parts = [denoiser.predict(x_t[i : i + BATCH], t[i : i + BATCH]) for i in range(0, len(x_t), BATCH)]
    return Prediction(*(torch.cat(forms) for forms in zip(*parts)))


def _check_draws(draws: int) -> None:
    if draws < 2:
        raise ValueError(f"draws = {draws}: use at least 2, since a standard error needs a spread")
