"""The registry: complete both ways, every check green, and every check able to fail."""

from __future__ import annotations

import inspect
import re

import pytest
import torch

from ddpm_space.notes import equations
from ddpm_space.notes.entry import DESCRIBED, MARKED
from ddpm_space.notes.equations import EQUATIONS


def test_every_marked_function_is_described_and_the_other_way_round() -> None:
    assert set(MARKED) == set(DESCRIBED) == set(EQUATIONS)


@pytest.mark.parametrize("equation_id", EQUATIONS)
def test_entry_is_complete(equation_id: str) -> None:
    item = EQUATIONS[equation_id]
    words = item.description
    assert all(text.strip() for text in (words.latex, words.zh, words.en, words.source, words.route_zh, words.route_en))
    assert any("\u4e00" <= character <= "\u9fff" for character in words.zh) and any("\u4e00" <= c <= "\u9fff" for c in words.route_zh)
    assert not any("\u4e00" <= character <= "\u9fff" for character in words.en + words.route_en)
    row = equation_id.split(".")[0]
    assert re.search(rf"\[[^\]]*{row}\b[^\]]*\]", item.function.__doc__ or ""), f"the docstring names its row, such as [{row}; source]"


@pytest.mark.parametrize("equation_id", EQUATIONS)
def test_check_passes(equation_id: str) -> None:
    for seed in (1, 2, 3):
        result = EQUATIONS[equation_id].check(torch.Generator().manual_seed(seed))
        assert result.passed, result


def broken(function, place: int):
    """The function with one of its outputs off by 5%."""

    def wrong(*args, **kwargs):
        out = function(*args, **kwargs)
        if not isinstance(out, tuple):
            return out * 1.05
        return tuple(value * 1.05 if i == place else value for i, value in enumerate(out))

    return wrong


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("equation_id", EQUATIONS)
def test_check_fails_on_a_wrong_function(equation_id: str, place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    function = EQUATIONS[equation_id].function
    if place == 1 and not inspect.signature(function).return_annotation.startswith("tuple"):
        pytest.skip("one output only")
    for module in equations.SOURCES:
        for name, value in vars(module).copy().items():
            if value is function:
                monkeypatch.setattr(module, name, broken(function, place))
    assert not EQUATIONS[equation_id].check().passed
