"""The Fréchet distance: closed forms, its error bar against the spread of many draws, and what may be called FID."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import Tensor

from training.classifier import CLASSIFIERS
from training.config import FEATURES, ConfigError
from training.evaluation import frechet
from training.evaluation.frechet import Reference, chosen_features, jackknife_error, load_features

GRAY = (1, 28, 28)


def cloud(count: int, dimensions: int, seed: int = 0) -> Tensor:
    """Points whose sample mean is exactly 0 and whose sample covariance is exactly the identity."""
    x = torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T


def test_the_distance_is_the_closed_form_where_the_covariances_commute() -> None:
    x, y = cloud(300, 5), cloud(400, 5, seed=1)
    a, b = torch.tensor([1.0, 2, 3, 4, 5]).double(), torch.tensor([2.0, 2, 1, 0.5, 7]).double()
    turn, _ = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    found = Reference((x * a) @ turn + 3).distance((y * b) @ turn)
    assert found.value == pytest.approx(5 * 9 + float((a - b).square().sum()), rel=1e-9)
    assert (found.n, found.reference) == (400, 300)
    assert Reference(x).distance(x).value == pytest.approx(0, abs=1e-9)


def test_the_distance_is_the_matrix_root_where_they_do_not() -> None:
    x, y = cloud(300, 4), cloud(300, 4, seed=1)
    mix = torch.tensor([[1.0, 0.9, 0, 0], [0, 1, 0.5, 0], [0, 0, 2, 0], [1, 0, 0, 1]]).double()
    a, b = x @ mix, y @ mix.T
    values, vectors = torch.linalg.eigh(torch.cov(a.T))
    root = vectors @ values.sqrt().diag() @ vectors.T
    middle = torch.linalg.eigvalsh(root @ torch.cov(b.T) @ root).sqrt().sum()
    expected = torch.cov(a.T).trace() + torch.cov(b.T).trace() - 2 * middle
    assert Reference(a).distance(b).value == pytest.approx(float(expected), rel=1e-8)


def test_a_reference_can_be_asked_again_and_large_ones_come_in_parts() -> None:
    x, y, z = cloud(12_000, 3), cloud(50, 3, seed=1) + 1, cloud(70, 3, seed=2) * 2
    reference = Reference(x)
    first = reference.distance(y)
    assert reference.distance(z).value == pytest.approx(3.0, rel=1e-6) and reference.distance(y) == first
    assert first.value == pytest.approx(3.0, rel=1e-6) and first.reference == 12_000


def test_the_error_bar_is_the_spread_of_the_distance_over_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frechet, "GROUPS", 10)  # quicker
    generator = torch.Generator().manual_seed(4)
    reference = Reference(cloud(500, 4))
    scale = torch.tensor([1.5, 1.0, 0.5, 2.0]).double()
    found = [reference.distance(torch.randn(200, 4, generator=generator, dtype=torch.float64) * scale + 0.5) for _ in range(150)]
    values, errors = (torch.tensor([getattr(one, name) for one in found]) for name in ("value", "error"))
    # The standard deviation of 150 values is known to 6 %; the jackknife of 10 groups has a bias of a few per cent of its own.
    assert float(errors.square().mean().sqrt()) == pytest.approx(float(values.std()), rel=0.2)


def test_the_error_of_a_difference_knows_what_two_sets_have_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frechet, "GROUPS", 10)
    generator = torch.Generator().manual_seed(5)
    reference = Reference(cloud(500, 4))
    scale = torch.tensor([1.5, 1.0, 0.5, 2.0]).double()
    differences, errors, apart = [], [], []
    for _ in range(100):
        x = torch.randn(200, 4, generator=generator, dtype=torch.float64)
        y = 0.95 * x + 0.1 * torch.randn(200, 4, generator=generator, dtype=torch.float64)
        a, b = x * scale + 0.5, y * scale + 0.4
        left = [reference.left_out(one) for one in (a, b)]
        found = [reference.distance(one, out) for one, out in zip((a, b), left)]
        differences.append(found[0].value - found[1].value)
        errors.append(jackknife_error([p - q for p, q in zip(*left)]))
        apart.append(math.hypot(found[0].error, found[1].error))
    spread = float(torch.tensor(differences).std())
    assert float(torch.tensor(errors).square().mean().sqrt()) == pytest.approx(spread, rel=0.25)
    assert float(torch.tensor(apart).mean()) > 3 * spread


def test_the_distances_without_a_part_are_torchmetrics_own() -> None:
    mix = torch.randn(6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    x, y = cloud(300, 6) @ mix + 5, cloud(230, 6, seed=1).float()
    reference, place = Reference(x), torch.arange(230) % frechet.GROUPS
    expected = [reference.distance(y[place != group], [0.0, 0.0]).value for group in range(frechet.GROUPS)]
    assert reference.left_out(y) == pytest.approx(expected, rel=1e-6)


def test_too_few_images_for_a_covariance_are_refused() -> None:
    with pytest.raises(ValueError, match="n = 5 images: use more than 5"):
        Reference(cloud(100, 5)[:5])
    with pytest.raises(ValueError, match="n = 4 images"):
        Reference(cloud(100, 5)).distance(torch.zeros(4, 5))


def test_auto_takes_the_network_that_fits_the_images() -> None:
    assert list(FEATURES) == ["auto", *CLASSIFIERS, "inception"]
    assert chosen_features("auto", GRAY, "ylecun/mnist") == "mnist" == chosen_features("mnist", GRAY, "letters")
    assert chosen_features("auto", GRAY, "zalando-datasets/fashion_mnist") == "fashion_mnist"


@pytest.mark.parametrize(
    ("wanted", "shape", "message"),
    [
        ("vgg", GRAY, "features = 'vgg': use one of auto, mnist"),
        ("mnist", (3, 32, 32), "28 x 28 gray images, these are 32 x 32 with 3 channels"),
        ("auto", (4, 28, 28), "sees gray or RGB images, these have 4 channels"),
    ],
)
def test_features_that_do_not_fit_are_refused_before_anything_is_loaded(wanted: str, shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        chosen_features(wanted, shape, "any")


def test_inception_is_an_error_without_its_package_or_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(frechet.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install torch-fidelity"):
        chosen_features("auto", (3, 32, 32), "cifar10")
    monkeypatch.setattr(frechet.importlib.util, "find_spec", lambda name: object())
    with pytest.raises(ConfigError, match="its weights are not on this machine; put weights-inception-2015"):
        chosen_features("inception", (3, 32, 32), "cifar10")
    file = tmp_path / "checkpoints" / frechet.INCEPTION_FILE
    file.parent.mkdir()
    file.write_bytes(b"other weights")
    with pytest.raises(
        ConfigError, match=r"is damaged or not the network that FID is defined by \(SHA-256 " + hashlib.sha256(b"other weights").hexdigest()[:8]
    ):
        chosen_features("inception", (3, 32, 32), "cifar10")


def test_only_inceptions_features_are_called_fid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CLASSIFIERS:
        network = load_features(name)
        assert network.distance == "Fréchet distance" and "bundled classifier" in network.words
        in_parts = dataclasses.replace(network, at_once=2)
        assert [len(in_parts.features(torch.zeros(n, *GRAY))) for n in (3, 0)] == [3, 0]

    seen = []

    class Inception(torch.nn.Module):
        """Stands in for a network of 95 MB: notes what it is given."""

        def __init__(self, name: str, features: list[str], path: str) -> None:
            super().__init__()
            seen.append((name, features, path))

        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return torch.zeros(len(x), 2048)

    file = tmp_path / "checkpoints" / f"weights-{hashlib.sha256(b'right').hexdigest()[:8]}.pth"
    file.parent.mkdir()
    file.write_bytes(b"right")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(frechet.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(frechet, "INCEPTION_FILE", file.name)
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", types.SimpleNamespace(NoTrainInceptionV3=Inception))
    assert chosen_features("auto", (3, 32, 32), "cifar10") == "inception"
    network = load_features("inception")
    assert network.distance == "FID" and "Inception" in network.words and network.classifier is None
    assert seen[0] == ("inception-v3-compat", ["2048"], str(file))
    # Gray is shown as RGB, in the bytes of a picture.
    network.features(torch.tensor([-1.0, 1.0, 2.0, 0.004]).repeat(10).view(40, 1, 1, 1))
    assert [len(part) for part in seen[1:]] == [32, 8], "500 at 299 x 299 take gigabytes"
    assert seen[1].dtype == torch.uint8 and seen[1].shape == (32, 3, 1, 1) and seen[1][:4, 2].flatten().tolist() == [0, 255, 255, 128]
