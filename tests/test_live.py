"""The network that is trained live: it learns, it is judged against what is known, and equal settings give equal runs."""

from __future__ import annotations

import itertools

import pytest
import torch

from ddpm_space.denoiser import Denoiser
from ddpm_space.exact import GaussianData, bayes_floor, exact_denoiser
from ddpm_space.exact.plane import eight_bumps, two_moons
from ddpm_space.live import STEPS_A_RECORD, LiveSettings, average_floor, judge, rate, time_features, train_live
from ddpm_space.schedule import NoiseSchedule

CHAIN = NoiseSchedule.linear(1000)
SMALL = LiveSettings(steps=60, batch=64, width=16, depth=2)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_the_loss_falls_and_the_network_comes_near_the_floor(prediction_type: str) -> None:
    """In 500 steps it is less above the floor than the best linear network: the mean of 1 - abar_t times 1 is what x_t alone explains."""
    world = eight_bumps(0.1)
    records = list(train_live(world, CHAIN, LiveSettings(steps=500, width=64, prediction_type=prediction_type)))
    assert [record.step for record in records] == list(range(STEPS_A_RECORD, 501, STEPS_A_RECORD))
    assert float(records[-1].loss.value) < 0.9 * float(records[0].loss.value)
    judged = judge(records[-1].denoiser, world, draws=40_000)
    # For data of variance 1 a coordinate the best linear eps-network's error is abar_t.
    linear = float(CHAIN.alpha_bar.mean())
    assert float(judged.loss.value) < linear - 5 * float(judged.loss.standard_error)
    assert float(judged.excess.value) > 5 * float(judged.excess.standard_error), "no network is below the floor"


def test_the_average_floor_is_the_floor_of_every_t_averaged() -> None:
    chain = NoiseSchedule.cosine(25)
    found, many = average_floor(eight_bumps(0.2), chain, samples=64), bayes_floor(eight_bumps(0.2), chain.alpha_bar, samples=20_000)
    assert abs(float(found.value - many.value.mean())) < 5 * float(found.standard_error)
    gaussian = GaussianData(torch.zeros(2), 0.25)
    a = chain.alpha_bar
    # eps given x_t has the variance abar s^2 / (abar s^2 + 1 - abar).
    assert float(average_floor(gaussian, chain).value) == pytest.approx(float((a * 0.25 / (a * 0.25 + 1 - a)).mean()), rel=1e-12)


def test_the_perfect_network_is_at_the_floor_and_another_above_it_by_what_it_is_off() -> None:
    world, chain = two_moons(), NoiseSchedule.cosine(40)
    perfect = judge(exact_denoiser(world, chain), world, draws=20_000)
    assert float(perfect.excess.value) == 0 and perfect.above == 0 and perfect.draws == 20_000
    expected = average_floor(world, chain, samples=2000)
    assert abs(float(perfect.loss.value - expected.value)) < 5 * float(perfect.loss.standard_error)
    shifted = Denoiser(lambda x, t: exact_denoiser(world, chain).network(x, t) + 0.1, "epsilon", chain)
    judged = judge(shifted, world, draws=20_000)
    # E |eps - eps* - 0.1|^2 = floor + 0.01, since eps - eps* has mean 0 whatever x_t is.
    assert abs(float(judged.excess.value) - 0.01) < 5 * float(judged.excess.standard_error)
    assert judged.above == pytest.approx(float(judged.excess.value / judged.floor.value))


def test_equal_seeds_give_equal_runs_and_leave_the_shared_generator_alone() -> None:
    state = torch.get_rng_state()
    runs = [[float(record.loss.value) for record in train_live(two_moons(), CHAIN, settings)] for settings in (SMALL, SMALL)]
    assert runs[0] == runs[1] and len(runs[0]) == 3
    assert torch.equal(state, torch.get_rng_state())
    other = [float(record.loss.value) for record in train_live(two_moons(), CHAIN, LiveSettings(steps=60, batch=64, width=16, depth=2, seed=1))]
    assert other != runs[0]


def test_a_generator_that_is_closed_has_trained_no_further() -> None:
    running = train_live(two_moons(), CHAIN, LiveSettings(steps=10_000, batch=64, width=16, depth=2))
    records = list(itertools.islice(running, 2))
    running.close()
    assert [record.step for record in records] == [STEPS_A_RECORD, 2 * STEPS_A_RECORD]


def test_what_is_shown_is_an_average_of_the_weights() -> None:
    (record,) = train_live(two_moons(), CHAIN, LiveSettings(steps=25, batch=64, width=16, depth=2, ema=0.0))
    (slow,) = train_live(two_moons(), CHAIN, LiveSettings(steps=25, batch=64, width=16, depth=2, ema=1.0))
    x, t = torch.randn(4, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([10, 100, 500, 900])
    assert not torch.allclose(record.denoiser.network(x, t), slow.denoiser.network(x, t))
    assert float(record.loss.value) == float(slow.loss.value), "the average is not what is trained"


def test_the_learning_rate_rises_and_falls_to_zero() -> None:
    assert rate(0.001) < 0.1 and rate(0.02) > 0.99 and rate(1.0) == pytest.approx(0, abs=1e-12)
    assert all(rate(k / 100) > rate((k + 1) / 100) for k in range(3, 100))


def test_the_network_is_told_every_t_apart() -> None:
    features = time_features(NoiseSchedule.cosine(100))
    assert features.shape == (100, 17) and bool(features.isfinite().all())
    assert float(torch.pdist(features.double()).min()) > 0 or len(set(map(tuple, features.tolist()))) > 95


def test_an_unknown_prediction_is_refused() -> None:
    with pytest.raises(ValueError, match="v_prediction"):
        LiveSettings(prediction_type="score")
