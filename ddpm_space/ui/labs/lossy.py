"""A picture as a lossy code (row N8; Ho 2020 section 4.3): x_T, ..., x_t are sent, the receiver guesses x_0_hat(x_t). Runs the model.

Rate: L_T and the terms of the steps sent so far, bits/dim. Distortion: root mean squared error of x_0_hat on the 0..255 scale.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ddpm_space import figures
from ddpm_space.denoiser import Denoiser
from ddpm_space.images import quantize
from ddpm_space.likelihood import BoundTerm, variational_bound
from ddpm_space.notes.elbo import bits_per_dim
from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.labs.bound import FRAME_SECONDS, NETWORKS, conventions, network_of
from ddpm_space.ui.labs.loss_runs import Clock, check_work, limit, measured, picture_for, seen
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.widgets import Payload

MOST_KEPT = 24
MOST_PIXELS = 400_000
"""Of all kept pictures together: larger pictures are kept at fewer t. Also of those that go through the network in one call."""

STEPS_A_CALL = 16


def run(model: ModelSlot, asked: Asked) -> Iterator[Payload]:
    """Stream rate and distortion step by step, then the receiver's pictures at some of the steps that fitted into the time."""
    loaded = model.get(asked)
    clock = Clock()
    network = asked.choice("network", NETWORKS)
    chain, draws, variance, clip, seed = conventions(loaded, asked, learned=network == "model")
    check_work(network, len(chain), draws)
    x_0 = quantize(picture_for(loaded, asked))
    denoiser = network_of(loaded, network)
    about = {
        **{"T": len(loaded.denoiser.schedule), "total": len(chain), "draws": draws, "network": network, "kept": None},
        **{"variance": variance, "clip": clip, "seed": seed},
        **measured(loaded, asked, network),
        **seen(loaded, x_0, asked, network=network),
    }
    # Copies of the one picture: their spread is that of the noise.
    copies = x_0.repeat(draws, 1, 1, 1)
    together = max(1, min(STEPS_A_CALL, MOST_PIXELS // copies.numel()))
    terms = variational_bound(denoiser, copies, schedule=chain, variance=variance, clip_x0=clip, seed=seed, chunk=together)
    arrived: list[BoundTerm] = []
    sent, late = time.perf_counter(), False
    for term in terms:
        arrived.append(term)
        late = clock.late() and 1 < len(arrived) <= len(chain)
        if late:
            break
        if time.perf_counter() - sent > FRAME_SECONDS and len(arrived) > 1:
            sent = time.perf_counter()
            yield {**about, **curve(arrived, x_0[0].numel())}
    kept = receiver(denoiser, x_0, chain, clip, seed, steps=len(arrived) - 1)
    yield {**about, **curve(arrived, x_0[0].numel()), "kept": kept, **limit(late), "done": True}


def curve(arrived: Sequence[BoundTerm], num_dims: int) -> Payload:
    """Rate and distortion after each x_t sent so far, from x_T down, with standard errors; the noises of different terms are independent."""
    sent, variance = 0.0, 0.0
    points: dict[str, list[float]] = {"t": [], "rate": [], "rate_se": [], "rmse": [], "rmse_se": []}
    for before, here in pairwise(arrived):
        bits, mse = bits_per_dim(before.nats, num_dims), _given(here.x_0_mse)
        sent, variance = sent + float(bits.mean()), variance + float(bits.var()) / len(bits)
        mean = float(mse.mean())
        rmse = 127.5 * math.sqrt(mean)
        # To first order the root's error is the square's, divided by twice the root.
        error = 127.5**2 * float(mse.std()) / math.sqrt(len(mse)) / (2 * rmse) if rmse > 0 else 0.0
        for name, value in (("t", here.t), ("rate", sent), ("rate_se", math.sqrt(variance)), ("rmse", rmse), ("rmse_se", error)):
            points[name].append(float(value))
    return {name: figures.array(values, "float64") for name, values in points.items()}


def receiver(denoiser: Denoiser, x_0: Tensor, chain: NoiseSchedule, clip: bool, seed: int, *, steps: int) -> Payload:
    """What the receiver sees at some of the first `steps` steps: one draw of x_t each, all from one noise, and x_0_hat(x_t) with its own error."""
    count = max(2, min(MOST_KEPT, steps, MOST_PIXELS // x_0[0].numel()))
    row = torch.linspace(len(chain) - 1, len(chain) - steps, count).round().long().unique().flip(0)
    t = chain.timesteps[row]
    clean = x_0.expand(len(row), *x_0.shape[1:])
    eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(seed)).expand_as(clean)
    x_t = q_cumulative_sample(clean, chain.alpha_bar[row], eps=eps)
    with torch.inference_mode():
        x_0_hat = denoiser.predict(x_t, t, clip=1.0 if clip else None).x_0_hat
    rmse = 127.5 * ((clean - x_0_hat) ** 2).flatten(1).mean(dim=1).double().sqrt()
    return {
        "t": t.tolist(),
        "place": (len(chain) - 1 - row).tolist(),
        "rmse": rmse.tolist(),
        "x_t": figures.pictures(x_t),
        "x_0_hat": figures.pictures(x_0_hat),
    }


def _given(values: Tensor | None) -> Tensor:
    if values is None:
        raise ValueError("a step's term has no error of x_0_hat: only L_T asks no network")
    return values
