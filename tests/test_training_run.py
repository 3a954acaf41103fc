"""Whole runs of a tiny network: it learns, whatever the options, and what it leaves behind is complete."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from training_runs import ROOT, SCRIPT, flags, launch, log, new_processes, options, same, weights, write_pictures

from ddpm_space import models
from training.config import make_config
from training.loop import checkpoint
from training.train import Trainer, main


@pytest.fixture(autouse=True)
def forget() -> None:
    new_processes()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def finished(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted, with its checkpoints."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    assert main(make_config(options(pictures, run, checkpoint_every=50, sample_every=100))) == run / "model"
    return run


def test_a_run_learns_and_leaves_a_model_grids_checkpoints_and_a_log(finished: Path) -> None:
    lines = log(finished)
    assert [line["images"] for line in lines] == list(range(40, 201, 40))
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"] and lines[-1]["learning_rate"] == pytest.approx(5e-3 / 18)
    assert [path.name for path in checkpoint.checkpoints(finished)] == [f"images-{images:09d}" for images in (50, 100, 150, 200)]
    assert sorted(path.name for path in (finished / "samples").iterdir()) == ["images-000000100.png", "images-000000200.png"]
    assert Image.open(finished / "samples" / "images-000000200.png").size == (17, 17)
    model = models.load(finished / "model")
    assert (model.shape, model.prediction_type, len(model.denoiser.schedule)) == ((1, 8, 8), "v_prediction", 40)
    assert "200 of 200 planned" in (finished / "model" / "README.md").read_text()


def test_the_model_holds_the_averaged_weights_and_training_goes_on_with_the_others(pictures: Path, tmp_path: Path) -> None:
    trainer = Trainer(make_config(options(pictures, tmp_path, train_images=60)))
    trainer.train()
    saved, trained = weights(tmp_path / "model"), trainer.unet.state_dict()
    names = [name for name, _ in trainer.unet.named_parameters()]
    assert all(torch.equal(saved[name], average) for name, average in zip(names, trainer.ema.shadow_params))
    assert any(not torch.equal(saved[name], trained[name]) for name in names)
    assert same(weights(tmp_path / "model", ".raw"), trained)


@pytest.mark.parametrize(
    "changes",
    [
        {"prediction_type": "epsilon", "min_snr_gamma": 5, "channels": 3, "channels_last": True},
        {"prediction_type": "sample", "timestep_sampling": "uniform", "channels": 4, "flip": True, "crop": "random"},
        {"variance": "learned_range", "timestep_sampling": "loss_aware", "gradient_accumulation_steps": 2, "batch_size": 5, "dropout": 0.1},
        {"mixed_precision": "bf16", "lr_schedule": "cosine", "adam_beta1": 0.8, "weight_decay": 0.01},
        {"optimizer": "muon", "learning_rate": 1e-2, "weight_decay": 0.01},
    ],
    ids=lambda changes: next(iter(changes.values())),
)
def test_every_kind_of_run_learns_and_its_model_loads(changes: dict[str, Any], pictures: Path, tmp_path: Path) -> None:
    main(make_config(options(pictures, tmp_path, train_images=400, **changes)))
    lines = log(tmp_path)
    assert lines[-1]["squared_error"] < 0.9 * lines[0]["squared_error"]
    model = models.load(tmp_path / "model") if changes.get("channels", 1) in (1, 3) else None
    assert model is None or (model.shape, model.learned_variance) == ((changes.get("channels", 1), 8, 8), "variance" in changes)
    assert {"learning_rate", "gradient_norm", "images_per_second", "loss_q1", "loss_q4"} <= lines[0].keys()


def test_evaluations_and_grids_leave_the_training_as_it_is_and_their_figures_behind(finished: Path, pictures: Path, tmp_path: Path) -> None:
    plain, judged = tmp_path / "plain", tmp_path / "judged"
    held_out = {"eval_images": 2, "eval_terms": 5}  # taken out of the training set in both
    main(make_config(options(pictures, plain, **held_out)))
    state = torch.get_rng_state()
    main(make_config(options(pictures, judged, eval_every=60, sample_every=30, **held_out)))
    assert same(weights(plain / "model"), weights(judged / "model")) and not same(weights(plain / "model"), weights(finished / "model"))
    assert [line["images"] for line in log(judged, "held_out_bits_per_dim")] == [60, 120, 180, 200]
    figures = json.loads((judged / "model" / "evaluation.json").read_text())
    assert figures["held_out"]["n"] == 2 and figures["held_out"]["bits_per_dim"] == log(judged, "held_out_bits_per_dim")[-1]["held_out_bits_per_dim"]
    assert Image.open(judged / "model" / "samples.png").size == (17, 17)
    card = (judged / "model" / "README.md").read_text()
    assert "samples.png" in card and "More Information Needed" not in card
    assert torch.equal(torch.get_rng_state(), state)


def test_parts_of_a_batch_add_up_to_the_same_step(finished: Path, pictures: Path, tmp_path: Path) -> None:
    main(make_config(options(pictures, tmp_path, batch_size=2, gradient_accumulation_steps=5)))
    whole, parts = log(finished), log(tmp_path)
    assert [line["loss"] for line in parts] == pytest.approx([line["loss"] for line in whole], rel=1e-5)


def test_starting_from_a_finished_model_starts_where_it_ended(finished: Path, pictures: Path, tmp_path: Path) -> None:
    trainer = Trainer(make_config(options(pictures, tmp_path, init_from=str(finished / "model"))))
    start = weights(finished / "model")
    assert all(torch.equal(value, start[name]) for name, value in trainer.unet.state_dict().items())


@pytest.mark.proof
@pytest.mark.parametrize("way", ["another directory", "its own directory", "as a module"])
def test_accelerate_launch_works_from_anywhere(way: str, finished: Path, pictures: Path, tmp_path: Path) -> None:
    start = {
        "another directory": ([SCRIPT], tmp_path),
        "its own directory": (["train.py"], ROOT / "training"),
        "as a module": (["-m", "training.train"], ROOT),
    }
    script, cwd = start[way]
    # In the first case modules that would hide the trainer's own, and a package's, lie where Python could find them.
    for name in ("data", "config", "model", "evaluate", "training"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong module')\n")
    done = launch([*script, *flags(options(pictures, tmp_path / "run"))], cwd)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "run" / "model") in done.stdout
    assert same(weights(tmp_path / "run" / "model"), weights(finished / "model"))


@pytest.mark.proof
def test_a_mistake_ends_in_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--resolution", "30"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("train.py: resolution = 30") and "Traceback" not in done.stderr


@pytest.mark.proof
def test_the_quick_preset_finishes_and_loads(tmp_path: Path) -> None:
    """With a quarter of its images and an eighth of its evaluation: how long all of them take is a matter of the machine, and told in the README."""
    done = launch([SCRIPT, "--config", "quick", "--train_images", "4800", "--eval_images", "8"], tmp_path)
    assert done.returncode == 0, done.stderr
    model = models.load(tmp_path / "runs" / "quick" / "model")
    assert model.shape == (1, 28, 28) and log(tmp_path / "runs" / "quick")[-1]["loss"] < 0.25
