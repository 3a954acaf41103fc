"""Noising and sampling written over a bundle of formulas, so that a right and a wrong run differ in one formula and share all noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.mistakes.formulas import RIGHT, Formulas
from ddpm_space.notes.coefficients import cast
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.spacing import spaced_timesteps

VARIANCE_TYPES = ("fixed_small", "fixed_large")


@dataclass(frozen=True)
class ForwardFrame:
    """x_t by both routes: `walked` there by single steps, `jumped` there at once, from the same x_0; each (B, ...)."""

    t: int
    walked: Tensor
    jumped: Tensor


@dataclass(frozen=True)
class ReverseFrame:
    """One step of sampling, `index` of `total` counted from 0: asked the network at t, and went from x_t to x_s; tensors (B, ...)."""

    index: int
    total: int
    t: int
    x_t: Tensor
    x_0_hat: Tensor
    x_s: Tensor


def add_noise(x_0: Tensor, schedule: NoiseSchedule, *, formulas: Formulas = RIGHT, seed: int = 0) -> Iterator[ForwardFrame]:
    """Noise x_0 along the whole chain by single steps, and to each t at once [N5, N6]; both laws are the same where the formulas are right.

    Args:
        x_0: (B, ...) clean data; seed: decides all noise, whatever the formulas.
    Yields:
        ForwardFrame for t = 0 .. T-1.
    """
    generator = torch.Generator().manual_seed(seed)
    steps = len(schedule)
    alpha_bar = formulas.chain_alpha_bars(schedule.beta, torch.arange(steps - 1, -1, -1))[0].flip(0)
    jump_eps, walked = _normal(x_0, generator), x_0
    for t in range(steps):
        walked = formulas.q_step_sample(walked, schedule.beta[t], eps=_normal(x_0, generator))
        mean, variance = formulas.q_cumulative(x_0, alpha_bar[t])
        yield ForwardFrame(t, walked, mean + cast(variance.sqrt(), x_0) * jump_eps)


def denoise(
    denoiser: Denoiser,
    shape: tuple[int, ...],
    *,
    num_samples: int = 16,
    num_steps: int | None = None,
    formulas: Formulas = RIGHT,
    variance_type: str = "fixed_small",
    shorten: bool = False,
    clip: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Iterator[ReverseFrame]:
    """Sample by algorithm 2, every formula of it taken from `formulas`; the network alone is always asked rightly [N8; Ho 2020 algorithm 2].

    Two runs with the same seed, shape and number of steps start from the same x_T and use the same z in every step, whatever the formulas.

    Args:
        denoiser: any, on `device`; shape: of one sample, such as (1, 28, 28) or (2,); num_steps: 1 to T, default T.
        variance_type: "fixed_small" (beta_tilde) or "fixed_large" (beta); clip: bound on |x_0_hat|, None for none.
        shorten: False visits some of the trained steps; True makes a shorter schedule and asks the network at the trained t of the nearest noise.
    Yields:
        ReverseFrame from the noisiest step on; the last x_s is the result. A wrong formula may make it infinite or NaN.
    Raises:
        ValueError: unknown variance_type, num_steps outside 1..T.
    """
    if variance_type not in VARIANCE_TYPES:
        raise ValueError(f"unknown variance_type '{variance_type}': use one of {', '.join(VARIANCE_TYPES)}")
    schedule = denoiser.schedule
    steps = len(schedule) if num_steps is None else num_steps
    timesteps = torch.tensor(spaced_timesteps(len(schedule), steps, "trailing"))
    if shorten:
        beta = formulas.shortened_betas(schedule.beta, steps)
        alpha_bars = formulas.chain_alpha_bars(beta, torch.arange(steps - 1, -1, -1))
        timesteps = nearest_timesteps(schedule, alpha_bars[0])
    else:
        alpha_bars = formulas.chain_alpha_bars(schedule.beta, timesteps)
    sigma2 = (formulas.beta_tilde if variance_type == "fixed_small" else formulas.beta_between)(*alpha_bars)
    generator = torch.Generator().manual_seed(seed)
    like = torch.empty(num_samples, *shape, dtype=dtype, device=device)
    x_t = _normal(like, generator)
    for index, (t, alpha_bar_t, alpha_bar_s, sigma2_t) in enumerate(zip(timesteps, *alpha_bars, sigma2)):
        # Not around the yield: inference mode belongs to a thread, and would stay on in the consumer's code between two frames.
        with torch.inference_mode():
            eps_theta = denoiser.predict(x_t, t.to(device)).eps_theta
            x_0_hat = formulas.x_0_from_eps(x_t, eps_theta, alpha_bar_t)
            x_0_hat = x_0_hat if clip is None else x_0_hat.clamp(-clip, clip)
            # Drawn on every step, the last one too, so that all runs of a seed see the same noise.
            x_s = formulas.ancestral_step(x_0_hat, x_t, alpha_bar_t, alpha_bar_s, sigma2_t, eps=_normal(like, generator))
        yield ReverseFrame(index, steps, int(t), x_t, x_0_hat, x_s)
        x_t = x_s


def nearest_timesteps(schedule: NoiseSchedule, alpha_bar_t: Tensor) -> Tensor:
    """The trained t whose log SNR is nearest to that of each alpha_bar_t: int64 (K,)."""
    trained, asked = (torch.logit(values.clamp(1e-12, 1 - 1e-12)) for values in (schedule.alpha_bar, alpha_bar_t))
    return (asked[:, None] - trained).abs().argmin(dim=1)


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise drawn on the CPU, the same for every device."""
    return torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)
