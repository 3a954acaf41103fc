"""The loss, and what a step sees: weights against algebra, timesteps against the uniform law, orders against bookkeeping."""

from __future__ import annotations

import math

import pytest
import torch

from ddpm_space.denoiser import PREDICTION_TYPES, Denoiser
from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.schedule import NoiseSchedule
from training.batches import Batches
from training.data import ImageSet
from training.objective import learning_rate_factor, loss_weight, target

SCHEDULE = NoiseSchedule.cosine(50)


def batches(count: int, batch_size: int, **options: int) -> Batches:
    images = torch.arange(count, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
    return Batches(ImageSet(images, None, "numbers"), batch_size, **{"num_timesteps": 50, "seed": 0, **options})


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_a_perfect_network_has_no_loss_and_its_x_0_is_the_image(prediction_type: str) -> None:
    x_0, t, eps = batches(20, 10).at(0)
    alpha_bar_t = SCHEDULE.at(t).alpha_bar_t
    x_t = q_cumulative_sample(x_0, alpha_bar_t, eps=eps)
    wanted = target(prediction_type, x_0, eps, alpha_bar_t)
    # The Denoiser converts by its own formulas: a target of the wrong kind would not come back as the image and the noise.
    prediction = Denoiser(lambda *_: wanted, prediction_type, SCHEDULE).predict(x_t, t)
    assert (prediction.x_0_hat - x_0).abs().max() < 5e-4 and (prediction.eps_theta - eps).abs().max() < 5e-4


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_min_snr_is_one_loss_whatever_the_network_predicts(prediction_type: str) -> None:
    x_0, t, eps = (part.double() if part.is_floating_point() else part for part in batches(20, 10).at(3))
    row = SCHEDULE.at(t)
    x_t = q_cumulative_sample(x_0, row.alpha_bar_t, eps=eps)
    generator = torch.Generator().manual_seed(1)
    output = target(prediction_type, x_0, eps, row.alpha_bar_t) + 0.1 * torch.randn(x_0.shape, generator=generator, dtype=torch.float64)
    error = (output - target(prediction_type, x_0, eps, row.alpha_bar_t)).square().mean((1, 2, 3))
    x_0_error = (Denoiser(lambda *_: output, prediction_type, SCHEDULE).predict(x_t, t).x_0_hat - x_0).square().mean((1, 2, 3))
    weighted = loss_weight(prediction_type, row.snr_t, 5.0) * error
    assert torch.allclose(weighted, row.snr_t.clamp(max=5.0) * x_0_error, rtol=1e-9, atol=0)
    assert (loss_weight(prediction_type, row.snr_t, None) == 1).all()


def test_the_learning_rate_rises_in_a_line_and_ends_at_zero() -> None:
    assert [learning_rate_factor(0, step, 4, "constant") for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
    for kind in ("linear", "cosine"):
        assert learning_rate_factor(0.5, 1000, 10, kind) == pytest.approx(0.5)
        assert learning_rate_factor(1.0, 1000, 10, kind) == pytest.approx(0, abs=1e-7)
    assert learning_rate_factor(0.25, 99, 0, "cosine") == pytest.approx((1 + math.sqrt(0.5)) / 2)


def test_every_epoch_shows_every_image_once_in_a_new_order() -> None:
    plan = batches(23, 5)
    seen = torch.cat([plan.indices(step) for step in range(23)])
    epochs = seen.reshape(5, 23)
    assert all(epoch.sort().values.tolist() == list(range(23)) for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 5


def test_processes_share_one_order_and_one_spread_of_timesteps() -> None:
    alone = batches(40, 8)
    pair = [batches(40, 4, rank=rank, world=2) for rank in (0, 1)]
    for step in range(7):
        assert torch.cat([plan.indices(step) for plan in pair]).tolist() == alone.indices(step).tolist()
        together = torch.cat([plan.timesteps(step) for plan in pair]).sort().values
        assert together.tolist() == alone.timesteps(step).sort().values.tolist()
    assert not torch.equal(pair[0].at(0).eps, pair[1].at(0).eps)


def test_timesteps_are_uniform_and_independent_of_the_images() -> None:
    plan, steps = batches(64, 16, num_timesteps=10), 2000
    drawn = torch.stack([plan.timesteps(step) for step in range(steps)])
    share = torch.bincount(drawn.flatten(), minlength=10) / drawn.numel()
    # Each batch holds each t once or twice, so that the spread is far below that of independent draws.
    assert (share - 0.1).abs().max() < 4 * math.sqrt(0.1 * 0.9 / drawn.numel())
    images = torch.stack([plan.indices(step) for step in range(steps)])
    for image in (0, 17, 63):
        mean = drawn[images == image].double().mean()
        assert abs(mean - 4.5) < 4.5 * math.sqrt(8.25 / (images == image).sum())


def test_a_step_is_the_same_whenever_it_is_asked_for_and_another_seed_is_another_run() -> None:
    plan = batches(20, 6)
    first = plan.at(7)
    for step in (3, 12):
        plan.at(step)
    again, other = plan.at(7), batches(20, 6, seed=1).at(7)
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert not torch.equal(first.eps, other.eps) and not torch.equal(first.x_0, other.x_0)
    assert not torch.equal(plan.at(8).eps, first.eps)
    noise = torch.cat([plan.at(step).eps.flatten() for step in range(200)])
    assert abs(noise.mean()) < 4 / math.sqrt(noise.numel()) and abs(noise.var() - 1) < 4 * math.sqrt(2 / noise.numel())
