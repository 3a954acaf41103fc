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
        with_variance: the same network with the variance it also learned, (x_t, t) -> (B, 2C, ...); None if it learned none.
        posterior_variance: (T,) float64, what x_t leaves unknown of x_0, estimated for this network by `analytic`; None where it was not.
        decoder_variance, decoder_nats: (T,) float64, of that estimate: the best variance of L_0 were t the last step, and L_0 then, per dimension.
    Raises:
        ValueError: unknown prediction type.
    """

    network: Callable[[Tensor, Tensor], Tensor]
    prediction_type: str
    schedule: NoiseSchedule
    with_variance: Callable[[Tensor, Tensor], Tensor] | None = None
    posterior_variance: Tensor | None = None
    decoder_variance: Tensor | None = None
    decoder_nats: Tensor | None = None

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
        return _clipped(self.convert(self.network(x_t, t), x_t, t), clip)

    def predict_with_variance(self, x_t: Tensor, t: Tensor, *, clip: float | None = None) -> tuple[Prediction, Tensor]:
        """Run a network that also learned its variance, once, for both [N8; Nichol 2021 eq. 15]; arguments as in `predict`.

        Returns:
            the prediction, and the share (B, C, ...) of log beta_t against log beta_tilde_t: the network's second half, from [-1, 1] to [0, 1].
        Raises:
            ValueError: the network learned no variance.
        """
        if self.with_variance is None:
            raise ValueError("this network learned no variance: use 'fixed_small', 'fixed_large' or given variances")
        t = t.expand(x_t.shape[0]) if t.ndim == 0 else t
        output, position = self.with_variance(x_t, t).chunk(2, dim=1)
        return _clipped(self.convert(output, x_t, t), clip), (position + 1) / 2

    def convert(self, output: Tensor, x_t: Tensor, t: Tensor) -> Prediction:
        """Express a raw output of the network as eps_theta, x_0_hat and v; shapes as in `predict`."""
        alpha_bar_t = self.schedule.at(t).alpha_bar_t
        if self.prediction_type == "epsilon":
            return Prediction(output, reverse.x_0_from_eps(x_t, output, alpha_bar_t), reverse.v_from_eps(x_t, output, alpha_bar_t))
        if self.prediction_type == "sample":
            return Prediction(reverse.eps_from_x_0(output, x_t, alpha_bar_t), output, reverse.v_from_x_0(output, x_t, alpha_bar_t))
        return Prediction(reverse.eps_from_v(x_t, output, alpha_bar_t), reverse.x_0_from_v(x_t, output, alpha_bar_t), output)


def _clipped(prediction: Prediction, clip: float | None) -> Prediction:
    return prediction if clip is None else prediction._replace(x_0_hat=prediction.x_0_hat.clamp(-clip, clip))
