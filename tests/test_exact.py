"""Exact Gaussians and mixtures, and what all exact worlds share: every answer by another route, at every noise level, in every shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ddpm_space.exact import ExactDistribution, GaussianData, GaussianMixture, PointSet, distribution
from ddpm_space.notes.reverse import eps_from_x_0, v_from_x_0

ALPHA_BARS = (0.02, 0.5, 0.97, 0.9999)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def covariances(count: int, dims: int, seed: int = 3) -> Tensor:
    root = draw(count, dims, dims, seed=seed)
    return root @ root.mT * 0.2 + 0.05 * torch.eye(dims, dtype=torch.float64)


WORLDS: dict[str, ExactDistribution] = {
    "gaussian, line": GaussianData(torch.tensor([0.3]), 0.2),
    "gaussian, axes": GaussianData(draw(2), torch.tensor([0.3, 1.5])),
    "gaussian, full": GaussianData(draw(3), covariances(1, 3)[0]),
    "gaussian, image": GaussianData(draw(2, 3, 3), covariances(1, 18)[0]),
    "mixture, line": GaussianMixture(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([[-1.0], [0.2], [1.4]]), torch.tensor([0.05, 0.02, 0.3])),
    "mixture, axes": GaussianMixture(torch.tensor([0.4, 0.6]), draw(2, 2), torch.tensor([[0.1, 0.4], [0.3, 0.02]])),
    "mixture, full": GaussianMixture(torch.tensor([0.4, 0.6, 0.2]), draw(3, 2), covariances(3, 2)),
    "mixture, image": GaussianMixture(torch.tensor([0.4, 0.6]), draw(2, 1, 3, 3), torch.rand(2, 1, 3, 3) + 0.1),
    "points, line": PointSet(torch.tensor([[-0.5], [0.0], [0.1], [2.0]]), torch.tensor([1.0, 2.0, 3.0, 1.0])),
    "points, plane": PointSet.swiss_roll(40),
    "points, image": PointSet(draw(12, 1, 4, 4)),
}
world = pytest.mark.parametrize("name", WORLDS)
noise = pytest.mark.parametrize("alpha_bar", ALPHA_BARS)


def noisy(known: ExactDistribution, alpha_bar: float, count: int = 6) -> Tensor:
    """x_t where the law of x_t is, and one x_t off it."""
    clean = known.sample(count, generator=torch.Generator().manual_seed(1))
    x_t = alpha_bar**0.5 * clean + (1 - alpha_bar) ** 0.5 * draw(*clean.shape, seed=2)
    x_t[-1] += 3 * (1 - alpha_bar) ** 0.5
    return x_t


@world
@noise
def test_score_is_the_gradient_of_the_log_density(name: str, alpha_bar: float) -> None:
    known = WORLDS[name]
    x_t = noisy(known, alpha_bar).requires_grad_()
    (gradient,) = torch.autograd.grad(known.log_density(x_t, alpha_bar).sum(), x_t)
    scale = gradient.abs().max()
    assert (known.score(x_t, alpha_bar) - gradient).abs().max() < 1e-9 * scale
    with torch.no_grad():
        step = 1e-4 * (1 - alpha_bar) ** 0.5
        direction = draw(*known.shape, seed=5)
        slope = (known.log_density(x_t + step * direction, alpha_bar) - known.log_density(x_t - step * direction, alpha_bar)) / (2 * step)
        along = (known.score(x_t, alpha_bar) * direction).flatten(1).sum(1)
        assert (slope - along).abs().max() < 1e-5 * scale * direction.norm()


@world
@noise
def test_tweedie(name: str, alpha_bar: float) -> None:
    """The score gives the posterior mean, and the posterior mean's Jacobian gives the posterior covariance."""
    known = WORLDS[name]
    x_t = noisy(known, alpha_bar)
    by_score = (x_t + (1 - alpha_bar) * known.score(x_t, alpha_bar)) / alpha_bar**0.5
    assert (known.posterior_mean(x_t, alpha_bar) - by_score).abs().max() < 1e-9 / alpha_bar**0.5
    covariance = known.posterior_covariance(x_t, alpha_bar)
    for i, x in enumerate(x_t):
        jacobian = torch.autograd.functional.jacobian(lambda x: known.posterior_mean(x[None], alpha_bar)[0], x).reshape(known.num_dims, -1)
        assert (covariance[i] - (1 - alpha_bar) / alpha_bar**0.5 * jacobian).abs().max() < 1e-9
    assert (known.posterior_variance(x_t, alpha_bar) - covariance.diagonal(dim1=1, dim2=2).mean(1)).abs().max() < 1e-12


@world
@noise
def test_eps_and_v_are_those_of_the_posterior_mean(name: str, alpha_bar: float) -> None:
    known = WORLDS[name]
    x_t = noisy(known, alpha_bar)
    mean = known.posterior_mean(x_t, alpha_bar)
    assert (known.eps_star(x_t, alpha_bar) - eps_from_x_0(mean, x_t, alpha_bar)).abs().max() < 1e-10
    assert (known.v_star(x_t, alpha_bar) - v_from_x_0(mean, x_t, alpha_bar)).abs().max() < 1e-10


@pytest.mark.parametrize("name", ["gaussian, line", "gaussian, axes", "gaussian, full", "gaussian, image"])
@noise
def test_gaussian_by_linear_algebra(name: str, alpha_bar: float) -> None:
    """x_0 and x_t are jointly Gaussian: the conditional law of x_0 by solving with the covariance of x_t."""
    known = WORLDS[name]
    mean = {"gaussian, line": torch.tensor([0.3]), "gaussian, axes": draw(2), "gaussian, full": draw(3), "gaussian, image": draw(18)}[name].numpy()
    prior = {
        "gaussian, line": np.array([[0.2]]),
        "gaussian, axes": np.diag(torch.tensor([0.3, 1.5]).double().numpy()),
        "gaussian, full": covariances(1, 3)[0].numpy(),
        "gaussian, image": covariances(1, 18)[0].numpy(),
    }[name]
    mean, root = mean.astype(float) if name != "gaussian, line" else np.array([float(np.float32(0.3))]), alpha_bar**0.5
    marginal = alpha_bar * prior + (1 - alpha_bar) * np.eye(len(prior))
    gain = root * np.linalg.solve(marginal, prior).T
    x_t = noisy(known, alpha_bar)
    flat = x_t.flatten(1).numpy()
    density = stats.multivariate_normal(root * mean, marginal).logpdf(flat)
    assert np.abs(known.log_density(x_t, alpha_bar).numpy() - density).max() < 1e-8
    assert np.abs(known.posterior_mean(x_t, alpha_bar).flatten(1).numpy() - mean - (flat - root * mean) @ gain.T).max() < 1e-9
    assert np.abs(known.posterior_covariance(x_t, alpha_bar).numpy() - (prior - root * gain @ prior)).max() < 1e-10


@noise
def test_mixture_on_the_line_by_quadrature(alpha_bar: float) -> None:
    """Bayes on a fine grid of x_0."""
    known = WORLDS["mixture, line"]
    x_0 = np.linspace(-5, 6, 200_001)
    prior = sum(
        w * stats.norm(m, np.float32(v) ** 0.5).pdf(x_0)
        for w, m, v in zip((0.25, 0.5, 0.25), (-1.0, np.float32(0.2), np.float32(1.4)), (0.05, 0.02, 0.3))
    )
    x_t = noisy(known, alpha_bar)
    for i, x in enumerate(x_t[:, 0].tolist()):
        joint = prior * stats.norm(alpha_bar**0.5 * x_0, (1 - alpha_bar) ** 0.5).pdf(x)
        total = joint.sum()
        mean = (joint * x_0).sum() / total
        variance = (joint * (x_0 - mean) ** 2).sum() / total
        assert float(known.log_density(x_t, alpha_bar)[i]) == pytest.approx(np.log(total * (x_0[1] - x_0[0])), abs=1e-7)
        assert float(known.posterior_mean(x_t, alpha_bar)[i]) == pytest.approx(mean, abs=1e-8)
        assert float(known.posterior_variance(x_t, alpha_bar)[i]) == pytest.approx(variance, rel=1e-6)


@pytest.mark.parametrize("alpha_bar", [0.02, 0.5, 0.97])
def test_mixture_in_the_plane_by_quadrature(alpha_bar: float) -> None:
    known = WORLDS["mixture, full"]
    axis = np.linspace(-5.5, 5.5, 701)
    x_0 = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    parts = zip((1 / 3, 0.5, 1 / 6), draw(3, 2).numpy(), covariances(3, 2).numpy())
    prior = sum(w * stats.multivariate_normal(m, c).pdf(x_0) for w, m, c in parts)
    x_t = noisy(known, alpha_bar, count=3)
    for i, x in enumerate(x_t.numpy()):
        joint = prior * np.exp(-((x - alpha_bar**0.5 * x_0) ** 2).sum(1) / (2 * (1 - alpha_bar)))
        share = joint / joint.sum()
        mean = share @ x_0
        covariance = (share[:, None] * (x_0 - mean)).T @ (x_0 - mean)
        assert np.abs(known.posterior_mean(x_t, alpha_bar)[i].numpy() - mean).max() < 1e-6
        assert np.abs(known.posterior_covariance(x_t, alpha_bar)[i].numpy() - covariance).max() < 1e-6


@pytest.mark.parametrize("name", ["gaussian, line", "mixture, line", "points, line"])
@noise
def test_density_on_the_line_integrates_to_one(name: str, alpha_bar: float) -> None:
    x_t = torch.linspace(-8, 8, 100_001, dtype=torch.float64)[:, None]
    assert float(WORLDS[name].log_density(x_t, alpha_bar).exp().sum() * 16 / 100_000) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", ["gaussian, axes", "mixture, axes", "mixture, full", "points, plane"])
def test_density_in_the_plane_integrates_to_one(name: str) -> None:
    axis = torch.linspace(-10, 10, 801, dtype=torch.float64)
    x_t = torch.cartesian_prod(axis, axis)
    assert float(WORLDS[name].log_density(x_t, 0.9).exp().sum() * (20 / 800) ** 2) == pytest.approx(1, abs=1e-9)


def test_the_same_gaussian_written_in_every_form() -> None:
    """One component, a number, along the axes, full, twice half the weight: all one law."""
    mean, eye = draw(2, 2), torch.eye(4, dtype=torch.float64)
    forms = [
        GaussianData(mean, 0.7),
        GaussianData(mean, torch.full((2, 2), 0.7, dtype=torch.float64)),
        GaussianData(mean, 0.7 * eye),
        GaussianMixture(torch.ones(2), torch.stack([mean, mean]), torch.full((2,), 0.7, dtype=torch.float64)),
    ]
    x_t = draw(5, 2, 2, seed=9)
    for form in forms[1:]:
        for question in ("log_density", "score", "posterior_mean", "v_star", "posterior_covariance", "posterior_variance"):
            left, right = (getattr(known, question)(x_t, 0.6) for known in (forms[0], form))
            assert (left - right).abs().max() < 1e-13, question


@world
def test_samples_have_the_mean_and_the_variance_of_the_components(name: str) -> None:
    known = WORLDS[name]
    x_0 = known.sample(20_000, generator=torch.Generator().manual_seed(4)).flatten(1)
    weights, means, variances = known.components()
    mean = weights @ means
    variance = weights @ (variances + (means - mean) ** 2)
    assert ((x_0.mean(0) - mean).abs() < 5 * (variance / 20_000).sqrt()).all()
    squares = (x_0 - mean) ** 2
    assert ((squares.mean(0) - variance).abs() < 5 * squares.std(0) / 20_000**0.5).all()


def test_samples_follow_the_density() -> None:
    """On the line by Kolmogorov and Smirnov; in the plane the covariance of a turned Gaussian."""
    known = WORLDS["mixture, line"]
    weights, means, variances = (part.flatten().numpy() for part in known.components())

    def cdf(x):
        return sum(w * stats.norm(m, v**0.5).cdf(x) for w, m, v in zip(weights, means, variances))

    assert stats.kstest(known.sample(5000, generator=torch.Generator().manual_seed(0))[:, 0].numpy(), cdf).pvalue > 1e-3
    full = WORLDS["gaussian, full"].sample(20_000, generator=torch.Generator().manual_seed(4))
    products = (full - full.mean(0))[:, :, None] * (full - full.mean(0))[:, None]
    assert ((products.mean(0) - covariances(1, 3)[0]).abs() < 5 * products.std(0) / 20_000**0.5).all()


@pytest.mark.parametrize("name", [name for name in WORLDS if not name.startswith("points")])
def test_clean_data_and_pure_noise(name: str) -> None:
    """At alpha_bar = 1 nothing is left to predict; at 0 nothing is known but the data's mean."""
    known = WORLDS[name]
    x_t = noisy(known, 0.5)
    assert (known.posterior_mean(x_t, 1.0) - x_t).abs().max() < 1e-12 and known.posterior_variance(x_t, 1.0).abs().max() < 1e-12
    assert known.eps_star(x_t, 1.0).abs().max() == 0
    weights, means, _ = known.components()
    assert (known.posterior_mean(x_t, 0.0).flatten(1) - weights @ means).abs().max() < 1e-12
    assert (known.eps_star(x_t, 0.0) - x_t).abs().max() < 1e-12
    assert (known.log_density(x_t, 0.0) - torch.distributions.Normal(0.0, 1.0).log_prob(x_t).flatten(1).sum(1)).abs().max() < 1e-10


@world
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_far_away_and_nearly_clean_nothing_is_nan(name: str, dtype: torch.dtype) -> None:
    known = WORLDS[name]
    largest = {torch.float64: 1e100, torch.float32: 1e18, torch.bfloat16: 1e18, torch.float16: 100.0}[dtype]
    x_t = torch.ones(4, *known.shape, dtype=dtype) * torch.tensor([1.0, -30.0, largest, -largest], dtype=dtype).reshape(4, *[1] * len(known.shape))
    for alpha_bar in (0.0, 1e-9, 0.5, 1 - 1e-4):
        for question in ("posterior_mean", "posterior_variance", "posterior_covariance", "eps_star", "v_star", "score", "log_density"):
            answer = getattr(known, question)(x_t, alpha_bar)
            assert answer.dtype == dtype and not answer.isnan().any(), question
    nearest = known.posterior_mean(x_t.double()[:1], 1 - 1e-12)
    assert nearest.isfinite().all()


@world
def test_any_batch_any_chunk(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One alpha_bar a sample, samples one at a time, parts of a batch, and no sample at all."""
    known = WORLDS[name]
    x_t, alpha_bar = noisy(known, 0.5), torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
    for question in ("log_density", "score", "posterior_mean", "v_star", "posterior_covariance", "posterior_variance"):
        ask = getattr(known, question)
        together = ask(x_t, alpha_bar)
        singly = torch.cat([ask(x_t[i : i + 1], float(alpha_bar[i])) for i in range(6)])
        assert (together - singly).abs().max() < 1e-11 * singly.abs().max().clamp(min=1), question
        with monkeypatch.context() as patch:
            patch.setattr(distribution, "CHUNK_ELEMENTS", 2 * known._elements_per_row())
            assert (ask(x_t, alpha_bar) - together).abs().max() < 1e-11 * together.abs().max().clamp(min=1), question
        assert ask(x_t[:0], 0.5).shape == (0, *together.shape[1:])
        assert (ask(x_t.float(), alpha_bar).double() - ask(x_t.float().double(), alpha_bar)).abs().max() < 1e-6 * together.abs().max().clamp(min=1)


@world
def test_nothing_is_read_from_a_device(name: str) -> None:
    """On the meta device a tensor has no values at all: whatever waited for one would fail here."""
    known = WORLDS[name]
    x_t = torch.empty(3, *known.shape, device="meta")
    for question in ("posterior_mean", "eps_star", "v_star", "score", "log_density", "posterior_variance", "posterior_covariance"):
        answer = getattr(known, question)(x_t, torch.tensor([0.1, 0.5, 0.9]))
        assert (answer.device.type, answer.dtype, len(answer)) == ("meta", torch.float32, 3), question


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GaussianData(torch.zeros(2), 0.0), "use finite variances > 0"),
        (lambda: GaussianData(torch.zeros(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]])), "use finite variances > 0"),
        (lambda: GaussianData(torch.zeros(2), torch.tensor([[1.0, 0.2], [0.0, 1.0]])), "not symmetric"),
        (lambda: GaussianData(torch.zeros(2), torch.ones(3)), r"use \(1,\), \(1, 2\) or \(1, 2, 2\)"),
        (lambda: GaussianMixture(torch.ones(3), torch.zeros(2, 1), torch.ones(2)), r"weights have shape \(3,\)"),
        (lambda: GaussianMixture(torch.tensor([-1.0, 2.0]), torch.zeros(2, 1), torch.ones(2)), "use finite numbers >= 0"),
        (lambda: GaussianMixture(torch.ones(2), torch.zeros(2), torch.ones(2)), r"use \(K, \*shape\)"),
        (lambda: WORLDS["points, image"].score(torch.zeros(2, 4, 4), 0.5), r"use \(B, 1, 4, 4\)"),
        (lambda: WORLDS["mixture, line"].score(torch.zeros(2, 1), 1.5), r"alpha_bar_t = 1.5: use values in \[0, 1\]"),
        (lambda: WORLDS["mixture, line"].score(torch.zeros(2, 1), float("nan")), r"use values in \[0, 1\]"),
        (lambda: WORLDS["mixture, line"].score(torch.zeros(2, 1, dtype=torch.int64), 0.5), "use a floating dtype"),
    ],
)
def test_bad_input_is_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
