"""Exact sets of points: by brute force, against narrow Gaussians, near clean data, thousands of images, and the shapes that can be made."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch import Tensor

from ddpm_space.exact import GaussianMixture, PointSet


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(1,), (2,), (1, 5, 5)])
@pytest.mark.parametrize("alpha_bar", [0.02, 0.5, 0.97, 0.9999, 1 - 1e-8])
def test_every_answer_by_brute_force(shape: tuple[int, ...], alpha_bar: float) -> None:
    """All differences x_t - sqrt(abar) point formed one by one, in NumPy."""
    points, weights = draw(30, *shape) + 0.5, torch.rand(30, generator=torch.Generator().manual_seed(1)).double()
    known = PointSet(points, weights)
    x_t = alpha_bar**0.5 * points[:8] + (1 - alpha_bar) ** 0.5 * draw(8, *shape, seed=2)
    flat, x = points.flatten(1).numpy(), x_t.flatten(1).numpy()
    squares = ((x[:, None] - alpha_bar**0.5 * flat) ** 2).sum(-1) / (1 - alpha_bar)
    logits = np.log(weights.numpy() / weights.numpy().sum()) - 0.5 * squares - 0.5 * x.shape[1] * np.log(2 * np.pi * (1 - alpha_bar))
    share = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    mean = share @ flat
    between = flat - mean[:, None]
    covariance = np.einsum("bn,bnd,bne->bde", share, between, between)
    assert np.abs(known.log_density(x_t, alpha_bar).numpy() - logsumexp(logits, axis=1)).max() < 1e-6
    assert np.abs(known.posterior_mean(x_t, alpha_bar).flatten(1).numpy() - mean).max() < 1e-7
    assert np.abs(known.posterior_covariance(x_t, alpha_bar).numpy() - covariance).max() < 1e-7
    assert np.abs(known.posterior_variance(x_t, alpha_bar).numpy() - np.trace(covariance, axis1=1, axis2=2) / x.shape[1]).max() < 1e-7


@pytest.mark.parametrize("alpha_bar", [0.02, 0.5, 0.97])
def test_points_are_the_limit_of_narrow_gaussians(alpha_bar: float) -> None:
    points = draw(7, 2)
    narrow, known = GaussianMixture(torch.ones(7), points, torch.full((7,), 1e-12, dtype=torch.float64)), PointSet(points)
    x_t = draw(9, 2, seed=1)
    for question in ("log_density", "score", "posterior_mean", "eps_star", "v_star", "posterior_covariance", "posterior_variance"):
        left, right = (getattr(each, question)(x_t, alpha_bar) for each in (known, narrow))
        assert (left - right).abs().max() < 1e-8 * right.abs().max().clamp(min=1), question


@pytest.mark.parametrize("gap", [1e-4, 1e-8, 1e-12])
def test_nearly_clean(gap: float) -> None:
    """Close to one point that one alone explains x_t, so every answer is that of a single Gaussian."""
    known = PointSet.swiss_roll(12)
    eps = draw(12, 2, seed=3)
    alpha_bar = 1 - gap
    spread = 1 - alpha_bar
    x_t = alpha_bar**0.5 * known.points + spread**0.5 * eps
    expected = math.log(1 / 12) - 0.5 * (eps**2).sum(1) - math.log(2 * math.pi * spread)
    # x_t itself carries 1e-16 / sqrt(spread) of eps.
    tolerance = 1e-13 / spread**0.5
    assert (known.log_density(x_t, alpha_bar) - expected).abs().max() < 10 * tolerance
    assert (known.posterior_mean(x_t, alpha_bar) - known.points).abs().max() < 1e-12
    assert (known.eps_star(x_t, alpha_bar) - eps).abs().max() < tolerance
    assert (known.score(x_t, alpha_bar) * spread**0.5 + eps).abs().max() < tolerance
    assert known.posterior_variance(x_t, alpha_bar).abs().max() < 1e-12


def test_clean_data_has_nearest_points_but_no_density() -> None:
    known = PointSet(torch.tensor([[0.0, 0.0], [1.0, 0.0], [9.0, 9.0]]), torch.tensor([1.0, 3.0, 0.0]))
    x = torch.tensor([[0.1, 0.3], [0.5, 7.0], [9.0, 9.0]])
    mean = known.posterior_mean(x, torch.tensor([1.0, 1.0, 0.5]))
    assert mean[0].tolist() == [0, 0]
    assert mean[1].tolist() == [0.75, 0], "a tie goes by the weights"
    assert (mean[2] - torch.tensor([1.0, 0.0])).abs().max() < 1e-3, "a point of weight 0 is none"
    assert known.posterior_variance(x[:2], 1.0).tolist() == pytest.approx([0, 0.75 * 0.25 / 2])
    for question in ("log_density", "score", "eps_star", "v_star"):
        with pytest.raises(ValueError, match="use alpha_bar_t < 1"):
            getattr(known, question)(x, torch.tensor([0.5, 1.0, 0.5]))


def test_far_away_the_outermost_point_explains_x_t() -> None:
    known = PointSet(torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    x_t = torch.tensor([[1e15, 3.0], [-1e30, 0.0], [0.0, 1e100]], dtype=torch.float64)
    assert known.posterior_mean(x_t, 0.5).tolist() == [[1, 0], [-1, 0], [0, 1]]


def test_thousands_of_images() -> None:
    """5,000 digits' worth of points and a batch of 64, with the largest temporary bounded."""
    images = torch.rand(5000, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    known = PointSet(images)
    clean = images[:64].double()
    x_t = 0.9**0.5 * clean + 0.1**0.5 * draw(64, 1, 28, 28)
    assert (known.posterior_mean(x_t.float(), 0.9) - clean).abs().max() < 1e-6
    assert known.posterior_variance(x_t, 0.9).abs().max() < 1e-10
    # sqrt(0.9) point + sqrt(0.1) eps: one point explains it, so log q_t is that Gaussian's at eps.
    eps = (x_t - 0.9**0.5 * clean) / 0.1**0.5
    expected = -math.log(5000) - 0.5 * (eps**2).flatten(1).sum(1) - 392 * math.log(2 * math.pi * 0.1)
    assert (known.log_density(x_t, 0.9) - expected).abs().max() < 1e-8


def test_swiss_roll_winds_outward_once_and_a_half() -> None:
    points = PointSet.swiss_roll(300).points
    radius = points.norm(dim=1)
    turn = torch.atan2(points[:, 1], points[:, 0])
    turned = torch.remainder(torch.diff(turn) + math.pi, 2 * math.pi) - math.pi
    assert (torch.diff(radius) > 0).all() and float(radius[-1]) == pytest.approx(1) and float(radius[0]) == pytest.approx(1 / 3)
    assert (turned > 0).all() and float(turned.sum()) == pytest.approx(3 * math.pi)
    rough = PointSet.swiss_roll(300, noise=0.05, generator=torch.Generator().manual_seed(0)).points - points
    assert abs(float(rough.std()) / 0.05 - 1) < 5 / 600**0.5 / 2**0.5


def test_a_drawing_keeps_its_place_and_its_up() -> None:
    ink = torch.zeros(4, 8)
    ink[0, 0] = ink[3, 7] = ink[1, 3] = 1
    assert sorted(PointSet.drawing(ink).points.tolist()) == [[-0.875, 0.375], [-0.125, 0.125], [0.875, -0.375]]
    with pytest.raises(ValueError, match="the drawing is empty"):
        PointSet.drawing(torch.zeros(4, 4))
    with pytest.raises(ValueError, match=r"use \(H, W\)"):
        PointSet.drawing(torch.zeros(1, 4, 4))


def test_letters_are_upright_and_in_reading_order() -> None:
    t_shape, l_shape, text = PointSet.letters("T").points, PointSet.letters("L").points, PointSet.letters("L.").points
    assert float(t_shape[:, 1].mean()) > 0.1 and float(l_shape[:, 1].mean()) < -0.1 and float(l_shape[:, 0].mean()) < -0.05
    assert text.abs().max() <= 1 and float(text[text[:, 0] > 0.6][:, 1].max()) < 0, "the full stop stands right and low"
    assert 3 < len(PointSet.letters("T", size=96).points) / len(t_shape) < 5, "twice the size has four times the pixels"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PointSet.letters("A中"), "the font has no '中'"),
        (lambda: PointSet.letters("  "), "leaves no ink"),
        (lambda: PointSet.letters(""), "leaves no ink"),
        (lambda: PointSet.letters("A", size=2), "size = 2: use 4 to 512"),
        (lambda: PointSet(torch.zeros(0, 2)), "at least one point"),
        (lambda: PointSet(torch.tensor([[float("nan")]])), "not finite"),
        (lambda: PointSet(torch.zeros(2, 1), torch.zeros(2)), "at least one above 0"),
        (lambda: PointSet.swiss_roll(0), "num_points = 0"),
    ],
)
def test_bad_input_is_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
