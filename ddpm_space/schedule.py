"""`NoiseSchedule`: how much noise each step adds. The one table of beta_t, and everything that follows from it, in float64.

Time is 0-based here: the notes' t = 1..T is the code's t = 0..T-1. Clean data x_0 stands before step 0, at "t = -1", where alpha_bar = 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from ddpm_space.notes.chain import chain_alpha_bars
from ddpm_space.notes.forward import beta_between
from ddpm_space.notes.langevin import positive
from ddpm_space.notes.langevin_bridge import PiecewiseConstantBeta, beta_from_integral, integral_from_beta, step_edges, step_integrals
from ddpm_space.notes.weights import snr

TERMINAL_ALPHA_BAR_LIMIT = 0.01
"""Above this alpha_bar_T, x_T still shows the image: a chain that starts from pure noise starts in the wrong place."""


class Coefficients(NamedTuple):
    """The schedule's values at t, each float64 in the shape of t."""

    beta_t: Tensor
    alpha_t: Tensor
    alpha_bar_t: Tensor
    alpha_bar_prev: Tensor
    beta_tilde_t: Tensor
    snr_t: Tensor


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """A noise schedule of T steps [N5, N6; Ho 2020 section 2].

    Args:
        beta: (T,) variances of the single steps, each in (0, 1]; kept in float64.
        name: what the schedule is called on screen and in model cards.
        timesteps: (T,) ascending, the t each row has in the schedule the model was trained on; 0..T-1 unless respaced.
    Raises:
        ValueError: an empty table, or a beta outside (0, 1] or not finite, with its place and value.
    """

    beta: Tensor
    name: str = "custom"
    timesteps: Tensor = field(default=None)
    alpha: Tensor = field(init=False, repr=False)
    alpha_bar: Tensor = field(init=False, repr=False)
    alpha_bar_prev: Tensor = field(init=False, repr=False)
    beta_tilde: Tensor = field(init=False, repr=False)
    snr: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        beta = torch.as_tensor(self.beta, dtype=torch.float64, device="cpu").clone()
        if beta.ndim != 1 or beta.numel() == 0:
            raise ValueError(f"beta must be a list of at least one number, not of shape {tuple(beta.shape)}")
        wrong = ~((beta > 0) & (beta <= 1))
        if wrong.any():
            t = int(wrong.nonzero()[0])
            raise ValueError(f"beta[{t}] = {beta[t].item():g} is outside (0, 1]: a step's variance is more than 0 and at most the 1 that it replaces")
        steps = torch.arange(beta.numel()) if self.timesteps is None else torch.as_tensor(self.timesteps, dtype=torch.int64).clone()
        if steps.shape != beta.shape:
            raise ValueError(f"{steps.numel()} timesteps for {beta.numel()} betas: give one for each")
        alpha_bar = torch.cumprod(1 - beta, dim=0)
        # Below the smallest normal number a product has lost its digits: nothing of the image is left there.
        alpha_bar = torch.where(alpha_bar < torch.finfo(torch.float64).tiny, 0.0, alpha_bar)
        alpha_bar_prev = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]])
        tables = {
            "beta": beta,
            "timesteps": steps,
            "alpha": 1 - beta,
            "alpha_bar": alpha_bar,
            "alpha_bar_prev": alpha_bar_prev,
            # With the step's own beta, not 1 - abar_t / abar_s: the products underflow in a chain that is far too long, the betas do not.
            "beta_tilde": beta * (1 - alpha_bar_prev) / (1 - alpha_bar),
            "snr": snr(alpha_bar),
        }
        for key, table in tables.items():
            object.__setattr__(self, key, table)

    def __len__(self) -> int:
        return self.beta.numel()

    @property
    def terminal_alpha_bar(self) -> float:
        """alpha_bar_T, the share of the image's variance left in x_T."""
        return float(self.alpha_bar[-1])

    def terminal_problem(self) -> str | None:
        """Say what is wrong if x_T is not noise, with the number and the fix; None when it is noise."""
        if self.terminal_alpha_bar <= TERMINAL_ALPHA_BAR_LIMIT:
            return None
        return (
            f"alpha_bar_T = {self.terminal_alpha_bar:.3g} after {len(self)} steps of '{self.name}': x_T still holds the image, but sampling starts "
            f"from pure noise. Use more steps, or raise beta (sum of beta about {-math.log(1e-4):.0f} is enough, here {float(self.beta.sum()):.3g})"
        )

    def at(self, t: int | Tensor) -> Coefficients:
        """Look up every coefficient at t.

        Args:
            t: int, or integer tensor of any shape, 0 <= t < T.
        Returns:
            float64 tensors on the CPU in the shape of t.
        Raises:
            ValueError: a t outside the chain.
        """
        index = self._index(t, lowest=0)
        tables = (self.beta, self.alpha, self.alpha_bar, self.alpha_bar_prev, self.beta_tilde, self.snr)
        return Coefficients(*(table[index] for table in tables))

    def alpha_bar_at(self, t: int | Tensor) -> Tensor:
        """alpha_bar_t for -1 <= t < T, float64 in the shape of t; t = -1 is clean data, where it is 1."""
        index = self._index(t, lowest=-1)
        return torch.cat([torch.ones(1, dtype=torch.float64), self.alpha_bar])[index + 1]

    def respaced(self, timesteps: Sequence[int] | Tensor) -> NoiseSchedule:
        """Keep only some steps: the chain that jumps from each listed t to the next one listed and last to x_0 [N7, s < t].

        Args:
            timesteps: strictly descending, each in [0, T).
        Returns:
            a schedule with len(timesteps) rows, each beta recomputed as 1 - abar_t / abar_s; `timesteps` maps a row to the trained t.
        Raises:
            ValueError: an empty, unordered or out-of-range list.
        """
        listed = torch.as_tensor(timesteps, dtype=torch.int64, device="cpu").reshape(-1)
        if listed.numel() == 0 or bool((listed[1:] >= listed[:-1]).any()):
            raise ValueError(f"timesteps must be at least one number in strictly descending order, not {listed.tolist()[:8]}")
        kept = self._index(listed, lowest=0).flip(0)
        alpha_bar_t, alpha_bar_s = (alpha_bar.flip(0) for alpha_bar in chain_alpha_bars(self.beta, listed))
        return NoiseSchedule(beta_between(alpha_bar_t, alpha_bar_s), f"{self.name}, {len(kept)} of {len(self)} steps", self.timesteps[kept])

    def continuous(self, horizon: float = 1.0) -> PiecewiseConstantBeta:
        """A continuous beta(s) that leads to these steps: the integral of each step, -log(1 - beta_t), spread evenly over it [N1].

        Every row takes horizon / T, also in a respaced schedule; `from_continuous` with the same T and horizon gives the steps back.

        Args:
            horizon: the time at which the chain ends, > 0.
        Returns:
            a function of s in [0, horizon]; its `integrals` are those of the steps.
        Raises:
            ValueError: a beta_t of 1, which no finite beta(s) reaches.
        """
        return PiecewiseConstantBeta(integral_from_beta(self.beta), horizon)

    def _index(self, t: int | Tensor, lowest: int) -> Tensor:
        index = torch.as_tensor(t, device="cpu")
        if index.is_floating_point() or index.dtype == torch.bool:
            raise ValueError(f"t must be an integer, not {index.dtype}")
        outside = (index < lowest) | (index >= len(self))
        if outside.any():
            raise ValueError(f"t = {int(index[outside].reshape(-1)[0])} is outside the chain: use {lowest} <= t <= {len(self) - 1}")
        return index.long()

    @classmethod
    def make(cls, name: str, num_train_timesteps: int = 1000, **options: float) -> NoiseSchedule:
        """Build a schedule by name.

        Raises:
            ValueError: an unknown name (the valid ones are listed), or T < 1.
        """
        if name not in SCHEDULES:
            raise ValueError(f"unknown schedule '{name}': use one of {', '.join(SCHEDULES)}")
        check_num_steps(num_train_timesteps)
        return cls(SCHEDULES[name](num_train_timesteps, **options), name)

    @classmethod
    def linear(cls, num_train_timesteps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> NoiseSchedule:
        """beta rises linearly [Ho 2020 section 4]. The range is not rescaled with T: see `terminal_problem`."""
        return cls.make("linear", num_train_timesteps, beta_start=beta_start, beta_end=beta_end)

    @classmethod
    def scaled_linear(cls, num_train_timesteps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> NoiseSchedule:
        """sqrt(beta) rises linearly [Rombach 2022]."""
        return cls.make("scaled_linear", num_train_timesteps, beta_start=beta_start, beta_end=beta_end)

    @classmethod
    def cosine(cls, num_train_timesteps: int = 1000, s: float = 0.008, max_beta: float = 0.999) -> NoiseSchedule:
        """abar(u) = cos^2((u + s) / (1 + s) pi / 2), divided by its value at 0, each beta capped [Nichol 2021 eq. 17]."""
        return cls.make("cosine", num_train_timesteps, s=s, max_beta=max_beta)

    @classmethod
    def sigmoid(cls, num_train_timesteps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> NoiseSchedule:
        """beta rises from beta_start to beta_end along a sigmoid over [-6, 6] [Xu 2022, GeoDiff]."""
        return cls.make("sigmoid", num_train_timesteps, beta_start=beta_start, beta_end=beta_end)

    @classmethod
    def laplace(cls, num_train_timesteps: int = 1000, location: float = 0.0, scale: float = 0.5) -> NoiseSchedule:
        """log SNR follows a Laplace law in u; with location 0, abar(T/2) = 1/2 [Hang 2024 table 1]."""
        return cls.make("laplace", num_train_timesteps, location=location, scale=scale)

    @classmethod
    def from_continuous(
        cls, beta: Callable[[Tensor], Tensor], num_train_timesteps: int = 1000, *, horizon: float = 1.0, name: str = "continuous"
    ) -> NoiseSchedule:
        """Take T equal steps of dx = -beta(s)/2 x ds + sqrt(beta(s)) dW: beta_t = 1 - exp(-integral of beta(s) over the step) [N1; Song 2021 eq. 29].

        Args:
            beta: float64 tensor of times in [0, horizon] -> rates >= 0 of the same shape, or a number; jumps are fine.
            num_train_timesteps: T; horizon: the time at which the chain ends, > 0.
        Raises:
            ValueError: T or horizon out of range; a rate that is negative or not finite, or whose integral over a step is 0 or does not converge.
        """
        check_num_steps(num_train_timesteps)
        positive(horizon=horizon)
        return cls(beta_from_integral(step_integrals(beta, step_edges(num_train_timesteps, horizon))), name)

    @classmethod
    def from_betas(cls, betas: Sequence[float] | Tensor, name: str = "custom") -> NoiseSchedule:
        """Take the single-step variances as they are."""
        return cls(torch.as_tensor(betas, dtype=torch.float64), name)


def check_num_steps(num_train_timesteps: int) -> None:
    """Refuse a T outside 1 to 1000000."""
    if not 1 <= num_train_timesteps <= 1_000_000:
        raise ValueError(f"T = {num_train_timesteps} steps: use 1 <= T <= 1000000")


def _linear_betas(steps: int, beta_start: float = 1e-4, beta_end: float = 0.02) -> Tensor:
    return torch.linspace(beta_start, beta_end, steps, dtype=torch.float64)


def _scaled_linear_betas(steps: int, beta_start: float = 1e-4, beta_end: float = 0.02) -> Tensor:
    return torch.linspace(beta_start**0.5, beta_end**0.5, steps, dtype=torch.float64) ** 2


def _cosine_betas(steps: int, s: float = 0.008, max_beta: float = 0.999) -> Tensor:
    u = torch.arange(steps + 1, dtype=torch.float64) / steps
    alpha_bar = torch.cos((u + s) / (1 + s) * math.pi / 2) ** 2
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=max_beta)


def _sigmoid_betas(steps: int, beta_start: float = 1e-4, beta_end: float = 0.02) -> Tensor:
    return torch.sigmoid(torch.linspace(-6, 6, steps, dtype=torch.float64)) * (beta_end - beta_start) + beta_start


def _laplace_betas(steps: int, location: float = 0.0, scale: float = 0.5) -> Tensor:
    u = torch.arange(1, steps + 1, dtype=torch.float64) / steps
    # 1e-6 keeps the logarithm finite at the end, where log SNR tends to minus infinity.
    log_snr = location - scale * torch.sign(0.5 - u) * torch.log(1 - 2 * (0.5 - u).abs() + 1e-6)
    alpha_bar = torch.sigmoid(log_snr)
    return beta_between(alpha_bar, torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]]))


SCHEDULES: dict[str, Callable[..., Tensor]] = {
    "linear": _linear_betas,
    "cosine": _cosine_betas,
    "sigmoid": _sigmoid_betas,
    "scaled_linear": _scaled_linear_betas,
    "laplace": _laplace_betas,
}
"""Every schedule by name: a function of T (and of its own options) that returns the betas. A new schedule is one more row."""
