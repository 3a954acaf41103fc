"""A loss that is no number stops a run at its step, with the batch kept and nothing broken written."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from training_runs import new_processes, options, write_pictures

from training.config import make_config
from training.loop import checkpoint, watch
from training.train import Diverged, Trainer, main


@pytest.fixture(autouse=True)
def forget() -> None:
    new_processes()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


def poisoned(trainer: Trainer, step: int, value: float) -> None:
    """Let the first pixel of a step's first image be no number."""
    at = type(trainer.batches).at

    def broken(batches: Any, number: int, part: int = 0) -> Any:
        batch = at(batches, number, part)
        if (number, part) == (step, 0):
            batch.x_0[0, 0, 0, 0] = value
        return batch

    object.__setattr__(trainer.batches, "at", broken.__get__(trainer.batches))


@pytest.mark.parametrize("parts", [1, 2])
def test_the_step_is_named_its_batch_is_kept_and_no_checkpoint_follows(parts: int, pictures: Path, tmp_path: Path) -> None:
    settings = options(pictures, tmp_path, checkpoint_every=10, batch_size=10 // parts, gradient_accumulation_steps=parts, keep_checkpoints=99)
    trainer = Trainer(make_config(settings))
    plan = trainer.batches.at(6)
    poisoned(trainer, 6, math.nan)
    with pytest.raises(Diverged, match=r"step 7: the loss is nan.*step-7.safetensors.*Lower learning_rate \(it is 0.005\)"):
        trainer.train()
    assert [path.name for path in checkpoint.checkpoints(tmp_path)][-1] == "images-000000060"
    kept = load_file(tmp_path / "diverged" / "step-7.safetensors")
    assert kept["x_0"].shape == (10, 1, 8, 8) and kept["t"].dtype == torch.int64
    assert torch.equal(kept["eps"][: len(plan.eps)], plan.eps) and torch.equal(kept["t"][: len(plan.t)], plan.t)
    assert kept["loss"].isnan().nonzero().flatten().tolist() == [0] and kept["x_0"].isnan().sum() == 1
    main(make_config({**settings, "resume": "latest"}))  # as if the picture had been repaired


def test_a_full_disk_does_not_hide_that_a_run_diverged(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise SafetensorError("No space left on device (os error 28)")

    trainer = Trainer(make_config(options(pictures, tmp_path)))
    poisoned(trainer, 6, math.nan)
    monkeypatch.setattr(watch, "save_file", full)
    with pytest.raises(Diverged, match=r"step 7: the loss is nan.*could not be kept \(No space left"):
        trainer.train()


def test_gradients_that_are_no_numbers_stop_the_run_too(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(make_config(options(pictures, tmp_path, checkpoint_every=10)))
    clip, calls = trainer.accelerator.clip_grad_norm_, []

    def overflowed(*arguments: Any) -> torch.Tensor:
        calls.append(1)
        return clip(*arguments) * (math.inf if len(calls) == 4 else 1)

    monkeypatch.setattr(trainer.accelerator, "clip_grad_norm_", overflowed)
    with pytest.raises(Diverged, match=r"step 4: the loss is 0\.\d+ but the norm of its gradients inf"):
        trainer.train()
    assert checkpoint.checkpoints(tmp_path)[-1].name == "images-000000030"


def test_a_weight_that_is_no_number_is_never_written(pictures: Path, tmp_path: Path) -> None:
    trainer = Trainer(make_config(options(pictures, tmp_path, checkpoint_every=100)))
    with torch.no_grad():
        trainer.ema.shadow_params[0][0] = math.inf
    with pytest.raises(Diverged, match="after step 10 some weights are no numbers"):
        trainer.train()
    assert not checkpoint.checkpoints(tmp_path) and not (tmp_path / "model").exists()


def test_a_learning_rate_far_too_high_ends_in_one_sentence(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"training has diverged.*Lower learning_rate"):
        main(make_config(options(pictures, tmp_path, learning_rate=1e30, max_grad_norm=1e30, lr_warmup_steps=0)))
    assert not (tmp_path / "model").exists()


def test_weights_that_are_no_numbers_are_not_evaluated(pictures: Path, tmp_path: Path) -> None:
    trainer = Trainer(make_config(options(pictures, tmp_path, eval_every=70, eval_images=2, eval_terms=3)))
    poisoned(trainer, 6, math.nan)
    with pytest.raises(Diverged, match="step 7: the loss is nan"):
        trainer.train()
    assert not trainer.books.history
