"""Lab "samplers": rows that begin from one noise, each what its own library makes of it, and what is said when a row cannot be."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from ddpm_space import analytic, models
from ddpm_space.coupling import PathNoise, coupled_sample
from ddpm_space.images import to_uint8
from ddpm_space.sampling import SamplingSettings, image_generator, sample
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.labs import samplers
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.widgets import encode, streamed

GOOD = {"ddpm": True, "sde": True, "ddim": True, "dpm": True, "steps": "10", "images": 3, "seed": 4}


def unpack(packed: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["b64"]), dtype=packed["dtype"]).reshape(packed["shape"]).astype(int)


def last_of(folder: Path, **changes: object) -> dict:
    *_, last = samplers.run(ModelSlot(str(folder)), Asked({**GOOD, **changes}))
    assert last["done"] and encode(last)
    return last


def stock(folder: Path, kind: type, steps: int) -> np.ndarray:
    """diffusers' own loop, from the folder's own config."""
    model = models.load(folder)
    x = torch.cat([torch.randn((1, *model.shape), generator=image_generator(4, index)) for index in range(3)])
    scheduler = kind.from_pretrained(folder / "scheduler", timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    with torch.inference_mode():
        for t in scheduler.timesteps:
            x = scheduler.step(model.denoiser.network(x, t.expand(3)), t, x).prev_sample
    return np.asarray(to_uint8(x)).astype(int)


def test_every_row_is_what_its_own_sampler_makes(tiny_pipeline: Path) -> None:
    last = last_of(tiny_pipeline)
    assert [(row["sampler"], row["steps"], row["calls"]) for row in last["rows"]] == [(name, 10, 10) for name in ("ddpm", "sde", "ddim", "dpm")]
    model = models.load(tiny_pipeline)
    *_, frame = coupled_sample(model.denoiser, model.shape, 10, num_images=3, seed=4, clip=True)
    ddpm, _, ddim, dpm = (unpack(row["pictures"]) for row in last["rows"])
    assert np.abs(ddpm - to_uint8(frame.x_prev)).max() <= 1
    assert np.abs(ddim - stock(tiny_pipeline, DDIMScheduler, 10)).max() <= 1
    assert np.abs(dpm - stock(tiny_pipeline, DPMSolverMultistepScheduler, 10)).max() <= 1
    assert np.abs(ddim - dpm).max() > 1 and all(row["seconds"] > 0 for row in last["rows"])


def test_rows_come_one_by_one_and_the_whole_chain_last(tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samplers, "FRAME_SECONDS", 0)
    payloads = list(samplers.run(ModelSlot(str(tiny_pipeline)), Asked({**GOOD, "whole": True})))
    counts = [len(payload["rows"]) for payload in payloads]
    assert counts == sorted(counts) and counts[-1] == 5 and [payload.get("done", False) for payload in payloads].count(True) == 1
    whole = payloads[-1]["rows"][-1]
    assert (whole["sampler"], whole["steps"]) == ("ddpm", 50)
    model = models.load(tiny_pipeline)
    *_, frame = sample(model.denoiser, model.shape, SamplingSettings(3, 50, "trailing", "fixed_small", True, 4, 50))
    assert np.abs(unpack(whole["pictures"]) - to_uint8(frame.x_prev)).max() <= 1, "the film of this seed"
    assert [(payload["now"]["sampler"], payload["now"]["index"]) for payload in payloads if payload["now"]][:9] == [("ddpm", i) for i in range(9)]


def test_deterministic_samplers_follow_one_path(gaussian_on: Callable, tiny_pipeline: Path) -> None:
    """Gaussian data: the path of the probability flow keeps (x_t - E x_t) / std x_t, so that its end is known in closed form."""
    loaded = models.load(tiny_pipeline)
    world = gaussian_on(loaded.denoiser.schedule)

    class Exact(ModelSlot):
        def get(self, asked: Asked | None = None):
            return replace(loaded, denoiser=world.denoiser)

    x_T = torch.cat([torch.randn((1, *loaded.shape), generator=image_generator(4, index)) for index in range(3)]).double()
    alpha_bar_T = float(loaded.denoiser.schedule.alpha_bar[-1])
    standing = (x_T - alpha_bar_T**0.5 * world.mean) / (alpha_bar_T * world.std**2 + 1 - alpha_bar_T) ** 0.5
    end = to_uint8(world.mean + world.std * standing)

    def off(steps: str) -> dict[str, float]:
        *_, last = samplers.run(Exact("exact"), Asked({**GOOD, "ddpm": False, "sde": False, "steps": steps}))
        assert last["left_out"] == (["ddim"] if steps == "20" else []), "20 steps of 50 are none of DDIM's"
        return {row["sampler"]: float(np.abs(unpack(row["pictures"]) - np.asarray(end).astype(int)).mean()) for row in last["rows"]}

    # In grey levels; the second is of second order.
    few, some, many = off("5"), off("20"), off("50")
    assert min(few.values()) > 5 and many["ddim"] < 2 and some["dpm"] < 1 and many["dpm"] < 0.2, (few, some, many)


def test_rows_that_add_noise_near_the_row_of_all_steps(gaussian_on: Callable, tiny_pipeline: Path) -> None:
    """Gaussian data: the network's answer is exact, so that only the steps' length tells rows of one noise apart."""
    loaded = models.load(tiny_pipeline)
    world = gaussian_on(NoiseSchedule.linear(1000))

    class Exact(ModelSlot):
        def get(self, asked: Asked | None = None):
            return replace(loaded, denoiser=world.denoiser)

    def off(steps: str) -> list[float]:
        *_, last = samplers.run(Exact("exact"), Asked({**GOOD, "ddim": False, "dpm": False, "whole": True, "steps": steps}))
        ddpm, sde, whole = (unpack(row["pictures"]) for row in last["rows"])
        return [float(np.abs(row - whole).mean()) for row in (ddpm, sde)]

    # In grey levels. The noise inside a long step is what both miss, whatever their order.
    few, many = off("5"), off("50")
    assert all(0 < after < before / 2 for before, after in zip(few, many)), (few, many)


def test_without_a_table_its_row_is_left_out_by_name(tiny_pipeline: Path) -> None:
    last = last_of(tiny_pipeline, analytic=True)
    assert last["left_out"] == ["analytic"] and [row["sampler"] for row in last["rows"]] == ["ddpm", "sde", "ddim", "dpm"]
    alone = last_of(tiny_pipeline, ddpm=False, sde=False, ddim=False, dpm=False, analytic=True)
    assert alone["rows"] == [] and alone["left_out"] == ["analytic"]
    (tiny_pipeline / "scheduler" / analytic.FILE).write_text(json.dumps({"posterior_variance": np.linspace(0.001, 0.8, 50).tolist(), "images": 2}))
    assert [row["sampler"] for row in last_of(tiny_pipeline, analytic=True)["rows"]] == ["ddpm", "analytic", "sde", "ddim", "dpm"]


def test_the_shared_noise_is_not_on_a_sampler_s_bill(tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 5 of 50 steps it takes ten times the draws that the chain alone would."""
    noise = PathNoise(NoiseSchedule.linear(50), lambda: torch.randn(3))
    noise.seconds = 10.0
    assert noise.surplus(5) == pytest.approx(9) and noise.surplus(50) == 0
    noise(49, 40)
    assert noise.seconds > 10
    monkeypatch.setattr(PathNoise, "surplus", lambda self, steps: 1000.0)
    assert all(row["seconds"] < -900 for row in last_of(tiny_pipeline)["rows"])


def test_a_run_that_takes_too_long_keeps_its_rows(tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samplers, "RUN_SECONDS", 0)
    last = last_of(tiny_pipeline)
    assert last["limit"] == 0 and last["rows"] == []


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"ddpm": False, "sde": False, "ddim": False, "dpm": False}, "error.samplers.none"),
        ({"images": 9}, "error.form.whole_number"),
        ({"steps": "7"}, "error.form.choice"),
        ({"seed": -1}, "error.form.whole_number"),
    ],
)
def test_bad_settings_are_one_sentence(tiny_pipeline: Path, changes: dict, key: str) -> None:
    (payload,) = streamed(samplers.run)(ModelSlot(str(tiny_pipeline)), Asked({**GOOD, **changes}))
    assert payload["error"]["key"] == key
