"""The command that evaluates: its figures and pictures, the images that it judges on, what it refuses, and two processes instead of one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ddpm_space import analytic
from ddpm_space.denoiser import Denoiser
from ddpm_space.errors import TextError
from training import evaluate
from training.config import ConfigError, make_config
from training.data import DataError, open_data
from training.evaluate import EvaluationSettings, data_options, parse
from training.evaluation.findings import Evaluation
from training.evaluation.heldout import Rows

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def own_threads() -> Iterator[None]:
    """The command sets the threads of its process: here it shares one with other tests."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


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


@pytest.mark.usefixtures("own_threads")
@pytest.mark.parametrize("streaming", [False, True])
def test_a_run_that_measured_nothing_can_be_judged_later_and_a_stream_is_not_read_as_a_set(
    streaming: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shutil.copytree(ROOT / "ddpm_space" / "assets" / "models" / "mnist", tmp_path / "model")
    (model / "training_config.yaml").write_text(make_config({"eval_images": 0, "streaming": streaming}).to_yaml(), encoding="utf-8")
    seen = []

    def measure(denoiser: Denoiser, settings: EvaluationSettings, train: Rows | None, held_out: Rows | None, **rest: Any) -> Evaluation:
        seen.append((settings, train, held_out))
        return Evaluation(None, None, None, None, (), (), {})

    monkeypatch.setattr(evaluate, "evaluate_model", measure)
    evaluate.main(["--model", str(model), "--images", "70", "--samples", "0", "--cpu_threads", "1"])
    settings, train, held_out = seen[0]
    assert held_out is not None and (settings.images, settings.samples) == (70, 0) and len(held_out) == (70 if streaming else 1000)
    assert train is None if streaming else train is not None and len(train) == 5000


@pytest.mark.usefixtures("own_threads")
def test_a_short_chain_is_sampled_with_all_of_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = shutil.copytree(ROOT / "ddpm_space" / "assets" / "models" / "mnist", tmp_path / "model")
    file = model / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), "num_train_timesteps": 40}), encoding="utf-8")
    (model / "scheduler" / analytic.FILE).unlink()  # of the whole chain
    monkeypatch.setattr(
        evaluate, "evaluate_model", lambda denoiser, settings, *_, **__: pytest.fail(f"{settings.steps} steps, {settings.terms} terms")
    )
    words = ["--model", str(model), "--dataset", "bundled", "--cpu_threads", "1"]
    with pytest.raises(pytest.fail.Exception, match="40 steps, 99 terms"):
        evaluate.main(words)
    with pytest.raises(ConfigError, match="eval_steps = 41 but the chain has 40"):
        evaluate.main([*words, "--steps", "41"])


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
    # A copy here of a set on the Hub has no revision, and asking for one would be refused.
    hub = make_config({"dataset": "someone/set", "dataset_revision": "v2", "dataset_config": "plain"})
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "training_config.yaml").write_text(hub.to_yaml(), encoding="utf-8")
    make_config(data_options(parse(command), tmp_path / "hub")[0])
    assert data_options(parse(["--model", "m"]), tmp_path / "hub")[0]["dataset_revision"] == "v2"
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
        ("--model bundled:mnist --dataset bundled --samples 0 --neighbours x.png", "--samples 0 with --neighbours: there is nothing to draw"),
        ("--model bundled:mnist --dataset bundled --samples 10", "eval_samples = 10: the features 'mnist' need 65 or more"),
        ("--model bundled:mnist --dataset bundled --samples -1", "eval_samples = -1"),
        ("--model bundled:mnist --dataset bundled --features inception", "others without it: no samples .*--samples 0 of evaluate.py"),
        ("--model bundled:mnist --dataset bundled --samples 99 --steps 1001", "eval_steps = 1001 but the chain has 1000"),
        ("--model bundled:mnist --dataset bundled --samples 99 --steps 0", "eval_steps = 0"),
        ("--model bundled:mnist --dataset bundled --samples 0 --features mnist", "features = mnist, but eval_samples = 0"),
        ("--model bundled:mnist --dataset bundled --grid samples.xyz", "no picture format '.xyz'"),
        ("--model bundled:mnist --dataset bundled --json " + __file__ + "/e.json", "cannot be written"),
        ("--model bundled:mnist --dataset bundled --terms 2", "eval_terms = 2: use 3 or more"),
        ("--model bundled:mnist --dataset no/where/near --samples 0", "no/where/near"),
        ("--model bundled:mnist --dataset bundled --test_split tset", "--test_split tset: the data set mnist_small .bundled. has test, train"),
        ("--model bundled:mnist --dataset bundled --samples 0 --cpu_threads -1", "cpu_threads = -1"),
    ],
)
def test_bad_input_is_one_sentence_before_anything_is_measured(words: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "evaluate_model", lambda *_, **__: pytest.fail("measured"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises((ConfigError, DataError, TextError), match=message) as caught:
        evaluate.main([*words.split(), *([] if "--cpu_threads" in words else ["--cpu_threads", "1"])])
    assert "\n" not in str(caught.value)
