"""What a run reports: means that are those of the definition, a log that holds each step once, and a bar."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ddpm_space.schedule import NoiseSchedule
from training.config import make_config
from training.loop.meter import Meter
from training.loop.progress import LINE_EVERY, LOG, Reporter, open_reporter
from training.objective import Losses, Objective


def losses(count: int, seed: int, *, vlb: bool = False) -> tuple[torch.Tensor, Losses, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    t = torch.randint(0, 100, (count,), generator=generator)
    drawn = torch.rand(4, count, generator=generator)
    return t, Losses(drawn[0], drawn[1], drawn[2] if vlb else None), 0.5 + drawn[3]


class Pair:
    """An accelerator of two processes, as the meter sees it: it knows what the other one has counted."""

    def __init__(self, other: Meter) -> None:
        self.other = other

    def reduce(self, tensor: torch.Tensor, reduction: str) -> torch.Tensor:
        assert reduction == "sum"
        return tensor + self.other.sums


def test_the_meter_gives_weighted_means_over_micro_batches_and_processes() -> None:
    first, second = Meter(100, "cpu"), Meter(100, "cpu")
    parts = [losses(count, seed, vlb=True) for count, seed in ((30, 0), (10, 1), (25, 2))]
    for meter, part in zip((first, first, second), parts):
        meter.add(*part)
    for norm in (1.0, math.inf, 2.0):
        first.add_norm(torch.tensor(norm))
    found = first.read(Pair(second))  # type: ignore[arg-type]
    rows = [
        (int(t), float(w), [float(value) for value in values])
        for ts, batch, ws in parts
        for t, w, values in zip(ts, ws, torch.stack([value for value in batch if value is not None]).T)
    ]
    for column, name in enumerate(("loss", "squared_error", "vlb")):
        assert found[name] == pytest.approx(sum(w * values[column] for _, w, values in rows) / 65, rel=1e-6)
    for quarter in range(4):
        own = [(w, values[0]) for t, w, values in rows if 25 * quarter <= t < 25 * (quarter + 1)]
        assert found[f"loss_q{quarter + 1}"] == pytest.approx(sum(w * loss for w, loss in own) / sum(w for w, _ in own), rel=1e-6)
    # The step that overflowed in half precision was left out by the optimizer too.
    assert found["gradient_norm"] == 1.5 and found["gradient_norm_max"] == 2


def test_a_reading_begins_anew_and_leaves_out_what_was_not_seen() -> None:
    meter = Meter(100, "cpu")
    meter.add(*losses(10, 0))
    meter.read()
    meter.add(torch.tensor([99]), Losses(torch.tensor([3.0]), torch.tensor([4.0]), None), torch.ones(1))
    assert meter.read() == {"loss": 3, "squared_error": 4, "loss_q4": 3}
    meter.add(torch.tensor([0]), Losses(torch.tensor([math.nan]), torch.tensor([4.0]), None), torch.ones(1))
    assert math.isnan(meter.read()["loss"])


def test_the_quarter_with_the_least_noise_is_the_first_in_a_chain_of_any_length() -> None:
    for steps, quarters in ((4, [1, 2, 3, 4]), (5, [1, 1, 2, 3, 4]), (1, [1]), (1000, [1] * 250 + [2] * 250 + [3] * 250 + [4] * 250)):
        meter = Meter(steps, "cpu")
        for t, quarter in enumerate(quarters[:: max(1, steps // 8)]):
            value = torch.tensor([float(quarter)])
            meter.add(torch.tensor([t * max(1, steps // 8)]), Losses(value, value, None), torch.ones(1))
        found = meter.read()
        assert all(found[name] == float(name[-1]) for name in found if name.startswith("loss_q"))


@pytest.mark.parametrize("variance", ["fixed", "learned_range"])
def test_the_loss_and_its_meter_never_look_at_what_a_device_holds(variance: str) -> None:
    """On torch's device without content every look fails: where it does not, an accelerator is never waited for."""
    config = make_config({"variance": variance, "min_snr_gamma": 5})
    objective, meter = Objective(config, NoiseSchedule.cosine(50)), Meter(50, "meta")
    t = torch.tensor([0, 20, 49])
    x_0, x_t, eps = (torch.empty(3, 1, 4, 4, device="meta") for _ in range(3))
    output = torch.empty(3, 2 if variance == "learned_range" else 1, 4, 4, device="meta", requires_grad=True)
    found = objective.per_image(output, x_0, x_t, eps, t)
    found.weighted.mean().backward()
    meter.add(t, found, torch.ones(3))
    meter.add_norm(torch.empty((), device="meta"))
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        meter.read()


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / LOG).read_text().splitlines()]


def test_the_log_holds_every_number_with_speed_and_utilisation_and_stays_json(tmp_path: Path) -> None:
    tracked: list[tuple[dict[str, float], int]] = []

    def track(metrics: dict[str, float], step: int) -> None:
        tracked.append((metrics, step))

    with Reporter(tmp_path, 100, 20, 8, True, seconds=10.0, track=track, utilisation=lambda speed: speed / 400) as reporter:
        reporter.log(40, {"loss": 0.5, "seconds": 12.0, "learning_rate": 1e-3})
        reporter.log(40, {"held_out_bits": 3.25})
        reporter.log(50, {"loss": math.nan, "seconds": 12.5})
    assert lines(tmp_path) == [
        {"step": 40, "images": 320, "loss": 0.5, "seconds": 12.0, "learning_rate": 1e-3, "images_per_second": 80.0, "utilisation": 0.2},
        {"step": 40, "images": 320, "held_out_bits": 3.25},
        {"step": 50, "images": 400, "loss": None, "seconds": 12.5, "images_per_second": 160.0, "utilisation": 0.4},
    ]
    assert [step for _, step in tracked] == [40, 40, 50] and tracked[0][0]["loss"] == 0.5 and tracked[1][0] == {"images": 320, "held_out_bits": 3.25}


def test_a_resumed_run_has_each_step_once(tmp_path: Path) -> None:
    with Reporter(tmp_path, 100, 0, 8, True) as reporter:
        for step in (10, 20, 30):
            reporter.log(step, {"loss": 1.0, "seconds": step})
    with (tmp_path / LOG).open("a") as file:
        file.write('{"step": 40, "los')  # killed while it wrote
    with Reporter(tmp_path, 100, 20, 8, True, seconds=20) as reporter:
        reporter.log(30, {"loss": 2.0, "seconds": 30})
    assert [(line["step"], line["loss"]) for line in lines(tmp_path)] == [(10, 1.0), (20, 1.0), (30, 2.0)]
    assert [path.name for path in tmp_path.iterdir()] == [LOG]
    (tmp_path / LOG).write_text((tmp_path / LOG).read_text().rstrip("\n"))  # killed just before the end of a line
    with Reporter(tmp_path, 100, 30, 8, True, seconds=30):
        assert (tmp_path / LOG).read_text().endswith("}\n")
    with Reporter(tmp_path, 100, 0, 8, True) as reporter:
        reporter.log(10, {"loss": 3.0, "seconds": 10})
    assert [line["loss"] for line in lines(tmp_path)] == [3.0] and len((tmp_path / f"{LOG}.old").read_text().splitlines()) == 3


def test_the_main_process_alone_measures_what_the_machine_can_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr("training.loop.progress.utilisation_meter", lambda *given: asked.append(given) or (lambda speed: speed / 100))
    for is_main in (True, False):
        facts = {"device": "cpu", "mixed_precision": "no", "num_processes": 2, "is_main_process": is_main, "log": lambda *_, **__: None}
        with open_reporter(SimpleNamespace(**facts), "network", tmp_path / str(is_main), 10, 0, 4, 0.0) as reporter:  # type: ignore[arg-type]
            reporter.log(5, {"loss": 1.0, "seconds": 1.0})
    assert asked == [("network", "cpu", "no", 2)] and lines(tmp_path / "True")[0]["utilisation"] == 0.2 and not (tmp_path / "False").exists()


def test_only_the_main_process_speaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    with Reporter(tmp_path / "run", 100, 0, 8, False, track=never) as reporter:
        reporter.log(10, {"loss": 1.0, "seconds": 1.0})
        reporter.note("something")
    assert not (tmp_path / "run").exists() and capsys.readouterr() == ("", "")


def test_without_a_terminal_there_are_a_few_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("training.loop.progress.time.monotonic", lambda: now[0])
    with Reporter(tmp_path, 40, 0, 10, True, utilisation=lambda speed: 0.41) as reporter:
        for step in (10, 20, 30, 40):
            reporter.log(step, {"loss": 0.25, "seconds": step / 5})
            now[0] += 0.6 * LINE_EVERY
        reporter.note("saved [model]")
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == "step 10/40  loss 0.2500  50 images/s  41% of peak  0.1 min left"
    assert [line.split()[1] for line in shown[:-1]] == ["10/40", "30/40", "40/40"] and shown[-1] == "saved [model]"


def test_a_terminal_gets_a_bar_that_goes_on_where_the_run_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Reporter(tmp_path, 40, 10, 10, True) as reporter:
        assert reporter.bar is not None and reporter.bar.tasks[0].completed == 10 and reporter.bar.tasks[0].total == 40
        reporter.log(30, {"loss": 0.25, "seconds": 4.0})
        reporter.log(30, {"held_out_bits": 2.0})
        assert reporter.bar.tasks[0].completed == 30
        reporter.note("saved [model]")
    assert "loss 0.2500  50 images/s" in screen.getvalue() and "30/40" in screen.getvalue() and "saved [model]" in screen.getvalue()
