"""The labs on likelihood and its bounds: what they answer, against torch.distributions, finite differences and the exact chain; what they refuse."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from ddpm_space.errors import TextError
from ddpm_space.exact.chain import ExactChain, data_nodes
from ddpm_space.exact_chain import VARIANCES, example_data
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.labs import iwae, jensen, mle
from ddpm_space.ui.widgets import Payload

MLE = {"law": "tails", "n": 60, "seed": 2, "mu": 0.4, "sigma": 0.8, "natural": False, "climb": False}
JENSEN = {"f": "log", "shape": "two", "low": 0.4, "high": 2.5, "p": 0.3, "n": 9, "seed": 5}
IWAE = {"quality": 12, "variance": "fixed_large", "steps": "8", "x_0": 0.1, "seed": 1}


def unpack(packed: Payload) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["b64"]), dtype=packed["dtype"]).reshape(packed["shape"])


@pytest.mark.parametrize("law", mle.LAWS)
def test_the_likelihood_is_torch_s_and_largest_at_the_formula(law: str) -> None:
    answer = mle.answer(Asked({**MLE, "law": law}))
    x = torch.from_numpy(unpack(answer["data"]).copy())
    assert len(x) == 60
    assert answer["log_likelihood"] == pytest.approx(float(Normal(0.4, 0.8).log_prob(x).sum()), rel=1e-6)
    best = Normal(x.mean(), x.std(correction=0))
    assert (answer["best_mean"], answer["best_variance"]) == pytest.approx((float(best.mean), float(best.variance)), rel=1e-12)
    assert answer["top"] == pytest.approx(float(best.log_prob(x).sum()), rel=1e-12)
    heights = unpack(answer["surface"]["values"])
    assert 0.9 < heights.max() <= 1 + 1e-6
    # The largest of the surface lies at the formula's place, to the width of its cells.
    row, column = np.unravel_index(heights.argmax(), heights.shape)
    left, right, low, high = answer["surface"]["box"]
    assert left + column * (right - left) / (heights.shape[1] - 1) == pytest.approx(answer["best_mean"], abs=0.06)
    assert high - row * (high - low) / (heights.shape[0] - 1) == pytest.approx(math.log(answer["best_variance"]), abs=0.12)


def test_the_gradient_is_the_slope_of_the_likelihood() -> None:
    answer = mle.answer(Asked(MLE))

    def mean_log_likelihood(mu: float, log_variance: float) -> float:
        return mle.answer(Asked({**MLE, "mu": mu, "sigma": math.exp(log_variance / 2)}))["log_likelihood"] / 60

    log_variance, h = math.log(0.64), 1e-4
    slopes = [
        (mean_log_likelihood(0.4 + h, log_variance) - mean_log_likelihood(0.4 - h, log_variance)) / (2 * h),
        (mean_log_likelihood(0.4, log_variance + h) - mean_log_likelihood(0.4, log_variance - h)) / (2 * h),
    ]
    assert answer["gradient"] == pytest.approx(slopes, rel=1e-5)


def test_on_bins_the_likelihood_splits_into_entropy_and_kl() -> None:
    bins = mle.answer(Asked(MLE))["bins"]
    assert bins["difference"] < 1e-12
    edges, heights = unpack(bins["edges"]), unpack(bins["heights"])
    p = heights * bins["width"]
    assert p.sum() == pytest.approx(1, abs=1e-12)
    inner = torch.from_numpy(edges[1:-1].copy())
    reach = torch.cat([torch.zeros(1), Normal(0.4, 0.8).cdf(inner), torch.ones(1)]).double()
    q = reach.diff().numpy()
    seen = p > 0
    assert bins["kl"] == pytest.approx(float((p[seen] * np.log(p[seen] / q[seen])).sum()), rel=1e-4)
    assert bins["entropy"] == pytest.approx(float(-(p[seen] * np.log(p[seen])).sum()), rel=1e-12)


@pytest.mark.parametrize("natural", [False, True])
def test_the_ascent_arrives_at_the_formula(natural: bool) -> None:
    answer = mle.answer(Asked({**MLE, "climb": True, "natural": natural}))
    path = answer["path"]
    assert path["finished"] and path["mean"] == pytest.approx(answer["best_mean"], abs=1e-4)
    assert path["sigma"] == pytest.approx(math.sqrt(answer["best_variance"]), abs=1e-4)
    assert unpack(path["means"])[0] == 0.4 and len(unpack(path["means"])) == path["steps"] + 1
    assert mle.answer(Asked(MLE))["path"] is None


def test_extreme_models_have_finite_numbers() -> None:
    answer = mle.answer(Asked({**MLE, "n": 5, "mu": -3, "sigma": 0.05, "climb": True}))
    assert all(math.isfinite(answer["bins"][name]) for name in ("kl", "mean_log_likelihood")) and answer["bins"]["kl"] > 100


@pytest.mark.parametrize("name", jensen.FUNCTIONS)
@pytest.mark.parametrize("shape", jensen.SHAPES)
def test_the_gap_of_a_concave_function(name: str, shape: str) -> None:
    answer = jensen.answer(Asked({**JENSEN, "f": name, "shape": shape}))
    assert answer["gap"] >= 0 and answer["gap"] == pytest.approx(answer["f_of_mean"] - answer["mean_of_f"], abs=1e-15)
    sampled = answer["sampled"]
    assert abs(sampled["gap"] - answer["gap"]) <= 4.5 * sampled["se"] + 1e-12 or name == "parabola"
    if name == "parabola":
        assert answer["second_order"] == pytest.approx(answer["gap"], rel=1e-12)


def test_a_gap_by_hand() -> None:
    answer = jensen.answer(Asked(JENSEN))
    mean = 0.7 * 0.4 + 0.3 * 2.5
    assert answer["gap"] == pytest.approx(math.log(mean) - 0.7 * math.log(0.4) - 0.3 * math.log(2.5), rel=1e-12)
    assert answer["second_order"] == pytest.approx(0.5 * 0.21 * 2.1**2 / mean**2, rel=1e-12)
    assert answer["mean"] == pytest.approx(mean, rel=1e-15)
    assert jensen.answer(Asked({**JENSEN, "low": 2.5, "high": 0.4}))["gap"] == answer["gap"]
    assert jensen.answer(Asked({**JENSEN, "p": 0}))["gap"] == pytest.approx(0, abs=1e-15)


def test_many_values_lie_between_the_ends_with_equal_chances() -> None:
    answer = jensen.answer(Asked({**JENSEN, "shape": "many"}))
    values = unpack(answer["values"])
    assert len(values) == 9 and values.min() >= 0.4 and values.max() <= 2.5
    assert answer["mean"] == pytest.approx(values.mean(), rel=1e-14)
    assert answer["mean_of_f"] == pytest.approx(np.log(values).mean(), rel=1e-12)


@pytest.mark.parametrize("variance", VARIANCES)
def test_the_perfect_network_is_the_exact_chain(variance: str) -> None:
    answer = iwae.answer(Asked({**IWAE, "quality": iwae.QUALITY_STEPS, "variance": variance}))
    data = example_data()
    chain = ExactChain(data, NoiseSchedule.cosine(8), variance)
    point = torch.tensor([0.1], dtype=torch.float64)
    assert answer["log_p"] == pytest.approx(float(chain.log_p(point)), abs=1e-10)
    assert answer["elbo"] == pytest.approx(float(chain.elbo(point)), abs=1e-10)
    nodes, probability = data_nodes(data)
    assert answer["mean"]["log_p"] == pytest.approx(float(probability @ chain.log_p(nodes)), abs=1e-8)
    assert answer["mean"]["elbo"] == pytest.approx(float(probability @ chain.elbo(nodes)), abs=1e-8)
    assert answer["mean"]["log_q"] == pytest.approx(float(probability @ data.log_density(nodes[:, None], 1.0)), abs=1e-8)


@pytest.mark.parametrize("steps", iwae.STEPS)
def test_the_bounds_are_in_order_and_the_gap_is_a_kl(steps: str) -> None:
    for quality in (0, 10, 20):
        answer = iwae.answer(Asked({**IWAE, "steps": steps, "quality": quality}))
        assert answer["elbo"] <= answer["log_p"]
        assert answer["gap"]["kl"] == pytest.approx(answer["gap"]["subtracted"], abs=1e-7)
        values, errors, rises = (unpack(answer[name]) for name in ("iwae", "se", "rise"))
        assert abs(values[0] - answer["elbo"]) < 4 * errors[0]
        assert (np.diff(values) >= -1e-12).all() and (rises >= -1e-12).all()
        assert (values - answer["log_p"] < 4 * errors).all()
        assert answer["mean"]["log_p"] <= answer["mean"]["log_q"] and answer["mean"]["elbo"] <= answer["mean"]["log_p"]


@pytest.mark.parametrize("variance", VARIANCES)
def test_a_better_network_is_better_on_average(variance: str) -> None:
    found = [iwae.answer(Asked({**IWAE, "variance": variance, "quality": quality}))["mean"] for quality in (0, 7, 14, 20)]
    for name in ("log_p", "elbo"):
        values = [mean[name] for mean in found]
        assert values == sorted(values)


BAD = [
    *[(mle, MLE, name, value) for name, value in (("law", "cauchy"), ("n", 4), ("n", 301), ("mu", 4), ("sigma", 0.01), ("seed", "x"))],
    *[(jensen, JENSEN, name, value) for name, value in (("f", "x^2"), ("shape", "three"), ("low", 0), ("high", 5), ("p", 1.1), ("seed", -2))],
    (jensen, {**JENSEN, "shape": "many"}, "n", 1),
    *[
        (iwae, IWAE, name, value)
        for name, value in (("steps", "16"), ("variance", "none"), ("quality", 21), ("quality", 0.5), ("x_0", 3), ("seed", None))
    ],
]


@pytest.mark.parametrize(("lab", "good", "name", "value"), BAD)
def test_bad_values_name_the_control(lab: Any, good: dict, name: str, value: Any) -> None:
    with pytest.raises(TextError) as found:
        lab.answer(Asked({**good, name: value}))
    assert found.value.values["name"] == name
