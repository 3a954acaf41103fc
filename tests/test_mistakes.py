"""The mistakes: each one caught by named checks, each one visible in numbers against the right run, and none of them left behind."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from itertools import pairwise
from typing import TypeVar

import pytest
import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.exact import ExactDistribution, GaussianData, PointSet, exact_denoiser
from ddpm_space.mistakes import MISTAKES, RIGHT, Formulas, Mistake, ReverseFrame, __main__, add_noise, catching, caught_by, denoise, planted
from ddpm_space.mistakes.damage import energy_distance, energy_distances, mean_and_error
from ddpm_space.mistakes.processes import nearest_timesteps
from ddpm_space.notes.equations import EQUATIONS, SOURCES
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.spacing import spaced_timesteps

CAUGHT_BY = {
    "variance_as_std": {"N8.ancestral_step"},
    "std_as_variance": {"N7.beta_tilde", "N7.q_posterior"},
    "variance_as_std_forward": {"N6.q_cumulative"},
    "off_by_one": {"N6.chain_alpha_bars"},
    "noise_at_the_last_step": {"N8.ancestral_step"},
    "beta_of_the_full_chain": {"N6.chain_alpha_bars"},
    "missing_root": {"N3.q_cumulative_sample", "N6.q_cumulative", "N8.prior_kl", "N8.simple_loss"},
    "missing_root_in_x_0_hat": {"N8.x_0_from_eps"},
    "alpha_for_alpha_bar": {"N6.chain_alpha_bars"},
    "prior_never_reached": {"N6.shortened_betas"},
}
"""The checks that must fail on each mistake; those of other chapters that use the same formula may fail as well."""

Frame = TypeVar("Frame")


def every_mistake() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("mistake", MISTAKES.values(), ids=lambda mistake: mistake.id)


def mistakes_of(process: str) -> pytest.MarkDecorator:
    chosen = [mistake for mistake in MISTAKES.values() if mistake.process == process]
    return pytest.mark.parametrize("mistake", chosen, ids=lambda mistake: mistake.id)


def last(frames: Iterator[Frame]) -> Frame:
    *_, frame = frames
    return frame


@every_mistake()
def test_a_mistake_is_told_in_one_line_and_keeps_the_signature(mistake: Mistake) -> None:
    assert any("\u4e00" <= character <= "\u9fff" for character in mistake.zh)
    assert not any("\u4e00" <= character <= "\u9fff" for character in mistake.en)
    assert "\n" not in mistake.zh + mistake.en
    right = getattr(RIGHT, mistake.member)
    assert right.__name__ == mistake.member
    assert [(p.name, p.kind) for p in inspect.signature(mistake.wrong).parameters.values()] == [
        (p.name, p.kind) for p in inspect.signature(right).parameters.values()
    ]
    changed = [field.name for field in fields(Formulas) if getattr(mistake.formulas, field.name) is not getattr(RIGHT, field.name)]
    assert changed == [mistake.member]


@every_mistake()
def test_every_mistake_is_caught_and_by_these_checks(mistake: Mistake) -> None:
    expected = CAUGHT_BY[mistake.id]
    assert set(mistake.equations) <= expected <= set(EQUATIONS)
    found = caught_by(mistake, sorted(expected))
    assert {caught.equation_id for caught in found} == expected
    assert all(caught.tolerance < caught.error < float("inf") for caught in found), "by a number, not by an exception"
    for equation_id in expected:
        result = EQUATIONS[equation_id].check()
        assert result.passed, f"the right formula must pass: {result}"


def test_a_mistake_is_planted_in_the_notes_and_taken_out_again() -> None:
    places = {(module.__name__, name): value for module in SOURCES for name, value in vars(module).items() if callable(value)}
    for mistake in MISTAKES.values():
        right = getattr(RIGHT, mistake.member)
        with pytest.raises(KeyError), planted(mistake):
            assert not [place for module in SOURCES for place in vars(module).values() if place is right]
            raise KeyError("an error on the way")
    assert places == {(module.__name__, name): value for module in SOURCES for name, value in vars(module).items() if callable(value)}


def test_a_check_that_ends_in_an_error_has_caught_the_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(alpha_bar_t: float, alpha_bar_s: float) -> Tensor:
        raise ValueError("no")

    (caught,) = caught_by(replace(MISTAKES["std_as_variance"], wrong=failing), ["N7.beta_tilde"])
    assert caught.error == float("inf")


def test_the_command_prints_each_mistake_with_its_checks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    some = {equation_id: EQUATIONS[equation_id] for equation_id in set().union(*CAUGHT_BY.values())}
    monkeypatch.setattr(catching, "EQUATIONS", some)
    assert __main__.main() == 0
    printed = capsys.readouterr().out
    for mistake in MISTAKES.values():
        part = printed.split(f"{mistake.id}: {mistake.en}\n")[1].split("\n")
        assert {line.split()[0] for line in part[: len(CAUGHT_BY[mistake.id])]} == CAUGHT_BY[mistake.id]
    assert f"{len(MISTAKES)} of {len(MISTAKES)} mistakes are caught" in printed


def test_the_command_fails_when_a_mistake_goes_unnoticed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(catching, "EQUATIONS", {"N7.beta_tilde": EQUATIONS["N7.beta_tilde"]})
    assert __main__.main() == 1
    assert "NOT CAUGHT" in capsys.readouterr().out


# The right process, against formulas written out here


@pytest.mark.parametrize("shorten", [False, True])
@pytest.mark.parametrize("variance_type", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize("num_steps", [1, 7, 40])
def test_the_right_chain_is_algorithm_2(gaussian, num_steps: int, variance_type: str, shorten: bool) -> None:
    schedule = gaussian.denoiser.schedule
    options = {"num_samples": 3, "num_steps": num_steps, "variance_type": variance_type, "shorten": shorten, "seed": 5, "dtype": torch.float64}
    frames = list(denoise(gaussian.denoiser, (1, 2, 2), **options))
    generator = torch.Generator().manual_seed(5)
    noise = [torch.randn(3, 1, 2, 2, generator=generator, dtype=torch.float64) for _ in range(num_steps + 1)]
    log_abar = torch.cat([torch.zeros(1, dtype=torch.float64), torch.log1p(-schedule.beta).cumsum(0)])
    visited = spaced_timesteps(40, num_steps, "trailing")
    ends = [40 * k / num_steps for k in range(num_steps, -1, -1)] if shorten else [*(t + 1 for t in visited), 0]
    abar = [float(torch.exp(log_abar[int(u)] + (u % 1) * (log_abar[min(int(u) + 1, 40)] - log_abar[int(u)]))) for u in ends]
    assert torch.equal(frames[0].x_t, noise[0])
    assert all(before.x_s is after.x_t for before, after in pairwise(frames))
    for k, frame in enumerate(frames):
        eps = gaussian.denoiser.network(frame.x_t, torch.full((3,), frame.t))
        a, s = abar[k], abar[k + 1]
        beta = 1 - a / s
        # Equation 11, and a standard deviation that is the root of a variance.
        mean = (frame.x_t - beta / (1 - a) ** 0.5 * eps) / (1 - beta) ** 0.5
        variance = 0.0 if k == num_steps - 1 else beta if variance_type == "fixed_large" else (1 - s) / (1 - a) * beta
        assert (frame.x_s - mean - variance**0.5 * noise[k + 1]).abs().max() < 1e-9
        assert frame.index == k and frame.total == num_steps
        if not shorten:
            assert frame.t == visited[k]


def test_both_routes_of_the_right_noising_have_the_moments_of_the_notes(schedule: NoiseSchedule) -> None:
    x_0 = torch.full((20_000, 1), 0.7, dtype=torch.float64)
    for frame in add_noise(x_0, schedule, seed=3):
        if frame.t % 13 == 0:
            mean, variance = 0.7 * float(schedule.alpha_bar[frame.t]) ** 0.5, 1 - float(schedule.alpha_bar[frame.t])
            for x_t in (frame.walked, frame.jumped):
                assert abs(float(x_t.mean()) - mean) < 5 * (variance / 20_000) ** 0.5
                assert abs(float(x_t.var()) - variance) < 5 * variance * (2 / 20_000) ** 0.5


def test_the_network_of_a_shortened_chain_is_asked_at_the_nearest_noise(schedule: NoiseSchedule) -> None:
    assert nearest_timesteps(schedule, schedule.alpha_bar * 1.001).tolist() == list(range(40))
    assert nearest_timesteps(schedule, torch.tensor([1.0, 0.0])).tolist() == [0, 39]


# Right and wrong, side by side


def options_of(mistake: Mistake, **more: object) -> dict[str, object]:
    return {"variance_type": mistake.variance_type, "shorten": mistake.shorten, **more}


@mistakes_of("reverse")
def test_right_and_wrong_share_all_noise_and_nothing_else(gaussian, mistake: Mistake) -> None:
    """Interleaved as an app runs them, they are what each is alone; and both start from the same x_T."""

    def run(formulas: Formulas) -> Iterator[ReverseFrame]:
        return denoise(gaussian.denoiser, (1, 2, 2), num_steps=8, num_samples=4, formulas=formulas, **options_of(mistake))

    alone = list(run(RIGHT)), list(run(mistake.formulas))
    for index, pair in enumerate(zip(run(RIGHT), run(mistake.formulas))):
        for frame, frames in zip(pair, alone):
            assert torch.equal(frame.x_s, frames[index].x_s)
    assert torch.equal(alone[0][0].x_t, alone[1][0].x_t)
    assert not torch.equal(alone[0][-1].x_s, alone[1][-1].x_s), "the mistake does something"


def test_noise_at_the_last_step_changes_the_last_step_alone(gaussian) -> None:
    mistake = MISTAKES["noise_at_the_last_step"]
    right, wrong = (list(denoise(gaussian.denoiser, (1, 2, 2), formulas=formulas, **options_of(mistake))) for formulas in (RIGHT, mistake.formulas))
    assert all(torch.equal(a.x_s, b.x_s) for a, b in zip(right[:-1], wrong[:-1]))
    beta_1 = float(gaussian.denoiser.schedule.beta[0])
    added = (wrong[-1].x_s - right[-1].x_s) / beta_1**0.5
    assert abs(float(added.std()) - 1) < 0.5


@pytest.mark.parametrize("changes", [{"variance_type": "small"}, {"num_steps": 41}, {"num_steps": 0, "shorten": True}])
def test_settings_that_no_chain_has_are_refused(gaussian, changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"use "):
        next(denoise(gaussian.denoiser, (1, 2, 2), **changes))


# The damage, in numbers

SAMPLES = 1000


@pytest.fixture(scope="module")
def thousand() -> NoiseSchedule:
    return NoiseSchedule.linear(1000)


def roll() -> PointSet:
    """A swiss roll off the centre, as pictures on a dark ground are."""
    return PointSet(0.4 * PointSet.swiss_roll(200).points + 0.6)


def cloud() -> GaussianData:
    return GaussianData(torch.tensor([0.8, 0.8], dtype=torch.float64), torch.tensor([0.05, 0.05], dtype=torch.float64))


def by_energy(x: Tensor, world: ExactDistribution) -> Tensor:
    """Energy distance to the data, group by group."""
    return energy_distances(x, world.sample(SAMPLES, generator=torch.Generator().manual_seed(9)))


def by_distance(x: Tensor, world: ExactDistribution) -> Tensor:
    """How far each sample lies from the nearest point of the roll."""
    assert isinstance(world, PointSet)
    return torch.cdist(x.double(), world.points).min(dim=1).values


DAMAGE: dict[str, tuple[Callable[[], ExactDistribution], Callable[[Tensor, ExactDistribution], Tensor], int]] = {
    "variance_as_std": (roll, by_energy, 50),
    "std_as_variance": (cloud, by_energy, 50),
    "off_by_one": (roll, by_distance, 50),
    "noise_at_the_last_step": (roll, by_distance, 50),
    "beta_of_the_full_chain": (roll, by_energy, 50),
    "missing_root_in_x_0_hat": (roll, by_energy, 50),
    "alpha_for_alpha_bar": (roll, by_energy, 50),
    "prior_never_reached": (cloud, by_energy, 20),
}
"""The data, what is measured, and the number of steps."""


@mistakes_of("reverse")
def test_the_damage_of_sampling_is_visible(mistake: Mistake, thousand: NoiseSchedule) -> None:
    """With the exact denoiser and the same noise, the wrong run is farther from the data than the right one, by more than 5 standard errors."""
    new_world, measure, num_steps = DAMAGE[mistake.id]
    world = new_world()
    denoiser: Denoiser = exact_denoiser(world, thousand)

    def samples(formulas: Formulas) -> Tensor:
        chain = denoise(denoiser, (2,), num_samples=SAMPLES, num_steps=num_steps, formulas=formulas, **options_of(mistake, dtype=torch.float64))
        return last(chain).x_s

    right, wrong = samples(RIGHT), samples(mistake.formulas)
    distance = energy_distance(right, world.sample(SAMPLES, generator=torch.Generator().manual_seed(9)))
    assert distance.value < 0.01 + 5 * distance.standard_error, "the right run arrives"
    worse = mean_and_error(measure(wrong, world) - measure(right, world))
    assert worse.value > 5 * worse.standard_error, worse


def test_the_damage_of_taking_beta_for_a_standard_deviation_is_visible(thousand: NoiseSchedule) -> None:
    """The end of the walk has the prior's variance, within 5 standard errors; with the mistake it has the forward recursion's own, far below 1."""
    x_0 = roll().sample(SAMPLES, generator=torch.Generator().manual_seed(1))
    wrong_formulas = MISTAKES["variance_as_std_forward"].formulas
    right, wrong = (last(add_noise(x_0, thousand, formulas=formulas)).walked for formulas in (RIGHT, wrong_formulas))
    assert abs(float(right.var()) - 1) < 5 * (2 / right.numel()) ** 0.5
    variance = 0.0
    for beta in thousand.beta.tolist():
        variance = (1 - beta) * variance + beta**2
    assert variance < 0.02
    assert abs(float(wrong.var()) - variance) < 5 * variance * (2 / wrong.numel()) ** 0.5


def test_the_damage_of_a_missing_root_is_visible(thousand: NoiseSchedule) -> None:
    """At abar = 0.4 the two routes have the same mean where the root stands; without it the jump's image is too faint by the root of abar."""
    x_0 = roll().sample(SAMPLES, generator=torch.Generator().manual_seed(1))
    for mistake, damaged in ((None, False), (MISTAKES["missing_root"], True)):
        frames = add_noise(x_0, thousand, formulas=mistake.formulas if mistake else RIGHT)
        frame = next(frame for frame in frames if frame.t == 300)
        difference = mean_and_error((frame.walked - frame.jumped).mean(dim=1))
        assert (abs(difference.value) > 5 * difference.standard_error) == damaged
        alpha_bar = float(thousand.alpha_bar[300])
        expected = (alpha_bar**0.5 - alpha_bar) * float(x_0.mean()) if damaged else 0.0
        assert abs(difference.value - expected) < 5 * difference.standard_error


def test_the_energy_distance_is_that_of_two_gaussians() -> None:
    """N(0, 1) and N(d, 1): 2 E|N(d, 2)| - 2 E|N(0, 2)|, known in closed form; and 0 for the same law."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 4000, 1, generator=generator, dtype=torch.float64)
    d = torch.tensor(0.9, dtype=torch.float64)
    normal = torch.distributions.Normal(0.0, 1.0)
    mean_abs = 2 * torch.exp(-(d**2) / 4) / torch.pi**0.5 + d * (1 - 2 * normal.cdf(-d / 2**0.5))
    truth = 2 * mean_abs - 4 / torch.pi**0.5
    for shift, expected in ((0.0, 0.0), (d, truth)):
        for groups in (10, 400):
            found = energy_distance(x, y + shift, groups=groups)
            assert abs(found.value - expected) < 5 * found.standard_error
    with pytest.raises(ValueError, match="groups"):
        energy_distance(x[:10], y)
