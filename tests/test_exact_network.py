"""An exact world where a network is expected: our `Denoiser`, our sampler, and a diffusers pipeline."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from diffusers import DDPMPipeline
from scipy import stats
from torch import Tensor

from ddpm_space.exact import ExactNetwork, PointSet, exact_denoiser
from ddpm_space.sampling import SamplingSettings, sample
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.scheduler import NotesDDPMScheduler

PREDICTION_TYPES = ("epsilon", "sample", "v_prediction")
IMAGES = torch.rand(4, 1, 6, 5, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
SCHEDULE = NoiseSchedule.cosine(120)


@pytest.fixture
def known() -> PointSet:
    return PointSet(IMAGES, torch.tensor([1.0, 2.0, 3.0, 4.0]))


def nearest(images: Tensor) -> tuple[Tensor, Tensor]:
    """Largest pixel difference from the nearest point, and which that is."""
    distance = (images[:, None].double() - IMAGES).abs().flatten(2).amax(2)
    return distance.min(1)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_denoiser_knows_eps_x_0_and_v(known: PointSet, prediction_type: str, dtype: torch.dtype) -> None:
    x_t = torch.randn(6, 1, 6, 5, generator=torch.Generator().manual_seed(1), dtype=dtype)
    t = torch.tensor([5, 20, 40, 60, 80, 100])
    prediction = exact_denoiser(known, SCHEDULE, prediction_type).predict(x_t, t)
    alpha_bar = SCHEDULE.alpha_bar[t]
    for got, wanted in zip(prediction, (known.eps_star(x_t, alpha_bar), known.posterior_mean(x_t, alpha_bar), known.v_star(x_t, alpha_bar))):
        assert got.dtype == dtype and (got - wanted).abs().max() < (1e-5 if dtype == torch.float32 else 1e-12)


def test_called_as_diffusers_calls_a_unet(known: PointSet) -> None:
    network = ExactNetwork(known, SCHEDULE)
    x_t = torch.randn(2, 1, 6, 5)
    wanted = known.eps_star(x_t, SCHEDULE.alpha_bar[7])
    for timestep in (7, torch.tensor(7), torch.tensor([7, 7])):
        assert torch.equal(network(x_t, timestep), wanted) and torch.equal(network(x_t, timestep).sample, wanted)
        assert torch.equal(network(x_t, timestep, return_dict=False)[0], wanted)
    assert network.config.sample_size == network.config["sample_size"] == (6, 5) and network.config.in_channels == 1
    assert not hasattr(network.config, "attention_head_dim")
    assert (network.dtype, network.to(torch.float64).dtype) == (torch.float32, torch.float64)
    assert list(network.parameters()) == [] and network.state_dict() == {}


def test_an_output_is_freed_at_once(known: PointSet) -> None:
    """Without waiting for the cycle collector: a chain makes one output a step."""
    network = ExactNetwork(known, SCHEDULE)
    gc.disable()
    try:
        output = network(torch.randn(2, 1, 6, 5), 7)
        alive = weakref.ref(output)
        del output
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_a_diffusers_pipeline_lands_on_the_points(known: PointSet, prediction_type: str) -> None:
    """And as often on each as its weight says."""
    scheduler = NotesDDPMScheduler(
        num_train_timesteps=120, beta_schedule="squaredcos_cap_v2", prediction_type=prediction_type, clip_sample=False, timestep_spacing="trailing"
    )
    pipeline = DDPMPipeline(unet=ExactNetwork(known, scheduler.schedule, prediction_type), scheduler=scheduler)
    pipeline.set_progress_bar_config(disable=True)
    out = pipeline(batch_size=300, num_inference_steps=120, generator=torch.Generator().manual_seed(0), output_type="pt").images
    distance, place = nearest(out * 2 - 1)
    assert distance.max() < 1e-3
    assert stats.chisquare(torch.bincount(place, minlength=4).numpy(), [30, 60, 90, 120]).pvalue > 1e-3


def test_our_sampler_lands_on_the_points(known: PointSet) -> None:
    settings = SamplingSettings(num_images=40, num_steps=120, num_train_timesteps=120, clip_sample=False)
    *_, last = sample(exact_denoiser(known, SCHEDULE), (1, 6, 5), settings)
    assert nearest(last.x_prev)[0].max() < 1e-3


def test_points_of_a_drawing_as_images_of_one_pixel() -> None:
    """Two coordinates as two channels: the pipeline then draws in the plane."""
    roll = PointSet.swiss_roll(2000).points
    scheduler = NotesDDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2", clip_sample=False, timestep_spacing="trailing")
    pipeline = DDPMPipeline(unet=ExactNetwork(PointSet(roll.reshape(-1, 2, 1, 1)), scheduler.schedule), scheduler=scheduler)
    pipeline.set_progress_bar_config(disable=True)
    out = pipeline(batch_size=100, num_inference_steps=100, generator=torch.Generator().manual_seed(0), output_type="pt").images * 2 - 1
    assert torch.cdist(out.flatten(1).double(), roll).min(1).values.max() < 5e-3


def test_unknown_prediction_type_is_refused(known: PointSet) -> None:
    with pytest.raises(ValueError, match="unknown prediction type 'noise'"):
        ExactNetwork(known, SCHEDULE, "noise")
