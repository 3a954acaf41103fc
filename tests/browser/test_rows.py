"""Every part of every row of the notes that a visitor can operate has a proof in the browser, in Chinese and in English.

A proof says what it proves by `@pytest.mark.row("N1", "bridge")`; this reads the marks and needs no browser itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

LANGUAGES = {"zh", "en"}
PARTS = {
    "N1": {"stationary", "msd", "bridge", "score"},
    "N2": {"density", "entropy", "kl", "sum", "product"},
    "N3": {"reparameterized", "linear", "gradients"},
    "N4": {"gaussian", "binomial", "entropy_bounds"},
    "N5": {"single_steps"},
    "N6": {"one_jump"},
    "N7": {"posterior"},
    "N8": {"sampling", "means", "variances", "L_T", "bound"},
    "N9": {"gap", "elbo", "importance"},
    "N10": {"likelihood", "kl", "derivation"},
}
"""row -> what of it a visitor can operate."""

FOLDER = Path(__file__).parent


def proofs(modules: list[object]) -> Iterator[tuple[str, str, str]]:
    """Yield (row, part, language) of every marked proof."""
    for module in modules:
        own = getattr(module, "pytestmark", [])
        everywhere = own if isinstance(own, list) else [own]
        for name, test in vars(module).items():
            marks = [*everywhere, *getattr(test, "pytestmark", [])]
            if not name.startswith("test_") or all(mark.name != "proof" for mark in marks):
                continue
            languages = {lang for mark in marks if mark.name == "parametrize" and mark.args[0] == "lang" for lang in mark.args[1]}
            for mark in marks:
                if mark.name == "row":
                    row, *parts = mark.args
                    yield from ((row, part, lang) for part in parts for lang in languages)


def test_every_part_of_every_row_is_proved_in_both_languages() -> None:
    pytest.importorskip("playwright")
    modules = [importlib.import_module(f"{__package__}.{path.stem}") for path in sorted(FOLDER.glob("test_lab_*.py"))]
    found = set(proofs(modules))
    wanted = {(row, part, lang) for row, parts in PARTS.items() for part in parts for lang in LANGUAGES}
    assert set(PARTS) == {f"N{number}" for number in range(1, 11)}
    assert sorted(wanted - found) == [], "no proof in the browser"
    assert sorted(found - wanted) == [], "a proof of a part that is not in the list"


def test_a_missing_language_is_found() -> None:
    class One:
        @pytest.mark.proof
        @pytest.mark.row("N1", "bridge")
        @pytest.mark.parametrize("lang", ["zh"])
        def test_one(self, lang: str) -> None: ...

        @pytest.mark.row("N1", "score")
        @pytest.mark.parametrize("lang", ["zh"])
        def test_in_no_tier(self, lang: str) -> None: ...

    assert list(proofs([One])) == [("N1", "bridge", "zh")]
