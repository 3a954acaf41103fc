"""Chains of different lengths on one noise: what is exact when x_0 stands still, and what a chain of full length must be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ddpm_space import models
from ddpm_space.coupling import bridge_noise, coupled_sample
from ddpm_space.denoiser import Denoiser
from ddpm_space.notes.reverse import beta_tilde
from ddpm_space.sampling import SamplingSettings, sample
from ddpm_space.schedule import NoiseSchedule

SHAPE = (1, 4, 4)


@pytest.mark.parametrize("chain", [NoiseSchedule.linear(200), NoiseSchedule.cosine(200)])
@pytest.mark.parametrize(("t", "s"), [(199, 150), (120, 119), (90, 3), (1, 0)])
def test_the_noises_of_single_steps_have_the_variance_of_the_long_one(chain: NoiseSchedule, t: int, s: int) -> None:
    # Unit vectors in place of noise: what comes out are the weights, and their squares sum to the variance.
    units = iter(torch.eye(t - s, dtype=torch.float64))
    weights = bridge_noise(chain, t, s, lambda: next(units))
    expected = float(beta_tilde(chain.alpha_bar_at(t), chain.alpha_bar_at(s)))
    assert float((weights**2).sum()) == pytest.approx(expected, rel=1e-10)
    assert next(units, None) is None, "each single step draws once"


def test_the_step_to_clean_data_adds_nothing() -> None:
    chain = NoiseSchedule.cosine(50)
    assert float(bridge_noise(chain, 7, -1, lambda: torch.randn(5)).abs().max()) == 0


def still(chain: NoiseSchedule) -> Denoiser:
    """A network that always sees the same clean picture."""
    x_0 = torch.linspace(-0.9, 0.9, 16, dtype=torch.float64).reshape(1, *SHAPE)
    return Denoiser(lambda x_t, t: x_0.to(x_t.dtype).expand_as(x_t), "sample", chain)


def visited(chain: NoiseSchedule, steps: int, **options: object) -> dict[int, torch.Tensor]:
    frames = coupled_sample(still(chain), SHAPE, steps, num_images=2, seed=3, clip=True, **options)
    return {frame.s: frame.x_prev for frame in frames}


@pytest.mark.parametrize("steps", [1, 5, 10, 40, 200])
def test_while_x_0_stands_still_every_length_passes_through_the_same_points(steps: int) -> None:
    chain = NoiseSchedule.linear(200)
    fine, coarse = visited(chain, 200), visited(chain, steps)
    assert set(coarse) <= set(fine) and len(coarse) == steps
    for s, x_s in coarse.items():
        assert float((x_s - fine[s]).abs().max()) < 2e-5
    if steps == 10:
        loose = visited(chain, 10, coupled=False)
        inside = [s for s in loose if s >= 0]
        assert min(float((loose[s] - fine[s]).abs().max()) for s in inside[:5]) > 0.05, "fresh noise leads elsewhere"


def test_two_lengths_without_coupling_share_x_T_alone() -> None:
    chain = NoiseSchedule.linear(200)
    seen: dict[int, torch.Tensor] = {}
    for steps in (5, 10):
        denoiser = Denoiser(lambda x_t, t, steps=steps: seen.setdefault(steps, x_t) * 0, "sample", chain)
        next(coupled_sample(denoiser, SHAPE, steps, num_images=2, seed=3, clip=True, coupled=False))
    assert torch.equal(seen[5], seen[10])


def test_a_chain_of_full_length_is_the_sampler_s(tiny_pipeline: Path) -> None:
    model = models.load(tiny_pipeline)
    *_, expected = sample(model.denoiser, model.shape, SamplingSettings(3, 50, "trailing", "fixed_small", True, 5, 50))
    *_, last = coupled_sample(model.denoiser, model.shape, 50, num_images=3, seed=5, clip=True)
    assert float((last.x_prev - expected.x_prev).abs().max()) < 1e-4
