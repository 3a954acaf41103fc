"""The variational bound of any denoiser along any chain, term by term, streamed: L_T, every L_{t-1}, L_0 [N8; Ho 2020 eq. 5].

Conventions; `conventions()` words them, to be printed beside every figure:
- `variance` is the sampler's sigma_t^2: "fixed_small" (beta_tilde_t), "fixed_large" (beta_t), "learned_range" (the network's own, between the
  two), "analytic" (the best one for this network, at the last step the decoder's, or V_t where that was not estimated: `ddpm_space.analytic`), or a
  table of given ones. At the last step beta_tilde is 0 and has no density: the next step's beta_tilde stands in, as in Ho et al.; a chain of one
  step has no next and takes its beta. Sampling is unchanged.
- `clip_x0` clips the predicted x_0 to [-1, 1] before the posterior mean is formed, as the sampler does.
- L_0 is the discretized decoder over 256 grey levels.
- Each term uses one draw of x_t from q(x_t | x_0): it is an unbiased estimate of its expectation. The noise of (seed, t, image) does not depend on
  which other terms are asked for, nor on the device.
The network runs where it lives; its predictions are accounted for in float64 on the CPU.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from ddpm_space.analytic import analytic_variance
from ddpm_space.denoiser import Denoiser
from ddpm_space.notes import elbo
from ddpm_space.notes.chain import chain_alpha_bars
from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.notes.reverse import learned_variance, p_reverse, q_posterior
from ddpm_space.schedule import NoiseSchedule

Variance: TypeAlias = str | Tensor
"""One of BOUND_VARIANCES, or the given sigma_t^2 of every step: (T,) float64 > 0 in the chain's order, that of the last step first."""

BOUND_VARIANCES = ("fixed_small", "fixed_large", "learned_range", "analytic")
_SEED_STRIDE = 1_000_003
"""Keeps the noise of (seed, t) and (seed + 1, t') apart, for any chain shorter than this."""


@dataclass(frozen=True)
class BoundTerm:
    """One term of the bound for a batch of images.

    t is the trained timestep the term belongs to (L_T: the last one), kind one of "L_T", "L_t-1", "L_0"; nats (B,) float64 per image, summed over its
    pixels; eps_mse and x_0_mse (B,) the squared errors of eps_theta and x_0_hat, mean over pixels, None for L_T, which asks no network.
    """

    t: int
    kind: str
    nats: Tensor
    eps_mse: Tensor | None
    x_0_mse: Tensor | None


@dataclass(frozen=True)
class Cells:
    """Terms of single images: cell i is the term of row row[i] for image image[i], in nats, with the two squared errors; each (N,)."""

    row: Tensor
    image: Tensor
    nats: Tensor
    eps_mse: Tensor
    x_0_mse: Tensor


def conventions(schedule: NoiseSchedule, variance: Variance, clip_x0: bool, denoiser: Denoiser | None = None) -> str:
    """Say in one sentence under which conventions a bound was taken, of a `denoiser` if it may know its decoder's best variance."""
    named = variance if isinstance(variance, str) else "given"
    own = "" if denoiser is None or denoiser.decoder_variance is None else ", at the last step the decoder's best"
    stand_in = {"fixed_large": "", "given": "", "analytic": own}.get(named, ", at the last step the next step's beta_tilde in place of 0")
    clipping = "clipped to [-1, 1]" if clip_x0 else "not clipped"
    return f"chain '{schedule.name}' of {len(schedule)} steps; variance {named}{stand_in}; x_0_hat {clipping}; L_0 over 256 grey levels"


def check_chain(schedule: NoiseSchedule) -> None:
    """Refuse a chain that has no bound: one whose image is gone before the last step, so that no step leads back.

    Raises:
        ValueError: alpha_bar is 0 before the last step.
    """
    chain_alpha_bars(schedule.beta, torch.arange(len(schedule)).flip(0))


def check_images(x_0: Tensor) -> None:
    """Refuse an empty batch. Raises ValueError with its shape."""
    if x_0.ndim < 2 or x_0.numel() == 0:
        raise ValueError(f"x_0 has shape {tuple(x_0.shape)}: use (B, C, H, W), at least one image")


def bound_variance(schedule: NoiseSchedule, variance: Variance) -> Tensor:
    """sigma_t^2 of every step of the chain as the bound uses it, the smaller end for a learned range: (T,) float64, see the conventions above.

    Raises:
        ValueError: unknown variance, or "analytic", for which see `chain_variance`; given ones that are not T numbers > 0.
    """
    if isinstance(variance, Tensor):
        given = variance.detach().to("cpu", torch.float64)
        if given.shape != schedule.beta.shape or not bool((given > 0).all() & given.isfinite().all()):
            raise ValueError(
                f"given variances of shape {tuple(given.shape)}, smallest {float(given.min()) if given.numel() else 0:g}: the bound needs "
                f"{len(schedule)} finite numbers > 0, one for each step of the chain, the last step's too"
            )
        return given
    if variance not in BOUND_VARIANCES or variance == "analytic":
        raise ValueError(f"unknown variance '{variance}' for the bound: use one of {', '.join(BOUND_VARIANCES)}, or a table of given ones")
    if variance == "fixed_large":
        return schedule.beta
    return torch.cat([schedule.beta_tilde[1:2] if len(schedule) > 1 else schedule.beta, schedule.beta_tilde[1:]])


def chain_variance(denoiser: Denoiser, schedule: NoiseSchedule, variance: Variance) -> Variance:
    """Put numbers in the place of "analytic", which only the network knows; every other variance stays as it is, checked.

    Raises:
        ValueError: as `bound_variance`, or "analytic" for a network whose posterior variance was not estimated.
    """
    if isinstance(variance, str) and variance == "analytic":
        if denoiser.posterior_variance is None:
            raise ValueError("variance 'analytic' needs the network's posterior variance: estimate it with ddpm_space.analytic.estimate")
        variance = analytic_variance(denoiser.posterior_variance, schedule, denoiser.decoder_variance)
    bound_variance(schedule, variance)
    return variance


def variational_bound(
    denoiser: Denoiser,
    x_0: Tensor,
    *,
    schedule: NoiseSchedule | None = None,
    variance: Variance = "fixed_small",
    clip_x0: bool = True,
    seed: int = 0,
    rows: Sequence[int] | None = None,
    chunk: int = 16,
) -> Iterator[BoundTerm]:
    """Yield L_T, then the terms of the chain from the noisiest step down to L_0; each uses one draw of x_t from q(x_t | x_0).

    Args:
        denoiser: the model; x_0: (B, C, H, W) on the 256-level grid in [-1, 1].
        schedule: the chain, the training schedule or a `respaced()` one; default the training one.
        variance, clip_x0: see the conventions in the module's docstring.
        seed: the noise of step t depends on (seed, t) and the batch's shape alone, so a part of the terms equals that part of all terms.
        rows: which steps of the chain, as row numbers in [0, T); default all. L_T comes first in any case.
        chunk: how many steps share one call of the network (batch chunk x B).
    Yields:
        BoundTerm for L_T, then for each row in descending order.
    Raises:
        ValueError: unknown variance, a row outside the chain, chunk < 1, a chain that has no bound.
    """
    chain = denoiser.schedule if schedule is None else schedule
    check_chain(chain)
    check_images(x_0)
    variance = chain_variance(denoiser, chain, variance)
    chosen = sorted(set(range(len(chain)) if rows is None else (operator.index(row) for row in rows)), reverse=True)
    chain.at(torch.tensor(chosen, dtype=torch.int64))
    if chunk < 1:
        raise ValueError(f"chunk = {chunk}: use at least 1 step a call")
    yield BoundTerm(int(chain.timesteps[-1]), "L_T", prior_term(x_0, chain), None, None)
    images = x_0.shape[0]
    for start in range(0, len(chosen), chunk):
        part = chosen[start : start + chunk]
        row, image = torch.tensor(part).repeat_interleave(images), torch.arange(images).repeat(len(part))
        cells = bound_cells(denoiser, x_0, row, image, schedule=chain, variance=variance, clip_x0=clip_x0, seed=seed)
        for i, r in enumerate(part):
            own = slice(i * images, (i + 1) * images)
            kind = "L_0" if r == 0 else "L_t-1"
            yield BoundTerm(int(chain.timesteps[r]), kind, cells.nats[own], cells.eps_mse[own], cells.x_0_mse[own])


def prior_term(x_0: Tensor, schedule: NoiseSchedule) -> Tensor:
    """L_T of each image, (B,) float64 nats: it asks no network [N8; Ho 2020 eq. 5]."""
    return elbo.prior_kl(x_0.cpu().double(), schedule.alpha_bar[-1]).flatten(1).sum(dim=1)


def bound_cells(
    denoiser: Denoiser,
    x_0: Tensor,
    row: Tensor,
    image: Tensor,
    *,
    schedule: NoiseSchedule,
    variance: Variance,
    clip_x0: bool,
    seed: int,
) -> Cells:
    """Evaluate the terms of chosen (step, image) pairs in one call of the network.

    Args:
        x_0: (B, C, H, W) all images, on the network's device; row, image: (N,) int64, the step of the chain and the image of each pair.
        schedule, variance, clip_x0, seed: as in `variational_bound`.
    Returns:
        Cells, everything float64 on the CPU.
    """
    sigma2, at = bound_variance(schedule, variance)[row], schedule.at(row)
    t = schedule.timesteps[row]
    clean, eps = x_0[image.to(x_0.device)], _noise(x_0, t, image, seed)
    x_t = q_cumulative_sample(clean, at.alpha_bar_t, eps=eps)
    clip = 1.0 if clip_x0 else None
    with torch.inference_mode():
        if isinstance(variance, str) and variance == "learned_range":
            prediction, share = denoiser.predict_with_variance(x_t, t.to(x_t.device), clip=clip)
            sigma2 = learned_variance(share.cpu().double(), sigma2, at.beta_t)
        else:
            prediction = denoiser.predict(x_t, t.to(x_t.device), clip=clip)
    # The difference of the two means is small against either: it is formed in float64.
    clean, x_t, eps, x_0_hat = (value.cpu().double() for value in (clean, x_t, eps, prediction.x_0_hat))
    mu_tilde, beta_tilde = q_posterior(clean, x_t, at.alpha_bar_t, at.alpha_bar_prev)
    mu_theta, _ = p_reverse(x_0_hat, x_t, at.alpha_bar_t, at.alpha_bar_prev, 0.0)
    eps_mse = elbo.simple_loss(eps, prediction.eps_theta.cpu().double())
    x_0_mse = ((clean - x_0_hat) ** 2).flatten(1).mean(dim=1)
    # Element by element, so that a variance which the network chose for each element is one value a sample like any other.
    variances = (_one_an_element(value, clean) for value in (beta_tilde, sigma2))
    flat_x_0, mu_tilde, mu_theta, beta_tilde, sigma2 = (value.flatten() for value in (clean, mu_tilde, mu_theta, *variances))
    last, nats = _one_an_element(row == 0, clean).flatten(), torch.empty_like(flat_x_0)
    nats[last] = -elbo.discretized_log_likelihood(flat_x_0[last], mu_theta[last], sigma2[last])
    nats[~last] = elbo.kl_term(mu_tilde[~last], beta_tilde[~last], mu_theta[~last], sigma2[~last])
    return Cells(row, image, nats.reshape(len(row), -1).sum(dim=1), eps_mse, x_0_mse)


def _one_an_element(value: Tensor, like: Tensor) -> Tensor:
    """Spread (N,) over the elements of each sample; what has the samples' shape stays."""
    return (value.reshape(-1, *[1] * (like.ndim - 1)) if value.ndim == 1 else value).expand_as(like)


def _noise(x_0: Tensor, t: Tensor, image: Tensor, seed: int) -> Tensor:
    """The eps of each pair: those of one t are drawn for all images at once, on the CPU, whichever of them are asked for."""
    eps = torch.empty((len(t), *x_0.shape[1:]), dtype=x_0.dtype)
    for step in t.unique().tolist():
        generator = torch.Generator().manual_seed((seed * _SEED_STRIDE + step) % 2**63)
        drawn = torch.randn(x_0.shape, generator=generator, dtype=x_0.dtype)
        eps[t == step] = drawn[image[t == step]]
    return eps.to(x_0.device)
