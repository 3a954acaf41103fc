"""Numbers on the line under the Gaussian kernel of 2015 (row N4): K and the entropy bounds of one small chain, by quadrature."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ddpm_space.exact.floor import optimal_variances, quadrature_nodes
from ddpm_space.exact.mixture import GaussianData, GaussianMixture
from ddpm_space.notes.forward import q_cumulative_sample
from ddpm_space.notes.gaussian import entropy
from ddpm_space.notes.reverse import p_reverse
from ddpm_space.notes.thermo2015 import (
    entropy_cumulative_gaussian,
    log_likelihood_bound,
    log_null_gaussian,
    moment_gaussian,
    step_kl_gaussian,
)
from ddpm_space.notes.thermo2015_entropy import entropy_bounds_gaussian, reverse_entropy_gaussian
from ddpm_space.schedule import NoiseSchedule

SHAPES = ("gaussian", "two_peaks")
NODES = (24, 48)
"""Gauss-Hermite nodes along x_0 within a component, and along eps."""

WITHIN = 0.05
"""Share of the second moment that is spread within each of the two peaks."""


class Account(NamedTuple):
    """K and what it is compared with, nats.

    bound: K; other: K by the second route; moment: what eq. 14 leaves out; null: L_null; truth: E log q(x_0), which no model exceeds; terms: the KLs
    of the steps t = 2..T.
    """

    bound: Tensor
    other: Tensor
    moment: Tensor
    null: Tensor
    truth: Tensor
    terms: Tensor


class Entropies(NamedTuple):
    """Of the steps t = 2..T, nats: the bounds of eq. 24 and H(X_{t-1} | X_t) between them.

    other: the same by another route where there is one; sure: whether the data make the upper bound certain.
    """

    lower: Tensor
    upper: Tensor
    reverse: Tensor
    other: Tensor | None
    sure: bool


class Line:
    """Data on the line with E x_0^2 = moment, a chain, and the reverse chain with the exact mean and the best constant variance of each step.

    Args:
        shape: one of SHAPES; moment: > 0; schedule: the chain.
    """

    def __init__(self, shape: str, moment: float, schedule: NoiseSchedule) -> None:
        self.shape, self.moment, self.schedule = shape, moment, schedule
        place = math.sqrt((1 - WITHIN) * moment)
        if shape == "gaussian":
            self.law: GaussianMixture = GaussianData(torch.zeros(1), moment)
        else:
            peaks = torch.tensor([[-place], [place]], dtype=torch.float64)
            self.law = GaussianMixture(torch.ones(2), peaks, torch.full((2,), WITHIN * moment, dtype=torch.float64))
        self.alpha_bar, self.alpha_bar_prev = schedule.alpha_bar[1:], schedule.alpha_bar_prev[1:]

    def account(self) -> Account:
        """K by KLs averaged over (x_0, x_t), and by entropies: there the mean KL of a step is log(sigma_t^2 / beta_tilde_t) / 2."""
        sigma2 = optimal_variances(self.law, self.schedule)[1:]
        x_0, eps, weight = self._nodes()
        terms = torch.stack([(weight * self._step_kl(row, x_0, eps, sigma2[row - 1])).sum() for row in range(1, len(self.schedule))])
        by_entropies = entropy(sigma2) - entropy(self.schedule.beta_tilde[1:])
        last, first, prior = (
            entropy_cumulative_gaussian(alpha_bar, 1) for alpha_bar in (self.schedule.alpha_bar[-1], self.schedule.alpha_bar[0], 0.0)
        )
        bound, other = (log_likelihood_bound(each, last, first, prior) for each in (terms, by_entropies))
        moment = (weight * moment_gaussian(x_0[:, None], self.schedule.alpha_bar[0], self.schedule.alpha_bar[-1])).sum()
        return Account(bound, other, moment, (weight * log_null_gaussian(x_0[:, None])).sum(), -self._entropy(1.0), terms)

    def entropies(self) -> Entropies:
        """Eq. 24 along the chain; H(X_{t-1} | X_t) by quadrature of the marginals, for Gaussian data also in closed form."""
        lower, upper, sure = entropy_bounds_gaussian(self.alpha_bar, self.alpha_bar_prev, self.moment, 1)
        marginals = torch.stack([self._entropy(float(alpha_bar)) for alpha_bar in self.schedule.alpha_bar])
        by_marginals = upper + marginals[:-1] - marginals[1:]
        closed = reverse_entropy_gaussian(self.moment, self.alpha_bar, self.alpha_bar_prev) if self.shape == "gaussian" else None
        return Entropies(lower, upper, by_marginals, closed, bool(sure.all()))

    def _step_kl(self, row: int, x_0: Tensor, eps: Tensor, sigma2: Tensor) -> Tensor:
        """KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) at each node: (n,)."""
        at = self.schedule.at(row)
        x_t = q_cumulative_sample(x_0, at.alpha_bar_t, eps=eps)[:, None]
        x_0_hat = self.law.posterior_mean(x_t, at.alpha_bar_t)
        mean, variance = p_reverse(x_0_hat, x_t, at.alpha_bar_t, at.alpha_bar_prev, sigma2)
        return step_kl_gaussian(x_0[:, None], x_t, mean, variance, at.alpha_bar_t, at.alpha_bar_prev)

    def _nodes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Nodes (x_0, eps) of E over data and noise, and their weights: (n,) each."""
        (within, share), (eps, chance) = (_hermite(count) for count in NODES)
        weights, means, variances = self.law.components()
        x_0 = (means + variances.sqrt() * within).reshape(-1)
        probability = (weights[:, None] * share).reshape(-1)
        return x_0.repeat_interleave(len(eps)), eps.repeat(len(x_0)), (probability[:, None] * chance).reshape(-1)

    def _entropy(self, alpha_bar: float) -> Tensor:
        """H(X_t) by quadrature."""
        nodes, weights = quadrature_nodes(self.law, alpha_bar)
        log_q = self.law.log_density(nodes[:, None], alpha_bar)
        return -(weights * log_q.exp() * log_q).sum()


def _hermite(count: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of E over N(0, 1)."""
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(count))
    return nodes, weights / weights.sum()
