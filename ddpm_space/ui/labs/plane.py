"""Rows N7 and N8 in the plane: particles that run back through the exact reverse process, and below them the density and the score of q_t.

Two questions: `answer` walks the particles, `answer_field` computes the layers along the same chain, which a visitor may not want to see.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.exact import ExactDistribution, exact_denoiser
from ddpm_space.exact.plane import cell_masses
from ddpm_space.figures import array
from ddpm_space.mistakes.damage import energy_distance
from ddpm_space.mistakes.processes import denoise
from ddpm_space.notes.reverse import posterior_coefficients
from ddpm_space.sampling import VARIANCES
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.spacing import spaced_timesteps
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.plane_world import REACH, chain_of, described, points_of, world_of
from ddpm_space.ui.widgets import Payload

FEWEST_PARTICLES, MOST_PARTICLES = 100, 2000
FEWEST_STEPS, MOST_STEPS = 2, 100
VARIANCE_TYPES = ("fixed_small", "fixed_large")
CELLS, ARROWS = 44, 15
GROUPS = 20
"""Of particles, whose energy distances are averaged: of few the mean is far from normal, and its error bar too narrow on one side."""

FRESH_SEED = 2**32
"""Seeds of fresh data start here, beyond every seed of a visitor: they are never those of the particles."""


def answer(asked: Asked) -> Payload:
    """Walk particles from noise to data with the perfect denoiser.

    Returns:
        frames (steps + 1, N, 2), the last one the result; of each step t, abar_t, abar_s, the two coefficients of the posterior mean, and sigma;
        the energy distance of the result from fresh data, and that of other fresh data, each with its standard error.
    """
    world, schedule, visited = chosen(asked)
    particles, seed = asked.whole("particles", FEWEST_PARTICLES, MOST_PARTICLES), asked.whole("seed", 0, MAX_SEED)
    variance = asked.choice("variance", VARIANCE_TYPES)
    perfect = exact_denoiser(world, schedule)
    steps = list(denoise(perfect, (2,), num_samples=particles, num_steps=len(visited), variance_type=variance, seed=seed))
    alpha_bar_t, alpha_bar_s = along(schedule, visited)
    coef_x_0, coef_x_t = posterior_coefficients(alpha_bar_t, alpha_bar_s)
    sigma2 = torch.where(alpha_bar_s == 1, 0.0, VARIANCES[variance](alpha_bar_t, alpha_bar_s))
    fresh, other = (world.sample(particles, generator=torch.Generator().manual_seed(FRESH_SEED + seed + k)) for k in (0, MAX_SEED))
    return {
        "frames": array(torch.stack([*(step.x_t for step in steps), steps[-1].x_s]), "float32"),
        "points": array(points_of(world), "float32"),
        "world": described(world),
        "t": visited,
        "alpha_bar_t": array(alpha_bar_t, "float64"),
        "alpha_bar_s": array(alpha_bar_s, "float64"),
        "coef_x_0": array(coef_x_0, "float64"),
        "coef_x_t": array(coef_x_t, "float64"),
        "sigma": array(sigma2.sqrt(), "float64"),
        "distance": distance(steps[-1].x_s, fresh),
        "reference": distance(other, fresh),
        "terminal": {"alpha_bar": schedule.terminal_alpha_bar, "ok": schedule.terminal_problem() is None},
        "T": len(schedule),
        "reach": REACH,
    }


def answer_field(asked: Asked) -> Payload:
    """Compute the layers of every frame: the probability of q_t in each cell, and (1 - abar_t) times the score on a coarser grid.

    Returns:
        cells (steps + 1, n, n) as shares of the fullest, in bytes, first row at the top, and that cell's probability; places (G, 2) and arrows
        (steps, G, 2), none for the last frame, where points have no score.
    """
    world, schedule, visited = chosen(asked)
    alpha_bar = torch.cat([along(schedule, visited)[0], torch.ones(1, dtype=torch.float64)])
    edges = torch.linspace(-REACH, REACH, CELLS + 1, dtype=torch.float64)
    masses = torch.stack([cell_masses(world, float(a), edges) for a in alpha_bar])
    fullest = masses.amax(dim=(1, 2), keepdim=True)
    line = torch.linspace(-REACH, REACH, ARROWS + 2, dtype=torch.float64)[1:-1]
    places = torch.cartesian_prod(line, line)
    arrows = torch.stack([(1 - a) * world.score(places, a) for a in alpha_bar[:-1]])
    return {
        "cells": array((255 * masses / fullest.clamp(min=1e-300)).round().to(torch.uint8).flip(1), "uint8"),
        "fullest": array(fullest.flatten(), "float64"),
        "places": array(places, "float32"),
        "arrows": array(arrows, "float32"),
    }


def chosen(asked: Asked) -> tuple[ExactDistribution, NoiseSchedule, list[int]]:
    """Take the world, the chain, and the t that are visited."""
    world, schedule = world_of(asked), chain_of(asked)
    steps = asked.whole("steps", FEWEST_STEPS, min(MOST_STEPS, len(schedule)))
    return world, schedule, spaced_timesteps(len(schedule), steps, "trailing")


def along(schedule: NoiseSchedule, visited: list[int]) -> tuple[Tensor, Tensor]:
    """abar_t and abar_s of every step: (K,) each."""
    alpha_bar = schedule.alpha_bar_at(torch.tensor([*visited, -1]))
    return alpha_bar[:-1], alpha_bar[1:]


def distance(samples: Tensor, fresh: Tensor) -> Payload:
    """The energy distance of samples from fresh data, with its standard error; None for what is not finite."""
    found = energy_distance(samples, fresh, groups=GROUPS)
    finite = bool(torch.isfinite(found.value) & torch.isfinite(found.standard_error))
    return {"value": float(found.value) if finite else None, "se": float(found.standard_error) if finite else None}
