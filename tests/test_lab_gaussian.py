"""The labs on Gaussians: what they answer, against torch.distributions, closed forms and sums on grids; and what they refuse."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from ddpm_space.errors import TextError
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.labs import gaussian, gradients, pairs
from ddpm_space.ui.widgets import Payload

BELL = {"mu": 0.8, "sigma": 0.5, "seed": 3}
PAIR = {"kind": "sum", "mu_1": -1.0, "sigma_1": 0.7, "mu_2": 1.2, "sigma_2": 0.4, "a": 0.8, "b": -0.6, "seed": 1}
GRADIENT = {"f": "square", "parameter": "mean", "mu": 0.6, "sigma": 0.9, "draws": 20_000, "seed": 0}


def unpack(packed: Payload) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["b64"]), dtype=packed["dtype"]).reshape(packed["shape"])


def facts(answer: Payload, key: str = "facts") -> dict[str, Payload]:
    return {row["name"]: row for row in answer[key]}


def test_a_gaussian_s_numbers_are_torch_s() -> None:
    answer = gaussian.answer(Asked(BELL))
    law = Normal(torch.tensor(0.8, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64))
    standard = Normal(torch.tensor(0.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64))
    found = facts(answer)
    assert found["entropy"]["formula"] == pytest.approx(float(law.entropy()), rel=1e-14)
    assert found["kl"]["formula"] == pytest.approx(float(kl_divergence(law, standard)), rel=1e-14)
    assert all(row["difference"] < 1e-12 for row in found.values())
    x = torch.from_numpy(unpack(answer["x"]).copy())
    assert unpack(answer["density"]) == pytest.approx(law.log_prob(x).exp().numpy(), rel=1e-12)
    assert (answer["top"], answer["flank"]) == pytest.approx([float(law.log_prob(torch.tensor(place).double()).exp()) for place in (0.8, 1.3)])


def test_the_same_eps_move() -> None:
    answers = [gaussian.answer(Asked({**BELL, **change})) for change in ({}, {"mu": -2.0, "sigma": 1.9}, {"seed": 4})]
    eps = [unpack(answer["eps"]) for answer in answers]
    assert np.array_equal(eps[0], eps[1]) and not np.array_equal(eps[0], eps[2])
    assert answers[1]["points"]["mean"] == pytest.approx(-2.0 + 1.9 * eps[1].mean(), rel=1e-12)
    assert answers[1]["points"]["se"] == pytest.approx(1.9 * eps[1].std(ddof=1) / math.sqrt(len(eps[1])), rel=1e-12)


def test_a_sum_s_moments_and_draws() -> None:
    answer = pairs.answer(Asked(PAIR))
    rows = facts(answer, "rows")
    assert rows["mean"]["formula"] == pytest.approx(0.8 * -1.0 - 0.6 * 1.2, rel=1e-14)
    assert rows["variance"]["formula"] == pytest.approx(0.8**2 * 0.7**2 + 0.6**2 * 0.4**2, rel=1e-14)
    for row in rows.values():
        assert abs(row["measured"] - row["formula"]) < 4 * row["se"]
    edges, heights = unpack(answer["edges"]), unpack(answer["heights"])
    assert (heights * np.diff(edges)).sum() == pytest.approx(1, abs=1e-3)
    # The curve is the convolution of the two scaled densities.
    x = torch.linspace(-12, 12, 4801, dtype=torch.float64)
    at = 0.3
    of_x = Normal(-0.8, 0.56).log_prob(x).exp()
    of_rest = Normal(-0.72, 0.24).log_prob(at - x).exp()
    place = unpack(answer["x"])
    assert np.interp(at, place, unpack(answer["result"])) == pytest.approx(float((of_x * of_rest).sum() * 0.005), rel=1e-3)


def test_a_product_s_moments() -> None:
    answer = pairs.answer(Asked({**PAIR, "kind": "product"}))
    rows = facts(answer, "rows")
    x = np.linspace(-12, 12, 24_001)
    raw = np.exp(-((x + 1) ** 2) / (2 * 0.49) - (x - 1.2) ** 2 / (2 * 0.16)) / (2 * math.pi * 0.7 * 0.4)
    area = raw.sum() * 0.001
    mean = (raw * x).sum() * 0.001 / area
    expected = {"c": area, "mean": mean, "variance": (raw * (x - mean) ** 2).sum() * 0.001 / area}
    for name, value in expected.items():
        assert rows[name]["formula"] == pytest.approx(value, rel=1e-9)
        assert rows[name]["measured"] == pytest.approx(value, rel=1e-9)
    assert unpack(answer["raw"]).max() == pytest.approx(raw.max(), rel=1e-2)


@pytest.mark.parametrize("parameter", gradients.PARAMETERS)
@pytest.mark.parametrize("name", gradients.TARGETS)
def test_both_estimators_find_the_gradient(name: str, parameter: str) -> None:
    answer = gradients.answer(Asked({**GRADIENT, "f": name, "parameter": parameter}))
    for found in answer["estimators"].values():
        assert abs(found["mean"] - answer["exact"]) <= 4 * found["se"] + 1e-12
        # A variance of heavy tails is measured too low more often than too high: five of its own errors, and a tenth.
        assert abs(found["variance"] - found["theory"]) <= 5 * found["variance_se"] + 1e-12
    assert answer["estimators"]["baseline"]["theory"] <= answer["estimators"]["score"]["theory"]
    assert ("pathwise" in answer["estimators"]) == (name != "step")


def test_exact_gradients_by_hand() -> None:
    mu, sigma = 0.6, 0.9
    by_hand = {
        ("wave", "mean"): -3 * math.sin(3 * mu) * math.exp(-4.5 * sigma**2),
        ("wave", "std"): -9 * sigma * math.cos(3 * mu) * math.exp(-4.5 * sigma**2),
        ("step", "mean"): math.exp(-0.5 * (mu / sigma) ** 2) / math.sqrt(2 * math.pi) / sigma,
        ("square", "mean"): 2 * mu,
        ("shifted", "std"): 2 * sigma,
    }
    for (name, parameter), expected in by_hand.items():
        answer = gradients.answer(Asked({**GRADIENT, "f": name, "parameter": parameter, "draws": 50}))
        assert answer["exact"] == pytest.approx(expected, rel=1e-9), name
        if name != "step":
            assert answer["second_route"] == pytest.approx(expected, rel=1e-9)


def test_the_formulas_of_the_variances_agree_with_quadrature() -> None:
    for name, target in gradients.TARGETS.items():
        answer = gradients.answer(Asked({**GRADIENT, "f": name, "draws": 50}))
        if target.quadratic is None:
            continue
        b = (answer["baseline"],) * 2
        by_quadrature = {
            "pathwise": gradients.expected(lambda eps, f=target.f: gradients.gradients.pathwise_gradient(f, 0.6, 0.9, eps)[0])[1],
            "baseline": gradients.expected(lambda eps, f=target.f, b=b: gradients.gradients.score_function_gradient(f, 0.6, 0.9, eps, b)[0])[1],
        }
        for key, value in by_quadrature.items():
            assert answer["estimators"][key]["theory"] == pytest.approx(value, rel=1e-9, abs=1e-12)


BAD = [
    *[(gaussian, BELL, name, value) for name, value in (("mu", 3.01), ("mu", None), ("sigma", 0), ("sigma", "wide"), ("seed", -1), ("seed", 0.5))],
    *[(pairs, PAIR, name, 99) for name in ("mu_1", "sigma_1", "mu_2", "sigma_2", "a", "b")],
    *[(pairs, PAIR, name, value) for name, value in (("kind", "quotient"), ("seed", None), ("sigma_2", 0))],
    *[(gradients, GRADIENT, name, value) for name, value in (("f", "cube"), ("parameter", "variance"), ("mu", 3), ("sigma", 0.1))],
    *[(gradients, GRADIENT, name, value) for name, value in (("draws", 49), ("draws", 100_000), ("draws", 77.5), ("seed", []))],
]


@pytest.mark.parametrize(("lab", "good", "name", "value"), BAD)
def test_bad_values_name_the_control(lab: Any, good: dict, name: str, value: Any) -> None:
    with pytest.raises(TextError) as found:
        lab.answer(Asked({**good, name: value}))
    assert found.value.values["name"] == name
