"""What a dry run says is true of the run, and nothing is read or written for it."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import TINY, new_processes

from training import dry_run
from training.config import ConfigError, make_config
from training.cost import network_cost
from training.dry_run import report, terminal_bits
from training.evaluate import EvaluationSettings
from training.model import build_scheduler, build_unet, count_parameters

RATE = 1e12


@pytest.fixture(autouse=True)
def quick_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine whose speed is known, tried for a moment; in an empty folder, where nothing may be written."""
    monkeypatch.setattr(dry_run, "matmul_rate", lambda device, dtype: RATE)
    monkeypatch.setattr(dry_run, "TRIAL_SECONDS", 0.05)
    monkeypatch.setattr(dry_run.psutil, "cpu_percent", lambda interval: 5.0)
    monkeypatch.chdir(tmp_path)
    new_processes()


def options(**changes: Any) -> dict[str, Any]:
    return {**TINY, "dataset": "nobody/no-such-pictures", "output_dir": "run", **changes}


def test_the_report_names_what_the_run_would_be(tmp_path: Path) -> None:
    config = make_config(options(train_images=1000, eval_images=5))
    text, unet, schedule = report(config), build_unet(config), build_scheduler(config).schedule
    cost = network_cost(unet)
    assert f"{count_parameters(unet):,}" in text and f"{cost.forward_flops / 1e9:.4g} GFLOP forward" in text
    assert "8 x 8 pixels, channels 1 in and 1 out" in text and "down_blocks.1" in text
    assert "batch of 10 (no)" in text and "activations" in text and "1,000 images in 100 steps" in text
    assert f"T = 40: abar_T = {schedule.terminal_alpha_bar:.3g}, L_T = {terminal_bits(schedule.terminal_alpha_bar):.3g} bits/dim" in text
    assert "measured: forward, backward and update of the real network" in text and "1,000 GFLOP/s measured" in text
    assert f"{sum(cost.memory(10).values()) / 1e6:,.1f} MB for the parts below" in text and "at the peak of a few steps" in text
    assert "Warning" not in text and not any(tmp_path.iterdir())


def test_the_end_of_the_chain_costs_what_the_variance_has_lost() -> None:
    """KL(N(a, 1 - a^2) || N(0, 1)) for x_0 = 1 is -log(1 - a^2) / 2: the mean adds what the variance lacks."""
    for alpha_bar in (0.0, 1e-5, 0.01, 0.5):
        assert terminal_bits(alpha_bar) == pytest.approx(-0.5 * math.log1p(-alpha_bar) / math.log(2), rel=1e-9, abs=1e-15)


def test_time_follows_the_speed_of_real_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def take(config: object, unet: object, accelerator: object, images: int) -> float:
        tried.append(images)
        return images / 50

    monkeypatch.setattr(dry_run, "_step_seconds", take)
    monkeypatch.setattr(dry_run, "_forward_seconds", lambda config, unet, accelerator, images: images / 2)
    text = report(make_config(options(train_images=360_000)))
    assert "2.0 hours for 360,000 images in 36,000 steps" in text and "50 images/s (measured" in text and tried == [10]
    assert "about 8 s for grids and evaluation (16 forward passes of one image, in float32)" in text
    cost = network_cost(build_unet(make_config(options())))
    assert f"{50 * cost.training_flops / RATE:.0%} of the 1,000 GFLOP/s" in text and f"{RATE / cost.training_flops:,.4g} images/s" in text


def test_a_network_too_slow_to_try_is_tried_with_fewer_images_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = network_cost(build_unet(make_config(options())))
    monkeypatch.setattr(dry_run, "matmul_rate", lambda device, dtype: 3.5 * cost.training_flops / dry_run.USUAL_UTILISATION / 0.025)
    text = report(make_config(options()))
    assert "3 instead of 10 images at a time" in text and "at the peak" not in text
    monkeypatch.setattr(dry_run, "matmul_rate", lambda device, dtype: 0.5 * cost.training_flops / dry_run.USUAL_UTILISATION / 0.025)
    text = report(make_config(options()))
    assert "20 images/s (assumed: 30% of the matrix-product rate, not measured)" in text


def test_forward_passes_beside_training_are_counted() -> None:
    config = make_config(
        options(train_images=200, sample_every=50, eval_images=6, eval_every=80, eval_terms=99, eval_samples=70, eval_steps=7, features="mnist")
    )
    # Grids after 50, 100 and 150 images and at the end; evaluations after 80 and 160, at the end, and then of training images too, all 40 terms.
    settings = EvaluationSettings(images=6, terms=99, samples=70, steps=7)
    assert dry_run._other_forwards(config, settings) == 4 * 4 * 4 + 4 * 6 * 40 + 70 * 7
    none = make_config(options(train_images=200))
    assert dry_run._other_forwards(none, EvaluationSettings(images=0)) == 16


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"train_images": 20}, "lr_warmup_steps = 3 but the run has 2 steps"),
        ({"timestep_sampling": "loss_aware", "train_images": 800}, "uniform for its first 400 images or more, of 800"),
        ({"batch_size": 10**9, "train_images": 10**10}, "GB are free: lower batch_size"),
    ],
)
def test_what_would_disappoint_is_said_before(changes: dict[str, Any], named: str) -> None:
    warnings = re.findall(r"^Warning: .*", report(make_config(options(**changes))), flags=re.M)
    assert len(warnings) == 1 and named in warnings[0]


def test_a_number_format_that_the_machine_only_emulates_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run.machine, "precision", lambda wanted: "no" if wanted == "auto" else wanted)
    if not torch.accelerator.is_available():
        assert "mixed_precision = bf16 is emulated on this machine" in report(make_config(options(mixed_precision="bf16")))


def test_times_taken_beside_other_programs_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run.psutil, "cpu_percent", lambda interval: 63.0)
    if not torch.accelerator.is_available():
        assert "Warning: other programs kept the cores of this machine 63% busy" in report(make_config(options()))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"beta_schedule": "linear"}, "x_T still holds the image"),
        ({"resolution": 9}, "resolution = 9 cannot be halved"),
        ({"eval_samples": 100, "features": "mnist"}, "28 x 28 gray images"),
        ({"init_from": "no/such/folder"}, "init_from"),
    ],
)
def test_what_a_run_refuses_a_dry_run_refuses(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        report(make_config(options(**changes)))
