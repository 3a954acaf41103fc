"""The walk through the derivation as the page asks for it: the library's lines, each side and verdict, data as drawn, bad input."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
import torch

from ddpm_space.derivation import derivation
from ddpm_space.derivation.__main__ import example_data
from ddpm_space.errors import TextError
from ddpm_space.exact.chain import ExactChain
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.labs import derivation as lab
from ddpm_space.ui.text import TEXT
from ddpm_space.ui.widgets import encode

SETTINGS = {"law": "bumps", "model": "perfect", "steps": 4, "variance": "fixed_large", "data": 6, "trajectories": 2000, "seed": 3}


def walk(**changes: Any) -> list[dict]:
    return list(lab.run(Asked({**SETTINGS, **changes})))


def unpack(packed: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["b64"]), dtype=packed["dtype"]).reshape(packed["shape"])


def test_every_line_is_the_library_s() -> None:
    x_0 = example_data().sample(6, generator=torch.Generator().manual_seed(3))[:, 0]
    chain = ExactChain(example_data(), NoiseSchedule.cosine(4), "fixed_large")
    expected = {step.key: step.check() for step in derivation(x_0, chain, trajectories=2000, seed=3)}
    *_, last = walk()
    assert last["done"] and [line["key"] for line in last["lines"]] == list(expected)
    assert np.array_equal(unpack(last["data"]), x_0.numpy())
    for line in last["lines"]:
        found = expected[line["key"]]
        # A wider reach makes another grid for the same integrals.
        assert (line["left"], line["right"]) == pytest.approx((found.left, found.right), abs=1e-6)
        assert line["holds"] and found.holds and (line["element"] is None) == (found.element is None)
    encode(last)


def test_lines_come_one_by_one() -> None:
    counts = [len(payload["lines"]) for payload in walk()]
    assert counts == [*range(14), 13]


@pytest.mark.parametrize("law", lab.LAWS)
@pytest.mark.parametrize("model", lab.MODELS)
def test_all_lines_hold_in_every_world(law: str, model: str) -> None:
    *_, last = walk(law=law, model=model, variance="fixed_small")
    assert [line["key"] for line in last["lines"] if not line["holds"]] == []


def test_a_model_that_takes_the_data_for_one_gaussian_is_less_likely() -> None:
    first = {name: {line["key"]: line for line in walk(model=name, data=32)[-1]["lines"]} for name in lab.MODELS}
    assert first["perfect"]["likelihood"]["left"] > first["one_gaussian"]["likelihood"]["left"] + 0.1


def test_the_outline_names_every_line_in_both_languages_and_on_the_page() -> None:
    lines = lab.answer(Asked({}))["lines"]
    assert [line["key"] for line in lines] == [line["key"] for line in walk()[-1]["lines"]]
    for line in lines:
        assert f"line.{line['key']}" in TEXT
        assert line["words"]["zh-CN"] != line["words"]["en"] and line["relation"] in ("=", ">=", "~")


def test_a_line_of_many_numbers_comes_whole() -> None:
    lines = {line["key"]: line for line in walk()[-1]["lines"]}
    assert [len(unpack(lines[key]["sides"]["left"]["value"])) for key in ("means", "posterior", "likelihood")] == [4, 3, 1]
    assert np.abs(unpack(lines["simple"]["sides"]["left"]["minimum"]) - unpack(lines["simple"]["sides"]["right"]["minimum"])).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("law", "swiss"), ("model", 1), ("steps", 1), ("steps", 13), ("variance", "optimal"), ("data", 0), ("data", 33)),
        *(("trajectories", 99), ("trajectories", 8001), ("seed", -1), ("seed", None)),
    ],
)
def test_bad_input_names_the_control(name: str, value: Any) -> None:
    with pytest.raises(TextError) as caught:
        walk(**{name: value})
    assert caught.value.values["name"] == name
