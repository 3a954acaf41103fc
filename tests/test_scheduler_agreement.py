"""NotesDDPMScheduler against diffusers' DDPMScheduler: as it ships, and with its own code run in float64."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel
from diffusers.schedulers import scheduling_ddpm
from torch import Tensor

from ddpm_space.scheduler import NotesDDPMScheduler
from ddpm_space.scheduler_parts.chain import LEARNED_VARIANCES

# T = 300 with a range that ends in noise; stock's names, one with zero terminal SNR.
SHORT = {"num_train_timesteps": 300, "beta_start": 1e-4, "beta_end": 0.06}
SCHEDULES = ["linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace"]
PREDICTIONS = ["epsilon", "sample", "v_prediction"]
VARIANCES = ["fixed_small", "fixed_small_log", "fixed_large", "learned", "learned_range"]
SPACINGS = [{"timestep_spacing": "linspace"}, {"timestep_spacing": "trailing"}, {"timestep_spacing": "leading", "steps_offset": 1}]
CLIPPING: list[dict[str, Any]] = [
    {"clip_sample": True, "clip_sample_range": 1.5},
    {"clip_sample": False},
    {"thresholding": True, "sample_max_value": 1.7, "dynamic_thresholding_ratio": 0.9},
]


class _TorchInFloat64:
    """The torch module, but for what it calls float32."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@contextmanager
def _float64() -> Iterator[None]:
    scheduling_ddpm.torch = _TorchInFloat64()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        scheduling_ddpm.torch = torch
        torch.set_default_dtype(torch.float32)


def stock_in_float64(**config: Any) -> DDPMScheduler:
    """diffusers' scheduler, its tables computed by its own code in float64."""
    with _float64():
        scheduler = DDPMScheduler(**config)
    assert scheduler.alphas_cumprod.dtype == torch.float64
    return scheduler


def notes(**config: Any) -> NotesDDPMScheduler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return NotesDDPMScheduler(**config)


def error(left: Tensor, right: Tensor) -> float:
    """Largest difference in units of 1 + |x|."""
    return float(((left - right).abs() / (1 + right.abs())).max())


@pytest.mark.parametrize("beta_schedule", SCHEDULES)
@pytest.mark.parametrize("T", [7, 300])
def test_tables_agree(beta_schedule: str, T: int) -> None:
    for rescale in (False, True):
        config = {**SHORT, "num_train_timesteps": T, "beta_schedule": beta_schedule, "rescale_betas_zero_snr": rescale}
        ours, double, shipped = notes(**config), stock_in_float64(**config), DDPMScheduler(**config)
        for table in ("betas", "alphas", "alphas_cumprod"):
            assert getattr(ours, table).dtype == torch.float64
            torch.testing.assert_close(getattr(ours, table), getattr(double, table), rtol=1e-9, atol=1e-12)
            torch.testing.assert_close(getattr(ours, table).float(), getattr(shipped, table), rtol=0, atol=2e-6)


def _network(x_t: Tensor, t: Tensor, variance_type: str) -> Tensor:
    """Some bounded function of x_t and t, with a second half in [-1, 1] or in (0, 1) for a learned variance."""
    output = torch.sin(3 * x_t + 0.01 * float(t))
    if variance_type not in LEARNED_VARIANCES:
        return output
    second = torch.cos(5 * x_t)
    return torch.cat([output, second if variance_type == "learned_range" else 0.1 + 0.05 * second], dim=1)


# Zero terminal SNR with epsilon divides by zero in stock and here: it is tested as a warning.
GRID = [*itertools.product(SCHEDULES, PREDICTIONS), ("zero terminal SNR", "sample"), ("zero terminal SNR", "v_prediction")]


@pytest.mark.filterwarnings("ignore:timestep_spacing 'leading'")
@pytest.mark.parametrize(("beta_schedule", "prediction_type"), GRID)
def test_every_config_steps_like_stock(beta_schedule: str, prediction_type: str) -> None:
    """To 1e-6 with stock in float64, to 1e-3 with stock as shipped; on float32 samples."""
    zero_snr = beta_schedule == "zero terminal SNR"
    schedule = {"beta_schedule": "linear" if zero_snr else beta_schedule, "rescale_betas_zero_snr": zero_snr}
    for variance_type, spacing, clipping in itertools.product(VARIANCES, SPACINGS, CLIPPING):
        config = {**SHORT, **schedule, "prediction_type": prediction_type, "variance_type": variance_type, **spacing, **clipping}
        ours, _, shipped = schedulers = notes(**config), stock_in_float64(**config), DDPMScheduler(**config)
        for scheduler in schedulers:
            scheduler.set_timesteps(6)
        assert ours.timesteps.tolist() == shipped.timesteps.tolist()
        generators = [torch.Generator().manual_seed(1) for _ in schedulers]
        x_t = torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(0))
        for t in ours.timesteps:
            output = _network(x_t, t, variance_type)
            left, middle, right = (scheduler.step(output, t, x_t, generator) for scheduler, generator in zip(schedulers, generators))
            # With t > 0 on the step to clean data, stock adds the noise of its large and learned variances to the finished image.
            finished = t == ours.timesteps[-1] and t > 0 and not variance_type.startswith("fixed_small")
            for other, tolerance in ((middle, 1e-6), (right, 1e-3)):
                assert error(left.pred_original_sample, other.pred_original_sample) < tolerance, (config, t)
                assert error(left.prev_sample, other.pred_original_sample if finished else other.prev_sample) < tolerance, (config, t)
            assert left.prev_sample.dtype == torch.float32
            x_t = left.prev_sample.clamp(-3, 3)
        for generator in generators[1:]:
            assert torch.equal(generators[0].get_state(), generator.get_state()), "the same noise was drawn"


@pytest.mark.parametrize(
    "config", [{}, {"prediction_type": "v_prediction", "clip_sample": False}, {"variance_type": "fixed_large", "thresholding": True}]
)
def test_a_whole_chain_does_not_drift(config: dict[str, Any]) -> None:
    ours, double = notes(**config), stock_in_float64(**config)
    left = right = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    for t in ours.timesteps:
        left = ours.step(_network(left, t, "fixed"), t, left, generators[0]).prev_sample
        right = double.step(_network(right, t, "fixed"), t, right, generators[1]).prev_sample
    assert error(left, right) < 1e-6


@pytest.mark.parametrize("prediction_type", PREDICTIONS)
def test_the_ancestral_step_is_the_first_order_of_a_stochastic_solver(prediction_type: str) -> None:
    """Lu 2022 derives SDE-DPM-Solver++ from the reverse SDE, in log SNR; its first order is q(x_s | x_t, x_0_hat), beta_tilde and all."""
    config = {**SHORT, "prediction_type": prediction_type, "timestep_spacing": "trailing"}
    ours = NotesDDPMScheduler(**config, clip_sample=False)
    stock = DPMSolverMultistepScheduler(**config, algorithm_type="sde-dpmsolver++", solver_order=1)
    ours.set_timesteps(12)
    stock.set_timesteps(12)
    assert ours.timesteps.tolist() == stock.timesteps.tolist()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 1, 8, 8, generator=generator)
    for t in ours.timesteps:
        noise = torch.randn(x.shape, generator=generator)
        output = torch.tanh(x * 1.3 + 0.1)
        x, theirs = (each.step(output, t, x, variance_noise=noise).prev_sample for each in (ours, stock))
        assert float((x - theirs).abs().max()) < 2e-4 * float(x.abs().max())


@pytest.mark.parametrize("method", ["add_noise", "get_velocity"])
@pytest.mark.parametrize("beta_schedule", SCHEDULES)
def test_noising_and_velocity_agree(method: str, beta_schedule: str) -> None:
    config = {**SHORT, "beta_schedule": beta_schedule}
    ours, double, shipped = notes(**config), stock_in_float64(**config), DDPMScheduler(**config)
    generator = torch.Generator().manual_seed(0)
    x_0, eps = (torch.randn(300, 1, 3, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    t = torch.arange(300)
    assert error(getattr(ours, method)(x_0, eps, t), getattr(double, method)(x_0, eps, t)) < 1e-9
    x_0, eps = x_0.float(), eps.float()
    assert error(getattr(ours, method)(x_0, eps, t), getattr(shipped, method)(x_0, eps, t)) < 1e-3
    for one in (torch.tensor([7]), torch.tensor(7), torch.tensor([7], dtype=torch.int32)):
        assert torch.equal(getattr(ours, method)(x_0, eps, one)[7], getattr(ours, method)(x_0, eps, t)[7])


def test_gradients_agree() -> None:
    """`step` can be differentiated, as guidance and reward fine-tuning do."""
    ours, double = notes(), stock_in_float64()
    gradients = []
    for scheduler in (ours, double):
        x_t = torch.linspace(-2, 2, 32).reshape(2, 1, 4, 4).requires_grad_()
        output = torch.sin(x_t)
        result = scheduler.step(output, 300, x_t, torch.Generator().manual_seed(0))
        (result.prev_sample.square().sum() + result.pred_original_sample.sum()).backward()
        assert x_t.grad is not None
        gradients.append(x_t.grad)
    assert error(*gradients) < 1e-6


def test_mixed_precision_promotes_like_stock() -> None:
    ours, shipped = notes(), DDPMScheduler()
    generator = torch.Generator().manual_seed(0)
    x_t, output = (torch.randn(2, 1, 4, 4, generator=generator) for _ in range(2))
    for low in (torch.float16, torch.bfloat16):
        for a, b in ((x_t.to(low), output.to(low)), (x_t, output.to(low)), (x_t.to(low), output)):
            left, right = (scheduler.step(b, 400, a, torch.Generator().manual_seed(1)) for scheduler in (ours, shipped))
            assert left.prev_sample.dtype == right.prev_sample.dtype
            assert error(left.prev_sample.float(), right.prev_sample.float()) < 4 * torch.finfo(low).eps
        # The noise has the output's type in stock, and is rounded like it.
        zero = torch.zeros_like(x_t)
        noise = torch.randn(x_t.shape, generator=torch.Generator().manual_seed(1), dtype=low)
        sigma = float(ours._get_variance(400)) ** 0.5
        result = ours.step(zero.to(low), 400, zero, torch.Generator().manual_seed(1)).prev_sample
        assert result.dtype == torch.float32
        assert torch.equal(result, (noise * sigma).float())


def test_works_inside_a_stock_pipeline(tiny_pipeline: Any) -> None:
    """Same pictures from a stock DDPMPipeline with either scheduler, with one generator and with one a picture."""
    stock = DDPMPipeline.from_pretrained(tiny_pipeline)
    ours = DDPMPipeline(unet=stock.unet, scheduler=NotesDDPMScheduler.from_config(stock.scheduler.config))
    generators: list[Callable[[], Any]] = [
        lambda: torch.Generator().manual_seed(3),
        lambda: [torch.Generator().manual_seed(i) for i in range(3)],
    ]
    for make, steps in itertools.product(generators, (25, 50)):
        images = []
        for pipeline in (stock, ours):
            pipeline.set_progress_bar_config(disable=True)
            images.append(pipeline(batch_size=3, num_inference_steps=steps, generator=make(), output_type="pt").images)
        assert error(images[0], images[1]) < 1e-3
        assert float(images[0].std()) > 0.05


def test_a_saved_pipeline_comes_back(tiny_pipeline: Any, tmp_path: Any) -> None:
    unet = UNet2DModel.from_pretrained(tiny_pipeline, subfolder="unet")
    DDPMPipeline(unet=unet, scheduler=notes(num_train_timesteps=77, beta_end=0.2)).save_pretrained(tmp_path)
    loaded = DDPMPipeline.from_pretrained(tmp_path).scheduler
    assert type(loaded) is NotesDDPMScheduler
    assert len(loaded) == 77
