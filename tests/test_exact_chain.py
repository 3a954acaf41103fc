"""The chain on the line: log p, ELBO and gap against a Gaussian chain in closed form, other quadratures, forward trajectories, and each other."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from ddpm_space import exact_chain
from ddpm_space.denoiser import Denoiser
from ddpm_space.exact import GaussianData, GaussianMixture, PointSet, exact_denoiser, optimal_variances
from ddpm_space.exact_chain import ExactChain, data_nodes, example_data
from ddpm_space.likelihood import variational_bound
from ddpm_space.notes import importance
from ddpm_space.schedule import NoiseSchedule

X_0 = torch.tensor([-1.3, -0.6, 0.1, 0.9, 1.3], dtype=torch.float64)
DATA = example_data()
SCHEDULE = NoiseSchedule.cosine(6)
VARIANCES = ("fixed_small", "fixed_large", "optimal")


@pytest.fixture(scope="module", params=VARIANCES)
def chain(request: pytest.FixtureRequest) -> ExactChain:
    return ExactChain(DATA, SCHEDULE, request.param)


def joint_gaussians(mean: float, variance: float, schedule: NoiseSchedule, sigma2: Tensor) -> tuple[MultivariateNormal, Tensor, Tensor]:
    """For Gaussian data: p_theta(x_0..x_T) as one Gaussian, and the matrix and noise of x_0..x_T as affine functions of x_0 under q."""
    steps = len(schedule)
    # Under p: x_T is the first unit normal; each step x_s = slope x_t + offset + sigma eps with the posterior mean written out.
    weights, offsets = torch.zeros(steps + 1, steps + 1, dtype=torch.float64), torch.zeros(steps + 1, dtype=torch.float64)
    weights[steps, steps] = 1
    for t in range(steps, 0, -1):
        abar_t, abar_s, beta = float(schedule.alpha_bar[t - 1]), float(schedule.alpha_bar_prev[t - 1]), float(schedule.beta[t - 1])
        gain = abar_t**0.5 * variance / (abar_t * variance + 1 - abar_t)
        coef_x_0, coef_x_t = abar_s**0.5 * beta / (1 - abar_t), (1 - beta) ** 0.5 * (1 - abar_s) / (1 - abar_t)
        slope = coef_x_0 * gain + coef_x_t
        weights[t - 1] = slope * weights[t]
        weights[t - 1, t - 1] = float(sigma2[t - 1]) ** 0.5
        offsets[t - 1] = slope * offsets[t] + coef_x_0 * (mean - gain * abar_t**0.5 * mean)
    forward, noise = torch.ones(steps + 1, dtype=torch.float64), torch.zeros(steps + 1, steps + 1, dtype=torch.float64)
    for t in range(1, steps + 1):
        beta = float(schedule.beta[t - 1])
        forward[t], noise[t] = (1 - beta) ** 0.5 * forward[t - 1], (1 - beta) ** 0.5 * noise[t - 1]
        noise[t, t] = beta**0.5
    return MultivariateNormal(offsets, weights @ weights.T), forward, noise


@pytest.mark.parametrize("variance", [*VARIANCES, "given"])
def test_gaussian_data_in_closed_form(variance: str) -> None:
    """p_theta(x_0) is a Gaussian, and the gap one KL between two T-dimensional Gaussians, by linear algebra."""
    schedule, data = NoiseSchedule.linear(7, 0.05, 0.7), GaussianData(torch.tensor([0.4], dtype=torch.float64), 0.3)
    given = torch.rand(7, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.5 + 0.1
    chain = ExactChain(data, schedule, given if variance == "given" else variance)
    joint, forward, noise = joint_gaussians(0.4, 0.3, schedule, chain.sigma2)
    mean, covariance = joint.mean, joint.covariance_matrix
    log_p = torch.distributions.Normal(mean[0], covariance[0, 0].sqrt()).log_prob(X_0)
    assert (chain.log_p(X_0) - log_p).abs().max() < 1e-11
    gain = covariance[1:, 0] / covariance[0, 0]
    conditional = covariance[1:, 1:] - torch.outer(gain, covariance[0, 1:])
    q_covariance = (noise @ noise.T)[1:, 1:]
    for i, x_0 in enumerate(X_0):
        q = MultivariateNormal(forward[1:] * x_0, q_covariance)
        gap = kl_divergence(q, MultivariateNormal(mean[1:] + gain * (x_0 - mean[0]), conditional))
        assert float(chain.gap(X_0)[i]) == pytest.approx(float(gap), abs=1e-9)
        assert float(chain.elbo(X_0)[i]) == pytest.approx(float(log_p[i] - gap), abs=1e-9)


def test_gaussian_data_with_optimal_variance_is_reversed_exactly() -> None:
    """Every reverse step is then the true one: no gap, and the data's own density comes back."""
    schedule, data = NoiseSchedule.linear(20, 0.05, 0.95), GaussianData(torch.tensor([0.4], dtype=torch.float64), 0.3)
    assert schedule.terminal_alpha_bar < 1e-8
    chain = ExactChain(data, schedule, "optimal")
    assert (chain.log_p(X_0) - data.log_density(X_0[:, None], 1.0)).abs().max() < 1e-4
    assert chain.gap(X_0).abs().max() < 1e-6 and (chain.log_p(X_0) - chain.elbo(X_0)).abs().max() < 1e-6


def test_two_steps_by_another_quadrature() -> None:
    """T = 2 by nested Gauss-Hermite sums over x_2 and x_1 with the mean written out, for log p and for the ELBO."""
    schedule = NoiseSchedule.from_betas([0.3, 0.9])
    chain = ExactChain(DATA, schedule, "fixed_large")
    node, weight = np.polynomial.hermite_e.hermegauss(180)
    weight = weight / weight.sum()
    weights, means, variances = (part.flatten().numpy() for part in DATA.components())
    abar_1, abar_2 = 0.7, 0.7 * 0.1

    def x_0_hat(x, abar):
        spread = abar * variances + 1 - abar
        offset = x[..., None] - abar**0.5 * means
        exponent = -0.5 * offset**2 / spread
        share = weights * np.exp(exponent - exponent.max(-1, keepdims=True)) / spread**0.5
        return (share * (means + abar**0.5 * variances / spread * offset)).sum(-1) / share.sum(-1)

    def normal(x, mean, variance):
        return np.exp(-0.5 * (x - mean) ** 2 / variance) / (2 * np.pi * variance) ** 0.5

    def mu_2(x_2):
        return 0.7**0.5 * 0.9 / (1 - abar_2) * x_0_hat(x_2, abar_2) + 0.1**0.5 * 0.3 / (1 - abar_2) * x_2

    x_1 = mu_2(node)[:, None] + 0.9**0.5 * node
    for i, x_0 in enumerate(X_0.tolist()):
        p = (weight[:, None] * weight * normal(x_0, x_0_hat(x_1, abar_1), 0.3)).sum()
        assert float(chain.log_p(X_0)[i]) == pytest.approx(math.log(p), abs=1e-5)
        q_1 = abar_1**0.5 * x_0 + 0.3**0.5 * node
        q_2 = 0.1**0.5 * q_1[:, None] + 0.9**0.5 * node
        log_w = np.log(normal(x_0, x_0_hat(q_1, abar_1), 0.3) / normal(q_1, abar_1**0.5 * x_0, 0.3))[:, None]
        log_w = log_w + np.log(normal(q_1[:, None], mu_2(q_2), 0.9) * normal(q_2, 0, 1) / normal(q_2, 0.1**0.5 * q_1[:, None], 0.9))
        assert float(chain.elbo(X_0)[i]) == pytest.approx((weight[:, None] * weight * log_w).sum(), abs=1e-5)


def test_both_routes_to_the_gap_agree(chain: ExactChain) -> None:
    """The forward KLs, each at least 0, sum to log p - ELBO; over the data the gap is far above 0.1 nat."""
    terms, subtracted = chain.gap_terms(X_0), chain.log_p(X_0) - chain.elbo(X_0)
    assert terms.shape == (6, 5) and (terms > -1e-12).all()
    assert (terms.sum(0) - subtracted).abs().max() < 1e-9
    nodes, probability = data_nodes(DATA)
    assert float(probability @ chain.gap(nodes)) > 0.1
    assert float(probability @ (chain.log_p(nodes) - chain.elbo(nodes))) == pytest.approx(float(probability @ chain.gap(nodes)), abs=1e-9)
    assert float(probability @ chain.log_p(nodes)) < float(probability @ DATA.log_density(nodes[:, None], 1.0)), (
        "no model beats the data's own density"
    )


def test_p_theta_is_a_density(chain: ExactChain) -> None:
    x_0 = torch.linspace(-chain.reach, chain.reach, 4001, dtype=torch.float64)
    assert float(chain.log_p(x_0).exp().sum() * (x_0[1] - x_0[0])) == pytest.approx(1, abs=1e-4)
    assert ((chain.log_marginals.exp().sum(1) * chain.step) - 1).abs().max() < 1e-9


def test_the_grid_has_converged() -> None:
    """Three grids, from coarser to finer than the one in use."""
    answers = []
    for nodes_per_sd in (1.5, 2, 3.3):
        chain = ExactChain(DATA, SCHEDULE, "optimal", nodes_per_sd=nodes_per_sd)
        answers.append(torch.stack([chain.log_p(X_0), chain.elbo(X_0), chain.gap(X_0)]))
    assert (answers[0] - answers[2]).abs().max() < 1e-6 and (answers[1] - answers[2]).abs().max() < 1e-9
    wider = ExactChain(DATA, SCHEDULE, "optimal", reach=6.0)
    assert (wider.log_p(X_0) - answers[2][0]).abs().max() < 1e-9


def test_the_optimal_variance_maximizes_the_elbo() -> None:
    """Of every single step: at the optimum the slope is 0, and either way is downhill."""
    nodes, probability = data_nodes(DATA)
    best = optimal_variances(DATA, SCHEDULE)

    def mean_elbo(row: int, factor: float) -> float:
        return float(probability @ ExactChain(DATA, SCHEDULE, torch.where(torch.arange(6) == row, factor * best, best)).elbo(nodes))

    top = mean_elbo(0, 1.0)
    for row in range(6):
        up, down = mean_elbo(row, math.exp(0.05)), mean_elbo(row, math.exp(-0.05))
        assert up < top - 1e-4 and down < top - 1e-4
        # The curvature's third-order remainder is 0.05^2 / 6 = 4e-4 of the second derivative, which is 1 at the optimum of each step.
        assert abs(up - down) / 0.1 < 5e-4
    for other in ("fixed_small", "fixed_large"):
        assert float(probability @ ExactChain(DATA, SCHEDULE, other).elbo(nodes)) < top


def test_bounds_by_trajectories(chain: ExactChain) -> None:
    """ELBO = IWAE_1 <= IWAE_10 <= IWAE_100 <= IWAE_1000 <= log p, and the weights' mean is p itself."""
    log_weights = chain.log_weights(X_0, 20_000, generator=torch.Generator().manual_seed(0))
    estimates = [importance.iwae(log_weights.T, k) for k in (1, 10, 100, 1000)]
    assert ((estimates[0].value - chain.elbo(X_0)).abs() < 5 * estimates[0].standard_error).all()
    for (low, _), (high, _) in itertools.pairwise(estimates):
        assert (low <= high).all(), "from the same weights, sample by sample"
    value, error = estimates[-1]
    assert (value < chain.log_p(X_0) + 5 * error).all() and (value > chain.log_p(X_0) - 0.1).all()
    weights = (log_weights - chain.log_p(X_0)[:, None]).exp()
    assert ((weights.mean(1) - 1).abs() < 5 * weights.std(1) / 20_000**0.5).all()
    again = chain.iwae(X_0, 10, trajectories=20_000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.value, estimates[1].value)


def test_iwae_error_bar_is_the_spread_of_repeated_estimates() -> None:
    chain = ExactChain(DATA, SCHEDULE, "optimal")
    repeated = [chain.iwae(X_0[:1], 10, trajectories=500, generator=torch.Generator().manual_seed(seed)) for seed in range(80)]
    spread = torch.stack([value for value, _ in repeated]).std()
    assert 0.75 < float(spread / torch.stack([error for _, error in repeated]).mean()) < 1.3


def test_terms_are_those_of_the_streamed_bound() -> None:
    """L_T and every L_{t-1} of `likelihood`, averaged over many noises, to five standard errors."""
    x_0, chain = torch.tensor([[0.3], [-1.0]]).repeat_interleave(4000, dim=0), ExactChain(DATA, SCHEDULE, "fixed_large")
    exact = chain.elbo_terms(torch.tensor([0.3, -1.0]))
    streamed = list(variational_bound(exact_denoiser(DATA, SCHEDULE), x_0, variance="fixed_large", clip_x0=False))
    for term, row in zip(streamed[:-1], [6, 5, 4, 3, 2, 1], strict=True):
        nats = term.nats.reshape(2, -1)
        error = nats.std(1) / 4000**0.5 if row < 6 else torch.full((2,), 1e-7)
        assert ((nats.mean(1) - exact[row]).abs() < 5 * error + 1e-6).all(), row


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_a_denoiser_in_place_of_the_distribution(prediction_type: str) -> None:
    long = NoiseSchedule.cosine(20)
    short = long.respaced([19, 14, 10, 6, 4])
    left = ExactChain(exact_denoiser(DATA, long, prediction_type), short)
    right = ExactChain(DATA, short)
    for question in ("log_p", "elbo", "gap"):
        assert (getattr(left, question)(X_0) - getattr(right, question)(X_0)).abs().max() < 1e-8


def test_a_wrong_denoiser_is_known_as_exactly() -> None:
    """A model need not be good for its log p, ELBO and gap to be numbers; it is worse than the exact one."""
    wrong = Denoiser(lambda x_t, t: 0.8 * DATA.posterior_mean(x_t, SCHEDULE.alpha_bar[t]) + 0.1, "sample", SCHEDULE)
    chain, right = ExactChain(wrong, SCHEDULE, "fixed_large"), ExactChain(DATA, SCHEDULE, "fixed_large")
    assert (chain.log_p(X_0) - chain.elbo(X_0) - chain.gap(X_0)).abs().max() < 1e-9
    nodes, probability = data_nodes(DATA)
    assert float(probability @ chain.elbo(nodes)) < float(probability @ right.elbo(nodes)) - 0.05


def test_one_step_and_points() -> None:
    """T = 1, and data without a density of its own: four points, of which log p is still one."""
    points = PointSet(torch.tensor([[-1.0], [0.0], [0.5], [1.0]]))
    for schedule in (NoiseSchedule.from_betas([0.99]), SCHEDULE):
        chain = ExactChain(points, schedule, "optimal")
        x_0, probability = data_nodes(points)
        assert x_0.tolist() == [-1, 0, 0.5, 1] and probability.tolist() == [0.25] * 4
        assert (chain.log_p(x_0) - chain.elbo(x_0) - chain.gap(x_0)).abs().max() < 1e-9


def test_nodes_of_the_data_give_its_moments() -> None:
    nodes, probability = data_nodes(DATA)
    weights, means, variances = DATA.components()
    assert float(probability.sum()) == pytest.approx(1, abs=1e-12)
    assert float(probability @ nodes**2) == pytest.approx(float(weights @ (variances + means**2)[:, 0]), abs=1e-12)


@pytest.mark.parametrize("arguments", [["--draws", "200", "--steps", "5"], ["--x_0", "0.1", "--steps", "4"]])
def test_the_command_prints_the_table(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Three columns of numbers in the order that theory demands."""
    exact_chain.main(arguments)
    printed = capsys.readouterr().out
    assert "Gaussian density" in printed and "standard error" in printed and "alpha_bar_T" in printed
    rows = {line[:28].strip(): line[28:].split() for line in printed.splitlines() if line[28:29] == " "}
    assert rows["nats"] == list(VARIANCES)
    for column in range(3):
        log_p, elbo = float(rows["log p_theta(x_0), exact"][column]), float(rows["ELBO, exact"][column])
        sampled = {label: [float(cell) for cell in cells if cell != "±"][2 * column :][:2] for label, cells in rows.items() if "IWAE" in label}
        assert log_p + 5 * sampled["IWAE_1000"][1] > sampled["IWAE_1000"][0] > sampled["IWAE_100"][0] > sampled["IWAE_10"][0] > elbo
        assert abs(sampled["IWAE_1 = ELBO, sampled"][0] - elbo) < 5 * sampled["IWAE_1 = ELBO, sampled"][1] + 1e-4
        assert float(rows["gap: log p - ELBO"][column]) == pytest.approx(float(rows["gap: sum of forward KLs"][column]), abs=2e-9)
        assert float(rows["gap: log p - ELBO"][column]) == pytest.approx(log_p - elbo, abs=2e-6)
        assert float(rows["routes differ by at most"][column]) < 1e-6


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ExactChain(PointSet.swiss_roll(9), SCHEDULE), r"lives on the line, shape \(1,\)"),
        (lambda: ExactChain(DATA, SCHEDULE, "learned_range"), "unknown variance 'learned_range'"),
        (lambda: ExactChain(exact_denoiser(DATA, SCHEDULE), SCHEDULE, "optimal"), "unknown variance 'optimal'"),
        (lambda: ExactChain(DATA, SCHEDULE, torch.zeros(6)), "finite numbers > 0"),
        (lambda: ExactChain(DATA, NoiseSchedule.linear(200)), "use fewer steps or larger variances"),
        (lambda: ExactChain(GaussianMixture(torch.ones(1), torch.zeros(1, 1), torch.ones(1)), SCHEDULE).log_p(torch.tensor([50.0])), "beyond reach"),
        (lambda: ExactChain(DATA, SCHEDULE).log_p(torch.zeros(3, 1)), r"use \(M,\)"),
        (lambda: ExactChain(Denoiser(lambda x_t, t: 60 + x_t, "sample", SCHEDULE), SCHEDULE), "beyond the grid"),
        (lambda: ExactChain(DATA, SCHEDULE).iwae(X_0, 7, trajectories=100), "k = 7"),
    ],
)
def test_bad_input_is_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "error: "),
        (["--draws", "1"], "error: --draws 1: use at least 2"),
        (["--x_0", "100"], "error: --x_0 100: the data lie within"),
    ],
)
def test_numbers_the_command_cannot_use_are_one_sentence(arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        exact_chain.main(arguments)
