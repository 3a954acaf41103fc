"""The bound kept whole and the bound estimated: their figures against sums taken by hand, against repetition, and against exactly known worlds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ddpm_space.bound import PARTS, full_bound
from ddpm_space.denoiser import Denoiser
from ddpm_space.likelihood import variational_bound
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.stratified import Strata, estimate, estimated_bound

SCHEDULE = NoiseSchedule.linear(60, 1e-3, 0.2)
X_0 = (torch.randint(0, 256, (5, 1, 3, 3), generator=torch.Generator().manual_seed(3)).double() / 127.5) - 1


def network(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return torch.tanh(0.7 * x_t + 0.02 * t.reshape(-1, 1, 1, 1))


DENOISER = Denoiser(network, "epsilon", SCHEDULE)
BOUND = full_bound(DENOISER, X_0, variance="fixed_large", seed=2, chunk=7)


def test_parts_add_up_to_the_terms_that_were_streamed() -> None:
    terms = [term.nats.numpy() for term in variational_bound(DENOISER, X_0, variance="fixed_large", seed=2)]
    bits = np.array([terms[0], sum(terms[1:-1]), terms[-1], sum(terms)]) / (9 * math.log(2))
    for part, expected in zip(PARTS, bits):
        assert np.allclose(BOUND.per_image(part).numpy(), expected, rtol=1e-12)
        mean = BOUND.mean(part)
        assert (mean.mean, mean.images) == (pytest.approx(expected.mean()), 5)
        assert mean.standard_error == pytest.approx(expected.std(ddof=1) / math.sqrt(5))
    assert BOUND.rate().mean == pytest.approx((bits[0] + bits[1]).mean())
    assert BOUND.rate().standard_error == pytest.approx((bits[0] + bits[1]).std(ddof=1) / math.sqrt(5))


def test_rate_and_distortion_follow_the_image_as_it_is_sent() -> None:
    curve = BOUND.rate_distortion()
    assert [point.t for point in curve] == list(range(59, -1, -1))
    first, last = curve[0], curve[-1]
    # x_T costs L_T; by the time x_1 is known, all but L_0 has been sent.
    assert first.rate == pytest.approx(BOUND.mean("L_T").mean) and last.rate == pytest.approx(BOUND.rate().mean)
    for point in (first, curve[30], last):
        row = point.t
        a = float(np.prod(1 - SCHEDULE.beta.numpy()[: row + 1]))
        eps = torch.randn(X_0.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2 * 1_000_003 + row))
        x_t = math.sqrt(a) * X_0 + math.sqrt(1 - a) * eps
        x_0_hat = ((x_t - math.sqrt(1 - a) * network(x_t, torch.full((5,), row))) / math.sqrt(a)).clamp(-1, 1)
        # On the 0..255 scale that pixels have.
        assert point.rmse == pytest.approx(math.sqrt((((X_0 - x_0_hat) * 127.5) ** 2).mean()), rel=1e-9)


def test_progress_hears_every_term_and_an_unknown_part_is_refused() -> None:
    heard = []
    full_bound(DENOISER, X_0[:1], schedule=SCHEDULE.respaced([59, 20, 3]), progress=heard.append)
    assert [term.t for term in heard] == [59, 59, 20, 3]
    with pytest.raises(ValueError, match="unknown part 'L_1' of the bound: use one of L_T"):
        BOUND.per_image("L_1")


LATE = NoiseSchedule(torch.cat([torch.full((50,), 1e-7), torch.full((10,), 0.6)]))
"""Nearly all that is to be told is told by the last few steps: strata crowd there."""


@pytest.mark.parametrize("schedule", [NoiseSchedule.linear(1000), NoiseSchedule.cosine(1000), NoiseSchedule.linear(60, 1e-3, 0.2), LATE])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_strata_cover_every_row_once_and_hold_two_at_least(schedule: NoiseSchedule, share: float) -> None:
    evaluations = max(3, round(share * len(schedule)))
    edges = Strata.of(schedule, evaluations).edges
    assert (edges[0], edges[-1]) == (1, len(schedule)) and bool((edges[1:] - edges[:-1] >= 2).all())
    assert 2 * (len(edges) - 1) + 1 == (evaluations - 1) // 2 * 2 + 1


def test_every_pair_of_rows_of_a_stratum_is_drawn_equally_often() -> None:
    strata = Strata(torch.tensor([1, 5, 7]))
    drawn = strata.draw(60_000, torch.Generator().manual_seed(0))
    first, second = drawn[0]
    counts = torch.bincount((first - 1) * 4 + (second - 1), minlength=16).reshape(4, 4)
    assert bool((counts.diagonal() == 0).all())
    expected = 60_000 / 12
    chi_square = float(((counts[~torch.eye(4, dtype=torch.bool)] - expected) ** 2 / expected).sum())
    assert chi_square < 11 + 5 * math.sqrt(22)
    assert set(drawn[1].unique().tolist()) == {5, 6} and bool((drawn[1][0] != drawn[1][1]).all())


def test_estimate_of_the_sum_and_of_its_variance_are_unbiased() -> None:
    """Over all choices of two rows out of each stratum: no Monte Carlo, every pair counts the same."""
    strata, values = Strata(torch.tensor([1, 4, 8])), torch.tensor([1.0, 4.0, 9.0, 2.0, -1.0, 0.5, 7.0], dtype=torch.float64)
    pairs = [[(i, j) for i in range(3) for j in range(3) if i != j], [(i, j) for i in range(3, 7) for j in range(3, 7) if i != j]]
    every = torch.tensor([[first, second] for first in pairs[0] for second in pairs[1]])  # (choices, strata, 2)
    total, variance = strata.total(values[every.permute(1, 2, 0)])
    assert float(total.mean()) == pytest.approx(float(values.sum()))
    assert float(variance.mean()) == pytest.approx(float(total.var(correction=0)))


def test_estimate_from_a_table_is_the_estimate_from_the_model() -> None:
    """Drawing cells of the stored table stands for running the estimator: they give the same numbers."""
    found = estimated_bound(DENOISER, X_0, evaluations=21, variance="fixed_large", seed=2, batch=13)
    strata = Strata.of(SCHEDULE, 21)
    drawn = strata.draw(5, torch.Generator().manual_seed(2))
    by_table = estimate(strata, BOUND.nats[drawn, torch.arange(5)], BOUND.prior_nats + BOUND.nats[0], 9, "")
    assert torch.allclose(found.per_image, by_table.per_image, rtol=1e-9) and found.evaluations == 21
    assert found.standard_error == pytest.approx(by_table.standard_error, rel=1e-9)
    assert found.image_error == pytest.approx(float(found.per_image.std()) / math.sqrt(5))
    assert found.conventions == BOUND.conventions


def test_all_terms_asked_for_give_the_bound_itself_without_an_error() -> None:
    found = estimated_bound(DENOISER, X_0, evaluations=59, schedule=SCHEDULE.respaced(range(59, 0, -1)), variance="fixed_large", seed=2)
    whole = full_bound(DENOISER, X_0, schedule=SCHEDULE.respaced(range(59, 0, -1)), variance="fixed_large", seed=2)
    assert torch.allclose(found.per_image, whole.per_image(), rtol=1e-12) and found.standard_error == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"evaluations": 2}, "evaluations = 2: use 3 to 60"),
        ({"evaluations": 61}, "evaluations = 61: use 3 to 60"),
        ({"batch": 0}, "batch = 0"),
        ({"variance": "medium"}, "unknown variance 'medium'"),
        ({"schedule": SCHEDULE.respaced([59, 3])}, "a chain of 2 steps has no strata.*full_bound"),
    ],
)
def test_refusals(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimated_bound(DENOISER, X_0, **options)


def test_an_empty_batch_is_refused_and_one_image_has_no_error_bar(recwarn: pytest.WarningsRecorder) -> None:
    for take in (full_bound, estimated_bound):
        with pytest.raises(ValueError, match=r"x_0 has shape \(0, 1, 3, 3\)"):
            take(DENOISER, X_0[:0])
    one = full_bound(DENOISER, X_0[:1], schedule=SCHEDULE.respaced([59, 9]))
    assert math.isnan(one.mean().standard_error) and math.isnan(one.rate().standard_error) and one.mean().images == 1
    assert math.isnan(estimated_bound(DENOISER, X_0[:1], seed=2**70).image_error)
    assert not list(recwarn)
