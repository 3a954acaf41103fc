"""How a marked function is called with samples of any shape, on any device; `formulas/__init__.py` says where its row stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ddpm_space.notes.equations import EQUATIONS

SHAPES = ((), (3,), (3, 2, 4, 4))

SAMPLE = "a sample"
"""An argument that is drawn from a standard normal law in the shape, dtype and device of the test."""


@dataclass(frozen=True)
class coefficient:
    """An argument that is one number for all samples, or one a sample, between `low` and `high`."""

    low: float
    high: float

    def number(self) -> float:
        return (self.low + self.high) / 2

    def each(self, batch: int) -> Tensor:
        return torch.linspace(self.low, self.high, batch, dtype=torch.float64)


@dataclass(frozen=True, init=False)
class Call:
    """The arguments of a function and the kinds of its outputs.

    Args:
        arguments, keywords: SAMPLE, coefficient(low, high), a Tensor (a constant that follows the sample's dtype and device), or any value as it is.
        outputs: for each output "sample" (the sample's shape, dtype and device), "batch" ((B,), the sample's dtype and device) or "coefficient"
            (float64 on the CPU, in the coefficients' shape).
        shapes: of the samples; () is left out for a function that reduces over a batch's samples.
    """

    arguments: tuple[Any, ...]
    outputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...] = SHAPES
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def __init__(self, *arguments: Any, outputs: str = "sample", shapes: tuple[tuple[int, ...], ...] | None = None, **keywords: Any) -> None:
        kinds = tuple(outputs.split())
        object.__setattr__(self, "arguments", arguments)
        object.__setattr__(self, "outputs", kinds)
        object.__setattr__(self, "shapes", shapes or (SHAPES[1:] if "batch" in kinds else SHAPES))
        object.__setattr__(self, "keywords", keywords)

    def takes(self, kind: str | type) -> bool:
        every = (*self.arguments, *self.keywords.values())
        return any(isinstance(value, kind) if isinstance(kind, type) else value is kind for value in every)

    def inputs(self, shape: tuple[int, ...], per_sample: bool) -> tuple[list[Any], dict[str, Any]]:
        """Draw float64 arguments on the CPU; coefficients are (B,) where `per_sample`, else plain numbers."""
        generator = torch.Generator().manual_seed(len(shape))

        def value(argument: Any) -> Any:
            if argument is SAMPLE:
                return torch.randn(shape, generator=generator, dtype=torch.float64)
            if isinstance(argument, coefficient):
                return argument.each(shape[0]) if per_sample else argument.number()
            return argument

        return [value(argument) for argument in self.arguments], {name: value(argument) for name, argument in self.keywords.items()}

    def mapped(self, function: Callable[[Any, Any], Any], inputs: tuple[list[Any], dict[str, Any]]) -> tuple[list[Any], dict[str, Any]]:
        """Apply `function`(what the argument is, its value) to each input."""
        positional, named = inputs
        return (
            [function(kind, value) for kind, value in zip(self.arguments, positional, strict=True)],
            {name: function(self.keywords[name], value) for name, value in named.items()},
        )


def results(equation_id: str, inputs: tuple[list[Any], dict[str, Any]]) -> tuple[Tensor, ...]:
    """Call the marked function; one output becomes a tuple of one."""
    positional, named = inputs
    out = EQUATIONS[equation_id].function(*positional, **named)
    return tuple(out) if isinstance(out, tuple) else (out,)
