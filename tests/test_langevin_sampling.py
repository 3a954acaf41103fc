"""Sampling with a score: the bias of unadjusted steps, the exactness of adjusted ones, detailed balance, annealing, and a denoiser as the score."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, Normal

from ddpm_space.exact import GaussianMixture, exact_denoiser
from ddpm_space.notes.langevin_chains import SampleFrame, annealed_langevin, mala, ula
from ddpm_space.notes.langevin_sampling import (
    annealed_step_size,
    geometric_sigmas,
    log_density_ratio,
    mala_log_ratio,
    mala_step,
    score_from_eps,
    ula_step,
)
from ddpm_space.schedule import NoiseSchedule

CHAINS = 20_000
LAW = MixtureSameFamily(Categorical(torch.tensor([0.3, 0.7]).double()), Normal(torch.tensor([-0.9, 1.0]).double(), torch.tensor([0.8, 0.6]).double()))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def last(frames) -> SampleFrame:
    *_, frame = frames
    return frame


def score(x: Tensor) -> Tensor:
    return torch.func.grad(lambda at: LAW.log_prob(at).sum())(x)


def log_density(x: Tensor) -> Tensor:
    return LAW.log_prob(x).sum(1)


def exact_draws(n: int, random: torch.Generator) -> Tensor:
    """Independent draws of LAW, (n, 1)."""
    which = torch.multinomial(LAW.mixture_distribution.probs, n, replacement=True, generator=random)
    noise = torch.randn(n, generator=random, dtype=torch.float64)
    return (LAW.component_distribution.loc[which] + LAW.component_distribution.scale[which] * noise)[:, None]


def chance(x: Tensor, cdf, bins: int = 20) -> float:
    """The p-value of x (n,) against a law, by chi-square over bins of equal probability."""
    counts = torch.bincount((cdf(x) * bins).long().clamp(0, bins - 1), minlength=bins).double()
    return float(chi2.sf(float(((counts - len(x) / bins) ** 2).sum() / (len(x) / bins)), bins - 1))


def test_unadjusted_steps_follow_their_own_law() -> None:
    """A Gaussian target: variance sigma^2 / (1 - eta / (4 sigma^2)) instead of sigma^2, both seen by chi-square."""
    sigma2, eta = 0.5, 0.4
    frame = last(ula(lambda x: -x / sigma2, torch.ones(CHAINS, 1, dtype=torch.float64), eta=eta, steps=60, every=60, generator=generator()))
    x = frame.x[:, 0]
    assert frame.step == 60 and frame.probability is None
    assert chance(x, Normal(0.0, math.sqrt(sigma2 / (1 - eta / (4 * sigma2)))).cdf) > 1e-4
    assert chance(x, Normal(0.0, math.sqrt(sigma2)).cdf) < 1e-12


@pytest.mark.parametrize("known", ["log-density", "score alone"])
def test_adjusted_steps_reach_the_target_itself(known: str) -> None:
    start = torch.full((CHAINS, 1), -2.0, dtype=torch.float64)
    density = log_density if known == "log-density" else None
    frame = last(mala(score, start, eta=1.0, steps=40, log_density=density, every=40, generator=generator(1)))
    assert chance(frame.x[:, 0], LAW.cdf) > 1e-4
    assert 0.3 < float(frame.probability.mean()) < 0.95
    biased = last(ula(score, start, eta=1.0, steps=40, every=40, generator=generator(1)))
    assert chance(biased.x[:, 0], LAW.cdf) < 1e-12


def test_adjusted_steps_are_reversible() -> None:
    """Detailed balance on pairs: from the target, (x, x') and (x', x) have the same law, so E f(x) g(x') = E g(x) f(x')."""
    x = exact_draws(200_000, generator(5))
    after, probability = mala_step(x, score, 1.2, log_density=log_density, generator=generator(6))
    assert 0.2 < float(probability.mean()) < 0.9
    for f, g in ((torch.sin, torch.square), (lambda v: v, lambda v: v**3), (torch.exp, torch.tanh)):
        flow = (f(x) * g(after) - g(x) * f(after))[:, 0]
        assert abs(float(flow.mean())) < 5 * float(flow.std()) / math.sqrt(len(flow))
        # Without the decision the flow runs one way.
        y = ula_step(x, score(x), 1.2, generator=generator(7))
        one_way = (f(x) * g(y) - g(x) * f(y))[:, 0]
        assert abs(float(one_way.mean())) > 8 * float(one_way.std()) / math.sqrt(len(one_way))


def test_detailed_balance_on_a_grid() -> None:
    """The transition density itself, p(x) q(y | x) min(1, r), is symmetric at every pair of a grid, to rounding."""
    eta = 0.7
    grid = torch.linspace(-3, 3, 61, dtype=torch.float64)
    x, y = (values.reshape(-1, 1) for values in torch.meshgrid(grid, grid, indexing="ij"))
    log_ratio = log_density(y) - log_density(x)
    log_r = mala_log_ratio(x, y, score(x), score(y), log_ratio, eta)
    proposal = Normal(x + eta / 2 * score(x), math.sqrt(eta)).log_prob(y)[:, 0]
    flow = (log_density(x) + proposal + log_r.clamp(max=0)).exp().reshape(61, 61)
    assert float((flow - flow.T).abs().max()) < 1e-14 and float(flow.max()) > 0.05
    greedy = (log_density(x) + proposal + log_ratio.clamp(max=0)).exp().reshape(61, 61)
    assert float((greedy - greedy.T).abs().max()) > 0.01


def test_the_ratio_from_a_score_is_antisymmetric_and_exact_for_gaussians() -> None:
    x, y = torch.randn(2, 50, 2, 3, generator=generator(), dtype=torch.float64)
    there, back = log_density_ratio(score, x, y, nodes=3), log_density_ratio(score, y, x, nodes=3)
    assert there.shape == (50,) and float((there + back).abs().max()) < 1e-12
    gaussian = log_density_ratio(lambda at: -at / 2, x, y, nodes=1)
    assert float((gaussian - ((x**2).sum((1, 2)) - (y**2).sum((1, 2))) / 4).abs().max()) < 1e-12


def test_noise_is_given_or_drawn() -> None:
    x = torch.zeros(4, 2)
    eps = torch.randn(4, 2, generator=generator(3))
    assert torch.equal(ula_step(x, x, 0.3, generator=generator(3)), ula_step(x, x, 0.3, eps=eps))
    still, probability = mala_step(x, lambda at: -at, 0.3, log_density=lambda at: -(at**2).sum(1) / 2, eps=eps, uniform=torch.ones(4))
    assert torch.equal(still, x) and probability.dtype == torch.float32 and bool((probability <= 1).all())
    moved, _ = mala_step(x, lambda at: -at, 0.3, log_density=lambda at: -(at**2).sum(1) / 2, eps=eps, uniform=torch.zeros(4))
    assert torch.equal(moved, ula_step(x, -x, 0.3, eps=eps))
    # The noise given, the decision drawn.
    either, _ = mala_step(x, lambda at: -at, 2.0, eps=eps, generator=generator(4))
    assert bool(((either == x).all(1) | (either == ula_step(x, -x, 2.0, eps=eps)).all(1)).all())


def test_a_proposal_without_a_density_is_never_taken() -> None:
    x = torch.zeros(1000, 1, dtype=torch.float64)
    walls = last(
        mala(
            lambda at: torch.zeros_like(at),
            x,
            eta=1.0,
            steps=20,
            log_density=lambda at: torch.where(at[:, 0].abs() < 1, 0.0, -torch.inf),
            generator=generator(),
        )
    )
    assert float(walls.x.abs().max()) < 1
    _, probability = mala_step(x, lambda at: at, 1.0, log_density=lambda at: at[:, 0] * math.nan, generator=generator())
    assert float(probability.max()) == 0.0


def far_modes(x: Tensor, sigma: float) -> Tensor:
    """Score of 0.8 N(-5, 0.1^2) + 0.2 N(5, 0.1^2) with noise sigma added."""
    variance = 0.1**2 + sigma**2
    weight = torch.sigmoid(math.log(0.2 / 0.8) + 10 * x / variance)
    return (-(x + 5) * (1 - weight) - (x - 5) * weight) / variance


def test_annealing_finds_the_weights_of_far_modes() -> None:
    """From a start that knows nothing: annealed, four fifths arrive left; at the last noise alone, half of them do."""
    start = 16 * torch.rand(4000, 1, generator=generator(), dtype=torch.float64) - 8
    sigmas = geometric_sigmas(10.0, 0.1, 20)
    frames = list(annealed_langevin(far_modes, start, sigmas, epsilon=2e-3, steps_per_level=60, every=60, generator=generator(1)))
    assert [frame.level for frame in frames] == [0, *range(20)]
    assert [frame.sigma for frame in frames[1:]] == pytest.approx(sigmas.tolist())
    assert frames[-1].eta == pytest.approx(2e-3) and frames[1].eta == pytest.approx(20.0)
    left = float((frames[-1].x < 0).double().mean())
    assert abs(left - 0.8) < 0.04
    spread = (frames[-1].x.abs() - 5).std()
    # What is left is the last noise on top of the data's own spread, and the bias of the step.
    variance = 0.1**2 + 0.1**2
    assert float(spread**2) == pytest.approx(variance / (1 - 2e-3 / (4 * variance)), rel=0.12)
    only_last = last(ula(lambda x: far_modes(x, 0.1), start, eta=2e-3, steps=1200, every=1200, generator=generator(1)))
    assert abs(float((only_last.x < 0).double().mean()) - 0.5) < 0.05


def test_step_sizes_and_levels() -> None:
    sigmas = geometric_sigmas(50.0, 0.01, 10)
    assert float(sigmas[0]) == 50.0 and float(sigmas[-1]) == pytest.approx(0.01, rel=1e-12)
    assert torch.allclose(sigmas[1:] / sigmas[:-1], (sigmas[1] / sigmas[0]).expand(9), rtol=1e-12)
    eta = annealed_step_size(sigmas, sigmas[-1], 2e-5)
    assert float(eta[-1]) == pytest.approx(2e-5) and torch.allclose(eta / sigmas**2, (eta / sigmas**2)[:1].expand(10))


@pytest.mark.parametrize("adjusted", [False, True])
def test_a_denoiser_drives_langevin_to_the_noised_law(adjusted: bool) -> None:
    """An exact denoiser's eps at one t, read as a score: chains settle in q(x_t), sampled independently."""
    schedule = NoiseSchedule.linear(1000)
    mixture = GaussianMixture(torch.tensor([0.4, 0.6]), torch.tensor([[-1.0, 0.5], [1.0, -0.5]]), torch.tensor([0.05, 0.1]))
    denoiser, t = exact_denoiser(mixture, schedule), 250
    alpha_bar = schedule.at(t).alpha_bar_t

    def noised_score(x: Tensor) -> Tensor:
        return score_from_eps(denoiser.predict(x, torch.tensor(t)).eps_theta, alpha_bar)

    start = torch.zeros(2000, 2, dtype=torch.float64)
    chain = mala if adjusted else ula
    eta = 0.3 if adjusted else 0.05
    x = last(chain(noised_score, start, eta=eta, steps=150, every=150, generator=generator(2))).x
    mean, second = alpha_bar.sqrt() * torch.tensor([0.2, -0.1]).double(), alpha_bar * (1 + 0.08) + 1 - alpha_bar
    bias = 0.0 if adjusted else 0.03
    assert float((x.mean(0) - mean).abs().max()) < 5 * float(x.std()) / math.sqrt(2000)
    measured = x[:, 0] ** 2
    assert abs(float(measured.mean() - second)) < 5 * float(measured.std()) / math.sqrt(2000) + bias


def test_levels_from_a_list_are_float64() -> None:
    x = torch.zeros(2, 1, dtype=torch.float64)
    for sigmas in ([0.7, 0.1], (0.7, 0.1), torch.tensor([0.7, 0.1], dtype=torch.float64)):
        frames = list(annealed_langevin(far_modes, x, sigmas, epsilon=0.01, steps_per_level=1))
        assert [frame.sigma for frame in frames] == [0.7, 0.7, 0.1] and frames[-1].eta == 0.01


def test_images_of_any_shape() -> None:
    x = torch.randn(2, 1, 4, 4, generator=generator())
    for frames in (
        ula(lambda at: -at, x, eta=0.1, steps=2),
        mala(lambda at: -at, x, eta=0.1, steps=2),
        annealed_langevin(lambda at, sigma: -at / sigma**2, x, [1.0, 0.5], epsilon=0.01, steps_per_level=1),
    ):
        assert [(frame.x.shape, frame.x.dtype) for frame in frames] == [(x.shape, torch.float32)] * 3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: ula(score, x, eta=0.0, steps=1), "eta = 0: use a finite number > 0"),
        (lambda x: mala(score, x, eta=0.1, steps=-2), "steps = -2"),
        (lambda x: ula(score, x, eta=0.1, steps=1, every=0), "every = 0"),
        (lambda x: list(ula(lambda at: -(at**3), 100 * x, eta=1.0, steps=20)), "no longer finite: eta = 1 is too large"),
        (lambda x: annealed_langevin(far_modes, x, [0.1, 1.0], epsilon=0.1, steps_per_level=1), r"from large to small, not \[0.1"),
        (lambda x: annealed_langevin(far_modes, x, [], epsilon=0.1, steps_per_level=1), "at least one number"),
        (lambda x: annealed_langevin(far_modes, x, [1.0, -0.1], epsilon=0.1, steps_per_level=1), "sigmas = -0.1"),
        (lambda x: geometric_sigmas(0.1, 1.0, 5), "5 levels from 0.1 to 1: use at least 2, and sigma_1 > sigma_L"),
        (lambda x: geometric_sigmas(1.0, 0.1, 1), "1 levels"),
        (lambda x: ula_step(x, -x, -0.1), "eta = -0.1: use numbers >= 0"),
        (lambda x: ula_step(x, -x, torch.tensor([0.1, 0.1, -0.2, 0.1])), "eta = -0.2: use numbers >= 0"),
        (lambda x: score_from_eps(x, 1.0), r"alpha_bar_t = 1: use numbers in \[0, 1\): .* no score that"),
        (lambda x: score_from_eps(x, torch.tensor([0.5, 0.2, 1.0, 0.1])), "alpha_bar_t = 1: use"),
        (lambda x: score_from_eps(x, -0.5), "alpha_bar_t = -0.5: use"),
    ],
)
def test_refusals_name_the_value(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(torch.ones(4, 1, dtype=torch.float64))
