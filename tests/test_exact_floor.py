"""The Bayes floor of L_simple and the optimal variance: against sampled errors, other quadratures, and worlds made of independent halves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from ddpm_space.exact import (
    ExactDistribution,
    GaussianData,
    GaussianMixture,
    PointSet,
    bayes_floor,
    mean_posterior_variance,
    optimal_variance,
    optimal_variances,
    quadrature_nodes,
)
from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.notes.reverse import q_posterior
from ddpm_space.schedule import NoiseSchedule

LINE = GaussianMixture(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([[-1.0], [0.2], [1.4]]), torch.tensor([0.05, 0.02, 0.3]))
WORLDS: dict[str, ExactDistribution] = {
    "gaussian": GaussianData(torch.zeros(3), torch.tensor([[0.5, 0.2, 0.0], [0.2, 0.3, 0.1], [0.0, 0.1, 0.2]])),
    "line": LINE,
    "points on the line": PointSet(torch.tensor([[-0.5], [0.0], [0.1], [2.0]]), torch.tensor([1.0, 2.0, 3.0, 1.0])),
    "roll": PointSet.swiss_roll(200),
    "images": PointSet(torch.rand(20, 1, 3, 3, generator=torch.Generator().manual_seed(0))),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("alpha_bar", [0.05, 0.5, 0.98])
def test_floor_is_the_error_of_the_perfect_network(name: str, alpha_bar: float) -> None:
    """The squared error of eps* at sampled x_t, to five standard errors of both."""
    known = WORLDS[name]
    x_0 = known.sample(20_000, generator=generator(1))
    eps = torch.randn(x_0.shape, generator=generator(2), dtype=torch.float64)
    errors = ((eps - known.eps_star(q_cumulative_sample(x_0, alpha_bar, eps=eps), alpha_bar)) ** 2).flatten(1).mean(1)
    floor, error = bayes_floor(known, alpha_bar, generator=generator(3))
    assert abs(float(floor - errors.mean())) < 5 * float((errors.var() / 20_000 + error**2).sqrt())
    assert (float(error) == 0) == (name in ("gaussian", "line", "points on the line"))


@pytest.mark.parametrize("alpha_bar", [0.05, 0.5, 0.98])
def test_floor_on_the_line_by_another_quadrature(alpha_bar: float) -> None:
    """Var[x_0 | x_t] = E[x_0^2 | x_t] - E[x_0 | x_t]^2 from the components' own integrals, integrated by SciPy."""
    weights, means, variances = (part.flatten().numpy() for part in LINE.components())
    spread = alpha_bar * variances + 1 - alpha_bar

    def integrand(x: float) -> float:
        joint = weights * stats.norm(alpha_bar**0.5 * means, spread**0.5).pdf(x)
        centre = means + alpha_bar**0.5 * variances / spread * (x - alpha_bar**0.5 * means)
        second = joint @ (centre**2 + variances * (1 - alpha_bar) / spread)
        return second - (joint @ centre) ** 2 / joint.sum()

    expected, _ = integrate.quad(integrand, -6, 7, epsabs=1e-12, epsrel=1e-12, limit=500)
    assert float(mean_posterior_variance(LINE, alpha_bar).value) == pytest.approx(expected, rel=1e-9)
    assert float(bayes_floor(LINE, alpha_bar).value) == pytest.approx(alpha_bar / (1 - alpha_bar) * expected, rel=1e-9)


def test_independent_coordinates_have_the_mean_of_their_floors() -> None:
    """A mixture in the plane that is the product of two on the line: by samples there, by quadrature here."""
    first = GaussianMixture(torch.tensor([0.4, 0.6]), torch.tensor([[-1.0], [0.5]]), torch.tensor([0.1, 0.2]))
    second = GaussianMixture(torch.tensor([0.3, 0.7]), torch.tensor([[-0.2], [1.5]]), torch.tensor([0.05, 0.4]))
    pairs = [(i, j) for i in range(2) for j in range(2)]
    one, two = first.components(), second.components()
    plane = GaussianMixture(
        torch.stack([one.weights[i] * two.weights[j] for i, j in pairs]),
        torch.stack([torch.cat([one.means[i], two.means[j]]) for i, j in pairs]),
        torch.stack([torch.cat([one.variances[i], two.variances[j]]) for i, j in pairs]),
    )
    alpha_bar = torch.tensor([0.2, 0.6, 0.95])
    expected = (bayes_floor(first, alpha_bar).value + bayes_floor(second, alpha_bar).value) / 2
    value, error = bayes_floor(plane, alpha_bar, samples=8000, generator=generator(5))
    assert ((value - expected).abs() < 5 * error).all() and (error > 0).all() and (error < 0.02 * expected).all()
    many = torch.stack([bayes_floor(plane, 0.6, samples=200, generator=generator(seed)).value for seed in range(60)])
    claimed = bayes_floor(plane, 0.6, samples=20_000, generator=generator(6)).standard_error * 10
    assert 0.7 < float(many.std() / claimed) < 1.3, "the error bar is the spread of repeated estimates"


def test_a_gaussian_by_formula() -> None:
    """One dimension of variance s: floor = abar s / (abar s + 1 - abar)."""
    for alpha_bar in (0.1, 0.9, 0.9999):
        expected = np.mean([alpha_bar * s / (alpha_bar * s + 1 - alpha_bar) for s in (0.3, 1.5)])
        assert float(bayes_floor(GaussianData(torch.zeros(2), torch.tensor([0.3, 1.5]).double()), alpha_bar).value) == pytest.approx(
            expected, rel=1e-7
        )
    same = GaussianMixture(torch.ones(1), torch.zeros(1, 2), torch.tensor([[0.3, 1.5]]))
    assert float(bayes_floor(same, 0.9).value) == pytest.approx(float(bayes_floor(GaussianData(torch.zeros(2), torch.tensor([0.3, 1.5])), 0.9).value))


@pytest.mark.parametrize("name", WORLDS)
def test_optimal_variance_is_the_spread_about_the_perfect_mean(name: str) -> None:
    """E |x_s - mu_theta(x_t)|^2 per dimension over sampled (x_0, x_s, x_t): what a Gaussian of that mean has to cover."""
    known = WORLDS[name]
    for alpha_bar_t, alpha_bar_s in ((0.3, 0.6), (0.8, 1.0)):
        x_0 = known.sample(20_000, generator=generator(1))
        x_s = q_cumulative_sample(x_0, alpha_bar_s, generator=generator(2))
        x_t = q_cumulative_sample(x_s, alpha_bar_t / alpha_bar_s, generator=generator(3))
        mu_theta, _ = q_posterior(known.posterior_mean(x_t, alpha_bar_t), x_t, alpha_bar_t, alpha_bar_s)
        squares = ((x_s - mu_theta) ** 2).flatten(1).mean(1)
        best = optimal_variance(known, alpha_bar_t, alpha_bar_s, samples=20_000, generator=generator(4))
        assert abs(float(best - squares.mean())) < 5 * 1.5 * float(squares.std()) / 20_000**0.5


def test_optimal_variances_of_a_chain() -> None:
    schedule = NoiseSchedule.cosine(10)
    together = optimal_variances(LINE, schedule)
    singly = [float(optimal_variance(LINE, schedule.alpha_bar[t], schedule.alpha_bar_prev[t])) for t in range(10)]
    assert together.shape == (10,) and together.tolist() == pytest.approx(singly, rel=1e-14)
    assert (together > schedule.beta_tilde).all()


@pytest.mark.parametrize("alpha_bar", [0.0, 0.5, 0.999, 1.0])
def test_quadrature_nodes_integrate_the_density(alpha_bar: float) -> None:
    """Of components as far apart and as unequal as they come."""
    wild = GaussianMixture(torch.tensor([0.2, 0.5, 0.3]), torch.tensor([[-40.0], [0.0], [0.3]]), torch.tensor([2.0, 1e-4, 0.5]))
    nodes, weights = quadrature_nodes(wild, alpha_bar)
    density = wild.log_density(nodes[:, None], alpha_bar).exp()
    assert float(weights @ density) == pytest.approx(1, abs=1e-12)
    mean, square = -40 * 0.2 + 0.3 * 0.3, 0.2 * (1600 + 2) + 0.5 * 1e-4 + 0.3 * (0.09 + 0.5)
    assert float(weights @ (density * nodes)) == pytest.approx(alpha_bar**0.5 * mean, rel=1e-6, abs=1e-9)
    assert float(weights @ (density * nodes**2)) == pytest.approx(alpha_bar * square + 1 - alpha_bar, rel=1e-6)


def test_quadrature_of_a_thousand_points_stays_small() -> None:
    nodes, _ = quadrature_nodes(PointSet(torch.linspace(-1, 1, 1000)[:, None]), 0.99)
    assert len(nodes) < 3000


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: bayes_floor(LINE, 1.0), "at 1, clean data, nothing is left"),
        (lambda: bayes_floor(WORLDS["roll"], 0.5, samples=1), "samples = 1: use at least 2"),
        (lambda: quadrature_nodes(WORLDS["roll"], 0.5), r"quadrature is for shape \(1,\)"),
        (lambda: quadrature_nodes(WORLDS["points on the line"], 1.0), "no density"),
    ],
)
def test_bad_input_is_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("alpha_bar", [-0.5, 1.0, 1.5, torch.nan, torch.zeros(0)])
@pytest.mark.parametrize(
    "world", [GaussianData(torch.zeros(1), 0.3), GaussianMixture([0.5, 0.5], torch.tensor([[-1.0], [1.0]]), torch.tensor([0.1, 0.1]))]
)
def test_an_alpha_bar_outside_its_range_has_no_floor(world: ExactDistribution, alpha_bar: float) -> None:
    with pytest.raises(ValueError, match=r"alpha_bar_t = \[.*use at least one value in \[0, 1\)"):
        bayes_floor(world, alpha_bar)


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="n = 0 samples"):
        GaussianData(torch.zeros(1), 0.3).sample(0)
