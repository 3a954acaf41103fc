"""What an equation of the notes consists of: an id, LaTeX, a sentence, a source, the function that computes it, and an independent check.

A formula's module marks its function with `@equation(id)`; a module under `notes/checks/` adds the rest with `@entry(id, ...)` above the check.
`ddpm_space.notes.equations` imports both sides and holds the finished registry. This module stands apart so that neither side imports the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable)

MARKED: dict[str, Callable] = {}
"""id -> the function that computes the equation."""


class Check(NamedTuple):
    """One comparison made now: what was compared (`route`), the two values where they differ most, and whether that is too much."""

    route: str
    left: float
    right: float
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance


class Measured(NamedTuple):
    """What a check function returns: the values where the two sides differ most, that difference, and the tolerance."""

    left: float
    right: float
    error: float
    tolerance: float


@dataclass(frozen=True)
class Description:
    """Everything about an equation but its function."""

    latex: str
    zh: str
    en: str
    source: str
    route_zh: str
    route_en: str
    measure: Callable[[torch.Generator], Measured]


DESCRIBED: dict[str, Description] = {}
"""id -> what the registry says about the equation."""


def equation(equation_id: str) -> Callable[[Function], Function]:
    """Mark a function as the one that computes the equation `equation_id`, such as "N7.q_posterior".

    Raises:
        ValueError: the id is already taken.
    """

    def mark(function: Function) -> Function:
        if equation_id in MARKED:
            raise ValueError(f"equation id '{equation_id}' is marked twice: {MARKED[equation_id].__qualname__} and {function.__qualname__}")
        MARKED[equation_id] = function
        return function

    return mark


def entry(equation_id: str, *, latex: str, zh: str, en: str, source: str, route_zh: str, route_en: str) -> Callable[[Function], Function]:
    """Describe the equation `equation_id`; the decorated function is its independent check.

    Args:
        latex: the formula, without delimiters; zh, en: its meaning in one sentence; source: paper and equation number.
        route_zh, route_en: what the check compares with what.
    Raises:
        ValueError: the id is already described.
    """

    def describe(measure: Function) -> Function:
        if equation_id in DESCRIBED:
            raise ValueError(f"equation id '{equation_id}' is described twice")
        DESCRIBED[equation_id] = Description(latex, zh, en, source, route_zh, route_en, measure)
        return measure

    return describe


def compare(left: Tensor, right: Tensor, tolerance: float | Tensor) -> Measured:
    """Compare two results element by element, in units of `tolerance` where that varies, and report the worst place.

    Args:
        left, right: same shape; tolerance: a number, or a tensor of that shape (several standard errors of a Monte Carlo estimate, say).
    """
    left, right = torch.broadcast_tensors(left.double(), right.double())
    allowed = torch.as_tensor(tolerance, dtype=torch.float64).broadcast_to(left.shape).reshape(-1)
    error = (left - right).abs().reshape(-1)
    error = torch.where(error.isnan(), torch.inf, error)
    worst = int((error / allowed).argmax())
    return Measured(float(left.reshape(-1)[worst]), float(right.reshape(-1)[worst]), float(error[worst]), float(allowed[worst]))
