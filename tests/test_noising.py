"""Noising: the picture's own numbers, and a comparison of the two routes whose z-scores mean what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ddpm_space import noising
from ddpm_space.noising import RouteComparison, compare_routes, film_strip, noise_image
from ddpm_space.schedule import NoiseSchedule

SHORT = NoiseSchedule.linear(8, beta_start=0.01, beta_end=0.5)


def picture(size: int = 16) -> torch.Tensor:
    return torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(7)) * 1.6 - 1


def z_scores(result: RouteComparison) -> list[float]:
    moments = [result.mean, result.signal, result.variance]
    return [d.z for m in moments if m is not None for d in (m.steps_to_theory, m.jump_to_theory, m.steps_to_jump)]


def test_a_noised_image_is_what_its_numbers_say(schedule: NoiseSchedule) -> None:
    x_0 = picture()
    noised = noise_image(x_0, schedule, 9, seed=4)
    alpha_bar = math.prod(1 - float(beta) for beta in schedule.beta[:10])
    assert noised.alpha_bar_t == pytest.approx(alpha_bar, rel=1e-12)
    assert noised.signal**2 + noised.sigma**2 == pytest.approx(1, abs=1e-12)
    assert noised.snr == pytest.approx(noised.signal**2 / noised.sigma**2, rel=1e-12)
    assert (noised.x_t - (noised.signal * x_0 + noised.sigma * noised.eps)).abs().max() < 1e-6
    assert abs(float(noised.eps.mean())) < 4 / 16 and abs(float(noised.eps.std()) - 1) < 0.2


def test_a_film_strip_shares_its_noise_and_its_seed(schedule: NoiseSchedule) -> None:
    strip = film_strip(picture(), schedule, [0, 20, 39], seed=4)
    assert [noised.t for noised in strip] == [0, 20, 39]
    assert all(torch.equal(noised.eps, strip[0].eps) for noised in strip)
    assert torch.equal(strip[1].x_t, noise_image(picture(), schedule, 20, seed=4).x_t)
    assert not torch.equal(strip[1].eps, noise_image(picture(), schedule, 20, seed=5).eps)


@pytest.mark.parametrize("t", [-1, 40, 10**9])
def test_a_t_outside_the_chain_is_refused(schedule: NoiseSchedule, t: int) -> None:
    with pytest.raises(ValueError, match=f"t = {t} is outside"):
        noise_image(picture(), schedule, t, seed=0)
    with pytest.raises(ValueError, match=f"t = {t} is outside"):
        compare_routes(picture(), schedule, t, draws=4, seed=0)


@pytest.mark.parametrize("draws", [0, 1, -3, 10**9])
def test_impossible_numbers_of_draws_are_refused(draws: int) -> None:
    with pytest.raises(ValueError, match=f"draws = {draws}"):
        compare_routes(picture(), SHORT, 3, draws=draws)


@pytest.mark.parametrize("t", [0, 3, 7])
def test_the_z_scores_are_calibrated(t: int) -> None:
    """Over 300 seeds each z has mean 0 and mean square (n - 1) / (n - 3), the variance of Student's t; limits are 4.5 standard errors."""
    seeds, draws = 300, 64
    z = np.array([z_scores(compare_routes(picture(), SHORT, t, draws=draws, seed=seed)) for seed in range(seeds)])
    assert z.shape == (seeds, 9)
    student = (draws - 1) / (draws - 3)
    assert np.abs(z.mean(axis=0)).max() < 4.5 * math.sqrt(student / seeds)
    assert np.abs((z**2).mean(axis=0) - student).max() < 4.5 * math.sqrt(2.2 * student**2 / seeds)


def test_theory_and_standard_errors_against_closed_forms() -> None:
    """Draws of independent Gaussian pixels: se(mean) = sigma / sqrt(n P), se(variance) = sigma^2 sqrt(2 / (n P)), up to their own spread."""
    result = compare_routes(picture(), SHORT, 5, draws=512, seed=0)
    alpha_bar = float(SHORT.alpha_bar[5])
    variance, values = 1 - alpha_bar, 512 * 256
    assert result.mean.theory == pytest.approx(math.sqrt(alpha_bar) * float(picture().mean()), abs=1e-7)
    assert result.variance.theory == pytest.approx(variance, rel=1e-12)
    assert result.signal is not None and result.signal.theory == pytest.approx(math.sqrt(alpha_bar), rel=1e-12)
    energy = float((picture() ** 2).sum())
    for moment, expected in (
        (result.mean, math.sqrt(variance / values)),
        (result.signal, math.sqrt(variance / (512 * energy))),
        (result.variance, variance * math.sqrt(2 / values)),
    ):
        for difference in (moment.steps_to_theory, moment.jump_to_theory):
            assert difference.standard_error == pytest.approx(expected, rel=4.5 / math.sqrt(2 * 511))
        assert moment.steps_to_jump.value == pytest.approx(moment.steps - moment.jump, abs=1e-12)
        assert moment.steps_to_jump.standard_error == pytest.approx(expected * math.sqrt(2), rel=0.15)


def test_pixels_that_share_their_noise_do_not_fool_the_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one noise for the whole image the error is sqrt(P) times larger; an error that assumed independent pixels would not see it."""
    sample = noising.q_cumulative_sample

    def same_for_all_pixels(x_0, alpha_bar_t, *, eps=None, generator=None):
        shared = torch.randn(len(x_0), 1, generator=generator) if eps is None else eps
        return sample(x_0, alpha_bar_t, eps=shared.expand_as(x_0))

    honest = compare_routes(picture(), SHORT, 7, draws=256, seed=0)
    monkeypatch.setattr(noising, "q_cumulative_sample", same_for_all_pixels)
    shared = compare_routes(picture(), SHORT, 7, draws=256, seed=0)
    ratio = shared.mean.jump_to_theory.standard_error / honest.mean.jump_to_theory.standard_error
    assert ratio == pytest.approx(16, rel=0.25)


WRONG_STEPS = {
    "noise scaled by beta, not its root": lambda x, beta, eps: (1 - beta).sqrt() * x + beta * eps,
    "signal scaled by 1 - beta, not its root": lambda x, beta, eps: (1 - beta) * x + beta.sqrt() * eps,
    "signal not scaled": lambda x, beta, eps: x + beta.sqrt() * eps,
    "noise one percent too weak": lambda x, beta, eps: (1 - beta).sqrt() * x + 0.99 * beta.sqrt() * eps,
}


@pytest.mark.parametrize("wrong", WRONG_STEPS.values(), ids=WRONG_STEPS.keys())
def test_a_wrong_step_is_found(monkeypatch: pytest.MonkeyPatch, wrong) -> None:
    monkeypatch.setattr(noising, "q_step_sample", lambda x, beta_t, *, eps: wrong(x, beta_t.float(), eps))
    result = compare_routes(picture(28), SHORT, 7, draws=512, seed=0)
    assert max(abs(z) for z in z_scores(result)) > 4
    assert result.coupled_error > 1e-3


def test_a_wrong_jump_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = noising.q_cumulative_sample
    monkeypatch.setattr(noising, "q_cumulative_sample", lambda x_0, alpha_bar_t, **noise: sample(x_0, alpha_bar_t**1.05, **noise))
    result = compare_routes(picture(28), SHORT, 5, draws=512, seed=0)
    assert abs(result.variance.jump_to_theory.z) > 4 and abs(result.variance.steps_to_jump.z) > 4
    assert abs(result.variance.steps_to_theory.z) < 4


def test_the_coupled_pair_agrees_to_rounding() -> None:
    result = compare_routes(picture(), NoiseSchedule.linear(), 999, draws=2, seed=1)
    assert 0 < result.coupled_error < 2e-5


def test_large_images_are_compared_on_a_part_that_is_said() -> None:
    large = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    whole = compare_routes(large, SHORT, 2, draws=16, seed=0)
    assert whole.pixels == whole.total_pixels == 3 * 64 * 64
    budget = noising.WORK_BUDGET
    try:
        noising.WORK_BUDGET = 16 * 3 * 1000
        part = compare_routes(large, SHORT, 2, draws=16, seed=0)
    finally:
        noising.WORK_BUDGET = budget
    assert part.pixels == 1000 and part.total_pixels == whole.pixels
    assert max(abs(z) for z in z_scores(part)) < 4.5


def test_a_mid_gray_image_has_no_signal_to_measure() -> None:
    result = compare_routes(torch.zeros(1, 1, 8, 8), SHORT, 3, draws=32, seed=0)
    assert result.signal is None and abs(result.mean.steps_to_theory.z) < 4.5


def test_the_seed_decides_everything() -> None:
    assert compare_routes(picture(), SHORT, 3, draws=8, seed=5) == compare_routes(picture(), SHORT, 3, draws=8, seed=5)
    assert compare_routes(picture(), SHORT, 3, draws=8, seed=5) != compare_routes(picture(), SHORT, 3, draws=8, seed=6)
