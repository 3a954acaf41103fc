"""NotesDDPMScheduler on an accelerator: no value is read there, and a step is the same as on the CPU."""

from __future__ import annotations

from typing import Any

import torch

from ddpm_space.scheduler import NotesDDPMScheduler
from ddpm_space.scheduler_parts.device_table import place_in

# Its end is noise: alpha_bar_T = 1.5e-4.
SHORT: dict[str, Any] = {"num_train_timesteps": 40, "beta_start": 1e-3, "beta_end": 0.4}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_is_read_from_a_device() -> None:
    """On the meta device a tensor has no values at all: whatever waited for one would fail here."""
    for options in ({}, {"prediction_type": "v_prediction", "variance_type": "learned_range"}):
        scheduler = NotesDDPMScheduler(**SHORT, **options)
        x_t = torch.empty(3, 1, 4, 4, device="meta")
        output = torch.cat([x_t, x_t], dim=1) if options else x_t
        t = torch.empty(3, dtype=torch.int64, device="meta")
        assert scheduler.step(output, t, x_t).prev_sample.shape == x_t.shape
        assert scheduler.step(output, t[0], x_t).prev_sample.shape == x_t.shape
        assert scheduler.step(output, 20, x_t).prev_sample.shape == x_t.shape
        assert scheduler.step(output, scheduler.timesteps[3], x_t).prev_sample.shape == x_t.shape
        assert scheduler.add_noise(x_t, x_t, t).shape == x_t.shape
        assert scheduler.get_velocity(x_t, x_t, t).shape == x_t.shape


def test_timesteps_are_recognised_without_being_read() -> None:
    timesteps = torch.arange(100).flip(0)
    for i, t in enumerate(timesteps):
        assert place_in(timesteps, t) == i
    assert place_in(timesteps, timesteps[3:][2]) == 5
    assert place_in(timesteps[10:], timesteps[12]) == 2
    assert place_in(timesteps[10:], timesteps[3]) is None
    assert place_in(timesteps, timesteps[3].clone()) is None
    assert place_in(timesteps[::2], timesteps[4]) == 2
    assert place_in(timesteps[::2], timesteps[5]) is None


def test_a_timestep_off_the_chain_gives_nan_where_it_cannot_be_read() -> None:
    scheduler = NotesDDPMScheduler(**SHORT)
    scheduler.set_timesteps(timesteps=[30, 10])
    x_t = torch.ones(2, 1, 2, 2)
    row = scheduler._reverse_chain()._batch(torch.tensor([30, 20]), x_t)
    assert torch.isfinite(row.coef_x_0[0]).all()
    assert torch.isnan(row.coef_x_0[1]).all()


def test_a_chain_on_a_device_is_stepped_without_reading_it() -> None:
    """Elements of `scheduler.timesteps` on an accelerator give the same steps as their numbers: noise included, and none drawn at t = 0."""

    class OnDevice(torch.Tensor):
        is_cpu = property(lambda self: False)  # type: ignore[assignment]

        def item(self) -> Any:
            raise AssertionError("this would wait for the device")

    numbers, elements = NotesDDPMScheduler(**SHORT), NotesDDPMScheduler(**SHORT)
    numbers.set_timesteps(8)
    elements.set_timesteps(8)
    elements.timesteps = elements.timesteps.as_subclass(OnDevice)
    x_t = torch.randn(2, 1, 4, 4, generator=seeded())
    generators = [seeded(1), seeded(1)]
    for t, on_device in zip(numbers.timesteps.tolist(), elements.timesteps):
        expected = numbers.step(x_t, t, x_t, generators[0]).prev_sample
        assert torch.equal(elements.step(x_t, on_device, x_t, generators[1]).prev_sample, expected)
    assert torch.equal(generators[0].get_state(), generators[1].get_state())
