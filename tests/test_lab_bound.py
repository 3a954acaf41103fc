"""The loss tab's runs of the model: errors, the bound under an X-ray, a picture as a lossy code; against the library, and with bad input."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ddpm_space import loss
from ddpm_space.bound import full_bound
from ddpm_space.errors import TextError
from ddpm_space.exact.floor import bayes_floor
from ddpm_space.images import load_image, quantize, to_uint8
from ddpm_space.models import LoadedModel
from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.example_files import example_names, example_path
from ddpm_space.ui.head import STATIC
from ddpm_space.ui.labs import bound, errors, loss_runs, lossy
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.widgets import encode
from ddpm_space.ui.worlds import digit_pictures, perfect_denoiser, ten_digits

BOUND = {"network": "model", "pictures": "mine", "chain": "all", "draws": "2", "variance": "fixed_large", "clip": True, "seed": 5}
LOSSY = {"network": "model", "chain": "all", "draws": "4", "variance": "fixed_small", "clip": True, "seed": 5}
PICTURE = {"picture": {"example": "digit_7"}}


@pytest.fixture(scope="module")
def slot(tiny_pipeline: Path) -> ModelSlot:
    return ModelSlot(str(tiny_pipeline))


@pytest.fixture(scope="module")
def model(slot: ModelSlot) -> LoadedModel:
    return slot.get()


def last(run: Callable[..., Iterator[dict]], slot: ModelSlot, settings: dict, **changes: Any) -> dict:
    *_, found = run(slot, Asked({**PICTURE, **settings, **changes}))
    assert found["done"]
    encode(found)
    return found


def unpack(packed: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["b64"]), dtype=packed["dtype"]).reshape(packed["shape"])


def test_errors_are_the_library_s(slot: ModelSlot, model: LoadedModel) -> None:
    found = last(errors.run, slot, {"timesteps": "9, 30", "seed": 2})
    x_0 = load_image(example_path("digit_7"), size=8)
    expected = loss.eps_errors(model.denoiser, x_0, [9, 30], draws=16, seed=2)
    assert [(row["t"], row["mse"]) for row in found["rows"]] == [(row.t, row.mse) for row in expected]
    assert found["simple"]["mean"] == loss.simple_loss(model.denoiser, x_0, draws=128, seed=2).mean
    assert found["seen"]["pictures"]["shape"] == [1, 8, 8]


def test_no_timesteps_are_five_over_the_model_s_own_chain(slot: ModelSlot) -> None:
    assert [row["t"] for row in last(errors.run, slot, {"timesteps": " ", "seed": 0})["rows"]] == [0, 2, 10, 25, 45]
    assert errors.suggested(1000) == [10, 50, 200, 500, 900]


def test_the_bound_s_terms_weights_and_stretches_add_up(slot: ModelSlot, model: LoadedModel) -> None:
    found = last(bound.run, slot, BOUND)
    *_, expected = loss.bound_terms(model.denoiser, load_image(example_path("digit_7"), size=8), draws=2, variance="fixed_large", seed=5)
    assert found["sum"]["mean"] == expected.running.mean
    rows = found["stretches"]
    assert sum(row["terms"] for row in rows) == 50 and (rows[0]["from"], rows[-1]["to"]) == (0, 49)
    assert sum(row["bits"] for row in rows) + found["parts"]["L_T"]["mean"] == pytest.approx(expected.running.mean, rel=1e-12)
    assert math.hypot(*(row["se"] for row in rows)) == pytest.approx(expected.running.standard_error, rel=1e-9)
    assert sum(row["simple"] for row in rows) == pytest.approx(1, rel=1e-12)
    assert found["floor"] is None


def test_a_term_is_its_weight_times_its_error(slot: ModelSlot, model: LoadedModel) -> None:
    """Without clipping and with beta_tilde as variance nothing else is left in L_{t-1}."""
    found = last(bound.run, slot, BOUND, variance="fixed_small", clip=False)
    terms, weights, squares = (unpack(found[name]) for name in ("bits", "weights", "eps_mse"))
    assert terms[1:-1] == pytest.approx(weights[:-1] * squares[:-1] / math.log(2), rel=1e-5)


def test_the_perfect_network_meets_the_floor_and_no_other_undercuts_it(slot: ModelSlot) -> None:
    perfect = last(bound.run, slot, BOUND, pictures="digits", network="perfect", draws="8")["floor"]
    trained = last(bound.run, slot, BOUND, pictures="digits", draws="8")["floor"]
    assert abs(perfect["excess"]) < 4 * perfect["se"] and trained["excess"] > 10 * trained["se"]
    assert perfect["count"] > 20


def test_the_floor_is_the_library_s_and_its_bits_are_those_of_a_perfect_chain(slot: ModelSlot, model: LoadedModel) -> None:
    schedule = model.denoiser.schedule
    found = last(bound.run, slot, BOUND, pictures="digits", network="perfect", draws="8")
    times, floor, bits = (unpack(found["floor"][name]) for name in ("t", "mse", "bits"))
    place = int(np.abs(floor - 0.1).argmin())
    again = bayes_floor(ten_digits(1, 8), schedule.alpha_bar[int(times[place])], samples=4096, generator=torch.Generator().manual_seed(9))
    assert abs(floor[place] - float(again.value)) < 6 * float(again.standard_error) * math.sqrt(1 + 4096 / bound.FLOOR_SAMPLES)
    measured = unpack(found["bits"])[1:][::-1][times.astype(int)]
    assert np.abs(measured - bits).sum() < 0.1 * bits.sum()


def test_the_floor_s_bits_are_its_errors_weighed(slot: ModelSlot) -> None:
    found = last(bound.run, slot, BOUND, pictures="digits", network="perfect", variance="fixed_small")
    times, floor, bits = (unpack(found["floor"][name]) for name in ("t", "mse", "bits"))
    assert bits == pytest.approx(unpack(found["weights"])[::-1][times.astype(int)] * floor / math.log(2), rel=1e-6, abs=1e-12)


def test_the_stretches_of_a_long_chain() -> None:
    def term(t: int) -> loss.BoundProgress:
        one = loss.Estimate(1.0, 0.1, 2)
        return loss.BoundProgress(0, 6, t, "L_t-1", one, one, loss.Estimate(10.0, 0.1, 2), {})

    rows = bound.stretches([term(t) for t in (999, 500, 499, 99, 9, 1, 0)], 1000)
    assert [(row["from"], row["to"], row["terms"]) for row in rows] == [(0, 0, 1), (1, 9, 2), (10, 99, 1), (100, 499, 1), (500, 999, 2)]
    assert rows[-1]["share"] == pytest.approx(0.2) and rows[-1]["se"] == pytest.approx(math.hypot(0.1, 0.1))


def test_the_perfect_denoiser_knows_its_ten_pictures(model: LoadedModel) -> None:
    digits = digit_pictures(1, 8)
    assert torch.equal(quantize(digits), digits) and len(digits) == 10
    found = perfect_denoiser(ten_digits(1, 8), model.denoiser.schedule).predict(digits, torch.tensor(0)).x_0_hat
    assert (found - digits).abs().max() < 1e-4


def test_rate_and_distortion_are_the_library_s(slot: ModelSlot, model: LoadedModel) -> None:
    found = last(lossy.run, slot, LOSSY)
    copies = quantize(load_image(example_path("digit_7"), size=8)).repeat(4, 1, 1, 1)
    expected = full_bound(model.denoiser, copies, variance="fixed_small", seed=5).rate_distortion()
    assert unpack(found["t"]).tolist() == [point.t for point in expected]
    assert unpack(found["rate"]) == pytest.approx([point.rate for point in expected], rel=1e-9)
    assert unpack(found["rmse"]) == pytest.approx([point.rmse for point in expected], rel=1e-9)
    assert (np.diff(unpack(found["rate"])) >= 0).all() and (unpack(found["rate_se"])[1:] > 0).all()


def test_the_receiver_s_pictures_have_the_errors_they_are_said_to_have(slot: ModelSlot) -> None:
    kept = last(lossy.run, slot, LOSSY)["kept"]
    x_0 = unpack(kept["x_0_hat"]).astype(float)
    clean = (load_image(example_path("digit_7"), size=8)[0, 0].numpy() + 1) * 127.5
    shown = np.sqrt(((x_0 - clean) ** 2).mean(axis=(1, 2)))
    assert np.abs(shown - np.array(kept["rmse"])).max() < 0.6  # bytes are rounded
    assert kept["t"][0] == 49 and kept["t"][-1] == 0 and kept["place"][-1] == 49


def test_the_receiver_s_guess_is_the_network_s(slot: ModelSlot, model: LoadedModel) -> None:
    kept = last(lossy.run, slot, LOSSY)["kept"]
    place, clean = 7, quantize(load_image(example_path("digit_7"), size=8))
    eps = torch.randn(clean.shape, generator=torch.Generator().manual_seed(5))
    x_t = q_cumulative_sample(clean, model.denoiser.schedule.alpha_bar[kept["t"][place]], eps=eps)
    guess = model.denoiser.predict(x_t, torch.tensor(kept["t"][place]), clip=1.0).x_0_hat
    assert np.abs(unpack(kept["x_0_hat"])[place].astype(int) - to_uint8(guess)[0]).max() <= 1
    assert np.abs(unpack(kept["x_t"])[place].astype(int) - to_uint8(x_t)[0]).max() <= 1


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Give runs a clock that a second passes on with every look, and so many seconds to take: the first look starts it."""

    def limited(seconds: int) -> None:
        looks = iter(range(10_000))
        monkeypatch.setattr(loss_runs, "time", SimpleNamespace(perf_counter=lambda: float(next(looks))))
        monkeypatch.setattr(loss_runs, "RUN_SECONDS", seconds)

    return limited


def test_a_bound_that_takes_too_long_ends_with_the_terms_it_has(slot: ModelSlot, ticking: Callable) -> None:
    whole = last(bound.run, slot, BOUND)
    assert whole["limit"] is None and whole["total"] == 51
    ticking(7)
    found = last(bound.run, slot, BOUND)
    # One look a term: the eighth is the first after more than seven seconds.
    assert found["limit"] == 7 and len(unpack(found["bits"])) == 8 and found["total"] == 51
    assert (unpack(found["bits"]) == unpack(whole["bits"])[:8]).all() and found["sum"]["mean"] == unpack(whole["running"])[7]


def test_a_bound_that_ends_in_its_last_second_is_whole(slot: ModelSlot, ticking: Callable) -> None:
    ticking(50)
    found = last(bound.run, slot, BOUND)
    assert found["limit"] is None and len(unpack(found["bits"])) == 51


def test_a_code_that_takes_too_long_keeps_what_was_sent_and_the_receiver_s_pictures_of_it(slot: ModelSlot, ticking: Callable) -> None:
    whole = last(lossy.run, slot, LOSSY)
    ticking(9)
    found = last(lossy.run, slot, LOSSY)
    assert whole["limit"] is None and found["limit"] == 9 and found["total"] == 50
    assert (unpack(found["rate"]) == unpack(whole["rate"])[:9]).all() and len(unpack(found["t"])) == 9
    assert found["kept"]["place"] == [*range(9)] and found["kept"]["t"] == [*range(49, 40, -1)]
    assert (unpack(found["kept"]["x_0_hat"])[0] == unpack(whole["kept"]["x_0_hat"])[0]).all()


@pytest.mark.parametrize(("seconds", "rows", "simple"), [(2, 2, False), (4, 3, False), (40, 3, True)])
def test_errors_that_take_too_long_end_with_what_there_is(slot: ModelSlot, ticking: Callable, seconds: int, rows: int, simple: bool) -> None:
    """Three t of 16 draws leave the question whether 128 more draws fit: at the pace so far they take 128 / 48 as long again."""
    whole = last(errors.run, slot, {"timesteps": "3, 9, 30", "seed": 2})
    ticking(seconds)
    found = last(errors.run, slot, {"timesteps": "3, 9, 30", "seed": 2})
    assert [row["mse"] for row in found["rows"]] == [row["mse"] for row in whole["rows"]][:rows]
    assert (found["simple"] == whole["simple"]) == simple and found["limit"] == (None if simple else seconds)


@pytest.mark.parametrize(("run", "settings"), [(bound.run, BOUND), (lossy.run, LOSSY), (errors.run, {"timesteps": "3", "seed": 0})])
def test_a_run_says_which_model_it_measured(slot: ModelSlot, run: Callable, settings: dict) -> None:
    found = last(run, slot, settings, model="user/model@main")["model"]
    assert found == {
        **{"source": "tiny", "revision": None, "bundled": False, "prediction_type": "epsilon", "learned_variance": False},
        **{"network": "model", "choice": "user/model@main"},
    }


@pytest.mark.parametrize(
    ("source", "example", "network", "kind"),
    [
        *(("bundled:mnist", "digit_7", "model", "inside"), ("bundled:mnist", "coat", "model", "outside_digits")),
        *(("bundled:fashion_mnist", "coat", "model", "inside"), ("bundled:fashion_mnist", "digit_7", "model", "outside_clothes")),
        *(("somewhere/else", "digit_7", "model", "unknown"), ("somewhere/else", "coat", "model", "unknown")),
        *(("somewhere/else", "digit_7", "perfect", "inside"), ("bundled:mnist", "coat", "perfect", "impossible")),
    ],
)
def test_what_is_said_of_a_picture_is_what_is_known(model: LoadedModel, source: str, example: str, network: str, kind: str) -> None:
    asked, named = Asked({"picture": {"example": example}}), replace(model, source=source)
    assert loss_runs.seen(named, loss_runs.picture_for(named, asked), asked, network=network)["seen"]["kind"] == kind


def test_a_picture_of_one_s_own_is_no_digit_for_sure(model: LoadedModel) -> None:
    buffer = io.BytesIO()
    Image.new("L", (28, 28)).save(buffer, "PNG")
    asked = Asked({"picture": {"png": base64.b64encode(buffer.getvalue()).decode()}})
    x_0 = loss_runs.picture_for(model, asked)
    assert loss_runs.seen(replace(model, source="bundled:mnist"), x_0, asked)["seen"]["kind"] == "outside_digits"
    # The ten digits are X-rayed whatever picture is chosen above.
    assert loss_runs.seen(replace(model, source="bundled:mnist"), x_0, asked, digits=True)["seen"]["kind"] == "inside"


@pytest.mark.parametrize(
    ("run", "settings", "name", "value"),
    [
        *(
            (bound.run, BOUND, "network", "gan"),
            (bound.run, BOUND, "pictures", None),
            (bound.run, BOUND, "chain", "10"),
            (bound.run, BOUND, "draws", 2),
        ),
        *((bound.run, BOUND, "variance", "learned_range"), (bound.run, BOUND, "seed", -1)),
        *((lossy.run, LOSSY, "network", ""), (lossy.run, LOSSY, "chain", None), (lossy.run, LOSSY, "draws", "3"), (lossy.run, LOSSY, "seed", 0.5)),
        (errors.run, {"timesteps": ""}, "seed", "x"),
    ],
)
def test_bad_input_names_the_control(slot: ModelSlot, run: Callable, settings: dict, name: str, value: Any) -> None:
    with pytest.raises(TextError) as caught:
        last(run, slot, settings, **{name: value})
    assert caught.value.values["name"] == name


def test_bad_timesteps_and_pictures_are_one_sentence(slot: ModelSlot) -> None:
    with pytest.raises(TextError, match="is not a list of timesteps"):
        last(errors.run, slot, {"timesteps": "50", "seed": 0})
    with pytest.raises(TextError):
        last(errors.run, slot, {"timesteps": "", "seed": 0}, picture={"png": "bm8="})


def test_too_much_work_is_refused(slot: ModelSlot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loss_runs.MOST_WORK, "model", 999)
    with pytest.raises(TextError, match="1000 evaluations of the network, 50 steps x 2 noises x 10 pictures; at most 999"):
        last(bound.run, slot, BOUND, pictures="digits")
    last(lossy.run, slot, LOSSY, draws="8")
    monkeypatch.setitem(loss_runs.MOST_WORK, "model", 399)
    with pytest.raises(TextError, match="400 evaluations of the network, 50 steps x 8 noises x 1 pictures"):
        last(lossy.run, slot, LOSSY, draws="8")


def test_the_page_s_examples_are_the_package_s() -> None:
    script = (STATIC / "source.js").read_text(encoding="utf-8")
    assert '[..."0123456789"].map((digit) => `digit_${digit}`).concat("coat", "sneaker")' in script
    assert example_names() == [*(f"digit_{digit}" for digit in range(10)), "coat", "sneaker"]
