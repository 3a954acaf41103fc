"""Lab "clipping": what the page draws of the three chains, against chains sampled by the scheduler."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from ddpm_space import models
from ddpm_space.images import to_uint8
from ddpm_space.sampling import SamplingSettings, sample
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.labs import clipping
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.widgets import encode, streamed

GOOD = {"images": 3, "steps": "50", "variance": "fixed_small", "seed": 4}


def unpack(packed: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["b64"]), dtype=packed["dtype"]).reshape(packed["shape"])


def test_the_end_is_the_sampler_s_and_the_difference_is_theirs(tiny_pipeline: Path) -> None:
    *_, last = clipping.run(ModelSlot(str(tiny_pipeline)), Asked(GOOD))
    assert last["done"] is True and last["total"] == 50 and encode(last)
    model = models.load(tiny_pipeline)
    results = {}
    for clip, route in ((True, "clipped"), (False, "posterior")):
        *_, frame = sample(model.denoiser, model.shape, SamplingSettings(3, 50, "trailing", "fixed_small", clip, 4, 50))
        results[route] = frame.x_prev
        shown = unpack(last["pictures"][route]).astype(int)
        assert np.abs(shown - to_uint8(frame.x_prev)).max() <= 1
    apart = (results["clipped"] - results["posterior"]).abs()
    series = {name: unpack(values) for name, values in last["series"].items()}
    assert series["apart_max"][-1] == pytest.approx(float(apart.max()), rel=1e-3)
    assert series["apart_rms"][-1] == pytest.approx(float(apart.square().mean().sqrt()), rel=1e-3)
    assert series["rounding"][-1] < 1e-6 * float(apart.max())
    assert last["residual"] < 1e-9
    assert np.abs(unpack(last["difference"])).max() == pytest.approx(series["apart_max"][-1], rel=1e-6)


def test_a_running_chain_says_where_it_is(tiny_pipeline: Path) -> None:
    first = next(clipping.run(ModelSlot(str(tiny_pipeline)), Asked(GOOD)))
    assert (first["index"], first["t"], first["done"]) == (0, 49, False)
    assert unpack(first["series"]["t"]).tolist() == [49.0]


def test_a_run_that_takes_too_long_ends_and_says_so(tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clipping, "RUN_SECONDS", 0)
    (payload,) = clipping.run(ModelSlot(str(tiny_pipeline)), Asked(GOOD))
    assert payload["done"] is True and payload["limit"] == 0 and payload["index"] == 0


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"images": 10}, "error.form.whole_number"),
        ({"images": None}, "error.form.whole_number"),
        ({"steps": "60"}, "error.form.choice"),
        ({"steps": 50}, "error.form.choice"),
        ({"variance": "learned"}, "error.form.choice"),
        ({"seed": -1}, "error.form.whole_number"),
        ({"seed": 0.5}, "error.form.whole_number"),
    ],
)
def test_bad_settings_are_one_sentence(tiny_pipeline: Path, changes: dict, key: str) -> None:
    (payload,) = streamed(clipping.run)(ModelSlot(str(tiny_pipeline)), Asked({**GOOD, **changes}))
    assert payload["error"]["key"] == key and payload["error"]["values"]["name"] == next(iter(changes))
