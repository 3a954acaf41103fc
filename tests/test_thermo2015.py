"""Row N4 beyond its registry checks: K against the exact likelihood, the entropy bounds where they hold and break, precision, bad input."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ddpm_space.notes.checks.thermo2015 import bound_by_formula
from ddpm_space.notes.checks.thermo2015_states import all_states, bayes, entropy_of, ones_share, random_chain, transition
from ddpm_space.notes.entry import DESCRIBED
from ddpm_space.notes.gaussian import entropy, log_density
from ddpm_space.notes.thermo2015 import (
    entropy_cumulative_bits,
    entropy_cumulative_gaussian,
    gain_bits,
    log_likelihood_bound,
    log_null_bits,
    log_null_gaussian,
    moment_bits,
    moment_gaussian,
    step_kl_bits,
    step_kl_gaussian,
)
from ddpm_space.notes.thermo2015_binomial import beta_erase, draw_bits, entropy_bernoulli, kl_bernoulli, p_reverse_bits, q_posterior_bits, q_step_bits
from ddpm_space.notes.thermo2015_entropy import entropy_bounds_bits, entropy_bounds_gaussian, reverse_entropy_bits, reverse_entropy_gaussian


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_K_never_exceeds_the_likelihood(rate: float, seed: int) -> None:
    """For every x_0 of a random chain, and not only on average: log p(x_0) from the reverse matrices."""
    chain = random_chain(generator(seed), rate)
    bound = bound_by_formula(chain) + moment_bits(all_states(2), chain.alpha_bar[0], chain.alpha_bar[2], rate=rate)
    likelihood = (chain.stationary @ chain.reverse[2] @ chain.reverse[1] @ chain.reverse[0]).log()
    assert (bound < likelihood).all()
    assert (bound > likelihood - 10).all(), "a bound that says nothing is no test"


def test_K_of_one_bit_loses_only_the_ends() -> None:
    """With one bit the best reverse steps are exact: K = -H(X_0), less what the fixed last step and the chain's end cost."""
    rate, activity, steps = 0.3, 0.3, 12
    alpha_bar = torch.cumprod(1 - beta_erase(steps + 4)[:steps], 0)
    bits = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    law = torch.tensor([1 - activity, activity], dtype=torch.float64)
    terms = []
    for t in range(1, steps):
        kernel = transition(alpha_bar[t], rate, 1)
        x_0, x_t = bits.repeat_interleave(2, 0), bits.repeat(2, 1)
        x_0_hat = ones_share(bayes(law, kernel)).repeat(2, 1)
        kl = step_kl_bits(x_0, x_t, x_0_hat, alpha_bar[t], alpha_bar[t - 1], rate=rate).reshape(2, 2)
        terms.append((law[:, None] * kernel * kl).sum())
    last, first, prior = (law @ entropy_cumulative_bits(bits, abar, rate=rate) for abar in (alpha_bar[-1], alpha_bar[0], 0.0))
    bound = log_likelihood_bound(torch.stack(terms), last, first, prior)
    # The mean activity is the rate, so every marginal is pi: H(X_1) = H(X_0), and nothing is lost at either end.
    torch.testing.assert_close(bound, -entropy_of(law), rtol=0, atol=1e-12)


def test_K_bounds_the_likelihood_only_with_the_moments_of_pi() -> None:
    """N(0, v) with the exact reverse steps: K exceeds -H(X_0) where v > 1 until the moment term is added, and the registry's entry says where."""
    alpha_bar = torch.cumprod(1 - beta_erase(2000)[:1900], 0)
    entry = DESCRIBED["N4.K"]
    assert r"\text{if }" in entry.latex and "E|x_0|^2 = d" in entry.en and "E|x_0|² = d" in entry.zh and "N4.moment_" in entry.en + entry.zh
    for variance in (1.0, 4.0):
        later, earlier = alpha_bar[1:], alpha_bar[:-1]
        # The mean KL of an exact step is H(X_s | X_t) - H(X_s | X_t, X_0).
        given_both = entropy_cumulative_gaussian(1 - (1 - earlier) / (1 - later) * (1 - later / earlier), 1)
        terms = reverse_entropy_gaussian(variance, later, earlier) - given_both
        last, first, prior = (entropy_cumulative_gaussian(abar, 1) for abar in (alpha_bar[-1], alpha_bar[0], 0.0))
        bound, truth = float(log_likelihood_bound(terms, last, first, prior)), -float(entropy(variance))
        added = float(moment_gaussian(torch.full((1, 1), math.sqrt(variance), dtype=torch.float64), alpha_bar[0], alpha_bar[-1])[0])
        assert bound + added <= truth + 1e-9
        assert (bound > truth + 1e-3) == (variance > 1)


def test_the_papers_null_models() -> None:
    heartbeat = torch.zeros(1, 20, dtype=torch.float64)
    heartbeat[:, ::5] = 1
    assert round(float(log_null_bits(heartbeat, rate=0.2)) / math.log(2), 3) == -14.439
    assert round(float(log_null_gaussian(torch.ones(1, 2))) / math.log(2), 3) == -4.094
    assert round(float(-entropy_cumulative_gaussian(0.0, 2)) / math.log(2), 3) == -4.094
    gain = gain_bits(torch.tensor(-2.414 * math.log(2)), log_null_bits(heartbeat, rate=0.2)[0])
    assert abs(float(gain) - 12.024) < 1e-3


def test_moment_terms_vanish_on_data_with_the_moments_of_pi() -> None:
    x_0 = torch.tensor([[1.0, 1.0], [math.sqrt(1.5), -math.sqrt(0.5)]], dtype=torch.float64)
    torch.testing.assert_close(moment_gaussian(x_0, 0.9, 0.1), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-14)
    bits = torch.eye(5, dtype=torch.float64)
    torch.testing.assert_close(moment_bits(bits, 0.9, 0.1, rate=0.2), torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-14)
    assert (moment_bits(all_states(3), 0.9, 0.1, rate=0.5) == 0).all()
    assert (moment_gaussian(2 * x_0, 0.9, 0.1) < 0).all()


def entropy_1d(density: Callable[[Tensor], Tensor]) -> float:
    x = torch.linspace(-20, 20, 40_001, dtype=torch.float64)
    p = density(x)
    return float(-torch.trapezoid(torch.special.xlogy(p, p), x))


def two_peaks(spread: float, place: float, alpha_bar: float) -> Callable[[Tensor], Tensor]:
    """Density of x_t for x_0 at +-place with a Gaussian around each."""
    variance = alpha_bar * spread + 1 - alpha_bar
    return lambda x: sum(log_density(x, sign * math.sqrt(alpha_bar) * place, variance).exp() for sign in (-1, 1)) / 2


@pytest.mark.parametrize("second_moment", [0.3, 1.0])
@pytest.mark.parametrize("times", [(0.9, 0.95), (0.5, 0.8), (0.1, 0.3)], ids=str)
def test_entropy_bounds_hold_for_two_peaks(times: tuple[float, float], second_moment: float) -> None:
    """Eq. 24 for data that are not Gaussian: the entropy of the step by quadrature, H(X_t|X_s) + H(X_s) - H(X_t)."""
    alpha_bar_t, alpha_bar_s = times
    spread, place = 0.05 * second_moment, math.sqrt(0.95 * second_moment)
    lower, upper, holds = entropy_bounds_gaussian(alpha_bar_t, alpha_bar_s, second_moment, 1)
    exact = float(upper) + entropy_1d(two_peaks(spread, place, alpha_bar_s)) - entropy_1d(two_peaks(spread, place, alpha_bar_t))
    assert holds and float(lower) < exact < float(upper)


def test_upper_bound_breaks_beyond_unit_variance() -> None:
    """Gaussian data: the bound holds with equality at variance 1, breaks above, and the flag says so; the lower bound holds throughout."""
    variance = torch.tensor([0.5, 1.0, 1.01, 4.0], dtype=torch.float64)
    lower, upper, holds = entropy_bounds_gaussian(0.4, 0.8, variance, 1)
    exact = reverse_entropy_gaussian(variance, 0.4, 0.8)
    assert holds.tolist() == [True, True, False, False]
    assert (exact <= upper + 1e-14).tolist() == [True, True, False, False]
    assert (lower <= exact).all()
    torch.testing.assert_close(exact[1], upper[1])
    assert float(exact[3] - upper[3]) == pytest.approx(math.log((0.8 * 4 + 0.2) / (0.4 * 4 + 0.6)) / 2, abs=1e-14)


def test_upper_bound_breaks_for_points_spread_wide_and_not_always() -> None:
    """The flag is about what is certain: with E|x_0|^2 = 4 the bound breaks late in the chain and holds early, where the two peaks still spread."""

    def gap(alpha_bar_t: float, alpha_bar_s: float) -> float:
        return entropy_1d(two_peaks(0.01, 1.99, alpha_bar_s)) - entropy_1d(two_peaks(0.01, 1.99, alpha_bar_t))

    assert not entropy_bounds_gaussian(0.5, 0.7, 3.97, 1).upper_holds
    assert gap(0.9, 0.95) < 0 < gap(0.3, 0.5)


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.7])
def test_entropy_bounds_of_bits_where_they_are_sure(rate: float) -> None:
    """200 random laws of three dependent bits: the bounds hold wherever the flag says so, and at rate 1/2 it always does."""
    random, seen = generator(1), {True: 0, False: 0}
    first, last = transition(0.8, rate, 3), transition(0.5 / 0.8, rate, 3)
    for _ in range(200):
        law = torch.softmax(3 * torch.randn(8, generator=random, dtype=torch.float64), 0)
        pair = (law @ first)[:, None] * last
        exact = entropy_of(pair.flatten()) - entropy_of(pair.sum(0))
        lower, upper, holds = entropy_bounds_bits(ones_share(law), 0.5, 0.8, rate=rate)
        seen[bool(holds)] += 1
        assert lower <= exact + 1e-12
        assert exact <= upper + 1e-12 or not holds
    assert seen[True] > 5 and (seen[False] == 0) == (rate == 0.5)


def test_upper_bound_of_bits_breaks_away_from_one_half() -> None:
    """Fair coins noised towards 0.2 lose entropy: without the qualification that the paper leaves out, eq. 24 would be wrong here."""
    coins = torch.full((4,), 0.5, dtype=torch.float64)
    for rate, breaks in ((0.2, True), (0.5, False)):
        _, upper, holds = entropy_bounds_bits(coins, 0.5, 0.8, rate=rate)
        assert bool(reverse_entropy_bits(coins, 0.5, 0.8, rate=rate) > upper + 1e-9) == breaks
        assert bool(holds) == (not breaks)
    # In float32 the mean of these is 0.2 only up to rounding, on both sides of it.
    share = torch.rand(50, 1, generator=generator())
    at_the_rate = torch.cat([0.4 * share, 0.4 - 0.4 * share], dim=1)
    assert entropy_bounds_bits(at_the_rate, 0.5, 0.8, rate=0.2).upper_holds.all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_posterior_keeps_its_digits(dtype: torch.dtype) -> None:
    """One of 2,000 steps, against Bayes over the two states in float64: rates down to 1e-4, where 1 - p in float32 would be noise."""
    alpha_bar = torch.cumprod(1 - beta_erase(2000), 0)
    x_0, x_t = all_states(2).T
    for t in (1, 2, 1000, 1998, 1999):
        first, last = transition(alpha_bar[t - 1], 0.2, 1), transition(alpha_bar[t] / alpha_bar[t - 1], 0.2, 1)
        weight = first[x_0.long()] * last[:, x_t.long()].T
        rates = q_posterior_bits(x_0.to(dtype), x_t.to(dtype), alpha_bar[t], alpha_bar[t - 1], rate=0.2)
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(rates.double(), weight[:, 1] / weight.sum(1), rtol=8 * eps + 1e-11, atol=eps / 2)


def test_kl_and_entropy_at_the_edges() -> None:
    edge = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    other = torch.tensor([0.0, 1.0, 0.25, 0.0], dtype=torch.float64)
    assert (entropy_bernoulli(edge) == 0).all()
    torch.testing.assert_close(kl_bernoulli(edge, other), torch.tensor([0.0, 0.0, -math.log(0.75), math.inf], dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kl_of_close_bits_keeps_its_digits(dtype: torch.dtype) -> None:
    p = torch.tensor([0.3, 0.01, 0.5, 0.999, 1e-6], dtype=dtype)
    q = p - 1e-4 * p * (1 - p)
    a, b = p.double(), q.double()
    # With a Taylor series in q - p, good to the fourth power of it.
    d = b - a
    exact = d**2 / 2 * (1 / a + 1 / (1 - a)) - d**3 / 3 * (1 / a**2 - 1 / (1 - a) ** 2) + d**4 / 4 * (1 / a**3 + 1 / (1 - a) ** 3)
    torch.testing.assert_close(kl_bernoulli(p, q).double(), exact, rtol=5e-3 if dtype == torch.float32 else 1e-7, atol=0)
    near = torch.rand(20_000, generator=generator(), dtype=dtype)
    away = (near * (1 + 1e-5 * torch.randn(20_000, generator=generator(1), dtype=dtype))).clamp(0, 1)
    assert (kl_bernoulli(near, away) >= 0).all() and (kl_bernoulli(near, near) == 0).all()


def test_gradient_of_the_kl_at_a_certain_bit() -> None:
    certain, model = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64), torch.tensor([0.25, 0.25, 0.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(kl_bernoulli(certain, model).sum(), model)
    torch.testing.assert_close(slope, torch.tensor([4 / 3, -4.0, 1.0], dtype=torch.float64))


def test_gradient_of_a_bits_term_is_finite() -> None:
    logits = torch.zeros(4, 2, requires_grad=True)
    x_0, x_t = all_states(2).float(), all_states(2).flip(0).float()
    step_kl_bits(x_0, x_t, torch.sigmoid(logits), 0.4, 0.7, rate=0.2).sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all() and (logits.grad != 0).any()


PROBABILITY_FUNCTIONS = {
    "entropy": entropy_bernoulli,
    "kl": lambda p: kl_bernoulli(p, p.flip(0)),
    "cumulative": lambda p: entropy_cumulative_bits(p, 0.4, rate=0.3),
    "step kl": lambda p: step_kl_bits(p.round(), p.flip(0).round(), p, 0.4, 0.7, rate=0.3),
    "bounds": lambda p: entropy_bounds_bits(p, 0.4, 0.7, rate=0.3).lower,
    "reverse entropy": lambda p: reverse_entropy_bits(p, 0.4, 0.7, rate=0.3),
}


@pytest.mark.parametrize("name", PROBABILITY_FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_functions_of_probabilities_keep_dtype_and_batch(name: str, dtype: torch.dtype) -> None:
    function = PROBABILITY_FUNCTIONS[name]
    p = 0.1 + 0.8 * torch.rand(6, 5, generator=generator(), dtype=torch.float64)
    whole = function(p.to(dtype))
    assert whole.dtype == dtype and whole.shape[0] == 6
    torch.testing.assert_close(whole.double(), function(p), rtol=1e-5, atol=1e-6)
    assert function(p.to(dtype).to("meta")).device.type == "meta"


def test_one_coefficient_a_sample() -> None:
    p = 0.1 + 0.8 * torch.rand(3, 5, generator=generator(), dtype=torch.float64)
    later, earlier = torch.tensor([0.1, 0.4, 0.5], dtype=torch.float64), torch.tensor([0.3, 0.6, 0.9], dtype=torch.float64)
    bits = p.round()
    together = step_kl_bits(bits, bits.flip(0), p, later, earlier, rate=0.3)
    alone = [step_kl_bits(bits[i : i + 1], bits.flip(0)[i : i + 1], p[i : i + 1], later[i], earlier[i], rate=0.3) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_diagonal_covariance_element_by_element() -> None:
    """Every coordinate with a variance of its own, against torch.distributions; the posterior from the product of its two factors."""
    x_0, x_t, mean = torch.randn(3, 4, 2, generator=generator(), dtype=torch.float64)
    variance = 0.2 + torch.rand(4, 2, generator=generator(), dtype=torch.float64)
    together = step_kl_gaussian(x_0, x_t, mean, variance, 0.4, 0.7)
    ratio = 0.4 / 0.7
    precision = ratio / (1 - ratio) + 1 / (1 - 0.7)
    centre = (math.sqrt(ratio) / (1 - ratio) * x_t + math.sqrt(0.7) / (1 - 0.7) * x_0) / precision
    normal = torch.distributions.Normal
    apart = torch.distributions.kl_divergence(normal(centre, precision**-0.5), normal(mean, variance.sqrt()))
    torch.testing.assert_close(together, apart.sum(1))


def test_drawing_bits_is_repeatable() -> None:
    rates = torch.full((2000,), 0.25)
    draws = draw_bits(rates, generator=generator(3))
    assert torch.equal(draws, draw_bits(rates, generator=generator(3)))
    assert set(draws.tolist()) == {0.0, 1.0}
    assert abs(float(draws.mean()) - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 2000)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64])
def test_integer_bits_are_refused(dtype: torch.dtype) -> None:
    bits = torch.ones(2, 3, dtype=dtype)
    for call in (lambda: q_step_bits(bits, 0.1), lambda: log_null_bits(bits), lambda: p_reverse_bits(bits, bits, 0.4, 0.7)):
        with pytest.raises(ValueError, match=str(dtype)):
            call()


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.2, math.nan])
def test_a_rate_that_is_no_chance_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=f"rate = {rate}"):
        q_step_bits(torch.ones(2, 3), 0.1, rate=rate)


def test_a_chain_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="num_steps = 0"):
        beta_erase(0)


def test_half_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match=r"num_steps = 2\.5: .* whole number"):
        beta_erase(2.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("alpha_bar", [1.0, torch.tensor([0.5, 1.0])])
def test_the_entropy_of_nothing_added_names_alpha_bar(alpha_bar: float | Tensor) -> None:
    with pytest.raises(ValueError, match="alpha_bar_t = 1: "):
        entropy_cumulative_gaussian(alpha_bar, 2)


def test_empty_batches_give_empty_answers() -> None:
    x = torch.zeros(0, 2, 3)
    for value in (
        log_null_gaussian(x),
        log_null_bits(x),
        moment_gaussian(x, 0.9, 0.1),
        entropy_cumulative_bits(x, 0.5),
        step_kl_bits(x, x, x, 0.4, 0.7),
    ):
        assert value.shape == (0,)
