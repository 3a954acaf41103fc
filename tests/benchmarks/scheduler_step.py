"""Time one `step` of NotesDDPMScheduler against diffusers' own, alternately in one run.

    PYTHONPATH=. python tests/benchmarks/scheduler_step.py [--rounds 1000] [--threads 1]

Prints the median of each in microseconds on a batch of 16 gray 28 x 28 images, their ratio, and the share that drawing the noise takes alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from diffusers import DDPMScheduler
from diffusers.utils.torch_utils import randn_tensor

from ddpm_space.scheduler import NotesDDPMScheduler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    generator = torch.Generator().manual_seed(0)
    x_t, eps_theta = (torch.randn(16, 1, 28, 28, generator=generator) for _ in range(2))
    schedulers = {"stock": DDPMScheduler(), "notes": NotesDDPMScheduler()}
    for scheduler in schedulers.values():
        scheduler.set_timesteps(1000)

    def stepping(name: str) -> Callable[[int], object]:
        scheduler = schedulers[name]
        return lambda i: scheduler.step(eps_theta, scheduler.timesteps[i], x_t, generator=generator).prev_sample

    timed: dict[str, Callable[[int], object]] = {
        "stock": stepping("stock"),
        "notes": stepping("notes"),
        "noise alone": lambda i: randn_tensor(x_t.shape, generator=generator, device=x_t.device, dtype=x_t.dtype),
    }
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    with torch.no_grad():
        for i in range(arguments.rounds + 20):
            for name, call in timed.items():
                start = time.perf_counter()
                call(i % 999)
                if i >= 20:  # the first rounds fill caches
                    seconds[name].append(time.perf_counter() - start)
    stock = statistics.median(seconds["stock"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:12} {1e6 * median:7.1f} us   {median / stock:.3f} of stock")


if __name__ == "__main__":
    main()
