"""Eq. (11) against x_0-then-posterior: one formula without clipping, and with it the difference that its own formula says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ddpm_space import models
from ddpm_space.mean_routes import compare_means
from ddpm_space.sampling import SamplingSettings, sample


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
def test_each_chain_is_the_sampler_s(tiny_pipeline: Path, variance: str) -> None:
    model = models.load(tiny_pipeline)
    *_, last = compare_means(model.denoiser, model.shape, SamplingSettings(2, 25, "trailing", variance, True, 3, 50))
    for clip, route in ((True, "clipped"), (False, "posterior")):
        *_, expected = sample(model.denoiser, model.shape, SamplingSettings(2, 25, "trailing", variance, clip, 3, 50))
        scale = float(expected.x_prev.abs().max())
        assert float((last.x_prev[route] - expected.x_prev).abs().max()) < 1e-4 * scale


@pytest.mark.parametrize("options", [{"variance_type": "analytic"}, {"spacing": "optimal"}])
def test_what_says_nothing_of_eq_11_is_refused(tiny_pipeline: Path, options: dict[str, str]) -> None:
    model = models.load(tiny_pipeline)
    with pytest.raises(ValueError, match="use one of fixed_small, fixed_large"):
        next(compare_means(model.denoiser, model.shape, SamplingSettings(1, 5, num_train_timesteps=50, **options)))


def test_without_clipping_they_are_one_and_with_it_they_part(tiny_pipeline: Path) -> None:
    model = models.load(tiny_pipeline)
    steps = list(compare_means(model.denoiser, model.shape, SamplingSettings(2, 50, "trailing", "fixed_small", True, 0, 50)))
    assert [step.index for step in steps] == list(range(50)) and steps[-1].s == -1
    last = steps[-1].x_prev
    scale = float(last["eq11"].abs().max())
    assert float((last["eq11"] - last["posterior"]).abs().max()) < 1e-6 * scale
    assert float((last["eq11"] - last["clipped"]).abs().max()) > 0.1
    assert float(last["clipped"].abs().max()) <= 1, "the last step returns x_0_hat, clipped"


def test_what_one_step_of_clipping_adds_is_its_formula_s(tiny_pipeline: Path) -> None:
    model = models.load(tiny_pipeline)
    for step in compare_means(model.denoiser, model.shape, SamplingSettings(2, 20, "trailing", "fixed_small", True, 0, 50)):
        assert step.residual < 1e-12 * max(1.0, float(step.added.abs().max()))
        assert (step.outside == 0) == (float(step.added.abs().max()) == 0)
    assert torch.isfinite(step.added).all()
