"""Which checks of the notes catch a mistake: it is planted into the notes' modules for as long as the checks run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NamedTuple

from ddpm_space.mistakes.formulas import RIGHT
from ddpm_space.mistakes.variants import MISTAKES, Mistake
from ddpm_space.notes.equations import EQUATIONS, SOURCES


class Caught(NamedTuple):
    """A check that fails on a mistake, by how much, and what it allows; the error is infinite where the wrong formula ends in an exception."""

    equation_id: str
    error: float
    tolerance: float


@contextmanager
def swapped(function: Callable, other: Callable) -> Iterator[None]:
    """Put `other` in the place of `function` in every module of the notes, and put it back. For checks alone: not for two threads at once."""
    places = [(module, name) for module in SOURCES for name, value in vars(module).items() if value is function]
    try:
        for module, name in places:
            setattr(module, name, other)
        yield
    finally:
        for module, name in places:
            setattr(module, name, function)


@contextmanager
def planted(mistake: Mistake) -> Iterator[None]:
    """Plant a mistake into the notes' own modules while the block runs."""
    with swapped(getattr(RIGHT, mistake.member), mistake.wrong):
        yield


def caught_by(mistake: Mistake, equation_ids: Iterable[str] | None = None) -> list[Caught]:
    """Run checks with the mistake planted and return those that fail.

    Args:
        equation_ids: which checks to run, default all of the registry.
    """
    found = []
    with planted(mistake):
        for equation_id in EQUATIONS if equation_ids is None else equation_ids:
            try:
                result = EQUATIONS[equation_id].check()
            except (ArithmeticError, RuntimeError, ValueError):
                found.append(Caught(equation_id, float("inf"), 0.0))
            else:
                if not result.passed:
                    found.append(Caught(equation_id, result.error, result.tolerance))
    return found


def reached() -> dict[str, list[str]]:
    """Which checks call the function that a mistake replaces, directly or not: by field of `Formulas`, the ids. No other check can notice it."""
    found: dict[str, list[str]] = {}
    for member in dict.fromkeys(mistake.member for mistake in MISTAKES.values()):
        found[member] = []
        function, calls = getattr(RIGHT, member), [0]
        with swapped(function, _counted(function, calls)):
            for item in EQUATIONS.values():
                calls[0] = 0
                item.check()
                if calls[0]:
                    found[member].append(item.id)
    return found


def _counted(function: Callable, calls: list[int]) -> Callable:
    @wraps(function)
    def counting(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        return function(*args, **kwargs)

    return counting
