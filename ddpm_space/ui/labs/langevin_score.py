"""Row N1 on the page: sampling with nothing but a score. The same chains without and with the Metropolis correction, against the exact density."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.exact import GaussianMixture
from ddpm_space.figures import array
from ddpm_space.notes.gaussian import cdf, density
from ddpm_space.notes.langevin_chains import mala, ula
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.labs.langevin_histogram import Histogram
from ddpm_space.ui.widgets import Payload

CHAINS, DRAWN = 1000, 500
STEPS, EVERY = 200, 5
BINS = 32
BOX = (-3.6, 3.6, -3.2, 3.2)
PICTURE = (80, 72)

MIXTURES = {
    "one": GaussianMixture(torch.ones(1), torch.tensor([[0.0, 0.0]]), torch.tensor([0.25])),
    "three": GaussianMixture(torch.tensor([0.5, 0.3, 0.2]), torch.tensor([[-1.0, -0.8], [1.1, -0.6], [0.1, 1.3]]), torch.tensor([0.25, 0.25, 0.25])),
    "apart": GaussianMixture(torch.tensor([0.7, 0.3]), torch.tensor([[-1.9, 0.0], [1.9, 0.0]]), torch.tensor([0.25, 0.25])),
}
"""All components have variance 0.25: there an unadjusted step is stable below eta = 1."""

LARGEST_ETA = 0.9


def answer(asked: Asked) -> Payload:
    """Run both samplers from the same start, N(0, I), with the same step size.

    Returns:
        for each: frames (F, DRAWN, 2), the histogram of all chains along the first coordinate, their second moment with standard error (2, F);
        the exact density and second moment, and the share of MALA's proposals that were taken, with its standard error.
    """
    world = MIXTURES[asked.choice("target", MIXTURES)]
    eta = asked.number("eta", 0.01, LARGEST_ETA)
    seed = asked.whole("seed", 0, MAX_SEED)
    x_0 = torch.randn(CHAINS, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    edges = torch.linspace(BOX[0], BOX[1], BINS + 1, dtype=torch.float64)
    probability, curve, second = _law(world, edges)
    # Generators with the same seed again: both start from the same numbers, MALA draws more of them on its way.
    unadjusted = list(ula(lambda x: world.score(x, 1.0), x_0, eta=eta, steps=STEPS, every=EVERY, generator=torch.Generator().manual_seed(seed + 1)))
    adjusted = list(
        mala(
            lambda x: world.score(x, 1.0),
            x_0,
            eta=eta,
            steps=STEPS,
            log_density=lambda x: world.log_density(x, 1.0),
            every=EVERY,
            generator=torch.Generator().manual_seed(seed + 1),
        )
    )
    taken = torch.stack([frame.probability for frame in adjusted if frame.probability is not None]).mean(0)
    return {
        "box": list(BOX),
        "chains": CHAINS,
        "steps": array([float(frame.step) for frame in adjusted], "float64"),
        "heat": array(_picture(world), "float32"),
        "curve": array(curve, "float64"),
        "second": second,
        "accepted": {"mean": float(taken.mean()), "se": float(taken.std()) / math.sqrt(CHAINS)},
        "ula": _seen(torch.stack([frame.x for frame in unadjusted]), edges, probability),
        "mala": _seen(torch.stack([frame.x for frame in adjusted]), edges, probability),
    }


def _seen(x: Tensor, edges: Tensor, probability: Tensor) -> Payload:
    squared = x[..., 0] ** 2
    moments = torch.stack([squared.mean(1), squared.std(1) / math.sqrt(CHAINS)])
    return {
        "frames": array(x[:, :DRAWN], "float32"),
        "second": array(moments, "float64"),
        **Histogram(x[..., 0], edges, probability).payload(),
    }


def _law(world: GaussianMixture, edges: Tensor) -> tuple[Tensor, Tensor, float]:
    """Of the first coordinate: the probability of each bin, the density on a fine axis (2, n), and the second moment."""
    weights, means, variances = world.components()
    mean, variance = means[:, :1], variances[:, 0]
    below = (weights[:, None] * cdf(edges.expand(len(weights), -1), mean, variance)).sum(0)
    fine = torch.linspace(BOX[0], BOX[1], 240, dtype=torch.float64)
    curve = (weights[:, None] * density(fine.expand(len(weights), -1), mean, variance)).sum(0)
    return below.diff(), torch.stack([fine, curve]), float((weights * (variance + mean[:, 0] ** 2)).sum())


def _picture(world: GaussianMixture) -> Tensor:
    """The density over the box as a picture (H, W), 1 where it is highest, the first row at the top."""
    left, right, low, high = BOX
    wide, tall = PICTURE
    across = left + (torch.arange(wide, dtype=torch.float64) + 0.5) * (right - left) / wide
    up = low + (torch.arange(tall, dtype=torch.float64) + 0.5) * (high - low) / tall
    points = torch.stack(torch.meshgrid(across, up.flip(0), indexing="xy"), dim=-1).reshape(-1, 2)
    log_density = world.log_density(points, 1.0).reshape(tall, wide)
    return torch.exp(log_density - log_density.max())
