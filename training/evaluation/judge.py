"""Judge samples beside real images: distances to the training and the held-out set with their floors, recognised classes, nearest training images.

Both sets are read once, block by block; with several processes each reads its blocks, and the distances are shared out too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from training.evaluation.findings import Frechet, Recognised
from training.evaluation.frechet import Distance, FeatureNetwork, Reference
from training.evaluation.heldout import Rows
from training.evaluation.memorisation import LARGEST, Nearness, compare, nearest, pixels
from training.evaluation.shares import share, together

CONFIDENCE = 0.9
BLOCK = 1000
"""Images of a data set looked at in one piece of work."""


@dataclass(frozen=True)
class Judgement:
    """What was found: see `findings.Evaluation`, whose fields these become; neighbours are shown as they are near, mirrored or not."""

    frechet: Frechet
    recognised: Recognised | None
    memorisation: tuple[Nearness, ...]
    notes: tuple[str, ...]
    neighbours: Tensor | None


class Survey(NamedTuple):
    """One reading of a data set: its features (N, D); for each of M queries the distance to its nearest image, in pixels and in features, and in
    pixels that image's row and whether it is the mirrored one, each (M,)."""

    features: Tensor
    pixel_distance: Tensor
    pixel_row: Tensor
    pixel_mirrored: Tensor
    feature_distance: Tensor


class InMemory:
    """Images (N, C, H, W) in [-1, 1] as a data set."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> Tensor:
        """Images of these rows."""
        return self.images[indices]


def survey(data: Rows, network: FeatureNetwork, queries: Tensor, points: Tensor, *, flip: bool = False, rank: int = 0, world: int = 1) -> Survey:
    """Read a data set once.

    Args:
        queries: (M, C, H, W) in [-1, 1]; points: (M, D) their features; flip: the mirrored images count as images of the set, too.
    """
    in_pixels = pixels(queries)

    def look(block: int) -> Survey:
        rows = torch.arange(block * BLOCK, min(len(data), (block + 1) * BLOCK))
        x = data.batch(rows)
        features, candidates = network.features(x), [pixels(x)]
        seen = [features]
        if flip and len(queries):
            candidates.append(pixels(x.flip(-1)))
            seen.append(network.features(x.flip(-1)))
        distance, place = nearest(in_pixels, torch.cat(candidates))
        return Survey(features, distance, rows[place % len(rows)], place >= len(rows), nearest(points, torch.cat(seen))[0])

    blocks = -(-len(data) // BLOCK)
    parts = together({block: look(block) for block in share(blocks, rank, world)}, blocks, world)
    distance, block = torch.stack([part.pixel_distance for part in parts]).min(dim=0)
    row = torch.stack([part.pixel_row for part in parts]).gather(0, block[None])[0]
    mirrored = torch.stack([part.pixel_mirrored for part in parts]).gather(0, block[None])[0]
    in_features = torch.stack([part.feature_distance for part in parts]).min(dim=0).values
    return Survey(torch.cat([part.features for part in parts]), distance, row, mirrored, in_features)


def judge(
    samples: Tensor,
    train: Rows | None,
    held_out: Rows | None,
    network: FeatureNetwork,
    *,
    seed: int = 0,
    flip: bool = False,
    rank: int = 0,
    world: int = 1,
) -> Judgement:
    """Compare samples with real images.

    Args:
        samples: (n, C, H, W) in [-1, 1], on the 256-level grid as the real images are; n above the number of features; the same on every process.
        train, held_out: the two sets; None for one that there is not. seed: chooses the real images that stand in the samples' place.
        flip: mirrored training images count as training images.
        rank, world: this process and how many share the work; all of them must call this, and all get the result.
    """
    n, generator, notes = len(samples), torch.Generator().manual_seed(seed), []
    nothing = torch.empty(0, *samples.shape[1:])
    read = partial(survey, network=network, rank=rank, world=world)
    own = read(InMemory(samples), queries=nothing, points=torch.empty(0, network.size)).features
    outside = torch.empty(0, network.size) if held_out is None else read(held_out, queries=nothing, points=torch.empty(0, network.size)).features
    # As many real images as samples, so that both distances have the same n.
    rows = torch.randperm(len(outside), generator=generator)[:n]
    real = outside[rows]
    inside, neighbours, memorisation = torch.empty(0, network.size), None, []
    if train is None:
        notes.append("the training set can only be streamed: no distance to it, and no nearest neighbours")
    else:
        queries = torch.cat([samples, nothing if held_out is None else held_out.batch(rows)])
        found = read(train, queries=queries, points=torch.cat([own, real]), flip=flip)
        inside, neighbours = found.features, train.batch(found.pixel_row[:n])
        neighbours = torch.where(found.pixel_mirrored[:n, None, None, None], neighbours.flip(-1), neighbours)
        if len(real) > 1:
            sized = f" at {LARGEST} x {LARGEST}" if max(samples.shape[-2:]) > LARGEST else ""
            spaces = {
                f"pixels{sized} (root mean square, of 0..255)": found.pixel_distance,
                f"features ({network.words})": found.feature_distance,
            }
            memorisation = [compare(space, distance[:n], distance[n:]) for space, distance in spaces.items()]
        else:
            notes.append("there are no held-out images: how close samples come to the training images has nothing to be compared with")
    frechet, more = _distances(own, real, inside, outside, network, generator, rank, world)
    return Judgement(frechet, _recognised(network, own, real), tuple(memorisation), (*notes, *more), neighbours)


def _distances(
    own: Tensor, real: Tensor, inside: Tensor, outside: Tensor, network: FeatureNetwork, generator: torch.Generator, rank: int, world: int
) -> tuple[Frechet, list[str]]:
    """Measure the four distances there are images for; features of the samples, of as many real ones, and of both sets."""
    n, notes = len(own), []
    places = torch.randperm(len(inside), generator=generator)
    stand_in, others = inside[places[:n]], inside[places[n:]]
    floor: tuple[Tensor, Tensor] = (inside, real)
    if len(real) < n and len(inside):
        floor = others, stand_in
        is_known = len(others) > network.size
        notes.append(
            f"there are {len(outside):,} held-out images, fewer than samples: the floor of the distance to the training set is "
            + (f"that of {n:,} training images to the others" if is_known else "not known: too few training images could stand in")
        )
    pairs = [(inside, own), floor, (outside, own), (outside, stand_in if len(stand_in) == n else stand_in[:0])]
    jobs: list[Callable[[], Distance | None]] = [partial(_distance, reference, features) for reference, features in pairs]
    to_train, floor_train, to_held_out, floor_held_out = together({job: jobs[job]() for job in share(4, rank, world)}, 4, world)
    for words, size in (("training", len(inside)), ("held-out", len(outside))):
        if 0 < size <= network.size:
            notes.append(f"there are {size:,} {words} images: no distance to them, {network.size} features need more than {network.size}")
    return Frechet(network.distance, network.words, to_train, floor_train, to_held_out, floor_held_out), notes


def _distance(reference: Tensor, features: Tensor) -> Distance | None:
    if min(len(reference), len(features)) <= reference.shape[1]:
        return None
    return Reference(reference).distance(features)


def _recognised(network: FeatureNetwork, own: Tensor, real: Tensor) -> Recognised | None:
    """Ask the classifier, where the features are a classifier's."""
    if network.classifier is None:
        return None
    with torch.inference_mode():
        sure, sure_real = (network.classifier.to_logits(part.to(network.device)).softmax(1).cpu() for part in (own, real))
    confidence, taken = sure.max(1)
    share_of_real = (sure_real.max(1).values >= CONFIDENCE).double().mean().item() if len(real) else None
    classes = torch.bincount(taken, minlength=sure.shape[1]).tolist()
    return Recognised(CONFIDENCE, (confidence >= CONFIDENCE).double().mean().item(), share_of_real, len(own), len(real), classes)
