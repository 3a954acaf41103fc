"""The analytic variance: optimal by construction in exact worlds, estimated for a network, stored, used by sampler and bound."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline
from torch import Tensor

from ddpm_space import analytic
from ddpm_space.bound import full_bound
from ddpm_space.denoiser import Denoiser
from ddpm_space.exact import GaussianData, GaussianMixture, exact_denoiser, mean_posterior_variance
from ddpm_space.exact.chain import ExactChain, data_nodes
from ddpm_space.images import quantize
from ddpm_space.likelihood import variational_bound
from ddpm_space.models import BUNDLED_FOLDER, ModelError, load
from ddpm_space.notes.reverse import beta_tilde, optimal_variance
from ddpm_space.sampling import SamplingSettings, SettingsError, open_step, sample
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.scheduler import NotesDDPMScheduler
from ddpm_space.spacing import spaced_timesteps

LINE = GaussianMixture(torch.tensor([1.0, 2.0]), torch.tensor([[-0.7], [0.5]]), torch.tensor([0.01, 0.03]))
SCHEDULE = NoiseSchedule.cosine(40)


def exact_table(schedule: NoiseSchedule = SCHEDULE) -> Tensor:
    return mean_posterior_variance(LINE, schedule.alpha_bar).value


@pytest.fixture(scope="module")
def found() -> analytic.PosteriorVariance:
    pool = LINE.sample(100_000, generator=torch.Generator().manual_seed(1))
    # Nearly all of it lies within [-1, 1], where clipping changes nothing.
    return analytic.estimate(exact_denoiser(LINE, SCHEDULE), lambda rows: pool[rows], len(pool), draws=20_000)


def test_the_estimate_is_the_worlds_own(found: analytic.PosteriorVariance) -> None:
    """The perfect network's mean squared error is E Var[x_0 | x_t], which quadrature knows; and so is what the size of its eps says."""
    exact = exact_table()
    assert float(((found.values - exact).abs() / found.standard_error).max()) < 4.5
    # Its error bars are those of an average of eps^2, blown up by (1 - abar) / abar.
    spread = (1 - SCHEDULE.alpha_bar) / SCHEDULE.alpha_bar * math.sqrt(2 / 20_000)
    assert float(((found.from_eps - exact).abs() / spread).max()) < 4.5 and found.images == 20_000


def test_an_estimate_says_nothing_from_one_draw() -> None:
    with pytest.raises(ValueError, match="draws = 1: use at least 2"):
        analytic.estimate(exact_denoiser(LINE, SCHEDULE), lambda rows: torch.zeros(len(rows), 1), 1, draws=1)


@pytest.mark.parametrize("steps", [2, 5, 10])
def test_no_other_variance_has_a_better_bound_in_an_exact_world(steps: int, found: analytic.PosteriorVariance) -> None:
    """ELBOs by quadrature, with the variances of the estimated table: both fixed ones lose, and so does a tenth more or less at a step."""
    chain = SCHEDULE.respaced(spaced_timesteps(40, steps, "trailing"))
    best = analytic.analytic_variance(found.values, chain)
    nodes, probability = data_nodes(LINE)

    def elbo(sigma2: Tensor | str) -> float:
        return float(probability @ ExactChain(LINE, chain, sigma2).elbo(nodes))

    highest = elbo(best)
    assert highest > elbo("fixed_large") and highest > elbo("fixed_small")
    for row, factor in itertools.product({0, steps // 2, steps - 1}, (0.9, 1.1)):
        other = best.clone()
        other[row] *= factor
        assert elbo(other) < highest


def test_the_samples_have_the_variance_that_the_chain_gives_them() -> None:
    """A Gaussian world, three steps: samples through the scheduler against the variance propagated through the linear steps by hand."""
    data = GaussianData(torch.zeros(1), torch.tensor([[0.04]]))
    table = mean_posterior_variance(data, SCHEDULE.alpha_bar).value
    denoiser = replace(exact_denoiser(data, SCHEDULE), posterior_variance=table)
    x = []
    for seed in range(20):
        settings = SamplingSettings(256, 3, "trailing", "analytic", clip_sample=False, seed=seed, num_train_timesteps=40)
        *_, last = sample(denoiser, (1,), settings)  # type: ignore[arg-type]
        x.append(last.x_prev)
    chain = SCHEDULE.respaced(spaced_timesteps(40, 3, "trailing"))
    # The standard error of a variance from n Gaussian numbers is sqrt(2 / n) of it.
    expected = reached(0.04, chain, analytic.sampling_variance(table, chain))
    assert float(torch.cat(x).var()) == pytest.approx(expected, rel=4 * math.sqrt(2 / 5120))
    # Nothing bounded or left out: the data's own variance.
    assert reached(0.04, chain, analytic.analytic_variance(table, chain)) == pytest.approx(0.04, rel=0.01)


def reached(prior: float, chain: NoiseSchedule, sigma2: Tensor) -> float:
    """The variance that a chain of exact means ends with: every step is linear."""
    variance = 1.0
    for row in reversed(range(len(chain))):
        a_t, a_s = float(chain.alpha_bar[row]), float(chain.alpha_bar_prev[row])
        gain = math.sqrt(a_t) * prior / (a_t * prior + 1 - a_t)
        beta = 1 - a_t / a_s
        slope = math.sqrt(a_s) * beta / (1 - a_t) * gain + math.sqrt(a_t / a_s) * (1 - a_s) / (1 - a_t)
        variance = slope**2 * variance + float(sigma2[row])
    return variance


def test_the_last_noise_is_bounded_and_only_that() -> None:
    chain = SCHEDULE.respaced(spaced_timesteps(40, 5, "trailing"))
    full, used = analytic.analytic_variance(exact_table(), chain), analytic.sampling_variance(exact_table(), chain)
    assert used[0] == 0 and torch.equal(used[2:], full[2:])
    # Two of 256 grey levels on average, by the mean of |N(0, 1)|.
    assert float(used[1].sqrt() * math.sqrt(2 / math.pi) * 127.5) == pytest.approx(2.0) and full[1] > used[1]
    one = SCHEDULE.respaced([39])
    assert analytic.sampling_variance(exact_table(), one).tolist() == [0.0]


@pytest.mark.parametrize("decoder_nats", [None, torch.linspace(0.5, 1.2, 12, dtype=torch.float64)])
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_the_optimal_timesteps_are_those_that_trying_all_finds(steps: int, decoder_nats: Tensor | None) -> None:
    schedule = NoiseSchedule.cosine(12)
    table = mean_posterior_variance(LINE, schedule.alpha_bar).value

    def cost(visited: tuple[int, ...]) -> float:
        total = max(0.0, 0.5 * math.log(2 * math.pi * math.e * float(table[visited[0]])) - math.log(2 / 255))
        if decoder_nats is not None:
            total = float(decoder_nats[visited[0]])
        for s, t in itertools.pairwise(visited):
            alpha_bars = schedule.alpha_bar_at(t), schedule.alpha_bar_at(s)
            total += 0.5 * math.log(float(optimal_variance(table[t], *alpha_bars) / beta_tilde(*alpha_bars)))
        return total

    tried = min((cost((*chosen, 11)), (*chosen, 11)) for chosen in itertools.combinations(range(11), steps - 1))
    assert tuple(reversed(analytic.optimal_timesteps(schedule, table, steps, decoder_nats))) == tried[1]
    if decoder_nats is not None and steps > 1:
        assert analytic.optimal_timesteps(schedule, table, steps) != analytic.optimal_timesteps(schedule, table, steps, decoder_nats)


def test_the_optimal_timesteps_of_the_whole_chain_are_all() -> None:
    assert analytic.optimal_timesteps(SCHEDULE, exact_table(), 40) == list(range(39, -1, -1))
    with pytest.raises(ValueError, match="num_inference_steps = 41"):
        analytic.optimal_timesteps(SCHEDULE, exact_table(), 41)


@pytest.fixture
def with_table(tmp_path: Path) -> Path:
    """The bundled model with a table of its own making: only that it arrives is looked at here."""
    folder = tmp_path / "model"
    shutil.copytree(BUNDLED_FOLDER / "mnist", folder)
    values = torch.linspace(1e-4, 0.9, 1000, dtype=torch.float64)
    analytic.write(analytic.PosteriorVariance(values, values / 10, values, 4 * values, 3 * values.sqrt(), 16), folder / "scheduler")
    return folder


def test_a_model_brings_its_table_to_sampler_and_bound(with_table: Path) -> None:
    model = load(with_table)
    assert model.denoiser.posterior_variance is not None and float(model.denoiser.posterior_variance[999]) == pytest.approx(0.9)
    settings = SamplingSettings(2, 4, "optimal", "analytic")
    frames = list(sample(model.denoiser, model.shape, settings))
    denoiser = model.denoiser
    assert [frame.t for frame in frames] == analytic.optimal_timesteps(denoiser.schedule, denoiser.posterior_variance, 4, denoiser.decoder_nats)
    assert [frame.t for frame in frames] != analytic.optimal_timesteps(denoiser.schedule, denoiser.posterior_variance, 4)
    chain = model.denoiser.schedule.respaced([frame.t for frame in frames])
    sigma2 = analytic.sampling_variance(model.denoiser.posterior_variance, chain).flip(0)
    for frame, expected in zip(frames, sigma2):
        step = open_step(frame, model.denoiser.schedule)
        assert step.sigma2 == pytest.approx(float(expected))
        rebuilt = step.mu + (0 if step.noise is None else math.sqrt(step.sigma2) * step.noise)
        assert float((rebuilt - step.x_prev).abs().max()) < 2e-5
    x_0 = quantize(torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    named = full_bound(model.denoiser, x_0, schedule=chain, variance="analytic")
    table = analytic.analytic_variance(denoiser.posterior_variance, chain, denoiser.decoder_variance)
    given = full_bound(model.denoiser, x_0, schedule=chain, variance=table)
    assert torch.equal(named.per_image(), given.per_image()) and "variance analytic, at the last step the decoder's best;" in named.conventions
    assert float(table[0]) == pytest.approx(4 * float(denoiser.posterior_variance[chain.timesteps[0]]), rel=1e-5)
    bare = full_bound(replace(denoiser, decoder_variance=None), x_0, schedule=chain, variance="analytic")
    assert "variance analytic;" in bare.conventions and not torch.equal(bare.per_image("L_0"), named.per_image("L_0"))
    assert torch.equal(bare.per_image("L_t-1"), named.per_image("L_t-1"))


def test_plain_diffusers_does_not_mind_the_table(with_table: Path) -> None:
    assert type(DDPMPipeline.from_pretrained(with_table).scheduler).__name__ == "DDPMScheduler"


def test_a_scheduler_saves_the_table_and_reads_it_back(tmp_path: Path) -> None:
    table = exact_table(NoiseSchedule.cosine(1000)).tolist()
    nats = torch.linspace(0.5, 2, 1000).tolist()
    rows = {"posterior_variance": table, "decoder_nats": nats, "decoder_variance": (2 * torch.tensor(table)).tolist()}
    scheduler = NotesDDPMScheduler(
        beta_schedule="cosine", prediction_type="v_prediction", variance_type="analytic", timestep_spacing="optimal", **rows
    )
    scheduler.save_stock(tmp_path / "stock")
    scheduler.save_pretrained(tmp_path / "own")
    assert scheduler.to_stock().config.variance_type == "fixed_small" and scheduler.to_stock().config.timestep_spacing == "trailing"
    for folder in ("stock", "own"):
        again = NotesDDPMScheduler.from_pretrained(tmp_path / folder)
        assert (again.config.variance_type, again.config.timestep_spacing) == ("analytic", "optimal")
        assert {name: again.config[name] for name in rows} == rows
        for one in (scheduler, again):
            one.set_timesteps(6)
        assert torch.equal(again.timesteps, scheduler.timesteps)
        ours, theirs = ([float(one._get_variance(t)) for t in one.timesteps] for one in (scheduler, again))
        assert theirs == pytest.approx(ours, rel=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NotesDDPMScheduler(variance_type="analytic"), "variance_type='analytic' needs posterior_variance"),
        (lambda: NotesDDPMScheduler(timestep_spacing="optimal"), "timestep_spacing='optimal' needs posterior_variance"),
        (lambda: NotesDDPMScheduler(posterior_variance=[0.1] * 10), "has 10 values: give 1000"),
        (lambda: NotesDDPMScheduler(posterior_variance=[0.1] * 999 + [-1.0]), r"posterior_variance\[999\] = -1.0"),
        (lambda: NotesDDPMScheduler(decoder_nats=[0.1] * 10), "decoder_nats has 10 values: give 1000"),
        (lambda: NotesDDPMScheduler(decoder_nats=[0.1] * 999 + [-1.0]), r"decoder_nats\[999\] = -1.0"),
        (lambda: NotesDDPMScheduler(decoder_variance=[0.1] * 10), "decoder_variance has 10 values: give 1000"),
        (lambda: NotesDDPMScheduler(posterior_variance=[math.nan] * 1000), r"posterior_variance\[0\] = nan"),
        (lambda: analytic.analytic_variance(torch.ones(10), SCHEDULE), r"shape \(10,\): give one number a training timestep"),
    ],
)
def test_refusals(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("settings", [SamplingSettings(1, 3, variance_type="analytic"), SamplingSettings(1, 3, spacing="optimal")])
def test_a_model_without_a_table_says_so(settings: SamplingSettings) -> None:
    model = Denoiser(lambda x_t, t: x_t, "epsilon", NoiseSchedule.cosine(1000))
    with pytest.raises(SettingsError, match=r"came without: see training/posterior_variance.py"):
        list(sample(model, (1, 4, 4), settings))
    with pytest.raises(ValueError, match="'analytic' needs the network's posterior variance"):
        list(variational_bound(model, torch.zeros(1, 1, 4, 4), variance="analytic"))


@pytest.mark.parametrize(
    "content",
    [
        *("{", "[]", '{"posterior_variance": 3}', '{"posterior_variance": [0.1, "x"]}', '{"posterior_variance": [0.1]}'),
        json.dumps({"posterior_variance": [0.1] * 1000, "decoder_nats": [0.1]}),
        json.dumps({"posterior_variance": [0.1] * 1000, "decoder_variance": [0.1] * 999 + ["x"]}),
        json.dumps({"posterior_variance": [0.1] * 1000, "decoder_variance": 3}),
    ],
)
def test_a_damaged_table_is_named(with_table: Path, content: str) -> None:
    (with_table / "scheduler" / analytic.FILE).write_text(content)
    with pytest.raises(ModelError, match=r"posterior_variance\.json"):
        load(with_table)


def test_the_file_holds_what_was_found(tmp_path: Path, found: analytic.PosteriorVariance) -> None:
    content = json.loads(analytic.write(found, tmp_path).read_text())
    assert content["images"] == 20_000 and content["posterior_variance"] == pytest.approx(found.values.tolist(), rel=1e-5)
    assert content["decoder_variance"] == pytest.approx(found.decoder_variance.tolist(), rel=1e-5)
    rows = [content[name] for name in ("posterior_variance", "decoder_variance", "decoder_nats")]
    assert analytic.read(tmp_path) == analytic.Table(*rows) and analytic.read(tmp_path / "elsewhere") is None
    (tmp_path / analytic.FILE).write_text(json.dumps({"posterior_variance": rows[0]}))
    assert analytic.read(tmp_path) == analytic.Table(rows[0]), "a file of before there were decoders"
