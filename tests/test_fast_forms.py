"""The quicker forms of a network: the same function as diffusers' own forms, in every shape that a network may have."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention
from small_unets import network, question

from ddpm_space.fast_forms import LeanAttention, LeanResnetBlock2D, TransposedUpsample2D, doubled_kernel, make_quick
from ddpm_space.models import BUNDLED_FOLDER, load

SHAPES: dict[str, dict[str, Any]] = {
    "one head": {},
    "heads of 8": {"attention_head_dim": 8},
    "attention over 1,024 positions": {"sample_size": 32, "down_block_types": ("AttnDownBlock2D",) * 2, "up_block_types": ("AttnUpBlock2D",) * 2},
    "two layers, colour": {"layers_per_block": 2, "in_channels": 3, "out_channels": 3},
    "with a variance": {"out_channels": 2},
}
UNCOMMON: dict[str, dict[str, Any]] = {
    "scale and shift": {"resnet_time_scale_shift": "scale_shift"},
    "another activation": {"act_fn": "gelu"},
    "scaled outputs": {"mid_block_scale_factor": 2.0},
    "resnet sampling": {"downsample_type": "resnet", "upsample_type": "resnet"},
    "skip blocks": {
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": (32, 32),
        "down_block_types": ("SkipDownBlock2D", "AttnSkipDownBlock2D"),
        "up_block_types": ("AttnSkipUpBlock2D", "SkipUpBlock2D"),
    },
}


def count(unet: UNet2DModel) -> tuple[int, int, int]:
    """Blocks, attentions and doublings in their quick form."""
    modules = list(unet.modules())
    attentions = [module for module in modules if isinstance(module, Attention) and isinstance(module.processor, LeanAttention)]
    return sum(type(m) is LeanResnetBlock2D for m in modules), len(attentions), sum(type(m) is TransposedUpsample2D for m in modules)


@pytest.mark.parametrize("batch", [1, 5, 64])
@pytest.mark.parametrize("shape", [*SHAPES, *UNCOMMON])
def test_the_output_is_that_of_the_plain_network(shape: str, batch: int) -> None:
    plain = network({**SHAPES, **UNCOMMON}[shape], torch.float64)
    quick = make_quick(copy.deepcopy(plain)).to(memory_format=torch.channels_last)
    x, t = question(plain, batch)
    kept = x.clone()
    with torch.inference_mode():
        expected, found = plain(x, t).sample, quick(x, t).sample
        again = quick(x, t).sample
    # The plain network rounds the scale of its scores to float32.
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))
    assert torch.equal(found, again) and torch.equal(x, kept)


def test_every_part_of_a_common_network_is_quick() -> None:
    assert count(make_quick(network(SHAPES["one head"]))) == (8, 4, 1)


@pytest.mark.parametrize(("shape", "blocks"), [("scale and shift", 0), ("another activation", 0), ("scaled outputs", 6), ("resnet sampling", 8)])
def test_blocks_that_compute_something_else_are_left_alone(shape: str, blocks: int) -> None:
    assert count(make_quick(network(UNCOMMON[shape])))[0] == blocks


@pytest.mark.parametrize("mode", ["gradients", "training"])
def test_with_gradients_or_in_training_it_is_diffusers_own(mode: str) -> None:
    """The quick forms work in place, which would spoil a gradient, and leave dropout out."""
    plain = network({"dropout": 0.5}, torch.float64).requires_grad_(True)
    quick = make_quick(copy.deepcopy(plain))
    x, t = question(plain, 3)
    outputs = []
    for unet in (plain, quick):
        unet.train(mode == "training")
        torch.manual_seed(5)
        output = unet(x, t).sample
        output.square().mean().backward()
        outputs.append((output.detach(), [parameter.grad for parameter in unet.parameters()]))
    assert torch.equal(outputs[0][0], outputs[1][0])
    for ours, theirs in zip(outputs[1][1], outputs[0][1], strict=True):
        torch.testing.assert_close(ours, theirs)
    if mode == "training":
        with torch.no_grad():
            assert not torch.equal(quick(x, t).sample, quick(x, t).sample), "dropout draws anew"


def test_weights_keep_their_names_and_the_config_its_words() -> None:
    unet = network({})
    before, names = dict(unet.config), list(unet.state_dict())
    make_quick(unet)
    assert dict(unet.config) == before and list(unet.state_dict()) == names


def test_a_transposed_convolution_is_neighbours_and_a_convolution() -> None:
    """Against the two operations themselves, on a map that is not square."""
    generator = torch.Generator().manual_seed(2)
    kernel, x = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((5, 3, 3, 3), (2, 3, 4, 7)))
    expected = F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), kernel, padding=1)
    torch.testing.assert_close(F.conv_transpose2d(x, doubled_kernel(kernel), stride=2, padding=1), expected)


def test_a_loaded_model_is_quick_and_says_what_the_plain_one_says() -> None:
    """The bundled weights in float32, whose outputs are about 1 in size: within 1e-4."""
    model = load("bundled:mnist")
    plain = UNet2DModel.from_pretrained(BUNDLED_FOLDER / "mnist" / "unet", use_safetensors=True).eval()
    x, t = torch.randn(16, *model.shape, generator=torch.Generator().manual_seed(3)), torch.arange(16) * 66
    with torch.inference_mode():
        assert (model.denoiser.network(x, t) - plain(x, t).sample).abs().max() < 1e-4
    assert all(count(model.denoiser.network.unet))
