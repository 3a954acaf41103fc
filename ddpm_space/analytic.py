"""The reverse variance "analytic": the best one for a trained network, from one number a timestep, estimated once [N8; Bao 2022, Analytic-DPM].

What x_t leaves unknown of x_0, V_t = E Var[x_0 | x_t], gives the best sigma_t^2 of every step t -> s, however far it jumps. It is estimated as the
mean squared error of x_0_hat as the sampler uses it, clipped: for a perfect network that is V_t, and for any other it is what makes sigma_t^2 best
for the mean that this network gives. The paper's own estimate, from the size of eps, stands beside it; it is V_t for a perfect network only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.notes.reverse import beta_tilde, largest_last_sigma, optimal_variance, posterior_variance_from_eps
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.spacing import OPTIMAL, spaced_timesteps

FILE = "posterior_variance.json"
"""Lies beside the scheduler's config, which has no word for it in plain diffusers."""

LAST_GREY_LEVELS = 2.0
"""The last noise that a chain adds is no more than so many grey levels on average [Bao 2022 section 5]."""


@dataclass(frozen=True)
class PosteriorVariance:
    """V_t of a network at every training timestep, per dimension, for data in [-1, 1].

    values, standard_error: (T,) float64, the mean squared error of the clipped x_0_hat; from_eps: (T,) the paper's estimate, clipped to what data in
    [-1, 1] can have; images: noised images that each was estimated from.
    """

    values: Tensor
    standard_error: Tensor
    from_eps: Tensor
    images: int


def estimate(
    denoiser: Denoiser,
    images: Callable[[Tensor], Tensor],
    available: int,
    *,
    draws: int = 256,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> PosteriorVariance:
    """Estimate V_t at every timestep from training images, other images and another noise at each.

    Args:
        denoiser: in eval mode, on the device of what `images` gives; images: rows (n,) of the data -> (n, C, H, W) in [-1, 1].
        available: how many rows there are; draws: noised images a timestep, at least 2; progress: called with each t when it is done, from 0 up.
    Raises:
        ValueError: draws < 2.
    """
    if draws < 2:
        raise ValueError(f"draws = {draws}: use at least 2, since a standard error needs a spread")
    schedule, found = denoiser.schedule, []
    for t in range(len(schedule)):
        generator = torch.Generator().manual_seed((seed * 1_000_003 + t) % 2**63)
        x_0 = images(torch.randint(available, (draws,), generator=generator))
        eps = torch.randn(x_0.shape, generator=generator).to(x_0)
        x_t = q_cumulative_sample(x_0, schedule.alpha_bar[t], eps=eps)
        with torch.inference_mode():
            predicted = denoiser.predict(x_t, torch.full((draws,), t, device=x_t.device), clip=1.0)
        errors = (x_0 - predicted.x_0_hat).cpu().double().square().flatten(1).mean(1)
        sizes = predicted.eps_theta.cpu().double().square().flatten(1).mean(1)
        found.append(torch.stack([errors.mean(), errors.std() / math.sqrt(draws), sizes.mean()]))
        if progress is not None:
            progress(t)
    values, standard_error, mean_square_eps = torch.stack(found, dim=1)
    alpha_bar = schedule.alpha_bar.clamp(min=torch.finfo(torch.float64).tiny)
    from_eps = posterior_variance_from_eps(mean_square_eps, alpha_bar).clamp(0, 1)
    return PosteriorVariance(values, standard_error, from_eps, draws)


def analytic_variance(posterior_variance: Tensor, chain: NoiseSchedule) -> Tensor:
    """The best sigma_t^2 of every step of a chain: (steps,) float64 in the chain's order, that of the last step, V_t itself, first [N8; Bao 2022].

    Args:
        posterior_variance: (T,) V_t by training timestep; chain: the training schedule or a `respaced()` one.
    Raises:
        ValueError: a table for another T than the chain's timesteps reach.
    """
    if posterior_variance.ndim != 1 or len(posterior_variance) <= int(chain.timesteps.max()):
        raise ValueError(f"posterior_variance has shape {tuple(posterior_variance.shape)}: give one number a training timestep")
    return optimal_variance(posterior_variance.double().cpu()[chain.timesteps], chain.alpha_bar, chain.alpha_bar_prev)


def sampling_variance(posterior_variance: Tensor, chain: NoiseSchedule) -> Tensor:
    """`analytic_variance` as a sampler uses it: the last step adds no noise, and the one before it no more than can be seen [Bao 2022 section 5]."""
    sigma2 = analytic_variance(posterior_variance, chain)
    sigma2[0] = 0.0
    sigma2[1:2].clamp_(max=float(largest_last_sigma(LAST_GREY_LEVELS)) ** 2)
    return sigma2


def optimal_timesteps(schedule: NoiseSchedule, posterior_variance: Tensor, num_steps: int | None) -> list[int]:
    """Choose the timesteps whose chain, with the analytic variances, has the best bound of all that start at T - 1 [Watson 2021; Bao 2022 section 4].

    A step t -> s costs 1/2 log(sigma_t*^2 / beta_tilde), the decoder from its t about the entropy of N(0, V_t) in grey levels: the least sum over all
    chains of `num_steps`, by dynamic programming. The best bound is not the best picture.

    Args:
        schedule: the training schedule; posterior_variance: (T,) V_t; num_steps: 1 to T.
    Returns:
        num_steps timesteps in descending order.
    Raises:
        ValueError: num_steps outside 1..T or no integer.
    """
    T = len(schedule)
    steps = len(spaced_timesteps(T, num_steps, "trailing"))
    V = posterior_variance.double().cpu().clamp(min=torch.finfo(torch.float64).tiny)
    s, t = torch.tril_indices(T, T, -1).flip(0)
    cost = torch.full((T, T), math.inf, dtype=torch.float64)
    alpha_bars = schedule.alpha_bar[t], schedule.alpha_bar[s]
    cost[s, t] = (optimal_variance(V[t], *alpha_bars) / beta_tilde(*alpha_bars)).log() / 2
    least = (0.5 * (2 * math.pi * math.e * V).log() - math.log(2 / 255)).clamp(min=0)
    came_from = []
    for _ in range(steps - 1):
        least, origin = (least[:, None] + cost).min(dim=0)
        came_from.append(origin)
    chosen = [T - 1]
    for origin in reversed(came_from):
        chosen.append(int(origin[chosen[-1]]))
    return chosen


def chosen_timesteps(
    schedule: NoiseSchedule, num_steps: int | None, spacing: str, steps_offset: int = 0, posterior_variance: Sequence[float] | None = None
) -> list[int]:
    """The timesteps of a spacing, in descending order: `spacing.spaced_timesteps`, or `optimal_timesteps` for "optimal", which needs V_t."""
    if spacing == OPTIMAL and posterior_variance is not None:
        return optimal_timesteps(schedule, torch.tensor(posterior_variance, dtype=torch.float64), num_steps)
    return spaced_timesteps(len(schedule), num_steps, spacing, steps_offset)


def check_posterior_variance(values: Sequence[float], num_train_timesteps: int) -> None:
    """Refuse a table of another length, or with a number that is no variance of data in [-1, 1].

    Raises:
        ValueError: the first such number, with its timestep.
    """
    if len(values) != num_train_timesteps:
        raise ValueError(f"posterior_variance has {len(values)} values: give {num_train_timesteps}, one a training timestep")
    for t, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 4:
            raise ValueError(f"posterior_variance[{t}] = {value}: the mean squared error of an image in [-1, 1] lies between 0 and 4")


def write(found: PosteriorVariance, folder: Path) -> Path:
    """Write a table beside a scheduler's config, whole or not at all; returns the file."""
    rows = {
        "posterior_variance": found.values.tolist(),
        "standard_error": found.standard_error.tolist(),
        "from_eps": found.from_eps.tolist(),
        "images": found.images,
    }
    short = {name: [float(f"{value:.6g}") for value in row] if isinstance(row, list) else row for name, row in rows.items()}
    draft, file = folder / f".{FILE}.draft", folder / FILE
    draft.write_text(json.dumps(short) + "\n", encoding="utf-8")
    return draft.replace(file)


def read(folder: Path) -> list[float] | None:
    """Read V_t from the table beside a scheduler's config; None if there is none.

    Raises:
        ValueError: the file is damaged, or holds no variances.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        values = list(json.loads(file.read_text(encoding="utf-8"))["posterior_variance"])
        check_posterior_variance(values, len(values))
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"{file} is damaged ({error}): estimate it again, or delete it") from error
    return values
