"""Training speed and peak memory against the recipe of diffusers' unconditional example: the same network, batch and data, alternately in one run.

    python tests/benchmarks/training_loop.py                                # float32 and bfloat16, eager and compiled
    python tests/benchmarks/training_loop.py --modes fp32 bf16 --causes     # what each difference is worth by itself

Every measurement is a process of its own: the real `training.train.Trainer` on the bundled digits, or the transcription in stock_recipe.py. A clock
hung on the optimizer takes the time between optimizer steps, everything in between included. Processes take turns; a ratio is taken within a round,
and its median over the rounds is printed with the lowest and highest. The floor is the training FLOPs (three forward passes) at this machine's
measured rate of matrix products. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[2])

BATCH = 64
MODES = {"fp32": ("no", False), "bf16": ("bf16", False), "fp32 compiled": ("no", True), "bf16 compiled": ("bf16", True)}
WARM_UP = 4
"""Steps not counted: the first ones allocate, and compile."""

CHANGES = (
    *("pictures decoded once", "memory kept by the process", "channels_last", "attention and upsampling for a CPU"),
    *("fused AdamW", "EMA in one call", "loss read every 50 steps"),
)
"""What training/train.py does otherwise, each put into the stock recipe alone; channels_last is its choice in float32 only."""


class Enough(Exception):
    """The clock has seen its steps."""


class Clock:
    """Notes the time of an optimizer's every step, and ends the run once it has seen enough of them."""

    def __init__(self, steps: int) -> None:
        self.steps, self.times = steps, []

    def hang_on(self, optimizer: Any) -> None:
        step = optimizer.step

        def timed(*args: Any, **kwargs: Any) -> Any:
            self.times.append(time.perf_counter())
            if len(self.times) > WARM_UP + self.steps:
                raise Enough
            return step(*args, **kwargs)

        optimizer.step = timed

    @property
    def seconds_a_step(self) -> float:
        return (self.times[-1] - self.times[WARM_UP]) / self.steps


def measure(name: str, mode: str, steps: int, threads: int) -> dict[str, float]:
    """Train in this process; images a second, and peak memory in MB."""
    import resource

    import torch

    from tests.benchmarks import stock_recipe
    from training.config import make_config
    from training.data.sources import BUNDLED
    from training.model import build_unet
    from training.train import Trainer

    precision, compiled = MODES[mode]
    clock = Clock(steps)
    with tempfile.TemporaryDirectory() as folder:
        common = {"dataset": "bundled", "output_dir": folder, "batch_size": BATCH, "train_images": 100_000 * BATCH, "learning_rate": 1e-4}
        objective = {"prediction_type": "epsilon", "beta_schedule": "linear", "timestep_sampling": "uniform"}
        machine = {"mixed_precision": precision, "compile": compiled, "channels_last": precision == "no" and not compiled, "cpu_threads": threads}
        nothing_else = {"checkpoint_every": 0, "sample_every": 0, "eval_images": 0}
        config = make_config({**common, **objective, **machine, **nothing_else})
        try:
            if name == "ours":
                trainer = Trainer(config)
                clock.hang_on(trainer.optimizer)
                trainer.train()
            else:
                torch.set_num_threads(threads)
                torch.manual_seed(0)
                change = None if name == "stock" else name
                how = {"batch_size": BATCH, "precision": precision, "compiled": compiled, "change": change}
                stock_recipe.train(build_unet(config), BUNDLED / "train.parquet", **how, ready=clock.hang_on)
        except Enough:
            pass
    unit = 1 if platform.system() == "Darwin" else 1024
    return {"images_per_second": BATCH / clock.seconds_a_step, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6}


def in_a_process(name: str, mode: str, steps: int, threads: int) -> dict[str, float]:
    """`measure` in a fresh process."""
    command = [sys.executable, __file__, "--measure", name, "--modes", mode, "--steps", str(steps), "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}, {mode}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def middle(values: list[float], digits: int = 2) -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def compare(mode: str, names: list[str], rounds: int, steps: int, threads: int) -> dict[str, list[dict[str, float]]]:
    """Let the contestants take turns, and print a table."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            results[name].append(in_a_process(name, mode, steps, threads))
    print(f"\n| {mode} | images/s | times stock | peak memory, MB |\n|---|---|---|---|")
    for name, rows in results.items():
        speeds = [row["images_per_second"] for row in rows]
        ratios = [speed / stock["images_per_second"] for speed, stock in zip(speeds, results["stock"])]
        label = f"stock + {name}" if name in CHANGES else name
        print(f"| {label} | {middle(speeds, 0)} | {middle(ratios)} | {statistics.median(row['peak_mb'] for row in rows):.0f} |", flush=True)
    return results


def print_floor(mode: str, fastest: float, threads: int) -> None:
    """What the arithmetic alone would take on this machine."""
    import torch

    from training.config import make_config
    from training.cost import matmul_rate, network_cost, utilisation
    from training.model import build_unet

    torch.set_num_threads(threads)
    flops = network_cost(build_unet(make_config({}))).training_flops
    rate = matmul_rate("cpu", torch.bfloat16 if MODES[mode][0] == "bf16" else torch.float32)
    most, share = rate / flops, utilisation(fastest, flops, rate)
    print(f"\n{mode}: {flops / 1e9:.2f} GFLOP an image at {rate / 1e9:.0f} GFLOP/s are {most:.0f} images/s at most; ours has {share:.0%} of that")


def main() -> None:
    """Parse the arguments, let them take turns, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--causes", action="store_true", help="also each difference by itself")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="optimizer steps that are timed in each process")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.modes[0], arguments.steps, arguments.threads)))
        return
    for mode in arguments.modes:
        names = ["stock", "ours", *(CHANGES if arguments.causes else ())]
        results = compare(mode, names, arguments.rounds, arguments.steps, arguments.threads)
        print_floor(mode, statistics.median(row["images_per_second"] for row in results["ours"]), arguments.threads)


if __name__ == "__main__":
    main()
