"""`ExactChain`: a reverse chain on the line whose p_theta(x_0) is known, by quadrature, and with it log p, the ELBO and the gap between them.

All integrals are sums over one even grid, which for smooth functions that vanish at its ends converges faster than any power of its step.
The last step's p_theta(x_0 | x_1) is a Gaussian density (no grey levels, no bins), so log p and the bounds are nats of a density.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.exact.distribution import CHUNK_ELEMENTS, ExactDistribution
from ddpm_space.exact.floor import TAILS, Estimate, optimal_variances, quadrature_nodes
from ddpm_space.likelihood import bound_variance, check_chain
from ddpm_space.notes import elbo, importance
from ddpm_space.notes.forward import q_cumulative, q_step, q_step_sample
from ddpm_space.notes.gaussian import log_density
from ddpm_space.notes.reverse import p_reverse, q_posterior
from ddpm_space.schedule import NoiseSchedule

NODES_PER_SD = 2
"""Grid nodes in one standard deviation of the narrowest Gaussian; a sum over a Gaussian is then off by 2 exp(-2 pi^2 NODES_PER_SD^2) of it, 1e-34."""

FIXED_VARIANCES = ("fixed_small", "fixed_large")

MAX_EVALUATIONS = 10**9
"""Steps x nodes^2, the Gaussians that one pass over the chain evaluates: a matter of half a minute on one core."""


class ExactChain:
    """The chain p(x_T) = N(0, 1), p_theta(x_s | x_t) = N(mu_theta(x_t), sigma_t^2) on the line, from x_T down to x_0 [N8; Ho 2020 eq. 1].

    Args:
        model: a distribution of shape (1,), whose posterior mean then is x_0_hat, or a `Denoiser` that takes (B, 1).
        schedule: the chain; a `respaced()` one where its `timesteps` index the denoiser's own.
        sigma2: (T,) variances > 0, or "fixed_small", "fixed_large" (both as in `likelihood.bound_variance`) or "optimal" (a distribution only).
        reach: largest |x_0| that will be asked about; the data's own range for a distribution, 4 for a denoiser.
        nodes_per_sd: fineness of the grid, see NODES_PER_SD.
    Raises:
        ValueError: a model not on the line, unknown or unusable variances, or a chain whose steps are too many or too narrow for MAX_EVALUATIONS.
    """

    def __init__(
        self,
        model: ExactDistribution | Denoiser,
        schedule: NoiseSchedule,
        sigma2: Tensor | str = "fixed_small",
        *,
        reach: float | None = None,
        nodes_per_sd: float = NODES_PER_SD,
    ) -> None:
        if isinstance(model, ExactDistribution) and model.shape != (1,):
            raise ValueError(f"the model's samples have shape {model.shape}: an exact chain lives on the line, shape (1,)")
        check_chain(schedule)
        self.model, self.schedule = model, schedule
        self.sigma2 = _variances(model, schedule, sigma2)
        self.reach = _data_range(model) if reach is None else reach
        # x_t given x_0 lies within sqrt(abar) |x_0| + TAILS sqrt(1 - abar), which is at most this.
        bound = math.hypot(TAILS, self.reach)
        self.grid = self._even_grid(bound, nodes_per_sd)
        self.step = float(self.grid[1] - self.grid[0])
        self.mu = torch.stack([self.mu_theta(self.grid, row) for row in range(len(schedule))])
        self.log_marginals = self._marginals()
        self._gap_on_grid: dict[int, Tensor] = {}

    def mu_theta(self, x_t: Tensor, row: int) -> Tensor:
        """The mean of p_theta(x_s | x_t) at the chain's row (0 is the step to clean data): x_t and result of any shape, float64."""
        flat = x_t.reshape(-1, 1)
        if isinstance(self.model, Denoiser):
            x_0_hat = self.model.predict(flat, self.schedule.timesteps[row]).x_0_hat
        else:
            x_0_hat = self.model.posterior_mean(flat, self.schedule.alpha_bar[row])
        at = self.schedule.at(row)
        return p_reverse(x_0_hat, flat, at.alpha_bar_t, at.alpha_bar_prev, self.sigma2[row])[0].reshape(x_t.shape)

    def log_p(self, x_0: Tensor) -> Tensor:
        """log p_theta(x_0), the integral over all x_1..x_T [N10]: x_0 (M,), result (M,) float64 nats."""
        return self._below(0, self._asked(x_0))

    def elbo(self, x_0: Tensor) -> Tensor:
        """The bound E_q[log p_theta(x_{0:T}) - log q(x_{1:T} | x_0)] <= log_p, exactly [N9; Ho 2020 eq. 3]: (M,) nats."""
        return -self.elbo_terms(x_0).sum(dim=0)

    def elbo_terms(self, x_0: Tensor) -> Tensor:
        """The terms of -ELBO, the expectation over q(x_t | x_0) by quadrature: (T + 1, M) nats: L_0 first, then every L_{t-1}, then L_T."""
        x_0 = self._asked(x_0)
        terms = []
        for row in range(len(self.schedule)):
            at = self.schedule.at(row)
            clean, x_t, mu = torch.broadcast_tensors(x_0, self.grid[:, None], self.mu[row][:, None])
            if row == 0:
                nats = -log_density(clean, mu, self.sigma2[row])
            else:
                nats = elbo.kl_term(*q_posterior(clean, x_t, at.alpha_bar_t, at.alpha_bar_prev), mu, self.sigma2[row])
            terms.append((self._q_weights(x_0, row) * nats).sum(dim=0))
        return torch.stack([*terms, elbo.prior_kl(x_0, self.schedule.alpha_bar[-1])])

    def gap(self, x_0: Tensor) -> Tensor:
        """log p_theta(x_0) - ELBO by the forward route, the sum of `gap_terms`: (M,) nats."""
        return self.gap_terms(x_0).sum(dim=0)

    def gap_terms(self, x_0: Tensor) -> Tensor:
        """E over q(x_{t-1} | x_0) of KL(q(x_t | x_{t-1}) || p_theta(x_t | x_{t-1})) for t = 1..T [N9]: (T, M) nats, each >= 0.

        p_theta(x_t | x_{t-1}) comes from Bayes on the grid: p_theta(x_t) p_theta(x_{t-1} | x_t) / p_theta(x_{t-1}). The last term holds what
        q(x_T | x_0) and p(x_T) differ by; nothing is subtracted from the bound.
        """
        x_0 = self._asked(x_0)
        terms = [self._forward_kl(0, x_0)]
        for row in range(1, len(self.schedule)):
            if row not in self._gap_on_grid:
                self._gap_on_grid[row] = self._forward_kl(row, self.grid)
            terms.append(self._gap_on_grid[row] @ self._q_weights(x_0, row - 1))
        return torch.stack(terms)

    def log_weights(self, x_0: Tensor, trajectories: int, *, generator: torch.Generator | None = None) -> Tensor:
        """log of p_theta(x_{0:T}) / q(x_{1:T} | x_0) along trajectories drawn from q [N9]: x_0 (M,), result (M, trajectories) nats."""
        x_prev = self._asked(x_0)[:, None].expand(-1, trajectories)
        total = torch.zeros(x_prev.shape, dtype=torch.float64)
        for row in range(len(self.schedule)):
            beta_t = self.schedule.beta[row]
            x_t = q_step_sample(x_prev, beta_t, generator=generator)
            total += log_density(x_prev, self.mu_theta(x_t, row), self.sigma2[row]) - log_density(x_t, *q_step(x_prev, beta_t))
            x_prev = x_t
        return total + log_density(x_prev, torch.zeros_like(x_prev), 1.0)

    def iwae(self, x_0: Tensor, k: int, *, trajectories: int = 20_000, generator: torch.Generator | None = None) -> Estimate:
        """IWAE_k, between the ELBO (k = 1) and log p [N9; Burda 2016 eq. 8]: value and error (M,) nats; k divides `trajectories`.

        Equal seeds share their trajectories for every k; or draw `log_weights` once and call `notes.importance.iwae` on its transpose for each k.
        """
        return Estimate(*importance.iwae(self.log_weights(x_0, trajectories, generator=generator).T, k))

    def _asked(self, x_0: Tensor) -> Tensor:
        x_0 = torch.as_tensor(x_0).to("cpu", torch.float64)
        if x_0.ndim != 1:
            raise ValueError(f"x_0 has shape {tuple(x_0.shape)}: use (M,), points on the line")
        if not bool((x_0.abs() <= self.reach).all()):
            raise ValueError(f"|x_0| = {float(x_0.abs().max()):g} is beyond reach = {self.reach:g}: pass a larger reach to ExactChain")
        return x_0

    def _even_grid(self, bound: float, nodes_per_sd: float) -> Tensor:
        coarse = torch.linspace(-bound, bound, 2001, dtype=torch.float64)
        widths = [self.schedule.beta.sqrt().min()]
        for row in range(len(self.schedule)):
            # Where mu_theta is steep, p_theta(x_s | x_t) as a function of x_t is narrower than sigma_t by that slope.
            slope = torch.diff(self.mu_theta(coarse, row)).abs().max() / (coarse[1] - coarse[0])
            widths.append(self.sigma2[row].sqrt() / slope.clamp(min=1.0))
        count = math.ceil(2 * bound * nodes_per_sd / float(torch.stack(widths).min())) + 1
        if len(self.schedule) * count**2 > MAX_EVALUATIONS:
            raise ValueError(f"{len(self.schedule)} steps on the {count} grid nodes that the narrowest needs: use fewer steps or larger variances")
        return torch.linspace(-bound, bound, count, dtype=torch.float64)

    def _marginals(self) -> Tensor:
        """log p_theta(x_t) on the grid for every row: (T, n)."""
        log_p = log_density(self.grid, torch.zeros_like(self.grid), 1.0)
        marginals = [log_p]
        for row in range(len(self.schedule) - 1, 0, -1):
            log_p = self._below(row, self.grid, log_p)
            lost = abs(1 - self.step * float(log_p.exp().sum()))
            if not lost < 1e-8:
                raise ValueError(f"p_theta at row {row - 1} has {lost:.1e} of its mass beyond the grid: pass a larger reach (now {self.reach:g})")
            marginals.append(log_p)
        return torch.stack(marginals[::-1])

    def _joint(self, row: int, x_s: Tensor, log_p: Tensor) -> Tensor:
        """log of p_theta(x_t) p_theta(x_s | x_t) for x_t on the grid: (m, n)."""
        return log_p + _log_normal(x_s[:, None], self.mu[row], self.sigma2[row])

    def _below(self, row: int, x_s: Tensor, log_p: Tensor | None = None) -> Tensor:
        """log p_theta(x_s) of the step that ends at x_s, from the density of the step's start on the grid: (m,)."""
        log_p = self.log_marginals[row] if log_p is None else log_p
        parts = [self._joint(row, part, log_p).logsumexp(dim=1) for part in x_s.split(self._rows())]
        return torch.cat(parts) + math.log(self.step)

    def _forward_kl(self, row: int, x_s: Tensor) -> Tensor:
        """KL(q(x_t | x_s) || p_theta(x_t | x_s)) at each x_s: (m,)."""
        parts = []
        for part in x_s.split(self._rows()):
            joint = self._joint(row, part, self.log_marginals[row])
            log_posterior = joint - joint.logsumexp(dim=1, keepdim=True) - math.log(self.step)
            mean, variance = q_step(part, self.schedule.beta[row])
            log_q = _log_normal(self.grid, mean[:, None], variance)
            parts.append(self.step * (log_q.exp() * (log_q - log_posterior)).sum(dim=1))
        return torch.cat(parts)

    def _q_weights(self, x_0: Tensor, row: int) -> Tensor:
        """The quadrature weights of E over q(x_t | x_0): (n, M)."""
        mean, variance = q_cumulative(x_0, self.schedule.alpha_bar[row])
        return self.step * _log_normal(self.grid[:, None], mean, variance).exp()

    def _rows(self) -> int:
        return max(1, CHUNK_ELEMENTS // len(self.grid))


def data_nodes(distribution: ExactDistribution) -> tuple[Tensor, Tensor]:
    """Nodes and probabilities for expectations over x_0 on the line: by quadrature, or the points themselves; both (n,), float64."""
    weights, means, variances = distribution.components()
    if float(variances.max()) == 0:
        return means[:, 0], weights
    nodes, widths = quadrature_nodes(distribution, 1.0)
    return nodes, widths * distribution.log_density(nodes[:, None], 1.0).exp()


def _log_normal(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    x, mean = torch.broadcast_tensors(x, mean)
    return log_density(x, mean, variance)


def _data_range(model: ExactDistribution | Denoiser) -> float:
    if isinstance(model, Denoiser):
        return 4.0
    _, means, variances = model.components()
    # One more than quadrature asks for.
    return float((means.abs() + (TAILS + 1) * variances.sqrt()).max())


def _variances(model: ExactDistribution | Denoiser, schedule: NoiseSchedule, sigma2: Tensor | str) -> Tensor:
    if isinstance(sigma2, str):
        if sigma2 == "optimal" and isinstance(model, ExactDistribution):
            return optimal_variances(model, schedule)
        if sigma2 not in FIXED_VARIANCES:
            raise ValueError(f"unknown variance '{sigma2}': use one of {', '.join(FIXED_VARIANCES)}, 'optimal' (for a distribution), or (T,) numbers")
    return bound_variance(schedule, sigma2)
