"""The two toy chains of 2015: their data and exact numbers, K measured by two routes, training, the command, and the stored result."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.notes.thermo2015 import log_null_gaussian, moment_bits, moment_gaussian, step_kl_gaussian
from training import thermo2015
from training.toys2015.chain import LN2, Result, Term, ToyChain, evaluate, summarize, train
from training.toys2015.heartbeat import RATE, Heartbeat, phase_entropy, sequences
from training.toys2015.roll import Roll, SwissRoll

ROOT = Path(__file__).resolve().parent.parent
STORED = json.loads((ROOT / "docs" / "thermo2015.json").read_text(encoding="utf-8"))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(name: str) -> ToyChain:
    return Heartbeat(num_steps=25, batch=40) if name == "heartbeat" else Roll(num_steps=8, noise=0.2, batch=32, units=48)


def result_of(chain: ToyChain, network: nn.Module, samples: int) -> Result:
    return summarize(chain, list(evaluate(chain, network, samples=samples, generator=generator(1))))


def test_the_heartbeat_is_the_papers() -> None:
    data = sequences()
    assert data.shape == (5, 20) and len(data.unique(dim=0)) == 5
    assert all((row.nonzero().diff(dim=0) == 5).all() and row.sum() == 4 for row in data)
    chain = Heartbeat()
    exact = chain.entropies()
    assert chain.num_steps == 2000 and chain.alpha_bar[-1] == 0
    torch.testing.assert_close(-exact.data / LN2, torch.tensor(-2.322, dtype=torch.float64), rtol=0, atol=5e-4)
    torch.testing.assert_close(exact.null / LN2, torch.tensor(-14.439, dtype=torch.float64), rtol=0, atol=5e-4)
    torch.testing.assert_close(exact.last, exact.prior)
    assert moment_bits(data, chain.alpha_bar[0], chain.alpha_bar[-1], rate=RATE).mean().abs() < 1e-14


@pytest.mark.parametrize("alpha_bar", [0.9, 0.4, 0.02])
def test_phase_entropy_is_exact(alpha_bar: float) -> None:
    """5^5 counts against 40,000 draws of all 20 bits, within 5 standard errors."""
    chain, kept = Heartbeat(num_steps=25), torch.tensor(alpha_bar, dtype=torch.float64)
    x_0 = sequences().repeat(8000, 1)
    x_t = torch.bernoulli(kept * x_0 + (1 - kept) * RATE, generator=generator())
    entropy = torch.distributions.Categorical(logits=chain.phases(x_t, kept)).entropy()
    assert abs(float(entropy.mean() - phase_entropy(kept))) < 5 * float(entropy.std()) / math.sqrt(len(entropy))


def test_the_roll_has_the_moment_of_pi_and_the_density_of_its_samples() -> None:
    roll = SwissRoll(0.1)
    x_0 = roll.sample(100_000, generator())
    square = (x_0**2).sum(1)
    assert abs(float(square.mean()) - 2) < 5 * float(square.std()) / math.sqrt(len(square))
    surprise = -roll.mixture.log_density(x_0[:4000], 1.0)
    assert abs(float(surprise.mean() - roll.entropy())) < 5 * float(surprise.std()) / math.sqrt(len(surprise))
    assert moment_gaussian(math.sqrt(2) * x_0 / square.sqrt()[:, None], 0.9, 0.1).abs().max() < 1e-12


def test_the_rolls_entropy_does_not_depend_on_the_grid() -> None:
    roll = SwissRoll(0.15)
    # Half-way between two arms the gradient of log q turns sharply, which a grid sees only so well.
    torch.testing.assert_close(roll.entropy(spacing=0.7), roll.entropy(spacing=0.45), rtol=0, atol=1e-5)
    # Noised to the end it is nearly the unit Gaussian, whose entropy no law of the same moment exceeds.
    late, unit = roll.entropy(alpha_bar=0.01), 2 * 0.5 * math.log(2 * math.pi * math.e)
    assert unit - 1e-3 < late < unit


def test_the_ends_of_the_rolls_chain_by_simulation() -> None:
    """KL(q(x_T) || pi), and H(X_1) - H(X_0): averages over draws against the quadratures, within 5 standard errors."""
    chain, n = Roll(num_steps=8, noise=0.2), 50_000
    exact, mixture = chain.entropies(), chain.data.mixture
    x_0 = chain.data.sample(n, generator())
    x_1, x_T = (q_cumulative_sample(x_0, chain.alpha_bar[t], generator=generator(1)) for t in (0, -1))
    end = mixture.log_density(x_T, chain.alpha_bar[-1]) - log_null_gaussian(x_T)
    rise = mixture.log_density(x_0, 1.0) - mixture.log_density(x_1, chain.alpha_bar[0])
    for quadrature, draws in ((exact.end, end), (exact.rise, rise)):
        assert abs(float(draws.mean() - quadrature)) < 5 * float(draws.std()) / math.sqrt(n)
        assert float(quadrature) > 5 * float(draws.std()) / math.sqrt(n), "too few draws to tell it from nothing"


class Exact(nn.Module):
    """The network that has learned everything: x_0_hat of the heartbeat by Bayes."""

    def __init__(self, chain: Heartbeat) -> None:
        super().__init__()
        self.chain = chain

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        return self.chain.phases(x_t.double(), self.chain.alpha_bar[t[0]]).softmax(1) @ self.chain.data


def test_a_perfect_network_reaches_the_best_K() -> None:
    chain = Heartbeat(num_steps=25)
    result = result_of(chain, Exact(chain), 2000)
    assert result.K.value == pytest.approx(result.best.value, abs=1e-6)
    assert result.K.value + 5 * result.K.error < result.truth
    # All that is lost beyond the fixed last step is the dependence of the bits within one step.
    assert 0 < result.last_step < result.truth - result.K.value and result.chain_end == 0


@pytest.mark.parametrize("name", ["heartbeat", "swiss_roll"])
def test_K_by_two_routes(name: str) -> None:
    """Eq. 14 and the loss of every step measured forward agree for a network that has learned nothing, and no K exceeds the best."""
    chain = small(name)
    result = result_of(chain, chain.network(generator()), 2000)
    assert abs(result.K.value - result.forward.value) < 5 * math.hypot(result.K.error, result.forward.error)
    assert result.K.value + 5 * result.K.error < result.best.value < result.truth + 5 * result.best.error
    assert result.gain.value == pytest.approx(result.K.value - result.L_null, abs=1e-9)
    assert sum(term.value for term in result.terms) > 0 and len(result.terms) == chain.num_steps - 1


@pytest.mark.parametrize("name", ["heartbeat", "swiss_roll"])
def test_error_bars_are_as_wide_as_the_spread(name: str) -> None:
    """30 measurements with draws of their own: the variance of K is the one that each states, within the scatter of a variance (chi-square)."""
    chain = small(name)
    network = chain.network(generator())
    runs = [summarize(chain, list(evaluate(chain, network, samples=60, generator=generator(seed)))).K for seed in range(30)]
    stated = sum(run.error**2 for run in runs) / 30
    spread = float(torch.tensor([run.value for run in runs]).var())
    assert 0.35 < spread / stated < 2.2


def trained(chain: ToyChain, steps: int, seed: int) -> tuple[list[float], nn.Module]:
    """Training losses in bits, and the network."""
    random = generator(seed)
    network = chain.network(random)
    return [step.bits for step in train(chain, network, steps=steps, learning_rate=1e-2, generator=random)], network


@pytest.mark.parametrize(("name", "steps", "rise"), [("heartbeat", 60, 5.0), ("swiss_roll", 200, 0.15)])
def test_training_raises_K(name: str, steps: int, rise: float) -> None:
    chain = small(name)
    losses, network = trained(chain, steps, 0)
    before, after = result_of(chain, chain.network(generator()), 2000), result_of(chain, network, 2000)
    assert after.K.value - before.K.value > rise + 2 * math.hypot(after.K.error, before.K.error)
    assert after.K.value < after.best.value + 5 * after.K.error
    # The training loss is -K itself: its last batches agree with the measurement.
    assert sum(losses[-20:]) / 20 == pytest.approx(-after.K.value, abs=1.0)


@pytest.mark.parametrize("name", ["heartbeat", "swiss_roll"])
def test_a_seed_fixes_every_draw(name: str) -> None:
    chain = small(name)
    (first, network), (again, same), (other, _) = (trained(chain, 5, seed) for seed in (0, 0, 1))
    assert first == again and first != other
    assert result_of(chain, network, 50) == result_of(chain, same, 50)


def test_the_best_step_of_the_roll_is_moment_matched() -> None:
    """Its KL, averaged over x_0 and x_t, is the one that `term` states, and moving mean or variance makes it worse."""
    chain = Roll(num_steps=8, noise=0.2)
    t, n = 3, 20_000
    now, before = chain.alpha_bar[t], chain.alpha_bar[t - 1]
    x_0 = chain.data.sample(n, generator())
    x_t = q_cumulative_sample(x_0, now, generator=generator(1))
    mean, variance = chain.best(x_t, now, before)
    best = step_kl_gaussian(x_0, x_t, mean, variance, now, before)
    stated = chain.term(chain.network(generator()), t, 2000, generator(2)).best
    assert abs(float(best.mean() - stated.mean())) < 5 * math.hypot(float(best.std()) / math.sqrt(n), float(stated.std()) / math.sqrt(2000))
    for other in ((mean + 0.1, variance), (mean, 1.3 * variance), (mean, 0.8 * variance)):
        worse = step_kl_gaussian(x_0, x_t, *other, now, before) - best
        assert float(worse.mean()) > 5 * float(worse.std()) / math.sqrt(n)


def test_networks_start_as_the_forward_step_turned_round() -> None:
    chain = Roll(num_steps=8, noise=0.2, units=16)
    x_t = torch.randn(7, 3, 2, generator=generator())
    mean, variance = chain.network(generator())(x_t)
    beta = (1 - chain.alpha_bar[1:] / chain.alpha_bar[:-1]).float()[:, None, None]
    torch.testing.assert_close(mean, (1 - beta).sqrt() * x_t)
    torch.testing.assert_close(variance, beta.expand_as(variance))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command with chains that take a second."""
    monkeypatch.setattr(thermo2015, "Heartbeat", lambda: small("heartbeat"))
    monkeypatch.setattr(thermo2015, "Roll", lambda noise=0.2: Roll(num_steps=8, noise=noise, batch=32, units=48))


def test_the_command_prints_both_tables_and_writes_every_term(quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.json"
    assert thermo2015.command_line(["--steps", "3", "--samples", "50", "--output", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "-2.414" in printed and "2.350" in printed and "orientation only" in printed
    results = json.loads(path.read_text())["results"]
    assert [item["experiment"] for item in results] == ["heartbeat", "swiss_roll"]
    for item, steps in zip(results, (25, 8), strict=True):
        assert len(item["terms"]) == steps - 1
        exact = small(item["experiment"]).entropies()
        outside = item["K"][0] + sum(value for value, _ in item["terms"])
        assert item["gain"][0] == pytest.approx(item["K"][0] - item["L_null"], abs=1e-3)
        # K is 6 digits of its own and the terms 4 each.
        rounding = 5e-6 * abs(item["K"][0]) + sum(5e-4 * abs(value) for value, _ in item["terms"])
        assert outside == pytest.approx(float(exact.last - exact.first - exact.prior) / LN2, abs=rounding)
        assert item["settings"]["chain_steps"] == steps and item["settings"]["steps"] == 3 and item["settings"]["seed"] == 0
    assert results[1]["settings"]["noise"] == 0.2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["heartbeat", "--noise", "0.1"], "option of swiss_roll"),
        (["swiss_roll", "--noise", "-1"], "noise = -1.0"),
        (["--steps", "1"], "--steps 1: use 2"),
        (["--samples", "0"], "--samples 0"),
        (["--seed", "-3"], "--seed -3"),
        (["--output", "no/such/folder/x.json"], "there is no folder"),
    ],
)
def test_bad_options_name_the_value(arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(thermo2015, "run", lambda *_, **__: pytest.fail("trained before it looked"))
    assert thermo2015.command_line(arguments) == 2
    assert words in capsys.readouterr().err


def test_an_output_that_is_a_folder_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(thermo2015, "run", lambda *_, **__: pytest.fail("trained before it looked"))
    assert thermo2015.command_line(["--output", str(tmp_path)]) == 2
    assert f"--output {tmp_path} is a folder" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_sentence(
    quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    path = tmp_path / "out.json"
    assert thermo2015.command_line(["heartbeat", "--steps", "2", "--samples", "5", "--output", str(path)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"--output {path}: not written (No space left on device)" in error


def test_an_unknown_experiment_lists_the_known(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(thermo2015, "main", lambda _: None)
    with pytest.raises(SystemExit) as stop:
        thermo2015.command_line(["cifar"])
    assert stop.value.code == 2 and "swiss_roll" in capsys.readouterr().err


def test_ctrl_c_stops_without_a_file(quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> Term:
        raise KeyboardInterrupt

    monkeypatch.setattr(Heartbeat, "term", interrupted)
    path = tmp_path / "out.json"
    assert thermo2015.command_line(["heartbeat", "--steps", "2", "--samples", "5", "--output", str(path)]) == 130
    assert "stopped" in capsys.readouterr().err and not path.exists()


def test_runs_as_a_file_from_anywhere(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(ROOT / "training" / "thermo2015.py"), "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "heartbeat" in done.stdout


@pytest.mark.parametrize("place", [0, 1])
def test_the_stored_result_keeps_its_promises(place: int) -> None:
    """docs/thermo2015.json: exact numbers as computed now, K below truth and best, near both, and its terms adding up to it."""
    item = STORED["results"][place]
    chain = (Heartbeat(), Roll())[place]
    exact = chain.entropies()
    assert item["experiment"] == chain.name and len(item["terms"]) == chain.num_steps - 1
    assert item["truth"] == pytest.approx(-float(exact.data) / LN2, abs=1e-4) and item["L_null"] == pytest.approx(float(exact.null) / LN2, abs=1e-4)
    (bound, error), (best, best_error), (forward, forward_error) = item["K"], item["best"], item["forward"]
    outside = float(exact.last - exact.first - exact.prior) / LN2
    assert bound == pytest.approx(outside - sum(value for value, _ in item["terms"]), abs=2e-3)
    assert error == pytest.approx(math.sqrt(sum(term_error**2 for _, term_error in item["terms"])), rel=0.02)
    assert bound < item["truth"] + 3 * error and bound < best + 3 * math.hypot(error, best_error)
    assert abs(bound - forward) < 4 * math.hypot(error, forward_error)
    if chain.name == "heartbeat":
        assert item["paper"]["K"] < bound - 3 * error and bound + 3 * error < item["truth"]
    else:
        assert item["truth"] - bound + 3 * error < 0.3


@pytest.mark.proof
@pytest.mark.parametrize(("name", "steps", "within"), [("heartbeat", 1500, 0.6), ("swiss_roll", 600, 1.0)])
def test_a_short_training_comes_close(name: str, steps: int, within: float) -> None:
    chain = thermo2015.make_chain(name)
    preset = thermo2015.PRESETS[name]
    result = thermo2015.run(chain, steps=steps, learning_rate=preset.learning_rate, samples=200, seed=0)
    assert result.truth - within < result.K.value < result.truth + 3 * result.K.error
