"""A run that is asked to stop saves and says so; a second request ends it at once; with launchers and several processes too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from training_runs import SCRIPT, command, environment, flags, log, new_processes, options, same, weights, write_pictures

from training.config import make_config
from training.loop import checkpoint, stopping
from training.loop.progress import Reporter
from training.loop.stopping import Stopped, StopSignals
from training.train import Trainer, main


@pytest.fixture(autouse=True)
def forget() -> None:
    new_processes()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def finished(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    main(make_config(options(pictures, run)))
    return run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_run_goes_on_to_the_same_bits(
    number: signal.Signals, finished: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    report = Reporter.log

    def then_signal(self: Reporter, step: int, metrics: dict[str, float]) -> None:
        report(self, step, metrics)
        signal.raise_signal(number)

    before = signal.getsignal(number)
    monkeypatch.setattr(Reporter, "log", then_signal)
    with pytest.raises(Stopped, match=rf"stopped by {number.name} after step 6 of 20 \(60 images\).*--resume latest"):
        main(make_config(options(pictures, tmp_path)))
    assert signal.getsignal(number) == before
    assert f"{number.name}: saving a checkpoint" in capfd.readouterr().err
    assert [folder.name for folder in checkpoint.checkpoints(tmp_path)] == ["images-000000060"] and (tmp_path / "model").is_dir()
    monkeypatch.undo()
    main(make_config(options(pictures, tmp_path, resume="latest")))
    assert same(weights(tmp_path / "model"), weights(finished / "model"))
    assert [line["images"] for line in log(tmp_path)] == [line["images"] for line in log(finished)]


def test_a_grid_is_given_up_for_a_signal(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(make_config(options(pictures, tmp_path, sample_every=50)))
    monkeypatch.setattr(trainer.outputs, "signals", asked := StopSignals())
    asked.received = "SIGTERM"
    assert trainer.outputs.grid(50) is None and not (tmp_path / "samples").exists()
    assert trainer.unet.training


def test_after_the_last_step_a_signal_ends_at_once_with_the_model_complete(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(make_config(options(pictures, tmp_path, checkpoint_every=100)))
    monkeypatch.setattr(trainer.outputs, "evaluation", lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Stopped, match="after step 20 of 20"):
        trainer.train()
    assert (tmp_path / "model" / "model_index.json").is_file()
    assert checkpoint.checkpoints(tmp_path)[-1].name == "images-000000200"


def test_a_signal_before_or_in_an_evaluation_saves_first_and_the_evaluation_follows_on_resuming(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"eval_every": 60, "eval_images": 2, "eval_terms": 3, "train_images": 150}
    main(make_config(options(pictures, tmp_path / "whole", **settings)))
    for when in ("before", "in"):
        run, trainer = tmp_path / when, Trainer(make_config(options(pictures, tmp_path / when, **settings)))
        place, name = (trainer.meter, "add") if when == "before" else (trainer.outputs, "_averaged")
        method, calls = getattr(place, name), []

        def signalled(*arguments: Any, method: Any = method, calls: list[int] = calls, at: int = 6 if when == "before" else 1) -> Any:
            calls.append(1)
            if len(calls) == at:
                signal.raise_signal(signal.SIGTERM)
            return method(*arguments)

        monkeypatch.setattr(place, name, signalled)
        with pytest.raises(Stopped, match=r"after step 6 of 15"):
            trainer.train()
        assert not log(run, "held_out_error")
        main(make_config(options(pictures, run, resume="latest", **settings)))
        assert log(run, "held_out_error") == log(tmp_path / "whole", "held_out_error")


def test_a_signal_while_the_end_is_being_saved_is_not_lost(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(make_config(options(pictures, tmp_path)))
    write = trainer.outputs.model

    def asked(**facts: Any) -> Path:
        signal.raise_signal(signal.SIGTERM)
        return write(**facts)

    monkeypatch.setattr(trainer.outputs, "model", asked)
    monkeypatch.setattr(trainer.outputs, "evaluation", lambda: pytest.fail("it went on"))
    # Without a checkpoint there is nothing to go on from: the whole run would begin anew.
    with pytest.raises(Stopped, match=r"after step 20 of 20 .*the finished model is in .*model', neither evaluated nor pushed$"):
        trainer.train()


@pytest.fixture
def foreground() -> Iterator[None]:
    """Ctrl-C as a program in the foreground has it: a shell starts those in the background with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_request_is_the_first_passed_on_or_ends_at_once(monkeypatch: pytest.MonkeyPatch, foreground: None) -> None:
    with pytest.raises(KeyboardInterrupt), StopSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.received == "SIGINT"
        signal.raise_signal(signal.SIGTERM)  # the same request, by another way
        assert signals.received == "SIGINT"
        monkeypatch.setattr(stopping, "SAME_REQUEST", 0.0)
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_another_thread_no_handler_is_set() -> None:
    before, found = signal.getsignal(signal.SIGTERM), []

    def inside() -> None:
        with StopSignals() as signals:
            found.append((signals.received, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert found == [(None, before)]


def started(arguments: list[str], cwd: Path, run: Path, lines: int = 3) -> subprocess.Popen[str]:
    """A run of its own that has logged a few lines."""
    process = subprocess.Popen(arguments, cwd=cwd, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (run / "log.jsonl").is_file() or len(log(run)) < lines:
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read() if process.stderr else ""
        time.sleep(0.05)
    return process


def workers(launcher: int) -> list[int]:
    """The training processes under a launcher."""
    return [child.pid for child in psutil.Process(launcher).children() if any(word.endswith("train.py") for word in child.cmdline())]


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.proof
@pytest.mark.skipif(sys.platform != "linux", reason="follows processes as Linux shows them")
@pytest.mark.parametrize(
    ("way", "to"),
    [
        ("python", "worker"),
        ("launch 1", "launcher"),
        ("launch 1", "worker"),
        ("launch 2", "launcher"),
        ("launch 2", "one worker"),
        ("launch 2", "all"),
    ],
)
def test_sigterm_saves_whoever_receives_it(way: str, to: str, pictures: Path, tmp_path: Path) -> None:
    processes = 2 if way == "launch 2" else 1
    settings: dict[str, Any] = {"batch_size": 10 // processes, "log_every": 1, "train_images": 100_000}
    arguments = [SCRIPT, *flags(options(pictures, tmp_path / "run", **settings))]
    process = started([sys.executable, *arguments] if way == "python" else command(arguments, processes), tmp_path, tmp_path / "run")
    below = [process.pid] if way == "python" else workers(process.pid)
    assert len(below) == processes
    for pid in {"worker": below, "launcher": [process.pid], "one worker": below[1:], "all": [process.pid, *below]}[to]:
        os.kill(pid, signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    deadline = time.monotonic() + 60
    while not all(ended(pid) for pid in below):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert said.count("stopped by") == 1 or (way, to) == ("launch 1", "launcher"), said
    if to in ("worker", "one worker"):
        assert process.returncode == 0, said
    (saved,) = checkpoint.checkpoints(tmp_path / "run")
    assert checkpoint.read_checkpoint(saved).progress["images"] > 0
    assert not [path for path in (tmp_path / "run").rglob(".*") if path.is_dir()]
