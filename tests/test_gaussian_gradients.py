"""The two gradient estimators beyond their registry checks: measured variances and theory, baselines, batches, and an f that only one takes."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ddpm_space.notes.gaussian import density
from ddpm_space.notes.gradients import (
    Gradient,
    estimate,
    optimal_baseline,
    pathwise_gradient,
    pathwise_variance,
    quadratic_baseline,
    quadratic_gradient,
    score_function_gradient,
    score_function_variance,
)

DRAWS = 200_000
A, B, C, MEAN, STD = 0.7, -1.3, 0.4, 0.9, 1.2


def quadratic(x: Tensor) -> Tensor:
    return A * x**2 + B * x + C


def draws(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(DRAWS, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def check_mean(samples: Tensor, exact: Tensor | float) -> None:
    measured = estimate(samples)
    assert bool(((measured.mean - exact).abs() <= 5 * measured.standard_error).all()), (measured, exact)


def check_variance(samples: Tensor, exact: Tensor) -> None:
    """The sample variance lies within 5 of its own standard errors, from the fourth moment."""
    deviations = (samples - samples.mean()) ** 2
    assert abs(float(deviations.mean() - exact)) <= 5 * float(deviations.std()) / math.sqrt(DRAWS)


def test_measured_variances_are_the_closed_forms_and_the_pathwise_ones_are_smaller() -> None:
    eps = draws(1)
    pathwise, score = pathwise_gradient(quadratic, MEAN, STD, eps), score_function_gradient(quadratic, MEAN, STD, eps)
    theory, theory_score = pathwise_variance(A, B, MEAN, STD), score_function_variance(A, B, C, MEAN, STD)
    for name in Gradient._fields:
        check_variance(getattr(pathwise, name), getattr(theory, name))
        check_variance(getattr(score, name), getattr(theory_score, name))
        for samples in (pathwise, score):
            check_mean(getattr(samples, name), getattr(quadratic_gradient(A, B, MEAN, STD), name))
        assert getattr(theory_score, name) > 3 * getattr(theory, name)


def test_a_baseline_leaves_the_mean_and_lowers_the_variance_to_its_least() -> None:
    best = quadratic_baseline(A, B, C, MEAN, STD)
    least = score_function_variance(A, B, C, MEAN, STD, best)
    samples = score_function_gradient(quadratic, MEAN, STD, draws(2), best)
    for name, step in zip(Gradient._fields, ((0.1, 0.0), (0.0, 0.1))):
        check_mean(getattr(samples, name), getattr(quadratic_gradient(A, B, MEAN, STD), name))
        check_variance(getattr(samples, name), getattr(least, name))
        for sign in (-1, 1):
            beside = (best.d_mean + sign * step[0], best.d_std + sign * step[1])
            assert getattr(score_function_variance(A, B, C, MEAN, STD, beside), name) > getattr(least, name)
        assert getattr(pathwise_variance(A, B, MEAN, STD), name) < getattr(least, name)
        assert getattr(least, name) < getattr(score_function_variance(A, B, C, MEAN, STD), name)


def test_the_baseline_from_pilot_draws_is_close_to_the_best() -> None:
    pilot = optimal_baseline(quadratic, MEAN, STD, draws(3))
    for measured, best in zip(pilot, quadratic_baseline(A, B, C, MEAN, STD)):
        assert measured.item() == pytest.approx(best.item(), abs=0.1)
    assert [value.item() for value in optimal_baseline(lambda x: torch.full_like(x, 3.0), MEAN, STD, draws(4)[:10])] == pytest.approx([3, 3])


def test_a_constant_added_to_f_hurts_the_score_function_alone() -> None:
    eps = draws(5)
    lifted = [method(lambda x: quadratic(x) + 50, MEAN, STD, eps).d_mean for method in (pathwise_gradient, score_function_gradient)]
    plain = [method(quadratic, MEAN, STD, eps).d_mean for method in (pathwise_gradient, score_function_gradient)]
    torch.testing.assert_close(lifted[0], plain[0], rtol=1e-9, atol=1e-9)
    assert estimate(lifted[1]).variance > 100 * estimate(plain[1]).variance
    rescued = score_function_gradient(lambda x: quadratic(x) + 50, MEAN, STD, eps, (50.0, 50.0)).d_mean
    torch.testing.assert_close(rescued, plain[1], rtol=1e-9, atol=1e-9)


def test_a_step_has_a_gradient_that_only_the_score_function_sees() -> None:
    """d/dmu P(x > 0) = N(0; mu, sigma^2); f' is 0 wherever it exists."""

    def step(x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype)

    samples = score_function_gradient(step, MEAN, STD, draws(6))
    at_zero = density(torch.zeros((), dtype=torch.float64), MEAN, STD**2)
    check_mean(samples.d_mean, at_zero)
    check_mean(samples.d_std, -MEAN / STD * at_zero)
    with pytest.raises(ValueError, match="use score_function_gradient"):
        pathwise_gradient(step, MEAN, STD, draws(6))


def test_for_a_fast_oscillation_the_score_function_is_the_better_one() -> None:
    eps = draws(7)
    pathwise, score = (method(lambda x: torch.sin(30 * x), 0.0, 1.0, eps).d_mean for method in (pathwise_gradient, score_function_gradient))
    assert estimate(pathwise).variance > 100 * estimate(score).variance


def test_a_batch_of_parameters_is_each_alone() -> None:
    mean, std = torch.tensor([0.2, -1.0, 3.0], dtype=torch.float64), torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    eps = draws(8, 3)[:50]
    for method in (pathwise_gradient, score_function_gradient):
        together = method(torch.sin, mean, std, eps)
        for i in range(3):
            alone = method(torch.sin, mean[i], std[i], eps[:, i])
            for both, one in zip(together, alone):
                torch.testing.assert_close(both[:, i], one, rtol=1e-12, atol=1e-12)
    pilot = optimal_baseline(torch.sin, mean, std, eps)
    assert pilot.d_mean.shape == (3,) and estimate(eps).standard_error.shape == (3,)
    samples = score_function_gradient(torch.sin, mean, std, eps, pilot)
    torch.testing.assert_close(samples.d_mean[:, 1], (torch.sin(mean[1] + std[1] * eps[:, 1]) - pilot.d_mean[1]) * eps[:, 1] / std[1])


def test_pathwise_is_what_autograd_does_to_a_reparameterized_draw() -> None:
    mean, std = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (MEAN, STD))
    eps = draws(9)[:100]
    expected = torch.autograd.grad(torch.cosh(mean + std * eps).sum(), (mean, std))
    samples = pathwise_gradient(torch.cosh, mean, std, eps)
    for values, total in zip(samples, expected):
        torch.testing.assert_close(values.sum(), total, rtol=1e-12, atol=0)
        assert not values.requires_grad


def test_where_gradients_are_switched_off_and_with_a_network() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))

    def f(x: Tensor) -> Tensor:
        return network(x[..., None])[..., 0]

    eps = draws(10, dtype=torch.float32)[:20]
    for off in (torch.no_grad, torch.inference_mode):
        with off():
            inside = pathwise_gradient(f, MEAN, STD, eps)
            made_inside = pathwise_gradient(f, torch.tensor(MEAN), torch.tensor(STD), eps + 0)
        torch.testing.assert_close(inside.d_mean, pathwise_gradient(f, MEAN, STD, eps).d_mean)
        torch.testing.assert_close(made_inside, pathwise_gradient(f, MEAN, STD, eps))
        assert inside.d_mean.dtype == torch.float32
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not score_function_gradient(f, MEAN, STD, eps).d_std.requires_grad


EPS = torch.zeros(5, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pathwise_gradient(torch.sin, 0.0, 0.0, EPS), r"std = 0 is not positive"),
        (lambda: score_function_gradient(torch.sin, 0.0, -1.0, EPS), r"std = -1 is not positive"),
        (lambda: optimal_baseline(torch.sin, 0.0, torch.tensor([1.0, -2.0, 1.0]), EPS), r"std = -2 is not positive"),
        (lambda: pathwise_gradient(torch.sum, 0.0, 1.0, EPS), r"f turns shape \(5, 3\) into \(\)"),
        (lambda: score_function_gradient(torch.sum, 0.0, 1.0, EPS), r"f turns shape \(5, 3\) into \(\)"),
        (lambda: pathwise_gradient(torch.ones_like, 0.0, 1.0, EPS), r"autograd cannot follow f"),
        (lambda: pathwise_gradient(lambda x: x.detach() * torch.ones((), requires_grad=True), 0.0, 1.0, EPS), r"autograd cannot follow f"),
        (lambda: pathwise_gradient(torch.sin, torch.zeros(2), 1.0, EPS), r"eps \(5, 3\), mean \(2,\)"),
        (lambda: score_function_gradient(torch.sin, torch.zeros(5, 3), 1.0, EPS), r"mean of shape \(5, 3\) has a value a draw"),
        (lambda: score_function_gradient(torch.sin, 0.0, 1.0, EPS, (torch.zeros(4), 0.0)), r"eps \(5, 3\), baseline \(4,\)"),
        (lambda: estimate(torch.zeros(1, 3)), r"\(1, 3\) hold fewer than two draws"),
        (lambda: estimate(torch.tensor(1.0)), r"\(\) hold fewer than two draws"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
