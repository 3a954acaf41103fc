"""The 2-D lab, the live network and the classic mistakes as the page asks for them: numbers by another route, and what is refused."""

from __future__ import annotations

import base64
import threading
import time
from typing import Any

import numpy as np
import pytest
import torch

from ddpm_space.errors import TextError
from ddpm_space.exact import PointSet, exact_denoiser
from ddpm_space.exact.plane import eight_bumps, letters, swiss_roll
from ddpm_space.mistakes import MISTAKES, RIGHT
from ddpm_space.notes.reverse import q_posterior
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.spacing import spaced_timesteps
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.labs import live, mistakes, plane
from ddpm_space.ui.plane_world import described, world_of
from ddpm_space.ui.widgets import encode

ASKED = {"world": "roll", "std": 0.1, "letters": "DDPM", "drawn": [], "schedule": "linear", "T": "200", "steps": 20, "particles": 200}
ASKED |= {"variance": "fixed_small", "seed": 3}
TRAINED = {**ASKED, "T": "1000", "prediction": "v_prediction", "width": "32", "length": "500"}


def asked(**changes: Any) -> Asked:
    return Asked({**ASKED, **changes})


def unpack(packed: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["b64"]), dtype=packed["dtype"]).reshape(packed["shape"])


# Particles


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
def test_every_step_is_the_posterior_of_the_exact_mean_and_the_noise_that_is_left(variance: str) -> None:
    """Each frame minus q_posterior's mean for E[x_0 | x_t] is sigma times noise of variance 1, and the last has none."""
    answer = plane.answer(asked(variance=variance, particles=2000))
    frames, schedule = torch.from_numpy(unpack(answer["frames"]).astype(np.float64)), NoiseSchedule.linear(200)
    assert answer["t"] == spaced_timesteps(200, 20, "trailing") and frames.shape == (21, 2000, 2)
    sigma = unpack(answer["sigma"])
    for k, t in enumerate(answer["t"]):
        a, s = schedule.alpha_bar_at(t), schedule.alpha_bar_at(answer["t"][k + 1] if k < 19 else -1)
        mean, small = q_posterior(swiss_roll().posterior_mean(frames[k], a), frames[k], a, s)
        left = frames[k + 1] - mean
        assert unpack(answer["alpha_bar_t"])[k] == float(a) and unpack(answer["alpha_bar_s"])[k] == float(s)
        if k == 19:
            assert sigma[k] == 0 and float(left.abs().max()) < 1e-5
        else:
            expected = float(small) if variance == "fixed_small" else float(1 - a / s)
            assert sigma[k] ** 2 == pytest.approx(expected, rel=1e-9)
            assert abs(float(left.var()) / expected - 1) < 5 * (2 / left.numel()) ** 0.5


def test_the_particles_arrive_on_the_points_and_the_distance_says_so() -> None:
    answer = plane.answer(asked(steps=100, particles=1000))
    last = torch.from_numpy(unpack(answer["frames"])[-1].astype(np.float64))
    nearest = torch.cdist(last, swiss_roll().points).min(dim=1).values
    assert float(nearest.median()) < 0.01
    assert abs(answer["distance"]["value"]) < 5 * answer["distance"]["se"] and abs(answer["reference"]["value"]) < 5 * answer["reference"]["se"]
    few = plane.answer(asked(steps=2, particles=1000))["distance"]
    assert few["value"] > 5 * few["se"], "two steps are too few"


def test_the_same_seed_gives_the_same_particles_and_another_others() -> None:
    first, again, other = (plane.answer(asked(seed=seed))["frames"]["b64"] for seed in (1, 1, 2))
    assert first == again != other


def test_a_chain_that_ends_before_noise_is_called_out() -> None:
    assert plane.answer(asked(T="50"))["terminal"] == {"alpha_bar": NoiseSchedule.linear(50).terminal_alpha_bar, "ok": False}
    assert plane.answer(asked(T="50", schedule="cosine"))["terminal"]["ok"]


def test_the_largest_question_is_answered_within_its_bounds() -> None:
    start = time.process_time()
    answer = plane.answer(asked(world="letters", T="1000", steps=100, particles=2000))
    assert time.process_time() - start < 6 and len(encode(answer)) < 3_000_000


# The layers below them


def test_the_layers_are_the_library_s_at_every_frame() -> None:
    answer = plane.answer_field(asked(world="bumps", std=0.2))
    cells, fullest = unpack(answer["cells"]), unpack(answer["fullest"])
    places, arrows = (torch.from_numpy(unpack(answer[name]).astype(np.float64)) for name in ("places", "arrows"))
    assert cells.shape == (21, plane.CELLS, plane.CELLS) and cells.max(axis=(1, 2)).tolist() == [255] * 21
    world, schedule = eight_bumps(0.2), NoiseSchedule.linear(200)
    for k in (0, 9, 19):
        a = schedule.alpha_bar[spaced_timesteps(200, 20, "trailing")[k]]
        # The arrow ends where the best guess is: (1 - abar) score = sqrt(abar) E[x_0 | x_t] - x_t.
        expected = a.sqrt() * world.posterior_mean(places, a) - places
        assert float((arrows[k] - expected).abs().max()) < 1e-5
        width = 2 * 3.0 / plane.CELLS
        row, column = np.unravel_index(cells[k].argmax(), cells[k].shape)
        centre = torch.tensor([[-3 + (column + 0.5) * width, 3 - (row + 0.5) * width]])
        assert fullest[k] == pytest.approx(float(world.log_density(centre, a).exp()) * width**2, rel=0.05), "the first row is at the top"


def test_the_first_row_of_the_cells_is_at_the_top_and_the_first_column_at_the_left() -> None:
    cells = unpack(plane.answer_field(asked(world="drawn", drawn=[[-2.5, 1.55]] * 3))["cells"])
    row, column = np.unravel_index(cells[-1].argmax(), cells[-1].shape)
    assert (row, column) == (int(1.45 / 6 * plane.CELLS), int(0.5 / 6 * plane.CELLS))


# Which data


def test_each_world_is_what_it_says() -> None:
    assert torch.equal(world_of(asked(world="letters", letters=" AB ")).points, letters("AB").points)  # type: ignore[attr-defined]
    drawn = world_of(asked(world="drawn", drawn=[[0, 0], [1, 2], [-3, 3]]))
    assert isinstance(drawn, PointSet) and drawn.points.tolist() == [[0, 0], [1, 2], [-3, 3]]
    assert described(world_of(asked(world="bumps", std=0.25))) == {
        **{"kind": "mixture", "count": 8},
        **{"std": pytest.approx(0.25), "spread": pytest.approx(1)},
    }
    for name in ("roll", "moons", "rings"):
        assert described(world_of(asked(world=name)))["kind"] == "points"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"world": "cube"}, "Unknown world"),
        ({"world": None}, "Unknown world"),
        ({"world": "bumps", "std": 0.5}, "std"),
        ({"world": "bumps", "std": None}, "std"),
        ({"world": "letters", "letters": ""}, "write 1 to 6 letters"),
        ({"world": "letters", "letters": "ABCDEFG"}, "write 1 to 6 letters"),
        ({"world": "letters", "letters": "汉"}, "write 1 to 6 letters"),
        ({"world": "letters", "letters": ["A"]}, "write 1 to 6 letters"),
        ({"world": "letters", "letters": "A\u202eB"}, "write 1 to 6 letters"),
        ({"world": "drawn", "drawn": []}, "Nothing is drawn"),
        ({"world": "drawn", "drawn": [[0, 0]]}, "between 3 and 300"),
        ({"world": "drawn", "drawn": [[0, 0], [1, 1], [4, 0]]}, "between 3 and 300"),
        ({"world": "drawn", "drawn": [[0, 0]] * 301}, "between 3 and 300"),
        ({"schedule": "laplace"}, "Unknown schedule"),
        ({"T": "100000"}, "Unknown T"),
        ({"T": 200}, "Unknown T"),
    ],
)
def test_data_and_chains_that_are_not_there_are_refused(changes: dict, words: str) -> None:
    for handler in (plane.answer, plane.answer_field, lambda question: next(live.run(question))):
        if "T" in changes and handler is plane.answer_field:
            continue
        with pytest.raises(TextError, match=words):
            handler(Asked({**TRAINED, **changes}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 1}, "steps"),
        ({"steps": 101}, "steps"),
        ({"steps": 51, "T": "50"}, "2 to 50"),
        ({"particles": 10}, "particles"),
        ({"particles": 10**7}, "particles"),
        ({"variance": "learned"}, "variance"),
        ({"seed": -1}, "seed"),
    ],
)
def test_other_settings_out_of_range_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(TextError, match=words):
        plane.answer(asked(**changes))


# The network in training


def test_a_run_streams_its_loss_its_particles_and_at_last_its_judgement() -> None:
    payloads = list(live.run(Asked(TRAINED)))
    first, last = payloads[0], payloads[-1]
    assert first["step"] == 0 and first["samples"] is None and not any("done" in one for one in payloads[:-1])
    assert last["done"] and last["step"] == last["total"] == 500
    loss = unpack(last["curve"]["loss"])
    assert len(loss) == 20 and loss[-1] < loss[0] and unpack(last["curve"]["step"])[-1] == 500
    assert unpack(last["samples"]).shape == (500, 2) and last["samples_step"] == 500
    judged, floor = last["judged"], last["floor"]
    assert judged["draws"] == 100_000 and judged["above"] == pytest.approx(judged["excess"]["value"] / judged["floor"]["value"])
    assert abs(judged["floor"]["value"] - floor["value"]) < 5 * (judged["floor"]["se"] ** 2 + floor["se"] ** 2) ** 0.5
    assert judged["excess"]["value"] > 0 and encode(last)


def test_the_exact_particles_have_the_noise_of_the_network_s() -> None:
    exact = live.particles(exact_denoiser(swiss_roll(), NoiseSchedule.linear(1000)), 3)
    assert np.array_equal(unpack(next(live.run(Asked(TRAINED)))["exact"]), exact.numpy())


def test_the_wall_clock_ends_a_run_with_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LIMIT_SECONDS", 0.5)
    *_, last = live.run(Asked({**TRAINED, "length": "6000"}))
    assert last["done"] and last["step"] < 6000


def test_a_run_leaves_other_threads_their_number_of_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        running = live.run(Asked(TRAINED))
        next(running)
        inside: list[int] = []
        later = threading.Thread(target=lambda: inside.append(torch.get_num_threads()))
        later.start()
        later.join()
        running.close()
        assert torch.get_num_threads() == 2 and inside == [2]
    finally:
        torch.set_num_threads(before)


def test_a_stopped_run_leaves_no_thread_at_work() -> None:
    before = threading.active_count()
    running = live.run(Asked({**TRAINED, "length": "6000"}))
    next(running), next(running)
    assert threading.active_count() == before + 1
    running.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("changes", [{"prediction": "score"}, {"width": "4096"}, {"length": "10000000"}, {"seed": 1.5}])
def test_training_out_of_bounds_is_refused(changes: dict) -> None:
    with pytest.raises(TextError, match=next(iter(changes))):
        next(live.run(Asked({**TRAINED, **changes})))


# The classic mistakes


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_shows_its_damage_on_the_data_that_suit_it(name: str) -> None:
    answer = mistakes.answer(Asked({"mistake": name, "world": "suited", "seed": 0}))
    assert answer["damage"]["value"] > 3 * answer["damage"]["se"] > 0
    assert abs(answer["right"]["distance"]["value"]) < 0.02 + 5 * answer["right"]["distance"]["se"]
    assert answer["reason"] == {"zh-CN": MISTAKES[name].zh, "en": MISTAKES[name].en}
    assert f"def {MISTAKES[name].wrong.__name__}(" in answer["codes"]["wrong"]
    assert f"def {MISTAKES[name].member}(" in answer["codes"]["right"]
    right, wrong = (unpack(answer[side]["frames"]) for side in ("right", "wrong"))
    assert right.shape == wrong.shape and right.shape[0] == len(unpack(answer["alpha_bar"])) == answer["steps"] + 1
    assert np.array_equal(right[0], wrong[0]), "both start from the same noise, or the same data"
    assert not np.array_equal(right, wrong) and encode(answer)


def test_without_a_mistake_there_is_no_wrong_side() -> None:
    answer = mistakes.answer(Asked({"mistake": "none", "world": "suited", "seed": 0}))
    assert answer["wrong"] is None and "damage" not in answer
    assert answer["right"]["nearest"]["value"] < 0.05


def test_the_right_run_has_the_law_of_its_frames_in_a_shortened_chain_too() -> None:
    answer = mistakes.answer(Asked({"mistake": "prior_never_reached", "world": "cloud", "seed": 1}))
    alpha_bar = RIGHT.chain_alpha_bars(RIGHT.shortened_betas(NoiseSchedule.linear(1000).beta, 20), torch.arange(19, -1, -1))[0]
    assert unpack(answer["alpha_bar"])[:-1] == pytest.approx(alpha_bar.numpy())


def test_the_check_catches_a_mistake_here_and_now() -> None:
    *_, last = mistakes.check(Asked({"mistake": "std_as_variance"}))
    assert [row["id"] for row in last["rows"]] == ["N7.beta_tilde", "N7.q_posterior"] and last["done"]
    for row in last["rows"]:
        assert row["right_passed"] and row["right"] <= row["right_tolerance"]
        assert row["caught"] and row["wrong"] > row["wrong_tolerance"]


@pytest.mark.parametrize("changes", [{"mistake": "typo"}, {"world": "cube"}, {"seed": "0"}])
def test_mistakes_that_are_not_there_are_refused(changes: dict) -> None:
    with pytest.raises(TextError, match=next(iter(changes))):
        mistakes.answer(Asked({"mistake": "none", "world": "suited", "seed": 0, **changes}))
    with pytest.raises(TextError, match="mistake"):
        next(mistakes.check(Asked({"mistake": "none"})))
