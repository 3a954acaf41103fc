"""Whole runs of a tiny network: it learns, it can be stopped and resumed to the same bits, and what it leaves behind is complete."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ddpm_space import models
from training import checkpoint
from training.config import ConfigError, make_config
from training.train import Diverged, Trainer, main

ROOT = Path(__file__).resolve().parent.parent
TINY: dict[str, Any] = {
    "resolution": 8,
    "block_out_channels": (8, 8),
    "attention_levels": (),
    "attention_head_dim": 8,
    "norm_num_groups": 4,
    "num_train_timesteps": 40,
    "train_images": 200,
    "batch_size": 10,
    "lr_warmup_steps": 3,
    "learning_rate": 5e-3,
    "ema_decay": 0.9,
    "mixed_precision": "no",
    "log_every": 4,
    "sample_images": 4,
    "sample_steps": 4,
    "sample_every": 0,
    "checkpoint_every": 0,
    "keep_checkpoints": 9,
    "cpu_threads": 1,
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dozen 8 x 8 pictures: a bright bar, each in another place and shade."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(24):
        picture = Image.new("L", (8, 8), 0)
        picture.paste(180 + 3 * index, (index % 6, 0, index % 6 + 3, 8))
        picture.save(folder / f"{index:02d}.png")
    return folder


def options(pictures: Path, output: Path, **changes: Any) -> dict[str, Any]:
    return {**TINY, "dataset": str(pictures), "output_dir": str(output), **changes}


def weights(model: Path) -> dict[str, torch.Tensor]:
    return load_file(model / "unet" / "diffusion_pytorch_model.safetensors")


def log(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted, with its checkpoints."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    assert main(make_config(options(pictures, run, checkpoint_every=50, sample_every=100))) == run / "model"
    return run


def test_a_run_learns_and_leaves_a_model_grids_checkpoints_and_a_log(finished: Path) -> None:
    lines = log(finished)
    assert [line["images"] for line in lines] == list(range(40, 201, 40))
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"] and lines[-1]["learning_rate"] == pytest.approx(5e-3 / 20)
    assert [path.name for path in checkpoint.checkpoints(finished)] == [f"images-{images:09d}" for images in (50, 100, 150)]
    assert sorted(path.name for path in (finished / "samples").iterdir()) == ["images-000000100.png", "images-000000200.png"]
    assert Image.open(finished / "samples" / "images-000000200.png").size == (17, 17)
    model = models.load(finished / "model")
    assert (model.shape, model.prediction_type, len(model.denoiser.schedule)) == ((1, 8, 8), "v_prediction", 40)
    assert "200 of 200 planned" in (finished / "model" / "README.md").read_text()


def test_a_resumed_run_ends_in_the_same_bits(finished: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    shutil.copytree(finished / "checkpoints" / "images-000000100", tmp_path / "checkpoints" / "images-000000100")
    main(make_config(options(pictures, tmp_path, resume="latest")))
    assert log(tmp_path)[0]["images"] == 120
    resumed, whole = weights(tmp_path / "model"), weights(finished / "model")
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_the_model_holds_the_averaged_weights_and_training_goes_on_with_the_others(pictures: Path, tmp_path: Path) -> None:
    trainer = Trainer(make_config(options(pictures, tmp_path, train_images=60)))
    trainer.train()
    saved, trained = weights(tmp_path / "model"), trainer.unet.state_dict()
    names = [name for name, _ in trainer.unet.named_parameters()]
    assert all(torch.equal(saved[name], average) for name, average in zip(names, trainer.ema.shadow_params))
    assert any(not torch.equal(saved[name], trained[name]) for name in names)


def test_a_checkpoint_that_fails_halfway_leaves_the_last_one(finished: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(make_config(options(pictures, tmp_path, checkpoint_every=50)))
    write, calls = checkpoint.save_file, []

    def torn(tensors: dict[str, torch.Tensor], path: Path) -> None:
        calls.append(path)
        write(tensors, path)
        if len(calls) == 2:
            path.write_bytes(path.read_bytes()[:1000])
            raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", torn)
    with pytest.raises(OSError, match="No space left"):
        trainer.train()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["images-000000050"]
    monkeypatch.undo()
    main(make_config(options(pictures, tmp_path, resume="latest")))
    whole = weights(finished / "model")
    assert all(torch.equal(value, whole[name]) for name, value in weights(tmp_path / "model").items())


def test_only_the_newest_checkpoints_are_kept(pictures: Path, tmp_path: Path) -> None:
    main(make_config(options(pictures, tmp_path, checkpoint_every=20, train_images=70, keep_checkpoints=2)))
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == ["images-000000040", "images-000000060"]


def test_a_resume_that_cannot_work_says_why(finished: Path, pictures: Path, tmp_path: Path) -> None:
    last = str(finished / "checkpoints" / "images-000000150")
    broken = tmp_path / "images-000000150"
    shutil.copytree(last, broken)
    (broken / "state.safetensors").write_bytes((broken / "state.safetensors").read_bytes()[:5000])
    for changes, named in (
        ({"resume": "latest"}, "there is no checkpoint"),
        ({"resume": str(tmp_path / "nowhere")}, "is no checkpoint"),
        ({"resume": str(broken)}, "is damaged"),
        ({"resume": last, "block_out_channels": (8, 16)}, "another network"),
        ({"resume": last, "batch_size": 20}, "10 images a step, this run has 20"),
        ({"resume": last, "train_images": 150}, "raise it to go on"),
    ):
        with pytest.raises(ConfigError, match=named):
            main(make_config(options(pictures, tmp_path / "run", **changes)))


def test_a_run_that_diverges_stops_with_the_fix(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"Lower learning_rate"):
        main(make_config(options(pictures, tmp_path, learning_rate=1e30, max_grad_norm=1e30, lr_warmup_steps=0)))
    assert not (tmp_path / "model").exists()


def test_min_snr_x_0_and_eps_prediction_and_rgb_train_too(pictures: Path, tmp_path: Path) -> None:
    for prediction_type in ("epsilon", "sample"):
        run = tmp_path / prediction_type
        main(make_config(options(pictures, run, prediction_type=prediction_type, min_snr_gamma=5, channels=3, channels_last=True)))
        assert log(run)[-1]["loss"] < 0.9 * log(run)[0]["loss"]
        assert models.load(run / "model").shape == (3, 8, 8)


def test_starting_from_a_finished_model_starts_where_it_ended(finished: Path, pictures: Path, tmp_path: Path) -> None:
    trainer = Trainer(make_config(options(pictures, tmp_path, init_from=str(finished / "model"))))
    start = weights(finished / "model")
    assert all(torch.equal(value, start[name]) for name, value in trainer.unet.state_dict().items())


def flags(values: dict[str, Any]) -> list[str]:
    return [f"--{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}" for name, value in values.items()]


def launch(arguments: list[str], cwd: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes=1", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout)


@pytest.mark.proof
@pytest.mark.parametrize("way", ["another directory", "its own directory", "as a module"])
def test_accelerate_launch_works_from_anywhere(way: str, finished: Path, pictures: Path, tmp_path: Path) -> None:
    start = {
        "another directory": ([str(ROOT / "training" / "train.py")], tmp_path),
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
    whole = weights(finished / "model")
    assert all(torch.equal(value, whole[name]) for name, value in weights(tmp_path / "run" / "model").items())


@pytest.mark.proof
def test_a_mistake_ends_in_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "training" / "train.py"), "--resolution", "30"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("train.py: resolution = 30") and "Traceback" not in done.stderr


@pytest.mark.proof
def test_the_quick_preset_finishes_in_under_four_minutes_and_loads(tmp_path: Path) -> None:
    start = time.monotonic()
    done = launch([str(ROOT / "training" / "train.py"), "--config", "quick"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 240
    model = models.load(tmp_path / "runs" / "quick" / "model")
    assert model.shape == (1, 28, 28) and log(tmp_path / "runs" / "quick")[-1]["loss"] < 0.25
