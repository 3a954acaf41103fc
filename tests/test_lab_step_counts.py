"""Lab "step_counts": rows of one noise, their costs and distances, and what is said when a row cannot be."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ddpm_space import models
from ddpm_space.denoiser import Denoiser
from ddpm_space.images import to_uint8
from ddpm_space.sampling import SamplingSettings, sample
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.labs import step_counts
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.widgets import encode, streamed

GOOD = {"s10": True, "s50": True, "shared": "path", "images": 2, "clip": True, "seed": 4}


def unpack(packed: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["b64"]), dtype=packed["dtype"]).reshape(packed["shape"])


def test_the_row_of_all_steps_is_the_sampler_s_and_the_others_are_measured_against_it(tiny_pipeline: Path) -> None:
    payloads = list(step_counts.run(ModelSlot(str(tiny_pipeline)), Asked({**GOOD, "s1000": True})))
    last = payloads[-1]
    assert last["done"] and [row["steps"] for row in last["rows"]] == [10, 50] and last["left_out"] == [1000] and encode(last)
    assert [len(payload["rows"]) for payload in payloads] == sorted(len(payload["rows"]) for payload in payloads), "rows stay once they are there"
    model = models.load(tiny_pipeline)
    *_, frame = sample(model.denoiser, model.shape, SamplingSettings(2, 50, "trailing", "fixed_small", True, 4, 50))
    few, all_steps = (unpack(row["pictures"]).astype(int) for row in last["rows"])
    assert np.abs(all_steps - to_uint8(frame.x_prev)).max() <= 1
    assert last["rows"][1]["rms"] == 0 and last["rows"][1]["max"] == 0
    assert last["rows"][0]["rms"] == pytest.approx(np.sqrt(((few - all_steps) ** 2).mean()) / 127.5, abs=0.01)


def test_what_a_row_costs_is_counted(tiny_pipeline: Path) -> None:
    loaded = models.load(tiny_pipeline)
    calls: list[int] = []

    def network(x_t, t):
        calls.append(len(x_t))
        return loaded.denoiser.network(x_t, t)

    class Counted(ModelSlot):
        def get(self, asked: Asked | None = None):
            return replace(loaded, denoiser=Denoiser(network, loaded.denoiser.prediction_type, loaded.denoiser.schedule))

    *_, last = step_counts.run(Counted("counted"), Asked(GOOD))
    assert sum(row["calls"] for row in last["rows"]) == len(calls) == 60 and set(calls) == {2}
    assert all(row["seconds"] > 0 for row in last["rows"])


def test_one_noise_brings_the_rows_closer_than_x_T_alone(gaussian_on: Callable, tiny_pipeline: Path) -> None:
    loaded = models.load(tiny_pipeline)
    exact = gaussian_on(loaded.denoiser.schedule).denoiser

    class Exact(ModelSlot):
        def get(self, asked: Asked | None = None):
            return replace(loaded, denoiser=exact)

    def apart(shared: str) -> float:
        *_, last = step_counts.run(Exact("exact"), Asked({**GOOD, "shared": shared, "images": 6}))
        return last["rows"][0]["rms"]

    # Over 384 pixels a root mean square is known to 4 %; two independent draws of the data, std 0.25, would be 0.35 apart.
    start, path = apart("start"), apart("path")
    assert start > 0.2 and path < 0.65 * start, (start, path)


def test_a_run_that_takes_too_long_keeps_its_rows(tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_counts, "RUN_SECONDS", 0)
    *_, last = step_counts.run(ModelSlot(str(tiny_pipeline)), Asked(GOOD))
    assert last["done"] and last["limit"] == 0 and last["rows"] == []


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"s10": False, "s50": False}, "error.steps.none"),
        ({"s10": False, "s50": False, "s250": True}, "error.steps.none"),
        ({"images": 7}, "error.form.whole_number"),
        ({"shared": "all"}, "error.form.choice"),
        ({"seed": 2**40}, "error.form.whole_number"),
    ],
)
def test_bad_settings_are_one_sentence(tiny_pipeline: Path, changes: dict, key: str) -> None:
    (payload,) = streamed(step_counts.run)(ModelSlot(str(tiny_pipeline)), Asked({**GOOD, **changes}))
    assert payload["error"]["key"] == key
