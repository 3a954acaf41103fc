"""The derivation: every sign holds in several worlds, and every wrong side, or wrong formula behind one, is reported as violated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.derivation import RELATIONS, Side, Step, derivation, sides, world
from ddpm_space.derivation.__main__ import main
from ddpm_space.exact import GaussianMixture, PointSet, exact_denoiser
from ddpm_space.exact.chain import ExactChain
from ddpm_space.notes import importance
from ddpm_space.notes.equations import EQUATIONS
from ddpm_space.schedule import NoiseSchedule

KEYS = ["likelihood", "importance", "jensen", "gap", "kls", "prior", "posterior", "decoder", "means", "weighted_mse", "bound_as_mse", "simple"]
KEYS += ["training"]
BUMPS = GaussianMixture(torch.tensor([0.4, 0.6]), torch.tensor([[-1.0], [0.7]]), torch.tensor([0.03, 0.05]))
DATA = torch.tensor([-1.1, 0.6, 0.9], dtype=torch.float64)
COSINE = NoiseSchedule.cosine(4)


def biased(x_t: Tensor, t: Tensor) -> Tensor:
    """x_0_hat of a network that is far from right."""
    return 0.7 * torch.tanh(2 * x_t) + 0.1 * torch.sin(3 * x_t) + 0.02 * t[:, None]


def respaced() -> tuple[Denoiser, NoiseSchedule]:
    trained = NoiseSchedule.linear(100, 1e-3, 0.15)
    return exact_denoiser(BUMPS, trained, "v_prediction"), trained.respaced([99, 60, 25, 5])


WORLDS: dict[str, Callable[[], ExactChain]] = {
    "exact, beta": lambda: ExactChain(BUMPS, COSINE, "fixed_large"),
    "exact, beta_tilde": lambda: ExactChain(BUMPS, COSINE, "fixed_small"),
    "exact, best variance": lambda: ExactChain(BUMPS, COSINE, "optimal"),
    "two points": lambda: ExactChain(PointSet(torch.tensor([[-1.0], [0.8]])), COSINE, "fixed_large", reach=3.0),
    "a wrong network": lambda: ExactChain(Denoiser(biased, "sample", COSINE), COSINE, "fixed_large"),
    "a v-network, respaced": lambda: ExactChain(*respaced(), "fixed_large"),
    "one step": lambda: ExactChain(BUMPS, NoiseSchedule.from_betas([0.9]), "fixed_large"),
}


@lru_cache
def chain(name: str = "exact, beta") -> ExactChain:
    return WORLDS[name]()


def walk(name: str = "exact, beta", trajectories: int = 2000, seed: int = 0) -> dict[str, Step]:
    return {step.key: step for step in derivation(DATA, chain(name), trajectories=trajectories, seed=seed)}


@pytest.mark.parametrize("name", WORLDS)
def test_every_sign_holds(name: str) -> None:
    steps = walk(name, trajectories=20_000)
    assert list(steps) == [key for key in KEYS if name != "one step" or key != "posterior"]
    for step in steps.values():
        result = step.check()
        assert result.holds, (step.key, result)
        assert result.tolerance < 0.05, (step.key, result)


def test_jensens_step_loses_something_that_can_be_seen() -> None:
    steps = walk(trajectories=20_000)
    jensen, gap = steps["jensen"].check(), steps["gap"].check()
    assert jensen.difference > 0.1 and jensen.difference > 5 * jensen.tolerance
    assert jensen.difference == pytest.approx(gap.left, abs=jensen.tolerance)
    assert abs(gap.difference) < 1e-9


def test_each_step_is_fully_described() -> None:
    for step in walk().values():
        assert step.relation in RELATIONS
        assert set(step.equations) <= set(EQUATIONS) and step.equations
        assert all(text.strip() for text in (step.latex, step.zh, step.en, step.route_zh, step.route_en))
        assert not any("\u4e00" <= character <= "\u9fff" for character in step.en + step.route_en)
        assert any("\u4e00" <= character <= "\u9fff" for character in step.zh)
        assert step.left is not step.right and step.left.func is not step.right.func


def scaled(side: Callable[[], Side], factor: float) -> Callable[[], Side]:
    def wrong() -> Side:
        right = side()
        return Side(right.value * factor, right.error, None if right.minimum is None else right.minimum * factor)

    return wrong


@pytest.mark.parametrize("place", ["left", "right"])
@pytest.mark.parametrize("key", KEYS)
def test_a_wrong_side_is_reported_as_violated(key: str, place: str) -> None:
    step = walk(trajectories=20_000)[key]
    if step.relation == ">=":
        changed = replace(step, left=step.right, right=step.left)
    else:
        changed = replace(step, **{place: scaled(getattr(step, place), 1.05)})
    assert step.check().holds and not changed.check().holds, changed.check()


@pytest.mark.parametrize("key", KEYS)
def test_a_side_that_is_not_a_number_is_reported_as_violated(key: str) -> None:
    step = walk()[key]
    assert not replace(step, right=scaled(step.right, float("nan"))).check().holds


WRONG_FORMULAS = {
    "sigma for sigma^2 in the weight": (
        sides,
        "eps_weight",
        lambda f: lambda sigma2, *rest: f(sigma2.sqrt(), *rest),
        {"weighted_mse", "bound_as_mse"},
    ),
    "alpha_bar of the wrong time in the posterior": (
        world,
        "q_posterior",
        lambda f: lambda x_0, x_t, t, s: (f(x_0, x_t, t, (s * t).sqrt())[0], f(x_0, x_t, t, s)[1]),
        {"posterior", "kls", "decoder", "means", "weighted_mse", "simple"},
    ),
    "the log of the mean taken for the mean of the log": (
        importance,
        "elbo",
        lambda f: lambda log_weights: importance.log_mean(log_weights)[:2],
        {"kls"},
    ),
    "a prior of twice the variance": (sides.elbo, "prior_kl", lambda f: lambda x_0, abar: 1.4 * f(x_0, abar), {"prior", "gap", "bound_as_mse"}),
    "noise at the wrong time in training": (
        sides,
        "q_cumulative_sample",
        lambda f: lambda x_0, abar, eps: f(x_0, 0.7 * abar, eps=eps),
        {"training"},
    ),
    "a mean where L_simple has a sum of squares": (sides.elbo, "simple_loss", lambda f: lambda eps, eps_theta: f(eps, eps_theta) / 2, {"training"}),
    "weights not averaged but added": (
        importance,
        "log_mean",
        lambda f: lambda log_weights: (f(log_weights)[0] + 1, *f(log_weights)[1:]),
        {"importance"},
    ),
    "the data's entropy left out": (
        sides.mle,
        "likelihood_split",
        lambda f: lambda data, log_q: f(data, log_q)._replace(entropy=torch.zeros(())),
        {"likelihood"},
    ),
}


@pytest.mark.parametrize("name", WRONG_FORMULAS)
def test_a_wrong_formula_breaks_the_steps_that_use_it_and_no_others(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, attribute, wrong, caught = WRONG_FORMULAS[name]
    chain()
    monkeypatch.setattr(module, attribute, wrong(getattr(module, attribute)))
    violated = {key for key, step in walk(trajectories=8000).items() if not step.check().holds}
    assert violated == caught


def test_drawn_sides_are_as_uncertain_as_they_say() -> None:
    """Over 60 seeds the difference from the exact side, in standard errors, has unit spread."""
    for key in ("kls", "training"):
        scores = []
        for seed in range(60):
            result = walk(trajectories=300, seed=seed)[key].check()
            scores.append(result.difference / (result.tolerance / world.STANDARD_ERRORS))
        spread = torch.tensor(scores)
        assert 0.7 < float(spread.std()) < 1.35 and abs(float(spread.mean())) < 0.6, (key, spread)


def test_nothing_is_computed_before_a_step_is_checked_and_a_seed_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again, other = (walk(seed=seed)["kls"].check() for seed in (3, 3, 4))
    assert first == again != other
    monkeypatch.setattr(ExactChain, "log_weights", None)
    walk()


def test_equal_data_and_a_single_datum() -> None:
    for data in (torch.tensor([0.5]), torch.tensor([0.5, 0.5, 0.5, -0.9])):
        steps = {step.key: step for step in derivation(data, chain(), trajectories=500)}
        assert all(steps[key].check().holds for key in ("likelihood", "jensen", "kls", "posterior", "training"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: derivation(torch.zeros(2, 1), chain()), r"shape \(2, 1\): give \(M,\)"),
        (lambda: derivation(torch.zeros(0), chain()), r"at least one point"),
        (lambda: derivation(DATA, chain(), trajectories=1), r"trajectories = 1: use at least 2"),
        (lambda: derivation(DATA, ExactChain(BUMPS, NoiseSchedule.from_betas([0.3, 1.0]), "fixed_large")), "alpha_bar_T = 0"),
        (lambda: replace(walk()["gap"], relation="<"), "unknown relation '<': use one of =, >=, ~"),
        (lambda: replace(walk()["gap"], relation="~").check(), "needs the place of the minimum"),
        (lambda: derivation(torch.tensor([50.0]), chain())[0].check(), "beyond reach"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_the_command_prints_every_step_and_says_when_one_fails(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--steps", "3", "--data", "2", "--trajectories", "200"]
    assert main(options) == 0
    printed = capsys.readouterr().out
    assert all(f"ok   {key} " in printed for key in KEYS) and "FAIL" not in printed
    monkeypatch.setattr(sides, "eps_weight", lambda *values: 2.0)
    assert main(options) == 1
    assert "FAIL weighted_mse" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--data", "0"], ["--steps", "0"], ["--trajectories", "1"]])
def test_numbers_the_command_cannot_use_are_one_sentence(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="error: "):
        main(arguments)
