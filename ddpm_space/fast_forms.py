"""Parts of diffusers' UNet in forms that are quicker to evaluate on a CPU: the same function to rounding, and the same weights under the same names.

Only for evaluation: where gradients are asked for, or in training mode, each part is diffusers' own again. What they save is passes over memory (an
activation, an addition and a division by one are done in place or not at all) and, in the doubling of a map, five ninths of the arithmetic.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

SMALL_MAP = 256
"""Positions up to which one head's attention is cheaper as plain matrix products; the scores of larger maps would not fit into a cache."""


class LeanResnetBlock2D(ResnetBlock2D):
    """Normalise, activate, convolve, twice, and add the input; activations and additions in place."""

    def forward(self, input_tensor: Tensor, temb: Tensor, *_: object, **__: object) -> Tensor:
        """(B, C, H, W) and the time embedding (B, E) to (B, C', H, W)."""
        if torch.is_grad_enabled() or self.training:
            return super().forward(input_tensor, temb)
        hidden = self.conv1(F.silu(self.norm1(input_tensor), inplace=True))
        hidden += self.time_emb_proj(F.silu(temb))[:, :, None, None]
        hidden = self.conv2(F.silu(self.norm2(hidden), inplace=True))
        hidden += input_tensor if self.conv_shortcut is None else self.conv_shortcut(input_tensor)
        return hidden


class LeanAttention:
    """Self-attention over a map's positions, without diffusers' ways for what it does not have: masks, other states, a second normalisation."""

    def __init__(self) -> None:
        self.plain = AttnProcessor2_0()

    def __call__(
        self,
        attention: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        if torch.is_grad_enabled() or attention.training or hidden_states.ndim != 4:
            return self.plain(attention, hidden_states, encoder_hidden_states, attention_mask, temb)
        batch, _, height, width = hidden_states.shape
        positions = attention.group_norm(hidden_states).flatten(2).transpose(1, 2)
        query, key, value = attention.to_q(positions), attention.to_k(positions), attention.to_v(positions)
        if attention.heads == 1 and height * width <= SMALL_MAP:
            mixed = torch.bmm((torch.bmm(query, key.transpose(1, 2)) * attention.scale).softmax(-1), value)
        else:
            query, key, value = (part.unflatten(2, (attention.heads, -1)).transpose(1, 2) for part in (query, key, value))
            mixed = F.scaled_dot_product_attention(query, key, value, scale=attention.scale).transpose(1, 2).flatten(2)
        return attention.to_out[0](mixed).transpose(1, 2).reshape(batch, -1, height, width) + hidden_states


class TransposedUpsample2D(Upsample2D):
    """Nearest neighbours and a 3 x 3 convolution as one transposed convolution: four products for a value instead of nine.

    Every pixel is read twice in each direction, so the kernel of the transposed convolution is the 3 x 3 one, added to itself moved by one pixel.
    """

    doubled: Tensor

    def forward(self, hidden_states: Tensor, output_size: int | None = None, *_: object, **__: object) -> Tensor:
        """(B, C, H, W) to (B, C', 2H, 2W), or to `output_size`."""
        if torch.is_grad_enabled() or self.training or output_size is not None:
            return super().forward(hidden_states, output_size)
        return F.conv_transpose2d(hidden_states, self.doubled, self.conv.bias, stride=2, padding=1)


def doubled_kernel(kernel: Tensor) -> Tensor:
    """The 4 x 4 kernel, for stride 2 and padding 1, whose transposed convolution is the given one after nearest neighbours.

    Args:
        kernel: (C', C, 3, 3).
    Returns:
        (C, C', 4, 4).
    """
    padded = F.pad(kernel, (1, 1, 1, 1)).double()
    summed = sum(padded[:, :, i : i + 4, j : j + 4] for i in (0, 1) for j in (0, 1))
    assert isinstance(summed, Tensor)
    return summed.to(kernel.dtype).flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)


def make_quick(unet: UNet2DModel) -> UNet2DModel:
    """Put the quicker forms into a network whose weights are final, in place, wherever they are the same function; returns the network."""
    for module in unet.modules():
        if type(module) is ResnetBlock2D and is_common(module):
            module.__class__ = LeanResnetBlock2D
        elif type(module) is Attention and is_over_a_map(module):
            module.set_processor(LeanAttention())
        elif type(module) is Upsample2D and is_nearest(module):
            module.register_buffer("doubled", doubled_kernel(module.conv.weight.detach()), persistent=False)
            module.__class__ = TransposedUpsample2D
    return unet


def is_common(block: ResnetBlock2D) -> bool:
    """Whether a block is the usual one: what `LeanResnetBlock2D` computes."""
    return (
        isinstance(block.nonlinearity, nn.SiLU)
        and block.upsample is None
        and block.downsample is None
        and block.time_emb_proj is not None
        and block.time_embedding_norm == "default"
        and not block.skip_time_act
        and block.output_scale_factor == 1
    )


def is_over_a_map(attention: Attention) -> bool:
    """Whether attention is the usual one: what `LeanAttention` computes."""
    absent = (attention.spatial_norm, attention.norm_q, attention.norm_k, attention.norm_cross, attention.added_kv_proj_dim)
    return (
        not any(absent)
        and attention.group_norm is not None
        and not attention.is_cross_attention
        and attention.residual_connection
        and attention.rescale_output_factor == 1
    )


def is_nearest(upsample: Upsample2D) -> bool:
    """Whether a doubling is the usual one: what `TransposedUpsample2D` computes."""
    plain = upsample.interpolate and upsample.use_conv and upsample.name == "conv" and not upsample.use_conv_transpose and upsample.norm is None
    return plain and upsample.conv.kernel_size == (3, 3) and upsample.conv.padding == (1, 1)
