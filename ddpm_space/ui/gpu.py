"""The GPU that a ZeroGPU Space lends for a run; anywhere else a run stays where its model is. The one place that knows the package `spaces`.

There, what is decorated runs in a process that was forked for it, perhaps some runs ago, and ends when its seconds are over. Hence:

- The model goes along with every run, pickled: the process may be older than the model, and the files of a visitor's model are gone.
- Tensors come back as NumPy arrays. torch passes its own between processes with an open file for each, and a film has thousands.
- Only gr.Error finds its way out of there, so that a mistake of ours comes back as a value; the platform's own become sentences here.
- A run watches its own time, so that what there is by then is not lost. What is kept of it is kept by who asked, in the page's process.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
import torch
from torch import Tensor

from ddpm_space.errors import TextError
from ddpm_space.reasons import Reason

if TYPE_CHECKING:
    from ddpm_space.models import LoadedModel

DEVICE = "cuda"
START_SECONDS = 6
"""For the process, CUDA and the model to be there."""

BEFORE_SECONDS = 2
"""How many of these pass before the process has begun."""

STEP_SECONDS = 0.02
"""For launching the kernels of one step and sending its pictures back."""

FLOPS = 5e12
"""What a small network reaches of the card; generous, as is the rest: what is not used is not taken from the visitor's share."""

LONGEST = 60
"""No run asks for more: a visitor without an account has about two minutes a day."""

GPU_ERRORS = {
    "error.gpu.quota": "Your share of the GPU is used up for now. Log in to Hugging Face for a larger one, or come back later. ({reason})",
    "error.gpu.busy": "No GPU was free: try again in a moment. ({reason})",
    "error.gpu.ended": "The run on the GPU was ended: try again, or take fewer images or steps. ({reason})",
    "error.gpu.time": "After {seconds} s the time on the GPU was over: take fewer images or fewer steps.",
}
KEYS = {"ZeroGPU quota exceeded": "error.gpu.quota", "ZeroGPU illegal duration": "error.gpu.quota", "ZeroGPU worker error": "error.gpu.ended"}
"""What the titles of the platform's errors mean; all others are about waiting for a GPU."""

Story = Callable[..., Iterator[Any]]


class GpuError(TextError):
    """The lent GPU could not be had, or not for long enough; `key` is one of GPU_ERRORS."""

    templates = GPU_ERRORS


def steps(story: Story, model: LoadedModel, *arguments: Any, calls: int, batch: int, **options: Any) -> Iterator[Any]:
    """Run `story(denoiser, shape, *arguments, device=..., **options)`, on a lent GPU if there is one; its records hold CPU tensors then.

    Args:
        story: a function of a module, that yields dataclasses of tensors and plain values.
        calls: how often it calls the network; batch: with how many images at a time.
    Raises:
        GpuError: no GPU, or not for long enough. TextError: as the story raises it.
    """
    if _on_gpu is None:
        yield from story(model.denoiser, model.shape, *arguments, device=model.device, **options)
        return
    try:
        for record, values in _on_gpu(seconds(model, calls, batch), story, pickle.dumps(model.denoiser), model.shape, arguments, options):
            if issubclass(record, TextError):
                raise record(values.pop("key"), **values)
            yield record(**{name: _unpacked(value) for name, value in values.items()})
    except gr.Error as error:
        raise GpuError(KEYS.get(error.title, "error.gpu.busy"), reason=Reason("reason.platform", detail=str(error.message))) from error


def seconds(model: LoadedModel, calls: int, batch: int) -> int:
    """How long to ask for: every weight is taken to meet every pixel, which no UNet with a bottleneck does. Never measured on the platform."""
    pixels = model.sample_size**2
    return min(LONGEST, round(START_SECONDS + 1 + calls * (STEP_SECONDS + 2 * batch * model.num_parameters * pixels / FLOPS)))


def lent(task: Callable) -> Callable | None:
    """Decorate `task` where the package `spaces` lends GPUs, as the variable SPACES_ZERO_GPU says; None where it does not."""
    if os.environ.get("SPACES_ZERO_GPU", "").lower() not in ("1", "t", "true"):
        return None
    try:
        import spaces
    except ImportError:
        return None
    return spaces.GPU(task, duration=lambda duration, *_: duration)


def _there(duration: int, story: Story, denoiser: bytes, shape: tuple[int, int, int], arguments: tuple, options: dict) -> Iterator[tuple[type, dict]]:
    """What runs in the other process: yields each record as its class and its packed fields, or an error as its class and its values."""
    until = time.perf_counter() + duration - BEFORE_SECONDS
    # Threads do not survive a fork, and OpenMP would wait for those that it had.
    torch.set_num_threads(1)
    model = pickle.loads(denoiser)
    model.network.unet.to(DEVICE)
    try:
        for record in story(model, shape, *arguments, device=DEVICE, **options):
            if time.perf_counter() > until:
                raise GpuError("error.gpu.time", seconds=duration)
            yield type(record), {field.name: _packed(getattr(record, field.name)) for field in dataclasses.fields(record)}
    except TextError as error:
        yield type(error), {"key": error.key, **error.values}


def _packed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _packed(part) for name, part in value.items()}
    return value.cpu().numpy() if isinstance(value, Tensor) else value


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unpacked(part) for name, part in value.items()}
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


_on_gpu = lent(_there)
"""Decorated when the page is built, as the platform asks for; None where no GPU is lent."""
