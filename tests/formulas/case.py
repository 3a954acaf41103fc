"""One case: an equation's id, the piece of its LaTeX, its symbols with their ranges, and how the function is called with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from ddpm_space.notes.equations import EQUATIONS
from formulas.latex import NAME_LETTERS, expression, piece_of, tokens

DRAWS = 12

Range = Callable[[torch.Generator], Tensor]


def between(low: float, high: float) -> Range:
    """Uniform float64 values, one a draw."""
    return lambda generator: low + (high - low) * torch.rand(DRAWS, generator=generator, dtype=torch.float64)


def vector(length: int) -> Range:
    """Standard normal samples of `length` elements, (draws, length); the symbol carries an index."""
    return lambda generator: torch.randn(DRAWS, length, generator=generator, dtype=torch.float64)


def NORMAL(generator: torch.Generator) -> Tensor:
    """Standard normal values, one a draw."""
    return torch.randn(DRAWS, generator=generator, dtype=torch.float64)


POSITIVE = between(0.2, 3.0)
UNIT = between(0.05, 0.45)
"""A probability-like value; with LARGER_UNIT a pair such as abar_t < abar_s."""
LARGER_UNIT = between(0.5, 0.95)


@dataclass(frozen=True)
class Case:
    """A formula to compare with its function; `formulas/__init__.py` explains each field."""

    id: str
    symbols: Mapping[str, Range | float]
    piece: str = "side 1"
    statement: int = 0
    output: int | str | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    call: Callable[[Callable, dict[str, Any]], Any] | None = None
    tolerance: float = 1e-10

    @property
    def name(self) -> str:
        return self.id if self.output is None else f"{self.id}[{self.output}]"

    def names(self) -> dict[str, sympy.Symbol]:
        """The sympy symbol for each symbol's LaTeX."""
        base = len(NAME_LETTERS)
        latex = dict.fromkeys([*self.symbols, *self.given])
        return {spelling: sympy.Symbol("S" + NAME_LETTERS[i // base] + NAME_LETTERS[i % base]) for i, spelling in enumerate(latex)}

    def shown(self) -> list[str]:
        """The tokens of the piece of the registry's LaTeX."""
        return piece_of(EQUATIONS[self.id].latex, self.piece, self.statement)

    def expression(self, parts: list[str]) -> sympy.Expr:
        """Read a piece and put in the `given` symbols, the last first, since each may use those before it."""
        names = self.names()
        read = expression(parts, names)
        for spelling, source in reversed(self.given.items()):
            read = read.subs(names[spelling], expression(given_parts(source), names))
        return read

    def values(self, generator: torch.Generator) -> dict[str, Any]:
        return {spelling: where(generator) if callable(where) else where for spelling, where in self.symbols.items()}

    def by_latex(self, parts: list[str], values: Mapping[str, Any]) -> np.ndarray:
        """Evaluate a piece at `values`."""
        names = self.names()
        read = self.expression(parts)
        plain = {names[s]: value for s, value in values.items() if not isinstance(value, Tensor)}
        vectors = {names[s]: s for s, value in values.items() if isinstance(value, Tensor) and value.ndim == 2}
        # A symbol with an index becomes an indexed one; with the limits known, sympy writes each sum out.
        indexed = {symbol: sympy.Indexed(symbol.name, sympy.Symbol(index_of(spelling))) for symbol, spelling in vectors.items()}
        read = read.subs(indexed).subs(plain).doit()
        numbers: dict[sympy.Symbol, np.ndarray] = {
            names[s]: value.numpy() for s, value in values.items() if isinstance(value, Tensor) and value.ndim == 1
        }
        for element in sorted(read.atoms(sympy.Indexed), key=str):
            spelling = next(s for symbol, s in vectors.items() if symbol.name == str(element.base))
            symbol = sympy.Symbol(f"{element.base}_{element.indices[0]}")
            read = read.subs(element, symbol)
            numbers[symbol] = values[spelling][:, int(element.indices[0]) - 1].numpy()
        if read.has(sympy.zoo, sympy.nan):
            return np.full(DRAWS, np.nan)
        with np.errstate(all="ignore"):
            return np.asarray(sympy.lambdify(list(numbers), read, modules=["scipy", "numpy"])(*numbers.values()), dtype=float)

    def by_function(self, values: dict[str, Any]) -> Any:
        """Call the marked function; returns its whole output."""
        function = EQUATIONS[self.id].function
        return function(*values.values()) if self.call is None else self.call(function, values)

    def chosen(self, out: Any) -> np.ndarray:
        """The output that the case is about."""
        if self.output is not None:
            out = getattr(out, self.output) if isinstance(self.output, str) else out[self.output]
        return out.double().numpy()

    def error(self, parts: list[str], generator: torch.Generator) -> float:
        """Largest difference between the formula and the function, relative to the function's largest value; infinite for a NaN."""
        values = self.values(generator)
        left, right = np.broadcast_arrays(self.by_latex(parts, values), self.chosen(self.by_function(values)))
        error = float(np.abs(left - right).max() / np.abs(right).max())
        return error if np.isfinite(error) else float("inf")


def index_of(spelling: str) -> str:
    """The index of a vector's symbol: i for x_i and for x_{\\theta,i}."""
    return next(token for token in reversed(tokens(spelling)) if token != "}")


def given_parts(source: str) -> list[str]:
    """Tokens of a `given` symbol: LaTeX, or "id" or "id piece" of the equation that shows it."""
    equation_id, _, piece = source.partition(" ")
    if equation_id in EQUATIONS:
        return piece_of(EQUATIONS[equation_id].latex, piece or "side 1")
    return tokens(source)
