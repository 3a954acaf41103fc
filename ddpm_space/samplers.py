"""Samplers by name: the ancestral chain with each variance and spacing, and diffusers' own DDIM and DPM-Solver++ with and without noise."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.images import check_finite
from ddpm_space.sampling import ANALYTIC, SettingsError, table_options
from ddpm_space.spacing import OPTIMAL, spaced_timesteps

EVEN_ONLY = "DDIMScheduler"
"""diffusers' DDIM takes every step as T // steps long, wherever the next timestep is: where that leaves a remainder, noise stays in the picture."""


@dataclass(frozen=True)
class Sampler:
    """One way to draw images from a denoiser.

    words: for a table; variance: of the ancestral chain, None where the chain is no sampler of p_theta and has no bound; spacing: of its steps;
    stock: the class of diffusers that it is, None for the ancestral chain; algorithm: its `algorithm_type`, None as it comes.
    """

    name: str
    words: str
    variance: str | None
    spacing: str
    stock: str | None = None
    algorithm: str | None = None

    @property
    def is_random(self) -> bool:
        """Whether it draws noise on its way; the others are functions of x_T."""
        return self.stock is None or (self.algorithm or "").startswith("sde")

    @property
    def needs_table(self) -> bool:
        """Whether the denoiser's posterior variance is asked for."""
        return self.variance == ANALYTIC or self.spacing == OPTIMAL

    def problem(self, denoiser: Denoiser, num_steps: int) -> SettingsError | None:
        """Why it cannot walk this chain in so many steps: the chain has fewer, DDIM has no such steps, or a table is missing. None if it can."""
        T = len(denoiser.schedule)
        if not 1 <= operator.index(num_steps) <= T:
            return SettingsError("error.settings.num_steps", value=num_steps, highest=T)
        if self.stock == EVEN_ONLY and T % num_steps:
            return SettingsError("error.settings.uneven", value=num_steps, T=T)
        if self.needs_table and denoiser.posterior_variance is None:
            return SettingsError("error.settings.no_table", value=ANALYTIC if self.variance == ANALYTIC else OPTIMAL)
        return None

    def scheduler(self, denoiser: Denoiser, num_steps: int) -> Any:
        """The scheduler of this sampler, its timesteps chosen.

        Raises:
            SettingsError: its `problem`.
        """
        import diffusers

        from ddpm_space.scheduler import NotesDDPMScheduler

        if problem := self.problem(denoiser, num_steps):
            raise problem
        T = len(denoiser.schedule)
        common: dict[str, Any] = {
            "num_train_timesteps": T,
            "trained_betas": denoiser.schedule.beta.tolist(),
            "prediction_type": denoiser.prediction_type,
            "timestep_spacing": self.spacing,
        }
        if self.stock is None:
            made = NotesDDPMScheduler(**common, variance_type=self.variance, **table_options(denoiser))
            made.set_timesteps(num_steps)
        elif self.stock == EVEN_ONLY:
            made = diffusers.DDIMScheduler(**common)
            made.set_timesteps(num_steps)
        else:
            # diffusers' own trailing steps have one too many, t = -1, for some numbers of them; and at zero SNR it divides by zero unless told of it.
            options = {"algorithm_type": self.algorithm} if self.algorithm else {}
            made = getattr(diffusers, self.stock)(**common, **options, rescale_betas_zero_snr=denoiser.schedule.terminal_alpha_bar == 0)
            made.set_timesteps(timesteps=spaced_timesteps(T, num_steps, self.spacing))
        return made


SAMPLERS = {
    sampler.name: sampler
    for sampler in (
        Sampler("ddpm-small", "DDPM, variance beta_tilde", "fixed_small", "trailing"),
        Sampler("ddpm-large", "DDPM, variance beta", "fixed_large", "trailing"),
        Sampler("ddpm-analytic", "DDPM, variance analytic", "analytic", "trailing"),
        Sampler("ddpm-small-quadratic", "DDPM, variance beta_tilde, quadratic steps", "fixed_small", "quadratic"),
        Sampler("ddpm-analytic-optimal", "DDPM, variance analytic, optimal steps", "analytic", "optimal"),
        Sampler("ddim", "DDIM (diffusers)", None, "trailing", "DDIMScheduler"),
        Sampler("dpm-solver++", "DPM-Solver++ 2M (diffusers)", None, "trailing", "DPMSolverMultistepScheduler"),
        # Its step of first order is the ancestral one with beta_tilde; the second order adds what the last two x_0_hat tell of the next.
        Sampler("sde-dpm-solver++", "SDE-DPM-Solver++ 2M (diffusers)", None, "trailing", "DPMSolverMultistepScheduler", "sde-dpmsolver++"),
    )
}


@dataclass(frozen=True)
class SamplerStep:
    """One step of a sampler, `index` of `total`: x_t and what comes of it, x_prev, both (B, C, H, W); output is the network's, for x_t."""

    index: int
    total: int
    t: int
    x_t: Tensor
    output: Tensor
    x_prev: Tensor


def walk(
    denoiser: Denoiser, x_T: Tensor, sampler: Sampler, num_steps: int, noise: Generator | list[Generator] | Callable[[int, int], Tensor]
) -> Iterator[SamplerStep]:
    """Take a batch from noise to images, yielding every step; closing the generator stops the work.

    Args:
        denoiser: in eval mode; x_T: (B, C, H, W) on its device, standard Gaussian noise.
        noise: what a random sampler draws from on its way: one generator, one for each image, or the noise of a step t -> s itself as a function of
            (t, s), such as `coupling.PathNoise`; s = -1 is clean data. Other samplers are functions of x_T.
    Yields:
        SamplerStep, the last one's x_prev are the images.
    Raises:
        SettingsError: the sampler's `problem`. ImageError: a chain that ended in NaN.
    """
    scheduler = sampler.scheduler(denoiser, num_steps)
    x, total = x_T, len(scheduler.timesteps)
    for index, (t, s) in enumerate(zip(scheduler.timesteps, [*scheduler.timesteps.tolist()[1:], -1])):
        # Not around the yield: inference mode belongs to a thread, and would stay on in the consumer's code between two steps.
        with torch.inference_mode():
            output = denoiser.network(x, t.to(x.device).expand(len(x)))
            drawing: dict[str, Any] = {}
            if sampler.is_random:
                drawing = {"variance_noise": noise(int(t), s).to(x)} if callable(noise) else {"generator": noise}
            x_prev = scheduler.step(output, t, x, return_dict=False, **drawing)[0]
        if index == total - 1:
            check_finite(x_prev, "error.image.sample_not_finite")
        yield SamplerStep(index, total, int(t), x, output, x_prev)
        x = x_prev
