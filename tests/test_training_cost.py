"""What a network costs, held against networks that were really run."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import UNet2DModel
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from training import cost
from training.config import make_config
from training.cost import matmul_rate, network_cost, utilisation, utilisation_meter
from training.model import build_unet, count_parameters
from training.optimizer import make_optimizer

SHAPES: dict[str, dict[str, Any]] = {
    "gray": {"resolution": 8, "block_out_channels": (8, 16), "attention_levels": (), "attention_head_dim": 8, "norm_num_groups": 4},
    "RGB, attention, learned variance": {
        **{
            "resolution": 16,
            "channels": 3,
            "block_out_channels": (8, 8, 16),
            "attention_levels": (1,),
            "attention_head_dim": 8,
            "norm_num_groups": 4,
        },
        **{"layers_per_block": 2, "variance": "learned_range"},
    },
}


@pytest.fixture(params=list(SHAPES.values()), ids=list(SHAPES))
def unet(request: pytest.FixtureRequest) -> UNet2DModel:
    return build_unet(make_config(request.param))


def inputs(unet: UNet2DModel, batch: int) -> tuple[Tensor, Tensor]:
    size = unet.config.sample_size
    return torch.ones(batch, unet.config.in_channels, size, size), torch.zeros(batch, dtype=torch.int64)


def test_flops_are_those_of_every_convolution_product_and_attention(unet: UNet2DModel) -> None:
    """By hand: two for each weight and place where it is used, and 4 N^2 C for N places that attend to each other in C channels."""
    flops: list[int] = []
    for module in unet.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda m, _, out: flops.append(2 * m.weight.numel() * out.shape[2] * out.shape[3]))
        elif isinstance(module, nn.Linear):
            module.register_forward_hook(lambda m, _, out: flops.append(2 * m.weight.numel() * out[0].numel() // m.out_features))
        elif type(module).__name__ == "Attention":
            module.register_forward_hook(lambda _m, _, out: flops.append(4 * (out.shape[2] * out.shape[3]) ** 2 * out.shape[1]))
    unet(*inputs(unet, 1))
    found = network_cost(unet)
    assert found.forward_flops == sum(flops) and found.training_flops == 3 * sum(flops)


def test_the_parts_make_up_the_whole(unet: UNet2DModel) -> None:
    found = network_cost(unet)
    assert found.parameters == count_parameters(unet) == sum(layer.parameters for layer in found.layers)
    assert sum(layer.flops for layer in found.layers) == found.forward_flops
    assert found.layers[-1].shape == (unet.config.out_channels, unet.config.sample_size, unet.config.sample_size)
    assert [layer.name for layer in found.layers[:3]] == ["time_embedding", "conv_in", "down_blocks.0"]


@pytest.mark.parametrize("mixed_precision", ["no", "bf16"])
def test_activations_are_what_a_real_network_keeps_for_its_backward_pass(unet: UNet2DModel, mixed_precision: str) -> None:
    own = {parameter.data_ptr() for parameter in unet.parameters()}

    def kept(batch: int) -> int:
        held: dict[int, Tensor] = {}
        with (
            torch.autocast("cpu", torch.bfloat16, enabled=mixed_precision == "bf16"),
            torch.autograd.graph.saved_tensors_hooks(lambda x: held.setdefault(x.data_ptr(), x), lambda x: x),
        ):
            unet(*inputs(unet, batch))
        return sum(x.untyped_storage().nbytes() for pointer, x in held.items() if pointer not in own)

    found = network_cost(unet, mixed_precision)
    assert found.activation_bytes == pytest.approx((kept(10) - kept(6)) / 4, rel=0.02)
    # In bf16 the weights of convolutions and products are held once more, at half the size.
    converted = sum(2 * m.weight.numel() for m in unet.modules() if isinstance(m, (nn.Conv2d, nn.Linear)))
    assert found.copy_bytes == pytest.approx(converted if mixed_precision == "bf16" else 0, rel=0.05, abs=2000)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_memory_of_weights_and_moments_is_what_the_optimizer_and_the_averages_hold(kind: str, unet: UNet2DModel) -> None:
    optimizer = make_optimizer(make_config({"optimizer": kind}), unet)
    unet(*inputs(unet, 1)).sample.mean().backward()
    optimizer.step()
    memory = network_cost(unet).memory(batch_size=7, optimizer=kind)
    moments = sum(x.nbytes for state in optimizer.state.values() for name, x in state.items() if name != "step")
    assert memory["moments"] == moments
    assert memory["averaged weights"] == sum(x.nbytes for x in EMAModel(unet.parameters()).shadow_params)
    assert memory["gradients"] == sum(parameter.grad.nbytes for parameter in unet.parameters() if parameter.grad is not None)
    assert memory["weights"] == sum(parameter.nbytes for parameter in unet.parameters())
    assert memory["activations"] == 7 * network_cost(unet).activation_bytes
    assert network_cost(unet).memory(7, processes=2)["gradients"] == 2 * memory["gradients"]


def test_counting_computes_nothing_and_draws_nothing(unet: UNet2DModel) -> None:
    before, state = {name: x.clone() for name, x in unet.state_dict().items()}, torch.get_rng_state()
    network_cost(unet, "bf16")
    matmul_rate("cpu", torch.float32, seconds=0.01)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(x, before[name]) for name, x in unet.state_dict().items())


@pytest.mark.parametrize(("rate", "size"), [(1e9, 256), (1e11, 1024), (1e15, 2048)], ids=["imitated bfloat16", "slow", "quick"])
def test_the_rate_is_the_products_flops_over_its_shortest_time(rate: float, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a product is as large as an eighth of the time allows, so that a machine that is slow at it does not hold up the run."""
    told: dict[str, Any] = {}

    class Timed:
        def __init__(self, statement: str, **how: Any) -> None:
            told.update(how, statement=statement)

        def timeit(self, number: int) -> SimpleNamespace:
            return SimpleNamespace(mean=2 * len(told["globals"]["a"]) ** 3 / rate)

        def blocked_autorange(self, min_run_time: float) -> SimpleNamespace:
            told["seconds"] = min_run_time
            return SimpleNamespace(times=[0.5, 0.25, 0.75])

    monkeypatch.setattr(cost, "Timer", Timed)
    found = matmul_rate.__wrapped__("cpu", torch.bfloat16, seconds=0.125)
    a = told["globals"]["a"]
    assert found == 2 * size**3 / 0.25 and len(a) == size and a.dtype == torch.bfloat16 and told["seconds"] == 0.125
    assert told["num_threads"] == torch.get_num_threads()
    if size == 256:  # larger ones take seconds where bfloat16 is imitated
        exec(told["statement"], told["globals"])
        assert torch.equal(told["globals"]["c"], a @ told["globals"]["b"])


def test_the_real_rate_is_measured_once() -> None:
    rate = matmul_rate("cpu", torch.float32, seconds=0.02)
    assert math.isfinite(rate) and rate > 1e6 and matmul_rate("cpu", torch.float32, seconds=0.02) == rate


def test_all_the_arithmetic_is_used_at_rate_over_flops(monkeypatch: pytest.MonkeyPatch) -> None:
    assert utilisation(50, 3e9, 1e12) == pytest.approx(0.15)
    unet = build_unet(make_config(SHAPES["gray"]))
    monkeypatch.setattr(cost, "matmul_rate", lambda device, dtype: {torch.float32: 1e9, torch.bfloat16: 4e9}[dtype])
    flops = network_cost(unet).training_flops
    assert utilisation_meter(unet, "cpu", "no")(1e9 / flops) == pytest.approx(1)
    assert utilisation_meter(unet, "cpu", "bf16", processes=2)(1e9 / flops) == pytest.approx(1 / 8)
