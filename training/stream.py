"""Pictures that are read while training, from a data set that is never on this disk as a whole."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import torch
from datasets import IterableDataset
from datasets.distributed import split_dataset_by_node
from torch import Tensor

from training.augmentation import chances, cut, flipped, scaled
from training.image_sets import thread_count
from training.pictures import DataError, Decoder

BLOCK = 64
"""Pictures read ahead together, in a thread of their own, while the network computes."""


class Block(NamedTuple):
    """Pictures in the order in which they are given out, where the stream stood before the first of them, and how many had to be left out."""

    pictures: list[Tensor]
    before: dict[str, Any]
    skipped: int


@dataclass
class ImageStream:
    """One process's share of a stream, without end: after its last picture it begins anew, in another order.

    Args:
        table: the stream, undecoded, already in the order it is to be read in. column: with the pictures. name: as in model cards.
        seed: of the flips and crops. shuffle_buffer: how many pictures `table` is shuffled among; 0 or 1: it is not.
        rank, world: this process, and how many there are; their pictures are disjoint.
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
        self.table = split_dataset_by_node(self.table, self.rank, self.world)
        self.skipped = self.given = self.epoch = 0
        self._threads = ThreadPoolExecutor(thread_count(), thread_name_prefix="pictures")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="stream")
        self._passes: list[Iterator[Any]] = []  # the one that is being read, or none
        self._block, self._taken = Block([], {}, 0), 0
        self._next: Future[Block] | None = None
        self._start: dict[str, Any] | None = None
        # An open pass that is torn down with the interpreter complains on the screen about modules that are gone.
        weakref.finalize(self, _close, self._passes)
        self._read_so_far = 0

    @property
    def loses(self) -> str:
        """What a run that is resumed will not see; empty: nothing, it goes on with the very next picture."""
        if self.shuffle_buffer <= 1:
            return ""
        return (
            f"resuming a stream is not exact: up to {self.shuffle_buffer:,} pictures a process, which waited in the shuffle buffer, "
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
                self._block, self._taken = (self._next or self._reader.submit(self._read)).result(), 0
                self.skipped += self._block.skipped
                self._next = self._reader.submit(self._read)
            more = self._block.pictures[self._taken : self._taken + count - len(pictures)]
            pictures += more
            self._taken += len(more)
        words = chances(self.seed, (self.given + torch.arange(count)) * self.world + self.rank)
        self.given += count
        x = cut(pictures, self.decoder.size, words if self.decoder.crop == "random" else None)
        return scaled(flipped(x, words) if self.flip else x)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, as numbers and texts that JSON can hold."""
        return {
            "before": self._block.before,
            "taken": self._taken,
            "given": self.given,
            "skipped": self.skipped - self._block.skipped,
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
        if self._next is not None:
            wait([self._next])
        _close(self._passes)
        self._next, self._block, self._taken = None, Block([], {}, 0), 0
        self.given, self.skipped, self._read_so_far = state["given"], state["skipped"], state["given"]
        if not state["before"]:
            return
        self.epoch = state["before"]["epoch"]
        self._start = state["before"]["table"]
        self.table.load_state_dict(self._start)
        if self.shuffle_buffer <= 1:  # a shuffle buffer is filled anew, so there is nothing in it that was given out before
            self._block, self._taken = self._reader.submit(self._read).result(), state["taken"]
            self.skipped += self._block.skipped

    def _read(self) -> Block:
        """The next pictures, in the reader's thread; a new pass begins where one ends."""
        before = {"epoch": self.epoch, "table": self.table.state_dict() if self._passes else self._start}
        try:
            if not self._passes:
                self.table.set_epoch(self.epoch)
                self._passes.append(iter(self.table))
            cells = [row[self.column] for row in islice(self._passes[0], BLOCK)]
        except Exception as error:  # a connection, a server, a file: whatever the reading of one raises
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"the stream of {self.name} broke off after {self._read_so_far:,} pictures ({type(error).__name__}: {reason}): check the network, "
                "and go on from the last checkpoint with --resume latest"
            ) from error
        if not cells:
            if self._read_so_far == 0:
                raise DataError(
                    f"the stream of {self.name} has no picture that can be read for process {self.rank} of {self.world}: "
                    "give a set with at least one for each process"
                )
            _close(self._passes)
            self.epoch, self._start = self.epoch + 1, None
            return self._read()
        pictures = [picture for picture in self._threads.map(self._picture, cells) if picture is not None]
        self._read_so_far += len(pictures)
        return Block(pictures, before, len(cells) - len(pictures))

    def _picture(self, cell: Any) -> Tensor | None:
        try:
            return self.decoder(cell, f"a picture of {self.name}, soon after the first {self._read_so_far:,},")
        except DataError:
            if not self.skip_broken:
                raise
            return None


def _close(passes: list[Any]) -> None:
    while passes:
        passes.pop().close()
