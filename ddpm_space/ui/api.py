"""The named API endpoints: the main actions for `gradio_client`, with files in, pictures and numbers out. Their errors are in English.

The tabs' own events are private: what they send is made for the page's scripts.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import gradio as gr
import torch
from PIL import Image

from ddpm_space import loss, noising
from ddpm_space.errors import TextError
from ddpm_space.images import grid, load_image, to_pil
from ddpm_space.notes import gaussian
from ddpm_space.notes.reverse import posterior_coefficients, q_posterior
from ddpm_space.sampling import SamplingSettings, last_of
from ddpm_space.sampling import sample as sample_frames
from ddpm_space.schedule import SCHEDULES, NoiseSchedule
from ddpm_space.ui import gpu
from ddpm_space.ui.forms import finite_number, one_of, timestep_list, whole_number
from ddpm_space.ui.labs.bound import bound_variances, shorter_chain
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.sampling import MAX_IMAGES
from ddpm_space.ui.widgets import HEAVY

MAX_SIDE = 256
MAX_DRAWS = 64
MAX_NUMBER = 1e6
"""Largest mean and standard deviation, and the inverse of the smallest."""

T = 1000


def build(model: ModelSlot) -> None:
    """Declare the endpoints on components that no page shows."""
    with gr.Column(visible=False):
        image = gr.File(label="image", type="filepath")
        schedule, t, seed = gr.Textbox("linear", label="schedule"), gr.Number(250, label="t"), gr.Number(0, label="seed")
        size, channels = gr.Number(28, label="size"), gr.Number(1, label="channels")
        draws, timesteps = gr.Number(16, label="draws"), gr.Textbox("10, 100, 500", label="timesteps")
        earlier = gr.Number(249, label="s")
        mean_1, std_1 = gr.Number(0.5, label="mean_1"), gr.Number(0.5, label="std_1")
        mean_2, std_2 = gr.Number(0, label="mean_2"), gr.Number(1, label="std_2")
        images, steps = gr.Number(16, label="num_images"), gr.Number(50, label="num_steps")
        variance, spacing = gr.Textbox("fixed_small", label="variance_type"), gr.Textbox("trailing", label="spacing")
        clip, chain = gr.Checkbox(True, label="clip_sample"), gr.Number(100, label="chain_steps")
        picture, numbers = gr.Image(label="picture", format="png"), gr.JSON(label="numbers")

    def endpoint(handler: Callable, inputs: list, outputs: list, **options: Any) -> None:
        gr.on([], plain_errors(handler), inputs, outputs, api_name=handler.__name__, api_description=handler.__doc__, **options)

    def sample(num_images: float, num_steps: float, variance_type: str, spacing: str, clip_sample: bool, seed: float) -> tuple[Image.Image, dict]:
        """Generate images with the app's model; returns one PNG sheet and the settings. At most 36 images."""
        loaded = model.get()
        longest = len(loaded.denoiser.schedule)
        count, number = whole_number(num_images, "num_images", 1, MAX_IMAGES), whole_number(num_steps, "num_steps", 1, longest)
        settings = SamplingSettings(count, number, spacing, variance_type, bool(clip_sample), whole_number(seed, "seed"), longest)
        last = last_of(gpu.steps(sample_frames, loaded, settings, calls=number, batch=count))
        return grid(last.x_prev, columns=round(count**0.5 + 0.49)), {**asdict(settings), "model": loaded.source}

    def eps_errors(image: str, timesteps: str, draws: float, seed: float) -> dict:
        """Mean squared error of eps_theta for one image at the given timesteps ("10, 100, 500"), each with its standard error, and L_simple."""
        loaded = model.get()
        x_0 = load_image(image, channels=1 if loaded.channels == 1 else 3, size=loaded.sample_size)
        chosen, count = timestep_list(timesteps, len(loaded.denoiser.schedule)), whole_number(draws, "draws", 2, MAX_DRAWS)
        rows = loss.eps_errors(loaded.denoiser, x_0, chosen, draws=count, seed=whole_number(seed, "seed"))
        simple = loss.simple_loss(loaded.denoiser, x_0, draws=2 * count, seed=whole_number(seed, "seed"))
        return {"errors": [{"t": row.t, "mse": row.mse, "standard_error": row.standard_error} for row in rows], "L_simple": asdict(simple)}

    def bits_per_dim(image: str, chain_steps: float, draws: float, variance_type: str, clip_sample: bool, seed: float) -> dict:
        """Variational bound of one image in bits/dim: L_T, the sum of L_{t-1}, L_0 and the total, along `chain_steps` steps of the model's chain."""
        loaded = model.get()
        steps = whole_number(chain_steps, "chain_steps", 1, len(loaded.denoiser.schedule))
        x_0 = load_image(image, channels=1 if loaded.channels == 1 else 3, size=loaded.sample_size)
        *_, last = loss.bound_terms(
            loaded.denoiser,
            x_0,
            draws=whole_number(draws, "draws", 2, MAX_DRAWS),
            schedule=shorter_chain(loaded.denoiser.schedule, steps),
            variance=one_of(variance_type, "variance_type", bound_variances(loaded)),
            clip_x0=bool(clip_sample),
            seed=whole_number(seed, "seed"),
        )
        return {"total": asdict(last.running), **{kind: asdict(part) for kind, part in last.parts.items()}, "chain_steps": steps}

    endpoint(noise_image, [image, schedule, t, seed, size, channels], [picture, numbers])
    endpoint(posterior, [image, schedule, t, earlier, seed, size, channels], [picture, numbers])
    endpoint(kl_gaussian, [mean_1, std_1, mean_2, std_2], [numbers])
    endpoint(compare_routes, [image, schedule, t, draws, seed], [numbers])
    endpoint(sample, [images, steps, variance, spacing, clip, seed], [picture, numbers], **HEAVY)
    endpoint(eps_errors, [image, timesteps, draws, seed], [numbers], **HEAVY)
    endpoint(bits_per_dim, [image, chain, draws, variance, clip, seed], [numbers], **HEAVY)


def noise_image(image: str, schedule: str, t: float, seed: float, size: float, channels: float) -> tuple[Image.Image, dict]:
    """Noise an image to step t of a schedule with T = 1000 in one jump; returns x_t as PNG, and alpha_bar_t, sqrt(alpha_bar_t) and the like."""
    side, depth = whole_number(size, "size", 8, MAX_SIDE), whole_number(channels, "channels", 1, 3)
    x_0 = load_image(image, channels=1 if depth == 1 else 3, size=side)
    chain = NoiseSchedule.make(one_of(schedule, "schedule", tuple(SCHEDULES)), T)
    noised = noising.noise_image(x_0, chain, whole_number(t, "t", 0, T - 1), seed=whole_number(seed, "seed"))
    names = ("t", "alpha_bar_t", "signal", "sigma", "snr")
    return to_pil(noised.x_t), {name: getattr(noised, name) for name in names}


def posterior(image: str, schedule: str, t: float, s: float, seed: float, size: float, channels: float) -> tuple[Image.Image, dict]:
    """Posterior q(x_s | x_t, x_0) of an image noised to step t (T = 1000): its mean as PNG, coefficients and variance; s = -1 is clean data."""
    side, depth = whole_number(size, "size", 8, MAX_SIDE), whole_number(channels, "channels", 1, 3)
    x_0 = load_image(image, channels=1 if depth == 1 else 3, size=side)
    chain = NoiseSchedule.make(one_of(schedule, "schedule", tuple(SCHEDULES)), T)
    step = whole_number(t, "t", 0, T - 1)
    earlier = whole_number(s, "s", -1, step - 1)
    noised = noising.noise_image(x_0, chain, step, seed=whole_number(seed, "seed"))
    alpha_bars = chain.alpha_bar_at(step), chain.alpha_bar_at(earlier)
    mean, variance = q_posterior(x_0, noised.x_t, *alpha_bars)
    coef_x_0, coef_x_t = posterior_coefficients(*alpha_bars)
    numbers = {"coef_x_0": float(coef_x_0), "coef_x_t": float(coef_x_t), "variance": float(variance), "std": float(variance) ** 0.5}
    return to_pil(mean), {"t": step, "s": earlier, **numbers}


def kl_gaussian(mean_1: float, std_1: float, mean_2: float, std_2: float) -> dict:
    """KL(N(mean_1, std_1^2) || N(mean_2, std_2^2)) of two Gaussians on the line, in nats and in bits."""
    means = [finite_number(mean, name, -MAX_NUMBER, MAX_NUMBER) for mean, name in ((mean_1, "mean_1"), (mean_2, "mean_2"))]
    stds = [finite_number(std, name, 1 / MAX_NUMBER, MAX_NUMBER) for std, name in ((std_1, "std_1"), (std_2, "std_2"))]
    first, second = (torch.tensor(mean, dtype=torch.float64) for mean in means)
    nats = float(gaussian.kl_gaussian(first, stds[0] ** 2, second, stds[1] ** 2))
    return {"nats": nats, "bits": nats / math.log(2)}


def compare_routes(image: str, schedule: str, t: float, draws: float, seed: float) -> dict:
    """Noise an image (28 x 28, gray) by t + 1 single steps and by one jump, `draws` times each; returns what differs, with standard errors."""
    chain = NoiseSchedule.make(one_of(schedule, "schedule", tuple(SCHEDULES)), T)
    step, count = whole_number(t, "t", 0, T - 1), whole_number(draws, "draws", 2, MAX_DRAWS)
    return asdict(noising.compare_routes(load_image(image, size=28), chain, step, draws=count, seed=whole_number(seed, "seed")))


def plain_errors(handler: Callable) -> Callable:
    """Pass a user's mistake on as its one sentence; anything else stays in the server's log."""

    @functools.wraps(handler)
    def inner(*arguments: Any) -> Any:
        try:
            return handler(*arguments)
        except TextError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return inner
