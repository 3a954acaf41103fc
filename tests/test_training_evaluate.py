"""A whole evaluation: samples that depend on nothing but their number, figures as text and as JSON, and what is refused before any training."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from training_runs import TINY, new_processes

from ddpm_space.denoiser import Denoiser
from ddpm_space.images import quantize
from ddpm_space.models import ready
from ddpm_space.schedule import NoiseSchedule
from training import evaluate
from training.config import ConfigError, make_config
from training.data import ImageSet, load_images
from training.evaluate import EvaluationSettings, evaluate_model
from training.evaluation.findings import Evaluation, Frechet
from training.evaluation.judge import Judgement
from training.evaluation.samples import draw
from training.loop.outputs import Outputs
from training.model import build_scheduler, build_unet

SHAPE = (1, 28, 28)


@pytest.fixture(scope="module")
def digits() -> tuple[ImageSet, ImageSet]:
    train, test = load_images("bundled", split="train"), load_images("bundled", split="test")
    return ImageSet(train.images[::4], None, train.name), test


def shrinking(steps: int = 20) -> Denoiser:
    return Denoiser(lambda x_t, t: 0.5 * x_t, "epsilon", NoiseSchedule.cosine(steps))


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


def test_what_is_not_asked_for_is_not_measured(digits: tuple[ImageSet, ImageSet], capsys: pytest.CaptureFixture[str]) -> None:
    nothing = evaluate_model(shrinking(), EvaluationSettings(images=0, samples=0), *digits, shape=SHAPE)
    assert (nothing.held_out, nothing.train, nothing.frechet, nothing.recognised, nothing.memorisation) == (None, None, None, None, ())
    assert capsys.readouterr().err == ""
    streamed = evaluate_model(shrinking(), EvaluationSettings(images=2, terms=50), None, digits[1], shape=SHAPE)
    assert capsys.readouterr().err == "evaluating: about 40 forward passes of one image, the work of training on 13\n"
    assert streamed.held_out is not None and streamed.train is None


def test_samples_that_leave_learned_variances_aside_are_said_to(digits: tuple[ImageSet, ImageSet], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "judge", lambda *_, **__: Judgement(Frechet("", "", None, None, None, None), None, (), ("last",), None))
    settings = EvaluationSettings(images=0, samples=2, steps=1, features="mnist")
    learned = replace(shrinking(), with_variance=lambda x_t, t: torch.cat([x_t, x_t], dim=1))
    for denoiser, notes in ((shrinking(), 1), (learned, 2)):
        found = evaluate_model(denoiser, settings, *digits, shape=SHAPE)
        assert len(found.notes) == notes and ("beta_tilde, not with the learned ones" in found.notes[0]) is (notes == 2)


def test_a_run_in_bf16_is_judged_by_the_weights_that_it_saves(tmp_path: Path) -> None:
    new_processes()
    config = make_config({**TINY, "output_dir": str(tmp_path), "mixed_precision": "bf16"})
    accelerator = Accelerator(mixed_precision="bf16", cpu=True)
    unet = build_unet(config)
    wrapped = accelerator.unwrap_model(accelerator.prepare(unet))
    outputs = Outputs(config, accelerator, wrapped, EMAModel(wrapped.parameters()), build_scheduler(config), None, None, None)
    x_t, t = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 30])
    with outputs.averaged() as denoiser:
        found, trained_with = denoiser.network(x_t, t), wrapped(x_t, t).sample
    saved = build_unet(config)
    saved.load_state_dict(unet.state_dict())
    saved = ready(saved, "cpu")
    with torch.no_grad():
        assert torch.equal(found, saved(x_t, t).sample) and not torch.equal(found, trained_with.float())
    new_processes()


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
