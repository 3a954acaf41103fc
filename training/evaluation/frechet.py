"""The Fréchet distance between sets of images, by torchmetrics, in the features of a stated network.

It is called FID where, and only where, the features are those of the Inception network that FID is defined by. The bundled classifiers serve
28 x 28 gray images; their distances are on another scale.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from training.classifier import CLASSIFIERS, NUM_FEATURES, SHAPE, SmallClassifier, load_classifier
from training.config import FEATURES, ConfigError

GROUPS = 50
"""Parts of the samples that are left out in turn, for the error bar, which that many know to a tenth of itself."""

NO_SAMPLES = "no samples (eval_samples = 0 in training, --samples 0 of evaluate.py)"
"""How to do without a distance."""

INCEPTION_FEATURES = 2048
INCEPTION_AT_ONCE = 32
"""Images in one call: it makes 299 x 299 of each, 114 times the pixels of a digit."""

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
"""The network of the FID paper, as torch-fidelity names it: the name ends with the first digits of the file's SHA-256."""


@dataclass(frozen=True)
class FeatureNetwork:
    """A network whose features distances are taken in.

    distance: what the distance is called; words: the features, to be printed beside every figure; size: D;
    extract: (B, C, H, W) in [-1, 1] on `device` to (B, D); classifier: it also recognises classes, None if not; at_once: the largest B.
    """

    name: str
    distance: str
    words: str
    size: int
    extract: Callable[[Tensor], Tensor]
    device: str = "cpu"
    classifier: SmallClassifier | None = None
    at_once: int = 500

    def features(self, x: Tensor) -> Tensor:
        """Features (N, D) float32 on the CPU of images (N, C, H, W) in [-1, 1]."""
        with torch.inference_mode():
            parts = [self.extract(part.to(self.device)).float().cpu() for part in x.split(self.at_once)]
        return torch.cat(parts) if parts else torch.empty(0, self.size)


@dataclass(frozen=True)
class Distance:
    """A Fréchet distance of n images to a reference of `reference` images; error: its standard error by the jackknife, for this reference."""

    value: float
    error: float
    n: int
    reference: int

    def __str__(self) -> str:
        return f"{self.value:.2f} +- {self.error:.2f} (n = {self.n:,} against {self.reference:,})"


def jackknife_error(left_out: Sequence[float]) -> float:
    """The standard error of a statistic by the grouped jackknife, from its values without each of the groups [Efron 1982]."""
    values = torch.tensor(left_out, dtype=torch.float64)
    return float(((values - values.mean()).square().sum() * (len(values) - 1) / len(values)).sqrt())


def chosen_features(wanted: str, shape: tuple[int, int, int], data_name: str) -> str:
    """Resolve "auto": the classifier of the data set for 28 x 28 gray images, Inception for all others. Loads nothing.

    Args:
        wanted: one of FEATURES; shape: (C, H, W) of the images; data_name: of the data set.
    Raises:
        ConfigError: an unknown name, a classifier for images of another shape, Inception without its package or weights.
    """
    if wanted not in FEATURES:
        raise ConfigError(f"features = '{wanted}': use one of {', '.join(FEATURES)}")
    name = wanted
    if wanted == "auto":
        name = ("fashion_mnist" if "fashion" in data_name.lower() else "mnist") if shape == SHAPE else "inception"
    if name in CLASSIFIERS and shape != SHAPE:
        raise ConfigError(
            f"features = '{name}' are those of a classifier of 28 x 28 gray images, these are {shape[1]} x {shape[2]} with {shape[0]} channels: "
            f"use --features inception, or {NO_SAMPLES}"
        )
    if name == "inception":
        if shape[0] not in (1, 3):
            raise ConfigError(f"features = 'inception' sees gray or RGB images, these have {shape[0]} channels: use {NO_SAMPLES}")
        inception_weights()
    return name


def inception_weights() -> Path:
    """Find the weights of FID's Inception network on the disk; nothing is downloaded.

    Raises:
        ConfigError: torch-fidelity is not installed, the file is not there, or holds something else.
    """
    fix = f"28 x 28 gray images have --features mnist or fashion_mnist; others without it: {NO_SAMPLES}"
    if importlib.util.find_spec("torch_fidelity") is None:
        raise ConfigError(f"features = 'inception' needs the package torch-fidelity: pip install torch-fidelity; {fix}")
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    if not path.is_file():
        raise ConfigError(
            f"features = 'inception': its weights are not on this machine; put {INCEPTION_FILE} (torch-fidelity) into {path.parent}; {fix}"
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else hashlib.sha256(file.read()).hexdigest()
    if not found.startswith(path.stem.rsplit("-", 1)[1]):
        raise ConfigError(
            f"features = 'inception': {path} is damaged or not the network that FID is defined by (SHA-256 {found[:8]}...): fetch it again"
        )
    return path


def load_features(name: str, device: str = "cpu") -> FeatureNetwork:
    """Load a feature network by a name that `chosen_features` gave; the global random numbers are left alone."""
    if name in CLASSIFIERS:
        classifier = load_classifier(name).to(device)
        words = f"the bundled classifier of {CLASSIFIERS[name].shows}, {NUM_FEATURES} of them"
        return FeatureNetwork(name, "Fréchet distance", words, NUM_FEATURES, classifier.features, device, classifier)
    from torchmetrics.image.fid import NoTrainInceptionV3

    with torch.random.fork_rng(devices=[]):  # its layers draw weights, which the file then replaces
        network = NoTrainInceptionV3("inception-v3-compat", [str(INCEPTION_FEATURES)], str(inception_weights())).to(device)

    def extract(x: Tensor) -> Tensor:
        return network(((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).expand(-1, 3, -1, -1))

    words = f"Inception v3, {INCEPTION_FEATURES} of them"
    return FeatureNetwork("inception", "FID", words, INCEPTION_FEATURES, extract, device, at_once=INCEPTION_AT_ONCE)


class _AsTheyAre(torch.nn.Module):
    """Hands features through: torchmetrics then sees features where it asks for images."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def _moments(total: Tensor, products: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Mean and covariance of n vectors from their sum and the sum of their outer products."""
    mean = total / n
    return mean, (products - n * mean.outer(mean)) / (n - 1)


class Reference:
    """A set of real images that others are measured against.

    Args:
        features: (N, D), N above D.
    Raises:
        ValueError: too few for a covariance.
    """

    def __init__(self, features: Tensor) -> None:
        from torchmetrics.image.fid import FrechetInceptionDistance

        self.size, self.num_features = len(features), features.shape[1]
        self._check(self.size)
        # Not synchronised: every process has all features, and only one of them may ask.
        self.metric = FrechetInceptionDistance(_AsTheyAre(self.num_features), reset_real_features=False, normalize=True, sync_on_compute=False)
        total, products = torch.zeros(self.num_features).double(), torch.zeros(self.num_features, self.num_features).double()
        for part in features.split(5000):
            self.metric.update(part.double(), real=True)
            total, products = total + part.double().sum(0), products + part.double().T @ part.double()
        self.total, self.products = total, products

    def distance(self, features: Tensor, left_out: Sequence[float] | None = None) -> Distance:
        """Measure other images: |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) between Gaussians fitted to both [Dowson 1982; Heusel 2017].

        Args:
            features: (n, D), in random order; n above D. The distance shrinks as n grows: compare equal n only.
            left_out: what `left_out` gave for them, if it is known.
        """
        self._check(len(features))
        error = jackknife_error(left_out or self.left_out(features))
        return Distance(self._value(features), error, len(features), self.size)

    def left_out(self, features: Tensor) -> list[float]:
        """The distance without each of GROUPS parts of the images, for the jackknife.

        Two sets whose image i was made from the same noise have that noise in both lists: the error of the difference of their distances is the
        `jackknife_error` of the lists' differences.
        """
        x, place = features.double(), torch.arange(len(features)) % GROUPS
        total, products, left_out = x.sum(0), x.T @ x, []
        for group in range(GROUPS):
            part = x[place == group]
            left_out.append(self._without(*_moments(total - part.sum(0), products - part.T @ part, len(x) - len(part))))
        return left_out

    @cached_property
    def _real(self) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, covariance and its symmetric root."""
        mean, covariance = _moments(self.total, self.products, self.size)
        values, vectors = torch.linalg.eigh(covariance)
        return mean, covariance, (vectors * values.clamp(min=0).sqrt()) @ vectors.T

    def _without(self, mean: Tensor, covariance: Tensor) -> float:
        """The distance from moments. (C_a C_b)^(1/2) has the trace of (R C_b R)^(1/2), R the root of C_a: a symmetric matrix, five times as quick."""
        real_mean, real_covariance, root = self._real
        middle = torch.linalg.eigvalsh(root @ covariance @ root).clamp(min=0).sqrt().sum()
        return float((real_mean - mean).square().sum() + real_covariance.trace() + covariance.trace() - 2 * middle)

    def _value(self, features: Tensor) -> float:
        self.metric.update(features.double(), real=False)
        value = float(self.metric.compute())
        self.metric.reset()
        # Rounding leaves equal sets a hair below 0.
        return max(0.0, value)

    def _check(self, count: int) -> None:
        if count <= self.num_features:
            raise ValueError(f"n = {count} images: use more than {self.num_features}, since a covariance of {self.num_features} features needs them")
