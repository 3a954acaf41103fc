"""What an evaluation found: bits/dim, Fréchet distances beside their floors, memorisation. As text, and as plain values for JSON and the card."""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from training.evaluation.frechet import Distance
from training.evaluation.heldout import HeldOut
from training.evaluation.memorisation import Nearness

FILE = "evaluation.json"
"""Name of an evaluation's file in a model's folder."""


@dataclass(frozen=True)
class Frechet:
    """Distances of the samples to the training set and to the held-out set, each with its floor: real images in the samples' place.

    name: "FID", or "Fréchet distance" for any features but Inception's; features: which, in words; None where there were too few images.
    floor_train: of held-out images to the training set, or, where there are fewer than samples, of training images to the others.
    floor_held_out: of training images to the held-out set.
    """

    name: str
    features: str
    to_train: Distance | None
    floor_train: Distance | None
    to_held_out: Distance | None
    floor_held_out: Distance | None

    def lines(self) -> list[str]:
        """One line for each distance that there is."""
        named = [
            ("samples to the training set", self.to_train),
            ("real images to the training set (the floor)", self.floor_train),
            ("samples to the held-out set", self.to_held_out),
            ("real images to the held-out set (the floor)", self.floor_held_out),
        ]
        return [f"{self.name} (features: {self.features}), {words}: {distance}" for words, distance in named if distance is not None]


@dataclass(frozen=True)
class Recognised:
    """Share of n samples, and of real_n real held-out images, that the classifier takes for one of its classes with at least `confidence`.

    classes: how many samples it took for each. Read it beside the distance: a classifier can be sure of what is no image of its kind.
    """

    confidence: float
    samples: float
    real: float | None
    n: int
    real_n: int
    classes: list[int]

    def __str__(self) -> str:
        beside = "" if self.real is None else f", {self.real:.1%} of {self.real_n:,} real held-out images"
        return (
            f"recognised with confidence >= {self.confidence}: {self.samples:.1%} of {self.n:,} samples{beside}; taken for each class: {self.classes}"
        )


@dataclass(frozen=True)
class Evaluation:
    """All that was found; None where it was not asked for or not possible, which `notes` explain.

    held_out, train: bits/dim on held-out and on training images; samples: (n, C, H, W) on the CPU, those that were judged; neighbours: (n, C, H, W),
    the training image nearest to each in pixels; settings: plain values, as asked for.
    """

    held_out: HeldOut | None
    train: HeldOut | None
    frechet: Frechet | None
    recognised: Recognised | None
    memorisation: tuple[Nearness, ...]
    notes: tuple[str, ...]
    settings: dict[str, Any]
    samples: Tensor | None = None
    neighbours: Tensor | None = None

    def __str__(self) -> str:
        lines = []
        if self.held_out is not None:
            lines.append(f"held-out: {self.held_out}")
        if self.train is not None:
            lines.append(f"training images: {self.train}")
        if self.held_out is not None:
            lines.append(f"conventions: {self.held_out.conventions}")
        if self.frechet is not None:
            lines += self.frechet.lines()
        if self.recognised is not None:
            lines.append(str(self.recognised))
        return "\n".join([*lines, *map(str, self.memorisation), *(f"note: {note}" for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pictures, as JSON knows it.

        Returns:
            held_out, train: {bits_per_dim, error (over images), error_of_terms, n, evaluations, conventions} or None;
            frechet: {name, features, to_train, floor_train, to_held_out, floor_held_out} or None, the last four {value, error, n, reference} or None;
            recognised: {confidence, samples, real, n, real_n, classes} or None; memorisation: [{space, samples, real, closer, ...}], see Nearness;
            notes: [text]; settings: {images, terms, samples, steps, features, seed, ...}.
        """
        found = {
            "held_out": _bits(self.held_out),
            "train": _bits(self.train),
            "frechet": None if self.frechet is None else asdict(self.frechet),
            "recognised": None if self.recognised is None else asdict(self.recognised),
            "memorisation": [asdict(nearness) for nearness in self.memorisation],
            "notes": list(self.notes),
            "settings": self.settings,
        }
        return _plain(found)

    def save(self, file: Path) -> None:
        """Write the figures as JSON; beside it first and moved into place, so that a full disk or a kill leaves no half file."""
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with open(handle, "w", encoding="utf-8") as stream:
                stream.write(json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
            Path(draft).chmod(0o644)
            os.replace(draft, file)
        finally:
            Path(draft).unlink(missing_ok=True)


def _bits(found: HeldOut | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "bits_per_dim": found.mean,
        "error": found.image_error,
        "error_of_terms": found.standard_error,
        "n": found.n,
        "evaluations": found.evaluations,
        "conventions": found.conventions,
    }


def _plain(value: Any) -> Any:
    """JSON has no NaN: it becomes null."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
