"""How the formulas meet samples: batches, dtypes, and noise given or drawn. (That they are right is the registry's checks: test_equations.py.)"""

from __future__ import annotations

import pytest
import torch

from ddpm_space.notes import forward, reverse
from ddpm_space.notes.coefficients import cast
from ddpm_space.schedule import NoiseSchedule

SCHEDULE = NoiseSchedule.linear(1000)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("t", [0, 1, 9, 500, 999])
def test_half_precision_keeps_its_noise(dtype: torch.dtype, t: int) -> None:
    x_0 = torch.zeros(1, 1, 8, 8, dtype=dtype)
    eps = torch.ones_like(x_0)
    x_t = forward.q_cumulative_sample(x_0, SCHEDULE.alpha_bar[t], eps=eps)
    sigma = (1 - SCHEDULE.alpha_bar[t]).sqrt()
    assert x_t.dtype == dtype
    assert (x_t.double() / sigma - 1).abs().max() <= torch.finfo(dtype).eps


def test_a_batch_of_coefficients_equals_one_at_a_time() -> None:
    generator = torch.Generator().manual_seed(0)
    x_0, x_t = torch.randn(2, 3, 1, 4, 4, generator=generator)
    t, s = torch.tensor([3, 500, 999]), torch.tensor([-1, 200, 998])
    alpha_bar_t, alpha_bar_s = SCHEDULE.alpha_bar_at(t), SCHEDULE.alpha_bar_at(s)
    together = reverse.q_posterior(x_0, x_t, alpha_bar_t, alpha_bar_s)[0]
    for i in range(3):
        alone = reverse.q_posterior(x_0[i : i + 1], x_t[i : i + 1], float(alpha_bar_t[i]), float(alpha_bar_s[i]))[0]
        assert torch.allclose(together[i : i + 1], alone, atol=1e-7)


def test_the_last_step_lands_on_x_0_hat() -> None:
    x_0, x_t = torch.randn(2, 1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    mean, variance = reverse.q_posterior(x_0, x_t, SCHEDULE.alpha_bar[0], 1.0)
    assert torch.allclose(mean, x_0, atol=1e-6) and variance.item() == 0.0


def test_noise_is_given_or_drawn_never_both() -> None:
    x = torch.zeros(2, 1, 4, 4)
    generator = torch.Generator().manual_seed(5)
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
    assert torch.equal(forward.q_step_sample(x, 0.3, generator=generator), forward.q_step_sample(x, 0.3, eps=eps))
    with pytest.raises(ValueError, match="either eps or generator"):
        forward.q_step_sample(x, 0.3, eps=eps, generator=generator)
    with pytest.raises(ValueError, match="eps has shape"):
        forward.q_step_sample(x, 0.3, eps=eps[:1])


def test_a_coefficient_that_fits_no_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="3 coefficients do not fit a batch of 2"):
        cast(torch.zeros(3), torch.zeros(2, 1, 4, 4))
    with pytest.raises(ValueError, match=r"not \(1, 1\)"):
        cast(torch.zeros(1, 1), torch.zeros(2, 1, 4, 4))


def test_reverse_sampling_has_the_stated_moments() -> None:
    x_0_hat, x_t = torch.full((200_000, 1), 0.5, dtype=torch.float64), torch.full((200_000, 1), -0.3, dtype=torch.float64)
    alpha_bar_t, alpha_bar_s = SCHEDULE.alpha_bar[600], SCHEDULE.alpha_bar[500]
    drawn = reverse.p_reverse_sample(x_0_hat, x_t, alpha_bar_t, alpha_bar_s, 0.2, generator=torch.Generator().manual_seed(1))
    mean, _ = reverse.q_posterior(x_0_hat[:1], x_t[:1], alpha_bar_t, alpha_bar_s)
    assert abs(drawn.mean() - mean.item()) < 5 * (0.2 / 200_000) ** 0.5
    assert abs(drawn.var() - 0.2) < 5 * 0.2 * (2 / 200_000) ** 0.5
    drawn = reverse.q_posterior_sample(x_0_hat, x_t, alpha_bar_t, alpha_bar_s, generator=torch.Generator().manual_seed(2))
    variance = reverse.beta_tilde(alpha_bar_t, alpha_bar_s).item()
    assert abs(drawn.mean() - mean.item()) < 5 * (variance / 200_000) ** 0.5
    assert abs(drawn.var() - variance) < 5 * variance * (2 / 200_000) ** 0.5


def test_a_plain_number_keeps_all_its_digits_before_a_float64_sample() -> None:
    assert float(cast(0.1, torch.zeros(3, dtype=torch.float64))) == 0.1


def test_half_precision_overflows_to_infinity_and_not_to_nan() -> None:
    """At the end of a cosine chain x_0_hat = 20,000 (x_t - ...): too large for 16 bits, but its sign is known, and clipping mends it."""
    alpha_bar = NoiseSchedule.cosine(1000).alpha_bar[-1]
    x_t = 4 * torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    for convert in (reverse.x_0_from_eps, reverse.v_from_eps):
        half = convert(x_t.half(), 0.9 * x_t.half(), alpha_bar)
        assert not half.isnan().any()
        exact = convert(x_t.half().double(), 0.9 * x_t.half().double(), alpha_bar)
        large = exact.abs() > 200
        assert bool((half.sign() == exact.sign())[large].all()) and int(large.sum()) > 300
