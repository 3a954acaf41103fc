r"""The formula shown is the formula computed: the LaTeX of the registry, read by sympy, against the marked function at random values.

One file a row or chapter, such as `n5_forward.py`; found by its name n<digits>_*.py. To add a case, write into CASES of such a file:

    Case(
        "N5.q_step",                                       # id in the registry
        {"x_{t-1}": NORMAL, r"\beta_t": between(0, 1)},    # LaTeX of each argument, in the function's order, and where it is drawn from
        piece="mean", output=0,                            # which piece of the LaTeX, and which output of the function
    )

and one case for each output of a function that returns a tuple. What else there is:

- `piece`: "side 1" (the default: after the first =), "side 2" or "side -1" in a chain a = b = c; "mean", "variance" of \mathcal{N}(mean, variance I);
  "brace 0" for the content of the first \underbrace. `statement=1` takes the second of several formulas, which \quad, \qquad or \\ separate.
- `given`: symbols of the LaTeX that are no argument, each by LaTeX, or by the id of the equation that gives it ("N6.beta_between", or
  "N5.q_step mean" for a piece). Each may use the symbols before it: {r"\beta_{t|s}": "N6.beta_between", r"\tilde\mu_t": "N7.posterior_coefficients"}.
- `call`: how to call the function when its arguments are not the symbols in order: lambda f, v: f(v["x"], v[r"\sigma"] ** 2).
- ranges: NORMAL, POSITIVE, UNIT, LARGER_UNIT, between(low, high); a plain number is passed as it is; vector(n) is a whole (draws, n) sample for a
  symbol with an index, such as "x_i" inside \sum_{i=1}^{D} with "D" a plain number.
- `output`: a number or the name of a NamedTuple's field. `tolerance` is relative to the largest value.

A registry id without a case stands in WITHOUT_CASE of a row's file with the reason: {"N8.x": "an expectation over the data"}; one output of
several as {"N8.x[1]": "..."}.

Beside CASES such a file holds ANYWHERE, for tests/test_equations_anywhere.py: how each function is called with samples of any shape on any device.

    ANYWHERE = {"N5.q_step": Call(SAMPLE, coefficient(0.1, 0.4), outputs="sample coefficient")}

with one word for each output: "sample" (shape, dtype and device of the sample), "batch" ((B,), a number a sample) or "coefficient" (float64 on the
CPU); `shapes` where a function takes other samples than (), (B,) and (B, C, H, W). One that can have no row stands in NOT_ANYWHERE with its reason.

Parseable LaTeX: `lhs = rhs`; \frac, \sqrt, \exp\left( \right), \log, \ln, powers, \Phi, \operatorname{erf}, \max, \min, \sum_{i=1}^{n};
named symbols such as \bar\alpha_t, which the case spells as the LaTeX does (spaces apart); conditions after \quad. `\log\frac{a}{b}`, `\log(a)`: what
a function is applied to stands in braces or brackets. Brackets of any size are fine. The reader is sympy's own LaTeX parser.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from formulas.anywhere import Call
from formulas.case import Case


def _modules() -> Iterator[ModuleType]:
    for module in pkgutil.iter_modules(__path__):
        if module.name[0] == "n" and module.name[1].isdigit():
            yield importlib.import_module(f"{__name__}.{module.name}")


def _merged(name: str) -> dict[str, Any]:
    """The tables called `name` of all files as one; an id that stands in two of them is an error."""
    merged: dict[str, Any] = {}
    for module in _modules():
        table = getattr(module, name, {})
        if twice := merged.keys() & table.keys():
            raise ValueError(f"{sorted(twice)} in {name} of {module.__name__} and of another file")
        merged |= table
    return merged


def discovered() -> tuple[list[Case], dict[str, str]]:
    """Return all cases, and the stated reason of each id (or id[output]) that has none."""
    return [case for module in _modules() for case in getattr(module, "CASES", [])], _merged("WITHOUT_CASE")


def anywhere_rows() -> tuple[dict[str, Call], dict[str, str]]:
    """Return how each equation is called with samples, and the stated reason of each id that is not."""
    return _merged("ANYWHERE"), _merged("NOT_ANYWHERE")
