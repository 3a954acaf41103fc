"""The loss: its weights against algebra, its bound against `likelihood`, torch.distributions and the best variance of an exactly known case."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from ddpm_space.denoiser import PREDICTION_TYPES, Denoiser
from ddpm_space.likelihood import variational_bound
from ddpm_space.notes.elbo import bits_per_dim
from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.notes.reverse import optimal_variance
from ddpm_space.schedule import NoiseSchedule
from training.config import make_config
from training.objective import Objective, target

SCHEDULE = NoiseSchedule.cosine(50)
T = torch.tensor([0, 1, 7, 20, 31, 48, 49, 0])


def objective(schedule: NoiseSchedule = SCHEDULE, **options: object) -> Objective:
    return Objective(make_config({"num_train_timesteps": 50, "sample_steps": 5, **options}), schedule)


def batch(t: Tensor = T, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Images on the grid of 256 levels, black and white among them, their noise, and the noisy ones; two channels, float64."""
    generator = torch.Generator().manual_seed(seed)
    x_0 = torch.randint(0, 256, (len(t), 2, 3, 3), generator=generator).double() / 127.5 - 1
    x_0[:, :, 0, 0], x_0[:, :, 0, 1] = -1, 1
    eps = torch.randn(x_0.shape, generator=generator, dtype=torch.float64)
    return x_0, eps, q_cumulative_sample(x_0, SCHEDULE.at(t).alpha_bar_t, eps=eps)


def noisy(like: Tensor, scale: float, seed: int = 1) -> Tensor:
    return scale * torch.randn(like.shape, generator=torch.Generator().manual_seed(seed), dtype=like.dtype)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_a_perfect_network_has_no_loss_and_its_x_0_is_the_image(prediction_type: str) -> None:
    x_0, eps, x_t = batch()
    wanted = target(prediction_type, x_0, eps, SCHEDULE.at(T).alpha_bar_t)
    losses = objective(prediction_type=prediction_type).per_image(wanted, x_0, x_t, eps, T)
    assert losses.weighted.max() < 1e-12 and losses.vlb is None
    # The Denoiser converts by its own formulas: a target of the wrong kind would not come back as the image and the noise.
    prediction = Denoiser(lambda *_: wanted, prediction_type, SCHEDULE).predict(x_t, T)
    assert (prediction.x_0_hat - x_0).abs().max() < 1e-9 and (prediction.eps_theta - eps).abs().max() < 1e-9


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_min_snr_is_one_loss_whatever_the_network_predicts(prediction_type: str) -> None:
    t = torch.tensor([1, 7, 20, 31, 44])
    x_0, eps, x_t = batch(t)
    row = SCHEDULE.at(t)
    output = target(prediction_type, x_0, eps, row.alpha_bar_t) + noisy(x_0, 0.1)
    x_0_error = (Denoiser(lambda *_: output, prediction_type, SCHEDULE).predict(x_t, t).x_0_hat - x_0).square().mean((1, 2, 3))
    losses = objective(prediction_type=prediction_type, min_snr_gamma=5).per_image(output, x_0, x_t, eps, t)
    assert torch.allclose(losses.weighted.double(), row.snr_t.clamp(max=5.0) * x_0_error, rtol=1e-4)
    plain = objective(prediction_type=prediction_type).per_image(output, x_0, x_t, eps, t)
    assert torch.equal(plain.weighted, plain.squared_error) and torch.equal(plain.weighted, losses.squared_error)
    assert torch.allclose(plain.squared_error.double(), noisy(x_0, 0.1).square().mean((1, 2, 3)), rtol=1e-4)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_over_all_timesteps_the_bound_estimate_is_the_bound_of_the_likelihood_module(prediction_type: str) -> None:
    x_0 = batch(torch.zeros(3, dtype=torch.int64))[0]

    def network(x_t: Tensor, t: Tensor) -> Tensor:
        return torch.tanh(0.7 * x_t + 0.02 * t.reshape(-1, 1, 1, 1))

    def both(x_t: Tensor, t: Tensor) -> Tensor:
        return torch.cat([network(x_t, t), torch.sin(3 * x_t)], dim=1)

    denoiser = Denoiser(network, prediction_type, SCHEDULE, both)
    terms = list(variational_bound(denoiser, x_0, variance="learned_range", clip_x0=False, seed=4))[1:]
    hybrid, found = objective(prediction_type=prediction_type, variance="learned_range"), []
    for term in terms:
        t = torch.full((3,), term.t)
        # The same noise as there: that of (seed, t).
        eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(4 * 1_000_003 + term.t), dtype=torch.float64)
        x_t = q_cumulative_sample(x_0, SCHEDULE.at(t).alpha_bar_t, eps=eps)
        vlb = hybrid.per_image(both(x_t, t), x_0, x_t, eps, t).vlb
        assert vlb is not None
        # float32 here, float64 there; x_0 from a small error of eps where hardly any signal is left loses digits.
        assert torch.allclose(vlb.double(), len(SCHEDULE) * bits_per_dim(term.nats, 18), rtol=2e-4), term
        found.append(vlb.double())
    whole = bits_per_dim(sum(term.nats for term in terms), 18)  # type: ignore[arg-type]
    assert torch.allclose(torch.stack(found).mean(dim=0), whole, rtol=1e-4)


def test_the_hybrid_terms_are_the_divergences_of_torch_distributions() -> None:
    x_0, eps, x_t = batch()
    row, position = SCHEDULE.at(T), noisy(x_0, 0.8, seed=2)
    output = eps + noisy(x_0, 0.05)
    hybrid = objective(prediction_type="epsilon", variance="learned_range", vlb_weight=0.01)
    losses = hybrid.per_image(torch.cat([output, position], dim=1), x_0, x_t, eps, T)
    assert losses.vlb is not None
    assert torch.allclose(losses.weighted, losses.squared_error + 0.01 * losses.vlb, rtol=1e-6)

    inner = T > 0
    beta, alpha_bar, before = (value.reshape(-1, 1, 1, 1) for value in (row.beta_t, row.alpha_bar_t, row.alpha_bar_prev))
    x_0_hat = (x_t - (1 - alpha_bar).sqrt() * output) / alpha_bar.sqrt()

    def posterior(x: Tensor) -> tuple[Tensor, Tensor]:
        """Bayes by precisions: q(x_t | x_{t-1}) seen as a law of x_{t-1}, times q(x_{t-1} | x_0)."""
        own, earlier = beta[inner], before[inner]
        precision = (1 - own) / own + 1 / (1 - earlier)
        return ((1 - own).sqrt() / own * x_t[inner] + earlier.sqrt() / (1 - earlier) * x[inner]) / precision, 1 / precision

    (mean_q, beta_tilde), (mean_p, _) = posterior(x_0), posterior(x_0_hat)
    sigma2 = beta[inner] ** ((position[inner] + 1) / 2) * beta_tilde ** ((1 - position[inner]) / 2)
    nats = kl_divergence(Normal(mean_q, beta_tilde.sqrt().expand_as(mean_q)), Normal(mean_p, sigma2.sqrt()))
    expected = len(SCHEDULE) * nats.sum((1, 2, 3)) / (18 * math.log(2))
    assert torch.allclose(losses.vlb[inner].double(), expected, rtol=3e-4)

    # At t = 0 p(x_0 | x_1) is centred on x_0_hat, and its variance lies between beta_tilde of the second step and beta of the first.
    splice = (1 - SCHEDULE.alpha_bar[0]) / (1 - SCHEDULE.alpha_bar[1]) * SCHEDULE.beta[1]
    sigma = (SCHEDULE.beta[0] ** ((position + 1) / 2) * splice ** ((1 - position) / 2)).sqrt()
    law = Normal(x_0_hat, sigma)
    upper = torch.where(x_0 > 0.999, 1.0, law.cdf(x_0 + 1 / 255))
    lower = torch.where(x_0 < -0.999, 0.0, law.cdf(x_0 - 1 / 255))
    expected = -len(SCHEDULE) * (upper - lower).log()[~inner].sum((1, 2, 3)) / (18 * math.log(2))
    assert torch.allclose(losses.vlb[~inner].double(), expected, rtol=3e-4)


def test_the_bound_teaches_the_variance_and_leaves_the_mean_to_the_squared_error() -> None:
    x_0, eps, x_t = (value.float() for value in batch())
    output, position = (eps + noisy(eps, 0.05)).requires_grad_(), noisy(eps, 0.5, seed=2).requires_grad_()
    objective(prediction_type="epsilon").per_image(output, x_0, x_t, eps, T).weighted.sum().backward()
    assert output.grad is not None
    alone, output.grad = output.grad, None
    hybrid = objective(prediction_type="epsilon", variance="learned_range")
    hybrid.per_image(torch.cat([output, position], dim=1), x_0, x_t, eps, T).weighted.sum().backward()
    assert torch.equal(output.grad, alone)
    # Black and white pixels at t = 0 reach to infinity: their gradients are numbers all the same.
    assert position.grad is not None and position.grad.isfinite().all() and (position.grad.flatten(1).abs().amax(1) > 0).all()


def test_what_it_asks_of_the_variance_is_the_best_one() -> None:
    """Gaussian data, whose posterior is known: there the gradient of the mean loss vanishes at the variance of Bao 2022, theorem 1."""
    images, schedule, scale = 4000, NoiseSchedule.linear(20, 0.05, 0.4), 0.5
    generator = torch.Generator().manual_seed(0)
    x_0, eps = (torch.randn(images, 1, 2, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    x_0 = scale * x_0
    hybrid = objective(schedule, prediction_type="sample", variance="learned_range", vlb_weight=1.0, num_train_timesteps=20)
    for step in (3, 11, 19):
        t = torch.full((images,), step)
        row = schedule.at(step)
        x_t = q_cumulative_sample(x_0, row.alpha_bar_t, eps=eps)
        total = row.alpha_bar_t * scale**2 + 1 - row.alpha_bar_t
        x_0_hat, left = row.alpha_bar_t.sqrt() * scale**2 / total * x_t, scale**2 * (1 - row.alpha_bar_t) / total
        best = optimal_variance(left, row.alpha_bar_t, row.alpha_bar_prev)
        share = (best.log() - row.beta_tilde_t.log()) / (row.beta_t.log() - row.beta_tilde_t.log())
        for shift in (0.0, 0.2):
            position = torch.full_like(x_0, 2 * float(share) - 1 + shift).requires_grad_()
            hybrid.per_image(torch.cat([x_0_hat, position], dim=1), x_0, x_t, eps, t).weighted.sum().backward()
            assert position.grad is not None
            slopes = position.grad.flatten(1).mean(dim=1)
            away = slopes.mean().abs() / (slopes.std() / math.sqrt(images))
            assert away < 4 if shift == 0 else away > 6, (step, shift, float(away))


def test_half_precision_answers_are_judged_in_float32_and_wrong_channels_are_named() -> None:
    x_0, eps, x_t = (value.float() for value in batch())
    output = torch.cat([eps, noisy(eps, 0.5)], dim=1).bfloat16()
    hybrid = objective(prediction_type="epsilon", variance="learned_range")
    losses = hybrid.per_image(output, x_0, x_t, eps, T)
    assert all(torch.equal(value, same) for value, same in zip(losses, hybrid.per_image(output.float(), x_0, x_t, eps, T)) if value is not None)
    assert {value.dtype for value in losses if value is not None} == {torch.float32}
    assert torch.allclose(losses.squared_error, (output[:, :2].float() - eps).square().mean((1, 2, 3)))
    with pytest.raises(ValueError, match=r"returned 4 channels for 2 of the image, where 2 are needed"):
        objective(prediction_type="epsilon").per_image(output, x_0, x_t, eps, T)
    with pytest.raises(ValueError, match=r"returned 2 channels for 2 of the image, where 4 are needed"):
        objective(variance="learned_range").per_image(eps, x_0, x_t, eps, T)
