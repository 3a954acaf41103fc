"""Quality against steps: cells that are measured once and go on where they stopped, samplers that are what they are called, and the report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from ddpm_space import analytic
from ddpm_space.bound import full_bound
from ddpm_space.denoiser import Denoiser
from ddpm_space.images import images_a_call, quantize
from ddpm_space.models import BUNDLED_FOLDER, load
from ddpm_space.samplers import SAMPLERS
from ddpm_space.schedule import NoiseSchedule
from training import posterior_variance, quality
from training.config import ConfigError, make_config
from training.data import open_data
from training.evaluation import cells
from training.evaluation.cells import Bench, Cell, plan
from training.evaluation.heldout import some
from training.evaluation.samples import draw_chunk
from training.evaluation.steps_report import Findings

FEW_CELLS = [
    *(Cell("real", "held-out", 0, 0), Cell("samples", "ddpm-small", 2, 0), Cell("samples", "ddpm-small", 2, 1)),
    *(Cell("samples", "ddim", 2, 0), Cell("bits", "ddpm-large", 2, 0)),
]


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    """The command sets the threads of its process: here it shares one with other tests."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def command(folder: Path, *more: str) -> list[str]:
    words = ["--model", "bundled:mnist", "--dataset", "bundled", "--folder", str(folder), "--samples", "66", "--images", "2", "--cpu_threads", "1"]
    return [*words, *more]


def test_cells_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(quality, "plan", lambda *given: FEW_CELLS)
    quality.main(command(tmp_path, "--minutes", "0"))
    assert "0 minutes are over: 4 cells are left" in capsys.readouterr().err, "the first is begun in any case"
    quality.main(command(tmp_path))
    kept = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "cells").iterdir()}
    assert sorted(kept) == sorted(f"{cell.name}.json" for cell in FEW_CELLS), "and no drafts are left"
    capsys.readouterr()
    quality.main(command(tmp_path))
    assert "5 of 5 cells are there" in capsys.readouterr().err
    assert {file.name: file.stat().st_mtime_ns for file in (tmp_path / "cells").iterdir()} == kept
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| DDIM (diffusers) | 2 |" in table and "| real held-out images (the floor) |" in table and "n = 66" in table
    # Other weights: nothing that is there counts.
    file = tmp_path / "cells" / "samples-ddim-2-0.json"
    file.write_text(file.read_text().replace('"weights_sha256": "', '"weights_sha256": "0'))
    with pytest.raises(ConfigError, match="measured with different weights_sha256"):
        quality.main([*command(tmp_path), "--report"])
    quality.main(command(tmp_path))
    assert "4 of 5 cells are there" in capsys.readouterr().err


def test_a_cell_goes_on_where_it_was_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, cell = load("bundled:mnist"), Cell("samples", "ddpm-small", 2, 0)
    x = torch.rand(200, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    rows = Images(quantize(x))
    monkeypatch.setattr(cells, "CHUNK", 30)

    def bench(name: str) -> Bench:
        return Bench(model, rows, rows, tmp_path / name, 70, 0, "mnist", "x")

    whole = bench("whole")
    whole.run([cell], lambda line: None)
    numbers: list[int] = []

    def until_the_second(*given: Any, number: int, **more: Any) -> torch.Tensor:
        numbers.append(number)
        if len(numbers) == 2:
            raise KeyboardInterrupt
        return draw_chunk(*given, number=number, **more)

    monkeypatch.setattr(cells, "draw_chunk", until_the_second)
    cut = bench("cut")
    with pytest.raises(KeyboardInterrupt):
        cut.run([cell], lambda line: None)
    assert not cut.is_there(cell)
    cut.run([cell], lambda line: None)
    assert numbers == [0, 1, 1, 2]
    first, second = (json.loads(each.file(cell).read_text()) for each in (whole, cut))
    assert first["frechet"] == second["frechet"] and first["recognised"] == second["recognised"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_draft_that_was_cut_short_is_drawn_anew(tmp_path: Path, share: float) -> None:
    model = load("bundled:mnist")
    bench = Bench(model, Images(torch.zeros(70, 1, 28, 28)), Images(torch.zeros(70, 1, 28, 28)), tmp_path, 70, 0, "mnist", "x")
    draft = tmp_path / "draft.npz"
    np.savez_compressed(draft, images=np.random.default_rng(0).integers(0, 256, (bench.chunk, 1, 28, 28), dtype=np.uint8))
    content = draft.read_bytes()
    assert len(bench._kept(draft, [bench.chunk, 72])) == 1
    draft.write_bytes(content[: int(share * len(content))])
    assert bench._kept(draft, [bench.chunk, 72]) == []


def test_cells_of_another_table_are_measured_again(tmp_path: Path) -> None:
    model = load("bundled:mnist")
    rows = Images(quantize(torch.rand(70, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1))
    asked = [Cell("bits", "ddpm-small", 2, 0), Cell("bits", "ddpm-analytic", 2, 0), Cell("bits", "ddpm-analytic-optimal", 2, 0)]
    bench = Bench(model, rows, rows, tmp_path, 70, 2, "mnist", "x")
    bench.run(asked, lambda line: None)
    assert all(bench.is_there(cell) for cell in asked)
    for name in ("posterior_variance", "decoder_variance", "decoder_nats"):
        table = getattr(model.denoiser, name)
        assert table is not None
        other = replace(model, denoiser=replace(model.denoiser, **{name: 1.01 * table}))
        again = Bench(other, rows, rows, tmp_path, 70, 2, "mnist", "x")
        assert [again.is_there(cell) for cell in asked] == [True, False, False]


def test_cells_of_other_images_or_another_chain_are_measured_again(tmp_path: Path) -> None:
    model = load("bundled:mnist")
    rows, others = (Images(quantize(torch.rand(70, 1, 28, 28, generator=torch.Generator().manual_seed(seed)) * 2 - 1)) for seed in (0, 1))
    asked = [Cell("bits", "ddpm-small", 2, 0)]
    Bench(model, rows, rows, tmp_path, 70, 2, "mnist", "x").run(asked, lambda line: None)
    chain = replace(model, denoiser=replace(model.denoiser, schedule=NoiseSchedule.linear(1000)))
    for again in (Bench(model, others, rows, tmp_path, 70, 2, "mnist", "x"), Bench(chain, rows, rows, tmp_path, 70, 2, "mnist", "x")):
        assert not again.is_there(asked[0])
        again.run([Cell("bits", "ddpm-large", 2, 0)], lambda line: None)
        with pytest.raises(ConfigError, match=r"different (data|chain)_sha256"):
            Findings(tmp_path)
        again.file(Cell("bits", "ddpm-large", 2, 0)).unlink()
    assert Bench(model, rows, rows, tmp_path, 70, 2, "mnist", "another name").is_there(asked[0])


def test_large_pictures_are_drawn_and_bounded_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as 28 x 28 pictures take memory; what is measured is that of each."""
    assert [images_a_call((1, side, side), 250) for side in (28, 32, 64, 512)] == [250, 250, 62, 1]
    most: list[int] = []

    def network(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        most.append(len(x))
        return torch.tanh(x)

    loaded = load("bundled:mnist")
    model = replace(loaded, denoiser=replace(loaded.denoiser, network=network))
    rows = Images(quantize(torch.rand(70, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1))
    monkeypatch.setattr(cells, "images_a_call", lambda shape, most: 3)
    bench = Bench(model, rows, rows, tmp_path, 70, 5, "mnist", "x")
    asked = [Cell("samples", "ddpm-small", 2, 0), Cell("bits", "ddpm-small", 2, 0)]
    bench.run(asked, lambda line: None)
    assert max(most) == 6, "three images, two terms of the bound at once"
    kept = json.loads(bench.file(asked[1]).read_text())
    whole = full_bound(model.denoiser, some(rows, 5, 0)[:3], schedule=model.denoiser.schedule.respaced([999, 499]), seed=0).per_image()
    assert len(kept["per_image"]) == 5 and kept["per_image"][:3] == pytest.approx(whole.tolist())
    assert kept["bits_per_dim"]["total"]["mean"] == pytest.approx(sum(kept["per_image"]) / 5)


def test_the_estimate_takes_large_pictures_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytic, "images_a_call", lambda shape, most: 16)
    most: list[int] = []

    def network(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        most.append(len(x))
        return torch.tanh(x)

    denoiser, x = Denoiser(network, "sample", NoiseSchedule.cosine(3)), torch.zeros(20, 1, 8, 8)
    found = analytic.estimate(denoiser, lambda rows: x[rows], 20, draws=20)
    assert max(most) == 16 and sum(most) == 60 and found.images == 20


@pytest.mark.parametrize("script", [quality, posterior_variance])
def test_what_the_run_held_out_is_held_out_here_too(
    short_model: Path, tmp_path: Path, script: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A set without a test split: the run took 12 pictures out by its seed, and learned from all others. It was streamed, which counts no more."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(130):
        Image.fromarray(np.full((28, 28), number, np.uint8)).save(folder / f"{number}.png")
    (short_model / "training_config.yaml").write_text(yaml.safe_dump({"dataset": "pictures", "eval_images": 12, "seed": 5, "streaming": True}))
    seen: list[Any] = []
    monkeypatch.setattr(script, "open_data", lambda config: seen.append(open_data(config)) or seen[-1])
    words = ["--model", str(short_model), "--dataset", str(folder)]
    if script is quality:
        with pytest.raises(ConfigError, match="12 held-out images: the distances need more than 64; name a data set with a test split"):
            quality.main([*words, "--folder", str(tmp_path / "cells"), "--cpu_threads", "1"])
    else:
        posterior_variance.main([*words, "--images", "2"])
    own = open_data(make_config({"dataset": str(folder), "eval_images": 12, "seed": 5}))
    assert torch.equal(seen[0].held_out.batch(torch.arange(12)), own.held_out.batch(torch.arange(12)))
    assert len(seen[0].train) == 118 and "12 of its pictures" in "".join(capsys.readouterr())


def test_samplers_that_this_model_does_not_have_are_left_out_and_named(
    short_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [Cell("samples", name, 3, 0) for name in ("ddim", "ddpm-analytic", "dpm-solver++")]
    monkeypatch.setattr(quality, "plan", lambda *given: [*asked, Cell("bits", "ddpm-analytic-optimal", 3, 0)])
    words = ["--model", str(short_model), "--dataset", "bundled", "--samples", "66", "--images", "2", "--cpu_threads", "1"]
    quality.main([*words, "--folder", str(tmp_path / "q")])
    said = capsys.readouterr().err
    assert "left out: DDIM (diffusers): diffusers' DDIM cannot take 3 steps of 20" in said
    assert "left out: DDPM, variance analytic: 'analytic' needs the model's posterior variance" in said and "optimal steps" in said
    assert [file.name for file in (tmp_path / "q" / "cells").iterdir()] == ["samples-dpm-solver++-3-0.json"]


@pytest.mark.parametrize("images", [1, 71])
def test_a_number_of_images_that_has_no_error_bar_or_is_not_there_is_refused(tmp_path: Path, images: int) -> None:
    rows = Images(torch.zeros(70, 1, 28, 28))
    with pytest.raises(ConfigError, match=f"--images {images}: use 2 to 70, the held-out images, or 0 for no bits/dim"):
        Bench(load("bundled:mnist"), rows, rows, tmp_path, 70, images, "mnist", "x")


class Images:
    def __init__(self, x: torch.Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        return self.x[indices]


def test_the_plan_has_every_sampler_at_few_steps_and_one_whole_chain() -> None:
    planned = plan(1000, 3, True)
    assert len({cell.name for cell in planned}) == len(planned) and planned[0].kind == "real"
    for steps in (5, 10, 20, 50):
        assert {(cell.sampler, cell.seed) for cell in planned if cell.kind == "samples" and cell.steps == steps} == {
            (name, seed) for name in SAMPLERS for seed in range(3)
        }
    assert [cell for cell in planned if cell.kind == "samples" and cell.steps == 1000] == [Cell("samples", "ddpm-small", 1000, 0)]
    assert {cell.sampler for cell in planned if cell.kind == "bits" and cell.steps == 1000} == {"ddpm-small", "ddpm-large", "ddpm-analytic"}
    assert all(SAMPLERS[cell.sampler].variance for cell in planned if cell.kind == "bits")
    assert max(cell.steps for cell in plan(40, 1, False)) == 40


@pytest.fixture
def short_model(tmp_path: Path) -> Path:
    """The bundled network on a chain of 20 steps."""
    folder = tmp_path / "model"
    shutil.copytree(BUNDLED_FOLDER / "mnist", folder)
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_train_timesteps": 20}))
    (folder / "scheduler" / analytic.FILE).unlink(missing_ok=True)
    return folder


def test_the_command_stores_the_table_beside_the_scheduler(short_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = posterior_variance.main(["--model", str(short_model), "--dataset", "bundled", "--images", "8"])
    assert file == short_model / "scheduler" / analytic.FILE and "20 timesteps, 8 images each" in capsys.readouterr().out
    table = load(short_model).denoiser.posterior_variance
    # The less is left of the image, the less is known of it.
    assert table is not None and table.shape == (20,) and table[0] < 0.01 < 0.1 < table[-1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "user/model"], r"there is no folder 'user/model'.* download a model of the Hub"),
        (["--model", "bundled:mnist", "--images", "1"], "--images 1: use at least 2"),
    ],
)
def test_what_cannot_be_estimated_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        posterior_variance.main(words)
