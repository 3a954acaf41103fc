"""`ReverseChain`: the reverse steps of one inference chain, every coefficient formed in float64 beforehand.

A step is linear in x_t, in the network's output and in the noise. Its coefficients are read off the formulas of `notes` by evaluating those at ones
and zeros, for the whole chain at once: no formula is written twice, and a step is only multiplications and additions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from ddpm_space.analytic import sampling_variance
from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.notes.reverse import posterior_coefficients, x_0_from_v
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.scheduler_parts.device_table import DeviceTable, place_in

LEARNED_VARIANCES = ("learned", "learned_range")
VARIANCE_TYPES = ("fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log", *LEARNED_VARIANCES, "given", "analytic")

SMALLEST_VARIANCE = 1e-20
"""Keeps log(beta_tilde) finite where beta_tilde is 0, on the step to clean data."""


class StepCoefficients(NamedTuple):
    """The reverse step t -> s as numbers: Python floats, or tensors (B, 1, ..., 1) for a batch of timesteps.

    x_0_hat = (x_t + from_output output) / from_sample for eps, from_sample x_t + from_output output for v;
    mu_theta = coef_x_0 x_0_hat + coef_x_t x_t; sigma = sigma_t, or 1 where the network supplies it, and always 0 on the step to clean data.
    """

    from_sample: float | Tensor
    from_output: float | Tensor
    coef_x_0: float | Tensor
    coef_x_t: float | Tensor
    sigma: float | Tensor
    log_beta_tilde: float | Tensor
    log_beta: float | Tensor


class ReverseChain:
    """The chain that visits `timesteps` and ends at clean data [N7, N8].

    Args:
        schedule: the training schedule.
        timesteps: (steps,) int64, strictly descending, each in [0, len(schedule)), on any device.
        prediction_type: one of `denoiser.PREDICTION_TYPES`; variance_type: one of VARIANCE_TYPES.
        given_variance: for "given", sigma_t^2 by training timestep; None for a t that the chain does not visit.
        posterior_variance: for "analytic", V_t by training timestep.
    Raises:
        ValueError: bad timesteps, or a given variance for other timesteps than the chain's.
    """

    def __init__(
        self,
        schedule: NoiseSchedule,
        timesteps: Tensor,
        prediction_type: str,
        variance_type: str,
        given_variance: Sequence[float | None] | None = None,
        posterior_variance: Sequence[float] | None = None,
    ) -> None:
        # Where alpha_bar is 0 at t and at s, nothing says how x_s follows from x_t: only the last of such timesteps can start a step.
        dead = int((schedule.alpha_bar_at(timesteps) == 0).sum())
        self._visited = timesteps[max(dead - 1, 0) :]
        chain = schedule.respaced(self._visited)
        self.timesteps = chain.timesteps.tolist()
        self._previous = dict(zip(self.timesteps, [-1, *self.timesteps[:-1]]))
        if variance_type == "given" and given_variance is not None:
            self.sigma2 = _given_on_chain(given_variance, self.timesteps)
        elif variance_type == "analytic" and posterior_variance is not None:
            self.sigma2 = sampling_variance(torch.tensor(posterior_variance, dtype=torch.float64), chain)
        else:
            self.sigma2 = chain.beta if variance_type.startswith("fixed_large") else chain.beta_tilde
        """(steps,) float64 in the order of `timesteps`; for a learned variance, the smaller of its two bounds."""
        self._table = torch.stack(self._coefficients(chain, prediction_type, learned=variance_type in LEARNED_VARIANCES))
        self._rows = {t: StepCoefficients(*row) for t, row in zip(self.timesteps, self._table.T.tolist())}
        self._alpha_bar = schedule.alpha_bar
        self._batch_table: DeviceTable | None = None

    def _coefficients(self, chain: NoiseSchedule, prediction_type: str, *, learned: bool) -> list[Tensor]:
        alpha_bar_t = chain.alpha_bar
        if prediction_type == "v_prediction":
            from_sample, from_output = weights(x_0_from_v, alpha_bar_t)
        else:
            # x_t = signal x_0 + noise eps, solved for x_0 in the order that rounds least: the difference first, then one division, by zero
            # only where no signal is left.
            from_sample, noise = noising_weights(alpha_bar_t)
            from_output = -noise
        coef_x_0, coef_x_t = posterior_coefficients(alpha_bar_t, chain.alpha_bar_prev)
        sigma = torch.ones_like(self.sigma2) if learned else self.sigma2.sqrt()
        sigma = torch.cat([torch.zeros(1, dtype=torch.float64), sigma[1:]])
        return [from_sample, from_output, coef_x_0, coef_x_t, sigma, chain.beta_tilde.clamp(min=SMALLEST_VARIANCE).log(), chain.beta.log()]

    def at(self, timestep: int | Tensor, like: Tensor) -> tuple[StepCoefficients, bool]:
        """The coefficients of the step that starts at t, and whether it draws noise: not at t = 0.

        Args:
            timestep: t as an int, as a tensor of one element, or (B,). A tensor on an accelerator is not read: it is recognised as an element of the
                timesteps that this chain was made from, or else looked up where `like` lives, where a t that is not visited gives NaN.
            like: (B, ...) the sample.
        Returns:
            numbers, or for several timesteps and unrecognised tensors (B, 1, ..., 1) tensors in like's dtype, on its device; these always draw.
        Raises:
            ValueError: t is not one of the chain's timesteps, or there are neither one nor B of them.
        """
        if isinstance(timestep, Tensor):
            if timestep.numel() > 1:
                if timestep.is_cpu:
                    for t in timestep.tolist():
                        self.row(t)
                return self._batch(timestep, like), True
            if timestep.is_cpu:
                timestep = timestep.item()
            else:
                place = place_in(self._visited, timestep)
                if place is None:
                    return self._batch(timestep, like), True
                timestep = self.timesteps[-1 - place]
        return self.row(timestep), timestep > 0

    def _batch(self, timesteps: Tensor, like: Tensor) -> StepCoefficients:
        if self._batch_table is None:
            by_t = torch.full((len(self._table), len(self._alpha_bar)), torch.nan, dtype=torch.float64)
            by_t[:, self.timesteps] = self._table
            self._batch_table = DeviceTable(by_t)
        return StepCoefficients(*self._batch_table.at(timesteps, like))

    def row(self, t: int) -> StepCoefficients:
        """The coefficients of the step that starts at t, as numbers.

        Raises:
            ValueError: t is not one of the chain's timesteps.
        """
        row = self._rows.get(t)
        if row is None:
            raise ValueError(self._not_visited(t))
        return row

    def previous(self, t: int) -> int:
        """s, where the step from t leads; -1 is clean data. Raises ValueError like `row`."""
        self.row(t)
        return self._previous[t]

    def _not_visited(self, t: int) -> str:
        if not 0 <= t < len(self._alpha_bar):
            return f"timestep {t} is outside the chain: use 0 <= t <= {len(self._alpha_bar) - 1}"
        if t > self.timesteps[-1] and self._alpha_bar[self.timesteps[-1]] == 0:
            return (
                f"alpha_bar is 0 at t = {self.timesteps[-1]} already, so no step leads back from t = {t}: use smaller betas, or start the chain there"
            )
        shown = ", ".join(map(str, self.timesteps[::-1][:4]))
        return (
            f"timestep {t} is not one of the {len(self.timesteps)} that this chain visits ({shown}, ...): take them from scheduler.timesteps, "
            "or choose them with set_timesteps"
        )


def weights(function: Callable[[Tensor, Tensor, Tensor], Tensor], alpha_bar_t: Tensor) -> tuple[Tensor, Tensor]:
    """The two weights of a formula that is linear in its two samples: its values at (1, 0) and at (0, 1) for every alpha_bar_t (T,)."""
    one, zero = torch.ones_like(alpha_bar_t), torch.zeros_like(alpha_bar_t)
    return function(one, zero, alpha_bar_t), function(zero, one, alpha_bar_t)


def noising_weights(alpha_bar_t: Tensor) -> tuple[Tensor, Tensor]:
    """The weights of x_0 and of eps in x_t [N6], for every alpha_bar_t (T,)."""
    return weights(lambda x_0, eps, alpha_bar: q_cumulative_sample(x_0, alpha_bar, eps=eps), alpha_bar_t)


def split_output(model_output: Tensor, sample: Tensor) -> tuple[Tensor, Tensor]:
    """Split what a network with a learned variance returns, (B, 2C, ...), into its prediction and its variance.

    Raises:
        ValueError: the network has not twice the sample's channels.
    """
    channels = sample.shape[1]
    if model_output.shape[1] != 2 * channels:
        raise ValueError(
            f"a learned variance needs {2 * channels} output channels for {channels} of the sample, not {model_output.shape[1]}: "
            "use a fixed variance_type, or a network with twice the channels"
        )
    return model_output[:, :channels], model_output[:, channels:]


def step_noise(output: Tensor, dtype: torch.dtype, generator: torch.Generator | list[torch.Generator] | None, given: Tensor | None) -> Tensor:
    """The noise of one step, in a tensor of its own: drawn by diffusers' function, or a copy of what is given.

    Args:
        output: (B, C, ...) the prediction, whose shape and device it has; dtype: what it is drawn in.
    Raises:
        ValueError: a given noise of another shape.
    """
    if given is None:
        return randn_tensor(output.shape, generator=generator, device=output.device, dtype=dtype)
    if given.shape != output.shape:
        raise ValueError(f"variance_noise has shape {tuple(given.shape)}, the sample {tuple(output.shape)}: they must be equal")
    return given.clone()


def learned_sigma(predicted: Tensor, variance_type: str, log_beta_tilde: float | Tensor, log_beta: float | Tensor) -> Tensor:
    """sigma_t from the network's second half: the root of a variance, or between the two fixed ones on the log scale [Nichol 2021 eq. 15].

    Args:
        predicted: (B, C, ...), for "learned" the variance, for "learned_range" the position from -1 (beta_tilde) to 1 (beta).
        variance_type: one of LEARNED_VARIANCES; log_beta_tilde, log_beta: numbers or (B, 1, ...).
    Returns:
        (B, C, ...) standard deviations.
    """
    if variance_type == "learned":
        return predicted.sqrt()
    share = (predicted + 1) / 2
    return (0.5 * (share * log_beta + (1 - share) * log_beta_tilde)).exp()


def _given_on_chain(given_variance: Sequence[float | None], timesteps: Sequence[int]) -> Tensor:
    """Take the given variances of the chain's timesteps (ascending); they must be given for exactly these."""
    given_at = [t for t, value in enumerate(given_variance) if value is not None]
    if given_at != list(timesteps):
        extra, missing = sorted(set(given_at) - set(timesteps)), sorted(set(timesteps) - set(given_at))
        where = f"none for t = {missing[0]}" if missing else f"also one for t = {extra[0]}, which the chain skips"
        raise ValueError(
            f"given_variance has {len(given_at)} values for a chain of {len(timesteps)} steps, {where}: a step's variance depends on how far it "
            "jumps, so give one for each timestep of this chain and None for every other"
        )
    return torch.tensor([given_variance[t] for t in given_at], dtype=torch.float64)
