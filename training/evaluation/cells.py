"""The cells of a table of quality against steps: what they are, and how each is measured, kept and not measured twice."""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from ddpm_space.bound import full_bound, mean_over_images
from ddpm_space.images import images_a_call, quantize
from ddpm_space.models import LoadedModel
from ddpm_space.samplers import SAMPLERS
from ddpm_space.sampling import table_options
from training.bits_per_dim import weights_hash
from training.config import ConfigError
from training.evaluation.frechet import Reference, chosen_features, load_features
from training.evaluation.heldout import Rows, some
from training.evaluation.judge import BLOCK, CONFIDENCE
from training.evaluation.samples import draw_chunk

FEW = (5, 10, 20, 50)
"""Steps at which every sampler is measured, with several seeds."""

MORE = (100, 250)
LONG = ("ddpm-small", "ddpm-large", "ddpm-analytic")
"""Samplers that are also measured at MORE steps, with one seed."""

REFERENCE = "ddpm-small"
"""The sampler whose whole chain the others are compared with."""

CHUNK = 250
"""Images drawn at once, and kept at once while a cell is being measured; of more than 32 x 32 pixels fewer."""

BOUNDS = 128
"""Images whose bounds are measured at once, by the same rule."""

SPREAD = 64
"""Images of each set by which two data sets are told apart."""


@dataclass(frozen=True)
class Cell:
    """One measurement: kind is "samples", "bits", or "real", which puts held-out images in the samples' place and has no steps."""

    kind: str
    sampler: str
    steps: int
    seed: int

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.kind}-{self.sampler}-{self.steps}-{self.seed}"


def plan(T: int, seeds: int, bits: bool) -> list[Cell]:
    """All cells for a chain of T steps, the cheap ones first.

    Args:
        seeds: at FEW steps; bits: whether bits/dim are asked for.
    """
    few, more = [steps for steps in FEW if steps < T], [steps for steps in MORE if steps < T]
    samples = [Cell("samples", name, steps, seed) for steps in few for seed in range(seeds) for name in SAMPLERS]
    samples += [Cell("samples", name, steps, 0) for steps in more for name in LONG]
    samples.append(Cell("samples", REFERENCE, T, 0))
    bounds = [Cell("bits", name, steps, 0) for steps in (*few, *more, T) for name in SAMPLERS if has_bound(name, steps, T)] if bits else []
    return [Cell("real", "held-out", 0, 0), *sorted([*samples, *bounds], key=lambda cell: (cell.steps, cell.kind, cell.seed))]


def has_bound(name: str, steps: int, T: int) -> bool:
    """Whether bits/dim of a sampler are measured: an ancestral chain; of all T steps there is one spacing."""
    sampler = SAMPLERS[name]
    return sampler.variance is not None and (sampler.spacing == "trailing" or steps < T)


class Bench:
    """What cells are measured with.

    Args:
        model: on its device; train, held_out: the two sets; folder: where the cells are kept.
        samples: images of a cell, more than there are features; images: held-out images for bits/dim.
        features: as in `chosen_features`; data_name: of the data set.
    Raises:
        ConfigError: features that do not fit, too few samples for them, or fewer held-out images than are asked for.
    """

    def __init__(
        self, model: LoadedModel, train: Rows, held_out: Rows, folder: Path, samples: int, images: int, features: str, data_name: str
    ) -> None:
        self.model, self.train, self.held_out, self.folder, self.samples, self.images = model, train, held_out, folder, samples, images
        self.network = load_features(chosen_features(features, model.shape, data_name), model.device)
        if len(held_out) <= self.network.size:
            raise ConfigError(f"{len(held_out)} held-out images: the distances need more than {self.network.size}; name a data set with a test split")
        if samples <= self.network.size or len(held_out) < samples:
            raise ConfigError(f"--samples {samples}: use more than {self.network.size}, and at most {len(held_out)}, the held-out images")
        if images == 1 or images > len(held_out):
            raise ConfigError(f"--images {images}: use 2 to {len(held_out)}, the held-out images, or 0 for no bits/dim")
        self.chunk = images_a_call(model.shape, CHUNK)
        schedule = model.denoiser.schedule
        chain = [model.denoiser.prediction_type, *(f"{beta:.9g}" for beta in schedule.beta.tolist())]
        self.of = {"weights_sha256": weights_hash(model.source), "chain_sha256": _hash(chain), "data_sha256": fingerprint(train, held_out)}
        folder.mkdir(parents=True, exist_ok=True)

    @cached_property
    def reference(self) -> Reference:
        """The training set that distances are taken to."""
        rows = torch.arange(len(self.train)).split(BLOCK)
        return Reference(torch.cat([self.network.features(self.train.batch(part)) for part in rows]))

    def sorted_out(self, cells: Sequence[Cell]) -> tuple[list[Cell], list[str]]:
        """The cells that this model has, and why the others are left out, a sentence a sampler and reason."""
        problems = {cell: None if cell.kind == "real" else SAMPLERS[cell.sampler].problem(self.model.denoiser, cell.steps) for cell in cells}
        reasons = {f"left out: {SAMPLERS[cell.sampler].words}: {problem}": None for cell, problem in problems.items() if problem}
        return [cell for cell, problem in problems.items() if problem is None], list(reasons)

    def run(self, cells: list[Cell], tell: Callable[[str], None], minutes: float | None = None) -> None:
        """Measure the cells that are missing, one after another.

        Args:
            minutes: after so many none but the first is begun.
        """
        begun = time.monotonic()
        missing = [cell for cell in cells if not self.is_there(cell)]
        tell(f"{len(cells) - len(missing)} of {len(cells)} cells are there")
        for number, cell in enumerate(missing, 1):
            if minutes is not None and number > 1 and time.monotonic() - begun > 60 * minutes:
                tell(f"{minutes:g} minutes are over: {len(missing) - number + 1} cells are left; start again to go on")
                return
            found = {"samples": self._samples, "bits": self._bits, "real": self._real}[cell.kind](cell)
            self._write(self.file(cell), {**self._about(cell), "T": len(self.model.denoiser.schedule), **found})
            tell(f"{number} of {len(missing)}: {cell.name}: {_short(found)}")

    def file(self, cell: Cell) -> Path:
        """Where a cell is kept."""
        return self.folder / "cells" / f"{cell.name}.json"

    def is_there(self, cell: Cell) -> bool:
        """Whether a cell was measured, with these weights, this table and as many images."""
        try:
            kept = json.loads(self.file(cell).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return all(kept.get(key) == value for key, value in self._about(cell).items())

    def _about(self, cell: Cell) -> dict[str, Any]:
        rows = list(table_options(self.model.denoiser).values())
        asks = cell.kind != "real" and SAMPLERS[cell.sampler].needs_table
        return {
            **asdict(cell),
            **self.of,
            "n": self.images if cell.kind == "bits" else self.samples,
            "features": None if cell.kind == "bits" else self.network.words,
            "table_sha256": _hash(rows) if asks else None,
        }

    def _samples(self, cell: Cell) -> dict[str, Any]:
        sampler, sizes = SAMPLERS[cell.sampler], [min(self.chunk, self.samples - start) for start in range(0, self.samples, self.chunk)]
        same = _hash(self._about(cell))
        draft = self.folder / "cells" / f".{cell.name}-{same[:12]}.npz"
        done = self._kept(draft, sizes)
        for number in range(len(done), len(sizes)):
            x = draw_chunk(
                self.model.denoiser,
                self.model.shape,
                sampler,
                cell.steps,
                sizes[number],
                seed=cell.seed,
                number=number,
                device=self.model.device,
            )
            done.append(x)
            if number < len(sizes) - 1:
                draft.parent.mkdir(parents=True, exist_ok=True)
                grey = ((torch.cat(done) + 1) * 127.5).round().to(torch.uint8).numpy()
                with open(draft.with_suffix(".part"), "wb") as stream:
                    np.savez_compressed(stream, images=grey)
                draft.with_suffix(".part").replace(draft)
        judged = self._judged(torch.cat(done))
        draft.unlink(missing_ok=True)
        return judged

    def _kept(self, draft: Path, sizes: list[int]) -> list[Tensor]:
        """The chunks that an earlier run has drawn of this cell."""
        try:
            with np.load(draft, allow_pickle=False) as kept:
                images = torch.from_numpy(kept["images"])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):  # the last three: it was cut short, or a disk damaged it
            return []
        whole = len(images) // self.chunk
        return [quantize(part.float() / 127.5 - 1) for part in images.split(self.chunk)][: min(whole, len(sizes))]

    def _real(self, cell: Cell) -> dict[str, Any]:
        rows = torch.randperm(len(self.held_out), generator=torch.Generator().manual_seed(cell.seed))[: self.samples]
        return self._judged(self.held_out.batch(rows))

    def _judged(self, x: Tensor) -> dict[str, Any]:
        features = self.network.features(x)
        left_out = self.reference.left_out(features)
        distance = asdict(self.reference.distance(features, left_out))
        found: dict[str, Any] = {"distance": self.network.distance, "frechet": distance, "left_out": [float(f"{value:.6g}") for value in left_out]}
        if self.network.classifier is not None:
            with torch.inference_mode():
                sure = self.network.classifier.to_logits(features.to(self.network.device)).softmax(1).max(1).values
            found["recognised"] = float((sure >= CONFIDENCE).double().mean())
        return found

    def _bits(self, cell: Cell) -> dict[str, Any]:
        sampler, denoiser = SAMPLERS[cell.sampler], self.model.denoiser
        chain = denoiser.schedule.respaced(sampler.scheduler(denoiser, cell.steps).timesteps)
        images = some(self.held_out, self.images, cell.seed)
        pieces = images.split(images_a_call(self.model.shape, BOUNDS))
        bounds = [
            full_bound(denoiser, x_0.to(self.model.device), schedule=chain, variance=sampler.variance or "", seed=cell.seed + piece, chunk=2)
            for piece, x_0 in enumerate(pieces)
        ]
        values = {part: torch.cat([bound.per_image(part) for bound in bounds]) for part in ("L_T", "L_t-1", "L_0", "total")}
        means = {part: asdict(mean_over_images(each)) for part, each in values.items()}
        return {"bits_per_dim": means, "per_image": values["total"].tolist(), "conventions": bounds[0].conventions}

    def _write(self, file: Path, content: dict[str, Any]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".part")
        draft.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        draft.replace(file)


def fingerprint(*sets: Rows) -> str:
    """A hash of how many pictures sets have and of some of each: it tells data sets apart, whatever they are called and wherever they lie."""
    sha = hashlib.sha256()
    for rows in sets:
        x = rows.batch(torch.linspace(0, len(rows) - 1, SPREAD).round().long())
        sha.update(str((len(rows), *x.shape)).encode())
        sha.update(((x + 1) * 127.5).round().to(torch.uint8).contiguous().numpy().tobytes())
    return sha.hexdigest()


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _short(found: dict[str, Any]) -> str:
    if "bits_per_dim" in found:
        total = found["bits_per_dim"]["total"]
        return f"{total['mean']:.4f} +- {total['standard_error']:.4f} bits/dim"
    return f"{found['distance']} {found['frechet']['value']:.2f} +- {found['frechet']['error']:.2f}"
