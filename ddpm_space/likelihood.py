"""The variational bound of any denoiser along any chain, term by term, streamed: L_T, every L_{t-1}, L_0 [N8; Ho 2020 eq. 5].

Conventions, to be printed beside every figure:
- `variance` is the sampler's sigma_t^2: "fixed_small" (beta_tilde_t) or "fixed_large" (beta_t). At the last step beta_tilde is 0 and has no
  density: "fixed_small" takes the next step's beta_tilde there, as Ho et al. do; a chain of one step has no next and takes its beta.
  Sampling is unchanged.
- `clip_x0` clips the predicted x_0 to [-1, 1] before the posterior mean is formed, as the sampler does.
- L_0 is the discretized decoder over 256 grey levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.notes import elbo
from ddpm_space.notes.coefficients import draw_eps
from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.notes.reverse import p_reverse, q_posterior
from ddpm_space.schedule import NoiseSchedule

BOUND_VARIANCES = ("fixed_small", "fixed_large")
_SEED_STRIDE = 1_000_003
"""Keeps the noise of (seed, t) and (seed + 1, t') apart, for any chain shorter than this."""


@dataclass(frozen=True)
class BoundTerm:
    """One term of the bound for a batch of images.

    t is the trained timestep the term belongs to (L_T: the last one), kind one of "L_T", "L_t-1", "L_0"; nats (B,) float64 per image, summed over its
    pixels; eps_mse (B,) the squared error of eps_theta, mean over pixels, None for L_T, which asks no network.
    """

    t: int
    kind: str
    nats: Tensor
    eps_mse: Tensor | None


def bound_variance(schedule: NoiseSchedule, variance: str) -> Tensor:
    """sigma_t^2 of every step of the chain as the bound uses it: (T,) float64, see the conventions above.

    Raises:
        ValueError: unknown variance.
    """
    if variance not in BOUND_VARIANCES:
        raise ValueError(f"unknown variance '{variance}' for the bound: use one of {', '.join(BOUND_VARIANCES)}")
    if variance == "fixed_large":
        return schedule.beta
    return torch.cat([schedule.beta_tilde[1:2] if len(schedule) > 1 else schedule.beta, schedule.beta_tilde[1:]])


def variational_bound(
    denoiser: Denoiser,
    x_0: Tensor,
    *,
    schedule: NoiseSchedule | None = None,
    variance: str = "fixed_small",
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
        ValueError: unknown variance, a row outside the chain, chunk < 1.
    """
    chain = denoiser.schedule if schedule is None else schedule
    sigma2 = bound_variance(chain, variance)
    chosen = sorted(set(range(len(chain)) if rows is None else (int(row) for row in rows)), reverse=True)
    chain.at(torch.tensor(chosen, dtype=torch.int64))
    if chunk < 1:
        raise ValueError(f"chunk = {chunk}: use at least 1 step a call")
    last = int(chain.timesteps[-1])
    yield BoundTerm(last, "L_T", _per_image(elbo.prior_kl(x_0.double(), chain.alpha_bar[-1])), None)
    for start in range(0, len(chosen), chunk):
        yield from _terms(denoiser, x_0, chain, sigma2, chosen[start : start + chunk], clip_x0, seed)


def _terms(denoiser: Denoiser, x_0: Tensor, chain: NoiseSchedule, sigma2: Tensor, rows: list[int], clip_x0: bool, seed: int) -> list[BoundTerm]:
    batch = x_0.shape[0]
    row = torch.tensor(rows).repeat_interleave(batch)
    at = chain.at(row)
    clean = x_0.repeat(len(rows), *([1] * (x_0.ndim - 1)))
    eps = torch.cat([draw_eps(x_0, None, _generator(seed, int(chain.timesteps[r]), x_0.device)) for r in rows])
    x_t = q_cumulative_sample(clean, at.alpha_bar_t, eps=eps)
    with torch.inference_mode():
        prediction = denoiser.predict(x_t, chain.timesteps[row].to(x_0.device), clip=1.0 if clip_x0 else None)
    # The difference of the two means is small against either: it is formed in float64.
    clean, x_t, x_0_hat = clean.double(), x_t.double(), prediction.x_0_hat.double()
    mu_tilde, beta_tilde = q_posterior(clean, x_t, at.alpha_bar_t, at.alpha_bar_prev)
    mu_theta, sigma2_t = p_reverse(x_0_hat, x_t, at.alpha_bar_t, at.alpha_bar_prev, sigma2[row])
    mse = elbo.simple_loss(eps.double(), prediction.eps_theta.double())
    terms = []
    for i, r in enumerate(rows):
        part = slice(i * batch, (i + 1) * batch)
        if r == 0:
            nats = -_per_image(elbo.discretized_log_likelihood(clean[part], mu_theta[part], sigma2_t[part]))
        else:
            nats = _per_image(elbo.kl_term(mu_tilde[part], beta_tilde[part], mu_theta[part], sigma2_t[part]))
        terms.append(BoundTerm(int(chain.timesteps[r]), "L_0" if r == 0 else "L_t-1", nats, mse[part].cpu()))
    return terms


def _per_image(nats: Tensor) -> Tensor:
    return nats.double().flatten(1).sum(dim=1).cpu()


def _generator(seed: int, t: int, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed((seed * _SEED_STRIDE + t) % 2**63)
