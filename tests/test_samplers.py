"""Samplers are what they are called, share their noise, and suit chains that diffusers' own steps do not suit."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler

from ddpm_space.coupling import PathNoise
from ddpm_space.denoiser import Denoiser
from ddpm_space.images import quantize
from ddpm_space.notes.reverse import v_from_eps
from ddpm_space.samplers import SAMPLERS, walk
from ddpm_space.sampling import SettingsError
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.scheduler import NotesDDPMScheduler
from ddpm_space.spacing import spaced_timesteps
from training.evaluation.samples import draw, draw_chunk

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


def toy(T: int = 50) -> Denoiser:
    table = torch.linspace(1e-3, 0.8, T, dtype=torch.float64)
    return Denoiser(lambda x, t: torch.tanh(x) * (1 + t.reshape(-1, 1, 1, 1) / T), "epsilon", NoiseSchedule.cosine(T), None, table)


def test_the_ancestral_sampler_is_stock_ddpm() -> None:
    """diffusers' own DDPMScheduler, with the same noise from the same generator."""
    denoiser = toy()
    generator = torch.Generator().manual_seed(3 * 1_000_003 + 2)
    *_, last = walk(denoiser, torch.randn((6, 1, 4, 4), generator=generator), SAMPLERS["ddpm-large"], 10, generator)
    ours = quantize(last.x_prev)
    stock = DDPMScheduler(50, trained_betas=denoiser.schedule.beta.numpy(), variance_type="fixed_large", timestep_spacing="trailing")
    stock.set_timesteps(10)
    generator = torch.Generator().manual_seed(3 * 1_000_003 + 2)
    x = torch.randn((6, 1, 4, 4), generator=generator)
    for t in stock.timesteps:
        # Of the last step stock adds noise unless t = 0, here it never does.
        x = stock.step(denoiser.network(x, t.expand(6)), t, x, generator=generator)[
            "pred_original_sample" if t == stock.timesteps[-1] else "prev_sample"
        ]
    assert float((ours - quantize(x)).abs().max()) <= 2 / 255 + 1e-6 and float((ours - x).abs().mean()) < 2 / 255


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_draws_the_same_again_and_begins_from_the_same_noise(name: str) -> None:
    seen: list[torch.Tensor] = []
    denoiser = toy()

    def watched(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return denoiser.network(x, t)

    network = Denoiser(watched, "epsilon", denoiser.schedule, None, denoiser.posterior_variance)
    first, again, other = (draw_chunk(network, (1, 4, 4), SAMPLERS[name], 5, 3, seed=0, number=number) for number in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other) and len(seen) == 15
    assert torch.equal(seen[0], torch.randn((3, 1, 4, 4), generator=torch.Generator().manual_seed(1)))


def test_a_long_chain_keeps_no_picture_but_the_last() -> None:
    seen: list[weakref.ref[torch.Tensor]] = []

    def network(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append(weakref.ref(x))
        assert sum(each() is not None for each in seen) <= 3, "this step's, and those that a solver and its consumer still hold"
        return torch.tanh(x)

    denoiser = Denoiser(network, "epsilon", NoiseSchedule.cosine(50))
    draw_chunk(denoiser, (1, 4, 4), SAMPLERS["ddpm-small"], 50, 2, seed=0, number=0)
    draw(denoiser, (1, 4, 4), 2, num_steps=50, seed=0)
    assert len(seen) == 100


def still() -> Denoiser:
    """A network that sees the same picture wherever it looks: every step of a chain is then exact, however long."""
    x_0 = torch.linspace(-0.9, 0.9, 16).reshape(1, 1, 4, 4)
    return Denoiser(lambda x, t: x_0.expand_as(x), "sample", NoiseSchedule.cosine(50), None, toy().posterior_variance)


def inside(name: str, steps: int, noise: Any) -> torch.Tensor:
    """x_s at s = 9, which the chains of 5, 10 and 50 steps all visit."""
    generator = torch.Generator().manual_seed(1)
    x_T = torch.randn((300, 1, 4, 4), generator=generator)
    steps_taken = walk(still(), x_T, SAMPLERS[name], steps, noise(generator))
    return next(step.x_t for step in steps_taken if step.t == 9)


def path(generator: torch.Generator) -> Any:
    return PathNoise(still().schedule, lambda: torch.randn((300, 1, 4, 4), generator=generator))


@pytest.mark.parametrize("name", ["ddpm-small", "sde-dpm-solver++"])
def test_chains_of_every_length_share_their_noise(name: str) -> None:
    """diffusers' SDE-DPM-Solver++ of a picture that stands still is the ancestral chain with beta_tilde, whose steps compose exactly."""
    whole = inside("ddpm-small", 50, path)
    for steps in (5, 10):
        assert float((inside(name, steps, path) - whole).abs().max()) < 1e-4
        assert float((inside(name, steps, lambda generator: generator) - whole).abs().mean()) > 0.05, "noise of its own leads elsewhere"


def test_the_images_of_a_shorter_chain_are_nearly_those_of_the_whole_one() -> None:
    """Of a network that follows x_t, so that the noise on the way decides the picture."""
    denoiser = Denoiser(lambda x, t: torch.tanh(2 * x), "sample", NoiseSchedule.cosine(50))
    whole, shorter = (draw_chunk(denoiser, (1, 4, 4), SAMPLERS["ddpm-small"], steps, 50, seed=0, number=0) for steps in (50, 25))
    generator = torch.Generator().manual_seed(0)
    *_, last = walk(denoiser, torch.randn((50, 1, 4, 4), generator=generator), SAMPLERS["ddpm-small"], 25, generator)
    apart = (last.x_prev - whole).abs().mean()
    assert float((shorter - whole).abs().mean()) < float(apart) / 3


def test_the_shared_noise_is_standard_gaussian_and_new_in_every_step() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = PathNoise(NoiseSchedule.cosine(50), lambda: torch.randn(20_000, generator=generator))
    drawn = torch.stack([noise(t, s) for t, s in ((49, 30), (30, 29), (29, 3), (3, 0))])
    assert not noise(0, -1).any(), "clean data gets none"
    # Of 20,000 values: mean, variance and the correlations of two steps are off by less than 4.5 standard errors.
    assert float(drawn.mean(1).abs().max()) < 4.5 / math.sqrt(20_000)
    assert float((torch.cov(drawn) - torch.eye(4)).abs().max()) < 4.5 * math.sqrt(2 / 20_000)


@pytest.mark.parametrize("name", [name for name, sampler in SAMPLERS.items() if sampler.needs_table])
def test_a_sampler_asks_for_the_table(name: str) -> None:
    bare = Denoiser(toy().network, "epsilon", toy().schedule)
    with pytest.raises(SettingsError, match=r"see training/posterior_variance\.py"):
        draw_chunk(bare, (1, 4, 4), SAMPLERS[name], 5, 1, seed=0, number=0)
    with pytest.raises(SettingsError, match=r"51 is not possible\. Use a whole number from 1 to 50"):
        draw_chunk(toy(), (1, 4, 4), SAMPLERS[name], 51, 1, seed=0, number=0)
