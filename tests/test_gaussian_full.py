"""Gaussian vectors beyond their registry checks: SciPy and torch.distributions in any dimension and batch, digits, devices, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import scipy.stats
import torch
from test_equations_anywhere import Float64Seen
from torch import Tensor

from ddpm_space.notes import gaussian_full as full
from ddpm_space.notes.checks.gaussian_full import random_law
from ddpm_space.notes.forward import q_cumulative
from ddpm_space.notes.gaussian import entropy, kl_gaussian, log_density
from ddpm_space.notes.gaussian_algebra import product
from ddpm_space.notes.reverse import q_posterior

EXACT = {"rtol": 1e-10, "atol": 1e-10}


def law(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    return random_law(torch.Generator().manual_seed(seed), *shape)


def test_density_and_entropy_against_scipy() -> None:
    mean, covariance = law(1, 5)
    x = law(2, 7, 5)[0]
    reference = scipy.stats.multivariate_normal(mean.numpy(), covariance.numpy())
    torch.testing.assert_close(full.log_density_full(x, mean, covariance), torch.as_tensor(reference.logpdf(x.numpy())), **EXACT)
    assert full.entropy_full(covariance).item() == pytest.approx(reference.entropy(), rel=1e-12)


def test_a_batch_of_laws_against_torch_distributions() -> None:
    (mean_1, covariance_1), (mean_2, covariance_2) = law(3, 2, 3, 4), law(4, 3, 4)
    one, two = (torch.distributions.MultivariateNormal(*pair) for pair in ((mean_1, covariance_1), (mean_2, covariance_2)))
    x = law(5, 2, 3, 4)[0]
    torch.testing.assert_close(full.log_density_full(x, mean_1, covariance_1), one.log_prob(x), **EXACT)
    torch.testing.assert_close(full.entropy_full(covariance_1), one.entropy(), **EXACT)
    expected = torch.distributions.kl_divergence(one, two.expand((2, 3)))
    torch.testing.assert_close(full.kl_full(mean_1, covariance_1, mean_2, covariance_2), expected, **EXACT)


def test_diagonal_covariances_are_sums_over_the_coordinates() -> None:
    (mean_1, _), (mean_2, _), (x, _) = law(6, 5), law(7, 5), law(8, 5)
    variance_1, variance_2 = torch.linspace(0.1, 2, 5, dtype=torch.float64), torch.linspace(3, 0.2, 5, dtype=torch.float64)
    matrix_1, matrix_2 = torch.diag(variance_1), torch.diag(variance_2)
    torch.testing.assert_close(full.log_density_full(x, mean_1, matrix_1), log_density(x, mean_1, variance_1).sum(), **EXACT)
    torch.testing.assert_close(full.entropy_full(matrix_1), entropy(variance_1).sum(), **EXACT)
    by_element = kl_gaussian(mean_1, variance_1, mean_2, variance_2).sum()
    torch.testing.assert_close(full.kl_full(mean_1, matrix_1, mean_2, matrix_2), by_element, **EXACT)
    mean, variance, log_constant = product(mean_1, variance_1, mean_2, variance_2)
    of_vectors = full.product_full(mean_1, matrix_1, mean_2, matrix_2)
    for left, right in zip(of_vectors, (mean, torch.diag(variance), log_constant.sum())):
        torch.testing.assert_close(left, right, **EXACT)


def test_kl_of_nearly_equal_laws_keeps_its_digits() -> None:
    """Written as trace, D and log det this is 1e-12 out of terms of size 3: three digits would be left."""
    mean, covariance = law(9, 3)
    change = 1e-6 * law(10, 3)[1]
    value = full.kl_full(mean, covariance + change, mean, covariance)
    small = torch.linalg.solve(covariance, change)
    # log det(1 + e) = tr e - tr e^2 / 2 + tr e^3 / 3
    expected = torch.trace(small @ small) / 4 - torch.trace(small @ small @ small) / 6
    assert value.item() == pytest.approx(expected.item(), rel=1e-8, abs=0)
    assert full.kl_full(mean, covariance, mean, covariance).item() < 1e-30


def test_the_product_with_a_narrow_factor_keeps_its_digits() -> None:
    (mean_1, wide), (mean_2, shape) = law(11, 3), law(12, 3)
    narrow = 1e-14 * shape
    mean, covariance, _ = full.product_full(mean_1, wide, mean_2, narrow)
    assert float((covariance / narrow - 1).abs().max()) < 1e-9
    torch.testing.assert_close(mean, mean_2, rtol=0, atol=1e-12)


def test_a_density_is_a_marginal_times_a_conditional() -> None:
    mean, covariance = law(13, 2, 5)
    x = law(14, 2, 5)[0]
    observed, others = [3, 0], [1, 2, 4]
    left = full.log_density_full(x, mean, covariance)
    seen = full.log_density_full(x[..., observed], *full.marginal(mean, covariance, observed))
    rest = full.log_density_full(x[..., others], *full.condition(mean, covariance, observed, x[..., observed]))
    torch.testing.assert_close(left, seen + rest, **EXACT)


def test_many_observations_of_one_law() -> None:
    mean, covariance = law(15, 4)
    values = law(16, 6, 2)[0]
    means, conditional = full.condition(mean, covariance, [1, 3], values)
    assert means.shape == (6, 2) and conditional.shape == (2, 2)
    for i in range(6):
        torch.testing.assert_close(means[i], full.condition(mean, covariance, [1, 3], values[i])[0], **EXACT)


def test_conditioning_the_forward_process_gives_its_posterior() -> None:
    """(x_0, x_s, x_t) of Gaussian data is a joint Gaussian; given x_0 and x_t, x_s follows q(x_s | x_t, x_0)."""
    alpha_bar_s, alpha_bar_t, variance_0 = 0.7, 0.2, 0.6
    to_s, to_t = math.sqrt(alpha_bar_s), math.sqrt(alpha_bar_t)
    ratio = math.sqrt(alpha_bar_t / alpha_bar_s)
    mixing = torch.tensor([[1, 0, 0], [to_s, 1, 0], [to_t, ratio, 1]], dtype=torch.float64)
    noise = torch.diag(torch.tensor([variance_0, 1 - alpha_bar_s, 1 - ratio**2], dtype=torch.float64))
    mean_0 = torch.tensor([0.3, 0.0, 0.0], dtype=torch.float64)
    joint = full.affine_full(mean_0, noise, mixing)
    values = torch.tensor([[0.9, -0.4], [-1.1, 2.0]], dtype=torch.float64)
    mean, covariance = full.condition(*joint, [0, 2], values)
    mu_tilde, beta_tilde = q_posterior(values[:, 0], values[:, 1], alpha_bar_t, alpha_bar_s)
    torch.testing.assert_close(mean[:, 0], mu_tilde, **EXACT)
    torch.testing.assert_close(covariance[0, 0], beta_tilde, **EXACT)
    at_s = full.condition(*full.marginal(*joint, [0, 1]), [0], values[:, :1])
    torch.testing.assert_close(at_s[0], q_cumulative(values[:, :1], alpha_bar_s)[0], **EXACT)


def test_affine_maps_and_sums_of_batches() -> None:
    (mean_1, covariance_1), (mean_2, covariance_2) = law(17, 2, 3), law(18, 3)
    matrix, offset = law(19, 2, 4, 3)[0], law(20, 4)[0]
    mean, covariance = full.affine_full(mean_1, covariance_1, matrix, offset)
    for i in range(2):
        torch.testing.assert_close(mean[i], matrix[i] @ mean_1[i] + offset, **EXACT)
        torch.testing.assert_close(covariance[i], matrix[i] @ covariance_1[i] @ matrix[i].T, **EXACT)
    with pytest.raises(ValueError, match="covariance is not positive definite"):  # 4 coordinates out of 3
        full.log_density_full(mean, mean, covariance)
    # aX + bY is [aI bI] applied to the pair (X, Y), whose covariance is block-diagonal.
    joint = torch.block_diag(covariance_1[0], covariance_2)
    both = torch.cat([0.5 * torch.eye(3), -2 * torch.eye(3)], 1).double()
    expected = full.affine_full(torch.cat([mean_1[0], mean_2]), joint, both)
    got = full.linear_combination_full(mean_1[0], covariance_1[0], mean_2, covariance_2, 0.5, -2.0)
    for left, right in zip(got, expected):
        torch.testing.assert_close(left, right, **EXACT)


def test_an_empty_batch_of_laws() -> None:
    none = torch.zeros(0, 3, 3)
    assert full.entropy_full(none).shape == (0,)
    assert full.log_density_full(torch.zeros(0, 3), torch.zeros(3), none).shape == (0,)
    assert full.reparameterize_full(torch.zeros(3), none).shape == (0, 3)


def test_draws_of_several_laws_around_one_mean_are_independent() -> None:
    draws = full.reparameterize_full(torch.zeros(2), torch.eye(2).expand(3, 2, 2), generator=torch.Generator().manual_seed(1))
    assert draws.shape == (3, 2) and len(draws.unique(dim=0)) == 3
    with pytest.raises(ValueError, match=r"eps has shape \(2,\), the sample \(3, 2\)"):
        full.reparameterize_full(torch.zeros(2), torch.eye(2).expand(3, 2, 2), eps=torch.zeros(2))


def test_gradients_pass_through_a_correlated_draw() -> None:
    mean, covariance = (value.requires_grad_() for value in law(21, 3))
    eps = law(22, 3)[0]
    assert torch.autograd.gradcheck(lambda m, c: full.reparameterize_full(m, 0.5 * (c + c.mT), eps=eps), (mean, covariance))
    other, shape = law(23, 3)
    assert torch.autograd.gradcheck(lambda m, c: full.kl_full(m, 0.5 * (c + c.mT), other, shape), (mean, covariance))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_samples_of_lower_precision(dtype: torch.dtype) -> None:
    mean, covariance = law(24, 3)
    x = law(25, 6, 3)[0]
    low = full.log_density_full(x.to(dtype), mean.to(dtype), covariance)
    assert low.dtype == dtype
    torch.testing.assert_close(low.double(), full.log_density_full(x, mean, covariance), rtol=0.05, atol=0.05)
    means, conditional = full.condition(mean.to(dtype), covariance, [1], x[:, :1].to(dtype))
    assert means.dtype == dtype and conditional.dtype == torch.float64
    draws = full.reparameterize_full(mean.expand(6, 3).to(dtype), covariance, eps=x.to(dtype))
    torch.testing.assert_close(draws.double(), full.reparameterize_full(mean.expand(6, 3), covariance, eps=x), rtol=0.05, atol=0.05)


def test_samples_on_a_device_without_float64() -> None:
    mean, covariance = law(26, 3)
    x, centre = torch.zeros(6, 3, device="meta"), mean.to("meta", torch.float32)
    with Float64Seen("meta") as seen:
        outputs = [
            full.log_density_full(x, centre, covariance),
            full.condition(centre, covariance, [0], x[:, :1])[0],
            full.affine_full(x, covariance, covariance)[0],
            full.linear_combination_full(x, covariance, centre, covariance, 0.5)[0],
            full.marginal(x, covariance, [0, 2])[0],
            full.reparameterize_full(x, covariance, eps=x),
            *full.product_full(x, covariance, centre, covariance)[::2],
        ]
    assert not seen.operations
    assert all(value.device.type == "meta" and value.dtype == torch.float32 for value in outputs)


MEAN, COVARIANCE = law(27, 3)
SKEW = COVARIANCE + torch.triu(torch.ones(3, 3), 1)
NEGATIVE = COVARIANCE - 5 * torch.eye(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: full.log_density_full(MEAN, MEAN, SKEW), r"covariance is not symmetric: .* by 1;"),
        (lambda: full.entropy_full(NEGATIVE), r"covariance is not positive definite: its smallest eigenvalue is -4"),
        (lambda: full.entropy_full(torch.zeros(2, 2)), r"smallest eigenvalue is 0"),
        (lambda: full.entropy_full(torch.full((2, 2), math.nan)), r"covariance has an entry nan"),
        (lambda: full.entropy_full(math.inf * torch.ones(2, 2)), r"covariance has an entry inf"),
        (lambda: full.entropy_full(torch.stack([1e9 * COVARIANCE, SKEW])), r"covariance is not symmetric: .* by 1;"),
        (lambda: full.entropy_full(torch.ones(4, 0, 0)), r"covariance has shape \(4, 0, 0\): a vector needs one coordinate"),
        (lambda: full.reparameterize_full(torch.zeros(2, 3), COVARIANCE.expand(5, 3, 3)), r"mean \(2, 3\), rows of covariance \(5, 3\)"),
        (lambda: full.entropy_full(torch.ones(3)), r"covariance has shape \(3,\), not \(\.\.\., D, D\)"),
        (lambda: full.entropy_full(torch.ones(2, 3)), r"covariance has shape \(2, 3\)"),
        (lambda: full.log_density_full(MEAN[:2], MEAN, COVARIANCE), r"covariance of shape \(3, 3\) does not fit a vector of shape \(2,\)"),
        (lambda: full.kl_full(MEAN, COVARIANCE, MEAN, SKEW), r"covariance_2 is not symmetric"),
        (lambda: full.kl_full(MEAN, NEGATIVE, MEAN, COVARIANCE), r"covariance_1 is not positive definite"),
        (lambda: full.kl_full(MEAN, COVARIANCE, MEAN[:2], COVARIANCE), r"does not fit a vector of shape \(2,\)"),
        (lambda: full.product_full(MEAN, COVARIANCE, MEAN, NEGATIVE), r"^covariance_2 is not positive definite"),
        (lambda: full.marginal(MEAN, COVARIANCE, [0, 3]), r"kept = \[0, 3\] .* in 0\.\.2"),
        (lambda: full.marginal(MEAN, COVARIANCE, []), r"kept = \[\]"),
        (lambda: full.condition(MEAN, COVARIANCE, [1, 1], MEAN[:2]), r"observed = \[1, 1\]"),
        (lambda: full.condition(MEAN, COVARIANCE, [0, 1, 2], MEAN), r"leaves no coordinate of 3"),
        (lambda: full.condition(MEAN, COVARIANCE, [0], MEAN[:2]), r"2 values for 1 observed"),
        (lambda: full.condition(MEAN, NEGATIVE, [0], MEAN[:1]), r"not positive definite"),
        (lambda: full.affine_full(MEAN, COVARIANCE, torch.ones(4, 2)), r"matrix of shape \(4, 2\) does not multiply vectors of 3"),
        (lambda: full.affine_full(MEAN, SKEW, COVARIANCE), r"covariance is not symmetric"),
        (lambda: full.linear_combination_full(MEAN, COVARIANCE, MEAN, SKEW), r"covariance_2 is not symmetric"),
        (lambda: full.reparameterize_full(MEAN, NEGATIVE), r"not positive definite"),
        (lambda: full.reparameterize_full(MEAN, COVARIANCE, eps=MEAN[:2]), r"eps has shape \(2,\)"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
