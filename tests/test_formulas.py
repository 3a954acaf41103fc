"""The formula shown is the formula computed: each LaTeX of the registry, read by sympy, equals its function at random values."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from formulas import discovered
from formulas.case import Case
from formulas.latex import FormulaError, closing

from ddpm_space.notes.equations import EQUATIONS

CASES, WITHOUT_CASE = discovered()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_formula_shown_is_the_formula_computed(case: Case) -> None:
    for seed in (1, 2):
        assert case.error(case.shown(), generator(seed)) <= case.tolerance


def altered(parts: list[str]) -> Iterator[list[str]]:
    """The piece doubled, or with one sign turned, one square root lost or one fraction upside down."""
    yield ["2", "(", *parts, ")"]
    subscript_ends = 0
    for place, part in enumerate(parts):
        if part == "_" and parts[place + 1] == "{":
            subscript_ends = closing(parts, place + 1)
        if place < subscript_ends:
            continue
        if part in ("+", "-"):
            yield [*parts[:place], "-" if part == "+" else "+", *parts[place + 1 :]]
        elif part == r"\sqrt" and parts[place + 1] == "{":
            yield [*parts[:place], *parts[place + 1 :]]
        elif part == r"\frac" and parts[place + 1] == "{":
            middle = closing(parts, place + 1) + 1
            end = closing(parts, middle) + 1
            yield [*parts[: place + 1], *parts[middle:end], *parts[place + 1 : middle], *parts[end:]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_altered_formula_is_caught(case: Case) -> None:
    for parts in altered(case.shown()):
        try:
            error = case.error(parts, generator())
        except FormulaError:
            continue  # a sign inside a declared symbol was turned: then the formula cannot be read
        assert error > 1e-3, f"not noticed: {''.join(parts)}"


def outputs(case: Case) -> set[str]:
    """The names of what the function returns, as a case writes them."""
    out = case.by_function(case.values(generator()))
    if not isinstance(out, tuple):
        return {case.id}
    fields = getattr(out, "_fields", ())
    return {f"{case.id}[{fields[i] if case.output in fields else i}]" for i in range(len(out))}


def test_every_equation_has_a_case_or_a_reason() -> None:
    known = {case.id for case in CASES} | {name.split("[")[0] for name in WITHOUT_CASE}
    assert set(EQUATIONS) - known == set(), "each needs a Case, or a reason in WITHOUT_CASE of its row's file: see tests/formulas/__init__.py"
    assert known - set(EQUATIONS) == set(), "no such equation in the registry"
    assert {case.id for case in CASES}.isdisjoint(WITHOUT_CASE), "has a case: needs no reason"
    assert all(len(reason.split()) >= 3 for reason in WITHOUT_CASE.values()), "say why"


@pytest.mark.parametrize("equation_id", sorted({case.id for case in CASES}))
def test_every_output_has_a_case_or_a_reason(equation_id: str) -> None:
    cases = [case for case in CASES if case.id == equation_id]
    expected = set().union(*(outputs(case) for case in cases))
    assert {case.name for case in cases} | {name for name in WITHOUT_CASE if name in expected} == expected


def test_a_symbol_that_is_not_declared_is_named() -> None:
    case = next(case for case in CASES if case.id == "N5.q_step")
    with pytest.raises(FormulaError, match="declare"):
        case.expression(["x", "_", "9"])


def test_a_symbol_with_another_subscript_is_not_taken_for_a_declared_one() -> None:
    with pytest.raises(FormulaError, match=r"declare the symbol x_s.*only x is declared"):
        Case("N5.q_step", {"x": 1.0}).expression(["x", "_", "s"])


def test_a_piece_that_is_not_there_is_named() -> None:
    with pytest.raises(FormulaError, match="brace 3"):
        Case("N5.q_step", {}, piece="brace 3").shown()
