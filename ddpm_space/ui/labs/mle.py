"""Maximum likelihood by hand (row N10): data, a Gaussian laid over them, how likely it makes them, and where the likeliest one is."""

from __future__ import annotations

import math
from itertools import islice

import torch
from torch import Tensor

from ddpm_space import figures
from ddpm_space.exact.mixture import GaussianData, GaussianMixture
from ddpm_space.exact_chain import example_data
from ddpm_space.notes import mle
from ddpm_space.notes.elbo import discretized_log_likelihood
from ddpm_space.notes.gaussian import density
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.widgets import Payload

LAWS = ("gaussian", "bumps", "tails")
REACH = 4.0
NODES = 241
BINS = 41
"""Bins about -REACH, ..., REACH, 0.2 apart; the two outermost take what lies beyond."""

MEANS, LOG_VARIANCES = (-3.0, 3.0), (-6.0, 2.2)
SURFACE = (57, 61)
"""Heights and widths of the likelihood surface, in numbers."""

MOST_STEPS = 200


def answer(asked: Asked) -> Payload:
    """Take the data's law, number and seed, the Gaussian, and whether to climb from it.

    Returns:
        data, curves, the likelihood here and at its top, its gradient, its split on bins into entropy and KL, the surface, and the ascent's path.
    """
    law = law_of(asked.choice("law", LAWS))
    count, seed = asked.whole("n", 5, 300), asked.whole("seed", 0, MAX_SEED)
    mean = torch.tensor(asked.number("mu", *MEANS), dtype=torch.float64)
    variance = torch.tensor(asked.number("sigma", 0.05, 3) ** 2, dtype=torch.float64)
    x = law.sample(count, generator=torch.Generator().manual_seed(seed))[:, 0]
    best_mean, best_variance = mle.mle_gaussian(x)
    slope = mle.likelihood_gradient(x, mean, variance)
    here, top = (float(mle.log_likelihood(x, *at)) for at in ((mean, variance), (best_mean, best_variance)))
    place = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64)
    return {
        "n": count,
        "mu": float(mean),
        "sigma": math.sqrt(float(variance)),
        "reach": REACH,
        "data": figures.array(x, "float64"),
        "x": figures.array(place, "float64"),
        "law": figures.array(law.log_density(place[:, None], 1.0).exp(), "float64"),
        "model": figures.array(density(place, float(mean), float(variance)), "float64"),
        "best": figures.array(density(place, float(best_mean), float(best_variance)), "float64"),
        "peak": float(density(mean, float(mean), float(variance))),
        "flank": float(density(mean + variance.sqrt(), float(mean), float(variance))),
        "best_mean": float(best_mean),
        "best_variance": float(best_variance),
        "log_likelihood": here,
        "top": top,
        "gradient": [float(part) for part in slope],
        "bins": on_bins(x, mean, variance),
        "surface": surface(x, top / count),
        "path": path(x, mean, variance, asked.flag("natural")) if asked.flag("climb") else None,
    }


def law_of(name: str) -> GaussianMixture:
    """Where the data come from: one Gaussian, three bumps, or a Gaussian with a few outliers, which no single Gaussian fits."""
    if name == "gaussian":
        return GaussianData(torch.tensor([0.6]), 0.5)
    if name == "bumps":
        return example_data()
    return GaussianMixture(torch.tensor([0.9, 0.1]), torch.tensor([[-0.5], [0.5]]), torch.tensor([0.1, 2.0]))


def on_bins(x: Tensor, mean: Tensor, variance: Tensor) -> Payload:
    """The mean log-likelihood of the data's bins, and the same as minus entropy minus KL(data || model)."""
    width = 2 * REACH / (BINS - 1)
    places = ((x + REACH) / width).round().clamp(0, BINS - 1).long()
    # The library's bins lie on [-1, 1], as grey levels do.
    levels = torch.linspace(-1, 1, BINS, dtype=torch.float64)
    log_q = discretized_log_likelihood(levels, (mean / REACH).expand(BINS), variance / REACH**2, bins=BINS)
    split = mle.likelihood_split(places, log_q)
    return {
        "edges": figures.array(torch.linspace(-REACH - width / 2, REACH + width / 2, BINS + 1, dtype=torch.float64), "float64"),
        "heights": figures.array(torch.bincount(places, minlength=BINS).double() / len(x) / width, "float64"),
        "width": width,
        "mean_log_likelihood": float(split.mean_log_likelihood),
        "entropy": float(split.entropy),
        "kl": float(split.kl),
        "difference": float((split.mean_log_likelihood + split.entropy + split.kl).abs()),
    }


def surface(x: Tensor, top: float) -> Payload:
    """The likelihood over mean and log variance, as exp of (mean log-likelihood minus its largest): 1 at the top, the largest variance first."""
    rows, columns = SURFACE
    means = torch.linspace(*MEANS, columns, dtype=torch.float64).repeat(rows)
    log_variances = torch.linspace(*reversed(LOG_VARIANCES), rows, dtype=torch.float64).repeat_interleave(columns)
    heights = mle.log_likelihood(x[:, None].expand(-1, rows * columns), means, log_variances.exp()) / len(x)
    return {"values": figures.array((heights - top).exp().reshape(rows, columns), "float32"), "box": [*MEANS, *LOG_VARIANCES]}


def path(x: Tensor, mean: Tensor, variance: Tensor, natural: bool) -> Payload:
    """Gradient ascent from here: where each step stands, and why it stopped."""
    frames = list(islice(mle.gradient_ascent(x, mean, variance, natural=natural, max_steps=MOST_STEPS), MOST_STEPS + 1))
    last = frames[-1]
    return {
        "means": figures.array([float(frame.mean) for frame in frames], "float64"),
        "log_variances": figures.array([float(frame.variance.log()) for frame in frames], "float64"),
        "steps": last.step,
        "finished": last.stopped != "max_steps reached",
        "mean": float(last.mean),
        "sigma": math.sqrt(float(last.variance)),
        "log_likelihood": last.log_likelihood,
        "natural": natural,
    }
