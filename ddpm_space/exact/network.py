"""An exact world in the place of a trained network: for our `Denoiser`, and for a diffusers pipeline."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ddpm_space.denoiser import PREDICTION_TYPES, Denoiser
from ddpm_space.exact.distribution import ExactDistribution
from ddpm_space.schedule import NoiseSchedule


class NetworkConfig(dict):
    """A UNet's config as diffusers reads it: `config.sample_size` and `config["sample_size"]` alike."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class ExactNetwork(nn.Module):
    """The perfect network for a distribution, called like a UNet [N8].

    `network(x_t, t)` returns a tensor, which our `Denoiser` takes; the same tensor carries itself as `.sample`, which diffusers' pipelines read, and
    `network(x_t, t, return_dict=False)` returns `(tensor,)`. It has no weights; its results are in x_t's dtype and on x_t's device.

    Args:
        distribution: the world; a pipeline draws images, so it needs a (C, H, W) one (a set of 2-D points fits as (N, 2, 1, 1)).
        schedule: the training schedule that t indexes; prediction_type: "epsilon", "sample" or "v_prediction".
    Raises:
        ValueError: unknown prediction type.
    """

    def __init__(self, distribution: ExactDistribution, schedule: NoiseSchedule, prediction_type: str = "epsilon") -> None:
        super().__init__()
        if prediction_type not in PREDICTION_TYPES:
            raise ValueError(f"unknown prediction type '{prediction_type}': use one of {', '.join(PREDICTION_TYPES)}")
        self.distribution, self.schedule, self.prediction_type = distribution, schedule, prediction_type
        self.config = NetworkConfig()
        if len(distribution.shape) == 3:
            channels, height, width = distribution.shape
            self.config = NetworkConfig(sample_size=(height, width), in_channels=channels, out_channels=channels)
        # Follows .to(): this is how a pipeline learns the dtype and the device of a network without weights.
        self.register_buffer("_place", torch.zeros(()), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        return self._place.dtype

    @property
    def device(self) -> torch.device:
        return self._place.device

    def forward(self, sample: Tensor, timestep: Tensor | int, return_dict: bool = True) -> Any:
        """Return E[eps | x_t], E[x_0 | x_t] or E[v | x_t].

        Args:
            sample: x_t (B, *shape); timestep: t, an int or int64 of shape () or (B,), in [0, T); return_dict: False for a tuple of one tensor.
        """
        alpha_bar_t = self.schedule.at(timestep).alpha_bar_t
        world = self.distribution
        exact = {"epsilon": world.eps_star, "sample": world.posterior_mean, "v_prediction": world.v_star}[self.prediction_type]
        output = exact(sample, alpha_bar_t)
        if not return_dict:
            return (output,)
        # A view, not itself: a tensor that holds itself would only be freed by the cycle collector.
        output.sample = output.view_as(output)
        return output


def exact_denoiser(distribution: ExactDistribution, schedule: NoiseSchedule, prediction_type: str = "epsilon") -> Denoiser:
    """The perfect `Denoiser` of a distribution; arguments as in `ExactNetwork`."""
    return Denoiser(ExactNetwork(distribution, schedule, prediction_type), prediction_type, schedule)
