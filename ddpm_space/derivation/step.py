"""A step of the derivation: what it says, and both of its sides as numbers that can be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

RELATIONS = ("=", ">=", "~")
"""Equal; left at least right; another value, but least at the same place ("reweighted")."""


@dataclass(frozen=True)
class Side:
    """One side of a step, averaged over the data.

    value: () or (T,), one number or one for each step of the chain, float64; error: how far off it may be, same shape or (): five standard errors of
    what was drawn, or what halving the quadrature's nodes changes; minimum: (T,), for "~" the factor in front of eps_theta that would make each
    step's term least.
    """

    value: Tensor
    error: Tensor
    minimum: Tensor | None = None


@dataclass(frozen=True)
class StepCheck:
    """What became of a step on the data given.

    left, right: the two sides where they agree least; difference: left - right, for "~" the distance of the two minima; tolerance: what the errors
    of both sides allow; holds: whether the sign is true within it; element: which number of the sides that is, None where each is one number.
    """

    left: float
    right: float
    difference: float
    tolerance: float
    holds: bool
    element: int | None


@dataclass(frozen=True)
class Step:
    """One line of the derivation.

    key: a short name; equations: ids in the registry; latex, zh, en: what it says; relation: one of RELATIONS; route_zh, route_en: how each side is
    computed, by separate routes; left, right: compute the sides now, on the data the derivation was made for.
    """

    key: str
    equations: tuple[str, ...]
    latex: str
    zh: str
    en: str
    relation: str
    route_zh: str
    route_en: str
    left: Callable[[], Side]
    right: Callable[[], Side]

    def __post_init__(self) -> None:
        if self.relation not in RELATIONS:
            raise ValueError(f"unknown relation '{self.relation}': use one of {', '.join(RELATIONS)}")

    def check(self) -> StepCheck:
        """Evaluate both sides and say whether the sign holds, and by how much."""
        return self.compare(self.left(), self.right())

    def compare(self, left: Side, right: Side) -> StepCheck:
        """Say the same of sides that were evaluated already, for who shows them too."""
        difference = left.value - right.value
        if self.relation == "~":
            if left.minimum is None or right.minimum is None:
                raise ValueError(f"step '{self.key}': a '~' needs the place of the minimum on both sides")
            difference = (left.minimum - right.minimum).abs()
        # How far the sign is from being true: anything positive beyond the tolerance breaks it.
        broken = -difference if self.relation == ">=" else difference.abs()
        broken = torch.where(broken.isnan(), torch.inf, broken).reshape(-1)
        allowed = (left.error + right.error).expand(difference.shape).reshape(-1)
        worst = int((broken - allowed).argmax())
        sides = [side.value.reshape(-1) for side in (left, right)]
        shown_left, shown_right = (float(value[worst] if len(value) > 1 else value[0]) for value in sides)
        holds = bool(broken[worst] <= allowed[worst])
        element = worst if len(broken) > 1 else None
        return StepCheck(shown_left, shown_right, float(difference.reshape(-1)[worst]), float(allowed[worst]), holds, element)
