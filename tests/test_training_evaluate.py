"""The judge of samples: the distance against closed forms, the classifier against labels, and both against images that are no digits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.schedule import NoiseSchedule
from training.classifier import accuracy, load_classifier
from training.data import ImageSet, load_images
from training.evaluate import draw, frechet_distance, judge


def cloud(count: int, dimensions: int, seed: int = 0) -> Tensor:
    """Points whose sample mean is exactly 0 and whose sample covariance is exactly the identity."""
    x = torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T


def test_the_distance_is_the_closed_form_where_the_covariances_commute() -> None:
    x, y = cloud(300, 5), cloud(400, 5, seed=1)
    a, b = torch.tensor([1.0, 2, 3, 4, 5]).double(), torch.tensor([2.0, 2, 1, 0.5, 7]).double()
    turn, _ = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    moved = frechet_distance((x * a) @ turn + 3, (y * b) @ turn)
    assert moved == pytest.approx(5 * 9 + float((a - b).square().sum()), rel=1e-9)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_the_distance_is_the_matrix_root_where_they_do_not() -> None:
    x, y = cloud(300, 4), cloud(300, 4, seed=1)
    mix = torch.tensor([[1.0, 0.9, 0, 0], [0, 1, 0.5, 0], [0, 0, 2, 0], [1, 0, 0, 1]]).double()
    a, b = x @ mix, y @ mix.T
    values, vectors = torch.linalg.eigh(torch.cov(a.T))
    root = vectors @ values.sqrt().diag() @ vectors.T
    middle = torch.linalg.eigvalsh(root @ torch.cov(b.T) @ root).sqrt().sum()
    expected = torch.cov(a.T).trace() + torch.cov(b.T).trace() - 2 * middle
    assert frechet_distance(a, b) == pytest.approx(float(expected), rel=1e-8)


@pytest.fixture(scope="module")
def digits() -> tuple[ImageSet, ImageSet]:
    train, test = load_images("bundled", split="train"), load_images("bundled", split="test")
    return ImageSet(train.images[::4], None, train.name), test


def test_the_judge_knows_digits_tells_them_from_damaged_ones_and_gives_the_floor(digits: tuple[ImageSet, ImageSet]) -> None:
    train, test = digits
    assert accuracy(load_classifier(), test) > 0.99
    good = test.batch(torch.arange(200, 400))
    real = judge(good, train, test)
    assert real.recognised > 0.93 and real.recognised_real > 0.93 and real.frechet < 4 * real.frechet_real
    assert real.n == sum(real.digits) == 200 and min(real.digits) > 5
    # A classifier must answer something, and it can be sure of what is no digit: the distance is what notices.
    noise = torch.randn(200, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for damaged in (torch.nn.functional.avg_pool2d(good, 5, 1, 2), -good, noise.clamp(-1, 1)):
        assert judge(damaged, train, test).frechet > 10 * real.frechet_real
    with pytest.raises(ValueError, match=r"n = 10 samples: use 65"):
        judge(good[:10], train, test)


def test_drawing_more_leaves_the_first_ones_as_they_were() -> None:
    denoiser = Denoiser(lambda x_t, t: 0.5 * x_t, "epsilon", NoiseSchedule.cosine(20))
    few, many = (draw(denoiser, (1, 4, 4), count, num_steps=3, seed=5) for count in (8, 150))
    assert torch.equal(few, many[:8]) and many.abs().max() <= 1
    assert len({tuple(image.flatten().tolist()) for image in many}) == 150
