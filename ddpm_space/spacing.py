"""Which of the T trained timesteps a shorter chain visits: diffusers' three spacings [Lin 2024 table 2], a quadratic one, and custom lists."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

TIMESTEP_SPACINGS = ("linspace", "leading", "trailing", "quadratic")

OPTIMAL = "optimal"
"""The spacing with the best bound for one trained network: it asks for more than T, and is `analytic.optimal_timesteps`."""


def spaced_timesteps(num_train_timesteps: int, num_steps: Any, spacing: str, steps_offset: int = 0) -> list[int]:
    """Spread num_steps timesteps over the chain, in descending order.

    Args:
        num_train_timesteps: T; num_steps: 1 to T; spacing: one of TIMESTEP_SPACINGS; steps_offset: added to each t, "leading" only.
    Returns:
        num_steps timesteps in [0, T).
    Raises:
        ValueError: num_steps outside 1..T or no integer, an unknown spacing, or an offset that leads outside the chain.
    """
    try:
        steps = operator.index(num_steps)
    except TypeError:
        raise ValueError(f"num_inference_steps = {num_steps!r}: pass a whole number from 1 to {num_train_timesteps}") from None
    if not 1 <= steps <= num_train_timesteps:
        raise ValueError(f"num_inference_steps = {steps}: use 1 to {num_train_timesteps}, the steps that the model was trained on")
    if spacing == "linspace":
        ascending = np.linspace(0, num_train_timesteps - 1, steps).round()
    elif spacing == "leading":
        ascending = np.arange(steps) * (num_train_timesteps // steps) + steps_offset
    elif spacing == "trailing":
        # arange with a fractional step may return one entry too many, which would be t = -1.
        ascending = np.round(np.arange(num_train_timesteps, 0, -num_train_timesteps / steps))[:steps][::-1] - 1
    elif spacing == "quadratic":
        # Song 2021 (DDIM) appendix D.2, but from T - 1 on; where squares are closer than 1, the next whole number.
        ascending = np.round((np.arange(steps) / max(1, steps - 1)) ** 2 * (num_train_timesteps - 1))
        ascending = np.maximum.accumulate(ascending - np.arange(steps)) + np.arange(steps) if steps > 1 else ascending + num_train_timesteps - 1
    else:
        raise ValueError(f"unknown timestep_spacing '{spacing}': use one of {', '.join(TIMESTEP_SPACINGS)}")
    timesteps = [int(t) for t in ascending[::-1]]
    if timesteps[0] >= num_train_timesteps or timesteps[-1] < 0:
        raise ValueError(
            f"steps_offset = {steps_offset} with {steps} steps leads to t = {timesteps[0] if timesteps[-1] >= 0 else timesteps[-1]}, outside "
            f"0..{num_train_timesteps - 1}: use steps_offset = 0, or fewer steps"
        )
    return timesteps


def custom_timesteps(num_train_timesteps: int, timesteps: Iterable[int]) -> list[int]:
    """Check a list of timesteps of the caller's own.

    Raises:
        ValueError: an empty list, an order that is not strictly descending, or a t outside [0, T).
    """
    listed = [int(t) for t in timesteps]
    if not listed:
        raise ValueError("timesteps is empty: pass at least one timestep")
    for before, after in itertools.pairwise(listed):
        if after >= before:
            raise ValueError(f"timesteps must be in strictly descending order, but {after} follows {before}")
    for t in (listed[0], listed[-1]):
        if not 0 <= t < num_train_timesteps:
            raise ValueError(f"timesteps holds {t}: each must be in 0..{num_train_timesteps - 1}, the steps that the model was trained on")
    return listed
