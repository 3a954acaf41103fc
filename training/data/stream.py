"""Pictures that are read while training, from a data set that is never on this disk as a whole."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.pool import AsyncResult, ThreadPool
from typing import Any, NamedTuple

import torch
from datasets import IterableDataset
from torch import Tensor

from training.data.augmentation import chances, cut, flipped, scaled
from training.data.picture_rows import thread_count
from training.data.pictures import DataError, Decoder, say_skipped

BLOCK = 64
"""Pictures read ahead together, in a thread of their own, while the network computes."""


class Block(NamedTuple):
    """Pictures in the order in which they are given out, how many had to be left out, and where the stream stood before and after them."""

    pictures: list[Tensor]
    skipped: int
    before: dict[str, Any]
    after: dict[str, Any]


BEGINNING = Block([], 0, {"epoch": 0, "table": None}, {"epoch": 0, "table": None})


@dataclass
class ImageStream:
    """One process's share of a stream, without end: after its last picture it begins anew, in another order.

    Args:
        table: this process's share of the stream, undecoded, already in the order it is to be read in. column: with the pictures. name: as in
            model cards.
        seed: of the flips and crops. shuffle_buffer: how many pictures `table` is shuffled among; 0 or 1: it is not.
        rank, world: this process, and how many there are; their shares are disjoint.
    """

    table: IterableDataset
    column: str
    decoder: Decoder
    name: str
    seed: int = 0
    flip: bool = False
    skip_broken: bool = False
    shuffle_buffer: int = 0
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        self.skipped = self.given = 0
        self._block, self._taken = BEGINNING, 0
        self._reader = BlockReader(self.table, self.column, self.decoder, f"{self.name} (process {self.rank} of {self.world})", self.skip_broken)
        self._finalizer = weakref.finalize(self, self._reader.close)

    @property
    def loses(self) -> str:
        """What a run that is resumed will not see; empty: nothing, it goes on with the very next picture."""
        if self.shuffle_buffer <= 1:
            return ""
        return (
            f"resuming a stream is not exact: up to {self.shuffle_buffer + BLOCK:,} pictures a process, which waited to be shuffled or drawn, "
            "are left out until the next pass, and the order is another one (shuffle_buffer 1: exact, and not shuffled)"
        )

    def next_batch(self, count: int) -> Tensor:
        """The next pictures, float32 (count, C, H, W) in [-1, 1].

        Raises:
            DataError: a broken picture, nothing to read at all, or a connection that is lost for good.
        """
        pictures: list[Tensor] = []
        while len(pictures) < count:
            if self._taken == len(self._block.pictures):
                self._next_block()
            more = self._block.pictures[self._taken : self._taken + count - len(pictures)]
            pictures += more
            self._taken += len(more)
        words = chances(self.seed, (self.given + torch.arange(count)) * self.world + self.rank)
        self.given += count
        x = cut(pictures, self.decoder.size, words if self.decoder.crop == "random" else None)
        return scaled(flipped(x, words) if self.flip else x)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, as numbers and texts that JSON can hold."""
        exact = self.shuffle_buffer <= 1  # a shuffle buffer is filled anew: nothing in it was given out, so there is nothing to pass over
        return {
            "place": self._block.before if exact else self._block.after,
            "taken": self._taken if exact else 0,
            "given": self.given,
            "skipped": self.skipped - (self._block.skipped if exact else 0),
            "rank": self.rank,
            "world": self.world,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another stream of this set stood.

        Raises:
            DataError: it was another process's share, or one of another number of processes.
        """
        if (state["rank"], state["world"]) != (self.rank, self.world):
            raise DataError(
                f"the stream's state is that of process {state['rank']} of {state['world']}, this is process {self.rank} of {self.world}: "
                "resume with the same number of processes"
            )
        self.given, self.skipped = state["given"], state["skipped"]
        self._block, self._taken = BEGINNING, 0
        self._reader.begin(**state["place"], read_so_far=self.given)
        if state["taken"]:
            self._next_block()
            self._taken = state["taken"]

    def close(self) -> None:
        """Stop reading; what happens at the end of the process anyway."""
        self._finalizer()

    def _next_block(self) -> None:
        self._block, self._taken = self._reader.next(), 0
        self.skipped += self._block.skipped


class BlockReader:
    """Reads a stream ahead, pass after pass.

    Its threads are multiprocessing's, which are daemons: a run that ends need not wait until one of them gives up a network that is gone
    (datasets tries for minutes).
    """

    def __init__(self, table: IterableDataset, column: str, decoder: Decoder, name: str, skip_broken: bool) -> None:
        self.table, self.column, self.decoder, self.name, self.skip_broken = table, column, decoder, name, skip_broken
        self.decoders, self.thread = ThreadPool(thread_count()), ThreadPool(1)
        self.ending = threading.Event()
        self.rows: Iterator[Any] | None = None
        self.coming: AsyncResult[Block] | None = None
        self.epoch = self.read_so_far = self.broken = 0
        self.start: dict[str, Any] | None = None

    def begin(self, *, epoch: int, table: dict[str, Any] | None, read_so_far: int) -> None:
        """Go to a place that a block names."""
        if self.coming is not None:
            self.coming.wait()
        self.rows = self.coming = None
        self.epoch, self.start, self.read_so_far = epoch, table, read_so_far
        self.table.load_state_dict(table)

    def next(self) -> Block:
        """The next block; the one after it is then already being read."""
        block = (self.coming or self.thread.apply_async(self.read)).get()
        self.coming = self.thread.apply_async(self.read)
        return block

    def close(self) -> None:
        """End the reading: at once if it can, else leave it to end with the process."""
        self.ending.set()
        if self.coming is not None:
            self.coming.wait(2)
        if self.coming is None or self.coming.ready():
            self.rows = None  # while modules are there: a pass torn down with the interpreter complains on the screen
        self.thread.terminate()
        self.decoders.terminate()

    def read(self) -> Block:
        """Read a block; a new pass begins where one ends."""
        before = self.place()
        cells: list[Any] = []
        try:
            if self.rows is None:
                self.table.set_epoch(self.epoch)
                self.rows = iter(self.table)
            while len(cells) < BLOCK and not self.ending.is_set() and (row := next(self.rows, None)) is not None:
                cells.append(row[self.column])
        except Exception as error:  # a connection, a server, a file: whatever the reading of one raises
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"the stream of {self.name} broke off after {self.read_so_far:,} pictures ({type(error).__name__}: {reason}): check the network, "
                "and go on from the last checkpoint with --resume latest"
            ) from error
        if not cells:
            if self.read_so_far == 0:
                raise DataError(f"the stream of {self.name} has no picture that can be read: give a set with at least one for each process")
            self.epoch, self.start, self.rows = self.epoch + 1, None, None
            return self.read()
        pictures = [picture for picture in self.decoders.map(self.picture, cells) if picture is not None]
        self.read_so_far += len(pictures)
        return Block(pictures, len(cells) - len(pictures), before, self.place())

    def place(self) -> dict[str, Any]:
        """Where the stream stands."""
        return {"epoch": self.epoch, "table": self.start if self.rows is None else self.table.state_dict()}

    def picture(self, cell: Any) -> Tensor | None:
        """Decode one."""
        try:
            return self.decoder(cell, f"a picture of {self.name}, within {BLOCK} of number {self.read_so_far:,},")
        except DataError:
            if not self.skip_broken:
                raise
            self.broken += 1
            say_skipped(self.broken, self.name)
            return None
