"""Work in numbered pieces, split over the processes of a run: each piece is done by exactly one of them, and every process ends with all results.

A piece's result may depend on its number and on nothing of the process that does it: then no figure depends on how many processes there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Result = TypeVar("Result")


def share(pieces: int, rank: int, world: int) -> range:
    """The numbers of the pieces that process `rank` of `world` does.

    Raises:
        ValueError: rank outside 0..world - 1.
    """
    if not 0 <= rank < world:
        raise ValueError(f"process {rank} of {world}: the processes are numbered from 0 to {world - 1}")
    return range(rank, pieces, world)


def together(done: Mapping[int, Result], pieces: int, world: int) -> list[Result]:
    """Exchange the results between all processes, in the order of the pieces; every process must call it.

    Args:
        done: this process's results by the number of their piece; world: how many processes there are, 1 exchanges nothing.
    Raises:
        RuntimeError: a piece that no process did, or that two did.
    """
    found = list(done.items())
    if world > 1:
        from accelerate.utils import gather_object

        found = gather_object(found)
    numbers = sorted(number for number, _ in found)
    if numbers != list(range(pieces)):
        raise RuntimeError(f"{len(numbers)} results for {pieces} pieces of work: {world} processes were said to share it; use the number that runs")
    results = dict(found)
    return [results[number] for number in range(pieces)]
