"""Chains of Langevin steps with a score (row N1) as generators of frames: unadjusted, Metropolis-adjusted, and annealed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import as_float64
from ddpm_space.notes.langevin import positive
from ddpm_space.notes.langevin_sampling import Function, annealed_step_size, mala_step, ula_step


@dataclass(frozen=True)
class SampleFrame:
    """The samples after a step. x: (B, ...); probability: of the last step being taken, (B,), None without adjustment; level, sigma, eta: where."""

    step: int
    x: Tensor
    eta: float
    probability: Tensor | None = None
    level: int = 0
    sigma: float | None = None


def ula(score: Function, x_0: Tensor, *, eta: float, steps: int, every: int = 1, generator: torch.Generator | None = None) -> Iterator[SampleFrame]:
    """Unadjusted Langevin sampling: yields the start and every `every`-th step; its law is off by first order in eta [N1; Song 2019 eq. 4]."""
    _check(eta, steps, every)

    def walk() -> Iterator[SampleFrame]:
        x = x_0
        yield SampleFrame(0, x, eta)
        for step in range(1, steps + 1):
            x = ula_step(x, score(x), eta, generator=generator)
            if step % every == 0:
                yield SampleFrame(step, _finite(x, step, eta), eta)

    return walk()


def mala(
    score: Function,
    x_0: Tensor,
    *,
    eta: float,
    steps: int,
    log_density: Function | None = None,
    every: int = 1,
    generator: torch.Generator | None = None,
) -> Iterator[SampleFrame]:
    """Metropolis-adjusted Langevin sampling: yields the start and every `every`-th step; its law tends to p itself [N1]; see `mala_step`."""
    _check(eta, steps, every)

    def walk() -> Iterator[SampleFrame]:
        x = x_0
        yield SampleFrame(0, x, eta)
        for step in range(1, steps + 1):
            x, probability = mala_step(x, score, eta, log_density=log_density, generator=generator)
            if step % every == 0:
                yield SampleFrame(step, x, eta, probability)

    return walk()


def annealed_langevin(
    score: Callable[[Tensor, float], Tensor],
    x_0: Tensor,
    sigmas: Sequence[float] | Tensor,
    *,
    epsilon: float,
    steps_per_level: int,
    every: int = 1,
    generator: torch.Generator | None = None,
) -> Iterator[SampleFrame]:
    """Langevin steps on the score of the noised data, from the largest noise to the smallest [N1; Song 2019 alg. 1].

    Args:
        score: (x (B, ...), sigma) -> the score of the data with noise sigma added, (B, ...); x_0: (B, ...) start, any law.
        sigmas: from large to small, such as `geometric_sigmas`; epsilon: the step size at the last level; steps_per_level: at each level.
    Yields:
        the start, then every `every`-th step, with level, sigma and step size.
    Raises:
        ValueError: sigmas that do not fall, or constants out of range, at once; samples that are no longer finite, at their frame.
    """
    levels = as_float64(sigmas).reshape(-1)
    positive(sigmas=levels)
    if levels.numel() == 0 or bool((levels[1:] >= levels[:-1]).any()):
        raise ValueError(f"sigmas must be at least one number, from large to small, not {levels.tolist()[:8]}")
    _check(epsilon, steps_per_level, every)
    sizes = annealed_step_size(levels, levels[-1], epsilon).tolist()

    def walk() -> Iterator[SampleFrame]:
        x, step = x_0, 0
        yield SampleFrame(0, x, sizes[0], level=0, sigma=float(levels[0]))
        for level, (sigma, eta) in enumerate(zip(levels.tolist(), sizes)):
            for _ in range(steps_per_level):
                x = ula_step(x, score(x, sigma), eta, generator=generator)
                step += 1
                if step % every == 0:
                    yield SampleFrame(step, _finite(x, step, eta), eta, level=level, sigma=sigma)

    return walk()


def _check(eta: float, steps: int, every: int) -> None:
    positive(eta=eta)
    for name, value, lowest in (("steps", steps, 0), ("every", every, 1)):
        if value < lowest:
            raise ValueError(f"{name} = {value}: use a whole number >= {lowest}")


def _finite(x: Tensor, step: int, eta: float) -> Tensor:
    if not bool(x.isfinite().all()):
        raise ValueError(f"after {step} steps a sample is no longer finite: eta = {eta:g} is too large for this score, use a smaller one")
    return x
