"""`Formulas`: the formulas that noising and sampling are made of, as one value in which a mistake can replace one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ddpm_space.notes.chain import ancestral_step, chain_alpha_bars, shortened_betas
from ddpm_space.notes.forward import beta_between, q_cumulative, q_step_sample
from ddpm_space.notes.reverse import beta_tilde, x_0_from_eps


@dataclass(frozen=True)
class Formulas:
    """Functions of the notes by their names there, with their signatures; the right ones by default."""

    q_step_sample: Callable[..., Tensor] = q_step_sample
    q_cumulative: Callable[..., tuple[Tensor, Tensor]] = q_cumulative
    chain_alpha_bars: Callable[..., tuple[Tensor, Tensor]] = chain_alpha_bars
    shortened_betas: Callable[..., Tensor] = shortened_betas
    x_0_from_eps: Callable[..., Tensor] = x_0_from_eps
    beta_tilde: Callable[..., Tensor] = beta_tilde
    beta_between: Callable[..., Tensor] = beta_between
    ancestral_step: Callable[..., Tensor] = ancestral_step


RIGHT = Formulas()
