"""What a run would be, without its data: the network, what it costs on this machine, and what the noise schedule does to an image."""

from __future__ import annotations

import io
import math
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import torch
from accelerate import Accelerator
from diffusers import UNet2DModel
from diffusers.training_utils import EMAModel
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from ddpm_space.notes.elbo import bits_per_dim, prior_kl
from ddpm_space.schedule import NoiseSchedule
from training import machine
from training.config import TrainConfig
from training.cost import DTYPES, Cost, matmul_rate, network_cost, utilisation
from training.evaluate import EvaluationSettings
from training.loop.processes import start_processes
from training.loop.trackers import check_trackers
from training.model import build_scheduler, build_unet
from training.optimizer import make_optimizer
from training.timesteps import HISTORY

if sys.platform != "win32":
    import resource

TRIAL_SECONDS = 3.0
"""How long real steps are tried for; a step that would take longer by itself is tried with fewer images."""

BUSY, BUSY_SECONDS = 20, 0.3
"""Per cent of the machine's cores in use by others from which it is said, and how long they are watched."""

USUAL_UTILISATION = 0.3
"""Share of the matrix-product rate that a UNet is assumed to reach before, or instead of, measuring it."""


@dataclass(frozen=True)
class Speed:
    """How fast, on all processes: images/s in training, forward passes of one image/s in evaluation; where the numbers come from, and the memory at
    the peak of a trial with a whole batch, in bytes."""

    images_per_second: float
    forwards_per_second: float
    source: str
    peak: int | None = None


def report(config: TrainConfig) -> str:
    """Describe a run that would be made with these options, on this machine, in plain text.

    Raises:
        ConfigError: whatever the run itself would refuse before it reads its data.
    """
    check_trackers(config.trackers)
    settings = EvaluationSettings.of(config)
    scheduler = build_scheduler(config)
    accelerator = start_processes(config)
    busy = psutil.cpu_percent(BUSY_SECONDS)
    unet = build_unet(config)
    cost = network_cost(unet, accelerator.mixed_precision)
    rate = accelerator.num_processes * matmul_rate(accelerator.device, DTYPES[accelerator.mixed_precision])
    memory = cost.memory(config.batch_size, accelerator.num_processes, config.optimizer)
    fits = sum(memory.values()) <= _free_memory(accelerator)
    speed = _measured(config, unet, cost, accelerator, rate) if fits else None
    if speed is None:
        source = f"assumed: {USUAL_UTILISATION:.0%} of the matrix-product rate, not measured"
        speed = Speed(USUAL_UTILISATION * rate / cost.training_flops, USUAL_UTILISATION * rate / cost.forward_flops, source)
    sections = [
        _network(unet, cost),
        _memory(config, memory, speed.peak, accelerator),
        _time(config, settings, cost, speed, rate, accelerator),
        _noise(config, scheduler.schedule),
        "\n".join(f"Warning: {warning}." for warning in _warnings(config, memory, busy, accelerator)),
    ]
    return "\n\n".join(section for section in sections if section)


def terminal_bits(alpha_bar_T: float) -> float:
    """L_T in bits/dim of the image that the end of the chain knows most of: every |x_0| = 1, a limit for all images in [-1, 1].

    Args:
        alpha_bar_T: in [0, 1).
    """
    return float(bits_per_dim(prior_kl(torch.ones(1, 1, dtype=torch.float64), torch.tensor([alpha_bar_T], dtype=torch.float64)), 1))


def _network(unet: UNet2DModel, cost: Cost) -> str:
    table = Table(box=SIMPLE, pad_edge=False, show_edge=False, show_footer=True)
    table.add_column("part", "all")
    table.add_column("returns")
    table.add_column("parameters", f"{cost.parameters:,}", justify="right")
    table.add_column("MFLOP an image", f"{cost.forward_flops / 1e6:,.1f}", justify="right")
    for layer in cost.layers:
        table.add_row(layer.name, " x ".join(map(str, layer.shape)), f"{layer.parameters:,}", f"{layer.flops / 1e6:,.1f}")
    drawn = Console(file=io.StringIO(), width=100, color_system=None)
    with drawn.capture() as text:
        drawn.print(table)
    size = unet.config.sample_size
    return (
        f"Network: UNet2DModel for {size} x {size} pixels, channels {unet.config.in_channels} in and {unet.config.out_channels} out\n"
        + "\n".join(line.rstrip() for line in text.get().splitlines() if line.strip())
        + f"\nOne image: {cost.forward_flops / 1e9:.4g} GFLOP forward, {cost.training_flops / 1e9:.4g} GFLOP to learn from it (three times as many)"
    )


def _memory(config: TrainConfig, memory: dict[str, int], peak: int | None, accelerator: Accelerator) -> str:
    lines = "".join(f"\n  {name:<24} {_size(number):>9}" for name, number in memory.items() if number)
    held = "the whole process, with the program, without data" if accelerator.device.type == "cpu" else "all that torch held"
    together, free = _size(sum(memory.values())), _size(_free_memory(accelerator))
    return (
        f"Memory of one process, batch of {config.batch_size} ({accelerator.mixed_precision}): {together} for the parts below, and more "
        f"for buffers of the moment, on a CPU up to as much again; {free} are free\n"
        + (f"  at the peak of a few steps {_size(peak)} (measured: {held})\n" if peak else "")
        + lines.removeprefix("\n")
    )


def _time(config: TrainConfig, settings: EvaluationSettings, cost: Cost, speed: Speed, rate: float, accelerator: Accelerator) -> str:
    steps = math.ceil(config.train_images / _images_a_step(config, accelerator))
    forwards = _other_forwards(config, settings)
    training = _duration(config.train_images / speed.images_per_second)
    beside = _duration(forwards / speed.forwards_per_second)
    used, most = utilisation(speed.images_per_second, cost.training_flops, rate), rate / cost.training_flops
    plural = "s" if steps > 1 else ""
    number_format = str(DTYPES[accelerator.mixed_precision]).removeprefix("torch.")
    return (
        f"Time: {training} for {config.train_images:,} images in {steps:,} step{plural}, and about {beside} for grids and evaluation "
        f"({forwards:,} forward passes of one image, in float32)\n"
        f"  {speed.images_per_second:,.4g} images/s ({speed.source})\n"
        f"  {used:.0%} of the {rate / 1e9:,.0f} GFLOP/s measured in products of large {number_format} matrices on {_where(accelerator)}, "
        f"at which it would be {most:,.4g} images/s"
    )


def _noise(config: TrainConfig, schedule: NoiseSchedule) -> str:
    alpha_bar_T = schedule.terminal_alpha_bar
    return (
        f"Noise: {config.beta_schedule}, T = {len(schedule)}: abar_T = {alpha_bar_T:.3g}, L_T = {terminal_bits(alpha_bar_T):.3g} bits/dim "
        "for an image with every |x_0| = 1, less for all others in [-1, 1]"
    )


def _measured(config: TrainConfig, unet: UNet2DModel, cost: Cost, accelerator: Accelerator, rate: float) -> Speed | None:
    """Take real steps with as many images as fit the time; None where not even one does, or the device's memory is too small."""
    one = cost.training_flops * accelerator.num_processes / (USUAL_UTILISATION * rate)
    images = min(config.batch_size, int(TRIAL_SECONDS / 2 / one))
    if images < 1:
        return None
    try:
        seconds = _step_seconds(config, unet, accelerator, images)
        forward = _forward_seconds(config, unet, accelerator, images)
    except torch.OutOfMemoryError:
        return None
    fewer = f", {images} instead of {config.batch_size} images at a time" if images < config.batch_size else ""
    words = "measured: forward, backward and update of the real network, without data" + (", not compiled" if config.compile else "")
    peak = None if fewer else _peak_memory(accelerator)
    together = accelerator.num_processes * images
    return Speed(together / seconds, together / forward, words + fewer, peak)


def _forward_seconds(config: TrainConfig, unet: UNet2DModel, accelerator: Accelerator, images: int) -> float:
    """The median of forward passes as grids and evaluations make them: in float32, whatever the training computes in."""
    unet = unet.to(accelerator.device).eval()
    x_t = torch.randn(images, config.channels, config.resolution, config.resolution, device=accelerator.device)
    t = torch.zeros(images, dtype=torch.int64, device=accelerator.device)
    taken: list[float] = []
    begin = time.monotonic()
    while not taken or (time.monotonic() - begin < TRIAL_SECONDS / 3 and len(taken) < 50):
        start = time.monotonic()
        with torch.no_grad():
            unet(x_t, t).sample.sum().item()  # waits for an accelerator to finish
        taken.append(time.monotonic() - start)
    return statistics.median(taken[1:] or taken)


def _step_seconds(config: TrainConfig, unet: UNet2DModel, accelerator: Accelerator, images: int) -> float:
    """The median of real steps, which learn to return noise from noise."""
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    unet = unet.to(accelerator.device, memory_format=layout).train()
    optimizer = make_optimizer(config, unet)
    averages = EMAModel(unet.parameters(), decay=config.ema_decay, foreach=True)
    generator = torch.Generator().manual_seed(config.seed)
    x_t = torch.randn(images, config.channels, config.resolution, config.resolution, generator=generator).to(accelerator.device, memory_format=layout)
    t = torch.randint(config.num_train_timesteps, (images,), generator=generator).to(accelerator.device)
    if accelerator.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(accelerator.device)
    taken: list[float] = []
    begin = time.monotonic()
    while not taken or (time.monotonic() - begin < TRIAL_SECONDS and len(taken) < 50):
        start = time.monotonic()
        with accelerator.autocast():
            loss = unet(x_t, t).sample.float().square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        averages.step(unet.parameters())
        loss.item()  # waits for an accelerator to finish
        taken.append(time.monotonic() - start)
    return statistics.median(taken[1:] or taken)  # the first one also prepares


def _other_forwards(config: TrainConfig, settings: EvaluationSettings) -> int:
    """Forward passes of one image that are not training: grids, held-out bits/dim, and at the end those of training images and samples too."""
    grids = 1 + ((config.train_images - 1) // config.sample_every if config.sample_every else 0)
    held_out = 2 + ((config.train_images - 1) // config.eval_every if config.eval_every else 0)
    terms = min(settings.terms, config.num_train_timesteps)
    return grids * config.sample_images * config.sample_steps + held_out * settings.images * terms + settings.samples * settings.steps


def _warnings(config: TrainConfig, memory: dict[str, int], busy: float, accelerator: Accelerator) -> Iterator[str]:
    steps = math.ceil(config.train_images / _images_a_step(config, accelerator))
    needed, free = sum(memory.values()), _free_memory(accelerator)
    if needed > free:
        fix = "lower batch_size (and raise gradient_accumulation_steps), or block_out_channels"
        yield f"the run needs about {_size(needed)} and {_size(free)} are free: {fix}"
    if busy > BUSY and accelerator.num_processes == 1 and accelerator.device.type == "cpu":
        yield f"other programs kept the cores of this machine {busy:.0f}% busy: times were taken beside them"
    if config.lr_schedule != "constant" and config.lr_warmup_steps >= steps:
        rate = f"the learning rate never reaches {config.learning_rate:g}"
        yield f"lr_warmup_steps = {config.lr_warmup_steps:,} but the run has {steps:,} steps: {rate}"
    uniform = HISTORY * config.num_train_timesteps
    if config.timestep_sampling == "loss_aware" and uniform >= config.train_images / 2:
        yield f"timestep_sampling = loss_aware is uniform for its first {uniform:,} images or more, of {config.train_images:,}"
    if accelerator.device.type == "cpu" and accelerator.mixed_precision != "no" and machine.precision("auto") != accelerator.mixed_precision:
        yield f"mixed_precision = {config.mixed_precision} is emulated on this machine, far slower than float32: use auto"


def _images_a_step(config: TrainConfig, accelerator: Accelerator) -> int:
    return config.batch_size * config.gradient_accumulation_steps * accelerator.num_processes


def _free_memory(accelerator: Accelerator) -> int:
    if accelerator.device.type == "cuda":
        return torch.cuda.mem_get_info(accelerator.device)[0]
    return psutil.virtual_memory().available


def _peak_memory(accelerator: Accelerator) -> int | None:
    if accelerator.device.type == "cuda":
        return torch.cuda.max_memory_allocated(accelerator.device)
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # bytes there, kilobytes elsewhere


def _where(accelerator: Accelerator) -> str:
    count, each = accelerator.num_processes, " each" if accelerator.device.type == "cpu" and accelerator.num_processes > 1 else ""
    return f"{count} process{'es' if count > 1 else ''} on {machine.describe()}{each}"


def _size(number: float) -> str:
    return f"{number / 1e9:,.2f} GB" if number >= 1e9 else f"{number / 1e6:,.1f} MB"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.0f} s"
