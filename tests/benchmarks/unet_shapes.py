"""Measure UNet2DModel shapes on this machine and print two Markdown tables: shapes, then ways to run the first shape.

    PYTHONPATH=. python tests/benchmarks/unet_shapes.py [--threads 2] [--steps 4] [--only NAME ...]

Times are medians; FLOPs are those of one forward of one image (multiply and add counted apart), counted by torch itself.
Training is a forward, a backward and a fused AdamW step of a batch of 64, without data loading.
"""

import argparse
import statistics
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from diffusers import UNet2DModel
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Shape:
    """One UNet to measure: channels and attention by resolution, from the finest to the coarsest."""

    channels: tuple[int, ...]
    attention: tuple[bool, ...]
    layers: int = 1
    size: int = 28
    groups: int = 8
    head: int = 64


SHAPES = {
    "32-64-64, attention at 7, one head of 64": Shape((32, 64, 64), (False, False, True)),
    "the same, two heads of 32": Shape((32, 64, 64), (False, False, True), head=32),
    "the same, eight heads of 8": Shape((32, 64, 64), (False, False, True), head=8),
    "attention at 14 and 7": Shape((32, 64, 64), (False, True, True)),
    "attention in the middle only": Shape((32, 64, 64), (False, False, False)),
    "32 x 32 pixels": Shape((32, 64, 64), (False, False, True), size=32),
    "two layers a block": Shape((32, 64, 64), (False, False, True), layers=2),
    "wide below: 32-64-128": Shape((32, 64, 128), (False, False, True)),
    "wide below: 32-96-128": Shape((32, 96, 128), (False, False, True)),
    "thin on top: 16-64-96": Shape((16, 64, 96), (False, False, True), head=96),
    "thin on top: 16-64-128": Shape((16, 64, 128), (False, False, True)),
    "wider: 48-96-96": Shape((48, 96, 96), (False, False, True), head=96),
    "4 norm groups": Shape((32, 64, 64), (False, False, True), groups=4),
    "32 norm groups": Shape((32, 64, 64), (False, False, True), groups=32),
}
CHOSEN = next(iter(SHAPES))

MODES = {
    "fp32": (False, False, False),
    "fp32, channels_last": (False, True, False),
    "bf16 autocast": (True, False, False),
    "bf16 autocast, channels_last": (True, True, False),
    "fp32, channels_last, compile": (False, True, True),
    "bf16 autocast, channels_last, compile": (True, True, True),
}


def build(shape: Shape) -> UNet2DModel:
    """The UNet of one row, with one channel in and out."""
    return UNet2DModel(
        sample_size=shape.size,
        in_channels=1,
        out_channels=1,
        layers_per_block=shape.layers,
        block_out_channels=shape.channels,
        down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in shape.attention),
        up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(shape.attention)),
        attention_head_dim=shape.head,
        norm_num_groups=shape.groups,
    )


def seconds(function, steps: int) -> float:
    """Median seconds of one call, after two calls to warm up."""
    times = []
    for index in range(steps + 2):
        start = time.perf_counter()
        function()
        if index >= 2:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(shape: Shape, *, bf16: bool, channels_last: bool, compiled: bool, steps: int) -> dict[str, float]:
    """Milliseconds of a forward at batch 1 and 16, training images a second at batch 64, FLOPs and parameters."""
    torch.manual_seed(0)
    model = build(shape)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)
    images = torch.randn(64, 1, shape.size, shape.size).contiguous(memory_format=layout)
    timesteps = torch.randint(0, 1000, (64,))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images[:1], timesteps[:1])
    network = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def cast() -> AbstractContextManager:
        return torch.autocast("cpu", torch.bfloat16, enabled=bf16)

    def train() -> None:
        with cast():
            output = network(images, timesteps).sample
        (output.float() - images).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    def forward(batch: int):
        def run() -> None:
            with torch.no_grad(), cast():
                network(images[:batch], timesteps[:batch])

        return run

    return {
        "train": 64 / seconds(train, steps),
        "forward_16": 1e3 * seconds(forward(16), 2 * steps),
        "forward_1": 1e3 * seconds(forward(1), 3 * steps),
        "gflops": counter.get_total_flops() / 1e9,
        "parameters": sum(p.numel() for p in model.parameters()) / 1e6,
    }


def row(name: str, figures: dict[str, float]) -> str:
    """One line of a table."""
    f = figures
    return f"| {name} | {f['parameters']:.2f} M | {f['gflops']:.3f} | {f['forward_1']:.1f} | {f['forward_16']:.1f} | {f['train']:.0f} |"


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4, help="timed training steps of a row")
    parser.add_argument("--only", nargs="*", help="names of shapes to measure (default: all)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    head = "| parameters | GFLOP an image | ms, forward of 1 | ms, forward of 16 | training images/s |\n|---|---|---|---|---|---|"
    print(f"| shape (bf16 autocast) {head}")
    for name in arguments.only or SHAPES:
        print(row(name, measure(SHAPES[name], bf16=True, channels_last=False, compiled=False, steps=arguments.steps)), flush=True)
    print(f"\n| {CHOSEN}, run as {head}")
    for name, (bf16, channels_last, compiled) in MODES.items():
        figures = measure(SHAPES[CHOSEN], bf16=bf16, channels_last=channels_last, compiled=compiled, steps=arguments.steps)
        print(row(name, figures), flush=True)


if __name__ == "__main__":
    main()
