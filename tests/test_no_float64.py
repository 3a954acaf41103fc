"""A device without float64, as Apple's is: sampling, its labs and the losses run there, and give what they give on the CPU.

The device is pretended: its tensors hide a CPU tensor, call themselves "meta", meet no others, and are never float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from ddpm_space import loss
from ddpm_space.coupling import coupled_sample
from ddpm_space.denoiser import PREDICTION_TYPES, Denoiser
from ddpm_space.likelihood import variational_bound
from ddpm_space.mean_routes import compare_means
from ddpm_space.sampling import SamplingSettings, sample
from ddpm_space.schedule import NoiseSchedule

DEVICE = "meta"
SHAPE = (1, 4, 4)


class There(torch.Tensor):
    """A tensor of the device."""

    hidden: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, hidden: Tensor) -> There:
        if hidden.dtype == torch.float64:
            raise TypeError("this device has no float64")
        with torch.inference_mode(False):
            made = torch.Tensor._make_wrapper_subclass(cls, hidden.shape, strides=hidden.stride(), dtype=hidden.dtype, device=DEVICE)
        made.hidden = hidden
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{function} outside of the test's device")


class Device(TorchDispatchMode):
    """While it is on, what is put on DEVICE is computed on the CPU and kept apart from it."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if torch._C._dispatch_has_kernel_for_dispatch_key(function.name(), "CompositeImplicitAutograd"):
            with self:  # in inference mode these come whole, not in their parts
                return function.decompose(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        target = kwargs.get("device")
        moves = function in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
        there = any(isinstance(tensor, There) for tensor in tensors)
        if there and not moves and any(not isinstance(tensor, There) and tensor.ndim for tensor in tensors):
            raise RuntimeError(f"{function}: tensors on two devices")
        if target is not None:
            kwargs["device"] = "cpu"
        out = function(*tree_map(hidden, args), **tree_map(hidden, kwargs))
        if torch.device(target).type == DEVICE if target is not None else there:
            return tree_map(lambda value: There(value) if isinstance(value, Tensor) else value, out)
        return out


def hidden(value: Any) -> Any:
    return value.hidden if isinstance(value, There) else value


def network(x_t: Tensor, t: Tensor) -> Tensor:
    return torch.tanh(x_t) * 0.7 + 0.1 * x_t + t.reshape(-1, 1, 1, 1) / 400


def plain(value: Any) -> Any:
    """A record as CPU tensors and numbers."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return hidden(value) if isinstance(value, Tensor) else value


@pytest.fixture(autouse=True)
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `torch.tensor` and `torch.as_tensor` move their values where the device can see it: torch does it behind its back."""

    def seeing(plain: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def made(value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
            values = value if isinstance(value, There) else plain(value, dtype=dtype)
            return values.to(device=device if device is not None else values.device, dtype=dtype or values.dtype)

        return made

    for name in ("tensor", "as_tensor"):
        monkeypatch.setattr(torch, name, seeing(getattr(torch, name)))


SCHEDULE = NoiseSchedule.linear(40, beta_start=1e-3, beta_end=0.4)
SETTINGS = {"num_images": 2, "num_steps": 8, "num_train_timesteps": 40}
STORIES: dict[str, Callable[[Denoiser, str], Iterator[Any]]] = {
    "sample": lambda model, device: sample(model, SHAPE, SamplingSettings(**SETTINGS), device=device),
    "coupled": lambda model, device: coupled_sample(model, SHAPE, 8, num_images=2, seed=0, clip=True, device=device),
    "start": lambda model, device: coupled_sample(model, SHAPE, 8, num_images=2, seed=0, clip=True, coupled=False, device=device),
    "means": lambda model, device: compare_means(model, SHAPE, SamplingSettings(**SETTINGS), device=device),
    "eps_errors": lambda model, device: iter(loss.eps_errors(model, clean().to(device), [3, 30], draws=4)),
    "simple_loss": lambda model, device: iter([loss.simple_loss(model, clean().to(device), draws=8)]),
    "bound_terms": lambda model, device: loss.bound_terms(model, clean().to(device), draws=2),
    "variational_bound": lambda model, device: variational_bound(model, clean().to(device)),
}


def clean() -> Tensor:
    return torch.linspace(-1, 1, 32).reshape(2, *SHAPE)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("story", STORIES)
def test_without_float64_it_is_the_same(story: str, prediction_type: str) -> None:
    asked: list[type] = []

    def watched(x_t: Tensor, t: Tensor) -> Tensor:
        asked.append(type(x_t))
        return network(x_t, t)

    with Device():
        there = [plain(vars(record)) for record in STORIES[story](Denoiser(watched, prediction_type, SCHEDULE), DEVICE)]
    assert asked and set(asked) == {There}, "the network runs on the device"
    here = [plain(vars(record)) for record in STORIES[story](Denoiser(network, prediction_type, SCHEDULE), "cpu")]
    assert len(there) == len(here) > 0
    for one, other in zip(there, here):
        compare(one, other)


def compare(one: Any, other: Any) -> None:
    """Same keys, same tensors, same numbers."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            compare(one[name], other[name])
    elif isinstance(one, Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


def test_the_pretended_device_refuses_what_a_real_one_does() -> None:
    with Device():
        x = torch.ones(2).to(DEVICE)
        assert float(x.sum()) == 2
        with pytest.raises(TypeError, match="no float64"):
            x.double()
        with pytest.raises(TypeError, match="no float64"):
            torch.zeros(2, dtype=torch.float64, device=DEVICE)
        with pytest.raises(RuntimeError, match="two devices"):
            x + torch.ones(2)
