"""Records of the three stories -> payloads for the page: JSON-ready dictionaries of numbers, and arrays as base64. No Gradio, no words.

A payload holds what was computed, at the precision it was computed with; the browser scales, draws and words it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddpm_space.images import to_uint8
from ddpm_space.loss import BoundProgress, EpsError, Estimate
from ddpm_space.noising import MomentComparison, NoisedImage, RouteComparison
from ddpm_space.sampling import Frame, ReverseStep
from ddpm_space.schedule import NoiseSchedule

Payload = dict[str, Any]


def array(values: Tensor | Sequence[float], dtype: str) -> Payload:
    """Pack numbers little-endian: {dtype, shape, b64}; dtype is "float64", "float32" or "uint8"."""
    # Numbers of Python are float64; torch would round them to float32 on the way.
    tensor = values if isinstance(values, Tensor) else torch.tensor(values, dtype=torch.float64)
    packed = np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=np.dtype(dtype).newbyteorder("<"))
    return {"dtype": dtype, "shape": list(packed.shape), "b64": base64.b64encode(packed.tobytes()).decode("ascii")}


def pictures(x: Tensor) -> Payload:
    """Pack images (B, C, H, W) as the bytes that a screen shows: uint8 (B, H, W[, 3]), clamped to [-1, 1]."""
    return array(torch.as_tensor(to_uint8(x)), "uint8")


def schedule_table(schedule: NoiseSchedule) -> Payload:
    """Pack beta and alpha_bar, from which the page derives sqrt(abar), sqrt(1 - abar) and SNR, all in float64."""
    return {
        "name": schedule.name,
        "T": len(schedule),
        "beta": array(schedule.beta, "float64"),
        "alpha_bar": array(schedule.alpha_bar, "float64"),
        "terminal_alpha_bar": schedule.terminal_alpha_bar,
        "terminal_ok": schedule.terminal_problem() is None,
    }


def noised(image: NoisedImage, schedule: NoiseSchedule) -> Payload:
    """Pack x_0 and eps of one image (1, C, H, W); the page mixes x_t from them for every t without asking again."""
    return {
        "t": image.t,
        "x_0": array(image.x_0[0], "float32"),
        "eps": array(image.eps[0], "float32"),
        "schedule": schedule_table(schedule),
    }


def estimate(value: Estimate) -> Payload:
    """Pack a mean with its standard error."""
    return {"mean": value.mean, "se": value.standard_error, "draws": value.draws}


def _moment(moment: MomentComparison) -> Payload:
    differences = {"steps_to_theory": moment.steps_to_theory, "jump_to_theory": moment.jump_to_theory, "steps_to_jump": moment.steps_to_jump}
    return {
        "theory": moment.theory,
        "steps": moment.steps,
        "jump": moment.jump,
        **{name: {"value": item.value, "se": item.standard_error, "z": _finite(item.z)} for name, item in differences.items()},
    }


def routes(comparison: RouteComparison) -> Payload:
    """Pack what single steps and one jump gave, and how far they are apart."""
    return {
        "t": comparison.t,
        "draws": comparison.draws,
        "pixels": comparison.pixels,
        "total_pixels": comparison.total_pixels,
        "mean": _moment(comparison.mean),
        "signal": None if comparison.signal is None else _moment(comparison.signal),
        "variance": _moment(comparison.variance),
        "coupled_error": comparison.coupled_error,
    }


def frame(step: Frame) -> Payload:
    """Pack one reverse step of a running chain as it appears on the screen."""
    return {"index": step.index, "total": step.total, "t": step.t, "s": step.s, "x_t": pictures(step.x_t), "x_0_hat": pictures(step.x_0_hat)}


def film(frames: Sequence[Frame]) -> Payload:
    """Pack a run: K kept steps as uint8 (K, B, H, W[, 3]); x_t has one picture more at its end, the x_s that the last kept step arrived at."""
    noisy = torch.stack([*(step.x_t for step in frames), frames[-1].x_prev])
    return {
        "index": [step.index for step in frames],
        "t": [step.t for step in frames],
        "x_t": pictures(noisy),
        "x_0_hat": pictures(torch.stack([step.x_0_hat for step in frames])),
    }


def reverse_step(step: ReverseStep) -> Payload:
    """Pack one opened step of one image, with how far its parts are from adding up, and the share of x_0_hat's pixels at the clipping bounds."""
    noise = torch.zeros_like(step.x_t) if step.noise is None else step.noise
    sigma = math.sqrt(step.sigma2)
    named = {"x_t": step.x_t, "x_0_hat": step.x_0_hat, "mu": step.mu, "noise": noise, "x_s": step.x_prev}
    return {
        "t": step.t,
        "s": step.s,
        "coef_x_0": step.coef_x_0,
        "coef_x_t": step.coef_x_t,
        "sigma": sigma,
        "residual": float((step.mu + sigma * noise - step.x_prev).abs().max()),
        "clipped": float((step.x_0_hat.abs() == 1).float().mean()),
        **{name: array(values[0], "float32") for name, values in named.items()},
    }


def eps_error(error: EpsError) -> Payload:
    """Pack the error at one t with the pictures of its first draw."""
    return {
        "t": error.t,
        "mse": error.mse,
        "se": error.standard_error,
        "x_t": pictures(error.x_t),
        "eps": array(error.eps[0], "float32"),
        "eps_theta": array(error.eps_theta[0], "float32"),
        "x_0_hat": pictures(error.x_0_hat),
    }


def bound(terms: Sequence[BoundProgress], chain: NoiseSchedule) -> Payload:
    """Pack the terms that have arrived, in the order they came (L_T first, L_0 last), in bits per dimension."""
    latest = terms[-1]
    return {
        "chain": len(chain),
        "total": latest.total,
        "t": array([float(term.t) for term in terms], "float64"),
        "bits": array([term.bits.mean for term in terms], "float64"),
        "se": array([term.bits.standard_error for term in terms], "float64"),
        "running": array([term.running.mean for term in terms], "float64"),
        "kinds": [terms[0].kind, latest.kind],
        "sum": estimate(latest.running),
        "parts": {kind: estimate(part) for kind, part in latest.parts.items()},
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
