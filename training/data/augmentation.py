"""Flips and crops as a function of the seed and of a picture's place in the run, so that a resumed run has the same ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def chances(seed: int, positions: Tensor) -> np.ndarray:
    """Random numbers of each position, uint64 (B, 4): a counter-based generator, so that they depend on nothing that came before."""
    return np.stack([np.random.Philox(key=seed, counter=position).random_raw(4) for position in positions.tolist()])


def flipped(x: Tensor, words: np.ndarray) -> Tensor:
    """Mirror the pictures (B, C, H, W) whose first word is odd."""
    mirrored = torch.from_numpy((words[:, 0] & np.uint64(1)).astype(bool))
    return torch.where(mirrored[:, None, None, None], x.flip(3), x)


def cut(pictures: Sequence[Tensor], size: int, words: np.ndarray | None) -> Tensor:
    """Cut size x size pixels out of each picture (C, h, w): where its second and third word say, or in the middle."""
    squares = []
    for index, picture in enumerate(pictures):
        spare = (picture.shape[1] - size, picture.shape[2] - size)
        top, left = (int(words[index, 1 + axis] % np.uint64(spare[axis] + 1)) if words is not None else spare[axis] // 2 for axis in (0, 1))
        squares.append(picture[:, top : top + size, left : left + size])
    return torch.stack(squares)


def scaled(x: Tensor) -> Tensor:
    """Bytes to float32 in [-1, 1]."""
    return x.float() / 127.5 - 1
