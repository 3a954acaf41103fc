"""The forms of a network for a CPU: the same function and the same gradients, and where it matters another way to them."""

from __future__ import annotations

import copy

import pytest
import torch
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention

from training.cpu_forms import SMALL_MAP, ByMapSize, DirectUpsample2D, suit_cpu

WIDTHS = (8, 16)


@pytest.fixture
def unet() -> UNet2DModel:
    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=16, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=WIDTHS, norm_num_groups=4, attention_head_dim=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip


def output_and_gradients(unet: UNet2DModel, batch: int, layout: torch.memory_format) -> list[torch.Tensor]:
    x = torch.randn(batch, 1, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64).contiguous(memory_format=layout)
    unet = unet.double().to(memory_format=layout)
    output = unet(x, torch.arange(batch)).sample
    output.square().mean().backward()
    found = [output.detach(), *(parameter.grad.clone() for parameter in unet.parameters())]
    unet.zero_grad()
    return found


@pytest.mark.parametrize("batch", [3, 64])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_outputs_and_gradients_are_those_of_the_plain_network(unet: UNet2DModel, batch: int, layout: torch.memory_format) -> None:
    suited = copy.deepcopy(unet)
    suit_cpu(suited)
    # Some gradients are zero but for rounding (a bias of the keys moves nothing), and the scale of attention's scores is rounded to float32.
    ours, plain = output_and_gradients(suited, batch, layout), output_and_gradients(unet, batch, layout)
    tolerance = 1e-7 * max(float(value.abs().max()) for value in plain)
    assert all(torch.allclose(a, b, rtol=1e-6, atol=tolerance) for a, b in zip(ours, plain, strict=True))
    assert any(isinstance(module, DirectUpsample2D) for module in suited.modules())


def test_weights_keep_their_names_and_the_config_its_words(unet: UNet2DModel) -> None:
    before, names = dict(unet.config), list(unet.state_dict())
    suit_cpu(unet)
    assert dict(unet.config) == before and list(unet.state_dict()) == names
    again = copy.deepcopy(unet)
    with torch.no_grad():
        unet.conv_in.weight.zero_()
    x = torch.ones(1, 1, 16, 16)
    assert not torch.equal(again(x, 0).sample, unet(x, 0).sample), "a copy has weights of its own"


@pytest.mark.parametrize(("side", "fused"), [(16, 0), (17, 1)])
def test_only_small_maps_are_attended_by_plain_products(side: int, fused: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SMALL_MAP == 256
    calls = []
    kernel = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", lambda *given, **options: calls.append(1) or kernel(*given, **options))
    attention = Attention(8, heads=1, dim_head=8, processor=ByMapSize())
    attention(torch.randn(2, 8, side, side))
    attention(torch.randn(2, side * side, 8))
    assert len(calls) == 2 * fused
