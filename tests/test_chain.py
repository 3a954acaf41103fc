"""The chain as a whole: agreement with the schedule's own respacing, shorter chains that end in the same noise, and a quiet last step."""

from __future__ import annotations

import pytest
import torch

from ddpm_space.notes.chain import ancestral_step, chain_alpha_bars, shortened_betas
from ddpm_space.schedule import NoiseSchedule


@pytest.mark.parametrize("timesteps", [[39], [39, 20, 3], list(range(39, -1, -1))])
def test_alpha_bars_are_those_of_the_respaced_schedule(schedule: NoiseSchedule, timesteps: list[int]) -> None:
    alpha_bar_t, alpha_bar_s = chain_alpha_bars(schedule.beta, torch.tensor(timesteps))
    respaced = schedule.respaced(timesteps)
    assert (alpha_bar_t - respaced.alpha_bar.flip(0)).abs().max() < 1e-14
    assert (alpha_bar_s - respaced.alpha_bar_prev.flip(0)).abs().max() < 1e-14


@pytest.mark.parametrize("timesteps", [[], [3, 3], [3, 5], [40], [3, -1], [[3]]])
def test_a_list_that_no_chain_visits_is_refused(schedule: NoiseSchedule, timesteps: list[int]) -> None:
    with pytest.raises(ValueError, match=r"strictly descending list within 0\.\.39"):
        chain_alpha_bars(schedule.beta, torch.tensor(timesteps, dtype=torch.int64))


@pytest.mark.parametrize("steps", [1, 7, 50, 1000])
def test_a_shortened_chain_ends_in_the_same_noise(steps: int) -> None:
    whole = NoiseSchedule.linear(1000)
    short = NoiseSchedule.from_betas(shortened_betas(whole.beta, steps))
    assert short.terminal_alpha_bar == pytest.approx(whole.terminal_alpha_bar, rel=1e-12)
    assert short.terminal_problem() is None
    if steps == 50:
        assert (short.alpha_bar - whole.alpha_bar[19::20]).abs().max() < 1e-14
        assert NoiseSchedule.linear(50).terminal_problem() is not None, "the same range of beta over fewer steps is what this mends"


@pytest.mark.parametrize("steps", [0, 41])
def test_a_number_of_steps_that_is_no_shortening_is_refused(schedule: NoiseSchedule, steps: int) -> None:
    with pytest.raises(ValueError, match=f"steps = {steps}: use 1 to 40"):
        shortened_betas(schedule.beta, steps)


def test_a_chain_without_a_logarithm_is_refused() -> None:
    with pytest.raises(ValueError, match=r"beta\[1\] = 1"):
        shortened_betas(torch.tensor([0.5, 1.0, 0.5]), 2)


def test_only_the_samples_that_reach_clean_data_get_no_noise() -> None:
    x_0_hat, x_t, eps = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    alpha_bar_s = torch.tensor([0.7, 1.0], dtype=torch.float64)
    x_s = ancestral_step(x_0_hat, x_t, 0.4, alpha_bar_s, 0.09, eps=eps)
    quiet = ancestral_step(x_0_hat, x_t, 0.4, alpha_bar_s, 0.09, eps=torch.zeros_like(eps))
    assert (x_s - quiet - torch.tensor([[0.3], [0.0]], dtype=torch.float64) * eps).abs().max() < 1e-15
    assert torch.equal(x_s[1], x_0_hat[1])


def test_timesteps_that_are_no_whole_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"timesteps are torch.float32: use whole numbers"):
        chain_alpha_bars(NoiseSchedule.linear(9).beta, torch.tensor([5.7, 2.2]))
