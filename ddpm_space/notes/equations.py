"""The registry: every equation of the notes with its LaTeX, meaning, source, function and check. pytest and the app call the same check.

`python -m ddpm_space.notes.equations` runs every check and prints id, route, error and tolerance.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ddpm_space import notes
from ddpm_space.notes.entry import DESCRIBED, MARKED, Check, Description

SOURCES = tuple(
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(notes.__path__, f"{notes.__name__}.")
    if not module.name.endswith(".equations")
)
"""Every module of the notes; importing them fills the registry with the functions they mark and the checks that describe these."""


@dataclass(frozen=True)
class Equation:
    """One equation: what it says, the function that computes it, and a check by an independent route."""

    id: str
    function: Callable
    description: Description

    @property
    def latex(self) -> str:
        return self.description.latex

    @property
    def meaning_zh(self) -> str:
        return self.description.zh

    @property
    def meaning_en(self) -> str:
        return self.description.en

    @property
    def source(self) -> str:
        return self.description.source

    def check(self, generator: torch.Generator | None = None) -> Check:
        """Compare the function with its independent route on values drawn now.

        Args:
            generator: where the values come from; a fixed seed when None.
        """
        return Check(self.description.route_en, *self.description.measure(generator or torch.Generator().manual_seed(0)))


def _row(equation_id: str) -> int:
    return int(equation_id.removeprefix("N").split(".")[0])


EQUATIONS: dict[str, Equation] = {key: Equation(key, MARKED[key], DESCRIBED[key]) for key in sorted(MARKED, key=_row)}
"""Every equation by id, in the order of the notes' rows."""


def main() -> None:
    """Run every check and print one line each."""
    for item in EQUATIONS.values():
        result = item.check()
        print(f"{'ok  ' if result.passed else 'FAIL'} {item.id:28} error {result.error:9.2e}  tolerance {result.tolerance:8.1e}  {result.route}")


if __name__ == "__main__":
    main()
