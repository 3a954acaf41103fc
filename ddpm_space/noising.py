"""The first story: an image is noised, step by step or in one jump, and both ways give the same distribution (rows N5, N6)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_space.notes.forward import q_cumulative, q_cumulative_sample, q_step_sample
from ddpm_space.schedule import NoiseSchedule

WORK_BUDGET = 64_000_000
"""Most normal numbers that one comparison draws along its single steps, about half a second of one core; larger images are compared on a part
of their pixels."""

MAX_DRAWS = 4096


@dataclass(frozen=True)
class NoisedImage:
    """x_t = signal x_0 + sigma eps with its numbers; tensors (B, C, H, W), signal = sqrt(abar_t), sigma = sqrt(1 - abar_t)."""

    x_0: Tensor
    eps: Tensor
    x_t: Tensor
    t: int
    alpha_bar_t: float
    signal: float
    sigma: float
    snr: float


@dataclass(frozen=True)
class Difference:
    """A measured difference and its standard error; |z| above 3 or so is not chance."""

    value: float
    standard_error: float

    @property
    def z(self) -> float:
        """The difference in standard errors; 0 when both are 0."""
        if self.standard_error == 0:
            return 0.0 if self.value == 0 else math.copysign(math.inf, self.value)
        return self.value / self.standard_error


@dataclass(frozen=True)
class MomentComparison:
    """One quantity of x_t measured along both routes, beside the value that the formula gives."""

    theory: float
    steps: float
    jump: float
    steps_to_theory: Difference
    jump_to_theory: Difference
    steps_to_jump: Difference


@dataclass(frozen=True)
class RouteComparison:
    """What `compare_routes` measured; `pixels` of the image's `total_pixels` values took part."""

    t: int
    draws: int
    pixels: int
    total_pixels: int
    mean: MomentComparison
    signal: MomentComparison | None
    variance: MomentComparison
    coupled_error: float


def noise_image(x_0: Tensor, schedule: NoiseSchedule, t: int, *, seed: int) -> NoisedImage:
    """Noise an image to time t in one jump [N6; Ho 2020 eq. 4].

    Args:
        x_0: (B, C, H, W) in [-1, 1]; t: 0 <= t < T; seed: decides eps, whatever t and the schedule.
    Raises:
        ValueError: t outside the chain.
    """
    return film_strip(x_0, schedule, [t], seed=seed)[0]


def film_strip(x_0: Tensor, schedule: NoiseSchedule, timesteps: Iterable[int], *, seed: int) -> list[NoisedImage]:
    """Noise an image to several times with the same eps, so that only the mixture changes from picture to picture [N6].

    Args:
        x_0: (B, C, H, W) in [-1, 1]; timesteps: each 0 <= t < T, any order; seed: decides eps.
    Raises:
        ValueError: a t outside the chain.
    """
    eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(seed), dtype=x_0.dtype).to(x_0.device)
    strip = []
    for t in timesteps:
        row = schedule.at(t)
        x_t = q_cumulative_sample(x_0, row.alpha_bar_t, eps=eps)
        alpha_bar_t = float(row.alpha_bar_t)
        strip.append(NoisedImage(x_0, eps, x_t, int(t), alpha_bar_t, math.sqrt(alpha_bar_t), math.sqrt(1 - alpha_bar_t), float(row.snr_t)))
    return strip


def compare_routes(x_0: Tensor, schedule: NoiseSchedule, t: int, *, draws: int = 64, seed: int = 0) -> RouteComparison:
    """Walk to x_t by t + 1 single steps and jump there at once, `draws` times each with independent noise, and compare what arrives [N5, N6].

    Three numbers are pooled over the image's P values: the mean (average of x_t over pixels; theory: sqrt(abar_t) times that of x_0), the signal
    <x_t, x_0> / <x_0, x_0> (theory: sqrt(abar_t); None where the image is all mid-gray), and the variance (of each pixel over the draws, about its
    own mean with n - 1 below, then averaged; theory: 1 - abar_t). Each is the average over n draws of one number a draw. The draws are
    independent, so its standard error is the spread of those n numbers / sqrt(n), whatever the pixels have in common, and that of a difference of
    the two routes is the root of the sum of squares; z is close to normal (Student, n - 1). The coupled pair is one walk and one jump that uses
    the noise which the walk's own steps add up to: those must agree to rounding.

    Args:
        x_0: (1, C, H, W) in [-1, 1]; t: 0 <= t < T; draws: 2 to 4096.
        seed: decides all noise.
    Raises:
        ValueError: t outside the chain, or too few or too many draws.
    """
    if not 2 <= draws <= MAX_DRAWS:
        raise ValueError(f"draws = {draws}: use 2 to {MAX_DRAWS}, since a spread needs at least two")
    alpha_bar_t = schedule.at(t).alpha_bar_t
    values = x_0.detach().reshape(-1).cpu()
    pixels = min(values.numel(), max(1, WORK_BUDGET // (draws * (t + 1))))
    x_0_part = values[torch.linspace(0, values.numel() - 1, pixels, dtype=torch.float64).round().long()]
    generator = torch.Generator().manual_seed(seed)
    start = x_0_part.expand(draws, pixels)

    walked, walked_noise = _walk(start, schedule.beta[: t + 1], generator)
    jumped = q_cumulative_sample(start, alpha_bar_t, generator=generator)
    coupled = q_cumulative_sample(start[:1], alpha_bar_t, eps=(walked_noise / (1 - alpha_bar_t).sqrt()).to(start.dtype)[None])

    mean, variance = q_cumulative(x_0_part[None].double(), alpha_bar_t)
    energy = float((x_0_part.double() ** 2).sum())
    steps, jump = walked.double(), jumped.double()
    signal = None
    if energy > 1e-9:
        weight = x_0_part.double() / energy
        signal = _compare(float(alpha_bar_t.sqrt()), steps @ weight, jump @ weight)
    return RouteComparison(
        t=int(t),
        draws=draws,
        pixels=pixels,
        total_pixels=values.numel(),
        mean=_compare(float(mean.mean()), steps.mean(dim=1), jump.mean(dim=1)),
        signal=signal,
        variance=_compare(float(variance), _spread(steps), _spread(jump)),
        coupled_error=float((coupled[0] - walked[0]).abs().max()),
    )


def _walk(x: Tensor, beta: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Take every single step; also returns the noise that the first draw has gathered on its way, in float64: x_t - sqrt(abar_t) x_0."""
    gathered = torch.zeros(x.shape[1], dtype=torch.float64)
    for beta_t in beta:
        eps = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        x = q_step_sample(x, beta_t, eps=eps)
        gathered = (1 - beta_t).sqrt() * gathered + beta_t.sqrt() * eps[0]
    return x, gathered


def _spread(x: Tensor) -> Tensor:
    """Return one number a draw whose average over the draws is the variance, unbiased, averaged over pixels; x (draws, pixels)."""
    return ((x - x.mean(dim=0)) ** 2).mean(dim=1) * len(x) / (len(x) - 1)


def _compare(theory: float, steps: Tensor, jump: Tensor) -> MomentComparison:
    steps_mean, jump_mean = float(steps.mean()), float(jump.mean())
    steps_error, jump_error = (float(values.std()) / math.sqrt(len(values)) for values in (steps, jump))
    return MomentComparison(
        theory=theory,
        steps=steps_mean,
        jump=jump_mean,
        steps_to_theory=Difference(steps_mean - theory, steps_error),
        jump_to_theory=Difference(jump_mean - theory, jump_error),
        steps_to_jump=Difference(steps_mean - jump_mean, math.hypot(steps_error, jump_error)),
    )
