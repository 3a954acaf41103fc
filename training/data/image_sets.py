"""Data sets whose rows can be asked for by number: decoded once into memory where they fit, else whenever a row is drawn.

What fits is read once into uint8 (60,000 pictures of 28 x 28 gray are 47 MB): a batch is then an index, which costs nothing beside a training step,
while decoding and collating every batch anew would cost more than the step itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from datasets import Dataset
from torch import Tensor

from training.data.augmentation import chances, cut, flipped, scaled
from training.data.picture_rows import RowsOnDisk, bytes_each, decoded, undecoded
from training.data.pictures import DataError, Decoder
from training.data.sources import image_column


class Pictures(Protocol):
    """What a training run needs of a data set with numbered rows."""

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> Tensor | None: ...

    @property
    def skipped(self) -> int: ...

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor, positions: Tensor | None = None, seed: int = 0) -> Tensor:
        """Pictures of these rows.

        Args:
            indices: int64 (B,), on the CPU. positions: int64 (B,), each picture's place in the run (how many were drawn before it, over all
                processes and steps): flip and crop are a function of it and of the seed. None: neither flipped nor cut at random.
        Returns:
            float32 (B, C, H, W) in [-1, 1], the only range that the models know.
        """
        ...

    def expect(self, indices: Tensor) -> None:
        """Say which rows will be asked for next, so that a set on the disk decodes them while the network computes."""
        ...


@dataclass(frozen=True)
class ImageSet:
    """Pictures in memory, all of one size.

    Args:
        images: uint8 (N, C, H, W). labels: int64 (N,), or None if the set has none. name: what it is called in model cards.
        flip: mirror half of the pictures that are drawn with a position. skipped: broken pictures that were left out.
    """

    images: Tensor
    labels: Tensor | None
    name: str
    flip: bool = False
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.images)

    @property
    def nbytes(self) -> int:
        """Memory of the pictures."""
        return self.images.nbytes

    def batch(self, indices: Tensor, positions: Tensor | None = None, seed: int = 0) -> Tensor:
        """See `Pictures`."""
        x = self.images[indices]
        return scaled(flipped(x, chances(seed, positions)) if self.flip and positions is not None else x)

    def expect(self, indices: Tensor) -> None:
        """See `Pictures`: nothing is to be done."""


@dataclass
class LooseImageSet:
    """Pictures of several sizes in memory, or decoded whenever they are drawn.

    Args:
        rows: the pictures. labels, name, flip: as in `ImageSet`. size: height and width of what is cut out of each.
    """

    rows: Sequence[Tensor] | RowsOnDisk
    labels: Tensor | None
    name: str
    size: int
    flip: bool = False
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_on_disk(self) -> bool:
        """Whether the pictures are decoded each time they are drawn."""
        return isinstance(self.rows, RowsOnDisk)

    @property
    def nbytes(self) -> int:
        """Memory of the pictures."""
        return 0 if isinstance(self.rows, RowsOnDisk) else sum(row.nbytes for row in self.rows)

    @property
    def skipped(self) -> int:
        """Broken pictures that were left out; on access, those that were met so far."""
        return self.left_out + (len(self.rows.broken) if isinstance(self.rows, RowsOnDisk) else 0)

    def batch(self, indices: Tensor, positions: Tensor | None = None, seed: int = 0) -> Tensor:
        """See `Pictures`."""
        numbers = indices.tolist()
        pictures = self.rows.read(numbers) if isinstance(self.rows, RowsOnDisk) else [self.rows[number] for number in numbers]
        words = None if positions is None else chances(seed, positions)
        x = cut(pictures, self.size, words)
        return scaled(flipped(x, words) if self.flip and words is not None else x)

    def expect(self, indices: Tensor) -> None:
        """See `Pictures`."""
        if isinstance(self.rows, RowsOnDisk):
            self.rows.expect(indices.tolist())


def read_table(
    table: Dataset,
    decoder: Decoder,
    name: str,
    *,
    column: str | None = None,
    rows: Tensor | None = None,
    memory: float = float("inf"),
    skip_broken: bool = False,
    flip: bool = False,
) -> ImageSet | LooseImageSet:
    """Make a set of the pictures in a table.

    Args:
        column: of the pictures; None for the only one. rows: int64, which of the rows (all). memory: bytes that the decoded pictures may take;
            more are decoded on access. skip_broken: leave out and count what cannot be read.
    Raises:
        DataError: no image column, no rows, a broken picture.
    """
    column = image_column(table.features, column, name)
    rows = torch.arange(len(table)) if rows is None else rows
    if len(rows) == 0:
        raise DataError(f"the data set {name} has no rows: give one with at least one image")
    labels = _labels(table, rows)
    table = undecoded(table, column, decoder.channels)
    on_disk = RowsOnDisk(table, column, rows, decoder, name, skip_broken)
    if bytes_each(on_disk) * len(rows) > memory:
        # What is wrong with all of them is said now, not in mid-training.
        for number in torch.linspace(0, len(rows) - 1, 8, dtype=torch.float64).long().tolist():
            on_disk.read([number])
        return LooseImageSet(on_disk, labels, name, decoder.size, flip)
    square = torch.empty((len(rows), decoder.channels, decoder.size, decoder.size) if decoder.crop != "random" else 0, dtype=torch.uint8)
    loose: list[Tensor] = []
    kept: list[int] = []
    for number, picture in decoded(on_disk):
        if decoder.crop != "random":
            square[len(kept)] = picture
        else:
            loose.append(picture)
        kept.append(number)
    if not kept:
        raise DataError(f"none of the {len(rows):,} pictures of {name} can be read: check image_column and the files")
    labels, skipped = labels[kept] if labels is not None else None, len(rows) - len(kept)
    if all(picture.shape[-1] == picture.shape[-2] for picture in loose):  # as in most sets: nothing to cut
        return ImageSet(torch.stack(loose) if loose else square[: len(kept)], labels, name, flip, skipped)
    return LooseImageSet(loose, labels, name, decoder.size, flip, skipped)


def _labels(table: Dataset, rows: Tensor) -> Tensor | None:
    """The integers of the column `label`, where there is one and every row has one."""
    values = table["label"][:] if getattr(table.features.get("label"), "dtype", "") == "int64" else [None]
    return None if None in values else torch.tensor(values)[rows]
