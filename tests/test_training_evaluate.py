"""A whole evaluation: what is measured beside what, what is refused before any work, and the same figures on any number of processes."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.errors import TextError
from ddpm_space.images import quantize
from ddpm_space.schedule import NoiseSchedule
from training import evaluate
from training.config import ConfigError, make_config
from training.data import DataError, ImageSet, load_images, open_data
from training.evaluate import EvaluationSettings, data_options, evaluate_model, parse
from training.findings import Evaluation
from training.frechet import FeatureNetwork, load_features
from training.judge import InMemory, judge
from training.samples import draw

SHAPE = (1, 28, 28)
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def own_threads() -> Iterator[None]:
    """The command sets the threads of its process: here it shares one with other tests."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits() -> tuple[ImageSet, ImageSet]:
    train, test = load_images("bundled", split="train"), load_images("bundled", split="test")
    return ImageSet(train.images[::4], None, train.name), test


def shrinking(steps: int = 20) -> Denoiser:
    return Denoiser(lambda x_t, t: 0.5 * x_t, "epsilon", NoiseSchedule.cosine(steps))


def few_features(name: str = "mean and spread") -> FeatureNetwork:
    """Three features of any image: the means of its halves, and its spread."""

    def extract(x: Tensor) -> Tensor:
        half = x.shape[-1] // 2
        return torch.stack([x[..., :half].mean((1, 2, 3)), x[..., half:].mean((1, 2, 3)), x.std((1, 2, 3))], dim=1)

    return FeatureNetwork(name, "Fréchet distance", name, 3, extract)


def noise(count: int, seed: int, size: int = 6) -> Tensor:
    return quantize(torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(seed)) / 2)


def test_the_judge_knows_digits_and_tells_them_from_damaged_ones(digits: tuple[ImageSet, ImageSet]) -> None:
    train, test = digits
    network = load_features("mnist")
    good = test.batch(torch.arange(200, 400))
    real = judge(good, train, test, network)
    assert real.recognised is not None and real.recognised.samples > 0.93 and real.recognised.real is not None and real.recognised.real > 0.93
    assert sum(real.recognised.classes) == 200 and min(real.recognised.classes) > 5
    to_train, floor = real.frechet.to_train, real.frechet.floor_train
    assert to_train is not None and floor is not None and (to_train.n, floor.n, to_train.reference) == (200, 200, 1250)
    assert to_train.value < 3 * floor.value and 0 < floor.error < floor.value
    assert real.frechet.to_held_out is not None and real.frechet.floor_held_out is not None and real.frechet.floor_held_out.reference == 1000
    assert all(abs(nearness.closer - 0.5) < 0.15 and nearness.copies < 0.06 for nearness in real.memorisation) and not real.notes
    # A classifier must answer something, and it can be sure of what is no digit: the distance is what notices.
    damaged = torch.nn.functional.avg_pool2d(good, 5, 1, 2)
    for x in (damaged, -good):
        found = judge(quantize(x), train, None, network)
        assert found.frechet.to_train is not None and found.frechet.to_train.value > 10 * floor.value


def test_a_model_that_repeats_its_training_images_is_found_out(digits: tuple[ImageSet, ImageSet]) -> None:
    train, test = digits
    found = judge(train.batch(torch.arange(100)), train, test, load_features("mnist"))
    assert all(nearness.closer > 0.98 and nearness.copies > 0.98 for nearness in found.memorisation) and len(found.memorisation) == 2
    assert found.neighbours is not None and torch.equal(found.neighbours, train.batch(torch.arange(100)))
    # Mirrored copies are copies where training mirrors its images.
    mirrored = train.batch(torch.arange(100)).flip(-1)
    shares = [judge(mirrored, train, test, load_features("mnist"), flip=flip).memorisation[0].copies for flip in (False, True)]
    assert shares[0] < 0.5 and shares[1] > 0.98


def test_small_sets_are_compared_as_far_as_they_go_and_the_rest_is_said() -> None:
    samples = noise(40, 0)
    few = judge(samples, InMemory(noise(100, 1)), InMemory(noise(10, 2)), few_features())
    assert few.frechet.floor_train is not None and (few.frechet.floor_train.n, few.frechet.floor_train.reference) == (40, 60)
    assert few.frechet.to_held_out is not None and few.frechet.floor_held_out is not None and few.frechet.floor_held_out.n == 40
    assert [nearness.real_n for nearness in few.memorisation] == [10, 10]
    assert any("the floor of the distance to the training set is that of 40 training images to the others" in note for note in few.notes)
    fewer = judge(samples, InMemory(noise(3, 1)), None, few_features())
    assert (fewer.frechet.to_train, fewer.frechet.floor_train, fewer.memorisation) == (None, None, ())
    assert any("there are 3 training images: no distance to them" in note for note in fewer.notes)
    streamed = judge(samples, None, InMemory(noise(50, 2)), few_features())
    assert streamed.frechet.to_train is None and streamed.frechet.to_held_out is not None and streamed.neighbours is None
    assert any("can only be streamed" in note for note in streamed.notes)


def test_two_processes_find_what_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = InMemory(noise(2500, 1)), InMemory(noise(1500, 2))
    samples = noise(1200, 0)
    alone = judge(samples, *sets, few_features(), seed=3)
    by_hand = torch.cdist(samples.flatten(1), sets[0].images.flatten(1)).argmin(dim=1)
    assert alone.neighbours is not None and torch.equal(alone.neighbours, sets[0].images[by_hand])
    # Rank 0 and rank 1 in turn, phase by phase: what one adds to an exchange, the other finds there.
    exchanges: list[dict[int, Any]] = [{} for _ in range(4)]
    did: list[tuple[set[int], set[int]]] = [(set(), set()) for _ in range(4)]
    phase = 0

    def gather(found: list[Any]) -> list[Any]:
        nonlocal phase
        exchanges[phase].update(found)
        did[phase][rank].update(number for number, _ in found)
        phase += 1
        return list(exchanges[phase - 1].items())

    monkeypatch.setattr("accelerate.utils.gather_object", gather)
    for rank in (0, 1, 0, 1, 0, 1, 0, 1):
        phase = 0
        try:
            shared = judge(samples, *sets, few_features(), seed=3, rank=rank, world=2)
        except RuntimeError as error:
            assert "pieces of work" in str(error)  # the other has not been there yet
    assert (shared.frechet, shared.memorisation, shared.notes) == (alone.frechet, alone.memorisation, alone.notes)
    assert shared.neighbours is not None and torch.equal(shared.neighbours, alone.neighbours)
    assert [len(done) for done in exchanges] == [2, 2, 3, 4] and not any(first & second for first, second in did)


def test_drawing_more_or_with_others_leaves_every_sample_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (draw(shrinking(), (1, 4, 4), count, num_steps=3, seed=5) for count in (8, 300))
    assert torch.equal(few, many[:8]) and many.abs().max() <= 1 and torch.equal(many, quantize(many))
    assert len({tuple(image.flatten().tolist()) for image in many}) == 300
    pieces: list[Any] = []
    monkeypatch.setattr("accelerate.utils.gather_object", lambda found: pieces.extend(found) or list(pieces))
    with pytest.raises(RuntimeError, match="2 results for 3 pieces"):
        draw(shrinking(), (1, 4, 4), 300, num_steps=3, seed=5, rank=0, world=2)
    assert torch.equal(draw(shrinking(), (1, 4, 4), 300, num_steps=3, seed=5, rank=1, world=2), many)
    assert len(draw(shrinking(), (1, 4, 4), 0, num_steps=3, seed=5)) == 0
    assert len(draw(shrinking(), (1, 80, 80), 17, num_steps=1, seed=5)) == 17  # more than a piece of large images


@pytest.fixture(scope="module")
def whole(digits: tuple[ImageSet, ImageSet]) -> Evaluation:
    """An evaluation of a model that answers something, with the global random numbers looked at before and after."""
    settings = EvaluationSettings.of(make_config({"eval_images": 4, "eval_terms": 5, "eval_samples": 70, "eval_steps": 3, "dataset": "bundled"}))
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    found = evaluate_model(shrinking(), settings, *digits, shape=SHAPE, notes=["one more thing"])
    assert torch.equal(before[0], torch.get_rng_state()) and before[1:] == (random.getstate(), np.random.get_state()[1].tolist())
    return found


def test_an_evaluation_reads_as_text_and_as_json_with_n_beside_every_figure(whole: Evaluation, tmp_path: Path) -> None:
    text = str(whole)
    assert "Fréchet distance (features: the bundled classifier of digits" in text and "FID" not in text
    assert text.count("(n = 70 against ") == 4 and "bits/dim (n = 4;" in text and "(the floor)" in text and "note: one more thing" in text
    whole.save(tmp_path / "inner" / "evaluation.json")
    assert [file.name for file in (tmp_path / "inner").iterdir()] == ["evaluation.json"]
    read = json.loads((tmp_path / "inner" / "evaluation.json").read_text(encoding="utf-8"))
    assert read == whole.to_dict() and list(read) == ["held_out", "train", "frechet", "recognised", "memorisation", "notes", "settings"]
    assert whole.held_out is not None and read["held_out"]["bits_per_dim"] == whole.held_out.mean and read["held_out"]["n"] == 4
    assert read["frechet"]["to_train"]["n"] == read["frechet"]["floor_train"]["n"] == 70 and read["frechet"]["to_train"]["reference"] == 1250
    assert read["settings"]["features"] == "mnist" and read["settings"]["samples"] == 70


def test_what_is_not_a_number_is_null_in_json_and_a_failed_save_leaves_the_old_file(whole: Evaluation, tmp_path: Path) -> None:
    assert whole.held_out is not None
    lonely = replace(whole, held_out=replace(whole.held_out, image_error=math.nan))
    lonely.save(tmp_path / "e.json")
    assert json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))["held_out"]["error"] is None
    before = (tmp_path / "e.json").read_bytes()
    with pytest.raises(TypeError):
        replace(whole, settings={"not": object()}).save(tmp_path / "e.json")
    assert (tmp_path / "e.json").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_what_is_not_asked_for_is_not_measured(digits: tuple[ImageSet, ImageSet]) -> None:
    nothing = evaluate_model(shrinking(), EvaluationSettings(images=0, samples=0), *digits, shape=SHAPE)
    assert (nothing.held_out, nothing.train, nothing.frechet, nothing.recognised, nothing.memorisation) == (None, None, None, None, ())
    streamed = evaluate_model(shrinking(), EvaluationSettings(images=2, terms=5), None, digits[1], shape=SHAPE)
    assert streamed.held_out is not None and streamed.train is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eval_terms": 2}, "eval_terms = 2: use 3 or more"),
        ({"eval_samples": 64}, "eval_samples = 64: the features 'mnist' need 65 or more"),
        ({"eval_samples": 100, "eval_steps": 2000}, "eval_steps = 2000 but the chain has 1000"),
        ({"eval_samples": 100, "resolution": 32}, "torch-fidelity"),
    ],
)
def test_what_could_not_be_measured_is_refused_before_any_training(options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=message):
        EvaluationSettings.of(make_config({"block_out_channels": [8], "attention_levels": [], "attention_head_dim": 8, **options}))


@pytest.mark.usefixtures("own_threads")
def test_the_command_measures_draws_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = {name: str(tmp_path / file) for name, file in (("--grid", "g.png"), ("--neighbours", "n.png"), ("--json", "e.json"))}
    words = [
        "--model",
        "bundled:mnist",
        "--dataset",
        "bundled",
        "--samples",
        "66",
        "--steps",
        "1",
        "--images",
        "1",
        "--terms",
        "3",
        "--cpu_threads",
        "1",
    ]
    evaluate.main([*words, *(word for pair in files.items() for word in pair)])
    printed = capsys.readouterr().out
    assert "held-out: " in printed and "nothing shows that the held-out images were not trained on" in printed
    found = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    assert found["frechet"]["to_train"]["n"] == 66 and found["settings"]["steps"] == 1 and found["held_out"]["n"] == 1
    for name in ("g.png", "n.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size == ((8 * 28 + 7 * 2) * 3,) * 2


@pytest.mark.proof
def test_two_processes_write_the_same_file_as_one(tmp_path: Path) -> None:
    words = ["--model", "bundled:mnist", "--dataset", "bundled", "--samples", "300", "--steps", "4", "--images", "5", "--terms", "21"]
    launchers = {"one": [sys.executable], "two": [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]}
    for name, launcher in launchers.items():
        file = tmp_path / f"{name}.json"
        command = [*launcher, str(ROOT / "training" / "evaluate.py"), *words, "--cpu_threads", "1", "--json", str(file)]
        done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("held-out: ") == 1  # one of them speaks
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def pictures(folder: Path) -> Path:
    """Two dozen pictures in one folder, each of its own shade: no split is held out by its name."""
    folder.mkdir(parents=True)
    for index in range(24):
        Image.new("L", (8, 8), 10 * index).save(folder / f"{index:02d}.png")
    return folder


def test_a_model_is_judged_on_the_images_that_its_run_held_out(tmp_path: Path) -> None:
    network = {"resolution": 8, "block_out_channels": [8], "attention_levels": [], "attention_head_dim": 8}
    config = make_config(
        {**network, "dataset": str(pictures(tmp_path / "set")), "eval_images": 2, "seed": 3, "image_column": "image", "train_images": 99}
    )
    (tmp_path / "training_config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    held_out = open_data(config).held_out
    assert held_out is not None and len(held_out) == 2
    # The set is the same one on another machine, where it lies elsewhere; other figures are asked for.
    command = ["--model", "m", "--dataset", str(pictures(tmp_path / "elsewhere" / "set")), "--images", "3", "--seed", "1"]
    options, notes = data_options(parse(command), tmp_path)
    again = open_data(make_config({**network, **options})).held_out
    assert again is not None and torch.equal(again.batch(torch.arange(2)), held_out.batch(torch.arange(2))) and not notes
    assert "train_images" not in options and data_options(parse(["--model", "m"]), tmp_path)[0]["dataset"] == str(tmp_path / "set")
    # Another set has other columns and splits, and the text says that it is another one.
    options, notes = data_options(parse(["--model", "m", "--dataset", "bundled", "--test_split", "test"]), tmp_path)
    assert options["eval_split"] == "test" and "image_column" not in options and options["eval_images"] == 2
    assert notes == ["the model was trained on 'set', not on these images"]


@pytest.mark.usefixtures("own_threads")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model bundled:mnist", "nothing says what 'bundled:mnist' was trained on"),
        ("--model nowhere/at/all --dataset bundled", "nowhere/at/all"),
        ("--model bundled:mnist --dataset bundled --images 0 --samples 0", "there is nothing to measure"),
        ("--model bundled:mnist --dataset bundled --samples 10", "eval_samples = 10: the features 'mnist' need 65 or more"),
        ("--model bundled:mnist --dataset bundled --samples -1", "eval_samples = -1"),
        ("--model bundled:mnist --dataset bundled --samples 99 --steps 1001", "eval_steps = 1001 but the chain has 1000"),
        ("--model bundled:mnist --dataset bundled --terms 2", "eval_terms = 2: use 3 or more"),
        ("--model bundled:mnist --dataset no/where/near --samples 0", "no/where/near"),
        ("--model bundled:mnist --dataset bundled --test_split tset", "--test_split tset: the data set mnist_small .bundled. has test, train"),
        ("--model bundled:mnist --dataset bundled --samples 0 --cpu_threads -1", "cpu_threads = -1"),
    ],
)
def test_bad_input_is_one_sentence_before_anything_is_measured(words: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "evaluate_model", lambda *_, **__: pytest.fail("measured"))
    with pytest.raises((ConfigError, DataError, TextError), match=message) as caught:
        evaluate.main([*words.split(), *([] if "--cpu_threads" in words else ["--cpu_threads", "1"])])
    assert "\n" not in str(caught.value)
