"""The variance of the last step, best for L_0 over grey levels; and the analytic variance and timesteps of the bundled model."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from ddpm_space import analytic
from ddpm_space.bound import full_bound
from ddpm_space.images import quantize
from ddpm_space.models import load
from ddpm_space.spacing import spaced_timesteps
from training.config import make_config
from training.data import open_data


def test_the_decoder_s_variance_is_the_one_that_trying_many_finds() -> None:
    """scipy's normal distribution, bin by bin; half of the pixels are black for sure, and so cost nothing whatever the variance."""
    generator = torch.Generator().manual_seed(0)
    x_0 = quantize(torch.rand(40, 1, 6, 6, generator=generator).double() * 2 - 1)
    x_0_hat = (x_0 + 0.1 * torch.randn(x_0.shape, generator=generator)).clamp(-1, 1)
    x_0[..., :3], x_0_hat[..., :3] = -1, -1
    variance, nats = analytic.best_decoder(x_0, x_0_hat)

    def scipys(sigma2: float) -> float:
        law = norm(x_0_hat.numpy(), math.sqrt(sigma2))
        level = ((x_0.numpy() + 1) * 127.5).round()
        upper = np.where(level == 255, 1.0, law.cdf((level + 0.5) / 127.5 - 1))
        lower = np.where(level == 0, 0.0, law.cdf((level - 0.5) / 127.5 - 1))
        return -float(np.log(upper - lower).mean())

    tried = {float(sigma2): scipys(float(sigma2)) for sigma2 in np.geomspace(0.003, 0.03, 200)}
    best = min(tried, key=lambda sigma2: tried[sigma2])
    assert variance == pytest.approx(best, rel=0.05) and nats == pytest.approx(tried[best], rel=1e-3)
    # What is certain is certain at half a bin's width: of the other pixels' errors the variance is far larger than the mean over all.
    assert variance > 1.5 * float((x_0 - x_0_hat).square().mean())


def test_a_perfect_prediction_needs_hardly_any_variance() -> None:
    x_0 = quantize(torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double() * 2 - 1)
    variance, nats = analytic.best_decoder(x_0, x_0)
    assert variance < (0.5 / 255) ** 2 and nats < 1e-3


def held_out_digits() -> Tensor:
    data = open_data(make_config({"dataset": "bundled", "channels": 1, "resolution": 28, "eval_images": 24}))
    assert data.held_out is not None
    return data.held_out.batch(torch.arange(24))


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_no_other_variance_of_the_bundled_model_has_a_better_bound(steps: int) -> None:
    """On test images and noise that the table was not estimated from; differences are of the same terms, and so beyond their error bars."""
    denoiser, x_0 = load("bundled:mnist").denoiser, held_out_digits()
    chain = denoiser.schedule.respaced(spaced_timesteps(1000, steps, "trailing"))
    best = analytic.analytic_variance(denoiser.posterior_variance, chain, denoiser.decoder_variance)
    bits = full_bound(denoiser, x_0, schedule=chain, variance=best).per_image()
    others = [factor * best for factor in (0.5, 2.0)]
    for row in {0, steps // 2, steps - 1}:
        other = best.clone()
        other[row] *= 3
        others.append(other)
    for other in ("fixed_small", "fixed_large", analytic.analytic_variance(denoiser.posterior_variance, chain), *others):
        more = full_bound(denoiser, x_0, schedule=chain, variance=other).per_image() - bits
        assert float(more.mean()) > 2 * float(more.std()) / math.sqrt(len(more)), other


def test_the_optimal_timesteps_of_the_bundled_model_have_the_better_bound() -> None:
    denoiser, x_0 = load("bundled:mnist").denoiser, held_out_digits()

    def bits(timesteps: list[int]) -> Tensor:
        return full_bound(denoiser, x_0, schedule=denoiser.schedule.respaced(timesteps), variance="analytic").per_image()

    for steps in (10, 20):
        gained = bits(spaced_timesteps(1000, steps, "trailing")) - bits(
            analytic.optimal_timesteps(denoiser.schedule, denoiser.posterior_variance, steps, denoiser.decoder_nats)
        )
        assert float(gained.mean()) > 3 * float(gained.std()) / math.sqrt(len(gained))
