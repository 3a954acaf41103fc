"""The weights of the terms put to work: sums of weighted errors against the bound itself, in worlds where every error is known."""

from __future__ import annotations

import pytest
import torch

from ddpm_space.exact import GaussianMixture, exact_denoiser, mean_posterior_variance
from ddpm_space.exact.chain import ExactChain
from ddpm_space.likelihood import variational_bound
from ddpm_space.notes import weights
from ddpm_space.schedule import NoiseSchedule

MIXTURE = GaussianMixture([0.5, 0.3, 0.2], torch.tensor([[-0.8], [0.1], [0.9]]), torch.tensor([0.01, 0.02, 0.005]))


def test_many_steps_reach_the_continuous_bound_and_the_schedule_between_does_not_matter() -> None:
    """The sum of (SNR(s) - SNR(t)) / 2 E|x_0 - x_0_hat|^2 falls towards the integral as 1 / T, for two schedules with the same ends."""
    log_snr = torch.linspace(4, -4, 801, dtype=torch.float64)
    snr = log_snr.exp()
    floor = torch.stack([mean_posterior_variance(MIXTURE, float(value)).value for value in weights.alpha_bar_from_snr(snr)]).reshape(-1)
    limit = float(weights.continuous_bound(log_snr, snr * floor))

    def discrete(points: torch.Tensor) -> float:
        return float((weights.snr_weight(snr[points[1:]], snr[points[:-1]]) * floor[points[1:]]).sum())

    even = [discrete(torch.arange(0, 801, step)) - limit for step in (8, 4, 2)]
    bent = torch.linspace(0, 1, 401, dtype=torch.float64)
    uneven = [discrete((800 * (0.5 * bent[:: 4 // k] + 0.5 * bent[:: 4 // k] ** 2)).round().long()) - limit for k in (1, 2, 4)]
    for excess in (even, uneven):
        assert all(gap > 0 for gap in excess), "fewer steps cost more nats"
        assert excess[0] / excess[1] == pytest.approx(2, rel=0.1) and excess[1] / excess[2] == pytest.approx(2, rel=0.1)
    assert even[2] < 0.02 * limit


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
def test_the_terms_of_the_bound_are_those_of_the_exact_chain(variance: str) -> None:
    """likelihood.py draws x_t and knows no grid; the exact chain integrates over one and draws nothing."""
    schedule, draws, x_0 = NoiseSchedule.cosine(8), 20_000, 0.6
    chain = ExactChain(MIXTURE, schedule, variance)
    denoiser = exact_denoiser(MIXTURE, schedule)
    expected = chain.elbo_terms(torch.tensor([x_0]))[:, 0]
    clean = torch.full((draws, 1), x_0, dtype=torch.float64)
    terms = list(variational_bound(denoiser, clean, variance=variance, clip_x0=False, seed=3))
    assert float(terms[0].nats[0]) == pytest.approx(float(expected[-1]), rel=1e-9)
    for row, term in zip(range(len(schedule) - 1, 0, -1), terms[1:]):
        error = float(term.nats.std()) / draws**0.5
        assert abs(float(term.nats.mean()) - float(expected[row])) <= 5 * error, row
        assert error < 0.02 * float(expected[row])


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
def test_a_term_is_its_weight_times_the_error_plus_what_the_variance_costs(variance: str) -> None:
    schedule = NoiseSchedule.linear(20, 1e-3, 0.3)
    denoiser = exact_denoiser(MIXTURE, schedule)
    clean = torch.linspace(-1, 1, 7, dtype=torch.float64)[:, None]
    for term in list(variational_bound(denoiser, clean, variance=variance, clip_x0=False))[1:-1]:
        at = schedule.at(term.t)
        assert term.eps_mse is not None and term.x_0_mse is not None
        sigma2 = at.beta_tilde_t if variance == "fixed_small" else at.beta_t
        ratio = at.beta_tilde_t / sigma2
        by_itself = 0.5 * (ratio - 1 - ratio.log())
        times = (sigma2, at.alpha_bar_t, at.alpha_bar_prev)
        assert torch.allclose(term.nats, weights.eps_weight(*times) * term.eps_mse + by_itself, rtol=1e-9)
        assert torch.allclose(term.nats, weights.x_0_weight(*times) * term.x_0_mse + by_itself, rtol=1e-9)
        if variance == "fixed_small":
            previous = weights.snr_weight(at.snr_t, weights.snr(at.alpha_bar_prev))
            assert torch.allclose(term.nats, previous * term.x_0_mse, rtol=1e-9)


def test_refusals_of_the_continuous_bound() -> None:
    for n in (2, 4, 1):
        with pytest.raises(ValueError, match=f"{n} values of log SNR"):
            weights.continuous_bound(torch.linspace(3, -3, n), torch.ones(n))
    for points in (torch.linspace(-3, 3, 5), torch.tensor([3.0, 1.0, -3.0])):
        with pytest.raises(ValueError, match="must fall in equal steps"):
            weights.continuous_bound(points, torch.ones(len(points)))


def test_the_continuous_bound_takes_torch_s_own_grid_and_no_nan() -> None:
    """Single precision is even to its own rounding."""
    for dtype in (torch.float32, torch.float64):
        assert float(weights.continuous_bound(torch.linspace(6, -7, 2001, dtype=dtype), torch.ones(2001))) == pytest.approx(6.5, rel=1e-5)
    with pytest.raises(ValueError, match="must fall in equal steps"):
        weights.continuous_bound(torch.tensor([1.0, torch.nan, 0.0]), torch.ones(3))


def test_min_snr_at_the_ends_of_the_schedule() -> None:
    """Pure noise and clean data: the limits, not 0 / 0."""
    ends = torch.tensor([0.0, torch.inf], dtype=torch.float64)
    assert weights.min_snr_weight_eps(ends, 5.0).tolist() == [1.0, 0.0]
    assert weights.min_snr_weight_x_0(ends, 5.0).tolist() == [0.0, 5.0] and weights.min_snr_weight_v(ends, 5.0).tolist() == [0.0, 0.0]
