"""Both sides of every step of the derivation as functions of a `World`: nats a datum, each by a route of its own, with its error."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from ddpm_space.derivation.step import Side
from ddpm_space.derivation.world import ROUNDING, World
from ddpm_space.notes import elbo, importance, mle
from ddpm_space.notes.forward import q_cumulative, q_cumulative_sample
from ddpm_space.notes.gaussian import log_density
from ddpm_space.notes.weights import eps_weight

BIN_WIDTH = 0.02
"""Largest width of the bin that a datum stands for where densities become probabilities."""

BIN_NODES = 9
"""Nodes of the integral of p_theta over a bin."""

AGREE = 1e-6
"""How far apart the two places of a minimum may be, in units of eps_theta."""


def log_p(world: World) -> Side:
    """The data's mean log-likelihood, p_theta by quadrature over x_1..x_T."""
    return world.exactly(world.log_p.mean())


def minus_entropy_and_kl(world: World) -> Side:
    """-H(data) - KL(data || p_theta): data and model as probabilities of bins around the data, the bins' width then taken off again."""
    values, place = torch.unique(world.x_0, return_inverse=True)
    width = min(BIN_WIDTH, float(values.diff().min()) / 2) if len(values) > 1 else BIN_WIDTH

    def with_bins(width: float) -> Tensor:
        nodes = width * torch.linspace(-0.5, 0.5, BIN_NODES, dtype=torch.float64)
        density = world.chain.log_p((values[:, None] + nodes).reshape(-1)).exp().reshape(-1, BIN_NODES)
        split = mle.likelihood_split(place, torch.log(torch.trapezoid(density, nodes)))
        return -split.entropy - split.kl - math.log(width)

    fine, coarse = with_bins(width / 2), with_bins(width)
    return Side(fine, (fine - coarse).abs() + ROUNDING)


def log_mean_weight(world: World) -> Side:
    """log E_q w from trajectories, less its bias; what that leaves is taken to be no larger than itself."""
    value, standard_error, bias = importance.log_mean(world.log_weights)
    side = world.drawn(value - bias, standard_error)
    return Side(side.value, side.error + bias.mean().abs())


def mean_log_weight(world: World) -> Side:
    """E_q log w from trajectories: the ELBO."""
    return world.drawn(*importance.elbo(world.log_weights))


def gap_by_subtraction(world: World) -> Side:
    """log p_theta - ELBO, both by quadrature."""
    return world.exactly((world.log_p - world.chain.elbo(world.x_0)).mean())


def gap_by_forward_route(world: World) -> Side:
    """KL(q(x_1:T | x_0) || p_theta(x_1:T | x_0)) step by step from x_0 to x_T; nothing is subtracted."""
    return world.exactly(world.chain.gap(world.x_0).mean())


def minus_all_terms(world: World) -> Side:
    """-(L_T + sum of L_{t-1} + L_0), in closed form given x_t."""
    prior, terms = prior_closed_form(world), world.over_eps(partial(_term, world))
    return Side(-prior.value - terms.value.sum(), prior.error + terms.error.sum())


def prior_by_quadrature(world: World) -> Side:
    """E of log q(x_T | x_0) - log p(x_T), the two densities taken as they are."""
    mean, variance = q_cumulative(world.x_0[:, None], world.schedule.alpha_bar[-1])
    x_T = mean + variance.sqrt() * world.eps
    return world.over_normal(log_density(x_T, mean.expand_as(x_T), variance) - log_density(x_T, torch.zeros_like(x_T), 1.0))


def prior_closed_form(world: World) -> Side:
    """L_T as the KL of two Gaussians."""
    return world.exactly(elbo.prior_kl(world.x_0, world.schedule.alpha_bar[-1]).mean())


def posterior_kls_by_quadrature(world: World) -> Side:
    """E over x_t of the integral over x_{t-1} of q log(q / p_theta), q(x_{t-1} | x_t, x_0) by Bayes: (T - 1,)."""
    return _without_first(world.over_eps(lambda row, *place: world.kl_by_integral(row, *place) if row else torch.zeros_like(place[1])))


def posterior_kls_closed_form(world: World) -> Side:
    """E over x_t of L_{t-1}, the KL of two Gaussians: (T - 1,)."""
    return _without_first(world.over_eps(partial(_term, world)))


def decoder_by_quadrature(world: World) -> Side:
    """-E log p_theta(x_0 | x_1), summed over a grid of x_1."""
    return world.exactly(world.chain.elbo_terms(world.x_0)[0].mean())


def decoder_over_eps(world: World) -> Side:
    """E|x_0 - mu_theta(x_1)|^2 / (2 sigma_1^2) + log(2 pi sigma_1^2) / 2, integrated over eps."""
    squares = world.over_eps(world.squared_means)
    return Side(squares.value[0] + world.constants[0], squares.error[0])


def terms_by_quadrature(world: World) -> Side:
    """L_0, L_1, ..., L_{T-1} summed over a grid of x_t: (T,)."""
    return world.exactly(world.chain.elbo_terms(world.x_0)[:-1].mean(1))


def squared_means_and_constants(world: World) -> Side:
    """E|mu_tilde - mu_theta|^2 / (2 sigma_t^2) + C_t, integrated over eps: (T,)."""
    squares = world.over_eps(world.squared_means)
    return Side(squares.value + world.constants, squares.error)


def squared_means(world: World) -> Side:
    """E|mu_tilde - mu_theta|^2 / (2 sigma_t^2), mu_theta by x_0_hat and the posterior: (T,)."""
    return world.over_eps(world.squared_means)


def weighted_mse(world: World) -> Side:
    """w_t E|eps - eps_theta|^2: (T,)."""
    weight, mse = _weights(world), world.over_eps(world.squared_eps)
    return Side(weight * mse.value, weight * mse.error)


def minus_elbo_by_quadrature(world: World) -> Side:
    """-ELBO summed over a grid of x_t."""
    return world.exactly(-world.chain.elbo(world.x_0).mean())


def weighted_mse_and_constants(world: World) -> Side:
    """Sum of w_t E|eps - eps_theta|^2, and what no network can change: L_T and all C_t."""
    mse, prior = weighted_mse(world), prior_by_quadrature(world)
    return Side((mse.value + world.constants).sum() + prior.value, mse.error.sum() + prior.error)


def weighted_objective(world: World) -> Side:
    """Sum of the bound's squared terms; the c for which the term of c eps_theta is least is the vertex of a parabola through c = 0, 1, 2."""
    low, middle, high = (world.over_eps(partial(world.squared_means, factor=c)).value for c in (0.0, 1.0, 2.0))
    vertex = 1 - (high - low) / (2 * (high - 2 * middle + low))
    return Side(middle.sum(), torch.tensor(AGREE, dtype=torch.float64), vertex)


def simple_objective(world: World) -> Side:
    """L_simple; the c for which |eps - c eps_theta|^2 is least at each t, by least squares: E eps eps_theta / E eps_theta^2."""
    product = world.over_eps(lambda row, x_0, eps: eps * world.predict(world.x_t(row, x_0, eps), row).eps_theta)
    square = world.over_eps(lambda row, x_0, eps: world.predict(world.x_t(row, x_0, eps), row).eps_theta ** 2)
    return Side(l_simple(world).value, torch.tensor(AGREE, dtype=torch.float64), product.value / square.value)


def l_simple(world: World) -> Side:
    """L_simple, every t in turn and eps integrated."""
    mse = world.over_eps(world.squared_eps)
    return Side(mse.value.mean(), mse.error.mean())


def l_simple_as_trained(world: World) -> Side:
    """What a training loop averages: for each datum one random t and one random eps, as often as there are points on the drawn trajectories."""
    generator = torch.Generator().manual_seed(world.seed + 1)
    data, draws = len(world.x_0), world.trajectories * len(world.schedule)
    row = torch.randint(len(world.schedule), (data * draws,), generator=generator)
    eps = torch.randn(data * draws, generator=generator, dtype=torch.float64)
    x_t = q_cumulative_sample(world.x_0.repeat_interleave(draws), world.schedule.alpha_bar[row], eps=eps)
    losses = elbo.simple_loss(eps[:, None], world.predict(x_t, row).eps_theta[:, None]).reshape(data, draws)
    return world.drawn(losses.mean(1), losses.std(1) / math.sqrt(draws))


def _term(world: World, row: int, x_0: Tensor, eps: Tensor) -> Tensor:
    """L_{t-1} given x_t, a KL in closed form; at row 0 -log p_theta(x_0 | x_1)."""
    x_t = world.x_t(row, x_0, eps)
    posterior, (mu_theta, sigma2) = world.both_steps(row, x_0, x_t)
    if row == 0:
        return -log_density(x_0.expand_as(x_t), mu_theta, sigma2)
    return elbo.kl_term(*posterior, mu_theta, sigma2)


def _weights(world: World) -> Tensor:
    return eps_weight(world.sigma2, world.schedule.alpha_bar, world.schedule.alpha_bar_prev)


def _without_first(side: Side) -> Side:
    return Side(side.value[1:], side.error[1:])
