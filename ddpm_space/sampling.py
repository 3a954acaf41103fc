"""The second story: noise becomes images, step by step, and any one step can be opened up (rows N7, N8; Ho 2020 algorithm 2)."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from ddpm_space.analytic import LAST_GREY_LEVELS
from ddpm_space.denoiser import Denoiser
from ddpm_space.errors import TextError
from ddpm_space.images import check_finite
from ddpm_space.notes.forward import beta_between
from ddpm_space.notes.reverse import beta_tilde, largest_last_sigma, optimal_variance, p_reverse, posterior_coefficients
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.spacing import OPTIMAL, TIMESTEP_SPACINGS

if TYPE_CHECKING:
    from ddpm_space.scheduler import NotesDDPMScheduler

VARIANCES = {"fixed_small": beta_tilde, "fixed_large": beta_between}
"""sigma_t^2 by name, from (alpha_bar_t, alpha_bar_s); 0 on the step to clean data in either case."""

ANALYTIC = "analytic"
"""The variance that is best for one trained network (`analytic.sampling_variance`), where its posterior variance was estimated."""

MAX_IMAGES = 256

Step = TypeVar("Step")

SETTINGS_ERRORS = {
    "error.settings.num_images": "Number of images: {value} is not possible. Use a whole number from 1 to {highest}.",
    "error.settings.num_steps": "Number of steps: {value} is not possible. Use a whole number from 1 to {highest}, the model's own.",
    "error.settings.spacing": "Unknown spacing of the steps '{value}': use one of {known}.",
    "error.settings.variance_type": "Unknown variance '{value}': use one of {known}.",
    "error.settings.no_table": "'{value}' needs the model's posterior variance, which it came without: see training/posterior_variance.py.",
    "error.settings.uneven": "diffusers' DDIM cannot take {value} steps of {T}: use a number of steps that divides {T}.",
    "error.settings.seed": "Seed: {value} is not possible. Use a whole number from 0 to {highest}.",
}


class SettingsError(TextError):
    """Settings that no chain can run with; `key` is one of SETTINGS_ERRORS."""

    templates = SETTINGS_ERRORS


@dataclass(frozen=True)
class SamplingSettings:
    """What a user decides about sampling; checked when it is made.

    Args:
        num_images: 1 to 256; num_steps: 1 to num_train_timesteps.
        spacing: "leading", "linspace", "trailing" [Lin 2024 table 2], "quadratic" [Song 2021 appendix D.2], or "optimal" [Bao 2022 section 4].
        variance_type: "fixed_small" (beta_tilde), "fixed_large" (beta) [Ho 2020 section 3.2] or "analytic" [Bao 2022].
        clip_sample: clip x_0_hat to [-1, 1] in every step.
        seed: image i of a seed is the same whatever num_images is.
        num_train_timesteps: T of the model.
    Raises:
        SettingsError: any of them out of range or unknown.
    """

    num_images: int = 16
    num_steps: int = 100
    spacing: str = "trailing"
    variance_type: str = "fixed_small"
    clip_sample: bool = True
    seed: int = 0
    num_train_timesteps: int = 1000

    def __post_init__(self) -> None:
        for name, lowest, highest in (("num_images", 1, MAX_IMAGES), ("num_steps", 1, self.num_train_timesteps), ("seed", 0, 2**63 - 1)):
            value = getattr(self, name)
            try:
                inside = lowest <= operator.index(value) <= highest
            except TypeError:
                inside = False
            if not inside:
                raise SettingsError(f"error.settings.{name}", value=value, highest=highest)
        for name, known in (("spacing", (*TIMESTEP_SPACINGS, OPTIMAL)), ("variance_type", (*VARIANCES, ANALYTIC))):
            if getattr(self, name) not in known:
                raise SettingsError(f"error.settings.{name}", value=getattr(self, name), known=", ".join(known))


@dataclass(frozen=True)
class Frame:
    """One reverse step t -> s as it happened, `index` of `total` counted from 0; s = -1 is clean data.

    x_t, x_0_hat (clipped if so set) and x_prev, which is x_s, are (B, C, H, W); noise is what the step drew, None on the step to clean data;
    posterior_variance is V_t where the variance is "analytic".
    """

    index: int
    total: int
    t: int
    s: int
    x_t: Tensor
    x_0_hat: Tensor
    x_prev: Tensor
    noise: Tensor | None
    variance_type: str
    posterior_variance: float | None = None


@dataclass(frozen=True)
class ReverseStep:
    """One step in its parts: mu = coef_x_0 x_0_hat + coef_x_t x_t, and x_prev = mu + sqrt(sigma2) noise.

    posterior_variance: V_t, where sigma2 is the analytic variance; bounded: sigma2 was made smaller, the last noise of a chain.
    """

    t: int
    s: int
    coef_x_0: float
    coef_x_t: float
    x_t: Tensor
    x_0_hat: Tensor
    mu: Tensor
    sigma2: float
    noise: Tensor | None
    x_prev: Tensor
    posterior_variance: float | None = None
    bounded: bool = False


def image_generator(seed: int, index: int) -> torch.Generator:
    """Return the random numbers of image `index` of a seed: its own stream, so that an image does not depend on how many are made with it."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0] >> 1))


def sample(denoiser: Denoiser, shape: tuple[int, int, int], settings: SamplingSettings, *, device: str = "cpu") -> Iterator[Frame]:
    """Generate images, yielding every reverse step; closing the generator stops the work [N8; Ho 2020 algorithm 2].

    Args:
        denoiser: the model, on `device`; shape: (C, H, W) of one image.
    Yields:
        Frame from the noisiest step to the last, whose x_prev is the result.
    Raises:
        SettingsError: more steps than the model was trained on; "analytic" or "optimal" for a network whose posterior variance is not known.
        ImageError: the chain ended in NaN or infinite values.
    """
    steps = len(denoiser.schedule)
    if settings.num_steps > steps:
        raise SettingsError("error.settings.num_steps", value=settings.num_steps, highest=steps)
    for value in {settings.variance_type, settings.spacing} & {ANALYTIC, OPTIMAL}:
        if denoiser.posterior_variance is None:
            raise SettingsError("error.settings.no_table", value=value)
    V = denoiser.posterior_variance if settings.variance_type == ANALYTIC else None
    scheduler = _scheduler(denoiser, settings)
    timesteps = [int(t) for t in scheduler.timesteps]
    generators = [image_generator(settings.seed, i) for i in range(settings.num_images)]
    x_t = _draw(generators, shape).to(device)
    for index, (t, s) in enumerate(zip(timesteps, [*timesteps[1:], -1])):
        # Not around the yield: inference mode belongs to a thread, and would stay on in the consumer's code between two frames.
        with torch.inference_mode():
            output = denoiser.network(x_t, torch.full((len(x_t),), t, device=device))
            noise = None if s < 0 else _draw(generators, shape).to(device)
            x_prev, x_0_hat = scheduler.step(output, t, x_t, generators, return_dict=False, variance_noise=noise)
        if s < 0:
            check_finite(x_prev, "error.image.sample_not_finite")
        known = None if V is None else float(V[t])
        yield Frame(index, len(timesteps), t, s, x_t, x_0_hat, x_prev, noise, settings.variance_type, known)
        x_t = x_prev


def last_of(steps: Iterable[Step]) -> Step:
    """Take every step of a chain and return the last; none of the others is kept, since a thousand of them fill a memory.

    Raises:
        IndexError: there are none.
    """
    return deque(steps, maxlen=1).pop()


def open_step(frame: Frame, schedule: NoiseSchedule) -> ReverseStep:
    """Recompute one step from the formulas, not from the scheduler: where x_s comes from [N7, N8; Ho 2020 eq. 7, algorithm 2].

    Args:
        frame: one step of `sample`; schedule: the training schedule of its model.
    Returns:
        the parts of x_prev = coef_x_0 x_0_hat + coef_x_t x_t + sqrt(sigma2) noise, which holds to rounding.
    """
    alpha_bar_t, alpha_bar_s = schedule.alpha_bar_at(frame.t), schedule.alpha_bar_at(frame.s)
    V, bounded = frame.posterior_variance, False
    if frame.s < 0:
        sigma2 = 0.0
    elif V is None:
        sigma2 = float(VARIANCES[frame.variance_type](alpha_bar_t, alpha_bar_s))
    else:
        sigma2, most = float(optimal_variance(V, alpha_bar_t, alpha_bar_s)), float(largest_last_sigma(LAST_GREY_LEVELS)) ** 2
        bounded = frame.index == frame.total - 2 and sigma2 > most
        sigma2 = most if bounded else sigma2
    mu, _ = p_reverse(frame.x_0_hat, frame.x_t, alpha_bar_t, alpha_bar_s, sigma2)
    coef_x_0, coef_x_t = posterior_coefficients(alpha_bar_t, alpha_bar_s)
    weights = float(coef_x_0), float(coef_x_t)
    return ReverseStep(frame.t, frame.s, *weights, frame.x_t, frame.x_0_hat, mu, sigma2, frame.noise, frame.x_prev, V, bounded)


def _scheduler(denoiser: Denoiser, settings: SamplingSettings) -> NotesDDPMScheduler:
    from ddpm_space.scheduler import NotesDDPMScheduler

    scheduler = NotesDDPMScheduler(
        num_train_timesteps=len(denoiser.schedule),
        trained_betas=denoiser.schedule.beta.tolist(),
        prediction_type=denoiser.prediction_type,
        variance_type=settings.variance_type,
        clip_sample=settings.clip_sample,
        timestep_spacing=settings.spacing,
        **table_options(denoiser),
    )
    scheduler.set_timesteps(settings.num_steps)
    return scheduler


def table_options(denoiser: Denoiser) -> dict[str, list[float] | None]:
    """What a scheduler needs to know of a network for the variance "analytic" and the spacing "optimal"."""
    rows = {name: getattr(denoiser, name) for name in ("posterior_variance", "decoder_variance", "decoder_nats")}
    return {name: None if row is None else row.tolist() for name, row in rows.items()}


def _draw(generators: list[torch.Generator], shape: tuple[int, int, int]) -> Tensor:
    return torch.cat([torch.randn((1, *shape), generator=generator) for generator in generators])
