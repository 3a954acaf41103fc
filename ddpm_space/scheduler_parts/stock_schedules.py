"""The names of diffusers' beta schedules and what they stand for here, in float64.

A name that diffusers knows keeps diffusers' schedule, flawed or not, so that an existing checkpoint samples as before. Every schedule of
`ddpm_space.schedule.SCHEDULES` can be used under its own name as well; where the two collide (laplace), the corrected one has its own name here.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ddpm_space.notes.forward import beta_between
from ddpm_space.schedule import SCHEDULES, NoiseSchedule

LARGEST_BETA = 0.999
"""What a beta of 1 or more is replaced by before the last step, the cap of the cosine schedule [Nichol 2021 section 3.2]."""

_CORE_NAMES = {"squaredcos_cap_v2": "cosine", "laplace_corrected": "laplace"}

STOCK_BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace")
"""The names that diffusers' DDPMScheduler accepts."""

BETA_SCHEDULES = (*STOCK_BETA_SCHEDULES, *(name for name in SCHEDULES if name not in STOCK_BETA_SCHEDULES), "laplace_corrected")
"""Every name that `NotesDDPMScheduler` accepts."""


def stock_laplace_betas(steps: int) -> Tensor:
    """Betas of diffusers' `laplace`: it takes the square root of the right alpha_bar, so that abar(T/2) is 0.707 instead of 1/2.

    Args:
        steps: T.
    Returns:
        (T,) float64.
    """
    u = torch.arange(steps + 1, dtype=torch.float64) / steps
    sign = torch.where(u > 0.5, -1.0, 1.0).double()
    log_snr = -0.5 * sign * torch.log(1 - 2 * (0.5 - u).abs() + 1e-6)
    root = torch.sigmoid(log_snr).sqrt()
    return beta_between(root[1:], root[:-1]).clamp(max=LARGEST_BETA)


def zero_terminal_snr(schedule: NoiseSchedule) -> NoiseSchedule:
    """Shift and scale sqrt(alpha_bar) so that it ends at exactly 0 and keeps its first value [Lin 2024 algorithm 1].

    Raises:
        ValueError: a schedule of one step, whose first value cannot be kept.
    """
    if len(schedule) < 2:
        raise ValueError("rescale_betas_zero_snr needs at least 2 steps: raise num_train_timesteps")
    root = schedule.alpha_bar.sqrt()
    alpha_bar = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    alpha_bar_prev = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]])
    return NoiseSchedule(beta_between(alpha_bar, alpha_bar_prev), f"{schedule.name}, zero terminal SNR")


class BuiltSchedule(NamedTuple):
    """A schedule, what is wrong with it (one sentence each, with the number and the fix), and whether betas of 1 or more were capped."""

    schedule: NoiseSchedule
    problems: list[str]
    capped: bool


def build_schedule(
    beta_schedule: str,
    num_train_timesteps: int,
    beta_start: float,
    beta_end: float,
    trained_betas: Sequence[float] | None,
    rescale_betas_zero_snr: bool,
) -> BuiltSchedule:
    """Build the schedule that a scheduler's config describes.

    Args:
        beta_schedule: one of BETA_SCHEDULES; the rest as in diffusers' DDPMScheduler.
    Raises:
        ValueError: an unknown name, T < 1, or a beta that is not above 0.
    """
    problems = []
    if beta_schedule not in BETA_SCHEDULES:
        raise ValueError(f"unknown beta_schedule '{beta_schedule}': use one of {', '.join(BETA_SCHEDULES)}")
    if not 1 <= num_train_timesteps <= 1_000_000:
        raise ValueError(f"num_train_timesteps = {num_train_timesteps}: use 1 to 1000000")
    if trained_betas is not None:
        name, beta = "trained_betas", torch.as_tensor(trained_betas, dtype=torch.float64, device="cpu")
        if beta.numel() != num_train_timesteps:
            problems.append(
                f"trained_betas holds {beta.numel()} values but num_train_timesteps is {num_train_timesteps}: only "
                f"{min(beta.numel(), num_train_timesteps)} steps can be used. Pass num_train_timesteps={beta.numel()}"
            )
            beta = beta[:num_train_timesteps]
    elif beta_schedule == "laplace":
        name, beta = "laplace (diffusers)", stock_laplace_betas(num_train_timesteps)
        problems.append(
            "beta_schedule 'laplace' is diffusers' form, whose alpha_bar is the square root of the paper's: half-way it is 0.707 instead of 0.5. "
            "Use 'laplace_corrected' for a new model"
        )
    else:
        name = _CORE_NAMES.get(beta_schedule, beta_schedule)
        builder = SCHEDULES[name]
        options = {"beta_start": beta_start, "beta_end": beta_end} if "beta_start" in inspect.signature(builder).parameters else {}
        beta = builder(num_train_timesteps, **options)
    beta, capped = _cap(beta)
    schedule = NoiseSchedule.from_betas(beta, name)
    if rescale_betas_zero_snr:
        schedule = zero_terminal_snr(schedule)
    problems += capped
    gone = int((schedule.alpha_bar > 0).sum())
    if gone < len(schedule) - 1:
        problems.append(f"alpha_bar is 0 from t = {gone} on, so that sampling cannot start above it: use smaller betas, or fewer steps")
    if terminal := schedule.terminal_problem():
        problems.append(terminal)
    return BuiltSchedule(schedule, problems, bool(capped))


def _cap(beta: Tensor) -> tuple[Tensor, list[str]]:
    """Cap betas that would leave no signal, or less than none; a last beta of exactly 1 is zero terminal SNR, which is meant."""
    wrong = beta >= 1
    wrong[-1:] &= beta[-1:] != 1
    if not wrong.any():
        return beta, []
    t = int(wrong.nonzero()[0])
    problem = (
        f"beta[{t}] = {beta[t].item():g} is not below 1, so that step {t} leaves nothing of x_{t - 1} and alpha_bar is 0 or negative after it; "
        f"capped at {LARGEST_BETA}. Use a smaller beta_end (below 1)"
    )
    return torch.where(wrong, LARGEST_BETA, beta), [problem]


def epsilon_problem(schedule: NoiseSchedule) -> str | None:
    """Say why eps-prediction cannot work on this schedule; None when it can."""
    if schedule.terminal_alpha_bar > 0:
        return None
    return (
        "alpha_bar_T = 0 (zero terminal SNR) with prediction_type 'epsilon': the first step of sampling divides by sqrt(alpha_bar_T) = 0. "
        "Use prediction_type 'v_prediction' or 'sample', or rescale_betas_zero_snr=False"
    )
