"""The Gaussian beyond its registry checks: tails against SciPy, diagonal covariances, low precision, digits where terms cancel, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from torch import Tensor

from ddpm_space.notes.forward import q_between, q_cumulative
from ddpm_space.notes.gaussian import cdf, density, entropy, kl_gaussian, log_cdf, log_density, quantile
from ddpm_space.notes.gaussian_algebra import affine, linear_combination, product, reparameterize
from ddpm_space.notes.reverse import q_posterior

ZERO = torch.zeros((), dtype=torch.float64)


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def relative(left: Tensor, right: np.ndarray | Tensor) -> float:
    return float((left / torch.as_tensor(right) - 1).abs().max())


def images(seed: int, *, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """A batch of x, mean and one variance an element."""
    generator = torch.Generator().manual_seed(seed)
    x, mean, spread = torch.randn(3, 3, 2, 4, 4, generator=generator, dtype=torch.float64)
    return x.to(dtype), mean.to(dtype), (0.1 + spread**2).to(dtype)


def test_the_tails_of_the_cdf_keep_their_digits() -> None:
    z = torch.linspace(-37, 8, 91, dtype=torch.float64)
    expected = scipy.stats.norm.cdf(z.numpy())
    assert relative(cdf(2 + 3 * z, doubles(2.0), 9.0), expected) < 1e-11
    assert relative(cdf(2 - 3 * z, doubles(2.0), 9.0, upper=True), expected) < 1e-11
    # A tail by 1 + erf, as torch.distributions has it, has no digit left at 9 standard deviations.
    assert torch.distributions.Normal(ZERO, 1.0).cdf(doubles(-9.0)) == 0 < cdf(doubles(-9.0), ZERO, 1.0)


def test_log_cdf_far_beyond_the_underflow() -> None:
    z = doubles(-1e6, -1e3, -50, -5, 0, 3)
    assert relative(log_cdf(z, ZERO, 1.0), scipy.special.log_ndtr(z.numpy())) < 1e-12
    torch.testing.assert_close(log_cdf(z, ZERO, 1.0), log_cdf(-z, ZERO, 1.0, upper=True))
    assert cdf(z, ZERO, 1.0)[0] == 0


def test_quantiles_of_both_tails() -> None:
    p = doubles(1e-300, 1e-20, 1e-3, 0.3, 0.5, 0.999)
    assert float((quantile(p, ZERO, 4.0) - torch.as_tensor(2 * scipy.stats.norm.ppf(p.numpy()))).abs().max()) < 1e-13
    assert float((quantile(p, ZERO, 4.0, upper=True) - torch.as_tensor(2 * scipy.stats.norm.isf(p.numpy()))).abs().max()) < 1e-13
    # One quantile for each of several Gaussians, and several of one.
    assert quantile(0.9, torch.zeros(3, 2), doubles(1.0, 2.0, 3.0)).shape == (3, 2)
    assert quantile(p, ZERO, 1.0).shape == p.shape


@pytest.mark.parametrize("count", [3, 5])
def test_a_grid_of_quantiles_of_several_gaussians(count: int) -> None:
    p, mean, variance = torch.linspace(0.1, 0.9, count, dtype=torch.float64)[:, None], doubles(0.0, 10.0, 20.0), doubles(1.0, 4.0, 9.0)
    expected = scipy.stats.norm.ppf(p.numpy(), mean.numpy(), variance.sqrt().numpy())
    torch.testing.assert_close(quantile(p, mean, variance), torch.as_tensor(expected))


def test_cdf_and_quantile_undo_each_other() -> None:
    p = doubles(1e-200, 1e-9, 0.2, 0.7)
    assert relative(cdf(quantile(p, doubles(-1.0), 0.3), doubles(-1.0), 0.3), p) < 1e-11


def test_one_variance_an_element() -> None:
    x, mean, variance = images(1)
    law = torch.distributions.Normal(mean, variance.sqrt())
    torch.testing.assert_close(log_density(x, mean, variance), law.log_prob(x), rtol=0, atol=1e-11)
    torch.testing.assert_close(density(x, mean, variance), law.log_prob(x).exp())
    torch.testing.assert_close(cdf(x, mean, variance), law.cdf(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(quantile(0.1, mean, variance), law.icdf(doubles(0.1)), rtol=0, atol=1e-12)
    torch.testing.assert_close(entropy(variance), law.entropy())


@pytest.mark.parametrize("other", [0.7, doubles(0.7, 1.5, 0.2)], ids=["one number", "one a sample"])
def test_kl_of_a_diagonal_gaussian(other: float | Tensor) -> None:
    mean_1, mean_2, variance = images(2)
    as_tensor = torch.as_tensor(other, dtype=torch.float64).reshape(-1, 1, 1, 1)
    one, two = torch.distributions.Normal(mean_1, variance.sqrt()), torch.distributions.Normal(mean_2, as_tensor.sqrt())
    divergence = torch.distributions.kl_divergence
    torch.testing.assert_close(kl_gaussian(mean_1, variance, mean_2, other), divergence(one, two), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(kl_gaussian(mean_2, other, mean_1, variance), divergence(two, one), rtol=1e-12, atol=1e-12)


def test_float32_images_with_a_variance_an_element_stay_float32() -> None:
    x, mean, variance = images(3, dtype=torch.float32)
    exact = log_density(x.double(), mean.double(), variance.double())
    for value in (log_density(x, mean, variance), kl_gaussian(x, variance, mean, 0.5), affine(x, variance, 2.0, 1.0)[1]):
        assert value.dtype == torch.float32
    torch.testing.assert_close(log_density(x, mean, variance).double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_survives_a_small_variance(dtype: torch.dtype) -> None:
    """1e-9 is 0 in float16: a variance is cast only after it has been turned into a finished coefficient."""
    x, mean = torch.zeros(2, dtype=dtype), torch.zeros(2, dtype=dtype)
    expected = -0.5 * math.log(2 * math.pi * 1e-9)
    assert log_density(x, mean, 1e-9).dtype == dtype
    torch.testing.assert_close(log_density(x, mean, 1e-9).double(), torch.full((2,), expected).double(), rtol=1e-2, atol=0)
    assert float(kl_gaussian(x, 1e-9, mean, 2e-9)[0]) == pytest.approx((0.5 - 1 - math.log(0.5)) / 2, rel=1e-2)
    assert log_cdf(x, mean, 1.0)[0].item() == pytest.approx(math.log(0.5), rel=1e-2)
    assert quantile(0.9, mean, 1.0).dtype == dtype


def test_a_plain_number_keeps_its_double_precision() -> None:
    x = doubles(0.3, -2.0)
    torch.testing.assert_close(log_density(x, x + 1, 0.1), log_density(x, x + 1, doubles(0.1, 0.1)), rtol=0, atol=0)
    torch.testing.assert_close(kl_gaussian(x, 0.1, x + 1, 0.3), kl_gaussian(x, doubles(0.1, 0.1), x + 1, doubles(0.3, 0.3)), rtol=0, atol=0)


@pytest.mark.parametrize("ratio", [1e-30, 1e-9, 0.4999, 0.5001, 1 - 1e-6, 1 + 1e-6, 3.0, 1e12])
def test_kl_keeps_its_digits_for_any_ratio_of_variances(ratio: float) -> None:
    from mpmath import mp, mpf

    value, reference = ratio * 0.3, 0.3
    with mp.workdps(60):
        exact = mpf(value) / mpf(reference)
        expected, expected_slope = float((exact - 1 - mp.log(exact)) / 2), float((1 - 1 / exact) / 2 / mpf(reference))
    variance = doubles(value).requires_grad_()
    divergence = kl_gaussian(doubles(0.0), variance, doubles(0.0), reference)
    assert divergence.item() == pytest.approx(expected, rel=1e-9, abs=0)
    (slope,) = torch.autograd.grad(divergence.sum(), variance)
    assert slope.item() == pytest.approx(expected_slope, rel=1e-9, abs=0)


def test_kl_of_variances_too_far_apart_for_their_ratio() -> None:
    zero, wide, narrow = torch.zeros(1, 1), torch.full((1, 1), 1e20), torch.full((1, 1), 1e-20)
    assert kl_gaussian(zero, wide, zero, narrow).item() == math.inf
    assert kl_gaussian(zero.double(), 1e200, zero.double(), 1e-200).item() == math.inf
    assert kl_gaussian(zero, narrow, zero, wide).item() == pytest.approx((40 * math.log(10) - 1) / 2)
    assert kl_gaussian(zero.double(), 1e-200, zero.double(), 1e200).item() == pytest.approx((400 * math.log(10) - 1) / 2)


def test_kl_of_float32_means_uses_the_digits_of_float64_variances() -> None:
    mean, _, variance = images(6)
    close = kl_gaussian(mean.float(), variance * (1 + 1e-6), mean.float(), variance)
    assert close.dtype == torch.float32
    torch.testing.assert_close(close.double(), torch.full_like(mean, 2.5e-13), rtol=1e-3, atol=0)


def test_on_a_device_a_variance_is_neither_read_nor_copied_back() -> None:
    """On the meta device reading a value is an error, as it would be a wait on a GPU."""
    x, mean, variance = (value.to("meta") for value in images(4, dtype=torch.float32))
    per_sample = torch.ones(3, device="meta")
    for spread in (variance, per_sample, 0.5, doubles(0.1, 0.2, 0.3)):
        for value in (log_density(x, mean, spread), kl_gaussian(x, spread, mean, 0.3), kl_gaussian(x, doubles(0.1, 0.2, 0.3), mean, spread)):
            assert value.device.type == "meta" and value.dtype == torch.float32 and value.shape == x.shape


def test_products_of_the_forward_process_are_its_posterior() -> None:
    """q(x_s | x_t, x_0) is q(x_t | x_s) as a density of x_s times q(x_s | x_0), divided by c = q(x_t | x_0)."""
    x_0, x_t, alpha_bar_t, alpha_bar_s = doubles(0.4, -1.0), doubles(1.2, 0.3), 0.2, 0.7
    _, beta = q_between(x_t, alpha_bar_t, alpha_bar_s)
    shrink = math.sqrt(alpha_bar_t / alpha_bar_s)
    mean, variance, log_constant = product(*q_cumulative(x_0, alpha_bar_s), *affine(x_t, beta, 1 / shrink))
    mu_tilde, beta_tilde = q_posterior(x_0, x_t, alpha_bar_t, alpha_bar_s)
    torch.testing.assert_close(mean, mu_tilde, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(variance, beta_tilde, rtol=1e-13, atol=0)
    # N(x_t; shrink x_s, beta) as a density of x_s has 1 / shrink in front.
    torch.testing.assert_close(log_constant - math.log(shrink), log_density(x_t, *q_cumulative(x_0, alpha_bar_t)), rtol=1e-13, atol=1e-13)


def test_two_steps_of_noising_are_a_linear_combination() -> None:
    x_s, beta = doubles(0.4, -1.0), 0.3
    mean, variance = linear_combination(x_s, 0.2, torch.zeros_like(x_s), 1.0, math.sqrt(1 - beta), math.sqrt(beta))
    torch.testing.assert_close(mean, math.sqrt(1 - beta) * x_s)
    assert variance.item() == pytest.approx((1 - beta) * 0.2 + beta, rel=1e-14)


def test_algebra_with_one_variance_an_element() -> None:
    mean_1, mean_2, variance = images(5)
    mean, spread, log_constant = product(mean_1, variance, mean_2, doubles(0.5, 1.0, 2.0))
    other = doubles(0.5, 1.0, 2.0).reshape(3, 1, 1, 1)
    x = mean_1 + 0.3
    left = log_density(x, mean_1, variance) + log_density(x, mean_2, other.expand_as(x))
    torch.testing.assert_close(left, log_constant + log_density(x, mean, spread), rtol=1e-10, atol=1e-10)
    moved, widened = affine(mean_1, variance, doubles(1.0, -2.0, 3.0), 0.5)
    torch.testing.assert_close(moved[1], -2 * mean_1[1] + 0.5)
    torch.testing.assert_close(widened[1], 4 * variance[1])


def test_gradients_pass_through_a_reparameterized_draw() -> None:
    mean, variance = doubles(0.5, -1.0).requires_grad_(), doubles(0.25, 4.0).requires_grad_()
    eps = doubles(1.5, -0.3)
    x = reparameterize(mean, variance, eps=eps)
    d_mean, d_variance = torch.autograd.grad(x.sum(), (mean, variance))
    torch.testing.assert_close(d_mean, torch.ones_like(mean))
    torch.testing.assert_close(d_variance, eps / (2 * variance.detach().sqrt()))
    again = [reparameterize(mean, variance, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*again)


X = torch.zeros(3, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: log_density(X, X, -0.5), r"variance = -0\.5 is not positive"),
        (lambda: log_density(X, X, doubles(1, 0, 1)), r"variance = 0 is not positive"),
        (lambda: density(X, X, math.nan), r"variance = nan is not positive"),
        (lambda: entropy(doubles(1, -2)), r"variance = -2 is not positive"),
        (lambda: kl_gaussian(X, 1.0, X, 0.0), r"variance_2 = 0 is not positive"),
        (lambda: kl_gaussian(X, -1.0, X, 1.0), r"variance_1 = -1 is not positive"),
        (lambda: cdf(X, X, 0), r"variance = 0 is not positive"),
        (lambda: quantile(0.0, X, 1.0), r"p = 0 is outside \(0, 1\)"),
        (lambda: quantile(doubles(0.5, 1.5), X, 1.0), r"p = 1\.5 is outside \(0, 1\)"),
        (lambda: quantile(0.5, X, -1.0), r"variance = -1 is not positive"),
        (lambda: quantile(doubles(0.1, 0.2, 0.3), X, 1.0), r"p \(3,\), mean \(3, 2\)"),
        (lambda: log_density(X, torch.zeros(4, 2), 1.0), r"x \(3, 2\), mean \(4, 2\)"),
        (lambda: kl_gaussian(X, 1.0, torch.zeros(3, 5), 1.0), r"mean_1 \(3, 2\), mean_2 \(3, 5\)"),
        (lambda: log_density(X, X, torch.ones(5, 2)), r"variance of shape \(5, 2\) does not fit a sample of shape \(3, 2\)"),
        (lambda: log_density(X, X, torch.ones(1, 3, 2)), r"variance of shape \(1, 3, 2\) does not fit"),
        (lambda: log_density(X, X, torch.ones(2)), r"2 coefficients do not fit a batch of 3"),
        (lambda: log_density(X[:, 0], torch.zeros(3, 1), doubles(1, 2, 3)), r"mean of shape \(3, 1\) widens x of shape \(3,\)"),
        (lambda: cdf(X[:, 0], torch.zeros(3, 1), doubles(1, 2, 3)), r"mean of shape \(3, 1\) widens x of shape \(3,\)"),
        (lambda: kl_gaussian(X[:, 0], 1.0, torch.zeros(3, 1), doubles(1, 2, 3)), r"mean_2 of shape \(3, 1\) widens mean_1 of shape \(3,\)"),
        (lambda: product(X, 0.0, X, 1.0), r"variance_1 = 0 is not positive"),
        (lambda: product(X, 1.0, torch.zeros(2, 2), 1.0), r"mean_1 \(3, 2\), mean_2 \(2, 2\)"),
        (lambda: affine(X, -1.0, 2.0), r"variance = -1 is not positive"),
        (lambda: linear_combination(X, 1.0, X, 0.0), r"variance_2 = 0 is not positive"),
        (lambda: linear_combination(X, 1.0, torch.zeros(4), 1.0), r"mean_1 \(3, 2\), mean_2 \(4,\)"),
        (lambda: reparameterize(X, 0.0), r"variance = 0 is not positive"),
        (lambda: reparameterize(X, 1.0, eps=torch.zeros(3)), r"eps has shape \(3,\)"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
