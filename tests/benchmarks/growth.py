"""How time and memory grow with images, steps and pixels; what an image's X-ray takes; how soon the first sample is there.

    PYTHONPATH=. python tests/benchmarks/growth.py [--model bundled:mnist] [--rounds 5] [--only growth xray start]

Growth: `sampling.sample` over `--steps` steps, the sizes taking turns; memory is the most that a process of its own held beyond what it held once the
network had been called. Other sizes of picture go through the same network, which then draws nothing of meaning. X-ray: `full_bound` (all terms) and
`estimated_bound` (a tenth) of one image, with the network as it comes and as it is run here. Start: from a new Python process to 16 images of 20
steps, here and with diffusers' own classes, taking turns. Medians with the lowest and highest of the rounds; run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from diffusers import UNet2DModel
from sixteen_images import report

from ddpm_space.bound import full_bound
from ddpm_space.denoiser import Denoiser
from ddpm_space.models import UNetNetwork, load, locate
from ddpm_space.sampling import SamplingSettings, sample
from ddpm_space.stratified import estimated_bound

BATCHES, STEPS, SIZES = (1, 4, 16, 64), (5, 20, 100), (28, 56, 112)

HERE = """
import sys, torch
from ddpm_space.models import load
from ddpm_space.sampling import SamplingSettings, sample
model = load(sys.argv[1])
for frame in sample(model.denoiser, model.shape, SamplingSettings(num_images=16, num_steps=20)):
    pass
"""

STOCK = """
import sys, torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
scheduler = DDPMScheduler.from_pretrained(sys.argv[1] + "/scheduler", timestep_spacing="trailing")
made = DDPMPipeline(unet=UNet2DModel.from_pretrained(sys.argv[1] + "/unet", use_safetensors=True).eval(), scheduler=scheduler)
made.set_progress_bar_config(disable=True)
made(batch_size=16, num_inference_steps=20, output_type="np")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled:mnist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=("growth", "xray", "start"), default=("growth", "xray", "start"))
    parser.add_argument("--held", nargs=3, type=int, metavar=("IMAGES", "STEPS", "SIZE"), help="print the megabytes of one run, and nothing else")
    given = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    if given.held:
        print(megabytes(given.model, *given.held))
        return
    print(f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}; {given.model}")
    for part in given.only:
        {"growth": growth, "xray": xray, "start": start}[part](given)


def run(denoiser: Denoiser, images: int, steps: int, size: int) -> None:
    for _ in sample(denoiser, (1, size, size), SamplingSettings(num_images=images, num_steps=steps, num_train_timesteps=len(denoiser.schedule))):
        pass


def megabytes(source: str, images: int, steps: int, size: int) -> int:
    """What sampling adds to the most memory that this process has held; for a process that has done nothing else."""
    denoiser = load(source).denoiser
    run(denoiser, 1, 1, 28)
    if platform.system() == "Linux":
        Path("/proc/self/clear_refs").write_text("5")  # the most from here on, not what importing took
    before = most_held()
    run(denoiser, images, steps, size)
    return round(most_held() - before)


def most_held() -> float:
    """Megabytes. On Linux not from getrusage, which starts a new program with what the one that started it had held."""
    if platform.system() == "Linux":
        return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def growth(given: argparse.Namespace) -> None:
    """Time and memory of sampling, one quantity changed at a time."""
    denoiser = load(given.model).denoiser
    for name, cases in (
        ("images", [(images, given.steps, 28) for images in BATCHES]),
        ("steps", [(16, steps, 28) for steps in STEPS]),
        ("pixels a side", [(4, given.steps, size) for size in SIZES]),
    ):
        seconds: dict[tuple[int, int, int], list[float]] = {case: [] for case in cases}
        for case in cases:
            run(denoiser, case[0], 2, case[2])
        for _ in range(given.rounds):
            for case in cases:
                begin = time.perf_counter()
                run(denoiser, *case)
                seconds[case].append(time.perf_counter() - begin)
        print(f"\n{name}: images x steps x side, s, times the first, ms an image and step, MB more than at rest")
        for case, found in seconds.items():
            images, steps, size = case
            times = statistics.median(now / first for now, first in zip(found, seconds[cases[0]]))
            more = subprocess.run(
                [sys.executable, __file__, "--model", given.model, "--held", *map(str, case)], check=True, capture_output=True, text=True
            ).stdout.strip()
            middle = statistics.median(found)
            print(
                f"  {images:3} x {steps:3} x {size:3}  {middle:7.3f} ({min(found):.3f} to {max(found):.3f})  {times:6.2f}  "
                f"{1000 * middle / images / steps:7.2f}  {more:>5}"
            )


def xray(given: argparse.Namespace) -> None:
    """The bound of one image: all terms, and a tenth of them."""
    model, folder = load(given.model), locate(given.model)[0]
    plain = replace(model.denoiser, network=UNetNetwork(UNet2DModel.from_pretrained(folder / "unet", use_safetensors=True).eval()))
    x_0 = torch.rand(1, *model.shape, generator=torch.Generator().manual_seed(0)).mul(255).round().div(127.5) - 1
    for name, measure in (("all terms", full_bound), ("a tenth of them", estimated_bound)):
        print(f"\nX-ray of one image, {name}, s")
        report({"plain": partial(measure, plain, x_0), "here": partial(measure, model.denoiser, x_0)}, given.rounds, "plain")


def start(given: argparse.Namespace) -> None:
    """From nothing to the first images, imports and weights included."""
    folder = str(locate(given.model)[0])

    def process(code: str, source: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", code, source], check=True, capture_output=True)

    print("\nfrom a new process to 16 images of 20 steps, s")
    report({"diffusers": process(STOCK, folder), "here": process(HERE, given.model)}, given.rounds, "diffusers")


if __name__ == "__main__":
    main()
