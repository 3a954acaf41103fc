"""Particles counted in bins, and whether what was counted is what a law expects."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_space.figures import array
from ddpm_space.ui.widgets import Payload

LEAST_EXPECTED = 5
"""Bins that expect fewer particles are left out of the deviation: a single particle there would count for too much."""


@dataclass(frozen=True)
class Histogram:
    """Particles (F, N) of every frame between `edges` (B + 1,), against the probability of each bin (B,)."""

    particles: Tensor
    edges: Tensor
    probability: Tensor

    def counts(self) -> Tensor:
        """How many stand in each bin, (F, B); those beyond the first and the last edge are in none."""
        places = torch.bucketize(self.particles.contiguous(), self.edges)
        counts = torch.zeros(len(self.particles), len(self.edges) + 1, dtype=torch.float64)
        return counts.scatter_add_(1, places, torch.ones_like(self.particles))[:, 1:-1]

    def counted(self) -> Tensor:
        """The bins that expect enough to be judged."""
        return self.probability * self.particles.shape[1] >= LEAST_EXPECTED

    def deviation(self) -> Tensor:
        """(n - N p)^2 / (N p (1 - p)) averaged over the bins, of every frame (F,): its expectation is 1 for independent particles of that law."""
        chosen = self.counted()
        p = self.probability[chosen]
        expected = p * self.particles.shape[1]
        return ((self.counts()[:, chosen] - expected) ** 2 / (expected * (1 - p))).mean(1)

    def payload(self) -> Payload:
        """Counts, probabilities, the deviation, and how far it spreads by chance (about sqrt(2 / bins), the bins nearly independent)."""
        bins = int(self.counted().sum())
        return {
            "edges": array(self.edges, "float64"),
            "counts": array(self.counts(), "float64"),
            "probability": array(self.probability, "float64"),
            "deviation": array(self.deviation(), "float64"),
            "deviation_spread": math.sqrt(2 / bins),
            "bins": bins,
        }
