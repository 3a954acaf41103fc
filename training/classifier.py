"""Small classifiers for 28 x 28 gray images: the eyes that judge samples. 0.14 M parameters each, trained in a few minutes on 2 cores.

    python training/classifier.py --name mnist --dataset ylecun/mnist        # or a folder that holds train.parquet and test.parquet
    python training/classifier.py --name fashion_mnist --dataset zalando-datasets/fashion_mnist

Their 64 features serve a Fréchet distance (never called FID: that one has Inception's features), their probabilities the share of
samples recognised as one of ten classes.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

if not __package__:  # started as a file: Python then looks for modules beside this file first, where `data` would hide other packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.data import DataError, ImageSet, load_images

WEIGHTS = Path(__file__).resolve().parents[1] / "ddpm_space" / "assets" / "classifiers"
NUM_FEATURES = 64
SHAPE = (1, 28, 28)
"""(C, H, W) of the images that a classifier judges."""


@dataclass(frozen=True)
class Recipe:
    """What differs between the bundled classifiers.

    shows: what its images are, in words; epochs: over the training images; flips: whether a mirrored image is of the same class.
    """

    shows: str
    epochs: int
    flips: bool


CLASSIFIERS = {"mnist": Recipe("digits", 8, False), "fashion_mnist": Recipe("clothes", 12, True)}
"""The bundled ones, by name."""


class SmallClassifier(nn.Module):
    """Five convolutions, 64 features, ten logits, for images (B, 1, 28, 28) in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()

        def block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
            return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

        self.body = nn.Sequential(*block(1, 16, 1), *block(16, 32, 2), *block(32, 32, 1), *block(32, 64, 2), *block(64, 64, 2), nn.Flatten())
        self.to_features = nn.Sequential(nn.Dropout(0.2), nn.Linear(64 * 4 * 4, NUM_FEATURES), nn.ReLU())
        self.to_logits = nn.Linear(NUM_FEATURES, 10)

    def features(self, x: Tensor) -> Tensor:
        """(B, 1, 28, 28) in [-1, 1] to (B, 64)."""
        return self.to_features(self.body(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.to_logits(self.features(x))


def load_classifier(name: str = "mnist") -> SmallClassifier:
    """Load one of the bundled classifiers, ready to judge; the global random numbers are left alone.

    Raises:
        ValueError: no classifier of that name.
    """
    if name not in CLASSIFIERS:
        raise ValueError(f"there is no classifier '{name}': use one of {', '.join(CLASSIFIERS)}")
    with torch.device("meta"):  # no weights are drawn that the file would replace
        classifier = SmallClassifier()
    classifier.load_state_dict(load_file(WEIGHTS / f"{name}.safetensors"), assign=True)
    return classifier.eval().requires_grad_(False)


def shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    """Move a whole batch by up to two pixels each way: images of all places, at no cost."""
    down, right = torch.randint(-2, 3, (2,), generator=generator).tolist()
    return torch.roll(x, (down, right), (-2, -1))


def mirrored(x: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image of a batch with probability 1/2."""
    return torch.where(torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5, x.flip(-1), x)


def accuracy(classifier: SmallClassifier, data: ImageSet) -> float:
    """Share of pictures whose most probable class is their label."""
    assert data.labels is not None
    with torch.inference_mode():
        guesses = torch.cat([classifier(data.batch(rows)).argmax(1) for rows in torch.arange(len(data)).split(500)])
    return (guesses == data.labels).double().mean().item()


def train(data: ImageSet, recipe: Recipe, *, batch_size: int = 128, learning_rate: float = 4e-3, seed: int = 0) -> SmallClassifier:
    """Train with AdamW, one cycle of the learning rate, random shifts (and mirroring) and a little label smoothing.

    Raises:
        DataError: the data set has no labels.
    """
    if data.labels is None:
        raise DataError(f"the data set {data.name} has no integer column 'label': a classifier needs one")
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    classifier = SmallClassifier()
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=learning_rate, weight_decay=1e-2)
    batches = len(data) // batch_size
    steps = recipe.epochs * batches
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    # Some smoothing keeps the confidence from saturating at 1 on everything, which would make the share at 0.9 say nothing.
    loss_function = nn.CrossEntropyLoss(label_smoothing=0.02)
    for _ in range(recipe.epochs):
        for rows in torch.randperm(len(data), generator=generator)[: batches * batch_size].split(batch_size):
            x = shifted(data.batch(rows), generator)
            loss = loss_function(classifier(mirrored(x, generator) if recipe.flips else x), data.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return classifier.eval()


def main() -> None:
    """Train on a set's train split, report the accuracy on its test split, save the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", choices=CLASSIFIERS, default="mnist", help="which of the bundled classifiers to make")
    parser.add_argument("--dataset", default="ylecun/mnist", help="folder with train.parquet and test.parquet, Hub id, or 'bundled'")
    parser.add_argument("--output", type=Path, help="where to save the weights instead of over the bundled ones")
    arguments = parser.parse_args()
    output = arguments.output or WEIGHTS / f"{arguments.name}.safetensors"
    data, held_out = load_images(arguments.dataset, split="train"), load_images(arguments.dataset, split="test")
    start = time.monotonic()
    classifier = train(data, CLASSIFIERS[arguments.name])
    print(f"{sum(p.numel() for p in classifier.parameters()):,} parameters, {time.monotonic() - start:.0f} s")
    print(f"accuracy on {len(held_out):,} test images: {accuracy(classifier, held_out):.2%}")
    output.parent.mkdir(parents=True, exist_ok=True)
    save_file(classifier.state_dict(), output)


if __name__ == "__main__":
    main()
