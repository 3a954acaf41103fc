"""One value of a picture, noised many times (rows N5, N6) by single steps and by one jump, beside the formula; and its posterior (N7)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space import figures
from ddpm_space.noising import noise_image
from ddpm_space.notes.forward import beta_between, q_between, q_cumulative, q_cumulative_sample, q_step_sample
from ddpm_space.notes.gaussian import density, quantile
from ddpm_space.notes.quadrature import integrate
from ddpm_space.notes.reverse import posterior_coefficients, q_posterior
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.labs.noised import chain_of, picture_of, seed_of
from ddpm_space.ui.widgets import Payload

DRAWS = ("1000", "5000", "20000")
CHANNELS = ("red", "green", "blue")
REACH = 4.5
"""Standard deviations on either side that the histogram shows; one draw in 150,000 lies beyond."""

BARS = 54
CLASSES = 20
"""Intervals of equal probability that chi-square counts in."""

NODES = 361
SPAN = 12
"""Standard deviations of the prior on either side that Bayes' integrals cover; what lies beyond is below 1e-32."""


def answer(asked: Asked) -> Payload:
    """Noise the chosen value `draws` times along both routes.

    Returns:
        the law's mean and variance, its curve, and of each route a histogram, mean, variance (standard errors, z) and chi-square (p).
    """
    schedule, x_0 = chain_of(asked), value_of(asked)
    t = asked.whole("t", 0, len(schedule) - 1)
    draws = int(asked.choice("draws", DRAWS))
    alpha_bar = schedule.alpha_bar[t]
    mean, variance = (float(moment) for moment in q_cumulative(x_0, alpha_bar))
    generator = torch.Generator().manual_seed(seed_of(asked))
    start = x_0.float().expand(draws)
    routes = {"steps": walk(start, schedule, t, generator), "jump": q_cumulative_sample(start, alpha_bar, generator=generator)}
    std = math.sqrt(variance)
    edges = mean + std * torch.linspace(-REACH, REACH, BARS + 1, dtype=torch.float64)
    place = mean + std * torch.linspace(-REACH, REACH, NODES, dtype=torch.float64)
    return {
        "t": t,
        "x_0": float(x_0),
        "alpha_bar": float(alpha_bar),
        "draws": draws,
        "mean": mean,
        "variance": variance,
        "edges": figures.array(edges, "float64"),
        "x": figures.array(place, "float64"),
        "density": figures.array(density(place, mean, variance), "float64"),
        "routes": {name: counted(x.double(), mean, variance, edges) for name, x in routes.items()},
    }


def value_of(asked: Asked) -> Tensor:
    """Take the value at `row`, `column` and, of a colour picture, `channel`: () float64 in [-1, 1]."""
    picture = picture_of(asked)[0].double()
    channels, height, width = picture.shape
    channel = CHANNELS.index(asked.choice("channel", CHANNELS)) if channels == 3 else 0
    return picture[channel, asked.whole("row", 0, height - 1), asked.whole("column", 0, width - 1)]


def walk(x: Tensor, schedule: NoiseSchedule, t: int, generator: torch.Generator) -> Tensor:
    """Take the t + 1 single steps to x_t."""
    for beta_t in schedule.beta[: t + 1]:
        x = q_step_sample(x, beta_t, generator=generator)
    return x


def counted(x: Tensor, mean: float, variance: float, edges: Tensor) -> Payload:
    """Histogram and moments of draws (n,), compared with N(mean, variance); the standard errors are those of n draws of that law."""
    n = len(x)
    mean_error, variance_error = math.sqrt(variance / n), variance * math.sqrt(2 / (n - 1))
    found_mean, found_variance = float(x.mean()), float(x.var())
    bars = torch.histogram(x, edges).hist / (n * (edges[1] - edges[0]))
    share = torch.arange(1, CLASSES, dtype=torch.float64) / CLASSES
    between = quantile(share, torch.full_like(share, mean), variance)
    counts = torch.bincount(torch.bucketize(x, between), minlength=CLASSES).double()
    chi2 = float(((counts - n / CLASSES) ** 2 / (n / CLASSES)).sum())
    freedom = CLASSES - 1
    return {
        "heights": figures.array(bars, "float64"),
        "mean": found_mean,
        "mean_se": mean_error,
        "mean_z": (found_mean - mean) / mean_error,
        "variance": found_variance,
        "variance_se": variance_error,
        "variance_z": (found_variance - variance) / variance_error,
        "chi2": chi2,
        "freedom": freedom,
        "p": float(torch.special.gammaincc(torch.tensor(freedom / 2, dtype=torch.float64), torch.tensor(chi2 / 2, dtype=torch.float64))),
    }


def answer_posterior(asked: Asked) -> Payload:
    """The posterior of x_s at the chosen value, for the x_t that the picture's own noise gives: by formula, and by Bayes with quadrature.

    Returns:
        prior, likelihood and posterior as curves over x_s, the coefficients, and mean, variance and evidence by both routes.
    """
    schedule, x_0 = chain_of(asked), value_of(asked)
    t = asked.whole("t", 1, len(schedule) - 1)
    s = asked.whole("s", 0, t - 1)
    alpha_bar_t, alpha_bar_s = schedule.alpha_bar[t], schedule.alpha_bar[s]
    x_t = noised_value(asked, schedule, t)
    prior_mean, prior_variance = (float(moment) for moment in q_cumulative(x_0, alpha_bar_s))

    def prior(x_s: Tensor) -> Tensor:
        return density(x_s, prior_mean, prior_variance)

    def likelihood(x_s: Tensor) -> Tensor:
        return density(x_t.expand_as(x_s), *q_between(x_s, alpha_bar_t, alpha_bar_s))

    # The edges know the prior alone, not the answer.
    edges = prior_mean + math.sqrt(prior_variance) * torch.linspace(-SPAN, SPAN, 10 * SPAN + 1, dtype=torch.float64)
    evidence = float(integrate(lambda x: prior(x) * likelihood(x), edges).sum())
    bayes_mean = float(integrate(lambda x: x * prior(x) * likelihood(x), edges).sum()) / evidence
    bayes_variance = float(integrate(lambda x: (x - bayes_mean) ** 2 * prior(x) * likelihood(x), edges).sum()) / evidence
    mu_tilde, beta_tilde = q_posterior(x_0, x_t, alpha_bar_t, alpha_bar_s)
    mean, variance = float(mu_tilde), float(beta_tilde)
    place = shown_places(prior_mean, math.sqrt(prior_variance), mean, math.sqrt(variance))
    formula, product = density(place, mean, variance), prior(place) * likelihood(place) / evidence
    coef_x_0, coef_x_t = posterior_coefficients(alpha_bar_t, alpha_bar_s)
    facts = {
        "mu_tilde": (mean, bayes_mean),
        "beta_tilde": (variance, bayes_variance),
        "evidence": (float(density(x_t, *q_cumulative(x_0, alpha_bar_t))), evidence),
    }
    return {
        "t": t,
        "s": s,
        "x_0": float(x_0),
        "x_t": float(x_t),
        "alpha_bar_t": float(alpha_bar_t),
        "alpha_bar_s": float(alpha_bar_s),
        "beta_ts": float(beta_between(alpha_bar_t, alpha_bar_s)),
        "coef_x_0": float(coef_x_0),
        "coef_x_t": float(coef_x_t),
        "prior_mean": prior_mean,
        "std": math.sqrt(variance),
        "curve_difference": float((formula - product).abs().max() / formula.max()),
        "x": figures.array(place, "float64"),
        "prior": figures.array(prior(place), "float64"),
        "likelihood": figures.array(likelihood(place), "float64"),
        "posterior": figures.array(formula, "float64"),
        "facts": [{"name": name, "formula": left, "bayes": right, "difference": abs(left - right)} for name, (left, right) in facts.items()],
    }


def noised_value(asked: Asked, schedule: NoiseSchedule, t: int) -> Tensor:
    """The same value in the picture's x_t: () float64."""
    picture = picture_of(asked)
    eps = noise_image(picture, schedule, t, seed=seed_of(asked)).eps[0]
    channel = CHANNELS.index(asked.choice("channel", CHANNELS)) if eps.shape[0] == 3 else 0
    at = eps[channel, asked.whole("row", 0, eps.shape[1] - 1), asked.whole("column", 0, eps.shape[2] - 1)].double()
    return q_cumulative_sample(value_of(asked), schedule.alpha_bar[t], eps=at)


def shown_places(prior_mean: float, prior_std: float, mean: float, std: float) -> Tensor:
    """Places for the curves: over prior and posterior, with enough of them on the narrower one; (2 NODES,) float64, ascending."""
    steps = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64)
    return torch.cat([prior_mean + prior_std * steps, mean + std * steps]).sort().values
