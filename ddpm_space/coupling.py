"""The same picture in few steps and in many: chains of different lengths driven by one noise (rows N7, N8).

What can be shared is decided by row N7: while x_0 stands still, the posterior steps t -> t-1 -> ... -> s compose exactly to the one posterior step
t -> s, and so do their noises, z_{t->s} = sum of what each small step adds, carried on by the later steps' weights of x_t. A long step that is given
this combination does what the small steps would have done had the model not been asked again in between. Chains of different lengths then differ by
that alone. It holds for the posterior variance beta_tilde only: the variances beta_t of small steps do not add up to the beta_{t|s} of a long one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.images import check_finite
from ddpm_space.notes.coefficients import cast
from ddpm_space.notes.reverse import beta_tilde, p_reverse, posterior_coefficients
from ddpm_space.sampling import image_generator
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.spacing import spaced_timesteps


@dataclass(frozen=True)
class CoupledStep:
    """One step t -> s of a chain of `total` steps; x_0_hat and x_prev are (B, C, H, W), s = -1 is clean data."""

    index: int
    total: int
    t: int
    s: int
    x_0_hat: Tensor
    x_prev: Tensor


def bridge_noise(schedule: NoiseSchedule, t: int, s: int, draw: Callable[[], Tensor]) -> Tensor:
    """The noise of the step t -> s, put together from those of the single steps [N7, composed with itself].

    Args:
        schedule: the training schedule, whose single steps are r -> r - 1; t > s >= -1.
        draw: called once for each r = t, t-1, ..., s+1; standard Gaussian noise of one shape.
    Returns:
        noise of variance beta_tilde between t and s; 0 if s is clean data.
    """
    weights = posterior_coefficients(schedule.alpha_bar, schedule.alpha_bar_prev)[1]
    deviations = beta_tilde(schedule.alpha_bar, schedule.alpha_bar_prev).sqrt()
    noise = draw()
    noise = cast(deviations[t], noise) * noise
    for r in range(t - 1, s, -1):
        fresh = draw()
        noise = cast(weights[r], noise) * noise + cast(deviations[r], fresh) * fresh
    return noise


class PathNoise:
    """One noise for chains of every length, to be asked for their steps t -> s in turn from t = T - 1 on.

    Args:
        schedule, draw: as in `bridge_noise`; `draw` is called T times in all, whatever the chain.
    """

    def __init__(self, schedule: NoiseSchedule, draw: Callable[[], Tensor]) -> None:
        self.schedule, self.draw, self.seconds = schedule, draw, 0.0

    def __call__(self, t: int, s: int) -> Tensor:
        """Standard Gaussian noise, independent between the steps of one chain; 0 where s is clean data."""
        begun = time.perf_counter()
        noise = bridge_noise(self.schedule, t, s, self.draw)
        if s >= 0:
            noise = noise / float(beta_tilde(self.schedule.alpha_bar_at(t), self.schedule.alpha_bar_at(s)).sqrt())
        self.seconds += time.perf_counter() - begun
        return noise

    def surplus(self, num_steps: int) -> float:
        """Of the seconds that it has taken, those that a chain of `num_steps` steps with noise of its own would not have: it draws one a step."""
        return self.seconds * (1 - num_steps / len(self.schedule))


def coupled_sample(
    denoiser: Denoiser,
    shape: tuple[int, int, int],
    num_steps: int,
    *,
    num_images: int,
    seed: int,
    clip: bool,
    coupled: bool = True,
    device: str = "cpu",
) -> Iterator[CoupledStep]:
    """Sample in `num_steps` steps of variance beta_tilde; one seed gives one x_T, and with `coupled` one noise, whatever num_steps is.

    Args:
        denoiser: the model, on `device`; shape: (C, H, W); clip: x_0_hat to [-1, 1] in every step.
        coupled: False draws each step's noise anew, so that chains of two lengths share x_T alone.
    Yields:
        CoupledStep from the noisiest step, t = T - 1, to the last; with num_steps = T it is the chain of `sampling.sample`.
    Raises:
        ValueError: more steps than the schedule has. ImageError: the chain ended in NaN or infinite values.
    """
    schedule = denoiser.schedule
    timesteps = spaced_timesteps(len(schedule), num_steps, "trailing")
    generators = [image_generator(seed, i) for i in range(num_images)]
    draw = lambda: torch.cat([torch.randn((1, *shape), generator=generator) for generator in generators])  # noqa: E731
    x_t = draw().to(device)
    if not coupled:
        generators = [_own_generator(seed, i, num_steps) for i in range(num_images)]
    for index, (t, s) in enumerate(zip(timesteps, [*timesteps[1:], -1])):
        alpha_bar_t, alpha_bar_s = schedule.alpha_bar_at(t), schedule.alpha_bar_at(s)
        # Not around the yield: inference mode belongs to a thread, and would stay on in the consumer's code between two steps.
        with torch.inference_mode():
            x_0_hat = denoiser.predict(x_t, torch.tensor(t, device=device), clip=1.0 if clip else None).x_0_hat
            mean, variance = p_reverse(x_0_hat, x_t, alpha_bar_t, alpha_bar_s, beta_tilde(alpha_bar_t, alpha_bar_s))
            noise = bridge_noise(schedule, t, s, draw) if coupled else float(variance.sqrt()) * draw()
            x_t = mean + noise.to(device)
        if s < 0:
            check_finite(x_t, "error.image.sample_not_finite")
        yield CoupledStep(index, len(timesteps), t, s, x_0_hat, x_t)


def _own_generator(seed: int, index: int, num_steps: int) -> torch.Generator:
    """Random numbers of one image in a chain of one length, shared with no other length."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence((seed, index, num_steps)).generate_state(1, np.uint64)[0] >> 1))
