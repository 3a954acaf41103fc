"""`NotesDDPMScheduler`: the one adapter between the notes' formulas and diffusers. Pipelines record this module's address; it does not move."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers, SchedulerMixin
from diffusers.utils import BaseOutput
from torch import Tensor

from ddpm_space.analytic import chosen_timesteps
from ddpm_space.notes.forward import q_between, q_between_sample
from ddpm_space.notes.reverse import q_posterior, velocity
from ddpm_space.schedule import TERMINAL_ALPHA_BAR_LIMIT
from ddpm_space.scheduler_parts import export
from ddpm_space.scheduler_parts.chain import LEARNED_VARIANCES, ReverseChain, learned_sigma, noising_weights, split_output, step_noise, weights
from ddpm_space.scheduler_parts.device_table import DeviceTable
from ddpm_space.scheduler_parts.options import by_keyword, check_options
from ddpm_space.scheduler_parts.stock_schedules import build_schedule, epsilon_problem
from ddpm_space.scheduler_parts.thresholding import dynamic_threshold
from ddpm_space.spacing import custom_timesteps


@dataclass
class NotesDDPMSchedulerOutput(BaseOutput):
    """What `step` returns: x_s and the x_0_hat it was made from (after clipping), both (B, ...)."""

    prev_sample: Tensor
    pred_original_sample: Tensor | None = None

    def __post_init__(self) -> None:
        # What diffusers' general form does for any fields, in a third of its time.
        self["prev_sample"] = self.prev_sample
        if self.pred_original_sample is not None:
            self["pred_original_sample"] = self.pred_original_sample


class NotesDDPMScheduler(SchedulerMixin, ConfigMixin):
    """diffusers' `DDPMScheduler` on the notes' formulas: same config, same calls, same samples from the same generator [N5-N8].

    Beyond diffusers: one `step` for a batch of different timesteps, `posterior`, `q_step`, `variance_type="given"`, every schedule of `SCHEDULES`
    by name, and `to_stock` for export. Different on purpose: option strings are checked here; `fixed_large_log` is the variance beta_t and not NaN;
    the noise weight is formed before a cast to half precision; "trailing" never visits t = -1; the step to clean data adds no noise
    [Ho 2020 algorithm 2], also where it does not start at t = 0.

    `betas`, `alphas` and `alphas_cumprod` are float64 tables on the CPU and cannot be assigned: build a scheduler with `trained_betas` instead.

    Args:
        as in `DDPMScheduler`, and
        beta_schedule, variance_type: of `scheduler_parts.stock_schedules.BETA_SCHEDULES`, and of `scheduler_parts.chain.VARIANCE_TYPES`.
        timestep_spacing: one of `spacing.TIMESTEP_SPACINGS`, or "optimal".
        given_variance: for "given", T values sigma_t^2 by training timestep; None at every t that the chain in use does not visit.
        posterior_variance: for the variance "analytic" and the spacing "optimal", T values V_t as `analytic.estimate` finds them; any chain will do.
        decoder_nats: for that spacing, T values of L_0 per dimension, from that estimate; decoder_variance: their sigma_t^2, for the bound alone.
    Raises:
        ValueError: an unknown option, or a number out of range; the valid ones are named.
    """

    _compatibles = [scheduler.name for scheduler in KarrasDiffusionSchedulers]  # noqa: RUF012 - declared so by SchedulerMixin
    order = 1
    _chain: ReverseChain | None = None

    @by_keyword
    @register_to_config
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 0.0001,
        beta_end: float = 0.02,
        beta_schedule: str = "linear",
        trained_betas: Sequence[float] | None = None,
        variance_type: str = "fixed_small",
        clip_sample: bool = True,
        prediction_type: str = "epsilon",
        thresholding: bool = False,
        dynamic_thresholding_ratio: float = 0.995,
        clip_sample_range: float = 1.0,
        sample_max_value: float = 1.0,
        timestep_spacing: str = "leading",
        steps_offset: int = 0,
        rescale_betas_zero_snr: bool = False,
        given_variance: Sequence[float | None] | None = None,
        posterior_variance: Sequence[float] | None = None,
        decoder_nats: Sequence[float] | None = None,
        decoder_variance: Sequence[float] | None = None,
    ) -> None:
        check_options(self.config)
        self.schedule, problems, self.has_capped_betas = build_schedule(
            beta_schedule, num_train_timesteps, beta_start, beta_end, trained_betas, rescale_betas_zero_snr
        )
        if prediction_type == "epsilon" and (problem := epsilon_problem(self.schedule)):
            problems.append(problem)
        self.problems = tuple(problems)
        """What makes this config unfit for training; empty when nothing does."""
        for problem in self.problems:
            warnings.warn(problem, stacklevel=4)
        self.init_noise_sigma = 1.0
        self.custom_timesteps = False
        self.num_inference_steps: int | None = None
        self._noising = DeviceTable(torch.stack(noising_weights(self.schedule.alpha_bar)))
        self._velocity = DeviceTable(torch.stack(weights(velocity, self.schedule.alpha_bar)))
        self.timesteps = torch.arange(min(num_train_timesteps, len(self.schedule))).flip(0)

    def __len__(self) -> int:
        return self.config.num_train_timesteps

    @property
    def betas(self) -> Tensor:
        """beta_t, (T,) float64 on the CPU."""
        return self.schedule.beta

    @property
    def alphas(self) -> Tensor:
        """1 - beta_t, (T,) float64 on the CPU."""
        return self.schedule.alpha

    @property
    def alphas_cumprod(self) -> Tensor:
        """alpha_bar_t, (T,) float64 on the CPU."""
        return self.schedule.alpha_bar

    @property
    def variance_type(self) -> str:
        return self.config.variance_type

    @property
    def timesteps(self) -> Tensor:
        """The chain's timesteps, int64 in descending order. They may be assigned, like in `set_timesteps(timesteps=...)`."""
        return self._timesteps

    @timesteps.setter
    def timesteps(self, timesteps: Tensor) -> None:
        self._timesteps = timesteps
        self._chain = None

    def set_timesteps(
        self, num_inference_steps: int | None = None, device: str | torch.device | None = None, timesteps: Sequence[int] | None = None
    ) -> None:
        """Choose the chain: a number of steps, spread as `timestep_spacing` says, or a list of timesteps.

        Args:
            num_inference_steps: 1 to T; device: where `timesteps` shall live; timesteps: strictly descending, each in [0, T).
        Raises:
            ValueError: both are given or neither is, or a number is out of range.
        """
        if num_inference_steps is not None and timesteps is not None:
            raise ValueError("pass either num_inference_steps or timesteps, not both")
        T = len(self)
        if timesteps is not None:
            steps = custom_timesteps(T, timesteps)
        else:
            steps = chosen_timesteps(self.schedule, num_inference_steps, self.config)
            first = self.schedule.alpha_bar_at(steps[0]).item()
            if first > TERMINAL_ALPHA_BAR_LIMIT >= self.schedule.terminal_alpha_bar:
                warnings.warn(
                    f"timestep_spacing '{self.config.timestep_spacing}' with {len(steps)} of {T} steps starts at t = {steps[0]}, where alpha_bar = "
                    f"{first:.3g}: x_t is not pure noise there. Use 'trailing', which starts at t = {T - 1}",
                    stacklevel=2,
                )
        self.custom_timesteps = timesteps is not None
        self.num_inference_steps = None if timesteps is not None else len(steps)
        self.timesteps = torch.tensor(steps, dtype=torch.int64).to(device)
        self._reverse_chain().row(steps[0])

    def previous_timestep(self, timestep: int | Tensor) -> int | Tensor:
        """s, where the step from t leads: the next of the chain's timesteps, or -1 (clean data). A tensor once they are set, as in diffusers."""
        if not (self.custom_timesteps or self.num_inference_steps or isinstance(timestep, Tensor)):
            return self._reverse_chain().previous(timestep)
        t = torch.as_tensor(timestep)
        return torch.tensor([self._reverse_chain().previous(value) for value in t.reshape(-1).tolist()]).reshape(t.shape).to(t.device)

    def scale_model_input(self, sample: Tensor, timestep: int | Tensor | None = None) -> Tensor:
        """Return the sample as it is: x_t of a DDPM is the network's input."""
        return sample

    def step(
        self,
        model_output: Tensor,
        timestep: int | Tensor,
        sample: Tensor,
        generator: torch.Generator | list[torch.Generator] | None = None,
        return_dict: bool = True,
        variance_noise: Tensor | None = None,
    ) -> NotesDDPMSchedulerOutput | tuple[Tensor, Tensor]:
        """Draw x_s ~ p_theta(x_s | x_t) for the t of the chain and the s after it [N8; Ho 2020 algorithm 2].

        Args:
            model_output: (B, C, ...) eps, x_0 or v; (B, 2C, ...) with a learned variance.
            timestep: t as an int or a tensor of one element, or (B,) for a timestep each, where noise is always drawn.
            sample: x_t (B, C, ...); generator: for the noise, drawn by the same call as in diffusers.
            variance_noise: the noise itself (B, C, ...), for a caller who has drawn it; the generator is then not asked.
        Returns:
            x_s and x_0_hat, in the sample's shape.
        Raises:
            ValueError: a t outside the chain, or shapes that do not fit. Values on an accelerator are not looked at.
        """
        config = self.config
        row, draws_noise = self._reverse_chain().at(timestep, sample)
        predicted = None
        if config.variance_type in LEARNED_VARIANCES:
            model_output, predicted = split_output(model_output, sample)
        if model_output.shape != sample.shape:
            raise ValueError(
                f"model_output has shape {tuple(model_output.shape)}, the sample {tuple(sample.shape)}: they must be equal (a network that also "
                "predicts the variance needs variance_type 'learned' or 'learned_range')"
            )
        noise_dtype = model_output.dtype
        if noise_dtype != sample.dtype:
            common = torch.promote_types(noise_dtype, sample.dtype)
            model_output, sample = model_output.to(common), sample.to(common)

        if config.prediction_type == "epsilon":
            x_0_hat = (model_output * row.from_output).add_(sample).div_(row.from_sample)
        elif config.prediction_type == "v_prediction":
            x_0_hat = (model_output * row.from_output).add_(sample * row.from_sample)
        else:
            x_0_hat = model_output.clone()
        if config.thresholding:
            x_0_hat = dynamic_threshold(x_0_hat, config.dynamic_thresholding_ratio, config.sample_max_value)
        elif config.clip_sample:
            x_0_hat.clamp_(-config.clip_sample_range, config.clip_sample_range)

        x_s = (x_0_hat * row.coef_x_0).add_(sample * row.coef_x_t)
        if draws_noise:
            # Drawn also where sigma_t is 0, as diffusers does: a generator is then in the same state after the same chain.
            noise = step_noise(model_output, noise_dtype, generator, variance_noise)
            if predicted is not None:
                noise = noise * learned_sigma(predicted, config.variance_type, row.log_beta_tilde, row.log_beta)
            x_s.add_(noise.mul_(row.sigma))
        return NotesDDPMSchedulerOutput(prev_sample=x_s, pred_original_sample=x_0_hat) if return_dict else (x_s, x_0_hat)

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Draw x_t ~ q(x_t | x_0) with the given noise [N6; Ho 2020 eq. 4].

        Args:
            original_samples: x_0 (B, ...); noise: eps (B, ...); timesteps: (B,) or one element, integers in [0, T).
        Returns:
            (B, ...) in x_0's dtype.
        Raises:
            ValueError: a timestep on the CPU outside [0, T).
        """
        weight_x_0, weight_eps = self._noising.at(torch.as_tensor(timesteps), original_samples)
        return weight_x_0 * original_samples + weight_eps * noise

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """v = sqrt(abar_t) eps - sqrt(1 - abar_t) x_0 [N8; Salimans 2022 section 4]; sample is x_0, shapes as in `add_noise`."""
        weight_x_0, weight_eps = self._velocity.at(torch.as_tensor(timesteps), sample)
        return weight_eps * noise + weight_x_0 * sample

    def posterior(self, x_0: Tensor, x_t: Tensor, timestep: int | Tensor) -> tuple[Tensor, Tensor]:
        """q(x_s | x_t, x_0) for the t of the chain and the s after it [N7; Ho 2020 eq. 6-7].

        Args:
            x_0, x_t: (B, ...); timestep: t, an int or (B,).
        Returns:
            mu_tilde (B, ...), beta_tilde float64 in t's shape.
        """
        return q_posterior(x_0, x_t, *self._alpha_bars(timestep))

    def q_step(self, x_s: Tensor, timestep: int | Tensor) -> tuple[Tensor, Tensor]:
        """q(x_t | x_s): noise by one step of the chain; with all timesteps, s = t - 1 [N5; Ho 2020 eq. 2].

        Args:
            x_s: (B, ...) the less noisy sample; timestep: t, where the step ends, an int or (B,).
        Returns:
            mean (B, ...), variance float64 in t's shape.
        """
        return q_between(x_s, *self._alpha_bars(timestep))

    def q_step_sample(self, x_s: Tensor, timestep: int | Tensor, *, eps: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Draw x_t ~ q(x_t | x_s); shapes as in `q_step`, eps (B, ...)."""
        return q_between_sample(x_s, *self._alpha_bars(timestep), eps=eps, generator=generator)

    def to_stock(self) -> DDPMScheduler:
        """Express this scheduler as diffusers' own, which anyone can load; see `export.to_stock`."""
        return export.to_stock(self)

    def save_stock(self, folder: str | Path) -> None:
        """Write `to_stock()` into a folder, and beside it what plain diffusers has no word for; `from_pretrained` reads both."""
        export.save_stock(self, folder)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, subfolder: str | None = None, **kwargs: Any) -> Any:
        """Load a config as diffusers does, ours or stock, and from a local folder also what `save_stock` left beside it."""
        beside = export.read_beside(Path(pretrained_model_name_or_path, subfolder or ""))
        return super().from_pretrained(pretrained_model_name_or_path, subfolder=subfolder, **{**beside, **kwargs})

    def _get_variance(self, t: int | Tensor, predicted_variance: Tensor | None = None, variance_type: str | None = None) -> Tensor:
        """sigma_t^2 under the name that diffusers' own code calls; always a variance, also where diffusers returns a logarithm or a root."""
        chain = self._reverse_chain() if variance_type is None else self._build_chain(variance_type)
        if predicted_variance is not None:
            row = chain.row(int(t))
            return learned_sigma(predicted_variance, variance_type or self.config.variance_type, row.log_beta_tilde, row.log_beta) ** 2
        return chain.sigma2[chain.timesteps.index(int(t))]

    def register_to_config(self, **options: Any) -> None:
        """Change the config; pipelines switch the prediction type that way after construction, so the coefficients have to follow."""
        super().register_to_config(**options)
        self._chain = None

    def _reverse_chain(self) -> ReverseChain:
        if self._chain is None:
            check_options(self.config)
            self._chain = self._build_chain(self.config.variance_type)
        return self._chain

    def _build_chain(self, variance_type: str) -> ReverseChain:
        config = self.config
        return ReverseChain(self.schedule, self._timesteps, config.prediction_type, variance_type, config.given_variance, config.posterior_variance)

    def _alpha_bars(self, timestep: int | Tensor) -> tuple[Tensor, Tensor]:
        previous = self.previous_timestep(timestep)
        return self.schedule.alpha_bar_at(timestep), self.schedule.alpha_bar_at(previous)
