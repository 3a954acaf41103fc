"""Jensen's inequality: the sign, the cases without a gap, bad input, and the same numbers in any shape, dtype and gradient mode."""

from __future__ import annotations

import math

import pytest
import torch

from ddpm_space.notes.jensen import CONCAVE, elbo_gap, jensen_gap, jensen_sampled, jensen_second_order, jensen_sides


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def law(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.softmax(torch.randn(*shape, generator=generator, dtype=torch.float64), 0)


@pytest.mark.parametrize("name", CONCAVE)
def test_the_gap_of_a_concave_function_is_never_negative(name: str) -> None:
    generator = seeded(1)
    x = torch.exp(torch.randn(7, 500, generator=generator, dtype=torch.float64))
    gap = jensen_gap(CONCAVE[name], x, law(generator, 7, 500))
    assert float(gap.min()) > -1e-12 and float(gap.max()) > 0.01
    assert float(jensen_sampled(CONCAVE[name], x).gap.min()) > -1e-12


def test_the_sign_turns_for_a_convex_function_and_the_gap_is_0_for_a_straight_line() -> None:
    x, p = torch.tensor([1.0, 2.0, 4.0]).double(), torch.tensor([0.25, 0.25, 0.5]).double()
    assert float(jensen_gap(torch.exp, x, p)) < -1
    assert float(jensen_gap(lambda x: 3 * x - 1, x, p)) == pytest.approx(0, abs=1e-14)
    assert float(jensen_second_order(lambda x: 3 * x - 1, x, p)) == 0
    assert float(jensen_second_order(torch.ones_like, x, p)) == 0


def test_a_certain_variable_has_no_gap() -> None:
    x = torch.tensor([0.5, 2.0, 9.0]).double()
    for place in range(3):
        assert float(jensen_gap(torch.log, x, torch.eye(3).double()[place])) == 0


def test_the_second_order_is_exact_for_a_parabola() -> None:
    generator = seeded(2)
    x, p = torch.randn(5, 9, generator=generator, dtype=torch.float64), law(generator, 5, 9)
    torch.testing.assert_close(jensen_second_order(CONCAVE["-x^2"], x, p), jensen_gap(CONCAVE["-x^2"], x, p), rtol=1e-12, atol=1e-13)


def test_the_sampled_gap_is_biased_as_stated_and_as_uncertain_as_stated() -> None:
    """20,000 data sets of 50 log-normal draws, whose true gap sigma^2 / 2 is known."""
    sigma, sets = 0.6, 20_000
    x = torch.exp(sigma * torch.randn(50, sets, generator=seeded(3), dtype=torch.float64))
    out = jensen_sampled(torch.log, x)
    error = float(out.gap.std()) / math.sqrt(sets)
    miss = float(out.gap.mean()) - sigma**2 / 2
    assert abs(miss) > 10 * error, "the bias is there to be seen"
    assert float(out.bias.mean()) == pytest.approx(miss, abs=5 * error + 0.1 * abs(miss))
    assert float((out.standard_error**2).mean().sqrt()) == pytest.approx(float(out.gap.std()), rel=0.1)


def test_the_elbo_is_tight_where_q_is_the_posterior_and_only_there() -> None:
    log_joint = torch.randn(6, 4, generator=seeded(4), dtype=torch.float64) - 3
    posterior = torch.log_softmax(log_joint, 0)
    tight = elbo_gap(log_joint, posterior)
    torch.testing.assert_close(tight.elbo, tight.log_p, rtol=1e-13, atol=1e-13)
    assert float(tight.kl.abs().max()) < 1e-14
    other = elbo_gap(log_joint, torch.log_softmax(posterior / 2, 0))
    assert float(other.kl.min()) > 1e-3
    torch.testing.assert_close(other.log_p - other.elbo, other.kl, rtol=1e-12, atol=1e-13)


def test_a_q_that_leaves_a_value_out_costs_nothing_there_and_one_outside_the_model_costs_everything() -> None:
    log_joint = torch.log(torch.tensor([0.2, 0.1, 0.0]).double())
    inside = elbo_gap(log_joint, torch.log(torch.tensor([1.0, 0.0, 0.0]).double()))
    assert float(inside.kl) == pytest.approx(math.log(1.5), abs=1e-12)
    assert math.isinf(float(elbo_gap(log_joint, torch.log(torch.tensor([0.5, 0.0, 0.5]).double())).kl))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_dtypes_and_switched_off_gradients(dtype: torch.dtype) -> None:
    generator = seeded(5)
    x = torch.exp(torch.randn(8, 3, 2, generator=generator)).to(dtype)
    p = law(generator, 8).to(dtype)
    with torch.inference_mode():
        whole = [*jensen_sides(torch.log, x, p), jensen_second_order(torch.log, x, p), *jensen_sampled(torch.log, x)]
    alone = [*jensen_sides(torch.log, x[:, 1, 0], p), jensen_second_order(torch.log, x[:, 1, 0], p), *jensen_sampled(torch.log, x[:, 1, 0])]
    for together, single in zip(whole, alone):
        assert together.shape == (3, 2) and together.dtype == single.dtype == dtype and not (together.requires_grad or single.requires_grad)
        torch.testing.assert_close(together[1, 0], single, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "probabilities", "message"),
    [
        ([1.0, 2.0], [0.5, 0.4], r"add up to 0\.9: divide them by their sum"),
        ([1.0, 2.0], [1.5, -0.5], r"a probability is -0\.5"),
        ([1.0, 2.0], [1.0], r"\(1,\) probabilities do not fit \(2,\) values"),
    ],
)
def test_bad_probabilities_are_named(values: list[float], probabilities: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        jensen_sides(torch.log, torch.tensor(values).double(), torch.tensor(probabilities, dtype=torch.float64))


def test_too_few_samples_and_an_unnormalized_q_are_named() -> None:
    with pytest.raises(ValueError, match="at least 2 draws"):
        jensen_sampled(torch.log, torch.ones(1, 3))
    with pytest.raises(ValueError, match=r"adds up to 2, not 1: subtract its logsumexp"):
        elbo_gap(torch.zeros(2), torch.zeros(2))
