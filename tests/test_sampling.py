"""Sampling: every frame is a step of the chain that can be recomputed by hand, images keep their seed, and bad settings are refused."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
import torch
from diffusers import DDPMScheduler
from scipy import stats

from ddpm_space.denoiser import Denoiser
from ddpm_space.images import ImageError
from ddpm_space.sampling import SETTINGS_ERRORS, VARIANCES, Frame, SamplingSettings, SettingsError, image_generator, open_step, sample
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.spacing import TIMESTEP_SPACINGS, spaced_timesteps

SHAPE = (1, 4, 4)


def settings(**changes: object) -> SamplingSettings:
    return SamplingSettings(**{"num_images": 3, "num_steps": 7, "num_train_timesteps": 40, **changes})


def frames(denoiser: Denoiser, shape: tuple[int, int, int] = SHAPE, **changes: object) -> list[Frame]:
    return list(sample(denoiser, shape, settings(**changes)))


@pytest.mark.filterwarnings("ignore:timestep_spacing")
@pytest.mark.parametrize("spacing", TIMESTEP_SPACINGS)
@pytest.mark.parametrize("num_steps", [1, 7, 40])
def test_a_chain_runs_from_noise_to_clean_data(gaussian, spacing: str, num_steps: int) -> None:
    chain = frames(gaussian.denoiser, spacing=spacing, num_steps=num_steps)
    assert len(chain) == num_steps and [frame.index for frame in chain] == list(range(num_steps))
    assert {frame.total for frame in chain} == {num_steps}
    assert chain[-1].s == -1 and chain[-1].noise is None
    for before, after in pairwise(chain):
        assert before.s == after.t < before.t and before.x_prev is after.x_t
    if spacing == "trailing":
        assert chain[0].t == 39


@pytest.mark.filterwarnings("ignore:timestep_spacing")
@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("variance_type", VARIANCES)
@pytest.mark.parametrize("spacing", TIMESTEP_SPACINGS)
def test_an_opened_step_gives_x_prev_back(schedule: NoiseSchedule, prediction_type: str, variance_type: str, spacing: str) -> None:
    """By the formulas of Ho et al. written out here, from the frame's own x_t, x_0_hat and noise: to float32 rounding."""
    denoiser = Denoiser(lambda x_t, t: 0.7 * x_t - 0.1, prediction_type, schedule)
    for frame in frames(denoiser, variance_type=variance_type, spacing=spacing):
        step = open_step(frame, schedule)
        abar_t = float(schedule.alpha_bar[frame.t])
        abar_s = float(schedule.alpha_bar[frame.s]) if frame.s >= 0 else 1.0
        beta = 1 - abar_t / abar_s
        coef_x_0, coef_x_t = abar_s**0.5 * beta / (1 - abar_t), (1 - beta) ** 0.5 * (1 - abar_s) / (1 - abar_t)
        variance = 0.0 if frame.s < 0 else beta if variance_type == "fixed_large" else (1 - abar_s) / (1 - abar_t) * beta
        assert (step.coef_x_0, step.coef_x_t, step.sigma2) == pytest.approx((coef_x_0, coef_x_t, variance), rel=1e-9)
        assert (step.mu - (coef_x_0 * frame.x_0_hat + coef_x_t * frame.x_t)).abs().max() < 2e-6
        drawn = 0 if frame.noise is None else step.sigma2**0.5 * frame.noise
        assert (step.mu + drawn - frame.x_prev).abs().max() < 2e-6
        expected = denoiser.predict(frame.x_t, torch.tensor(frame.t), clip=1.0).x_0_hat
        assert (frame.x_0_hat - expected).abs().max() < 1e-5
        assert step.x_prev is frame.x_prev and step.x_t is frame.x_t and (step.t, step.s) == (frame.t, frame.s)


def test_the_reported_noise_is_standard_normal_and_fresh_in_every_step(gaussian) -> None:
    noise = torch.stack([frame.noise for frame in frames(gaussian.denoiser, num_images=16, num_steps=40)[:-1]])
    assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 1e-3
    assert abs(float((noise[1:] * noise[:-1]).mean())) < 4.5 / noise[1:].numel() ** 0.5
    assert abs(float((noise[:, 1:] * noise[:, :-1]).mean())) < 4.5 / noise[:, 1:].numel() ** 0.5


@pytest.mark.parametrize("variance_type", VARIANCES)
def test_the_exact_denoiser_makes_the_data_it_knows(gaussian, variance_type: str) -> None:
    """x_0 is an affine function of independent normals, so mean and variance of the result follow from a recursion over the steps."""
    denoiser = gaussian.denoiser
    chain = frames(denoiser, (1, 16, 16), num_images=64, num_steps=40, variance_type=variance_type, clip_sample=False)
    alpha_bar, mean, variance = denoiser.schedule.alpha_bar.tolist(), 0.0, 1.0
    for t in range(39, -1, -1):
        abar_t, abar_s = alpha_bar[t], alpha_bar[t - 1] if t else 1.0
        beta = 1 - abar_t / abar_s
        gain = abar_t**0.5 * gaussian.std**2 / (abar_t * gaussian.std**2 + 1 - abar_t)
        coef_x_0, coef_x_t = abar_s**0.5 * beta / (1 - abar_t), (1 - beta) ** 0.5 * (1 - abar_s) / (1 - abar_t)
        noise = 0.0 if t == 0 else beta if variance_type == "fixed_large" else (1 - abar_s) / (1 - abar_t) * beta
        slope = coef_x_0 * gain + coef_x_t
        mean = coef_x_0 * gaussian.mean * (1 - gain * abar_t**0.5) + slope * mean
        variance = slope**2 * variance + noise
    x_0, count = chain[-1].x_prev, 64 * 256
    assert abs(float(x_0.mean()) - mean) < 4.5 * (variance / count) ** 0.5
    assert abs(float(x_0.var()) - variance) < 4.5 * variance * (2 / count) ** 0.5
    assert abs(mean - gaussian.mean) < 0.02 and abs(variance**0.5 - gaussian.std) < 0.05


def test_an_image_does_not_depend_on_how_many_are_made_with_it(gaussian) -> None:
    three, one, shifted = (frames(gaussian.denoiser, num_images=n, seed=seed)[-1].x_prev for n, seed in ((3, 5), (1, 5), (3, 6)))
    assert torch.equal(three[:1], one)
    assert (three[0] - three[1]).abs().max() > 0.1 and (three - shifted).abs().min() > 0


def test_neighbouring_seeds_share_no_image() -> None:
    first = torch.stack([torch.randn(8, generator=image_generator(seed, index)) for seed in range(20) for index in range(20)])
    assert len(first.unique(dim=0)) == 400
    assert stats.kstest(first.flatten().numpy(), "norm").pvalue > 1e-3


def test_clipping_is_a_setting(schedule: NoiseSchedule) -> None:
    wild = Denoiser(lambda x_t, t: 3 * x_t, "sample", schedule)
    assert max(float(frame.x_0_hat.abs().max()) for frame in frames(wild)) <= 1
    assert max(float(frame.x_0_hat.abs().max()) for frame in frames(wild, clip_sample=False)) > 1


def test_the_consumer_is_not_put_into_inference_mode(gaussian) -> None:
    for _ in sample(gaussian.denoiser, SHAPE, settings()):
        assert not torch.is_inference_mode_enabled()
        assert torch.ones(1, requires_grad=True).mul(2).requires_grad


def test_no_gradient_is_kept(schedule: NoiseSchedule) -> None:
    weight = torch.ones(1, requires_grad=True)
    chain = frames(Denoiser(lambda x_t, t: x_t * weight, "epsilon", schedule))
    assert not any(tensor.requires_grad for frame in chain for tensor in (frame.x_prev, frame.x_0_hat))


def test_closing_the_generator_stops_the_work(schedule: NoiseSchedule) -> None:
    calls = []
    stream = sample(Denoiser(lambda x_t, t: calls.append(int(t[0])) or x_t, "epsilon", schedule), SHAPE, settings(num_steps=40))
    next(stream)
    next(stream)
    stream.close()
    assert len(calls) == 2
    with pytest.raises(StopIteration):
        next(stream)


def test_a_chain_that_ends_in_nan_is_an_error(schedule: NoiseSchedule) -> None:
    broken = Denoiser(lambda x_t, t: x_t * float("nan"), "epsilon", schedule)
    stream = sample(broken, SHAPE, settings(num_steps=3))
    with pytest.raises(ImageError, match="48 of 48") as caught:
        list(stream)
    assert caught.value.key == "error.image.sample_not_finite"


BAD_SETTINGS = [
    ({"num_images": 0}, "num_images"),
    ({"num_images": 10**9}, "num_images"),
    ({"num_images": 2.5}, "num_images"),
    ({"num_steps": 0}, "num_steps"),
    ({"num_steps": -5}, "num_steps"),
    ({"num_steps": 41}, "num_steps"),
    ({"num_steps": 10**9}, "num_steps"),
    ({"num_steps": None}, "num_steps"),
    ({"num_steps": float("nan")}, "num_steps"),
    ({"num_steps": "ten"}, "num_steps"),
    ({"spacing": "even"}, "spacing"),
    ({"spacing": None}, "spacing"),
    ({"variance_type": "learned"}, "variance_type"),
    ({"variance_type": ["fixed_small"]}, "variance_type"),
    ({"seed": -1}, "seed"),
    ({"seed": 2**63}, "seed"),
    ({"seed": 1.5}, "seed"),
]


@pytest.mark.parametrize(("changes", "name"), BAD_SETTINGS, ids=[str(changes) for changes, _ in BAD_SETTINGS])
def test_impossible_settings_are_refused(changes: dict[str, object], name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(**changes)
    assert caught.value.key == f"error.settings.{name}"
    assert str(next(iter(changes.values()))) in str(caught.value)


def test_more_steps_than_the_model_has_are_refused(gaussian) -> None:
    with pytest.raises(SettingsError, match="from 1 to 40"):
        next(sample(gaussian.denoiser, SHAPE, SamplingSettings(num_steps=100)))


def test_error_texts_name_their_values() -> None:
    for key, template in SETTINGS_ERRORS.items():
        values = {name: 7 for name in re.findall(r"{(\w+)", template)}
        assert str(SettingsError(key, **values)).count("7") >= len(values)


def test_the_noise_is_what_diffusers_would_draw(gaussian) -> None:
    """The same chain by diffusers' scheduler, which draws from one generator an image itself; only the frames say what was drawn."""
    chain = frames(gaussian.denoiser, clip_sample=False)
    schedule = gaussian.denoiser.schedule
    stock = DDPMScheduler(
        num_train_timesteps=len(schedule),
        trained_betas=schedule.beta.tolist(),
        prediction_type=gaussian.denoiser.prediction_type,
        clip_sample=False,
        timestep_spacing="trailing",
    )
    stock.set_timesteps(timesteps=[frame.t for frame in chain])
    generators = [image_generator(0, i) for i in range(3)]
    x_t = torch.cat([torch.randn((1, *SHAPE), generator=generator) for generator in generators])
    for frame in chain:
        x_t = stock.step(gaussian.denoiser.network(x_t, torch.full((3,), frame.t)), frame.t, x_t, generator=generators).prev_sample
        assert (x_t - frame.x_prev).abs().max() < 1e-5
    again = [image_generator(0, i) for i in range(3)]
    for noise in [chain[0].x_t, *(frame.noise for frame in chain[:-1])]:
        assert torch.equal(noise, torch.cat([torch.randn((1, *SHAPE), generator=generator) for generator in again]))


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 33, 50, 100, 999, 1000])
def test_quadratic_timesteps_are_squares_where_there_is_room(steps: int) -> None:
    timesteps = spaced_timesteps(1000, steps, "quadratic")
    assert len(timesteps) == steps and timesteps[0] == 999 and (steps == 1 or timesteps[-1] == 0)
    assert all(later < earlier for earlier, later in pairwise(timesteps))
    # Roots are evenly spread wherever neighbouring squares are at least one apart.
    if 3 <= steps <= 33:
        roots = [math.sqrt(t) for t in timesteps]
        assert max(abs(root - math.sqrt(999) * (1 - i / (steps - 1))) for i, root in enumerate(roots) if root > 3) < 0.1
    if steps == 1000:
        assert timesteps == list(range(999, -1, -1))
