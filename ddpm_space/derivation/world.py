"""`World`: data on the line, a chain whose p_theta(x_0) is known, and the expectations over q that the derivation's sides are made of.

E over q(x_t | x_0) is here an integral over the eps of x_t = sqrt(abar) x_0 + sqrt(1 - abar) eps, while `ExactChain` integrates over x_t: the two
share no node and no code. Everything is float64 and an average over the data. Rows are the chain's: row 0 is the step to clean data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser, Prediction
from ddpm_space.derivation.step import Side
from ddpm_space.exact.chain import ExactChain
from ddpm_space.exact.network import exact_denoiser
from ddpm_space.notes.forward import q_between, q_cumulative
from ddpm_space.notes.gaussian import log_density
from ddpm_space.notes.reverse import p_reverse, q_posterior

TAIL = 9.0
"""Standard deviations on either side that an integral over a standard normal variable covers."""

OUTER_NODES, INNER_NODES = 513, 129
"""Nodes of an integral over eps, and of the inner one where there are two. The outer is also done with every second node, which gives its error."""

ROUNDING = 1e-9
"""What float64 sums of this length may lose, in nats."""

STANDARD_ERRORS = 5
"""How many of them the sign of a step may be off by."""

Integrand = Callable[[int, Tensor, Tensor], Tensor]
"""(row, x_0 (M, 1), eps (M, n)) -> (M, n)."""


class World:
    """The data, the chain, and expectations over the chain's noising.

    Args:
        x_0: (M,) data on the line; chain: the model with its schedule and variances; trajectories: how many x_1..x_T are drawn for each datum where
            something is drawn, seed: from which random numbers.
    Raises:
        ValueError: x_0 is not (M,), fewer than 2 trajectories, or alpha_bar_T = 0, where eps_theta says nothing about x_0.
    """

    def __init__(self, x_0: Tensor, chain: ExactChain, trajectories: int, seed: int) -> None:
        self.x_0 = torch.as_tensor(x_0).to("cpu", torch.float64)
        if self.x_0.ndim != 1 or self.x_0.numel() == 0:
            raise ValueError(f"x_0 has shape {tuple(self.x_0.shape)}: give (M,), at least one point on the line")
        if trajectories < 2:
            raise ValueError(f"trajectories = {trajectories}: use at least 2, an error bar needs a spread")
        if chain.schedule.terminal_alpha_bar == 0:
            raise ValueError("alpha_bar_T = 0: x_T holds nothing of x_0, and no error of eps_theta can be weighed there; use a last beta below 1")
        self.chain, self.trajectories, self.seed = chain, trajectories, seed
        self.schedule, self.sigma2 = chain.schedule, chain.sigma2
        self.rows = range(len(chain.schedule))
        self.eps = torch.linspace(-TAIL, TAIL, OUTER_NODES, dtype=torch.float64)

    @cached_property
    def log_p(self) -> Tensor:
        """log p_theta(x_0): (M,)."""
        return self.chain.log_p(self.x_0)

    @cached_property
    def log_weights(self) -> Tensor:
        """log p_theta(x_0:T) - log q(x_1:T | x_0) along the trajectories: (trajectories, M)."""
        return self.chain.log_weights(self.x_0, self.trajectories, generator=torch.Generator().manual_seed(self.seed)).T

    @property
    def constants(self) -> Tensor:
        """C_t, a term whose means agree: log(2 pi sigma_1^2) / 2, then (r - 1 - log r) / 2 with r = beta_tilde / sigma_t^2: (T,)."""
        ratio = self.schedule.beta_tilde[1:] / self.sigma2[1:]
        return torch.cat([0.5 * torch.log(2 * math.pi * self.sigma2[:1]), 0.5 * (ratio - 1 - torch.log(ratio))])

    def over_normal(self, values: Tensor) -> Side:
        """E over data and eps of what takes `values` (M, n) at the nodes of eps."""
        density = torch.exp(-(self.eps**2) / 2) / math.sqrt(2 * math.pi)
        terms = (values * density).mean(0)
        step = float(self.eps[1] - self.eps[0])
        fine, coarse = step * terms.sum(), 2 * step * terms[::2].sum()
        return Side(fine, (fine - coarse).abs() + ROUNDING)

    def over_eps(self, integrand: Integrand) -> Side:
        """E over data and eps of an integrand, for every row: (T,)."""
        clean, eps = self.x_0[:, None], self.eps.expand(len(self.x_0), -1)
        sides = [self.over_normal(integrand(row, clean, eps)) for row in self.rows]
        return Side(torch.stack([side.value for side in sides]), torch.stack([side.error for side in sides]))

    def exactly(self, value: Tensor) -> Side:
        """A side from a closed form, or from a grid fine enough that only rounding is left."""
        return Side(value, torch.full((), ROUNDING, dtype=torch.float64))

    def drawn(self, values: Tensor, standard_errors: Tensor) -> Side:
        """The mean over data of independent estimates, (M,) each with its standard error."""
        return Side(values.mean(), STANDARD_ERRORS * (standard_errors**2).sum().sqrt() / len(values))

    def predict(self, x_t: Tensor, row: Tensor | int) -> Prediction:
        """Ask the model at the chain's row: x_t of any shape, the three forms of its answer in that shape."""
        row = torch.as_tensor(row)
        model = self.chain.model
        if isinstance(model, Denoiser):
            t = self.schedule.timesteps[row]
        else:
            model, t = exact_denoiser(model, self.schedule), row
        with torch.inference_mode():
            answer = model.predict(x_t.reshape(-1, 1), t)
        return Prediction(*(form.double().reshape(x_t.shape) for form in answer))

    # Integrands.

    def squared_eps(self, row: int, x_0: Tensor, eps: Tensor) -> Tensor:
        """|eps - eps_theta|^2."""
        return (eps - self.predict(self.x_t(row, x_0, eps), row).eps_theta) ** 2

    def squared_means(self, row: int, x_0: Tensor, eps: Tensor, factor: float = 1.0) -> Tensor:
        """|mu_tilde - mu_theta|^2 / (2 sigma_t^2), mu_theta from x_0_hat; `factor` c takes c eps_theta for the network's answer."""
        x_t = self.x_t(row, x_0, eps)
        (mu_tilde, _), (mu_theta, sigma2) = self.both_steps(row, x_0, x_t, factor)
        return (mu_tilde - mu_theta) ** 2 / (2 * sigma2)

    def kl_by_integral(self, row: int, x_0: Tensor, eps: Tensor) -> Tensor:
        """The integral over x_s of q log(q / p_theta), with q(x_s | x_t, x_0) by Bayes from the forward densities; row >= 1."""
        x_t = self.x_t(row, x_0, eps)
        (mu_tilde, beta_tilde), (mu_theta, sigma2) = self.both_steps(row, x_0, x_t)
        at = self.schedule.at(row)
        z = torch.linspace(-TAIL, TAIL, INNER_NODES, dtype=torch.float64)
        step = float(z[1] - z[0]) * beta_tilde.sqrt()
        total = torch.zeros_like(x_t)
        # Node by node of the inner integral: nodes are chosen around the posterior, its density is not.
        for node in z:
            x_s = mu_tilde + beta_tilde.sqrt() * node
            mean, variance = q_between(x_s, at.alpha_bar_t, at.alpha_bar_prev)
            log_q = log_density(x_t, mean, variance)
            for at_s, alpha_bar, sign in ((x_s, at.alpha_bar_prev, 1), (x_t, at.alpha_bar_t, -1)):
                mean, variance = q_cumulative(x_0, alpha_bar)
                log_q = log_q + sign * log_density(at_s, mean.expand_as(at_s), variance)
            total += step * log_q.exp() * (log_q - log_density(x_s, mu_theta, sigma2))
        return total

    def both_steps(self, row: int, x_0: Tensor, x_t: Tensor, factor: float = 1.0) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """(mu_tilde, beta_tilde) and (mu_theta, sigma_t^2) at x_t (M, n)."""
        at = self.schedule.at(row)
        prediction = self.predict(x_t, row)
        # x_0_hat is affine in eps_theta: c eps_theta moves it towards x_t / sqrt(abar), its value at eps_theta = 0.
        x_0_hat = factor * prediction.x_0_hat + (1 - factor) * x_t / at.alpha_bar_t.sqrt()
        steps = at.alpha_bar_t, at.alpha_bar_prev
        return q_posterior(x_0.expand_as(x_t), x_t, *steps), p_reverse(x_0_hat, x_t, *steps, self.sigma2[row])

    def x_t(self, row: int, x_0: Tensor, eps: Tensor) -> Tensor:
        alpha_bar = self.schedule.alpha_bar[row]
        return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps
