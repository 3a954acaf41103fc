"""Small UNets with random weights, for the tests of the forms in which a network is evaluated."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DModel

COMMON: dict[str, Any] = {
    "sample_size": 16,
    "in_channels": 1,
    "out_channels": 1,
    "layers_per_block": 1,
    "block_out_channels": (8, 16),
    "norm_num_groups": 4,
    "attention_head_dim": None,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}


def network(changes: dict[str, Any], dtype: torch.dtype = torch.float32) -> UNet2DModel:
    """Random weights, also where they begin at zero or one: an affine part or a bias that is left out shows."""
    torch.manual_seed(0)
    unet = UNet2DModel(**{**COMMON, **changes}).to(dtype).eval().requires_grad_(False)
    for parameter in unet.parameters():
        if parameter.ndim == 1:
            parameter.add_(0.3 * torch.randn_like(parameter))
    return unet


def question(unet: UNet2DModel, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch (B, C, H, W) with a timestep each."""
    size, generator = unet.config.sample_size, torch.Generator().manual_seed(1)
    return torch.randn(batch, unet.config.in_channels, size, size, generator=generator, dtype=unet.dtype), torch.arange(batch) * 37 % 1000
