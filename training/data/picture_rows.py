"""Rows of a table as pictures: decoded by threads, all of them once or each when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import torch
from datasets import Dataset
from datasets import Image as ImageFeature
from torch import Tensor

from training.data.pictures import DataError, Decoder, say_skipped

READ_AT_ONCE, TOGETHER = 512, 16
"""Rows taken from the table at a time (enough to keep all threads busy, little enough to hold their files in memory), and by one thread."""


@dataclass
class RowsOnDisk:
    """Rows of a table, decoded by threads when they are asked for, or before.

    Args:
        table: with the column of pictures, undecoded. rows: which of its rows these are. skip_broken: give the next row for a broken one.
    """

    table: Dataset
    column: str
    rows: Tensor
    decoder: Decoder
    name: str
    skip_broken: bool
    broken: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.threads = ThreadPoolExecutor(thread_count(), thread_name_prefix="pictures")
        self.expected: tuple[list[int], list[Future[Tensor]]] = ([], [])

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, numbers: list[int]) -> list[Tensor]:
        """Pictures (C, h, w) of these rows."""
        expected, self.expected = self.expected, ([], [])
        futures = expected[1] if expected[0] == numbers else self._begin(numbers)
        return [future.result() for future in futures]

    def expect(self, numbers: list[int]) -> None:
        """Begin to decode what will be read next."""
        self.expected = (numbers, self._begin(numbers))

    def _begin(self, numbers: list[int]) -> list[Future[Tensor]]:
        rows = self.rows[numbers].tolist()
        return [self.threads.submit(self._picture, *place) for place in zip(numbers, rows, self.table[rows][self.column])]

    def _picture(self, number: int, row: int, cell: Any) -> Tensor:
        for further in range(1, min(len(self), 1000) + 1):
            try:
                return self.decoder(cell, f"row {row} of {self.name}")
            except DataError:
                if not self.skip_broken:
                    raise
                if row not in self.broken:
                    self.broken.add(row)
                    say_skipped(len(self.broken), self.name)
            row = int(self.rows[(number + further) % len(self)])
            cell = self.table[row][self.column]
        raise DataError(f"the data set {self.name} has hundreds of pictures in a row that cannot be read: check image_column and the files")


def undecoded(table: Any, column: str, channels: int) -> Any:
    """The table (or stream) with its pictures as they are stored, and arrays as numpy's, which know their type.

    Raises:
        DataError: pictures cannot have that many channels.
    """
    table = table.select_columns([column])
    if not isinstance(table.features[column], (ImageFeature, dict)):
        return table.with_format("numpy")
    if channels not in (1, 3, 4):
        raise DataError(f"channels = {channels}: pictures have 1 (gray), 3 (RGB) or 4 (RGB and transparency); other numbers need a column of arrays")
    return table.cast_column(column, ImageFeature(decode=False)).with_format(None)


def thread_count() -> int:
    """Threads for decoding: this process's share of the machine's cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // processes_here())


def processes_here() -> int:
    """Training processes on this machine, as the launcher says; each has its own copy of the pictures."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def decoded(on_disk: RowsOnDisk) -> Iterator[tuple[int, Tensor]]:
    """Every picture that can be read, with its number."""

    def decode(rows: list[int], cells: list[Any]) -> list[Tensor | None]:
        found: list[Tensor | None] = []
        for row, cell in zip(rows, cells):
            try:
                found.append(on_disk.decoder(cell, f"row {row} of {on_disk.name}"))
            except DataError:
                if not on_disk.skip_broken:
                    raise
                found.append(None)
        return found

    for first in range(0, len(on_disk), READ_AT_ONCE):
        rows = on_disk.rows[first : first + READ_AT_ONCE].tolist()
        cells = on_disk.table[rows][on_disk.column]
        starts = range(0, len(rows), TOGETHER)
        parts = on_disk.threads.map(decode, [rows[i : i + TOGETHER] for i in starts], [cells[i : i + TOGETHER] for i in starts])
        for number, found in enumerate(chain.from_iterable(parts), first):
            if found is not None:
                yield number, found


def bytes_each(on_disk: RowsOnDisk) -> float:
    """Bytes of a decoded picture; pictures that keep their proportions are measured on some of them."""
    decoder = on_disk.decoder
    if decoder.crop != "random":
        return decoder.channels * decoder.size**2
    some = torch.linspace(0, len(on_disk) - 1, min(len(on_disk), 32), dtype=torch.float64).long()
    sizes = [picture.numel() for _, picture in decoded(replace(on_disk, rows=on_disk.rows[some], skip_broken=True))]
    return sum(sizes) / max(1, len(sizes))
