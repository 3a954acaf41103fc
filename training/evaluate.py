"""Judge a model by its samples: how many a small classifier recognises, and how far their features are from those of real images.

    python training/evaluate.py --model runs/mnist/model --dataset ylecun/mnist --samples 1000 --steps 100 --grid samples.png

Both figures stand beside what real images get. The distance is a "Fréchet distance (features: the bundled digit classifier, n)", not FID.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

if not __package__:  # started as a file: Python then looks for modules beside this file first, where `data` would hide other packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.images import grid, quantize
from ddpm_space.sampling import SamplingSettings, sample
from training.classifier import DigitClassifier, load_classifier
from training.data import ImageSet, load_images

CONFIDENCE = 0.9
CHUNK = 128


@dataclass(frozen=True)
class Verdict:
    """What the classifier makes of n images: the share it recognises with confidence >= 0.9, and the Fréchet distance to real ones."""

    n: int
    recognised: float
    recognised_real: float
    frechet: float
    frechet_real: float
    digits: list[int]

    def __str__(self) -> str:
        return (
            f"recognised with confidence >= {CONFIDENCE}: {self.recognised:.1%} of {self.n} samples, "
            f"{self.recognised_real:.1%} of as many real test images\n"
            f"Fréchet distance (features: the bundled digit classifier, n = {self.n}) to the training set: samples {self.frechet:.2f}, "
            f"real test images {self.frechet_real:.2f}\nsamples taken for each digit: {self.digits}"
        )


def draw(denoiser: Denoiser, shape: tuple[int, int, int], count: int, *, num_steps: int, seed: int, device: str = "cpu") -> Tensor:
    """Generate `count` images (count, C, H, W) in [-1, 1] on the CPU: ancestral sampling, trailing steps, x_0_hat clipped.

    The first 128 are those that the app shows for this seed; the next ones use seed + 1, and so on.
    """
    done = []
    for index, part in enumerate(torch.arange(count).split(CHUNK)):
        settings = SamplingSettings(len(part), num_steps, "trailing", seed=seed + index, num_train_timesteps=len(denoiser.schedule))
        *_, last = sample(denoiser, shape, settings, device=device)
        done.append(last.x_prev.cpu().float().clamp(-1, 1))
    return torch.cat(done)


def features_and_confidence(classifier: DigitClassifier, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features (N, 64) in float64, confidence (N,) and digit (N,) of images in [-1, 1]."""
    with torch.inference_mode():
        features = torch.cat([classifier.features(part) for part in x.split(500)])
        confidence, digit = classifier.to_logits(features).softmax(1).max(1)
    return features.double(), confidence, digit


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) between Gaussians fitted to two sets of features [Dowson 1982].

    Args:
        a, b: (N, D) and (M, D) float64, N and M well above D.
    Returns:
        the squared distance, 0 for equal sets; like FID it shrinks as n grows, so compare equal n only.
    """
    covariance_a, covariance_b = torch.cov(a.T), torch.cov(b.T)
    # C_a C_b has the eigenvalues of the positive matrix C_a^(1/2) C_b C_a^(1/2); rounding leaves small negative ones.
    trace_root = torch.linalg.eigvals(covariance_a @ covariance_b).real.clamp(min=0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + covariance_a.trace() + covariance_b.trace() - 2 * trace_root)


def judge(samples: Tensor, train: ImageSet, test: ImageSet, classifier: DigitClassifier | None = None) -> Verdict:
    """Compare samples with the training set, and as many real test images with it as the floor.

    Args:
        samples: (n, 1, 28, 28) in [-1, 1], rounded to 8 bits here as the real images are; n from 65 to the size of `test`.
    """
    n, classifier = len(samples), classifier or load_classifier()
    if not 65 <= n <= len(test):
        raise ValueError(f"n = {n} samples: use 65 (a covariance of 64 features needs them) to {len(test)}, as many as there are real test images")
    rows = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:n]
    reference, _, _ = features_and_confidence(classifier, train.batch(torch.arange(len(train))))
    features, confidence, digit = features_and_confidence(classifier, quantize(samples))
    real, confidence_real, _ = features_and_confidence(classifier, test.batch(rows))
    return Verdict(
        n,
        (confidence >= CONFIDENCE).double().mean().item(),
        (confidence_real >= CONFIDENCE).double().mean().item(),
        frechet_distance(features, reference),
        frechet_distance(real, reference),
        torch.bincount(digit, minlength=10).tolist(),
    )


def main() -> None:
    """Load a model, draw samples, print the verdict."""
    from ddpm_space.models import load

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled:mnist", help="pipeline folder, Hub id, or bundled:mnist")
    parser.add_argument("--dataset", default="ylecun/mnist", help="data set with a train and a test split")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--grid", type=Path, help="also draw the first 64 samples into this picture")
    parser.add_argument("--json", type=Path, help="also write the figures into this file")
    arguments = parser.parse_args()
    model = load(arguments.model)
    train, test = (load_images(arguments.dataset, split=split) for split in ("train", "test"))
    samples = draw(model.denoiser, model.shape, arguments.samples, num_steps=arguments.steps, seed=arguments.seed, device=model.device)
    if arguments.grid:
        sheet = grid(samples[:64], 8, gap=2)
        sheet.resize((sheet.width * 3, sheet.height * 3), resample=0).save(arguments.grid)
    verdict = judge(samples, train, test)
    print(verdict)
    if arguments.json:
        arguments.json.write_text(json.dumps({**asdict(verdict), "steps": arguments.steps, "seed": arguments.seed}, indent=1) + "\n")


if __name__ == "__main__":
    main()
