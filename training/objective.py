"""What the network is asked for, what its answer costs, and how much each timestep counts."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.likelihood import bound_variance
from ddpm_space.notes.elbo import bits_per_dim, discretized_log_likelihood, kl_term
from ddpm_space.notes.reverse import learned_variance, p_reverse, q_posterior, velocity
from ddpm_space.notes.weights import min_snr_weight_eps, min_snr_weight_v, min_snr_weight_x_0
from ddpm_space.schedule import NoiseSchedule
from training.config import TrainConfig

MIN_SNR_WEIGHTS = {"epsilon": min_snr_weight_eps, "sample": min_snr_weight_x_0, "v_prediction": min_snr_weight_v}


class Losses(NamedTuple):
    """The losses of a batch, each (B,) float32: what is minimised, the plain squared error (mean over elements), and a one-term estimate of the
    bound in bits/dim without L_T, None where no variance is learned. Only `weighted` is meant for gradients."""

    weighted: Tensor
    squared_error: Tensor
    vlb: Tensor | None


class Objective:
    """The loss of a config: the squared error of eps, x_0 or v, weighted or not, and L_hybrid where the variance is learned.

    Args:
        config: prediction_type, min_snr_gamma, variance and vlb_weight are read; schedule: the noise of the training.
    """

    def __init__(self, config: TrainConfig, schedule: NoiseSchedule) -> None:
        self.prediction_type, self.schedule, self.min_snr_gamma = config.prediction_type, schedule, config.min_snr_gamma
        self.learns_variance, self.vlb_weight = config.variance == "learned_range", config.vlb_weight
        self.smaller_variance = bound_variance(schedule, "learned_range")

    def per_image(self, output: Tensor, x_0: Tensor, x_t: Tensor, eps: Tensor, t: Tensor) -> Losses:
        """The losses of one answer of the network: w |target - answer|^2, plus lambda L_vlb with a learned variance [Nichol 2021 eq. 16].

        Args:
            output: (B, C, H, W), or (B, 2C, H, W) with a learned variance, in any dtype; the loss is formed in float32 where it lives.
            x_0, x_t, eps: (B, C, H, W) the image in [-1, 1], the noisy one, the noise; t: int64 (B,) on the CPU, which no device then waits for.
        Raises:
            ValueError: the number of channels does not fit.
        """
        channels = x_0.shape[1] * (2 if self.learns_variance else 1)
        if output.shape[1] != channels:
            raise ValueError(f"the network returned {output.shape[1]} channels for {x_0.shape[1]} of the image, where {channels} are needed")
        x_0, x_t, eps = (value.to(output.device, non_blocking=True) for value in (x_0, x_t, eps))
        row = self.schedule.at(t)
        answer = output[:, : x_0.shape[1]].float()
        squared_error = (answer - target(self.prediction_type, x_0, eps, row.alpha_bar_t)).square().flatten(1).mean(dim=1)
        weight = loss_weight(self.prediction_type, row.snr_t, self.min_snr_gamma)
        weighted = weight.to(squared_error) * squared_error
        if not self.learns_variance:
            return Losses(weighted, squared_error.detach(), None)
        vlb = self.bound_estimate(answer.detach(), output[:, x_0.shape[1] :].float(), x_0, x_t, t)
        return Losses(weighted + self.vlb_weight * vlb, squared_error.detach(), vlb.detach())

    def bound_estimate(self, answer: Tensor, position: Tensor, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """T times the bound's term at t: for a uniform t an unbiased estimate of sum L_{t-1} + L_0 [N8; Nichol 2021 section 3.1].

        The predicted x_0 is not clipped, as in the paper's own training. x_0 counts as one of 256 grey levels.

        Args:
            answer: (B, C, H, W) the prediction, detached: only the variance is to learn from this; position: (B, C, H, W) the network's second half.
        Returns:
            (B,) bits/dim.
        """
        row, smaller = self.schedule.at(t), self.smaller_variance[t]
        x_0_hat = Denoiser(lambda *_: answer, self.prediction_type, self.schedule).predict(x_t, t).x_0_hat
        sigma2 = learned_variance((position + 1) / 2, smaller, row.beta_t)
        mu_tilde, _ = q_posterior(x_0, x_t, row.alpha_bar_t, row.alpha_bar_prev)
        mu_theta, _ = p_reverse(x_0_hat, x_t, row.alpha_bar_t, row.alpha_bar_prev, 0.0)
        # At t = 0 the posterior is a point and has no KL: a stand-in keeps that row finite, and L_0 takes its place.
        nats = kl_term(mu_tilde, smaller, mu_theta, sigma2).flatten(1).sum(dim=1)
        last = (t == 0).nonzero().flatten()
        if len(last):
            rows = last.to(nats.device)
            # Element by element, so that the variance which the network chose for each is one value a sample like any other.
            pixels, means, variances = (value[rows].flatten() for value in (x_0, mu_theta, sigma2))
            decoder = -discretized_log_likelihood(pixels, means, variances).reshape(len(rows), -1).sum(dim=1)
            nats = nats.index_copy(0, rows, decoder.to(nats))
        return len(self.schedule) * bits_per_dim(nats, x_0[0].numel())


def target(prediction_type: str, x_0: Tensor, eps: Tensor, alpha_bar_t: Tensor) -> Tensor:
    """eps, x_0 or v, whichever the network predicts [N8; Ho 2020 eq. 14, Salimans 2022 section 4]; all (B, C, H, W)."""
    if prediction_type == "epsilon":
        return eps
    return x_0 if prediction_type == "sample" else velocity(x_0, eps, alpha_bar_t)


def loss_weight(prediction_type: str, snr_t: Tensor, min_snr_gamma: float | None) -> Tensor:
    """Weight of each timestep's squared error: 1, or min(SNR, gamma) in terms of x_0 [Hang 2023 section 3.4].

    The error of x_0 is that of eps divided by the SNR, and that of v divided by SNR + 1.

    Args:
        snr_t: (B,) float64; min_snr_gamma: None for the plain mean squared error, which is L_simple when eps is predicted [Ho 2020 eq. 14].
    Returns:
        (B,) float64.
    """
    if min_snr_gamma is None:
        return torch.ones_like(snr_t)
    return MIN_SNR_WEIGHTS[prediction_type](snr_t, min_snr_gamma)
