"""Bounds from log-weights: their order on shared draws, their errors over many data sets, extreme weights, shapes and bad input."""

from __future__ import annotations

import math

import pytest
import torch

from ddpm_space.notes import importance
from ddpm_space.notes.importance import effective_sample_size, elbo, iwae, iwae_gap, iwae_rise, jackknife, log_mean, relative_variance

SIGMA = 0.8


def lognormal(*shape: int, seed: int = 0) -> torch.Tensor:
    """Log-weights with E w = 1, so that log p = 0 and the ELBO is -SIGMA^2 / 2."""
    return SIGMA * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - SIGMA**2 / 2


def test_on_shared_draws_every_longer_bound_is_higher_for_certain() -> None:
    log_weights = lognormal(240, 300, seed=1)
    bounds = torch.stack([iwae(log_weights, k).value for k in (1, 2, 4, 12, 60, 120, 240)])
    assert bool((bounds.diff(dim=0) > 0).all())
    torch.testing.assert_close(bounds[0], elbo(log_weights).value)


def test_the_bounds_lie_where_the_lognormal_law_puts_them() -> None:
    log_weights = lognormal(480_000, seed=2)
    low = elbo(log_weights)
    assert abs(float(low.value) + SIGMA**2 / 2) < 5 * float(low.standard_error)
    previous = low
    for k in (10, 100):
        bound, rise = iwae(log_weights, k), iwae_rise(log_weights, 1 if k == 10 else 10, k)
        assert float(previous.value) < float(bound.value) < 5 * float(bound.standard_error)
        assert float(rise.value) == pytest.approx(float(bound.value - previous.value), abs=1e-12)
        assert float(rise.value) > 20 * float(rise.standard_error)
        previous = bound
    assert -float(previous.value) == pytest.approx(math.expm1(SIGMA**2) / 200, abs=5 * float(previous.standard_error) + 1e-4)
    assert float(iwae_gap(log_weights, 100)) == pytest.approx(math.expm1(SIGMA**2) / 200, rel=0.03)


def test_the_difference_on_shared_draws_is_known_better_than_the_bounds() -> None:
    log_weights = lognormal(20_000, seed=3)
    rise, low = iwae_rise(log_weights, 1, 10), elbo(log_weights)
    assert float(rise.standard_error) < 0.7 * float(low.standard_error)


def test_stated_errors_and_biases_hold_over_many_data_sets() -> None:
    sets = 20_000
    log_weights = lognormal(60, sets, seed=4)
    for out in (elbo(log_weights), iwae(log_weights, 6), iwae_rise(log_weights, 2, 6), jackknife(log_weights), log_mean(log_weights)):
        assert float((out.standard_error**2).mean().sqrt()) == pytest.approx(float(out.value.std()), rel=0.1), type(out)
    plain, corrected = log_mean(log_weights), jackknife(log_weights).value
    error = float(plain.value.std()) / math.sqrt(sets)
    assert float(plain.value.mean()) == pytest.approx(float(plain.bias.mean()), abs=5 * error + 0.1 * abs(float(plain.bias.mean())))
    assert float(plain.value.mean()) < -5 * error, "the bias is there to be seen"
    assert abs(float(corrected.mean())) < abs(float(plain.value.mean())) / 5


def test_one_group_takes_the_delta_methods_error() -> None:
    log_weights = lognormal(50, seed=5)
    assert iwae(log_weights, 50) == log_mean(log_weights)[:2]


def test_weights_far_from_1_neither_overflow_nor_vanish() -> None:
    log_weights = lognormal(40, seed=6)
    for shift in (-1e5, 1e5):
        for function in (elbo, jackknife, log_mean, lambda w: iwae(w, 8)):
            near, far = function(log_weights), function(log_weights + shift)
            assert float(far[0]) - shift == pytest.approx(float(near[0]), abs=1e-9)
            assert float(far[1]) == pytest.approx(float(near[1]), rel=1e-6)
        assert float(effective_sample_size(log_weights + shift)) == pytest.approx(float(effective_sample_size(log_weights)), rel=1e-9)
        assert float(relative_variance(log_weights + shift)) == pytest.approx(float(relative_variance(log_weights)), rel=1e-9)


def test_one_weight_that_has_it_all() -> None:
    log_weights = torch.tensor([0.0, 60.0, 1.0, -2.0]).double()
    assert float(effective_sample_size(log_weights)) == pytest.approx(1)
    assert float(relative_variance(log_weights)) == pytest.approx(4)
    without = math.log((1 + math.e + math.exp(-2)) / 3)
    expected = 4 * (60 - math.log(4)) - 3 * (3 * (60 - math.log(3)) + without) / 4
    assert float(jackknife(log_weights).value) == pytest.approx(expected, abs=1e-9)


def test_equal_weights_leave_no_gap() -> None:
    log_weights = torch.full((12,), -3.5).double()
    for out in (elbo(log_weights), iwae(log_weights, 4), jackknife(log_weights), log_mean(log_weights)):
        assert float(out[0]) == pytest.approx(-3.5) and float(out[1]) == pytest.approx(0, abs=1e-12)
    assert float(effective_sample_size(log_weights)) == pytest.approx(12)
    assert float(iwae_rise(log_weights, 2, 6).value) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_dtypes(dtype: torch.dtype) -> None:
    log_weights = lognormal(24, 3, 2, seed=7).to(dtype)
    calls = [elbo, jackknife, log_mean, relative_variance, effective_sample_size]
    calls += [lambda w: iwae(w, 6), lambda w: iwae(w, 24), lambda w: iwae_rise(w, 3, 6), lambda w: iwae_gap(w, 50)]
    for function in calls:
        whole, alone = function(log_weights), function(log_weights[:, 1, 0])
        for together, single in zip(whole if isinstance(whole, tuple) else [whole], alone if isinstance(alone, tuple) else [alone]):
            assert together.shape == (3, 2) and together.dtype == dtype
            torch.testing.assert_close(together[1, 0], single, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: elbo(w[:1]), r"fewer than 2 independent draws"),
        (lambda w: iwae(w, 5), r"k = 5 does not divide the 12 draws"),
        (lambda w: iwae(w, 0), r"k = 0 does not divide"),
        (lambda w: iwae_rise(w, 4, 6), r"j = 4 does not divide k = 6"),
        (lambda w: iwae_rise(w, 4, 12), r"fewer than 2 independent draws \(or groups\)"),
        (lambda w: iwae_gap(w, 0), r"k = 0: use at least 1"),
        (lambda w: jackknife(w.index_fill(0, torch.tensor([3]), math.nan)), "must be numbers below infinity"),
        (lambda w: effective_sample_size(torch.full_like(w, -math.inf)), "not all -inf"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(lognormal(12))


def test_the_order_test_would_notice_groups_that_do_not_share_their_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = importance._log_means

    def rolled(log_weights: torch.Tensor, k: int) -> torch.Tensor:
        return plain(log_weights.roll(k, 0)[: log_weights.shape[0] // 2] if k == 12 else log_weights, 6 if k == 12 else k)

    monkeypatch.setattr(importance, "_log_means", rolled)
    with pytest.raises(AssertionError):
        test_on_shared_draws_every_longer_bound_is_higher_for_certain()


@pytest.mark.parametrize("draws", [5_000, 70_000])
def test_effective_sample_size_of_half_precision_weights(draws: int) -> None:
    assert float(effective_sample_size(torch.zeros(draws).half())) == pytest.approx(draws, rel=1e-4)
