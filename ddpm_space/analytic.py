"""The reverse variance "analytic": the best one for a trained network, from one number a timestep, estimated once [N8; Bao 2022, Analytic-DPM].

What x_t leaves unknown of x_0, V_t = E Var[x_0 | x_t], gives the best sigma_t^2 of every step t -> s, however far it jumps. It is estimated as the
mean squared error of x_0_hat as the sampler uses it, clipped: for a perfect network that is V_t, and for any other it is what makes sigma_t^2 best
for the mean that this network gives. The paper's own estimate, from the size of eps, stands beside it; it is V_t for a perfect network only.

The last step's term, L_0, is no KL of two Gaussians but the mass of pixels' bins, the outer ones open: pixels that are black for sure cost nothing
there, however large sigma is. Its best variance is therefore another number than V_t, and is estimated from the same predictions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.images import images_a_call
from ddpm_space.notes.coefficients import as_precise
from ddpm_space.notes.elbo import discretized_log_likelihood
from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.notes.reverse import beta_tilde, largest_last_sigma, optimal_variance, posterior_variance_from_eps
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.spacing import OPTIMAL, spaced_timesteps

FILE = "posterior_variance.json"
"""Lies beside the scheduler's config, which has no word for it in plain diffusers."""

LAST_GREY_LEVELS = 2.0
"""The last noise that a chain adds is no more than so many grey levels on average [Bao 2022 section 5]."""

AT_ONCE = 256
"""Noised images in one call of the network, of up to 32 x 32 pixels."""


@dataclass(frozen=True)
class PosteriorVariance:
    """V_t of a network at every training timestep, per dimension, for data in [-1, 1].

    values, standard_error: (T,) float64, the mean squared error of the clipped x_0_hat; from_eps: (T,) the paper's estimate, clipped to what data in
    [-1, 1] can have; images: noised images that each was estimated from.
    decoder_variance, decoder_nats: (T,) the best variance of the last step, were it to start at t, and its L_0 then, per dimension.
    """

    values: Tensor
    standard_error: Tensor
    from_eps: Tensor
    decoder_variance: Tensor
    decoder_nats: Tensor
    images: int


@dataclass(frozen=True)
class Table:
    """What the file beside a scheduler's config says, by training timestep; the last two are None in files of before there were any."""

    posterior_variance: list[float]
    decoder_variance: list[float] | None = None
    decoder_nats: list[float] | None = None


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
            each = torch.tensor(t, device=x_t.device)
            predicted = [denoiser.predict(part, each, clip=1.0) for part in x_t.split(images_a_call(x_t.shape, AT_ONCE))]
        clean, x_0_hat = as_precise(x_0), as_precise(torch.cat([part.x_0_hat for part in predicted]))
        errors = (clean - x_0_hat).square().flatten(1).mean(1).cpu().double()
        sizes = torch.cat([as_precise(part.eps_theta).square().flatten(1).mean(1) for part in predicted]).cpu().double()
        decoder = torch.tensor(best_decoder(clean, x_0_hat), dtype=torch.float64)
        found.append(torch.stack([errors.mean(), errors.std() / math.sqrt(draws), sizes.mean(), *decoder]))
        if progress is not None:
            progress(t)
    values, standard_error, mean_square_eps, decoder_variance, decoder_nats = torch.stack(found, dim=1)
    alpha_bar = schedule.alpha_bar.clamp(min=torch.finfo(torch.float64).tiny)
    from_eps = posterior_variance_from_eps(mean_square_eps, alpha_bar).clamp(0, 1)
    return PosteriorVariance(values, standard_error, from_eps, decoder_variance, decoder_nats, draws)


def best_decoder(x_0: Tensor, x_0_hat: Tensor) -> tuple[float, float]:
    """The sigma^2 with which the discretized decoder says most of x_0, one number for all pixels, and its -log p per dimension [Ho 2020 eq. 13].

    Args:
        x_0, x_0_hat: (B, ...) float64, images on the 256-level grid and what is predicted of them.
    Returns:
        sigma^2, to 5 % or better, where nats are flat, and these.
    """

    def nats(log_variance: float, images: slice = slice(None)) -> float:
        return -float(discretized_log_likelihood(x_0[images], x_0_hat[images], math.exp(log_variance)).mean())

    # Octaves first, by a few images; then the golden section. Noise below a sixteenth of a grey level is none.
    octaves = [math.log(2.0) * power for power in range(-22, 3)]
    middle = min(octaves, key=lambda each: nats(each, slice(0, 16)))
    low, high, ratio = middle - 1.5 * math.log(2.0), middle + 1.5 * math.log(2.0), (math.sqrt(5) - 1) / 2
    inner = [high - ratio * (high - low), low + ratio * (high - low)]
    values = [nats(each) for each in inner]
    while high - low > 0.05:
        if values[0] < values[1]:
            high, inner, values = inner[1], [inner[1] - ratio * (inner[1] - low), inner[0]], [math.nan, values[0]]
            values[0] = nats(inner[0])
        else:
            low, inner, values = inner[0], [inner[1], inner[0] + ratio * (high - inner[0])], [values[1], math.nan]
            values[1] = nats(inner[1])
    best = 0 if values[0] < values[1] else 1
    return math.exp(inner[best]), values[best]


def analytic_variance(posterior_variance: Tensor, chain: NoiseSchedule, decoder_variance: Tensor | None = None) -> Tensor:
    """The best sigma_t^2 of every step of a chain: (steps,) float64 in the chain's order, that of the last step first [N8; Bao 2022].

    Args:
        posterior_variance: (T,) V_t by training timestep; chain: the training schedule or a `respaced()` one.
        decoder_variance: (T,) the best one of L_0 over grey levels; without it the last step's is V_t itself, the best one for a density.
    Raises:
        ValueError: a table for another T than the chain's timesteps reach.
    """
    if posterior_variance.ndim != 1 or len(posterior_variance) <= int(chain.timesteps.max()):
        raise ValueError(f"posterior_variance has shape {tuple(posterior_variance.shape)}: give one number a training timestep")
    sigma2 = optimal_variance(posterior_variance.double().cpu()[chain.timesteps], chain.alpha_bar, chain.alpha_bar_prev)
    if decoder_variance is not None:
        sigma2[0] = float(decoder_variance[int(chain.timesteps[0])])
    return sigma2


def sampling_variance(posterior_variance: Tensor, chain: NoiseSchedule) -> Tensor:
    """`analytic_variance` as a sampler uses it: the last step adds no noise, and the one before it no more than can be seen [Bao 2022 section 5]."""
    sigma2 = analytic_variance(posterior_variance, chain)
    sigma2[0] = 0.0
    sigma2[1:2].clamp_(max=float(largest_last_sigma(LAST_GREY_LEVELS)) ** 2)
    return sigma2


def optimal_timesteps(schedule: NoiseSchedule, posterior_variance: Tensor, num_steps: int | None, decoder_nats: Tensor | None = None) -> list[int]:
    """Choose the timesteps whose chain, with the analytic variances, has the best bound of all that start at T - 1 [Watson 2021; Bao 2022 section 4].

    A step t -> s costs 1/2 log(sigma_t*^2 / beta_tilde), the decoder from its t what was measured of it: the least sum over all chains of
    `num_steps`, by dynamic programming. The best bound is not the best picture.

    Args:
        schedule: the training schedule, of T steps; posterior_variance: V_t of at least these; num_steps: 1 to T.
        decoder_nats: as many L_0 per dimension, were t the last step; without it about the entropy of N(0, V_t) in grey levels.
    Returns:
        num_steps timesteps in descending order.
    Raises:
        ValueError: num_steps outside 1..T or no integer.
    """
    T = len(schedule)
    steps = len(spaced_timesteps(T, num_steps, "trailing"))
    V = posterior_variance[:T].double().cpu().clamp(min=torch.finfo(torch.float64).tiny)
    s, t = torch.tril_indices(T, T, -1).flip(0)
    cost = torch.full((T, T), math.inf, dtype=torch.float64)
    alpha_bars = schedule.alpha_bar[t], schedule.alpha_bar[s]
    cost[s, t] = (optimal_variance(V[t], *alpha_bars) / beta_tilde(*alpha_bars)).log() / 2
    if decoder_nats is None:
        decoder_nats = (0.5 * (2 * math.pi * math.e * V).log() - math.log(2 / 255)).clamp(min=0)
    least = decoder_nats[:T].double().cpu()
    came_from = []
    for _ in range(steps - 1):
        least, origin = (least[:, None] + cost).min(dim=0)
        came_from.append(origin)
    chosen = [T - 1]
    for origin in reversed(came_from):
        chosen.append(int(origin[chosen[-1]]))
    return chosen


def chosen_timesteps(schedule: NoiseSchedule, num_steps: int | None, config: Mapping[str, Any]) -> list[int]:
    """The timesteps of a scheduler's config, in descending order: `spacing.spaced_timesteps`, or `optimal_timesteps` for "optimal" with its V_t."""
    spacing, steps_offset = config["timestep_spacing"], config["steps_offset"]
    V, nats = (None if config[key] is None else torch.tensor(config[key], dtype=torch.float64) for key in ("posterior_variance", "decoder_nats"))
    if spacing == OPTIMAL and V is not None:
        return optimal_timesteps(schedule, V, num_steps, nats)
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


def check_decoder(name: str, values: Sequence[float], num_train_timesteps: int) -> None:
    """Refuse a row of the decoder's numbers, variances or nats, of another length, or with one that is not finite and at least 0.

    Raises:
        ValueError: the first such number, with its timestep.
    """
    if len(values) != num_train_timesteps:
        raise ValueError(f"{name} has {len(values)} values: give {num_train_timesteps}, one a training timestep")
    for t, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise ValueError(f"{name}[{t}] = {value}: use a finite number, at least 0")


def write(found: PosteriorVariance, folder: Path) -> Path:
    """Write a table beside a scheduler's config, whole or not at all; returns the file."""
    rows = {
        "posterior_variance": found.values.tolist(),
        "standard_error": found.standard_error.tolist(),
        "from_eps": found.from_eps.tolist(),
        "decoder_variance": found.decoder_variance.tolist(),
        "decoder_nats": found.decoder_nats.tolist(),
        "images": found.images,
    }
    short = {name: [float(f"{value:.6g}") for value in row] if isinstance(row, list) else row for name, row in rows.items()}
    draft, file = folder / f".{FILE}.draft", folder / FILE
    draft.write_text(json.dumps(short) + "\n", encoding="utf-8")
    return draft.replace(file)


def read(folder: Path) -> Table | None:
    """Read the table beside a scheduler's config; None if there is none.

    Raises:
        ValueError: the file is damaged, or holds no variances.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        values = list(content["posterior_variance"])
        check_posterior_variance(values, len(values))
        decoder = {name: list(content[name]) for name in ("decoder_variance", "decoder_nats") if content.get(name) is not None}
        for name, row in decoder.items():
            check_decoder(name, row, len(values))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{file} is damaged ({error}): estimate it again, or delete it") from error
    return Table(values, **decoder)
