"""Quality against steps: cells that are measured once and go on where they stopped, samplers that are what they are called, and the report."""

from __future__ import annotations

import json
import math
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler

from ddpm_space import analytic
from ddpm_space.coupling import PathNoise
from ddpm_space.denoiser import Denoiser
from ddpm_space.images import quantize
from ddpm_space.models import BUNDLED_FOLDER, load
from ddpm_space.samplers import SAMPLERS, walk
from ddpm_space.sampling import SettingsError
from ddpm_space.schedule import NoiseSchedule
from training import posterior_variance, quality
from training.config import ConfigError
from training.evaluation import cells
from training.evaluation.cells import Bench, Cell, plan
from training.evaluation.samples import draw, draw_chunk
from training.evaluation.steps_report import Findings, as_table, write_report

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


def toy(T: int = 50) -> Denoiser:
    table = torch.linspace(1e-3, 0.8, T, dtype=torch.float64)
    return Denoiser(lambda x, t: torch.tanh(x) * (1 + t.reshape(-1, 1, 1, 1) / T), "epsilon", NoiseSchedule.cosine(T), None, table)


def test_the_ancestral_sampler_is_stock_ddpm() -> None:
    """diffusers' own DDPMScheduler, with the same noise from the same generator."""
    denoiser = toy()
    generator = torch.Generator().manual_seed(3 * 1_000_003 + 2)
    *_, last = walk(denoiser, torch.randn((6, 1, 4, 4), generator=generator), SAMPLERS["ddpm-large"], 10, generator)
    ours = quantize(last.x_prev)
    stock = DDPMScheduler(50, trained_betas=denoiser.schedule.beta.numpy(), variance_type="fixed_large", timestep_spacing="trailing")
    stock.set_timesteps(10)
    generator = torch.Generator().manual_seed(3 * 1_000_003 + 2)
    x = torch.randn((6, 1, 4, 4), generator=generator)
    for t in stock.timesteps:
        # Of the last step stock adds noise unless t = 0, here it never does.
        x = stock.step(denoiser.network(x, t.expand(6)), t, x, generator=generator)[
            "pred_original_sample" if t == stock.timesteps[-1] else "prev_sample"
        ]
    assert float((ours - quantize(x)).abs().max()) <= 2 / 255 + 1e-6 and float((ours - x).abs().mean()) < 2 / 255


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_draws_the_same_again_and_begins_from_the_same_noise(name: str) -> None:
    seen: list[torch.Tensor] = []
    denoiser = toy()

    def watched(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return denoiser.network(x, t)

    network = Denoiser(watched, "epsilon", denoiser.schedule, None, denoiser.posterior_variance)
    first, again, other = (draw_chunk(network, (1, 4, 4), SAMPLERS[name], 5, 3, seed=0, number=number) for number in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other) and len(seen) == 15
    assert torch.equal(seen[0], torch.randn((3, 1, 4, 4), generator=torch.Generator().manual_seed(1)))


def test_a_long_chain_keeps_no_picture_but_the_last() -> None:
    seen: list[weakref.ref[torch.Tensor]] = []

    def network(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append(weakref.ref(x))
        assert sum(each() is not None for each in seen) <= 3, "this step's, and those that a solver and its consumer still hold"
        return torch.tanh(x)

    denoiser = Denoiser(network, "epsilon", NoiseSchedule.cosine(50))
    draw_chunk(denoiser, (1, 4, 4), SAMPLERS["ddpm-small"], 50, 2, seed=0, number=0)
    draw(denoiser, (1, 4, 4), 2, num_steps=50, seed=0)
    assert len(seen) == 100


def still() -> Denoiser:
    """A network that sees the same picture wherever it looks: every step of a chain is then exact, however long."""
    x_0 = torch.linspace(-0.9, 0.9, 16).reshape(1, 1, 4, 4)
    return Denoiser(lambda x, t: x_0.expand_as(x), "sample", NoiseSchedule.cosine(50), None, toy().posterior_variance)


def inside(name: str, steps: int, noise: Any) -> torch.Tensor:
    """x_s at s = 9, which the chains of 5, 10 and 50 steps all visit."""
    generator = torch.Generator().manual_seed(1)
    x_T = torch.randn((300, 1, 4, 4), generator=generator)
    steps_taken = walk(still(), x_T, SAMPLERS[name], steps, noise(generator))
    return next(step.x_t for step in steps_taken if step.t == 9)


def path(generator: torch.Generator) -> Any:
    return PathNoise(still().schedule, lambda: torch.randn((300, 1, 4, 4), generator=generator))


@pytest.mark.parametrize("name", ["ddpm-small", "sde-dpm-solver++"])
def test_chains_of_every_length_share_their_noise(name: str) -> None:
    """diffusers' SDE-DPM-Solver++ of a picture that stands still is the ancestral chain with beta_tilde, whose steps compose exactly."""
    whole = inside("ddpm-small", 50, path)
    for steps in (5, 10):
        assert float((inside(name, steps, path) - whole).abs().max()) < 1e-4
        assert float((inside(name, steps, lambda generator: generator) - whole).abs().mean()) > 0.05, "noise of its own leads elsewhere"


def test_the_images_of_a_shorter_chain_are_nearly_those_of_the_whole_one() -> None:
    """Of a network that follows x_t, so that the noise on the way decides the picture."""
    denoiser = Denoiser(lambda x, t: torch.tanh(2 * x), "sample", NoiseSchedule.cosine(50))
    whole, shorter = (draw_chunk(denoiser, (1, 4, 4), SAMPLERS["ddpm-small"], steps, 50, seed=0, number=0) for steps in (50, 25))
    generator = torch.Generator().manual_seed(0)
    *_, last = walk(denoiser, torch.randn((50, 1, 4, 4), generator=generator), SAMPLERS["ddpm-small"], 25, generator)
    apart = (last.x_prev - whole).abs().mean()
    assert float((shorter - whole).abs().mean()) < float(apart) / 3


def test_the_shared_noise_is_standard_gaussian_and_new_in_every_step() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = PathNoise(NoiseSchedule.cosine(50), lambda: torch.randn(20_000, generator=generator))
    drawn = torch.stack([noise(t, s) for t, s in ((49, 30), (30, 29), (29, 3), (3, 0))])
    assert not noise(0, -1).any(), "clean data gets none"
    # Of 20,000 values: mean, variance and the correlations of two steps are off by less than 4.5 standard errors.
    assert float(drawn.mean(1).abs().max()) < 4.5 / math.sqrt(20_000)
    assert float((torch.cov(drawn) - torch.eye(4)).abs().max()) < 4.5 * math.sqrt(2 / 20_000)


@pytest.mark.parametrize("name", [name for name, sampler in SAMPLERS.items() if sampler.needs_table])
def test_a_sampler_asks_for_the_table(name: str) -> None:
    bare = Denoiser(toy().network, "epsilon", toy().schedule)
    with pytest.raises(SettingsError, match=r"see training/posterior_variance\.py"):
        draw_chunk(bare, (1, 4, 4), SAMPLERS[name], 5, 1, seed=0, number=0)
    with pytest.raises(SettingsError, match=r"51 is not possible\. Use a whole number from 1 to 50"):
        draw_chunk(toy(), (1, 4, 4), SAMPLERS[name], 51, 1, seed=0, number=0)


def written(folder: Path, sampler: str, steps: int, seed: int, value: float, error: float, kind: str = "samples") -> None:
    """A cell of two groups of images, the second of which is further by the error: half their difference is the jackknife's error of two."""
    content = {
        **{"kind": kind, "sampler": sampler, "steps": steps, "seed": seed, "weights_sha256": "abc", "n": 2000, "features": "some"},
        "T": 1000,
        **{"distance": "Fréchet distance", "frechet": {"value": value, "error": error}, "recognised": 0.5},
        "left_out": [value - error, value + error],
    }
    (folder / "cells").mkdir(exist_ok=True)
    (folder / "cells" / f"{sampler}{steps}{seed}.json").write_text(json.dumps(content), encoding="utf-8")


def test_the_report_averages_and_says_what_is_near(tmp_path: Path) -> None:
    written(tmp_path, "held-out", 0, 0, 0.8, 0.05, "real")
    written(tmp_path, "ddpm-small", 1000, 0, 1.0, 0.02)
    for seed, value in enumerate((1.05, 1.15, 1.1)):
        written(tmp_path, "ddim", 20, seed, value, 0.03)
    written(tmp_path, "dpm-solver++", 20, 0, 1.15, -0.03)
    written(tmp_path, "sde-dpm-solver++", 20, 0, 1.17, 0.03)
    written(tmp_path, "sde-dpm-solver++", 10, 1, 1.17, 0.03)
    findings = Findings(tmp_path)
    mean = findings.mean("samples", "ddim", 20)
    assert mean is not None and mean.value == pytest.approx(1.1) and mean.error == pytest.approx(0.03 / math.sqrt(3)) and mean.seeds == 3
    assert findings.above_whole("ddim", 20) == pytest.approx((0.05, 0.01)), "of the seed that both have"
    assert findings.above_whole("ddpm-small", 1000) is None
    table = as_table(findings)
    assert "| DDIM (diffusers) | 20 | 1.10 ± 0.02 | 3 | +0.05 ± 0.01 | yes | 50.0% |" in table
    # What chance does to both is not in the difference: 0.17 + 1.96 x 0.01 < 0.2, but apart 0.17 + 1.96 x 0.036 > 0.2; and 0.15 + 1.96 x 0.05 > 0.2.
    assert "| SDE-DPM-Solver++ 2M (diffusers) | 20 | 1.17 ± 0.03 | 1 | +0.17 ± 0.01 | yes | 50.0% |" in table
    assert "| DPM-Solver++ 2M (diffusers) | 20 | 1.15 ± 0.03 | 1 | +0.15 ± 0.05 | no | 50.0% |" in table
    assert "| SDE-DPM-Solver++ 2M (diffusers) | 10 | 1.17 ± 0.03 | 1 |  |  | 50.0% |" in table, "another seed's noise is not the whole chain's"
    summary, whole, *drawn = write_report(tmp_path)
    assert whole.read_text(encoding="utf-8") == table
    assert summary.read_text(encoding="utf-8").splitlines() == [
        "| sampler | 10 steps | 20 steps | 1,000 steps |",
        "|---|---|---|---|",
        "| DDPM, variance beta_tilde |  |  | **1.00 ± 0.02** |",
        "| DDIM (diffusers) |  | **1.10 ± 0.02** |  |",
        "| DPM-Solver++ 2M (diffusers) |  | 1.15 ± 0.03 |  |",
        "| SDE-DPM-Solver++ 2M (diffusers) | 1.17 ± 0.03 | **1.17 ± 0.03** |  |",
    ]
    for figure in drawn:  # matplotlib is there
        before = figure.read_bytes()
        assert b"<svg" in before
        write_report(tmp_path)
        assert figure.read_bytes() == before


def test_nothing_is_compared_with_a_chain_that_is_not_whole(tmp_path: Path) -> None:
    written(tmp_path, "ddpm-small", 250, 0, 1.0, 0.02)
    written(tmp_path, "ddim", 20, 0, 1.1, 0.03)
    findings = Findings(tmp_path)
    assert findings.whole() is None and findings.above_whole("ddim", 20) is None and findings.is_near("ddim", 20) is None
    assert "| DDIM (diffusers) | 20 | 1.10 ± 0.03 | 1 |  |  | 50.0% |" in as_table(findings)


def test_a_report_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are no cells"):
        quality.main(["--folder", str(tmp_path), "--report"])


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
        (["--model", "user/model"], r"on the Hub, where nothing can be stored"),
        (["--model", "bundled:mnist", "--images", "1"], "--images 1: use at least 2"),
    ],
)
def test_what_cannot_be_estimated_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        posterior_variance.main(words)
