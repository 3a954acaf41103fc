"""Trackers by accelerate's names: refused when they would be left out in silence, and told what log.jsonl is told."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, register_tracker_class
from PIL import Image

from training.config import ConfigError, TrainConfig, make_config
from training.loop.progress import Reporter
from training.loop.trackers import PACKAGES, check_trackers, finish_trackers, run_identity, start_trackers, track_image

TRACKERS: tuple[str, ...] = get_args(get_args(get_type_hints(TrainConfig)["trackers"])[0])


class Recorder(GeneralTracker):
    """A tracker that keeps what it is told."""

    name = "recorder"
    requires_logging_directory = False
    told: list[Any]

    def __init__(self, run_name: str, **settings: Any) -> None:
        super().__init__()
        self.told = [("project", run_name, settings)]

    @property
    def tracker(self) -> list[Any]:
        return self.told

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.told.append(("options", values))

    def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        self.told.append((step, values))

    def finish(self) -> None:
        self.told.append("finished")


@pytest.fixture
def recorder() -> Iterator[str]:
    register_tracker_class(Recorder)
    yield "recorder"
    del LOGGER_TYPE_TO_CLASS["recorder"]


def test_a_tracker_that_is_unknown_or_not_installed_is_refused_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    check_trackers(())
    assert set(PACKAGES) == set(TRACKERS) <= set(LOGGER_TYPE_TO_CLASS)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in TRACKERS:
        with pytest.raises(ConfigError, match=rf"trackers has '{name}', which is not installed: pip install {name}"):
            check_trackers((name,))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    check_trackers(TRACKERS)
    with pytest.raises(ConfigError, match=r"trackers has 'tensorbord': use tensorboard, trackio, wandb"):
        check_trackers(("tensorbord",))


def test_a_tracker_hears_the_options_and_every_line_of_the_log(recorder: str, tmp_path: Path) -> None:
    accelerator = Accelerator(log_with=recorder)
    config = make_config({"trackers": ["tensorboard"], "tracker_project": "faces", "output_dir": str(tmp_path / "first")})
    start_trackers(accelerator, config, 0)
    told = accelerator.trackers[0].tracker
    with Reporter(tmp_path / "first", 10, 0, 4, accelerator.is_main_process, track=accelerator.log) as reporter:
        reporter.log(5, {"loss": 0.5, "seconds": 2.0})
        reporter.log(5, {"held_out_bits": 3.0})
    track_image(accelerator, "samples", Image.new("L", (4, 4)), 5)
    finish_trackers(accelerator)
    assert told[0] == ("project", "faces", {})
    assert told[1][1]["block_out_channels"] == "(32, 64, 64)" and told[1][1]["resolution"] == 28 and told[1][1]["resume"] == "None"
    assert {type(value) for value in told[1][1].values()} <= {bool, int, float, str}
    assert told[2:4] == [(5, {"images": 20, "loss": 0.5, "seconds": 2.0, "images_per_second": 10.0}), (5, {"images": 20, "held_out_bits": 3.0})]
    assert told[-1] == "finished" and accelerator.trackers == []


def test_without_trackers_nothing_is_opened(recorder: str) -> None:
    accelerator = Accelerator()
    start_trackers(accelerator, make_config({}), 0)
    finish_trackers(accelerator)
    assert accelerator.trackers == []


def test_a_tracker_that_cannot_be_opened_is_one_sentence(recorder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Recorder) -> None:
        raise RuntimeError("api_key not configured")

    monkeypatch.setattr(Recorder, "start", refuse)
    accelerator = Accelerator(log_with=recorder)
    with pytest.raises(ConfigError, match=r"trackers: wandb could not be opened \(api_key not configured\)"):
        start_trackers(accelerator, make_config({"trackers": ["wandb"], "output_dir": str(tmp_path)}), 0)


def test_a_resumed_run_keeps_its_name_and_a_new_one_in_the_same_folder_gets_another(tmp_path: Path) -> None:
    first = run_identity(tmp_path / "run", resumed=False)
    assert run_identity(tmp_path / "run", resumed=True) == first
    second = run_identity(tmp_path / "run", resumed=False)
    assert second != first and run_identity(tmp_path / "run", resumed=True) == second
    assert run_identity(tmp_path / "copied", resumed=True)


@pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="tensorboard is not installed")
def test_tensorboard_shows_the_grid_and_one_curve_of_a_run_that_was_killed_and_resumed(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    check_trackers(("tensorboard",))
    config = make_config({"trackers": ["tensorboard"], "output_dir": str(tmp_path)})
    # An earlier run, then one that was killed at step 3 and goes on from its checkpoint at step 1.
    for first_step, steps in ((0, (1, 2, 3, 4)), (0, (1, 2, 3)), (1, (2, 3))):
        accelerator = Accelerator(log_with=["tensorboard"], project_dir=str(tmp_path))
        start_trackers(accelerator, config, first_step)
        with Reporter(tmp_path, 10, first_step, 4, True, track=accelerator.log) as reporter:
            for step in steps:
                reporter.log(step, {"loss": 1.0 / step, "seconds": step})
        track_image(accelerator, "samples", Image.new("L", (4, 4), 7), 3)
        finish_trackers(accelerator)
    events = EventAccumulator(str(tmp_path / "ddpm_space"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert [event.step for event in events.Images("samples")] == [3]


@pytest.mark.skipif(not importlib.util.find_spec("trackio"), reason="trackio is not installed")
def test_trackio_goes_on_in_the_record_of_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    from trackio.sqlite_storage import SQLiteStorage

    config = make_config({"trackers": ["trackio"], "output_dir": str(tmp_path / "run"), "tracker_project": "kept"})
    for first_step in (0, 1):
        accelerator = Accelerator(log_with=["trackio"])
        start_trackers(accelerator, config, first_step)
        accelerator.log({"loss": 1.0 / (first_step + 1)}, step=first_step + 1)
        finish_trackers(accelerator)
    (name,) = SQLiteStorage.get_runs("kept")
    assert name.startswith("run-") and [entry["loss"] for entry in SQLiteStorage.get_logs("kept", name)] == [1.0, 0.5]
