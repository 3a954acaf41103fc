"""Row N1's labs: every number of an answer by another route, and what each control refuses."""

from __future__ import annotations

import base64
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from ddpm_space.errors import TextError
from ddpm_space.notes.integrators import euler_maruyama_variance
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.labs import LABS, langevin, langevin_histogram, langevin_score
from ddpm_space.ui.widgets import encode

GOOD: dict[str, dict[str, Any]] = {
    "langevin": {"potential": "harmonic", "motion": "underdamped", "kT": 1.0, "gamma": 1.0, "mass": 1.0, "seed": 0},
    "msd": {"kT": 0.5, "gamma": 2.0, "mass": 3.0, "seed": 0},
    "bridge": {"source": "schedule", "schedule": "cosine", "t": 700, "span": 16, "x": -1.5, "substeps": 64, "seed": 0},
    "ula": {"target": "three", "eta": 0.3, "seed": 0},
}
PHYSICS = {"source": "physics", "stiffness": 2.0, "dt": 0.4, "gamma": 1.5, "x": 1.0, "substeps": 32, "seed": 0}


def answer(name: str, **changes: Any) -> dict[str, Any]:
    return LABS[name](Asked({**GOOD[name], **changes}))


def unpack(packed: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["b64"]), packed["dtype"]).reshape(packed["shape"])


@pytest.mark.parametrize(
    ("name", "control", "value"),
    [
        ("langevin", "potential", "free"),
        ("langevin", "motion", None),
        ("langevin", "kT", 0),
        ("langevin", "gamma", 0.0),
        ("langevin", "mass", "1"),
        ("langevin", "seed", 1.5),
        ("msd", "kT", 3),
        ("msd", "gamma", math.nan),
        ("msd", "mass", None),
        ("msd", "seed", -1),
        ("bridge", "source", "well"),
        ("bridge", "schedule", "quadratic"),
        ("bridge", "t", 1000),
        ("bridge", "span", 0),
        ("bridge", "x", 3.5),
        ("bridge", "substeps", 1024),
        ("bridge", "seed", None),
        ("ula", "target", ""),
        ("ula", "eta", 1.0),
        ("ula", "seed", 2**40),
    ],
)
def test_what_a_control_cannot_be_is_named(name: str, control: str, value: object) -> None:
    with pytest.raises(TextError, match=control):
        answer(name, **{control: value})


@pytest.mark.parametrize(("control", "value"), [("stiffness", 0), ("dt", -1), ("gamma", 100)])
def test_what_a_spring_cannot_be_is_named(control: str, value: float) -> None:
    with pytest.raises(TextError, match=control):
        answer("bridge", **{**PHYSICS, control: value})


@pytest.mark.parametrize("name", GOOD)
def test_the_same_question_has_the_same_answer_and_another_seed_another(name: str) -> None:
    assert encode(answer(name)) == encode(answer(name)) != encode(answer(name, seed=1))


def test_in_one_well_the_bins_expect_the_gaussian_s_shares() -> None:
    found = answer("langevin", kT=0.7)
    edges = unpack(found["edges"])
    share = [0.5 * (math.erf(high / math.sqrt(1.4)) - math.erf(low / math.sqrt(1.4))) for low, high in itertools.pairwise(edges)]
    assert np.abs(unpack(found["probability"]) - share).max() < 2e-4
    x, density = unpack(found["curve"])
    assert np.abs(density - np.exp(-(x**2) / 1.4) / math.sqrt(1.4 * math.pi)).max() < 1e-6


def test_the_counts_and_their_deviation_are_those_of_the_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(langevin, "DRAWN", langevin.PARTICLES)
    found = answer("langevin", potential="ring", motion="overdamped")
    frames, edges, counts = unpack(found["frames"]), unpack(found["edges"]), unpack(found["counts"])
    assert frames.shape == (langevin.FRAMES + 1, langevin.PARTICLES, 2) and found["kinetic"] is None
    # The ring's particles start exactly on an edge, where float32 and float64 need not agree: the frames after it.
    by_numpy = np.array([np.histogram(frame[:, 0].astype(float), edges)[0] for frame in frames[1:]])
    assert np.abs(counts[1:] - by_numpy).max() <= 1
    p = unpack(found["probability"])
    judged = p * langevin.PARTICLES >= langevin_histogram.LEAST_EXPECTED
    expected = langevin.PARTICLES * p[judged]
    deviation = ((counts[:, judged] - expected) ** 2 / (expected * (1 - p[judged]))).mean(1)
    assert unpack(found["deviation"]) == pytest.approx(deviation, rel=1e-9)


@pytest.mark.parametrize("motion", ["underdamped", "overdamped"])
@pytest.mark.parametrize("potential", ["harmonic", "double_well", "tilted", "ring"])
def test_particles_settle_on_the_stationary_law_and_show_the_temperature(potential: str, motion: str) -> None:
    found = answer("langevin", potential=potential, motion=motion, kT=1.6)
    assert unpack(found["deviation"])[0] > 50
    assert abs(unpack(found["deviation"])[-1] - 1) < 4 * found["deviation_spread"]
    readings = [found["virial"], *([found["kinetic"]] if motion == "underdamped" else [])]
    for mean, se in (unpack(reading)[:, -1] for reading in readings):
        assert abs(mean - 1.6) < 4 * se and se < 0.15


def test_a_barrier_of_six_kT_is_not_crossed_in_time_and_the_page_knows() -> None:
    found = answer("langevin", potential="double_well", kT=0.25)
    assert unpack(found["deviation"])[-1] > 1 + 20 * found["deviation_spread"]
    # Inside its own well the cloud is warm all the same.
    mean, se = unpack(found["kinetic"])[:, -1]
    assert abs(mean - 0.25) < 4 * se


@pytest.mark.parametrize("name", langevin.LANDSCAPES)
def test_the_time_step_suits_the_stiffest_place_at_the_bottom(name: str) -> None:
    landscape = langevin.LANDSCAPES[name]
    left, right, low, high = landscape.box
    places = torch.cartesian_prod(torch.linspace(left, right, 300, dtype=torch.float64), torch.linspace(low, high, 300, dtype=torch.float64))
    bottom = places[landscape.potential(places).argmin()]
    stiffest = float(torch.linalg.eigvalsh(torch.func.hessian(landscape.potential)(bottom)).max())
    assert stiffest == pytest.approx(landscape.stiffest, rel=0.2)


def test_the_displacement_is_the_integral_of_the_velocity_s_memory() -> None:
    found = answer("msd")
    t, theory, measured, se = (unpack(found[name]) for name in ("t", "theory", "msd", "se"))
    for end, value in zip(t, theory):
        s = np.linspace(0, end, 4001)
        assert value == pytest.approx(2 * np.trapezoid((end - s) * 0.5 / 3 * np.exp(-2 * s / 3), s), rel=1e-4)
    assert found["worst"] == pytest.approx(np.abs((measured - theory) / se).max()) and found["worst"] < 4
    assert unpack(found["ballistic"]) == pytest.approx(0.5 / 3 * t**2) and unpack(found["diffusive"]) == pytest.approx(0.5 * t)
    assert len(t) <= 26 and (np.diff(t) > 0).all() and t[0] < 0.1 * found["memory"] and t[-1] > 50 * found["memory"]
    # It would tell a friction that is off by a fifth.
    assert abs(measured[-1] - 2 * 0.5 / 2.4 * t[-1]) > 5 * se[-1]


def test_the_velocity_is_forgotten_as_the_formula_says() -> None:
    found = answer("msd")
    t, mean, se = unpack(found["velocity"])
    assert np.abs((mean - 0.5 / 3 * np.exp(-2 * t / 3)) / se).max() < 4


@pytest.mark.parametrize(("t", "span"), [(0, 1), (0, 512), (700, 1), (700, 16), (999, 512)])
@pytest.mark.parametrize("name", ["linear", "cosine", "sigmoid"])
def test_the_bridge_meets_the_schedule(name: str, t: int, span: int) -> None:
    found = answer("bridge", schedule=name, t=t, span=span, substeps=1)
    chain = NoiseSchedule.make(name, 1000)
    kept = float(chain.alpha[max(0, t - span + 1) : t + 1].prod())
    assert found["beta_t"] == pytest.approx(1 - kept, rel=1e-9) and found["abar_ratio"] == pytest.approx(kept, rel=1e-6)
    assert found["mean"]["exact"] == pytest.approx(-1.5 * math.sqrt(kept)) and found["variance"]["exact"] == pytest.approx(1 - kept, rel=1e-9)
    assert (found["first"], found["span"]) == (max(0, t - span + 1), min(span, t + 1))
    if kept > 0.01:  # a step that forgets nearly all takes finer substeps than there are
        fine = answer("bridge", schedule=name, t=t, span=span, substeps=256)
        assert max(abs(fine[quantity]["z"]) for quantity in ("mean", "variance")) < 4


def test_many_small_steps_walk_the_exact_step_and_few_do_not() -> None:
    fine, coarse = answer("bridge", **PHYSICS, span=1), answer("bridge", **{**PHYSICS, "substeps": 1})
    beta_t = 1 - math.exp(-2 * 2.0 * 0.4 / 1.5)
    assert fine["beta_t"] == pytest.approx(beta_t) == fine["beta_from_physics"] and fine["dt_back"] == pytest.approx(0.4)
    # One Euler step of B = 2 k dt / gamma: x (1 - B / 2), variance B.
    integral = 2 * 2.0 * 0.4 / 1.5
    assert coarse["mean"]["euler"] == pytest.approx(1 - integral / 2) and coarse["variance"]["euler"] == pytest.approx(integral)
    factor = 1 - integral / 64
    assert fine["mean"]["euler"] == pytest.approx(factor**32)
    assert fine["variance"]["euler"] == pytest.approx(integral / 32 * (1 - factor**64) / (1 - factor**2))
    for found in (fine, coarse):
        assert max(abs(found[name]["z_euler"]) for name in ("mean", "variance")) < 4
    assert min(abs(coarse[name]["z"]) for name in ("mean", "variance")) > 10


def test_paths_stay_in_the_exact_band_and_end_in_the_histogram() -> None:
    found = answer("bridge", substeps=256, span=512)
    mean, std = unpack(found["band"])
    walked, heights, edges = unpack(found["walked"]), unpack(found["heights"]), unpack(found["edges"])
    assert walked.shape == (14, 65) and (walked[:, 0] == -1.5).all() and (np.abs(walked - mean)[:, 1:] < 5 * std[1:]).all()
    assert std[-1] ** 2 == pytest.approx(found["variance"]["exact"]) and mean[-1] == pytest.approx(found["mean"]["exact"])
    assert (heights * np.diff(edges)).sum() == pytest.approx(1, abs=1e-3)


def test_an_unadjusted_sampler_is_as_wrong_as_predicted_and_the_adjusted_one_right() -> None:
    found = answer("ula", target="one", eta=0.5)
    # eta / 2 is the time step of Euler-Maruyama in a well of stiffness 1 / variance.
    biased = float(euler_maruyama_variance(4.0, 0.25, 1.0, 1.0))
    (ula, ula_se), (mala, mala_se) = (unpack(found[name]["second"])[:, -1] for name in ("ula", "mala"))
    assert biased == pytest.approx(0.5) and found["second"] == pytest.approx(0.25)
    assert abs(ula - biased) < 4 * ula_se and abs(ula - 0.25) > 8 * ula_se and abs(mala - 0.25) < 4 * mala_se
    assert unpack(found["ula"]["deviation"])[-1] > 5 > abs(unpack(found["mala"]["deviation"])[-1] - 1) / found["mala"]["deviation_spread"]


def test_smaller_steps_are_taken_more_often() -> None:
    shares = [answer("ula", eta=eta)["accepted"]["mean"] for eta in (0.02, 0.2, 0.9)]
    assert 0.99 < shares[0] < 1 and shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("target", langevin_score.MIXTURES)
def test_the_target_s_bins_are_its_own(target: str) -> None:
    found = answer("ula", target=target)
    draws = langevin_score.MIXTURES[target].sample(200_000, generator=torch.Generator().manual_seed(5))[:, 0].numpy()
    shares = np.histogram(draws, unpack(found["ula"]["edges"]))[0] / len(draws)
    p = unpack(found["ula"]["probability"])
    assert (np.abs(shares - p) < 5 * np.sqrt(p * (1 - p) / len(draws)) + 1e-5).all()
    assert (draws**2).mean() == pytest.approx(found["second"], rel=0.02)


@pytest.mark.parametrize("name", GOOD)
def test_an_answer_is_small_enough_to_be_sent_while_a_slider_moves(name: str) -> None:
    assert len(encode(answer(name))) < 700_000
