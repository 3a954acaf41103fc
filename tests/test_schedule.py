"""NoiseSchedule: tables against another library and longer arithmetic, look-ups, respacing, and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from ddpm_space.schedule import SCHEDULES, NoiseSchedule

STOCK_NAMES = {"linear": "linear", "scaled_linear": "scaled_linear", "cosine": "squaredcos_cap_v2", "sigmoid": "sigmoid"}


@pytest.mark.parametrize("steps", [1000, 137])
@pytest.mark.parametrize("name", STOCK_NAMES)
def test_betas_agree_with_diffusers(name: str, steps: int) -> None:
    stock = DDPMScheduler(num_train_timesteps=steps, beta_schedule=STOCK_NAMES[name])
    # float32 tables on their side: a few units in the last place of the largest beta.
    assert torch.allclose(NoiseSchedule.make(name, steps).beta.float(), stock.betas, rtol=1e-4, atol=3e-7)


def test_named_constructors_are_the_named_rows() -> None:
    for name in SCHEDULES:
        assert torch.equal(getattr(NoiseSchedule, name)(50).beta, NoiseSchedule.make(name, 50).beta)


@pytest.mark.parametrize("name", SCHEDULES)
def test_alpha_bar_keeps_its_digits(name: str) -> None:
    schedule = NoiseSchedule.make(name)
    beta = schedule.beta.numpy().astype(np.longdouble)
    log_alpha_bar = np.cumsum(np.log1p(-beta))
    exact = -np.expm1(log_alpha_bar)
    assert np.max(np.abs((1 - schedule.alpha_bar.numpy()) / exact - 1)) < 1e-11
    assert np.max(np.abs(schedule.alpha_bar.numpy() / np.exp(log_alpha_bar) - 1)) < 1e-12


def test_cosine_is_the_papers_curve_until_the_cap() -> None:
    schedule = NoiseSchedule.cosine(1000)
    u = np.arange(1, 1001) / 1000
    curve = np.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2 / np.cos(0.008 / 1.008 * math.pi / 2) ** 2
    capped = schedule.beta.numpy() >= 0.999 - 1e-12
    assert capped.sum() == 1
    assert np.max(np.abs(schedule.alpha_bar.numpy() - curve)[~capped]) < 1e-12


def test_laplace_is_half_noise_in_the_middle() -> None:
    assert NoiseSchedule.laplace(1000).alpha_bar[499].item() == pytest.approx(0.5, abs=1e-12)


def test_look_up_of_any_rank() -> None:
    schedule = NoiseSchedule.linear(100)
    t = torch.tensor([[0, 5], [98, 99]])
    found = schedule.at(t)
    assert found.alpha_bar_t.shape == (2, 2) and found.alpha_bar_t.dtype == torch.float64
    assert torch.equal(found.alpha_bar_t[1], schedule.alpha_bar[98:])
    assert schedule.at(7).beta_t.shape == ()
    assert schedule.alpha_bar_at(-1).item() == 1.0
    assert torch.equal(schedule.alpha_bar_at(t - 1), found.alpha_bar_prev)


def test_respaced_keeps_alpha_bar_and_remembers_t() -> None:
    schedule = NoiseSchedule.linear(1000)
    half = schedule.respaced([999, 600, 7])
    assert half.timesteps.tolist() == [7, 600, 999]
    assert torch.allclose(half.alpha_bar, schedule.alpha_bar[[7, 600, 999]], rtol=1e-13)
    # The jump from 7 to 600 by composing the single steps' variances.
    variance = 0.0
    for beta in schedule.beta[8:601].tolist():
        variance = (1 - beta) * variance + beta
    assert half.beta[1].item() == pytest.approx(variance, rel=1e-12)
    assert half.respaced([2, 0]).timesteps.tolist() == [7, 999]
    assert torch.allclose(schedule.respaced(range(999, -1, -1)).beta, schedule.beta, rtol=1e-9)


@pytest.mark.parametrize("t", [-1, 1000, 10**9])
def test_t_outside_the_chain(t: int) -> None:
    with pytest.raises(ValueError, match=rf"t = {t} is outside the chain: use 0 <= t <= 999"):
        NoiseSchedule.linear().at(t)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NoiseSchedule.make("lineer"), "unknown schedule 'lineer': use one of linear"),
        (lambda: NoiseSchedule.linear(0), "T = 0 steps"),
        (lambda: NoiseSchedule.linear(10**9), "T = 1000000000 steps"),
        (lambda: NoiseSchedule.from_betas([0.1, 1.2]), r"beta\[1\] = 1.2 is outside"),
        (lambda: NoiseSchedule.from_betas([0.1, math.nan]), r"beta\[1\] = nan is outside"),
        (lambda: NoiseSchedule.from_betas([0.0, 0.1]), r"beta\[0\] = 0 is outside"),
        (lambda: NoiseSchedule.from_betas([]), "at least one number"),
        (lambda: NoiseSchedule.linear(10).respaced([3, 3]), "strictly descending"),
        (lambda: NoiseSchedule.linear(10).respaced([]), "strictly descending"),
        (lambda: NoiseSchedule.linear(10).respaced([10, 3]), "t = 10 is outside"),
        (lambda: NoiseSchedule.linear(10).at(torch.tensor(1.5)), "t must be an integer"),
    ],
)
def test_refusals_name_the_value(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_terminal_problem_names_the_number() -> None:
    assert NoiseSchedule.linear(1000).terminal_problem() is None
    problem = NoiseSchedule.linear(50).terminal_problem()
    assert problem is not None and "0.603" in problem


def test_a_frozen_schedule_does_not_share_the_callers_memory() -> None:
    betas = torch.full((3,), 0.1, dtype=torch.float64)
    schedule = NoiseSchedule.from_betas(betas)
    betas[0] = 0.9
    assert schedule.beta[0].item() == pytest.approx(0.1)


@pytest.mark.parametrize("beta", [[0.1, 1.0, 0.1], [0.9] * 400, [0.5, 1.0, 1.0]])
def test_an_image_lost_early_leaves_the_tables_finite_and_is_refused_where_a_step_would_lead_back(beta: list[float]) -> None:
    schedule = NoiseSchedule.from_betas(beta)
    assert torch.isfinite(schedule.beta_tilde).all()
    assert float(schedule.beta_tilde[-1]) == pytest.approx(beta[-1])
    with pytest.raises(ValueError, match=r"abar is 0 already at t = \d+.*smaller betas"):
        schedule.respaced(range(len(beta) - 1, -1, -1))
    assert len(schedule.respaced([1, 0])) == 2
