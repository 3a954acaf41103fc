"""The labs of the picture: x_0, eps and the chain, one pixel's histogram and posterior, against closed forms and grids; what they refuse."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from ddpm_space import noising
from ddpm_space.errors import TextError
from ddpm_space.images import load_image
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.example_files import example_path
from ddpm_space.ui.labs import noised, pixel
from ddpm_space.ui.widgets import Payload, encode

PICTURE = {
    "picture": {"example": "digit_3"},
    "view": "gray_28",
    "schedule": "linear",
    "T": "1000",
    "beta_1": 1e-4,
    "beta_T": 0.02,
    "seed": 0,
    "t": 250,
}
PIXEL = {**PICTURE, "row": 8, "column": 14, "draws": "20000"}
POSTERIOR = {**PIXEL, "s": 150}


def unpack(packed: Payload) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["b64"]), dtype=packed["dtype"]).reshape(packed["shape"])


def test_the_page_gets_the_library_s_picture_noise_and_chain() -> None:
    answer = noised.answer(Asked({**PICTURE, "view": "colour_64", "seed": 4}))
    x_0 = load_image(example_path("digit_3"), channels=3, size=64)
    expected = noising.noise_image(x_0, NoiseSchedule.linear(), 0, seed=4)
    assert np.array_equal(unpack(answer["x_0"]), x_0[0].numpy()) and np.array_equal(unpack(answer["eps"]), expected.eps[0].numpy())
    assert np.array_equal(unpack(answer["schedule"]["beta"]), NoiseSchedule.linear().beta.numpy())


@pytest.mark.parametrize("length", ["50", "1000"])
def test_what_the_end_knows_is_torch_s_kl(length: str) -> None:
    answer = noised.answer(Asked({**PICTURE, "T": length}))
    x_0 = load_image(example_path("digit_3"), size=28).double()
    alpha_bar = NoiseSchedule.linear(int(length)).alpha_bar[-1]
    kl = kl_divergence(Normal(alpha_bar.sqrt() * x_0, (1 - alpha_bar).sqrt()), Normal(torch.zeros_like(x_0), torch.ones_like(x_0)))
    assert answer["L_T"] == pytest.approx(float(kl.mean()) / math.log(2), rel=1e-9)


@pytest.mark.parametrize("name", noised.ENDED)
def test_own_endpoints_are_where_the_schedule_begins_and_ends(name: str) -> None:
    beta = unpack(noised.answer(Asked({**PICTURE, "schedule": name, "beta_1": 1e-3, "beta_T": 0.3, "T": "50"}))["schedule"]["beta"])
    # The sigmoid over [-6, 6] stays sigmoid(-6) short of either end.
    short = 0.299 / (1 + math.exp(6)) if name == "sigmoid" else 0.0
    assert (beta[0], beta[-1]) == pytest.approx((1e-3 + short, 0.3 - short), rel=1e-12)
    assert np.all(np.diff(beta) > 0)


def test_the_largest_picture_fits_one_question() -> None:
    answer = noised.answer(Asked({**PICTURE, "view": "colour_256"}))
    assert answer["x_0"]["shape"] == [3, 256, 256] and len(encode(answer)) < 2_500_000


@pytest.mark.parametrize("t", [0, 1, 250])
def test_both_histograms_follow_the_law(t: int) -> None:
    answer = pixel.answer(Asked({**PIXEL, "t": t}))
    x_0 = float(load_image(example_path("digit_3"), size=28)[0, 0, 8, 14])
    alpha_bar = float(np.prod(1 - np.linspace(1e-4, 0.02, 1000)[: t + 1]))
    assert (answer["x_0"], answer["mean"], answer["variance"]) == pytest.approx((x_0, math.sqrt(alpha_bar) * x_0, 1 - alpha_bar), rel=1e-7)
    edges = unpack(answer["edges"])
    for route in answer["routes"].values():
        assert abs(route["mean_z"]) < 4 and abs(route["variance_z"]) < 4 and route["p"] > 1e-4
        assert (unpack(route["heights"]) * np.diff(edges)).sum() == pytest.approx(1, abs=1e-3)
        assert route["mean_se"] == pytest.approx(math.sqrt(answer["variance"] / 20_000), rel=1e-12)
    law = Normal(torch.tensor(answer["mean"], dtype=torch.float64), torch.tensor(math.sqrt(answer["variance"]), dtype=torch.float64))
    assert unpack(answer["density"]) == pytest.approx(law.log_prob(torch.from_numpy(unpack(answer["x"]).copy())).exp().numpy(), rel=1e-9)


def test_draws_of_another_law_are_told_apart() -> None:
    generator = torch.Generator().manual_seed(1)
    edges = torch.linspace(-5, 5, 55, dtype=torch.float64)
    fine = pixel.counted(torch.randn(20_000, generator=generator, dtype=torch.float64), 0.0, 1.0, edges)
    wide = pixel.counted(1.05 * torch.randn(20_000, generator=generator, dtype=torch.float64), 0.0, 1.0, edges)
    flat = pixel.counted((torch.rand(20_000, generator=generator, dtype=torch.float64) - 0.5) * math.sqrt(12), 0.0, 1.0, edges)
    assert fine["p"] > 0.01 and abs(fine["variance_z"]) < 3
    assert wide["p"] < 1e-4 and wide["variance_z"] > 5
    assert flat["p"] < 1e-12 and abs(flat["mean_z"]) < 4


def test_chi_square_s_p_is_uniform() -> None:
    edges = torch.linspace(-5, 5, 55, dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    p = sorted(pixel.counted(torch.randn(2000, generator=generator, dtype=torch.float64), 0.0, 1.0, edges)["p"] for _ in range(300))
    # Kolmogorov's distance to the uniform law stays below 1.63 / sqrt(n) in 99 of 100 cases.
    assert max(abs(value - (index + 0.5) / 300) for index, value in enumerate(p)) < 1.63 / math.sqrt(300)


@pytest.mark.parametrize(("t", "s"), [(250, 150), (250, 249), (999, 0), (1, 0), (999, 998)])
def test_the_posterior_is_bayes_on_a_grid(t: int, s: int) -> None:
    answer = pixel.answer_posterior(Asked({**POSTERIOR, "t": t, "s": s}))
    facts = {row["name"]: row for row in answer["facts"]}
    # Precisions of the two Gaussian factors add up.
    prior, seen = 1 - answer["alpha_bar_s"], answer["beta_ts"]
    ratio = answer["alpha_bar_t"] / answer["alpha_bar_s"]
    variance = 1 / (1 / prior + ratio / seen)
    mean = variance * (math.sqrt(answer["alpha_bar_s"]) * answer["x_0"] / prior + math.sqrt(ratio) * answer["x_t"] / seen)
    assert (facts["mu_tilde"]["formula"], facts["beta_tilde"]["formula"]) == pytest.approx((mean, variance), rel=1e-9)
    assert all(row["difference"] < 1e-9 * max(1, abs(row["formula"])) for row in facts.values())
    assert answer["curve_difference"] < 1e-9
    x, curve = unpack(answer["x"]), unpack(answer["posterior"])
    assert np.trapezoid(curve, x) == pytest.approx(1, abs=2e-3)
    picture = load_image(example_path("digit_3"), size=28)
    assert answer["x_t"] == pytest.approx(float(noising.noise_image(picture, NoiseSchedule.linear(), t, seed=0).x_t[0, 0, 8, 14]), abs=1e-6)


@pytest.mark.parametrize(
    ("answer", "change", "name"),
    [
        (noised.answer, {"view": "huge"}, "view"),
        (noised.answer, {"schedule": "straight"}, "schedule"),
        (noised.answer, {"T": "7"}, "T"),
        (noised.answer, {"beta_1": 0}, "beta_1"),
        (noised.answer, {"beta_T": 0.9}, "beta_T"),
        (noised.answer, {"seed": -3}, "seed"),
        (noised.answer_routes, {"t": 1000}, "t"),
        (pixel.answer, {"row": 28}, "row"),
        (pixel.answer, {"column": -1}, "column"),
        (pixel.answer, {"draws": "100000"}, "draws"),
        (pixel.answer, {"view": "colour_64", "channel": "alpha"}, "channel"),
        (pixel.answer_posterior, {"s": 250}, "s"),
        (pixel.answer_posterior, {"t": 0}, "t"),
    ],
)
def test_bad_values_are_named(answer, change: dict, name: str) -> None:
    with pytest.raises(TextError) as refused:
        answer(Asked({**POSTERIOR, **change}))
    assert refused.value.values["name"] == name
