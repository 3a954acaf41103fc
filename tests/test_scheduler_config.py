"""The scheduler's config: what is refused, what is warned of, the timesteps, and the way through from_config, save and load."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

from ddpm_space.schedule import SCHEDULES, NoiseSchedule
from ddpm_space.scheduler import NotesDDPMScheduler
from ddpm_space.scheduler_parts.stock_schedules import BETA_SCHEDULES

# Its end is noise: alpha_bar_T = 1.5e-4.
SHORT: dict[str, Any] = {"num_train_timesteps": 40, "beta_start": 1e-3, "beta_end": 0.4}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta_schedule": "lineer"}, r"unknown beta_schedule 'lineer': use one of linear, .*squaredcos_cap_v2.*, cosine, laplace_corrected"),
        ({"variance_type": ""}, "unknown variance_type '': use one of fixed_small"),
        ({"prediction_type": "eps"}, "unknown prediction_type 'eps': use one of epsilon, sample, v_prediction"),
        ({"timestep_spacing": "log"}, "unknown timestep_spacing 'log': use one of linspace, leading, trailing"),
        ({"num_train_timesteps": 0}, "num_train_timesteps = 0"),
        ({"num_train_timesteps": 10**9}, "num_train_timesteps = 1000000000"),
        ({"beta_start": -0.1}, r"beta\[0\] = -0.1 is outside"),
        ({"trained_betas": [0.1, float("nan")], "num_train_timesteps": 2}, r"beta\[1\] = nan is outside"),
        ({"num_train_timesteps": 1, "rescale_betas_zero_snr": True}, "at least 2 steps"),
        ({"dynamic_thresholding_ratio": 1.5}, "dynamic_thresholding_ratio = 1.5"),
        ({"clip_sample_range": 0.0}, "clip_sample_range = 0.0"),
        ({"variance_type": "given"}, "pass both or neither"),
        ({"given_variance": [0.1] * 1000}, "pass both or neither"),
        ({"variance_type": "given", "given_variance": [0.1] * 999}, "given_variance has 999 values: give 1000"),
        ({"variance_type": "given", "given_variance": [0.1] * 999 + [-1.0]}, r"given_variance\[999\] = -1.0"),
        ({"variance_type": "given", "given_variance": [float("inf")] * 1000}, r"given_variance\[0\] = inf"),
    ],
)
def test_bad_options_are_refused_at_construction(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NotesDDPMScheduler(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_train_timesteps": 50}, r"alpha_bar_T = 0\.6\d* after 50 steps.*Use more steps, or raise beta"),
        ({"beta_start": 0.1, "beta_end": 2.0}, r"beta\[474\] = 1\.00\d* is not below 1.*capped at 0\.999\. Use a smaller beta_end"),
        ({"beta_start": 0.1, "beta_end": 2.0}, r"alpha_bar is 0 from t = \d+ on"),
        ({"rescale_betas_zero_snr": True}, "zero terminal SNR.*Use prediction_type 'v_prediction'"),
        ({"trained_betas": [0.5, 0.999]}, r"2 values but num_train_timesteps is 1000: only 2 steps can be used. Pass num_train_timesteps=2"),
    ],
)
def test_bad_schedules_are_warned_of_with_the_number_and_the_fix(options: dict[str, Any], message: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scheduler = NotesDDPMScheduler(**options)
    assert any(re.search(message, problem) for problem in scheduler.problems)
    assert [str(warning.message) for warning in caught] == list(scheduler.problems)
    scheduler.step(torch.zeros(1, 1, 2, 2), 0, torch.zeros(1, 1, 2, 2))


@pytest.mark.parametrize(
    "options",
    [
        {},
        SHORT,
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
        {"num_train_timesteps": 20, "beta_schedule": "squaredcos_cap_v2"},
    ]
    + [{"beta_schedule": name} for name in BETA_SCHEDULES if name != "laplace"],
)
def test_good_schedules_are_not_warned_of(options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert NotesDDPMScheduler(**options).problems == ()


def test_every_schedule_of_the_core_has_its_name_here() -> None:
    for name in SCHEDULES:
        scheduler = NotesDDPMScheduler(beta_schedule="laplace_corrected" if name == "laplace" else name, num_train_timesteps=900)
        assert torch.equal(scheduler.betas, NoiseSchedule.make(name, 900).beta)
    assert torch.equal(NotesDDPMScheduler(beta_schedule="squaredcos_cap_v2").betas, NotesDDPMScheduler(beta_schedule="cosine").betas)


def test_zero_terminal_snr_ends_in_pure_noise() -> None:
    """alpha_bar keeps its first value, ends at exactly 0, and its root is the old one shifted and scaled [Lin 2024]."""
    before, after = (
        NotesDDPMScheduler(rescale_betas_zero_snr=rescale, prediction_type="v_prediction").alphas_cumprod.sqrt() for rescale in (False, True)
    )
    assert float(after[-1]) == 0
    torch.testing.assert_close(after[0], before[0])
    slope, offset = np.polyfit(before.numpy(), after.numpy(), 1)
    np.testing.assert_allclose(after, slope * before + offset, atol=1e-12)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_chains_that_start_on_underflowed_steps_are_refused() -> None:
    scheduler = NotesDDPMScheduler(beta_start=0.1, beta_end=2.0)
    with pytest.raises(ValueError, match=r"alpha_bar is 0 at t = \d+ already, so no step leads back from t = 999"):
        scheduler.set_timesteps(1000)
    scheduler.set_timesteps(timesteps=[90, 5])
    assert torch.isfinite(scheduler.step(torch.ones(1, 1, 2, 2), 90, torch.ones(1, 1, 2, 2)).prev_sample).all()


def test_tables_cannot_be_assigned() -> None:
    """A table assigned from outside would be ignored by the finished coefficients; so it is an error."""
    scheduler = NotesDDPMScheduler(**SHORT)
    for name in ("betas", "alphas", "alphas_cumprod"):
        with pytest.raises(AttributeError):
            setattr(scheduler, name, torch.ones(40))


# ------------------------------------------------------------------------------------------------ timesteps


@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
def test_spacings_are_those_of_stock(spacing: str) -> None:
    for T, offset in ((1000, 0), (1000, 1), (37, 2)):
        config = {"num_train_timesteps": T, "beta_end": 20 / T, "timestep_spacing": spacing, "steps_offset": offset}
        ours, stock = NotesDDPMScheduler(**config), DDPMScheduler(**config)
        for steps in (1, 2, 5, 7, 10, 25):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ours.set_timesteps(steps)
            stock.set_timesteps(steps)
            assert ours.timesteps.tolist() == stock.timesteps.tolist()
            assert ours.timesteps.dtype == torch.int64
            for t in ours.timesteps:
                assert int(ours.previous_timestep(t)) == int(stock.previous_timestep(t))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps = 0: use 1 to 40"),
        ({"num_inference_steps": -3}, "num_inference_steps = -3"),
        ({"num_inference_steps": 10**9}, "num_inference_steps = 1000000000: use 1 to 40"),
        ({"num_inference_steps": 2.5}, "num_inference_steps = 2.5: pass a whole number"),
        ({}, "num_inference_steps = None: pass a whole number"),
        ({"num_inference_steps": 3, "timesteps": [3, 2, 1]}, "not both"),
        ({"timesteps": []}, "timesteps is empty"),
        ({"timesteps": [5, 3, 4]}, "strictly descending order, but 4 follows 3"),
        ({"timesteps": [5, 5]}, "strictly descending order, but 5 follows 5"),
        ({"timesteps": [40, 5]}, "timesteps holds 40: each must be in 0..39"),
        ({"timesteps": [5, -1]}, "timesteps holds -1: each must be in 0..39"),
    ],
)
def test_bad_timesteps_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NotesDDPMScheduler(**SHORT).set_timesteps(**arguments)


def test_an_offset_out_of_the_chain_is_refused() -> None:
    with pytest.raises(ValueError, match=r"steps_offset = 1 with 40 steps leads to t = 40.*use steps_offset = 0"):
        NotesDDPMScheduler(**SHORT, steps_offset=1).set_timesteps(40)


def test_a_chain_that_starts_too_early_is_warned_of() -> None:
    """Leading spacing, which is stock's default, starts 600 of 1000 steps at t = 599, where x_t is no noise yet."""
    with pytest.warns(UserWarning, match=r"starts at t = 599, where alpha_bar = 0\.02\d*.*Use 'trailing'"):
        NotesDDPMScheduler().set_timesteps(600)


@pytest.mark.parametrize(
    ("t", "message"),
    [(-1, "timestep -1 is outside the chain: use 0 <= t <= 39"), (40, "timestep 40 is outside"), (7, "timestep 7 is not one of the 3 that")],
)
def test_bad_t_is_refused_by_value(t: int, message: str) -> None:
    scheduler = NotesDDPMScheduler(**SHORT)
    scheduler.set_timesteps(timesteps=[30, 8, 2])
    x = torch.zeros(2, 1, 2, 2)
    for timestep in (t, torch.tensor(t), torch.tensor([t]), torch.tensor([8, t])):
        with pytest.raises(ValueError, match=message):
            scheduler.step(x, timestep, x)
        with pytest.raises(ValueError, match=message):
            scheduler.previous_timestep(timestep)
        with pytest.raises(ValueError, match=message):
            scheduler.posterior(x, x, timestep)
    if t != 7:
        for method in (scheduler.add_noise, scheduler.get_velocity):
            with pytest.raises(ValueError, match=f"timestep {t} is outside the chain: use 0 <= t <= 39"):
                method(x, x, torch.tensor([3, t]))


def test_bad_shapes_are_refused() -> None:
    x, wide = torch.zeros(2, 1, 2, 2), torch.zeros(2, 2, 2, 2)
    with pytest.raises(ValueError, match=r"model_output has shape \(2, 2, 2, 2\), the sample \(2, 1, 2, 2\).*variance_type 'learned'"):
        NotesDDPMScheduler(**SHORT).step(wide, 3, x)
    with pytest.raises(ValueError, match="needs 2 output channels for 1 of the sample, not 1"):
        NotesDDPMScheduler(**SHORT, variance_type="learned").step(x, 3, x)
    with pytest.raises(ValueError, match="3 timesteps for a batch of 2"):
        NotesDDPMScheduler(**SHORT).step(x, torch.tensor([1, 2, 3]), x)
    with pytest.raises(ValueError, match="timesteps must be integers"):
        NotesDDPMScheduler(**SHORT).add_noise(x, x, torch.tensor([0.5, 1.5]))


def test_timesteps_can_be_assigned() -> None:
    scheduler = NotesDDPMScheduler(**SHORT)
    scheduler.timesteps = torch.tensor([30, 8, 2])
    assert scheduler.previous_timestep(torch.tensor([2, 30])).tolist() == [-1, 8]
    assert scheduler.previous_timestep(8) == 2


def test_previous_timestep_without_a_chain() -> None:
    scheduler = NotesDDPMScheduler(**SHORT)
    assert [scheduler.previous_timestep(t) for t in (39, 1, 0)] == [38, 0, -1]
    assert isinstance(scheduler.previous_timestep(5), int)
    scheduler.set_timesteps(4)
    assert isinstance(scheduler.previous_timestep(10), torch.Tensor)


def test_small_parts_of_the_contract() -> None:
    scheduler = NotesDDPMScheduler(**SHORT)
    x = torch.ones(1, 1, 2, 2)
    assert scheduler.scale_model_input(x, 3) is x
    assert (scheduler.init_noise_sigma, len(scheduler), scheduler.order) == (1.0, 40, 1)
    assert scheduler._compatibles == DDPMScheduler._compatibles
    output = scheduler.step(x, 3, x, torch.Generator().manual_seed(0))
    pair = scheduler.step(x, 3, x, torch.Generator().manual_seed(0), return_dict=False)
    assert torch.equal(output.prev_sample, pair[0]) and torch.equal(output["pred_original_sample"], pair[1]) and output.to_tuple()[0].shape == x.shape


# ------------------------------------------------------------------------------------------------ from_config, save, load


@pytest.mark.parametrize("cls", [DDPMScheduler, DDIMScheduler, DPMSolverMultistepScheduler])
def test_from_config_both_ways(cls: Any) -> None:
    theirs = cls(num_train_timesteps=70, beta_schedule="scaled_linear", beta_end=0.3, prediction_type="v_prediction", timestep_spacing="trailing")
    ours = NotesDDPMScheduler.from_config(theirs.config)
    back = cls.from_config(ours.config)
    for scheduler in (ours, back):
        assert len(scheduler.betas) == 70
        assert (scheduler.config.prediction_type, scheduler.config.timestep_spacing) == ("v_prediction", "trailing")
        torch.testing.assert_close(scheduler.betas.float(), theirs.betas, rtol=0, atol=1e-7)
    assert {key: back.config[key] for key in theirs.config if not key.startswith("_")} == {
        key: value for key, value in theirs.config.items() if not key.startswith("_")
    }


def test_save_and_load(tmp_path: Path) -> None:
    betas = np.linspace(0.01, 0.5, 30)
    table = [0.25 * float(beta) for beta in betas]
    scheduler = NotesDDPMScheduler(num_train_timesteps=30, trained_betas=betas, variance_type="given", given_variance=table)
    scheduler.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "scheduler_config.json").read_text())["given_variance"] == table
    loaded = NotesDDPMScheduler.from_pretrained(tmp_path)
    assert torch.equal(loaded.betas, scheduler.betas) and loaded.config.given_variance == table and len(loaded) == 30


def test_a_stock_folder_loads_as_ours(tiny_pipeline: Path) -> None:
    loaded = NotesDDPMScheduler.from_pretrained(tiny_pipeline, subfolder="scheduler")
    assert (len(loaded), loaded.config.beta_schedule) == (50, "squaredcos_cap_v2")


@pytest.mark.filterwarnings("ignore:trained_betas holds")
def test_of_betas_that_are_too_many_the_first_are_used_as_in_diffusers() -> None:
    config = {"num_train_timesteps": 10, "trained_betas": [0.6] * 20, "timestep_spacing": "trailing"}
    ours, theirs = NotesDDPMScheduler(**config), DDPMScheduler(**config)
    for scheduler in (ours, theirs):
        scheduler.set_timesteps(5)
    assert torch.equal(ours.timesteps, theirs.timesteps)
    rows = {"posterior_variance": [0.5] * 10, "decoder_nats": [1.0] * 10}
    best = NotesDDPMScheduler(**{**config, **rows, "timestep_spacing": "optimal"})
    best.set_timesteps(5)
    assert len(best.timesteps) == 5 and int(best.timesteps[0]) == 9
