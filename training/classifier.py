"""A small digit classifier: the eye that judges samples. About 0.14 M parameters, trained in about a minute and a half on 2 cores.

    python training/classifier.py --dataset ylecun/mnist        # or a folder that holds train.parquet and test.parquet

Its 64 features serve a Fréchet distance (never called FID: that one has Inception's features), its probabilities the share of
samples recognised as a digit.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

if not __package__:  # started as a file: Python then looks for modules beside this file first, where `data` would hide other packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.data import ImageSet, load_images

WEIGHTS = Path(__file__).resolve().parents[1] / "ddpm_space" / "assets" / "classifiers" / "mnist.safetensors"
NUM_FEATURES = 64


class DigitClassifier(nn.Module):
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


def load_classifier(path: Path = WEIGHTS) -> DigitClassifier:
    """Load the bundled weights, ready to judge."""
    classifier = DigitClassifier()
    classifier.load_state_dict(load_file(path))
    return classifier.eval()


def shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    """Move a whole batch by up to two pixels each way: digits of all places, at no cost."""
    down, right = torch.randint(-2, 3, (2,), generator=generator).tolist()
    return torch.roll(x, (down, right), (-2, -1))


def accuracy(classifier: DigitClassifier, data: ImageSet) -> float:
    """Share of pictures whose most probable class is their label."""
    assert data.labels is not None
    with torch.inference_mode():
        guesses = torch.cat([classifier(data.batch(rows)).argmax(1) for rows in torch.arange(len(data)).split(500)])
    return (guesses == data.labels).double().mean().item()


def train(data: ImageSet, *, epochs: int, batch_size: int = 128, learning_rate: float = 4e-3, seed: int = 0) -> DigitClassifier:
    """Train with AdamW, one cycle of the learning rate, random shifts and a little label smoothing."""
    if data.labels is None:
        raise ValueError(f"the data set {data.name} has no integer column 'label': a classifier needs one")
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    classifier = DigitClassifier()
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=learning_rate, weight_decay=1e-2)
    steps = epochs * (len(data) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    # Some smoothing keeps the confidence from saturating at 1 on everything, which would make the share at 0.9 say nothing.
    loss_function = nn.CrossEntropyLoss(label_smoothing=0.02)
    for _ in range(epochs):
        for rows in torch.randperm(len(data), generator=generator)[: steps // epochs * batch_size].split(batch_size):
            loss = loss_function(classifier(shifted(data.batch(rows), generator)), data.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return classifier.eval()


def main() -> None:
    """Train on a set's train split, report the accuracy on its test split, save the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ylecun/mnist", help="folder with train.parquet and test.parquet, Hub id, or 'bundled'")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    data, held_out = load_images(arguments.dataset, split="train"), load_images(arguments.dataset, split="test")
    start = time.monotonic()
    classifier = train(data, epochs=arguments.epochs)
    print(f"{sum(p.numel() for p in classifier.parameters()):,} parameters, {time.monotonic() - start:.0f} s")
    print(f"accuracy on {len(held_out):,} test images: {accuracy(classifier, held_out):.2%}")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(classifier.state_dict(), arguments.output)


if __name__ == "__main__":
    main()
