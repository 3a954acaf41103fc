"""Samplers on chains that diffusers' own steps do not suit: lengths with a remainder, an end without signal."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from ddpm_space.denoiser import Denoiser
from ddpm_space.notes.reverse import v_from_eps
from ddpm_space.samplers import SAMPLERS, walk
from ddpm_space.sampling import SettingsError
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.scheduler import NotesDDPMScheduler
from ddpm_space.spacing import spaced_timesteps

SOLVERS = ("dpm-solver++", "sde-dpm-solver++")
N = 4000


def ended(denoiser: Denoiser, name: str, steps: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    *_, last = walk(denoiser, torch.randn((N, 1, 1, 1), generator=generator), SAMPLERS[name], steps, generator)
    return last.x_prev.flatten()


def is_the_data_s(x: torch.Tensor, mean: float, std: float) -> bool:
    """Mean and spread within 4.5 standard errors and 6 % of the spread, which is what so few steps may be off."""
    off = abs(float(x.mean()) - mean), abs(float(x.std()) - std)
    return off[0] < 0.06 * std + 4.5 * std / N**0.5 and off[1] < 0.06 * std + 4.5 * std / (2 * N) ** 0.5


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize(("T", "steps"), [(128, 50), (251, 50), (1000, 61), (1000, 600)])
def test_the_samples_are_the_data_s_whatever_the_steps(gaussian_on: Callable, name: str, T: int, steps: int) -> None:
    """With diffusers' own trailing steps 251 / 50 and 1000 / 61 end at t = -1."""
    world = gaussian_on(NoiseSchedule.linear(T, beta_start=0.1 / T, beta_end=20 / T))
    assert is_the_data_s(ended(world.denoiser, name, steps), world.mean, world.std)
    assert SAMPLERS[name].scheduler(world.denoiser, steps).timesteps.tolist() == spaced_timesteps(T, steps, "trailing")


@pytest.mark.parametrize("name", [name for name, sampler in SAMPLERS.items() if not sampler.needs_table])
def test_a_chain_that_ends_without_signal(gaussian_on: Callable, name: str) -> None:
    schedule = NotesDDPMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction").schedule
    assert schedule.terminal_alpha_bar == 0
    world = gaussian_on(schedule)

    def v(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return v_from_eps(x_t, world.denoiser.network(x_t, t), schedule.at(t).alpha_bar_t).float()

    # At zero SNR x_0 does not follow from eps; v is its negative there, and the best one that of the mean.
    ends = lambda x_t, t: torch.where(t.reshape(-1, 1, 1, 1) == 999, torch.full_like(x_t, -world.mean), v(x_t, t.clamp(max=998)))  # noqa: E731
    assert is_the_data_s(ended(Denoiser(ends, "v_prediction", schedule), name, 250), world.mean, world.std)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("steps", [5, 20, 50])
def test_where_nothing_is_left_over_the_steps_are_diffusers_own(gaussian_on: Callable, name: str, steps: int) -> None:
    schedule = NoiseSchedule.cosine(1000)
    ours = SAMPLERS[name].scheduler(gaussian_on(schedule).denoiser, steps)
    options = {"timestep_spacing": "trailing", "algorithm_type": ours.config.algorithm_type}
    stock = DPMSolverMultistepScheduler(1000, trained_betas=schedule.beta.numpy(), **options)
    stock.set_timesteps(steps)
    assert torch.equal(ours.timesteps, stock.timesteps) and torch.equal(ours.sigmas, stock.sigmas)


def test_ddim_says_which_steps_it_cannot_take(gaussian_on: Callable) -> None:
    denoiser = gaussian_on(NoiseSchedule.linear(128, beta_start=1e-3, beta_end=0.15)).denoiser
    with pytest.raises(SettingsError, match=r"cannot take 50 steps of 128: use a number of steps that divides 128"):
        ended(denoiser, "ddim", 50)
    assert SAMPLERS["ddim"].problem(denoiser, 32) is None and len(ended(denoiser, "ddim", 32)) == N
