"""The mistakes: each a wrong variant of one formula, with the signature of the right one, and the reason in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ddpm_space.mistakes.formulas import RIGHT, Formulas
from ddpm_space.notes.chain import ancestral_step, chain_alpha_bars
from ddpm_space.notes.coefficients import Coefficient, as_float64, cast, draw_eps
from ddpm_space.notes.forward import q_cumulative, q_step
from ddpm_space.notes.reverse import beta_tilde, p_reverse_sample


@dataclass(frozen=True)
class Mistake:
    """One wrong variant of one formula.

    Args:
        id: its name; zh, en: what is wrong, in one line.
        member: the field of `Formulas` that it replaces, which is the name of the notes' function; wrong: what it puts there.
        equations: ids of the equations that it falsifies.
        process: where it shows, "forward" (`add_noise`) or "reverse" (`denoise`).
        variance_type, shorten: the options of `denoise` with which it shows.
    """

    id: str
    zh: str
    en: str
    member: str
    wrong: Callable
    equations: tuple[str, ...]
    process: str
    variance_type: str = "fixed_small"
    shorten: bool = False

    @property
    def formulas(self) -> Formulas:
        """The right formulas with this one wrong."""
        return replace(RIGHT, **{self.member: self.wrong})


def _noise_times_variance(x_prev: Tensor, beta_t: Coefficient, *, eps: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
    mean, variance = q_step(x_prev, beta_t)
    return mean + cast(variance, x_prev) * draw_eps(x_prev, eps, generator)


def _step_with_variance_as_std(
    x_0_hat: Tensor,
    x_t: Tensor,
    alpha_bar_t: Coefficient,
    alpha_bar_s: Coefficient,
    sigma2_t: Coefficient,
    *,
    eps: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    return ancestral_step(x_0_hat, x_t, alpha_bar_t, alpha_bar_s, as_float64(sigma2_t) ** 2, eps=eps, generator=generator)


def _std_for_beta_tilde(alpha_bar_t: Coefficient, alpha_bar_s: Coefficient) -> Tensor:
    return beta_tilde(alpha_bar_t, alpha_bar_s).sqrt()


def _table(beta: Tensor) -> Tensor:
    """abar (T,), as a schedule's table holds it."""
    return chain_alpha_bars(beta, torch.arange(len(beta) - 1, -1, -1))[0].flip(0)


def _next_row(beta: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    chain_alpha_bars(beta, timesteps)
    alpha_bar, t = _table(beta), torch.as_tensor(timesteps)
    s = torch.cat([t[1:], torch.tensor([-1])])
    return alpha_bar[(t + 1).clamp(max=len(beta) - 1)], alpha_bar[s + 1]


def _step_to_t_minus_1(beta: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    alpha_bar_t, _ = chain_alpha_bars(beta, timesteps)
    return alpha_bar_t, alpha_bar_t / (1 - as_float64(beta)[torch.as_tensor(timesteps)])


def _alpha_for_alpha_bar(beta: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    chain_alpha_bars(beta, timesteps)
    alpha_t = (1 - as_float64(beta))[torch.as_tensor(timesteps)]
    return alpha_t, torch.cat([alpha_t[1:], torch.ones(1, dtype=torch.float64)])


def _mean_without_root(x_0: Tensor, alpha_bar_t: Coefficient) -> tuple[Tensor, Tensor]:
    _, variance = q_cumulative(x_0, alpha_bar_t)
    return cast(as_float64(alpha_bar_t), x_0) * x_0, variance


def _x_0_without_root(x_t: Tensor, eps: Tensor, alpha_bar_t: Coefficient) -> Tensor:
    alpha_bar = as_float64(alpha_bar_t)
    return cast(alpha_bar.rsqrt(), x_t) * x_t - cast((1 - alpha_bar) / alpha_bar.sqrt(), x_t) * eps


def _same_range_fewer_steps(beta: Tensor, steps: int) -> Tensor:
    beta = as_float64(beta)
    return beta[torch.linspace(0, len(beta) - 1, steps, dtype=torch.float64).round().long()]


_ALL = (
    Mistake(
        "variance_as_std",
        "把方差 σ² 当作标准差：采样时加的噪声是 σ²z，应为 σz；样本因此过于单一。",
        "The variance is taken for the standard deviation: sampling adds sigma^2 z instead of sigma z, and the samples lack variety.",
        "ancestral_step",
        _step_with_variance_as_std,
        ("N8.ancestral_step",),
        "reverse",
    ),
    Mistake(
        "std_as_variance",
        "把标准差当作方差：β̃ 处填了 √β̃，每一步噪声都过大。",
        "The standard deviation is taken for the variance: sqrt(beta_tilde) stands where beta_tilde belongs, and every step is too noisy.",
        "beta_tilde",
        _std_for_beta_tilde,
        ("N7.beta_tilde", "N7.q_posterior"),
        "reverse",
    ),
    Mistake(
        "variance_as_std_forward",
        "前向加噪时把 β_t 当作标准差：加的是 β_t ε，应为 √β_t ε；链的终点不是 N(0, I)。",
        "Noising takes beta_t for the standard deviation: it adds beta_t eps instead of sqrt(beta_t) eps, and the chain does not end in N(0, I).",
        "q_step_sample",
        _noise_times_variance,
        ("N6.q_cumulative",),
        "forward",
    ),
    Mistake(
        "off_by_one",
        "t 差一：论文的 t 从 1 数起，表从 0 数起，公式于是用了下一行的 ᾱ，链也走不到 ᾱ = 1。",
        "t is off by one: the paper counts from 1, the table from 0, so the formulas read the next row's abar and never reach abar = 1.",
        "chain_alpha_bars",
        _next_row,
        ("N6.chain_alpha_bars",),
        "reverse",
        shorten=True,
    ),
    Mistake(
        "noise_at_the_last_step",
        "最后一步仍然加噪声：σ_1 z 直接留在了结果里。",
        "Noise is added at the last step too: sigma_1 z stays in the result.",
        "ancestral_step",
        p_reverse_sample,
        ("N8.ancestral_step",),
        "reverse",
        variance_type="fixed_large",
    ),
    Mistake(
        "beta_of_the_full_chain",
        "跳步之后仍用原来的 betas[t]：每步只去掉一小步的噪声，应为 1 − ᾱ_t/ᾱ_s。",
        "After skipping steps betas[t] is still used: each jump removes one small step's noise, where 1 - abar_t / abar_s is meant.",
        "chain_alpha_bars",
        _step_to_t_minus_1,
        ("N6.chain_alpha_bars",),
        "reverse",
    ),
    Mistake(
        "missing_root",
        "漏了根号：从 x_0 直接加噪到 x_t 时，给原图乘了 ᾱ_t，应为 √ᾱ_t；图像消失得太快。",
        "A square root is missing: the jump scales the image by abar_t instead of sqrt(abar_t), and it fades too fast.",
        "q_cumulative",
        _mean_without_root,
        ("N6.q_cumulative", "N3.q_cumulative_sample"),
        "forward",
    ),
    Mistake(
        "missing_root_in_x_0_hat",
        "漏了根号：求 x̂_0 时减去 (1 − ᾱ_t) ε，应为 √(1 − ᾱ_t) ε；噪声总是减得不够。",
        "A square root is missing: x_0_hat subtracts (1 - abar_t) eps instead of sqrt(1 - abar_t) eps, always too little of the noise.",
        "x_0_from_eps",
        _x_0_without_root,
        ("N8.x_0_from_eps",),
        "reverse",
    ),
    Mistake(
        "alpha_for_alpha_bar",
        "把 α_t 当作 ᾱ_t：少了连乘，公式以为 x_t 几乎没有噪声。",
        "alpha_t is taken for alpha_bar_t: without the product the formulas believe that x_t holds almost no noise.",
        "chain_alpha_bars",
        _alpha_for_alpha_bar,
        ("N6.chain_alpha_bars",),
        "reverse",
    ),
    Mistake(
        "prior_never_reached",
        "T 变短而 β 的范围不变：x_T 里还留着原图，采样却从纯噪声出发。",
        "T is shortened and the range of beta is not rescaled: x_T still holds the image, while sampling starts from pure noise.",
        "shortened_betas",
        _same_range_fewer_steps,
        ("N6.shortened_betas",),
        "reverse",
        shorten=True,
    ),
)

MISTAKES: dict[str, Mistake] = {mistake.id: mistake for mistake in _ALL}
"""Every mistake by id. `alpha_for_alpha_bar` may end in NaN on a schedule whose beta falls somewhere: its beta_{t|s} is negative there."""
