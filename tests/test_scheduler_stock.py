"""Where diffusers' DDPMScheduler is wrong: what it does, and what is done here instead. A name that it knows keeps its schedule all the same."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler

from ddpm_space.scheduler import NotesDDPMScheduler


def step(scheduler: Any, t: int, **options: Any) -> torch.Tensor:
    x_t, output = (torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    return scheduler.step(output, t, x_t, torch.Generator().manual_seed(2), **options).prev_sample


def exact_one_minus_alpha_bar(t: int) -> float:
    """1 - abar_t of the default linear schedule, by a sum of logarithms that loses no digit."""
    return -math.expm1(math.fsum(math.log1p(-(1e-4 + (0.02 - 1e-4) * i / 999)) for i in range(t + 1)))


def test_fixed_large_log_is_nan_in_stock() -> None:
    stock, ours = DDPMScheduler(variance_type="fixed_large_log"), NotesDDPMScheduler(variance_type="fixed_large_log")
    assert torch.isnan(step(stock, 500)).all()
    assert torch.equal(step(ours, 500), step(NotesDDPMScheduler(variance_type="fixed_large"), 500))


def test_stock_takes_any_variance_type() -> None:
    assert torch.equal(step(DDPMScheduler(variance_type="fixd_large"), 500), step(DDPMScheduler(variance_type="fixed_small"), 500))
    with pytest.raises(ValueError, match=r"unknown variance_type 'fixd_large': use one of fixed_small, .*, learned_range, given"):
        NotesDDPMScheduler(variance_type="fixd_large")


@pytest.mark.parametrize(("dtype", "silent"), [(torch.float16, 2), (torch.bfloat16, 10)])
def test_stock_adds_no_noise_in_half_precision(dtype: torch.dtype, silent: int) -> None:
    """At the first steps 1 - abar_t is 0 when abar_t is rounded first; the weight itself fits into half precision."""
    t = torch.arange(silent)
    x_0, eps = torch.zeros(silent, 1, 1, 1, dtype=dtype), torch.ones(silent, 1, 1, 1, dtype=dtype)
    assert torch.equal(DDPMScheduler().add_noise(x_0, eps, t), x_0)
    added = NotesDDPMScheduler().add_noise(x_0, eps, t).flatten().tolist()
    for i in range(silent):
        assert added[i] == pytest.approx(exact_one_minus_alpha_bar(i) ** 0.5, rel=torch.finfo(dtype).eps)


def test_float32_tables_lose_one_minus_alpha_bar() -> None:
    exact = torch.tensor([exact_one_minus_alpha_bar(t) for t in range(1000)], dtype=torch.float64)
    stock = ((1 - DDPMScheduler().alphas_cumprod).double() / exact - 1).abs().max()
    ours = ((1 - NotesDDPMScheduler().alphas_cumprod) / exact - 1).abs().max()
    assert 1e-4 < float(stock) < 3e-4
    assert float(ours) < 1e-11


@pytest.mark.filterwarnings("ignore:alpha_bar_T")
def test_laplace_keeps_the_flaw_under_its_name_and_loses_it_under_another() -> None:
    stock = DDPMScheduler(beta_schedule="laplace")
    with pytest.warns(UserWarning, match=r"0\.707 instead of 0\.5.*'laplace_corrected'"):
        same = NotesDDPMScheduler(beta_schedule="laplace")
    torch.testing.assert_close(same.alphas_cumprod.float(), stock.alphas_cumprod, rtol=1e-4, atol=1e-6)
    assert float(stock.alphas_cumprod[499]) == pytest.approx(0.5**0.5, abs=1e-3)
    corrected = NotesDDPMScheduler(beta_schedule="laplace_corrected")
    assert corrected.problems == ()
    assert float(corrected.alphas_cumprod[499]) == pytest.approx(0.5, abs=1e-3)


def test_stock_trailing_may_visit_minus_one() -> None:
    """61 of 1000: stock returns 62 timesteps, and its last step reads alpha_bar at index -1, the noisiest, for the finished image."""
    stock, ours = DDPMScheduler(timestep_spacing="trailing"), NotesDDPMScheduler(timestep_spacing="trailing")
    stock.set_timesteps(61)
    assert len(stock.timesteps) == 62 and stock.timesteps[-1] == -1
    wrong = 0
    for steps in range(1, 1001):
        stock.set_timesteps(steps)
        expected = [t for t in stock.timesteps.tolist() if t >= 0]
        wrong += len(expected) != len(stock.timesteps)
        if steps % 20 == 1 or len(expected) != len(stock.timesteps):
            ours.set_timesteps(steps)
            assert ours.timesteps.tolist() == expected and len(expected) == steps
    assert wrong == 62


def test_stock_adds_noise_to_the_finished_image() -> None:
    """10 of 1000 steps, trailing: the last one starts at t = 99, and fixed_large adds sqrt(1 - abar_99) = 0.32 of noise after it."""
    noise = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    finished = {}
    for cls in (DDPMScheduler, NotesDDPMScheduler):
        scheduler = cls(timestep_spacing="trailing", variance_type="fixed_large")
        scheduler.set_timesteps(10)
        assert scheduler.timesteps[-1] == 99
        x_t, output = (torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
        result = scheduler.step(output, 99, x_t, torch.Generator().manual_seed(2))
        finished[cls] = result.prev_sample - result.pred_original_sample
    torch.testing.assert_close(finished[DDPMScheduler], exact_one_minus_alpha_bar(99) ** 0.5 * noise, rtol=1e-3, atol=1e-5)
    assert exact_one_minus_alpha_bar(99) ** 0.5 > 0.3
    assert float(finished[NotesDDPMScheduler].abs().max()) < 1e-6


def test_stock_forgets_positional_arguments() -> None:
    assert len(DDPMScheduler.from_config(DDPMScheduler(10).config)) == 1000
    with pytest.warns(UserWarning, match="alpha_bar_T"):
        assert len(NotesDDPMScheduler.from_config(NotesDDPMScheduler(10).config)) == 10
    with pytest.raises(TypeError, match="at most 19 arguments"):
        NotesDDPMScheduler(*range(20))


def test_stock_steps_at_timesteps_that_do_not_exist() -> None:
    """Stock takes t = -1 for the last row of its table; here it is an error that names the value."""
    assert torch.isfinite(step(DDPMScheduler(), -1)).all()
    for t in (-1, 1000, 10**9):
        with pytest.raises(ValueError, match=f"timestep {t} is outside the chain: use 0 <= t <= 999"):
            step(NotesDDPMScheduler(), t)
