"""How far samples are from the data, as one number with its error bar."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.exact import Estimate


def energy_distances(x: Tensor, y: Tensor, *, groups: int = 10) -> Tensor:
    """Energy distance of each of several disjoint groups of x from one of y: 2 E|x - y| - E|x - x'| - E|y - y'|, unbiased, 0 for equal laws.

    Args:
        x, y: (n, ...) samples, independent within each; groups: at least 2, each of n / groups >= 2 samples.
    Returns:
        (groups,) float64. Two runs that share their noise are compared group by group.
    """
    if groups < 2 or min(len(x), len(y)) < 2 * groups:
        raise ValueError(f"{len(x)} and {len(y)} samples in {groups} groups: use at least 2 groups, of at least 2 samples each")
    found = []
    for a, b in zip(_parts(x, groups), _parts(y, groups)):
        within = sum(torch.cdist(part, part).sum() / (len(part) * (len(part) - 1)) for part in (a, b))
        found.append(2 * torch.cdist(a, b).mean() - within)
    return torch.stack(found)


def energy_distance(x: Tensor, y: Tensor, *, groups: int = 10) -> Estimate:
    """The mean of `energy_distances` and its standard error, from their spread; arguments as there."""
    return mean_and_error(energy_distances(x, y, groups=groups))


def mean_and_error(values: Tensor) -> Estimate:
    """Mean of independent values (n,) and its standard error."""
    return Estimate(values.mean(), values.std() / len(values) ** 0.5)


def _parts(x: Tensor, groups: int) -> list[Tensor]:
    each = len(x) // groups
    return list(x.detach().cpu().double().flatten(1)[: each * groups].split(each))
