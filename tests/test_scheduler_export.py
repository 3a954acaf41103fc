"""Export: what plain diffusers reads back is the same alpha_bar and the same sigma_t^2."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from ddpm_space import analytic
from ddpm_space.scheduler import NotesDDPMScheduler
from ddpm_space.scheduler_parts.export import GIVEN_VARIANCE_FILE, NAMES_FILE
from ddpm_space.scheduler_parts.stock_schedules import BETA_SCHEDULES

T = 90


def sigma2(scheduler: Any, t: int) -> float:
    """Measure the variance of a step from two that differ by their noise alone."""
    x_t = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    a, b = (scheduler.step(x_t, t, x_t, torch.Generator().manual_seed(seed)).prev_sample for seed in (1, 2))
    noise = [torch.randn(x_t.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in (1, 2)]
    return float(((a - b) / (noise[0] - noise[1])).median()) ** 2


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("variance_type", ["fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"])
@pytest.mark.parametrize("beta_schedule", BETA_SCHEDULES)
def test_round_trip_through_stock(beta_schedule: str, variance_type: str, tmp_path: Path) -> None:
    """To 1e-4 relative: stock's tables are float32, which costs 1 - abar and beta_tilde that much."""
    ours = NotesDDPMScheduler(num_train_timesteps=T, beta_end=0.15, beta_schedule=beta_schedule, variance_type=variance_type)
    ours.save_stock(tmp_path)
    stock, back = DDPMScheduler.from_pretrained(tmp_path), NotesDDPMScheduler.from_pretrained(tmp_path)
    assert json.loads((tmp_path / "scheduler_config.json").read_text())["_class_name"] == "DDPMScheduler"
    assert not (tmp_path / GIVEN_VARIANCE_FILE).exists()
    torch.testing.assert_close(back.alphas_cumprod, ours.alphas_cumprod, rtol=1e-12, atol=0)
    torch.testing.assert_close(stock.alphas_cumprod.double(), ours.alphas_cumprod, rtol=1e-4, atol=1e-7)
    for scheduler in (ours, stock, back):
        scheduler.set_timesteps(timesteps=[T - 1, 60, 20, 3])
    for t in (T - 1, 60, 20):
        assert sigma2(stock, t) == pytest.approx(sigma2(ours, t), rel=1e-4)
        assert sigma2(back, t) == pytest.approx(sigma2(ours, t), rel=1e-12)


def test_a_given_variance_goes_into_a_side_file(tmp_path: Path) -> None:
    """Plain diffusers gets fixed_large; this package reads the table beside it. A later export without one removes it."""
    table: list[float | None] = [None] * T
    for t in (80, 40, 7):
        table[t] = 1e-3 * t
    ours = NotesDDPMScheduler(num_train_timesteps=T, beta_schedule="laplace_corrected", variance_type="given", given_variance=table)
    ours.save_stock(tmp_path / "scheduler")
    stock = DDPMScheduler.from_pretrained(tmp_path, subfolder="scheduler")
    assert stock.config.variance_type == "fixed_large"
    back = NotesDDPMScheduler.from_pretrained(tmp_path, subfolder="scheduler")
    assert back.config.given_variance == table
    torch.testing.assert_close(back.alphas_cumprod, ours.alphas_cumprod, rtol=1e-12, atol=0)
    for scheduler in (ours, back):
        scheduler.set_timesteps(timesteps=[80, 40, 7])
        assert [sigma2(scheduler, t) for t in (80, 40)] == pytest.approx([0.08, 0.04])
    NotesDDPMScheduler.from_config(ours.config, variance_type="fixed_small", given_variance=None).save_stock(tmp_path / "scheduler")
    assert not (tmp_path / "scheduler" / GIVEN_VARIANCE_FILE).exists()
    (tmp_path / "scheduler" / GIVEN_VARIANCE_FILE).write_text('{"given_varia')
    with pytest.raises(ValueError, match="is damaged"):
        NotesDDPMScheduler.from_pretrained(tmp_path / "scheduler")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_spacing_of_ours_goes_into_a_side_file(tmp_path: Path) -> None:
    """Without any table beside it; a later export of a spacing that diffusers knows removes it."""
    ours = NotesDDPMScheduler(num_train_timesteps=T, timestep_spacing="quadratic")
    ours.save_stock(tmp_path)
    assert DDPMScheduler.from_pretrained(tmp_path).config.timestep_spacing == "trailing"
    back = NotesDDPMScheduler.from_pretrained(tmp_path)
    for scheduler in (ours, back):
        scheduler.set_timesteps(7)
    assert back.config.timestep_spacing == "quadratic" and torch.equal(back.timesteps, ours.timesteps)
    NotesDDPMScheduler(num_train_timesteps=T, timestep_spacing="trailing").save_stock(tmp_path)
    assert not (tmp_path / NAMES_FILE).exists() and NotesDDPMScheduler.from_pretrained(tmp_path).config.timestep_spacing == "trailing"
    for content in ("{", "[1]", "7"):
        (tmp_path / NAMES_FILE).write_text(content)
        with pytest.raises(ValueError, match=r"own_names\.json is damaged"):
            NotesDDPMScheduler.from_pretrained(tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_table_estimated_anew_leaves_variance_and_spacing_as_they_are(tmp_path: Path) -> None:
    options = {"num_train_timesteps": T, "variance_type": "analytic", "timestep_spacing": "optimal"}
    NotesDDPMScheduler(**options, posterior_variance=[0.5] * T).save_stock(tmp_path)
    row = torch.full((T,), 0.25, dtype=torch.float64)
    analytic.write(analytic.PosteriorVariance(row, row, row, row, row, 2), tmp_path)
    again = NotesDDPMScheduler.from_pretrained(tmp_path).config
    assert {key: again[key] for key in options} == options and again.posterior_variance == [0.25] * T


@pytest.mark.parametrize(
    "options",
    [
        {"trained_betas": [0.1, 0.2, 0.9], "num_train_timesteps": 3},
        {"trained_betas": [0.1, 1.5, 0.9], "num_train_timesteps": 3},
        {"beta_start": 0.1, "beta_end": 1.1, "num_train_timesteps": 30},
        {"beta_schedule": "laplace_corrected", "rescale_betas_zero_snr": True, "num_train_timesteps": 30, "prediction_type": "v_prediction"},
        {"beta_schedule": "linear", "rescale_betas_zero_snr": True, "num_train_timesteps": 30, "prediction_type": "v_prediction"},
    ],
)
def test_awkward_betas_round_trip(options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = NotesDDPMScheduler(**options)
        stock = DDPMScheduler.from_config(ours.to_stock().config)
        back = NotesDDPMScheduler.from_config(stock.config)
    torch.testing.assert_close(stock.alphas_cumprod.double(), ours.alphas_cumprod, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(back.alphas_cumprod, ours.alphas_cumprod, rtol=1e-12, atol=0)


def test_every_other_option_survives() -> None:
    options = {
        "num_train_timesteps": T,
        "beta_end": 0.15,
        "clip_sample": False,
        "prediction_type": "v_prediction",
        "thresholding": True,
        "dynamic_thresholding_ratio": 0.9,
        "clip_sample_range": 2.0,
        "sample_max_value": 3.0,
        "timestep_spacing": "trailing",
        "steps_offset": 2,
        "variance_type": "learned_range",
    }
    stock = DDPMScheduler.from_config(NotesDDPMScheduler(**options).to_stock().config)
    assert {key: stock.config[key] for key in options} == options


def test_a_pipeline_with_the_export_names_diffusers_alone(tiny_pipeline: Path, tmp_path: Path) -> None:
    unet = UNet2DModel.from_pretrained(tiny_pipeline, subfolder="unet")
    ours = NotesDDPMScheduler(num_train_timesteps=T, beta_schedule="laplace_corrected")
    DDPMPipeline(unet=unet, scheduler=ours.to_stock()).save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["scheduler"] == ["diffusers", "DDPMScheduler"]
    torch.testing.assert_close(DDPMPipeline.from_pretrained(tmp_path).scheduler.alphas_cumprod.double(), ours.alphas_cumprod, rtol=1e-4, atol=1e-7)
