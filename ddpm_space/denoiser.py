"""`Denoiser`: a network together with what its output means. The one place where eps, x_0 and v are told apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ddpm_space.notes import reverse
from ddpm_space.schedule import NoiseSchedule

PREDICTION_TYPES = ("epsilon", "sample", "v_prediction")
"""What a network may predict, in diffusers' words: eps, x_0 or v."""


class Prediction(NamedTuple):
    """One prediction in its three equivalent forms, each (B, C, H, W)."""

    eps_theta: Tensor
    x_0_hat: Tensor
    v: Tensor


@dataclass(frozen=True)
class Denoiser:
    """A network that was trained on `schedule` and predicts eps, x_0 or v from (x_t, t).

    Args:
        network: (x_t (B, ...), t int64 (B,)) -> raw output (B, ...); a UNet, or an exact posterior mean.
        prediction_type: "epsilon", "sample" or "v_prediction".
        schedule: the training schedule; t indexes it.
    Raises:
        ValueError: unknown prediction type.
    """

    network: Callable[[Tensor, Tensor], Tensor]
    prediction_type: str
    schedule: NoiseSchedule

    def __post_init__(self) -> None:
        if self.prediction_type not in PREDICTION_TYPES:
            raise ValueError(f"unknown prediction type '{self.prediction_type}': use one of {', '.join(PREDICTION_TYPES)}")

    def predict(self, x_t: Tensor, t: Tensor, *, clip: float | None = None) -> Prediction:
        """Run the network and convert its output [N8; Ho 2020 eq. 15, Salimans 2022 appendix D].

        Args:
            x_t: (B, ...); t: int64 (B,) or (), in [0, T); clip: bound on |x_0_hat|, None for none. eps_theta and v stay as predicted.
        Returns:
            eps_theta, x_0_hat and v, each (B, ...).
        """
        t = t.expand(x_t.shape[0]) if t.ndim == 0 else t
        prediction = self.convert(self.network(x_t, t), x_t, t)
        return prediction if clip is None else prediction._replace(x_0_hat=prediction.x_0_hat.clamp(-clip, clip))

    def convert(self, output: Tensor, x_t: Tensor, t: Tensor) -> Prediction:
        """Express a raw output of the network as eps_theta, x_0_hat and v; shapes as in `predict`."""
        alpha_bar_t = self.schedule.at(t).alpha_bar_t
        if self.prediction_type == "epsilon":
            return Prediction(output, reverse.x_0_from_eps(x_t, output, alpha_bar_t), reverse.v_from_eps(x_t, output, alpha_bar_t))
        if self.prediction_type == "sample":
            return Prediction(reverse.eps_from_x_0(output, x_t, alpha_bar_t), output, reverse.v_from_x_0(output, x_t, alpha_bar_t))
        return Prediction(reverse.eps_from_v(x_t, output, alpha_bar_t), reverse.x_0_from_v(x_t, output, alpha_bar_t), output)
