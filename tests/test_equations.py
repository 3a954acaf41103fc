"""The registry: complete both ways, every check green, and every check able to fail."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

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


def outputs(function: Callable) -> list[str]:
    """Names of what a marked function returns, from its annotation: a Tensor, a tuple of so many Tensors, or a NamedTuple."""
    returned = typing.get_type_hints(function)["return"]
    if returned is Tensor:
        return [""]
    if hasattr(returned, "_fields"):
        return list(returned._fields)
    parts = typing.get_args(returned)
    assert typing.get_origin(returned) is tuple and Ellipsis not in parts, (
        f"{function.__qualname__} returns {returned}, not Tensors of a known number"
    )
    return [str(place) for place in range(len(parts))]


OUTPUTS = [(equation_id, name) for equation_id, item in EQUATIONS.items() for name in outputs(item.function)]


def off(value: Tensor) -> Tensor:
    return ~value if value.dtype == torch.bool else value * 1.05


def broken(function: Callable, output: str) -> Callable:
    """The function with one of its outputs off by 5 %, of the same type otherwise."""

    def wrong(*args: object, **kwargs: object) -> object:
        out = function(*args, **kwargs)
        if not isinstance(out, tuple):
            assert output == "", f"{function.__qualname__} returns one Tensor, its annotation says more"
            return off(out)
        if hasattr(out, "_replace"):
            return out._replace(**{output: off(getattr(out, output))})
        assert len(out) == len(outputs(function)), f"{function.__qualname__} returns {len(out)} values, not what its annotation says"
        return tuple(off(value) if str(place) == output else value for place, value in enumerate(out))

    return wrong


@pytest.mark.parametrize(("equation_id", "output"), OUTPUTS, ids=lambda text: text)
def test_check_fails_on_a_wrong_function(equation_id: str, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function = EQUATIONS[equation_id].function
    for module in equations.SOURCES:
        for name, value in vars(module).copy().items():
            if value is function:
                monkeypatch.setattr(module, name, broken(function, output))
    assert not EQUATIONS[equation_id].check().passed


class Pair(typing.NamedTuple):
    first: Tensor
    second: Tensor


def test_every_output_of_a_tuple_is_broken_alone_and_keeps_its_type() -> None:
    def pair(x: Tensor) -> Pair:
        return Pair(x, x)

    def three(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return x, x, x

    one = torch.ones(())
    assert outputs(pair) == ["first", "second"] and outputs(three) == ["0", "1", "2"]
    wrong = broken(pair, "second")(one)
    assert isinstance(wrong, Pair) and wrong == Pair(one, one * 1.05)
    assert broken(three, "2")(one) == (one, one, one * 1.05)
