"""Samples for an evaluation, shared by any number of processes, and pictures of them."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ddpm_space.coupling import PathNoise
from ddpm_space.denoiser import Denoiser
from ddpm_space.images import grid, quantize
from ddpm_space.samplers import Sampler, walk
from ddpm_space.sampling import SamplingSettings, last_of, sample
from training.config import ConfigError
from training.evaluation.findings import Evaluation
from training.evaluation.memorisation import pixels
from training.evaluation.shares import share, together

CHUNK = 128
"""Samples drawn at once; an eighth of them where an image has more than 64 x 64 pixels."""


def draw(
    denoiser: Denoiser,
    shape: tuple[int, int, int],
    count: int,
    *,
    num_steps: int,
    seed: int,
    device: torch.device | str = "cpu",
    rank: int = 0,
    world: int = 1,
) -> Tensor:
    """Generate `count` images: ancestral sampling, trailing steps, x_0_hat clipped.

    The first 128 (16 above 64 x 64) are those that the app shows for this seed; the next ones use seed + 1, and so on. Image i is a function of
    (seed, i), whatever `count` and however many processes share the work; the global random numbers are left alone.

    Args:
        denoiser: in eval mode, on `device`; shape: (C, H, W); num_steps: reverse steps.
        rank, world: this process and how many draw; all of them must call this, and all get all images.
    Returns:
        (count, C, H, W) float32 in [-1, 1] on the CPU, rounded to the 256 levels of pictures.
    """
    chunk = CHUNK if shape[1] * shape[2] <= 64 * 64 else CHUNK // 8
    sizes = [min(chunk, count - start) for start in range(0, count, chunk)]
    done = {}
    for piece in share(len(sizes), rank, world):
        # Whole pieces, so that an image shares its batch with the same others on any number of processes.
        settings = SamplingSettings(sizes[piece], num_steps, "trailing", seed=seed + piece, num_train_timesteps=len(denoiser.schedule))
        last = last_of(sample(denoiser, shape, settings, device=str(device)))
        done[piece] = quantize(last.x_prev.cpu().float())
    return torch.cat([torch.empty(0, *shape), *together(done, len(sizes), world)])


def draw_chunk(
    denoiser: Denoiser, shape: tuple[int, int, int], sampler: Sampler, num_steps: int, size: int, *, seed: int, number: int, device: str = "cpu"
) -> Tensor:
    """Draw one chunk of images; the chunk `number` of a seed has the same noise for every sampler and number of steps, x_T and what is added later.

    So two samplers differ by what they are and less by chance, and with the variance beta_tilde a shorter chain follows a longer one's pictures.

    Args:
        denoiser: in eval mode, on `device`; shape: (C, H, W); size: how many images.
    Returns:
        (size, C, H, W) in [-1, 1] on the 256-level grid, on the CPU.
    Raises:
        SettingsError, ImageError: as `walk`.
    """
    generator = torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)
    x_T = torch.randn((size, *shape), generator=generator).to(device)
    noise = PathNoise(denoiser.schedule, lambda: torch.randn((size, *shape), generator=generator))
    return quantize(last_of(walk(denoiser, x_T, sampler, num_steps, noise)).x_prev.cpu().float())


def check_writable(file: Path) -> None:
    """Make the folder of a file that is written when the work is done.

    Raises:
        ConfigError: no file can be written there, or no picture of that kind.
    """
    if file.suffix != ".json" and file.suffix.lower() not in Image.registered_extensions():
        raise ConfigError(f"'{file}': there is no picture format '{file.suffix}'; use .png")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"'{file}' cannot be written ({error.strerror}): name another place") from error
    if file.is_dir() or not os.access(file.parent, os.W_OK):
        raise ConfigError(f"'{file}' cannot be written: name a file in a folder of yours")


def save_pictures(evaluation: Evaluation, sheet: Path | None, pairs: Path | None) -> None:
    """Draw samples, and samples above the training images nearest to them in pixels."""
    if evaluation.samples is None:
        return
    if sheet is not None:
        _draw(evaluation.samples[:64], sheet)
    if pairs is not None and evaluation.neighbours is not None:
        distance = (pixels(evaluation.samples) - pixels(evaluation.neighbours)).norm(dim=1)
        rows = distance.argsort()[:32].split(8)
        _draw(torch.cat([part for row in rows for part in (evaluation.samples[row], evaluation.neighbours[row])]), pairs)


def _draw(x: Tensor, path: Path) -> None:
    # A picture file holds gray or RGB: of more channels the first three are shown, of two the first.
    picture = grid(x if x.shape[1] in (1, 3) else x[:, : 3 if x.shape[1] > 3 else 1], 8, gap=2)
    picture.resize((picture.width * 3, picture.height * 3), resample=0).save(path)
