"""Maximum likelihood: nothing beats the closed form, the ascent arrives there, least KL is the same model, and bad input is named."""

from __future__ import annotations

import math

import pytest
import torch

from ddpm_space.notes.mle import (
    cross_entropy,
    gradient_ascent,
    kl_discrete,
    likelihood_gradient,
    likelihood_split,
    log_likelihood,
    mle_gaussian,
    mle_gaussian_full,
)


def data(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return (3 + 0.7 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(dtype)


def test_no_other_gaussian_is_likelier() -> None:
    x = data(40)
    mean, variance = mle_gaussian(x)
    best = log_likelihood(x, mean, variance)
    generator = torch.Generator().manual_seed(1)
    for _ in range(200):
        shift, factor = 0.3 * torch.randn(2, generator=generator, dtype=torch.float64)
        assert log_likelihood(x, mean + shift, variance * factor.exp()) < best


def test_the_variance_is_low_by_n_minus_1_over_n() -> None:
    _, variance = mle_gaussian(data(5, 200_000, seed=2))
    expected = 0.49 * 4 / 5
    assert float(variance.mean()) == pytest.approx(expected, abs=5 * float(variance.std()) / math.sqrt(200_000))


def test_the_full_fit_knows_the_correlation_and_is_at_least_as_likely_as_the_diagonal_one() -> None:
    x = data(60, 3, seed=3) @ torch.tensor([[1.0, 0.8, 0.0], [0.0, 0.6, 0.3], [0.0, 0.0, 1.0]]).double()
    mean, covariance = mle_gaussian_full(x)
    diagonal_mean, variance = mle_gaussian(x)
    torch.testing.assert_close(mean, diagonal_mean)
    torch.testing.assert_close(covariance.diagonal(), variance)
    torch.testing.assert_close(covariance, torch.cov(x.T, correction=0))
    full = torch.distributions.MultivariateNormal(mean, covariance).log_prob(x).sum()
    diagonal = log_likelihood(x, diagonal_mean, variance).sum()
    correlation = torch.corrcoef(x.T)
    assert float(full - diagonal) == pytest.approx(-30 * float(torch.logdet(correlation)), rel=1e-9)


@pytest.mark.parametrize("natural", [False, True])
@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (-20.0, 0.01), (3.0, 1e4)])
def test_the_ascent_arrives_at_the_closed_form_and_never_falls(natural: bool, mean: float, variance: float) -> None:
    x = data(50, 2, seed=4)
    frames = list(gradient_ascent(x, mean, variance, natural=natural, max_steps=20_000))
    heights = torch.tensor([frame.log_likelihood for frame in frames], dtype=torch.float64)
    assert float(heights.diff().min()) > -1e-10
    assert [frame.step for frame in frames] == list(range(len(frames)))
    assert all(frame.stopped is None for frame in frames[:-1]) and frames[-1].stopped == "gradient below tolerance"
    best_mean, best_variance = mle_gaussian(x)
    torch.testing.assert_close(frames[-1].mean, best_mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(frames[-1].variance, best_variance, rtol=1e-5, atol=1e-5)
    assert frames[-1].gradient <= 1e-6


def test_natural_steps_do_not_care_about_units() -> None:
    x = data(50, seed=5)
    runs = [[frame.log_likelihood for frame in gradient_ascent(s * x, 0.0, s**2, natural=True)] for s in (1.0, 1e-3)]
    assert len(runs[0]) == len(runs[1]) < 60
    # Another unit adds one constant to every log-density.
    shifts = torch.tensor(runs[1]) - torch.tensor(runs[0])
    torch.testing.assert_close(shifts, torch.full_like(shifts, 50 * math.log(1e3)), rtol=1e-5, atol=0)


def test_the_ascent_says_why_it_stops() -> None:
    x = data(20)
    assert [frame.stopped for frame in gradient_ascent(x, max_steps=3)] == [None, None, None, "max_steps reached"]
    assert [frame.stopped for frame in gradient_ascent(x, *mle_gaussian(x))] == ["gradient below tolerance"]
    *_, last = gradient_ascent(x, tolerance=1e-300, natural=True)
    assert last.stopped in ("max_steps reached", "gradient below tolerance", "no step improves") and last.gradient < 1e-12


def test_the_gradient_vanishes_at_the_closed_form() -> None:
    x = data(30, 2)
    for slope in likelihood_gradient(x, *mle_gaussian(x)):
        assert float(slope.abs().max()) < 1e-13


def gridded(density: torch.Tensor) -> torch.Tensor:
    return torch.log(density / density.sum())


def test_the_gaussian_of_least_kl_has_the_moments_of_the_data_law() -> None:
    """A mixture on a grid: no Gaussian is nearer in KL than the one with its mean and variance, which is also the likeliest for its data."""
    x = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    log_p = gridded(0.3 * torch.exp(-((x + 2) ** 2)) + 0.7 * torch.exp(-2 * (x - 1) ** 2))
    mean = (log_p.exp() * x).sum()
    variance = (log_p.exp() * (x - mean) ** 2).sum()

    def kl(m: torch.Tensor, v: torch.Tensor) -> float:
        return float(kl_discrete(log_p, gridded(torch.exp(-((x - m) ** 2) / (2 * v)))))

    best = kl(mean, variance)
    for shift, factor in ((0.05, 1), (-0.05, 1), (0, 1.05), (0, 0.95), (0.03, 1.03)):
        assert kl(mean + shift, variance * factor) > best
    draws = torch.multinomial(log_p.exp(), 200_000, replacement=True, generator=torch.Generator().manual_seed(6))
    fitted = mle_gaussian(x[draws])
    assert float(fitted[0]) == pytest.approx(float(mean), abs=5 * math.sqrt(float(variance) / 200_000))
    assert float(fitted[1]) == pytest.approx(float(variance), rel=0.02)


def test_likelihood_ranks_models_as_kl_does() -> None:
    generator = torch.Generator().manual_seed(7)
    draws = torch.randint(0, 5, (400,), generator=generator)
    models = torch.log_softmax(torch.randn(30, 5, generator=generator, dtype=torch.float64), dim=1)
    splits = [likelihood_split(draws, model) for model in models]
    by_likelihood = sorted(range(30), key=lambda i: -float(splits[i].mean_log_likelihood))
    assert by_likelihood == sorted(range(30), key=lambda i: float(splits[i].kl))
    assert len({round(float(split.entropy), 12) for split in splits}) == 1
    for split in splits:
        assert float(split.mean_log_likelihood + split.entropy + split.kl) == pytest.approx(0, abs=1e-12)


def test_a_value_the_model_excludes_costs_everything_and_one_the_data_lack_nothing() -> None:
    log_p, log_q = torch.log(torch.tensor([0.5, 0.5, 0.0]).double()), torch.log(torch.tensor([0.5, 0.25, 0.25]).double())
    assert float(kl_discrete(log_p, log_q)) == pytest.approx(math.log(2) / 2)
    assert math.isinf(float(kl_discrete(log_q, log_p))) and math.isinf(float(cross_entropy(log_q, log_p)))
    assert float(cross_entropy(log_p, log_p)) == pytest.approx(math.log(2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_dtypes(dtype: torch.dtype) -> None:
    x = data(12, 3, 2, seed=8, dtype=dtype)
    mean, variance = mle_gaussian(x)
    whole = [mean, variance, log_likelihood(x, mean, variance), *likelihood_gradient(x, mean + 1, variance)]
    one = x[:, 1, 0]
    alone = [*mle_gaussian(one), log_likelihood(one, *mle_gaussian(one)), *likelihood_gradient(one, mean[1, 0] + 1, variance[1, 0])]
    for together, single in zip(whole, alone):
        assert together.shape == (3, 2) and single.shape == () and together.dtype == single.dtype == dtype
        torch.testing.assert_close(together[1, 0], single, rtol=1e-5, atol=1e-6)
    assert all(value.dtype == dtype for value in mle_gaussian_full(x[:, :, 0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mle_gaussian(torch.ones(4)), r"4 equal values have no most likely Gaussian"),
        (lambda: mle_gaussian(torch.ones(0, 2)), r"shape \(0, 2\): give at least one datum"),
        (lambda: mle_gaussian_full(torch.ones(4)), r"shape \(4,\): give \(n, D\)"),
        (lambda: mle_gaussian_full(data(3, 3)), r"3 vectors do not span all 3 dimensions"),
        (lambda: next(gradient_ascent(data(5), learning_rate=0)), r"learning_rate = 0: use a positive number"),
        (lambda: next(gradient_ascent(data(5), variance=-1.0)), r"the variance to start from is -1"),
        (lambda: likelihood_split(torch.tensor([0, 7]), torch.zeros(3)), r"in \[0, 3\).*from 0 to 7"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("data", [torch.full((3,), 0.1, dtype=torch.float64), torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.inf])])
def test_equal_and_infinite_data_are_refused(data: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"equal values|the data hold (nan|inf)"):
        mle_gaussian(data)
    with pytest.raises(ValueError, match=r"equal values|the data hold (nan|inf)"):
        next(gradient_ascent(data))


def test_ascent_from_far_away_does_not_run_off() -> None:
    """Heights in centimetres from a standard normal start: natural steps arrive, and no frame's variance leaves the data's world."""
    data = 170 + 7 * torch.randn(100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mean, variance = mle_gaussian(data)
    *_, last = gradient_ascent(data, natural=True)
    assert last.stopped == "gradient below tolerance" and last.step < 100
    assert float(last.mean) == pytest.approx(float(mean), rel=1e-6) and float(last.variance) == pytest.approx(float(variance), rel=1e-4)
    assert max(float(frame.variance) for frame in gradient_ascent(data, max_steps=50)) < 1e6
