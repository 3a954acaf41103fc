"""The processes of a run fail together and say why, and only ways of running that the trainer can keep its word in are begun."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.utils import DistributedType
from training_runs import ROOT, SCRIPT, environment, flags, launch, new_processes, options, same, weights, write_pictures

from training.batches import _rows
from training.config import ConfigError, make_config
from training.loop import processes
from training.loop.folders import claimed, given_back
from training.loop.processes import FailedElsewhere, in_turn, same_everywhere
from training.loop.watch import Diverged
from training.train import main


@pytest.fixture(autouse=True)
def forget() -> None:
    new_processes()


def of_two(local_main: bool, others: list[Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """One of two processes, the other of which hands in these facts, one at each gathering."""
    monkeypatch.setattr(processes, "gather_object", lambda mine: [*mine, others.pop(0)])
    return SimpleNamespace(num_processes=2, is_local_main_process=local_main)


@pytest.mark.parametrize("local_main", [True, False])
def test_one_goes_first_and_all_fail_where_one_does(local_main: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ValueError("no such set")

    assert in_turn(of_two(local_main, [False, False], monkeypatch), lambda: 3) == 3
    with pytest.raises(ValueError, match="no such set"):
        in_turn(of_two(local_main, [False, False], monkeypatch), fail)
    with pytest.raises(FailedElsewhere):
        in_turn(of_two(local_main, [False, True], monkeypatch), lambda: 3)
    called: list[int] = []
    with pytest.raises(FailedElsewhere):
        in_turn(of_two(local_main, [True], monkeypatch), lambda: called.append(1))
    assert len(called) == local_main
    with pytest.raises(ValueError, match="no such set"):
        in_turn(SimpleNamespace(num_processes=1, is_local_main_process=True), fail)  # type: ignore[arg-type]


def test_machines_that_see_different_folders_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert same_everywhere(of_two(True, [100], monkeypatch), 100) and not same_everywhere(of_two(True, [None], monkeypatch), 100)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is a device that computes in float16")
def test_float16_without_a_gpu_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mixed_precision = fp16 needs a GPU"):
        main(make_config(options(tmp_path, tmp_path, mixed_precision="fp16")))


def test_ways_that_split_the_network_up_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelerate.Accelerator.distributed_type", DistributedType.FSDP)
    with pytest.raises(ConfigError, match="set up for FSDP"):
        main(make_config(options(tmp_path, tmp_path)))


def test_a_network_that_accelerate_compiles_is_saved_as_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pictures").mkdir()
    pictures = write_pictures(tmp_path / "pictures")
    main(make_config(options(pictures, tmp_path / "plain", train_images=20)))
    new_processes()
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "EAGER")
    main(make_config(options(pictures, tmp_path / "compiled", train_images=20)))
    assert same(weights(tmp_path / "plain" / "model"), weights(tmp_path / "compiled" / "model"))


def test_a_second_run_keeps_out_of_a_folder_that_one_is_at_work_in(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    pictures, run = write_pictures(tmp_path / "pictures"), tmp_path / "run"
    run.mkdir()
    assert claimed(run)
    second = [sys.executable, SCRIPT, *flags(options(pictures, run, train_images=20))]
    done = subprocess.run(second, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("train.py: output_dir: another run is at work in"), done.stderr
    given_back(run)
    main(make_config(options(pictures, run, train_images=20)))


def test_only_a_run_that_came_to_its_end_takes_leave_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pictures").mkdir()
    pictures, parted = write_pictures(tmp_path / "pictures"), []
    monkeypatch.setattr("training.train.part", parted.append)
    with pytest.raises(Diverged):
        main(make_config(options(pictures, tmp_path / "diverged", learning_rate=1e30, max_grad_norm=1e30, lr_warmup_steps=0)))
    assert not parted
    main(make_config(options(pictures, tmp_path / "whole", train_images=20)))
    assert len(parted) == 1


@pytest.mark.proof
def test_what_goes_wrong_in_one_process_or_in_all_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    pictures = write_pictures(tmp_path / "pictures")
    settings = options(pictures, tmp_path / "run", batch_size=5)
    done = launch([SCRIPT, *flags({**settings, "dataset": str(tmp_path / "nowhere")})], tmp_path, processes=2)
    assert done.returncode == 1 and done.stderr.count("train.py: ") == 1 and 'train.py", line' not in done.stderr, done.stderr
    # One picture cannot be read, and it is met while training, by the second process alone.
    met = pictures / f"{int(_rows(0, torch.arange(10), 24)[7]):02d}.png"
    met.write_bytes(met.read_bytes()[:45])
    done = launch([SCRIPT, *flags({**settings, "memory_limit_gb": 1e-6})], tmp_path, processes=2)
    assert done.returncode == 1 and done.stderr.count("train.py: ") == 1 and f"{met.name}) cannot be used" in done.stderr, done.stderr


@pytest.mark.parametrize("connected", [True, False])
def test_a_connected_process_ends_before_the_interpreter_is_taken_down(connected: bool, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"""
import atexit, torch.distributed
from training.loop.processes import end_process
if {connected}:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
atexit.register(print, "farewell")
print("done")
end_process()
print("still here")
""")
    done = subprocess.run([sys.executable, str(script)], cwd=ROOT, env={**environment(), "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    said = ["done", "farewell"] if connected else ["done", "still here", "farewell"]
    assert (done.returncode, done.stdout.splitlines()) == (0, said), done.stderr
