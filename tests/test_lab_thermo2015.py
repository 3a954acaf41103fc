"""The section on 2015: K against the truth and against draws, where the entropy bound breaks, the heartbeat's films, bad input."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import pytest
import torch

from ddpm_space.errors import TextError
from ddpm_space.notes.thermo2015 import step_kl_bits
from ddpm_space.notes.thermo2015_binomial import draw_bits, q_cumulative_bits
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.labs import thermo2015 as lab
from ddpm_space.ui.labs.thermo2015_bits import LENGTH, Heartbeat
from ddpm_space.ui.widgets import encode

LINE = {"kernel": "gaussian", "shape": "two_peaks", "moment": 1.0, "steps": 20}
BITS = {"kernel": "binomial", "period": "4", "rate": "data", "steps": 20, "seed": 0}


def ask(settings: dict, **changes: Any) -> dict:
    answer = lab.answer(Asked({**settings, **changes}))
    encode(answer)
    return answer


def unpack(packed: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["b64"]), dtype=packed["dtype"]).reshape(packed["shape"])


@pytest.mark.parametrize("shape", ["gaussian", "two_peaks"])
@pytest.mark.parametrize("moment", [0.3, 1.0, 4.0])
def test_K_on_the_line_never_exceeds_the_truth(shape: str, moment: float) -> None:
    found = ask(LINE, shape=shape, moment=moment)
    assert found["bound"] <= found["truth"] + 1e-9
    assert found["gain"] == pytest.approx(found["bound"] - found["null"], abs=1e-12)
    assert found["null"] == pytest.approx(-(moment + math.log(2 * math.pi)) / 2 / math.log(2), abs=1e-9)
    assert found["routes"] < 1e-4


def test_unit_gaussian_data_are_pi_and_gain_nothing() -> None:
    found = ask(LINE, shape="gaussian")
    assert abs(found["gain"]) < 1e-9 and found["truth"] == pytest.approx(found["null"], abs=1e-9)


def test_eq_14_as_printed_exceeds_the_truth_where_the_moment_is_not_d() -> None:
    assert ask(LINE, shape="gaussian", moment=4.0)["plain"] > ask(LINE, shape="gaussian", moment=4.0)["truth"] + 1e-4


@pytest.mark.parametrize(
    ("shape", "moment", "broken"), [("gaussian", 1.0, 0), ("gaussian", 1.1, 19), ("two_peaks", 1.0, 0), ("two_peaks", 5.0, None)]
)
def test_the_upper_bound_breaks_where_the_second_moment_exceeds_d(shape: str, moment: float, broken: int | None) -> None:
    found = ask(LINE, shape=shape, moment=moment)
    assert found["sure"] == (moment <= 1)
    assert found["broken"] == broken if broken is not None else 0 < found["broken"] < 19
    assert (unpack(found["lower"]) <= unpack(found["reverse"]) + 1e-9).all()
    assert found["broken"] == int((unpack(found["reverse"]) > unpack(found["upper"]) + 1e-9).sum())


@pytest.mark.parametrize("period", ["2", "4", "8"])
@pytest.mark.parametrize("rate", ["data", "half"])
def test_the_heartbeat_s_bound_lies_between_pi_and_the_truth(period: str, rate: str) -> None:
    found = ask(BITS, period=period, rate=rate)
    assert found["null"] < found["bound"] < found["truth"] == pytest.approx(-math.log2(int(period)))
    ones, to = LENGTH / int(period), 0.5 if rate == "half" else 1 / int(period)
    assert found["null"] == pytest.approx(ones * math.log2(to) + (LENGTH - ones) * math.log2(1 - to), rel=1e-12)
    assert found["broken"] == 0 and found["sure"]
    assert max(found["routes"], found["entropy_routes"]) < 1e-9


def test_a_step_s_kl_against_draws() -> None:
    """The enumerated KL of one step against 40,000 draws of (x_0, x_t), within five standard errors."""
    beat, t, random = Heartbeat(4, True, 20), 9, torch.Generator().manual_seed(0)
    x_0 = beat.data[torch.randint(4, (40_000,), generator=random)]
    x_t = draw_bits(q_cumulative_bits(x_0, beat.alpha_bar[t], rate=beat.rate), generator=random)
    likelihood = q_cumulative_bits(beat.data, beat.alpha_bar[t], rate=beat.rate)
    chance = torch.where(x_t[:, None] == 1, likelihood, 1 - likelihood).prod(dim=2)
    x_0_hat = (chance / chance.sum(dim=1, keepdim=True)) @ beat.data
    kl = step_kl_bits(x_0, x_t, x_0_hat, beat.alpha_bar[t], beat.alpha_bar[t - 1], rate=beat.rate) / math.log(2)
    exact = unpack(ask(BITS)["terms"])[t - 1]
    assert abs(float(kl.mean()) - exact) < 5 * float(kl.std()) / 200


def test_the_reverse_chain_draws_heartbeats() -> None:
    """Of 300 sequences before the fixed last step at least 85% are data (94% were), though each step treats its bits as independent."""
    beat, random = Heartbeat(4, True, 60), torch.Generator().manual_seed(1)
    before_last = [beat.drawn(random)[-2] for _ in range(300)]
    assert sum(any(torch.equal(one, data) for data in beat.data) for one in before_last) > 0.85 * 300
    film = unpack(ask(BITS)["noised"])
    assert film.shape == (21, LENGTH) and film[0].sum() == 2


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        *((LINE, "kernel", "cauchy"), (LINE, "shape", None), (LINE, "moment", 7), (LINE, "moment", "1"), (LINE, "steps", 2), (LINE, "steps", 61)),
        *((BITS, "period", "3"), (BITS, "rate", "third"), (BITS, "seed", 1.5)),
    ],
)
def test_bad_input_names_the_control(settings: dict, name: str, value: Any) -> None:
    with pytest.raises(TextError) as caught:
        ask(settings, **{name: value})
    assert caught.value.values["name"] == name
