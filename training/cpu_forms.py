"""Parts of diffusers' UNet in a form that trains faster on a CPU: the same results up to rounding, the same weights under the same names."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention, AttnProcessor, AttnProcessor2_0
from diffusers.models.upsampling import Upsample2D
from torch import Tensor

SMALL_MAP = 256
"""Positions up to which attention is cheaper as plain matrix products; their scores are kept for the backward pass, so larger maps stay fused."""


class ByMapSize:
    """Attention by matrix products on small maps, and by torch's fused kernel, whose backward pass is slow on a CPU, on large ones."""

    def __init__(self) -> None:
        self.plain, self.fused = AttnProcessor(), AttnProcessor2_0()

    def __call__(
        self,
        attention: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        positions = hidden_states[0, 0].numel() if hidden_states.ndim == 4 else hidden_states.shape[1]
        chosen = self.plain if positions <= SMALL_MAP else self.fused
        return chosen(attention, hidden_states, encoder_hidden_states, attention_mask, temb)


class DirectUpsample2D(Upsample2D):
    """Nearest neighbours, then the convolution; diffusers first copies batches of 64 and more into another layout, which CPUs do not need."""

    def forward(self, hidden_states: Tensor, output_size: int | None = None, *_: Any, **__: Any) -> Tensor:
        """(B, C, H, W) to (B, C', 2H, 2W), or to `output_size`."""
        scale = 2.0 if output_size is None else None
        return self.conv(F.interpolate(hidden_states, size=output_size, scale_factor=scale, mode="nearest"))


def suit_cpu(unet: UNet2DModel) -> None:
    """Put the faster forms into a network, in place."""
    for module in unet.modules():
        if isinstance(module, Attention):
            module.set_processor(ByMapSize())
        elif type(module) is Upsample2D and _is_plain(module):
            module.__class__ = DirectUpsample2D


def _is_plain(module: Upsample2D) -> bool:
    return module.interpolate and module.use_conv and module.name == "conv" and not module.use_conv_transpose and module.norm is None
