"""The bound from a part of its terms: unbiased, with a standard error, at a fraction of the cost [N8; stratified sampling, Cochran 1977 chapter 5].

The steps are cut into strata of neighbours, the finer the larger the terms are expected to be, before any is known: an L_{t-1} is the information
that x_s adds to x_t, and for Gaussian data of an image's variance that is half the rise of log(1 + variance SNR). Where terms are largest, a stratum
is two steps, both taken. Every image draws its own steps: two different ones from each stratum, whose difference tells the stratum's variance
without bias. L_T costs nothing and L_0 is always taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_space.bound import mean_over_images
from ddpm_space.denoiser import Denoiser
from ddpm_space.likelihood import Variance, bound_cells, chain_variance, check_chain, check_images, conventions, prior_term
from ddpm_space.notes.elbo import bits_per_dim
from ddpm_space.schedule import NoiseSchedule

DRAWS = 2
"""Steps drawn from each stratum by each image."""

EXPECTED_VARIANCE = 0.3
"""About the variance of a pixel in [-1, 1]. Only the strata's edges depend on it: a poor guess widens the error bar and biases nothing."""

EVEN_SHARE = 0.2
"""Share of the strata that is spread evenly over the steps, for a model whose terms fall off more slowly than expected."""


@dataclass(frozen=True)
class Strata:
    """How the steps 1..T-1 of a chain are cut up: stratum h holds the rows edges[h] .. edges[h + 1] - 1."""

    edges: Tensor

    @classmethod
    def of(cls, schedule: NoiseSchedule, evaluations: int) -> Strata:
        """Cut a chain so that an image costs `evaluations` calls of the network, L_0's included.

        Args:
            evaluations: odd, from 3 to T; an even number is taken as the odd one below.
        Raises:
            ValueError: evaluations outside 3..T, or a chain of fewer than 3 steps.
        """
        steps = len(schedule)
        if steps < 3:
            raise ValueError(f"a chain of {steps} steps has no strata: take all of its terms, with full_bound")
        if not 3 <= evaluations <= steps:
            raise ValueError(f"evaluations = {evaluations}: use 3 to {steps}, the number of steps of the chain")
        strata = (evaluations - 1) // DRAWS
        information = torch.log1p(EXPECTED_VARIANCE * schedule.snr)
        expected = (information[0] - information[1:]) / (information[0] - information[-1])
        scale = (1 - EVEN_SHARE) * expected + EVEN_SHARE * torch.arange(1, steps, dtype=torch.float64) / (steps - 1)
        inner = torch.searchsorted(scale, torch.arange(1, strata, dtype=torch.float64) / strata) + 1
        edges = torch.cat([torch.tensor([1]), inner, torch.tensor([steps])])
        # Two rows at least in each: pushed up from below, then down from above.
        for h in range(1, strata + 1):
            edges[h] = max(int(edges[h]), int(edges[h - 1]) + DRAWS)
        edges[strata] = steps
        for h in range(strata - 1, 0, -1):
            edges[h] = min(int(edges[h]), int(edges[h + 1]) - DRAWS)
        return cls(edges)

    def draw(self, images: int, generator: torch.Generator) -> Tensor:
        """Two different rows of every stratum for each image: (strata, 2, images) int64."""
        start, size = self.edges[:-1, None], (self.edges[1:] - self.edges[:-1])[:, None]
        uniform = torch.rand(2, len(size), images, generator=generator, dtype=torch.float64)
        first = (uniform[0] * size).long().clamp(max=size - 1)
        # The second is drawn from the others: shifted past the first, all ordered pairs are equally likely.
        second = (first + 1 + (uniform[1] * (size - 1)).long().clamp(max=size - 2)) % size
        return torch.stack([start + first, start + second], dim=1)

    def total(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate the sum over all rows from the values at the drawn ones.

        Args:
            values: (strata, 2, images).
        Returns:
            the estimate and its estimated variance, each (images,) and unbiased: N_h^2 (1 - 2 / N_h) s_h^2 / 2 summed over strata of N_h rows.
        """
        size = (self.edges[1:] - self.edges[:-1]).double()[:, None]
        spread = values.double().var(dim=1)
        return (size * values.double().mean(dim=1)).sum(dim=0), (size**2 * (1 - DRAWS / size) * spread / DRAWS).sum(dim=0)


@dataclass(frozen=True)
class BoundEstimate:
    """The bound in bits/dim, estimated: per image (B,), and averaged over the images.

    standard_error is that of leaving terms out, for these images and this noise; image_error adds how much another set of images would change the
    mean (the standard deviation over images / sqrt(B), which holds both; nan for one image). evaluations: calls of the network an image.
    """

    per_image: Tensor
    per_image_error: Tensor
    mean: float
    standard_error: float
    image_error: float
    evaluations: int
    conventions: str


def estimate(strata: Strata, values: Tensor, certain: Tensor, num_dims: int, conventions: str) -> BoundEstimate:
    """Put the drawn terms and the certain ones together.

    Args:
        values: (strata, 2, B) nats at the drawn rows; certain: (B,) nats, L_T + L_0; num_dims: D.
    """
    total, variance = strata.total(values)
    bits, error = bits_per_dim(total + certain, num_dims), bits_per_dim(variance.sqrt(), num_dims)
    images = len(bits)
    return BoundEstimate(
        per_image=bits,
        per_image_error=error,
        mean=float(bits.mean()),
        standard_error=float((error**2).sum().sqrt()) / images,
        image_error=mean_over_images(bits).standard_error,
        evaluations=DRAWS * values.shape[0] + 1,
        conventions=conventions,
    )


def estimated_bound(
    denoiser: Denoiser,
    x_0: Tensor,
    *,
    evaluations: int | None = None,
    schedule: NoiseSchedule | None = None,
    variance: Variance = "fixed_small",
    clip_x0: bool = True,
    seed: int = 0,
    batch: int = 128,
) -> BoundEstimate:
    """Estimate the bound from `evaluations` of its terms an image, chosen at random in strata.

    The terms are those that `likelihood.variational_bound` gives for the same seed: the estimate's expectation over the choice is their sum.

    Args:
        denoiser, x_0, schedule, variance, clip_x0, seed: as in `likelihood.variational_bound`; the seed also fixes the choice.
        evaluations: calls of the network an image, 3 to T; default a tenth of T (at least 3).
        batch: samples in one call of the network.
    Raises:
        ValueError: evaluations out of range, unknown variance, batch < 1.
    """
    if batch < 1:
        raise ValueError(f"batch = {batch}: use at least 1")
    chain = denoiser.schedule if schedule is None else schedule
    check_chain(chain)
    check_images(x_0)
    named, variance = variance, chain_variance(denoiser, chain, variance)
    strata = Strata.of(chain, max(3, len(chain) // 10) if evaluations is None else evaluations)
    images = x_0.shape[0]
    drawn = strata.draw(images, torch.Generator().manual_seed(seed % 2**63))
    row = torch.cat([torch.zeros(images, dtype=torch.int64), drawn.flatten()])
    image = torch.arange(images).repeat(len(row) // images)
    # Sorted by step, so that the noise of a step is drawn in one call or two.
    order, nats = row.argsort(stable=True), torch.empty(len(row), dtype=torch.float64)
    for part in order.split(batch):
        nats[part] = bound_cells(denoiser, x_0, row[part], image[part], schedule=chain, variance=variance, clip_x0=clip_x0, seed=seed).nats
    certain = prior_term(x_0, chain) + nats[:images]
    return estimate(strata, nats[images:].reshape(drawn.shape), certain, x_0[0].numel(), conventions(chain, named, clip_x0, denoiser))
