"""Where the milliseconds of a training step go on a CPU: the real trainer on the bundled digits under torch's profiler, its operators in groups.

    PYTHONPATH=. python tests/benchmarks/training_profile.py [--modes fp32 bf16] [--steps 10] [--threads 2]

Self time of each operator, summed by group, a step; what an operator calls is counted there and not twice. The first line is the same step without
the profiler. The floor is what the multiplications of convolutions and products alone would take, at this machine's measured rate of matrix
products. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from contextlib import suppress
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from tests.benchmarks.training_loop import BATCH, MODES, WARM_UP, Clock, Enough
from training.config import make_config
from training.cost import matmul_rate, network_cost
from training.model import build_unet
from training.train import Trainer

GROUPS = {
    "convolutions, forward": r"mkldnn_convolution$|^aten::(slow_conv|thnn_conv|_convolution)",
    "convolutions, backward": r"convolution_backward",
    "products (attention, linear)": r"^aten::(addmm|mm|bmm|baddbmm|linear|_scaled_dot|mkldnn_linear)|attention",
    "group norms": r"group_norm",
    "activations and softmax": r"silu|softmax|sigmoid",
    "copies and changes of type": r"^aten::(copy_|cat|_to_copy|contiguous|clone|upsample)|upsample_nearest",
    "optimizer, EMA, gradient norm": r"adam|_foreach|lerp|clip_grad|linalg_vector_norm",
    "additions and other element-wise passes": r"^aten::(add|mul|div|sub|neg|sum|mean|pow|sqrt|fill|zero|square|rsub|addc)",
}


def trained(mode: str, threads: int, watch: Clock) -> None:
    """Run the trainer until the clock has seen enough."""
    precision, compiled = MODES[mode]
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {
            **{"dataset": "bundled", "output_dir": folder, "batch_size": BATCH, "train_images": 100_000 * BATCH, "cpu_threads": threads},
            **{"mixed_precision": precision, "compile": compiled, "channels_last": precision == "no" and not compiled},
            **{"checkpoint_every": 0, "sample_every": 0, "eval_images": 0},
        }
        trainer = Trainer(make_config(options))
        watch.hang_on(trainer.optimizer)
        with suppress(Enough):
            trainer.train()


class ProfiledClock(Clock):
    """Has the profiler watch the steps that are counted."""

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self.profiler = profile(activities=[ProfilerActivity.CPU])

    def hang_on(self, optimizer: Any) -> None:
        super().hang_on(optimizer)
        timed = optimizer.step

        def watched(*args: Any, **kwargs: Any) -> Any:
            if len(self.times) == WARM_UP:
                self.profiler.start()
            try:
                return timed(*args, **kwargs)
            except Enough:
                self.profiler.stop()
                raise

        optimizer.step = watched


def main() -> None:
    """Parse the arguments, profile each mode, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    for mode in given.modes:
        clock, profiled = Clock(given.steps), ProfiledClock(given.steps)
        trained(mode, given.threads, clock)
        trained(mode, given.threads, profiled)
        groups: dict[str, float] = dict.fromkeys([*GROUPS, "other"], 0.0)
        others: list[tuple[float, str]] = []
        for event in profiled.profiler.key_averages():
            name = next((name for name, pattern in GROUPS.items() if re.search(pattern, event.key)), "other")
            spent = event.self_cpu_time_total / 1000 / given.steps
            groups[name] += spent
            if name == "other":
                others.append((spent, event.key))
        total = sum(groups.values())
        flops = BATCH * network_cost(build_unet(make_config({}))).training_flops
        floor = 1000 * flops / matmul_rate("cpu", torch.bfloat16 if mode == "bf16" else torch.float32)
        print(f"\n{mode}: {1000 * clock.seconds_a_step:.0f} ms a step of {BATCH} images without the profiler, {total:.0f} ms in operators with it")
        print("| | ms | share |\n|---|---|---|")
        for name, spent in sorted(groups.items(), key=lambda item: -item[1]):
            print(f"| {name} | {spent:.1f} | {spent / total:.0%} |")
        print("largest of the others: " + ", ".join(f"{name} {spent:.1f}" for spent, name in sorted(others, reverse=True)[:5]))
        print(f"floor: {floor:.0f} ms, {floor / 1000 / clock.seconds_a_step:.0%} of the step")


if __name__ == "__main__":
    main()
