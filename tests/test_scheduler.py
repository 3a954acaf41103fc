"""NotesDDPMScheduler by itself: what a step computes, a batch of timesteps, posterior and q_step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ddpm_space.notes import reverse
from ddpm_space.scheduler import NotesDDPMScheduler

# Its end is noise: alpha_bar_T = 1.5e-4.
SHORT: dict[str, Any] = {"num_train_timesteps": 40, "beta_start": 1e-3, "beta_end": 0.4}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sigma_of_step(scheduler: NotesDDPMScheduler, t: int, second: Tensor | None = None) -> float:
    """Measure a step's standard deviation: how much x_s changes by, over how much the noise changes by."""
    x_t = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    output = x_t if second is None else torch.cat([x_t, second], dim=1)
    steps = [scheduler.step(output, t, x_t, seeded(seed)).prev_sample for seed in (1, 2)]
    noises = [torch.randn(x_t.shape, generator=seeded(seed), dtype=torch.float64) for seed in (1, 2)]
    return float(((steps[0] - steps[1]) / (noises[0] - noises[1])).median())


# ------------------------------------------------------------------------------------------------ one step


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_step_is_the_formulas(prediction_type: str) -> None:
    """x_0_hat by the notes' conversion, the mean by eq. 7 and, unclipped, by eq. 11, the spread by the noise put in."""
    scheduler = NotesDDPMScheduler(**SHORT, prediction_type=prediction_type, clip_sample=False)
    scheduler.set_timesteps(timesteps=[39, 30, 12, 3])
    x_t, output = (torch.randn(2, 1, 4, 4, generator=seeded(i), dtype=torch.float64) for i in (0, 1))
    for t, s in ((39, 30), (30, 12), (12, 3), (3, -1)):
        alpha_bar_t, alpha_bar_s = scheduler.schedule.alpha_bar_at(t), scheduler.schedule.alpha_bar_at(s)
        if prediction_type == "epsilon":
            x_0_hat, eps = reverse.x_0_from_eps(x_t, output, alpha_bar_t), output
        elif prediction_type == "sample":
            x_0_hat, eps = output, reverse.eps_from_x_0(output, x_t, alpha_bar_t)
        else:
            x_0_hat, eps = reverse.x_0_from_v(x_t, output, alpha_bar_t), reverse.eps_from_v(x_t, output, alpha_bar_t)
        noise = torch.randn(x_t.shape, generator=seeded(2), dtype=torch.float64)
        by_eq_11 = reverse.mu_theta_from_eps(x_t, eps, alpha_bar_t, alpha_bar_s)
        spread = reverse.beta_tilde(alpha_bar_t, alpha_bar_s).sqrt() * noise
        x_s, predicted = scheduler.step(output, t, x_t, seeded(2), return_dict=False)
        torch.testing.assert_close(predicted, x_0_hat, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(x_s, by_eq_11 + spread, rtol=1e-9, atol=1e-9)


def test_beta_tilde_is_the_exact_variance_when_the_data_are_one_point() -> None:
    """With all data at c, x_0_hat = c is exact and so is fixed_small [Ho 2020 section 3.2]: every x_s is N(sqrt(abar_s) c, 1 - abar_s)."""
    scheduler = NotesDDPMScheduler(**SHORT, prediction_type="sample", variance_type="fixed_small")
    draws, c, generator = 40_000, 0.7, seeded()
    eps, last = torch.randn(draws, 1, generator=generator, dtype=torch.float64), torch.tensor([39])
    x_t = scheduler.add_noise(torch.full_like(eps, c), eps, last)
    for t in range(39, -1, -1):
        x_t = scheduler.step(torch.full_like(x_t, c), t, x_t, generator).prev_sample
        alpha_bar_s = float(scheduler.schedule.alpha_bar_at(t - 1))
        variance = 1 - alpha_bar_s
        # 1e-12 for rounding: at the last step the variance, and with it the standard error, is 0.
        assert abs(float(x_t.mean()) - math.sqrt(alpha_bar_s) * c) <= 5 * math.sqrt(variance / draws) + 1e-12
        assert abs(float(x_t.var()) - variance) <= 5 * variance * math.sqrt(2 / draws) + 1e-12
    torch.testing.assert_close(x_t, torch.full_like(x_t, c), rtol=1e-12, atol=0)


def test_beta_is_the_exact_variance_when_the_data_are_standard_normal() -> None:
    """With N(0, 1) data, E[eps | x_t] = sqrt(1 - abar_t) x_t and fixed_large is exact: x_t stays N(0, 1), neighbours correlate by sqrt(1 - beta)."""
    scheduler = NotesDDPMScheduler(**SHORT, variance_type="fixed_large", clip_sample=False)
    draws, generator = 40_000, seeded()
    x_t = torch.randn(draws, 1, generator=generator, dtype=torch.float64)
    for t in range(39, 0, -1):
        alpha_bar_t = float(scheduler.alphas_cumprod[t])
        x_s = scheduler.step(math.sqrt(1 - alpha_bar_t) * x_t, t, x_t, generator).prev_sample
        assert abs(float(x_s.var()) - 1) < 5 * math.sqrt(2 / draws)
        assert abs(float((x_s * x_t).mean()) - math.sqrt(1 - float(scheduler.betas[t]))) < 5 * math.sqrt(2 / draws)
        x_t = x_s


def test_no_noise_at_the_end() -> None:
    """Nothing is drawn at t = 0, and the step to clean data adds nothing, wherever it starts and whatever the variance."""
    for variance_type in ("fixed_small", "fixed_large", "fixed_large_log", "learned", "learned_range"):
        scheduler = NotesDDPMScheduler(**SHORT, variance_type=variance_type)
        x_t = torch.randn(1, 1, 4, 4, generator=seeded())
        output = torch.cat([x_t, x_t.abs()], dim=1) if variance_type.startswith("learned") else x_t
        generator = seeded(1)
        before = generator.get_state()
        scheduler.step(output, 0, x_t, generator)
        scheduler.step(output, torch.tensor(0), x_t, generator)
        assert torch.equal(before, generator.get_state())
        scheduler.set_timesteps(timesteps=[30, 10])
        result = scheduler.step(output, 10, x_t, generator)
        torch.testing.assert_close(result.prev_sample, result.pred_original_sample, rtol=1e-6, atol=1e-6)


def test_variances() -> None:
    """fixed_small, fixed_large, their logarithmic names, and both ends of a learned range, measured from samples."""
    alpha_bar = torch.linspace(1e-3, 0.4, 40, dtype=torch.float64).neg().add(1).cumprod(0)
    t, s = 25, 9
    beta = 1 - alpha_bar[t] / alpha_bar[s]
    beta_tilde = beta * (1 - alpha_bar[s]) / (1 - alpha_bar[t])
    one = torch.ones(1, 1, 4, 4, dtype=torch.float64)
    expected = {
        ("fixed_small", None): beta_tilde,
        ("fixed_small_log", None): beta_tilde,
        ("fixed_large", None): beta,
        ("fixed_large_log", None): beta,
        ("learned", 0.123): 0.123,
        ("learned_range", -1.0): beta_tilde,
        ("learned_range", 1.0): beta,
        ("learned_range", 0.0): (beta * beta_tilde) ** 0.5,
    }
    for (variance_type, second), variance in expected.items():
        scheduler = NotesDDPMScheduler(**SHORT, variance_type=variance_type)
        scheduler.set_timesteps(timesteps=[39, t, s])
        measured = sigma_of_step(scheduler, t, None if second is None else second * one)
        assert measured == pytest.approx(float(variance) ** 0.5, rel=1e-9), (variance_type, second)
        assert float(scheduler._get_variance(t, None if second is None else second * one[:1, :1, :1, :1])) == pytest.approx(float(variance), rel=1e-9)


def test_dynamic_thresholding() -> None:
    """Each image is clipped at its own quantile of |x_0_hat|, at least 1 and at most the given maximum, and divided by it [Saharia 2022]."""
    scheduler = NotesDDPMScheduler(**SHORT, prediction_type="sample", thresholding=True, dynamic_thresholding_ratio=0.5, sample_max_value=3.0)
    ramp = torch.linspace(-1, 1, 25).reshape(1, 1, 5, 5)
    images = torch.cat([ramp, 4 * ramp, 40 * ramp])
    # The median of |ramp| is 0.5: the quantiles are 0.5, 2 and 20, held to [1, 3].
    expected = torch.cat([ramp, (4 * ramp).clamp(-2, 2) / 2, (40 * ramp).clamp(-3, 3) / 3])
    for dtype in (torch.float32, torch.bfloat16):
        result = scheduler.step(images.to(dtype), 20, images.to(dtype)).pred_original_sample
        assert result.dtype == dtype
        torch.testing.assert_close(result.float(), expected, rtol=0, atol=0.02 if dtype == torch.bfloat16 else 1e-6)


# ------------------------------------------------------------------------------------------------ a batch of timesteps


@pytest.mark.parametrize("options", [{}, {"prediction_type": "v_prediction"}, {"variance_type": "learned_range", "thresholding": True}])
def test_a_batch_of_timesteps_is_each_by_itself(options: dict[str, Any]) -> None:
    scheduler = NotesDDPMScheduler(**SHORT, **options)
    scheduler.set_timesteps(timesteps=[38, 20, 11, 5, 2])
    t = torch.tensor([2, 38, 11, 20, 2])
    x_t = torch.randn(5, 1, 4, 4, generator=seeded())
    output = torch.randn(5, 2 if "variance_type" in options else 1, 4, 4, generator=seeded(1))
    together = scheduler.step(output, t, x_t, [seeded(i) for i in range(5)])
    for i in range(5):
        alone = scheduler.step(output[i : i + 1], int(t[i]), x_t[i : i + 1], seeded(i))
        torch.testing.assert_close(together.prev_sample[i : i + 1], alone.prev_sample, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(together.pred_original_sample[i : i + 1], alone.pred_original_sample, rtol=1e-6, atol=1e-6)


def test_coefficients_made_in_inference_mode_serve_training() -> None:
    x_0, x_t, t = torch.ones(2, 1, 2, 2, requires_grad=True), torch.zeros(2, 1, 2, 2), torch.tensor([3, 4])
    with torch.inference_mode():
        scheduler = NotesDDPMScheduler(**SHORT)
        scheduler.add_noise(x_t, x_t, t)
        scheduler.step(x_t, t, x_t)
    (scheduler.add_noise(x_0, x_t, t).sum() + scheduler.step(x_0, t, x_t).prev_sample.sum()).backward()
    assert x_0.grad is not None and x_0.grad.abs().min() > 0


@pytest.mark.parametrize("options", [{}, {"prediction_type": "sample"}, {"prediction_type": "v_prediction", "thresholding": True}])
def test_arguments_are_left_as_they_were(options: dict[str, Any]) -> None:
    scheduler = NotesDDPMScheduler(**SHORT, **options)
    x_t, output = (3 * torch.randn(2, 1, 4, 4, generator=seeded(i)) for i in (0, 1))
    copies = x_t.clone(), output.clone()
    for t in (20, torch.tensor([3, 20])):
        scheduler.step(output, t, x_t)
        assert torch.equal(x_t, copies[0]) and torch.equal(output, copies[1])


# ------------------------------------------------------------------------------------------------ q_step and posterior


def test_single_steps_compose_to_the_jump() -> None:
    """Noising step by step along a respaced chain gives the moments of `add_noise` [N5 -> N6 by N3]."""
    scheduler = NotesDDPMScheduler(**SHORT)
    scheduler.set_timesteps(7)
    mean = torch.linspace(-1, 1, 9, dtype=torch.float64).reshape(1, 1, 3, 3)
    x_0, variance = mean, torch.zeros((), dtype=torch.float64)
    for t in reversed(scheduler.timesteps.tolist()):
        one, step_variance = scheduler.q_step(torch.ones_like(mean), t)
        mean = scheduler.q_step(mean, t)[0]
        variance = variance * float(one.mean()) ** 2 + step_variance
        torch.testing.assert_close(mean, scheduler.add_noise(x_0, torch.zeros_like(x_0), torch.tensor([t])))
        spread = scheduler.add_noise(torch.zeros_like(x_0), torch.ones_like(x_0), torch.tensor([t]))
        torch.testing.assert_close(variance.sqrt().expand_as(spread), spread)


def test_posterior_is_bayes() -> None:
    """q(x_s | x_t, x_0) is proportional to q(x_t | x_s) q(x_s | x_0): precisions add, and the mean is weighted by them."""
    scheduler = NotesDDPMScheduler(**SHORT)
    scheduler.set_timesteps(timesteps=[39, 22, 8, 1])
    x_0, x_t = (torch.randn(2, 1, 3, 3, generator=seeded(i), dtype=torch.float64) for i in (0, 1))
    for t, s in ((39, 22), (22, 8), (8, 1)):
        one, step_variance = scheduler.q_step(torch.ones_like(x_0), t)
        slope = float(one.mean())
        prior_mean = scheduler.add_noise(x_0, torch.zeros_like(x_0), torch.tensor([s]))
        prior_variance = 1 - scheduler.alphas_cumprod[s]
        precision = 1 / prior_variance + slope**2 / step_variance
        mean = (prior_mean / prior_variance + slope * x_t / step_variance) / precision
        mu_tilde, beta_tilde = scheduler.posterior(x_0, x_t, t)
        torch.testing.assert_close(beta_tilde, 1 / precision)
        torch.testing.assert_close(mu_tilde, mean)


def test_posterior_and_q_step_take_a_batch_of_timesteps() -> None:
    scheduler = NotesDDPMScheduler(**SHORT)
    x_0, x_t = (torch.randn(3, 1, 3, 3, generator=seeded(i)) for i in (0, 1))
    t = torch.tensor([5, 0, 39])
    means, variances = scheduler.posterior(x_0, x_t, t)
    noised, noised_variances = scheduler.q_step(x_0, t)
    drawn = scheduler.q_step_sample(x_0, t, eps=x_t)
    for i in range(3):
        mean, variance = scheduler.posterior(x_0[i : i + 1], x_t[i : i + 1], int(t[i]))
        assert torch.equal(means[i : i + 1], mean) and torch.equal(variances[i], variance)
        mean, variance = scheduler.q_step(x_0[i : i + 1], int(t[i]))
        assert torch.equal(noised[i : i + 1], mean) and torch.equal(noised_variances[i], variance)
        torch.testing.assert_close(variance, scheduler.betas[t[i]])
        torch.testing.assert_close(drawn[i : i + 1], mean + variance.sqrt().float() * x_t[i : i + 1])


# ------------------------------------------------------------------------------------------------ a given variance


def test_a_given_variance_is_used_where_it_is_given() -> None:
    table: list[float | None] = [None] * 40
    for t, value in {2: 0.5, 15: 0.01, 39: 0.0}.items():
        table[t] = value
    scheduler = NotesDDPMScheduler(**SHORT, variance_type="given", given_variance=table)
    scheduler.set_timesteps(timesteps=[39, 15, 2])
    assert sigma_of_step(scheduler, 39) == 0
    assert sigma_of_step(scheduler, 15) == pytest.approx(0.1, rel=1e-12)
    assert sigma_of_step(scheduler, 2) == 0, "the step to clean data"
    assert float(scheduler._get_variance(2)) == 0.5


def test_a_given_variance_for_another_chain_is_refused() -> None:
    scheduler = NotesDDPMScheduler(**SHORT, variance_type="given", given_variance=[0.1] * 40)
    assert sigma_of_step(scheduler, 7) == pytest.approx(0.1**0.5)
    with pytest.raises(ValueError, match=r"40 values for a chain of 10 steps, also one for t = \d+, which the chain skips"):
        scheduler.set_timesteps(10)
    holes = NotesDDPMScheduler(**SHORT, variance_type="given", given_variance=[0.1] * 39 + [None])
    with pytest.raises(ValueError, match="none for t = 39"):
        holes.set_timesteps(40)


def test_a_changed_config_changes_the_steps() -> None:
    """Pipelines switch a scheduler's prediction type after it was made."""
    x_t, output = (torch.randn(1, 1, 4, 4, generator=seeded(i)) for i in (0, 1))
    switched, made = NotesDDPMScheduler(**SHORT), NotesDDPMScheduler(**SHORT, prediction_type="v_prediction", variance_type="fixed_large")
    switched.step(output, 20, x_t)
    switched.register_to_config(prediction_type="v_prediction", variance_type="fixed_large")
    assert torch.equal(switched.step(output, 20, x_t, seeded()).prev_sample, made.step(output, 20, x_t, seeded()).prev_sample)
    assert switched.variance_type == "fixed_large"
    switched.register_to_config(prediction_type="noise")
    with pytest.raises(ValueError, match="unknown prediction_type 'noise'"):
        switched.step(output, 20, x_t)


def test_noise_may_be_given() -> None:
    """What a generator would have drawn, given instead, is the same step; it is left as it was, and a generator is not asked."""
    scheduler = NotesDDPMScheduler(**SHORT)
    scheduler.set_timesteps(10)
    x_t, output = (torch.randn(2, 1, 4, 4, generator=seeded(i)) for i in (0, 1))
    t = int(scheduler.timesteps[3])
    noise, idle = torch.randn(x_t.shape, generator=seeded(2)), seeded(3)
    kept = noise.clone()
    given = scheduler.step(output, t, x_t, idle, variance_noise=noise).prev_sample
    assert torch.equal(given, scheduler.step(output, t, x_t, seeded(2)).prev_sample)
    assert torch.equal(noise, kept) and torch.equal(idle.get_state(), seeded(3).get_state())
    with pytest.raises(ValueError, match=r"variance_noise has shape \(1, 1, 4, 4\)"):
        scheduler.step(output, t, x_t, variance_noise=noise[:1])
