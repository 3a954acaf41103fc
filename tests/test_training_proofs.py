"""The promises of the trainer, kept by runs in processes of their own: killed at any moment, shared by two processes."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hub_server import HubServer
from training_runs import ROOT, SCRIPT, command, environment, flags, launch, log, options, same, weights, write_pictures

from training.loop import checkpoint
from training.loop.checkpoint import read_checkpoint

pytestmark = pytest.mark.proof
KILLS = 10


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


# One process that has imported everything forks a child for each run: ten starts would cost a minute of imports.
FORK = """
import os, sys
import torch
from training.config import parse
from training.train import command_line
for line in sys.stdin:
    arguments = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        sys.argv = ["train.py", *arguments]
        command_line(parse())
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Runner:
    """Starts runs without paying for their imports each time."""

    def __init__(self, cwd: Path) -> None:
        settings = {**environment(), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, "-c", FORK], cwd=cwd, env=settings, stdin=pipe, stdout=pipe, text=True)

    def start(self, arguments: list[str]) -> int:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("\t".join(arguments) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def code(self) -> int:
        assert self.process.stdout
        return int(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=60)


class Reader:
    """Reads, all the time, whatever checkpoints and model a run shows, and remembers what could not be read."""

    def __init__(self, run: Path) -> None:
        self.run, self.read, self.broken, self.over = run, 0, [], False
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self) -> None:
        while not self.over:
            for folder in checkpoint.checkpoints(self.run):
                self.check(folder, lambda folder=folder: read_checkpoint(folder))
            model = self.run / "model"
            if model.exists():
                self.check(model, lambda model=model: weights(model))

    def check(self, folder: Path, load: object) -> None:
        try:
            load()  # type: ignore[operator]
            self.read += 1
        except Exception as error:
            # One that has been removed meanwhile, as too old, was not unreadable; the model never goes.
            if folder.name == "model" or folder.exists():
                self.broken.append(f"{folder}: {error!r}")

    def stop(self) -> None:
        self.over = True
        self.thread.join()


def newest(run: Path) -> int:
    """Images in the newest checkpoint of a run, by its name."""
    found = checkpoint.checkpoints(run)
    return int(found[-1].name.removeprefix("images-")) if found else 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts runs by fork")
def test_a_run_killed_at_ten_moments_ends_in_the_bits_of_one_that_was_not(pictures: Path, tmp_path: Path) -> None:
    wanted = {
        "train_images": 3000,
        "checkpoint_every": 60,
        "keep_checkpoints": 2,
        "sample_every": 600,
        "log_every": 3,
        "resume": "latest",
        "dropout": 0.1,
    }
    wanted |= {
        "timestep_sampling": "loss_aware",
        "gradient_accumulation_steps": 2,
        "flip": True,
        "eval_images": 2,
        "eval_terms": 3,
        "eval_every": 900,
    }
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    runner = Runner(tmp_path)
    runner.start(flags(options(pictures, whole, **wanted)))
    assert runner.code() == 0
    draw, moments, reader = random.Random(0), [], Reader(killed)
    while len(moments) < KILLS:
        before, advance = newest(killed), draw.choice([0, *range(60, 481, 60)])
        child = runner.start(flags(options(pictures, killed, **wanted)))
        deadline = time.monotonic() + 60
        while newest(killed) < min(before + advance, 2940) and time.monotonic() < deadline:
            time.sleep(0.002)
        # From there on anywhere: in a step, an evaluation, a grid, a checkpoint, the model; or, without an advance, in the start.
        time.sleep(draw.uniform(0, 0.1 if advance else 1.0))
        os.kill(child, signal.SIGKILL)
        assert runner.code() == -signal.SIGKILL
        moments.append(newest(killed))
    runner.start(flags(options(pictures, killed, **wanted)))
    assert runner.code() == 0
    reader.stop()
    runner.close()
    print(f"killed after (images in the last checkpoint) {moments}; {reader.read} readings while it ran")
    assert not reader.broken and reader.read > KILLS
    assert len(set(moments)) > 3
    for variant in ("", ".raw"):
        assert same(weights(killed / "model", variant), weights(whole / "model", variant))
    ends = [read_checkpoint(checkpoint.checkpoints(run)[-1]) for run in (whole, killed)]
    assert same(ends[0].tensors, ends[1].tensors) and ends[0].progress["history"] == ends[1].progress["history"]
    assert [line["loss"] for line in log(killed)] == [line["loss"] for line in log(whole)]
    assert not [path for path in killed.rglob(".*") if path.is_dir()]


def test_two_processes_train_as_one_does(pictures: Path, tmp_path: Path) -> None:
    # 100 steps of 20 images: one process alone, one in two parts, two processes, and two processes in two parts.
    common = {"train_images": 2000, "log_every": 1, "timestep_sampling": "loss_aware", "num_train_timesteps": 10, "flip": True, "max_grad_norm": 1.0}
    common |= {"eval_images": 2, "eval_terms": 3, "eval_every": 1000, "checkpoint_every": 1000, "sample_steps": 2}
    runs = {"one": (1, 20, 1), "parts": (1, 10, 2), "two": (2, 10, 1), "both": (2, 5, 2)}
    for name, (processes, batch_size, parts) in runs.items():
        settings = options(pictures, tmp_path / name, batch_size=batch_size, gradient_accumulation_steps=parts, **common)
        done = launch([SCRIPT, *flags(settings)], tmp_path, processes=processes)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("The model is in") == 1
    losses = {name: [line["loss"] for line in log(tmp_path / name)] for name in runs}
    assert len(losses["one"]) == 100
    for name in runs:
        worst = max(abs(a - b) / a for a, b in zip(losses["one"], losses[name]))
        print(f"{name}: losses within {worst:.1e} of one process")
        assert worst < 1e-4
    bits = {name: [line["held_out_bits_per_dim"] for line in log(tmp_path / name, "held_out_bits_per_dim")] for name in runs}
    for name in runs:
        assert len(bits[name]) == 2 and bits[name] == pytest.approx(bits["one"], rel=1e-4)
    # A run of two processes goes on as one, and the other way round: what a step sees does not depend on their number.
    resumed = tmp_path / "resumed"
    shutil.copytree(tmp_path / "two" / "checkpoints" / "images-000001000", resumed / "checkpoints" / "images-000001000")
    done = launch([SCRIPT, *flags(options(pictures, resumed, batch_size=20, resume="latest", **common))], tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line["loss"] for line in log(resumed)] == pytest.approx(losses["one"][50:], rel=1e-4)


def test_two_processes_with_all_that_there_is_at_once_then_stopped_and_resumed(tmp_path: Path) -> None:
    everything = {"dataset": "bundled", "resolution": 28, "block_out_channels": (8, 8), "train_images": 640, "batch_size": 8, "log_every": 2}
    everything |= {"gradient_accumulation_steps": 2, "variance": "learned_range", "timestep_sampling": "loss_aware", "num_train_timesteps": 20}
    everything |= {"prediction_type": "epsilon", "min_snr_gamma": 5, "dropout": 0.1, "flip": True, "crop": "random", "channels_last": True}
    everything |= {"mixed_precision": "bf16", "lr_schedule": "cosine", "sample_every": 200, "sample_steps": 5}
    everything |= {"checkpoint_every": 160, "resume": "latest"}
    everything |= {"eval_every": 320, "eval_images": 4, "eval_terms": 5, "eval_samples": 80, "eval_steps": 5, "push_to_hub": True}
    with HubServer() as hub:
        home = hub.environment(tmp_path / "home")
        for name, seen in (("whole", 640), ("resumed", 320)):
            run = tmp_path / name
            if name == "resumed":
                shutil.copytree(tmp_path / "whole" / "checkpoints" / "images-000000320", run / "checkpoints" / "images-000000320")
            settings = options(Path("bundled"), run, hub_model_id=f"alice/{name}", **everything)
            done = subprocess.run(
                command([SCRIPT, *flags(settings)], 2), cwd=tmp_path, env={**environment(), **home}, capture_output=True, text=True, timeout=300
            )
            assert done.returncode == 0, done.stderr
            assert "Traceback" not in done.stderr and len(log(run)) == seen // 64 and "held-out:" in done.stderr
            files = hub.repository(f"alice/{name}").files()
            assert {"README.md", "evaluation.json", "samples.png", "unet/diffusion_pytorch_model.raw.safetensors"} <= files.keys()
            assert "2 processes" in files["README.md"].decode()
    for variant in ("", ".raw"):
        assert same(weights(tmp_path / "whole" / "model", variant), weights(tmp_path / "resumed" / "model", variant))
    figures = [json.loads((tmp_path / name / "model" / "evaluation.json").read_text()) for name in ("whole", "resumed")]
    assert figures[0] == figures[1] and figures[0]["frechet"]["to_train"]["n"] == 80


@pytest.mark.skipif(sys.platform != "linux", reason="a small file system of one's own needs Linux")
def test_a_disk_that_fills_up_stops_the_run_and_loses_nothing(pictures: Path, tmp_path: Path) -> None:
    whole, small, kept = tmp_path / "whole", tmp_path / "small", tmp_path / "kept"
    small.mkdir()
    done = launch([SCRIPT, *flags(options(pictures, whole))], tmp_path)
    assert done.returncode == 0, done.stderr
    run = shlex.join([sys.executable, SCRIPT, *flags(options(pictures, small / "run", checkpoint_every=10, keep_checkpoints=99))])
    script = f"mount -t tmpfs -o size=1200k tmpfs {small} || exit 77; {run}; code=$?; cp -r {small / 'run'} {kept}; exit $code"
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120)
    if done.returncode == 77 or "Operation not permitted" in done.stderr:
        pytest.skip(f"no file system of one's own may be mounted here: {done.stderr.strip()}")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "the disk is full" in done.stderr.splitlines()[-1] and "--resume latest" in done.stderr.splitlines()[-1]
    saved = checkpoint.checkpoints(kept)
    print(f"{len(saved)} checkpoints fitted: {done.stderr.splitlines()[-1]}")
    assert len(saved) > 1 and all(read_checkpoint(folder) for folder in saved) and weights(kept / "model")
    assert not [path for path in kept.rglob(".*") if path.is_dir()]
    done = launch([SCRIPT, *flags(options(pictures, kept, resume="latest"))], tmp_path)
    assert done.returncode == 0 and same(weights(kept / "model"), weights(whole / "model")), done.stderr


def test_two_processes_that_accelerate_does_not_connect_are_refused(pictures: Path, tmp_path: Path) -> None:
    unconnected = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_processes=2",
        SCRIPT,
        *flags(options(pictures, tmp_path / "run")),
    ]
    done = subprocess.run(unconnected, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and "accelerate launch --multi_gpu --num_processes N" in done.stderr and not (tmp_path / "run").exists()
