"""Exact worlds that stand in for a trained model: the ten bundled digits, for which the perfect network and its Bayes floor are known."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.exact.network import exact_denoiser
from ddpm_space.exact.points import PointSet
from ddpm_space.images import load_image
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.example_files import FOLDER, example_names


@lru_cache(maxsize=4)
def ten_digits(channels: int, size: int) -> PointSet:
    """The world in which a picture is one of the bundled digits, each as likely as the others, at a model's size and on the 256 grey levels."""
    return PointSet(digit_pictures(channels, size))


def digit_pictures(channels: int, size: int) -> Tensor:
    """Read the bundled digits: (10, channels, size, size) float32, on the 256 grey levels that L_0 is defined on."""
    names = [name for name in example_names() if name.startswith("digit_")]
    return torch.cat([load_image(FOLDER / f"{name}.png", channels=1 if channels == 1 else 3, size=size) for name in names])


def perfect_denoiser(world: PointSet, schedule: NoiseSchedule) -> Denoiser:
    """The network that no other beats in this world; it predicts x_0, whose digits survive where there is hardly any noise."""
    return exact_denoiser(world, schedule, "sample")
