"""What a network costs: arithmetic and memory counted on tensors without content, and how fast this machine multiplies matrices."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from training.optimizer import inner_matrices

DTYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What the matrix products of a run are computed in, by the names of mixed_precision."""

TRAINING_FORWARDS = 3
"""Forward and backward together in units of the forward: each product's backward is two products of its size."""

FLOAT32 = 4
"""Bytes of a number as weights, gradients, moments and averages are kept, whatever the products are computed in."""


def _attention_flops(query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...], *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


# The form of attention on CPUs, which torch's own counter leaves out.
CPU_ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}


@dataclass(frozen=True)
class Layer:
    """A part of the network: its name, the shape of what it returns for one image, its weights, and its FLOPs for one image."""

    name: str
    shape: tuple[int, ...]
    parameters: int
    flops: int


@dataclass(frozen=True)
class Cost:
    """What one network costs.

    Args:
        layers: its parts in the order they are used.
        forward_flops: of one image, multiply and add counted apart; matrix products, convolutions and attention, as is usual.
        activation_bytes: what the forward pass of one image keeps for the backward pass.
        copy_bytes: the weights once more in the low precision that they are computed in, whatever the batch.
        inner: those of the parameters that Muon moves.
    """

    layers: tuple[Layer, ...]
    parameters: int
    forward_flops: int
    activation_bytes: int
    copy_bytes: int
    inner: int

    @property
    def training_flops(self) -> int:
        """FLOPs to learn from one image."""
        return TRAINING_FORWARDS * self.forward_flops

    def memory(self, batch_size: int, processes: int = 1, optimizer: str = "adamw") -> dict[str, int]:
        """Bytes by what they hold, in one process at the largest; temporary buffers and the program itself come on top.

        Args:
            batch_size: images in one forward pass; processes: several hold their gradients once more to add them up.
            optimizer: "adamw", with two moments of every weight, or "muon", with one of the inner matrices.
        """
        weights = self.parameters * FLOAT32
        return {
            "weights": weights,
            "gradients": weights * (2 if processes > 1 else 1),
            "moments": 2 * weights - (self.inner * FLOAT32 if optimizer == "muon" else 0),
            "averaged weights": weights,
            "weights in low precision": self.copy_bytes,
            "activations": batch_size * self.activation_bytes,
        }


def network_cost(unet: UNet2DModel, mixed_precision: str = "no") -> Cost:
    """Count what a network of this one's shape costs; nothing is computed, and no random number drawn.

    Args:
        unet: only its configuration is read; mixed_precision: "no", "bf16" or "fp16".
    """
    dtype = DTYPES[mixed_precision]
    with FakeTensorMode():
        network = UNet2DModel.from_config(unet.config)
        few, _, _ = _forward(network, dtype, 2)
        kept, counter, shapes = _forward(network, dtype, 4)
    per_image = (kept - few) // 2
    flops = {name: sum(counts.values()) // 4 for name, counts in counter.get_flop_counts().items()}
    layers = tuple(
        Layer(name, shapes.get(name, ()), _parameters(module), flops.get(f"{type(network).__name__}.{name}", 0)) for name, module in _parts(network)
    )
    # Below float32 the weights are converted once a step, and the converted ones kept for the backward pass.
    inner = sum(weight.numel() for weight in inner_matrices(network))
    return Cost(layers, _parameters(network), counter.get_total_flops() // 4, per_image, max(0, few - 2 * per_image), inner)


@functools.cache
def matmul_rate(device: str | torch.device, dtype: torch.dtype, *, seconds: float = 1.0) -> float:
    """Measure the machine's fastest product of two large square matrices, on the threads that torch has now; once for each kind in a process.

    Args:
        device, dtype: where and in what; seconds: about how long to try.
    Returns:
        FLOP/s.
    """
    largest = 2048 if torch.device(device).type == "cpu" else 8192
    generator = torch.Generator().manual_seed(0)

    def product(size: int) -> Timer:
        a, b = (torch.randn(size, size, generator=generator).to(device, dtype) for _ in range(2))
        return Timer("torch.mm(a, b, out=c)", globals={"torch": torch, "a": a, "b": b, "c": torch.empty_like(a)}, num_threads=torch.get_num_threads())

    # A processor that only imitates bfloat16 needs a quarter of a minute for one product of the largest size: such a one is measured on smaller ones.
    size = 256
    while size < largest and 8 * product(size).timeit(1).mean <= seconds:
        size *= 2
    return 2 * size**3 / min(product(size).blocked_autorange(min_run_time=seconds).times)


def utilisation(images_per_second: float, flops_per_image: float, rate: float) -> float:
    """Share of the machine's arithmetic that a speed makes use of, 0 to 1.

    Args:
        images_per_second: of all processes; flops_per_image: such as `Cost.training_flops`; rate: FLOP/s of all of them together.
    """
    return images_per_second * flops_per_image / rate


def utilisation_meter(unet: UNet2DModel, device: str | torch.device, mixed_precision: str, processes: int = 1) -> Callable[[float], float]:
    """Measure this machine once, for the log of a run: images/s of all processes -> utilisation.

    Args:
        processes: of the run; each is taken to have a device, or its share of the cores, as fast as this one's.
    """
    flops = network_cost(unet, mixed_precision).training_flops
    rate = processes * matmul_rate(device, DTYPES[mixed_precision])
    return lambda images_per_second: utilisation(images_per_second, flops, rate)


def _forward(network: UNet2DModel, dtype: torch.dtype, batch: int) -> tuple[int, FlopCounterMode, dict[str, tuple[int, ...]]]:
    """Pass images through, and see the bytes kept for a backward pass, the FLOPs, and the shape that each part returns."""
    weights = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}
    shapes: dict[str, tuple[int, ...]] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return value

    def see(name: str, output: Any) -> None:
        shapes[name] = tuple((output[0] if isinstance(output, tuple) else output).shape[1:])

    hooks = [part.register_forward_hook(lambda _module, _given, output, name=name: see(name, output)) for name, part in _parts(network)]
    size = network.config.sample_size
    x_t = torch.zeros(batch, network.config.in_channels, *((size, size) if isinstance(size, int) else size))
    counter = FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION)
    low_precision = torch.autocast("cpu", dtype, enabled=dtype != torch.float32)
    with counter, low_precision, torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        network(x_t, torch.zeros(batch, dtype=torch.int64))
    for hook in hooks:
        hook.remove()
    return sum(storage.nbytes() for storage in kept.values()), counter, shapes


def _parts(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The blocks of a UNet2DModel in the order they are used."""
    for name in ("time_embedding", "conv_in", "down_blocks", "mid_block", "up_blocks", "conv_norm_out", "conv_out"):
        part = getattr(network, name)
        blocks = [(f"{name}.{index}", block) for index, block in enumerate(part)] if isinstance(part, nn.ModuleList) else [(name, part)]
        yield from ((name, block) for name, block in blocks if block is not None)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
