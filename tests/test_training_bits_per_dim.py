"""The script that measures bits/dim: its table, its report, and the trial of the estimator on a table."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from picture_files import cells, write

from ddpm_space.bound import Bound
from ddpm_space.schedule import NoiseSchedule
from training import bits_per_dim
from training.bits_per_dim import read_table, report, resample, save_table, weights_hash


def made_up_bound(steps: int = 200, images: int = 24) -> Bound:
    """Terms that fall steeply with t, differ between images and carry noise, as a model's do."""
    generator = torch.Generator().manual_seed(5)
    t = torch.arange(steps, dtype=torch.float64)[:, None]
    scale = 0.5 + torch.rand(images, generator=generator, dtype=torch.float64)
    nats = scale * (300 * torch.exp(-t / 6) + 5) * (1 + 0.2 * torch.randn(steps, images, generator=generator, dtype=torch.float64))
    errors = torch.rand(2, steps, images, generator=generator, dtype=torch.float64)
    return Bound(NoiseSchedule.cosine(steps), nats, 0.01 * scale, errors[0], errors[1], 784, "made up")


def test_a_table_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    bound, path = made_up_bound(), tmp_path / "inner" / "bound.parquet"
    save_table(bound, path, {"model": "m", "rows": [3, 4]})
    again, about = read_table(path)
    assert about == {"model": "m", "rows": [3, 4]}
    assert (again.num_dims, again.conventions, again.schedule.name) == (784, "made up", bound.schedule.name)
    assert torch.equal(again.schedule.beta, bound.schedule.beta) and torch.equal(again.schedule.timesteps, bound.schedule.timesteps)
    for name in ("nats", "eps_mse", "x_0_mse"):
        assert torch.equal(getattr(again, name), getattr(bound, name).float().double())
    assert report(again).splitlines()[1:5] == report(bound).splitlines()[1:5]
    assert [file.name for file in path.parent.iterdir()] == ["bound.parquet"]


def test_a_save_that_fails_leaves_the_old_table_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bound.parquet"
    save_table(made_up_bound(), path, {})
    before = path.read_bytes()

    def full_disk(table: object, where: Path, **options: object) -> None:
        Path(where).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bits_per_dim.pq, "write_table", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_table(made_up_bound(), path, {})
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"not parquet", None])
def test_what_is_no_table_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a table that this script wrote"):
        read_table(path)


def test_report_names_every_part_its_error_and_the_conventions() -> None:
    bound = made_up_bound()
    text = report(bound)
    total = bound.mean()
    assert f"{total.mean:.6f} +- {total.standard_error:.6f}" in text and text.endswith("conventions: made up")
    assert all(part in text for part in ("L_T", "sum of L_{t-1}", "L_0", "total", "rate", "RMSE (0..255)"))


def test_the_estimator_holds_on_a_table() -> None:
    found = resample(made_up_bound(), times=400)
    assert found.evaluations <= 20 and found.steps == 200
    assert abs(found.bias) <= 4 * found.bias_error
    # 400 intervals of 95 %: the share has a standard error of 1.1 %.
    assert 0.90 <= found.coverage <= 0.99
    assert found.promised == pytest.approx(found.spread, rel=5 / math.sqrt(2 * 400))


def test_a_biased_sum_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = bits_per_dim.Strata.total
    monkeypatch.setattr(bits_per_dim.Strata, "total", lambda self, values: (1.01 * right(self, values)[0], right(self, values)[1]))
    found = resample(made_up_bound(), times=400)
    assert found.bias > 4 * found.bias_error and found.coverage < 0.9


def test_a_wrong_variance_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = bits_per_dim.Strata.total

    def overconfident(self: bits_per_dim.Strata, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total, variance = right(self, values)
        return total, variance / 2

    monkeypatch.setattr(bits_per_dim.Strata, "total", overconfident)
    assert resample(made_up_bound(), times=400).coverage < 0.9


def test_the_script_measures_writes_reads_and_estimates(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    model = bits_per_dim.load("bundled:mnist")
    short = bits_per_dim.full_bound
    chain = model.denoiser.schedule.respaced([999, 600, 300, 60, 5])
    monkeypatch.setattr(bits_per_dim, "full_bound", lambda *args, **options: short(*args, schedule=chain, **options))
    path = tmp_path / "bound.parquet"
    bits_per_dim.main(["--images", "2", "--output", str(path)])
    printed = capsys.readouterr().out
    assert "bits/dim on 2 images, all 5 terms" in printed and "variance fixed_small" in printed
    assert printed.startswith("data: mnist_small (bundled), split 'test'") and "note:" not in printed
    bits_per_dim.main(["--table", str(path), "--resamples", "3"])
    again = capsys.readouterr().out
    assert "weights_sha256" in again and "drawn 3 times" in again
    # Single precision in the table: the figures agree to the digits printed, or to one in the last.
    first, second = (text.split("bits/dim on", 1)[1].splitlines()[1:5] for text in (printed, again))
    for one, other in zip(first, second):
        assert [float(word) for word in one.split() if word[0].isdigit()] == pytest.approx(
            [float(word) for word in other.split() if word[0].isdigit()], abs=2e-6
        )
    bits_per_dim.main(["--images", "2", "--estimate", "3", "--variance", "fixed_large"])
    assert "estimated from 3 terms an image" in capsys.readouterr().out


def test_the_variance_is_the_networks_own_and_images_that_may_have_been_trained_on_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bits_per_dim.load("bundled:mnist")
    network = model.denoiser.network
    learned = replace(model.denoiser, with_variance=lambda x_t, t: torch.cat([network(x_t, t), torch.zeros_like(x_t)], dim=1))
    monkeypatch.setattr(bits_per_dim, "load", lambda source, device: replace(model, denoiser=learned))
    file = write(tmp_path / "all.parquet", image=cells(*range(4)))
    bits_per_dim.main(["--images", "2", "--estimate", "3", "--dataset", str(file)])
    printed = capsys.readouterr().out
    assert "variance learned_range" in printed and "all.parquet, split 'test'" in printed
    assert "these data have no splits, and nothing shows that the images were not trained on" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "1"], "error: --images 1: use 2"),
        (["--images", "5000"], "to 1000, as many as"),
        (["--table", "nowhere.parquet"], "is not a table"),
        (["--images", "2", "--estimate", "2"], "evaluations = 2: use 3 to 1000"),
        (["--images", "2", "--variance", "learned_range", "--estimate", "3"], "this network learned no variance"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        bits_per_dim.main(arguments)


def test_options_that_contradict_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--estimate", "9", "--output", "x"], ["--resamples", "1"]):
        with pytest.raises(SystemExit):
            bits_per_dim.parse(arguments)
    assert "goes with neither" in capsys.readouterr().err


def test_a_stored_table_belongs_to_the_main_weights(tmp_path: Path) -> None:
    """The raw weights beside them, which a download leaves out, change nothing."""
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"averaged")
    alone = weights_hash(str(tmp_path))
    (tmp_path / "unet" / "diffusion_pytorch_model.raw.safetensors").write_bytes(b"raw")
    assert weights_hash(str(tmp_path)) == alone == hashlib.sha256(b"averaged").hexdigest()
