"""Sixteen images end to end: this project's way against diffusers' own pipelines, taking turns in one run, and where the difference comes from.

    PYTHONPATH=. python tests/benchmarks/sixteen_images.py [--model bundled:mnist] [--steps 20] [--rounds 5] [--whole_chain 1]

Stock is `DDPMPipeline`, `DDIMPipeline`, and the loop of `DDPMPipeline` with DPM-Solver++, each with `UNet2DModel.from_pretrained` as it comes. Here
are `sampling.sample`, and diffusers' schedulers over the loaded model's network. All end in arrays of pixels. Medians with the lowest and highest of
the rounds; run it on a quiet machine. What a number of steps costs in quality is not here but in `training/quality.py`.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel

from ddpm_space.images import to_uint8
from ddpm_space.models import LoadedModel, load, locate
from ddpm_space.samplers import SAMPLERS, walk
from ddpm_space.sampling import SamplingSettings, sample

IMAGES = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled:mnist")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--whole_chain", type=int, default=1, help="rounds of stock DDPMPipeline over all steps, about a minute each; 0 for none")
    given = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    model, folder = load(given.model), locate(given.model)[0]
    plain = UNet2DModel.from_pretrained(folder / "unet", use_safetensors=True).eval()
    print(f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}; {given.model}, {IMAGES} images")

    x, t = torch.randn(IMAGES, *model.shape), torch.full((IMAGES,), 500)
    print("\none forward pass, ms")
    with torch.inference_mode():
        quick = model.denoiser.network.unet  # type: ignore[attr-defined]
        forward: dict[str, Callable[[], object]] = {
            "plain": lambda: plain(x, t, return_dict=False),
            "without ncnn": lambda: UNet2DModel.forward(quick, x, t, return_dict=False),
            "here": lambda: model.denoiser.network(x, t),
        }
        quicker = report(forward, 4 * given.rounds, "plain", 1000)["here"]

    print(f"\n{given.steps} steps, s")
    for name, stock, ours in pairs(model, folder, plain, given.steps):
        print(name)
        report({"stock": stock, "here": ours}, given.rounds, "stock")

    if given.whole_chain:
        T = len(model.denoiser.schedule)
        print(f"\nstock DDPMPipeline over {T:,} steps against {given.steps} steps here, s")
        slow, quick = stock_pipeline(DDPMPipeline, DDPMScheduler, folder, plain, T), pairs(model, folder, plain, given.steps)
        found = report({"stock": slow, **{name: ours for name, _, ours in quick}}, given.whole_chain, "stock")
        print("  the factor taken apart: fewer steps x a quicker call of the network x all else")
        for name, _, _ in quick:
            fewer = T / given.steps
            print(f"  {name:18} {found[name]:6.1f} = {fewer:.1f} x {quicker:.2f} x {found[name] / fewer / quicker:.2f}")


def pairs(model: LoadedModel, folder: Path, plain: UNet2DModel, steps: int) -> list[tuple[str, Callable[[], object], Callable[[], object]]]:
    """The same sampler as diffusers runs it and as it is run here."""
    settings = SamplingSettings(num_images=IMAGES, num_steps=steps, num_train_timesteps=len(model.denoiser.schedule))

    def ancestral() -> object:
        for frame in sample(model.denoiser, model.shape, settings):
            last = frame.x_prev
        return to_uint8(last)

    def other(name: str) -> Callable[[], object]:
        def draw() -> object:
            generator = torch.Generator().manual_seed(0)
            for step in walk(model.denoiser, torch.randn(IMAGES, *model.shape, generator=generator), SAMPLERS[name], steps, generator):
                last = step.x_prev
            return to_uint8(last)

        return draw

    return [
        ("DDPM", stock_pipeline(DDPMPipeline, DDPMScheduler, folder, plain, steps), ancestral),
        ("DDIM", stock_pipeline(DDIMPipeline, DDIMScheduler, folder, plain, steps), other("ddim")),
        ("DPM-Solver++", stock_pipeline(DDPMPipeline, DPMSolverMultistepScheduler, folder, plain, steps), other("dpm-solver++")),
        (
            "SDE-DPM-Solver++",
            stock_pipeline(DDPMPipeline, DPMSolverMultistepScheduler, folder, plain, steps, algorithm_type="sde-dpmsolver++"),
            other("sde-dpm-solver++"),
        ),
    ]


def stock_pipeline(pipeline: type, scheduler: type, folder: Path, plain: UNet2DModel, steps: int, **config: object) -> Callable[[], object]:
    """A pipeline of diffusers as its users call it, without the bar."""
    made = pipeline(unet=plain, scheduler=scheduler.from_pretrained(folder / "scheduler", timestep_spacing="trailing", **config))
    made.set_progress_bar_config(disable=True)
    return lambda: made(batch_size=IMAGES, num_inference_steps=steps, output_type="np", generator=torch.Generator().manual_seed(0))


def report(calls: dict[str, Callable[[], object]], rounds: int, base: str, unit: float = 1) -> dict[str, float]:
    """Let the calls take turns, and print the median of each, and of the ratios of each round; returns the latter."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            seconds[name].append(unit * (time.perf_counter() - begin))
    middle = {}
    for name, found in seconds.items():
        ratios = [slow / quick for slow, quick in zip(seconds[base], found)]
        middle[name] = statistics.median(ratios)
        spread = f"({min(found):.3g} to {max(found):.3g})"
        print(f"  {name:18} {statistics.median(found):8.3g} {spread:18} {middle[name]:6.2f} times ({min(ratios):.2f} to {max(ratios):.2f})")
    return middle


if __name__ == "__main__":
    main()
