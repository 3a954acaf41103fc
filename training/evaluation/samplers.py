"""Samplers by name: the ancestral chain with each variance and spacing, and diffusers' own DDIM and DPM-Solver++ as they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.images import check_finite, quantize
from ddpm_space.scheduler import NotesDDPMScheduler
from training.config import ConfigError


@dataclass(frozen=True)
class Sampler:
    """One way to draw images from a denoiser.

    words: for a table; variance: of the ancestral chain, None where the chain is no sampler of p_theta and has no bound; spacing: of its steps;
    make: the scheduler's class.
    """

    name: str
    words: str
    variance: str | None
    spacing: str
    make: Callable[..., Any] = NotesDDPMScheduler

    @property
    def ours(self) -> bool:
        """Whether the scheduler is this project's: the ancestral chain."""
        return self.make is NotesDDPMScheduler

    @property
    def needs_table(self) -> bool:
        """Whether the denoiser's posterior variance is asked for."""
        return self.variance == "analytic" or self.spacing == "optimal"

    def scheduler(self, denoiser: Denoiser, num_steps: int) -> Any:
        """The scheduler of this sampler, its timesteps chosen.

        Raises:
            ConfigError: more steps than the chain has, or a table that was not estimated.
        """
        T = len(denoiser.schedule)
        if not 1 <= num_steps <= T:
            raise ConfigError(f"{num_steps} steps: use 1 to {T}, the steps that the model was trained on")
        if self.needs_table and denoiser.posterior_variance is None:
            raise ConfigError(f"the sampler '{self.name}' needs the model's posterior variance: run training/posterior_variance.py first")
        common = {
            "num_train_timesteps": T,
            "trained_betas": denoiser.schedule.beta.tolist(),
            "prediction_type": denoiser.prediction_type,
            "timestep_spacing": self.spacing,
        }
        if self.ours:
            common["variance_type"] = self.variance
            if denoiser.posterior_variance is not None:
                common["posterior_variance"] = denoiser.posterior_variance.tolist()
        made = self.make(**common)
        made.set_timesteps(num_steps)
        return made


SAMPLERS = {
    sampler.name: sampler
    for sampler in (
        Sampler("ddpm-small", "DDPM, variance beta_tilde", "fixed_small", "trailing"),
        Sampler("ddpm-large", "DDPM, variance beta", "fixed_large", "trailing"),
        Sampler("ddpm-analytic", "DDPM, variance analytic", "analytic", "trailing"),
        Sampler("ddpm-small-quadratic", "DDPM, variance beta_tilde, quadratic steps", "fixed_small", "quadratic"),
        Sampler("ddpm-analytic-optimal", "DDPM, variance analytic, optimal steps", "analytic", "optimal"),
        Sampler("ddim", "DDIM (diffusers)", None, "trailing", DDIMScheduler),
        Sampler("dpm-solver++", "DPM-Solver++ 2M (diffusers)", None, "trailing", DPMSolverMultistepScheduler),
    )
}


def draw_chunk(
    denoiser: Denoiser, shape: tuple[int, int, int], sampler: Sampler, num_steps: int, size: int, *, seed: int, number: int, device: str = "cpu"
) -> Tensor:
    """Draw one chunk of images; the chunk `number` of a seed begins from the same noise for every sampler and number of steps.

    Args:
        denoiser: in eval mode, on `device`; shape: (C, H, W); size: how many images.
    Returns:
        (size, C, H, W) in [-1, 1] on the 256-level grid, on the CPU.
    Raises:
        ConfigError: as `Sampler.scheduler`. ImageError: a chain that ended in NaN.
    """
    scheduler = sampler.scheduler(denoiser, num_steps)
    generator = torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)
    with torch.inference_mode():
        x = torch.randn((size, *shape), generator=generator).to(device)
        for t in scheduler.timesteps:
            output = denoiser.network(x, t.to(device).expand(size))
            # The others are functions of x_T: nothing is drawn on the way.
            noise = {"generator": generator} if sampler.ours else {}
            x = scheduler.step(output, t, x, return_dict=False, **noise)[0]
        return quantize(check_finite(x.cpu().float(), "error.image.sample_not_finite"))
