"""Two ways to the mean of a reverse step, run side by side: eq. (11), and x_0 first and then the posterior, with and without clipping (row N8).

Without clipping they are one formula. With it they part, and what one step adds to the other is a formula of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.images import check_finite
from ddpm_space.notes.coefficients import cast
from ddpm_space.notes.reverse import clipping_difference, mu_theta_from_eps, p_reverse
from ddpm_space.sampling import VARIANCES, SamplingSettings, image_generator
from ddpm_space.spacing import OPTIMAL, spaced_timesteps

ROUTES = ("eq11", "posterior", "clipped")
"""The three chains: eq. (11); the posterior at x_0_hat; the posterior at x_0_hat clipped to [-1, 1]."""


@dataclass(frozen=True)
class MeansStep:
    """One step t -> s of all three chains, `index` of `total`; s = -1 is clean data.

    x_prev: by ROUTES, (B, C, H, W) each, with the same x_T and the same noise; added: (B, C, H, W) what clipping adds to the mean of this one step
    where the clipped chain stands, by its formula; residual: largest distance of that formula from the difference of the two means;
    outside: share of the pixels of x_0_hat beyond [-1, 1] there.
    """

    index: int
    total: int
    t: int
    s: int
    x_prev: dict[str, Tensor]
    added: Tensor
    residual: float
    outside: float


def compare_means(denoiser: Denoiser, shape: tuple[int, int, int], settings: SamplingSettings, *, device: str = "cpu") -> Iterator[MeansStep]:
    """Run the three chains from one x_T with one noise, yielding every step [N8; Ho 2020 eq. 11 against eq. 7 and 15].

    The formulas are evaluated in float64, on the CPU as not every device has it, and the network in its own float32 on `device`, so that what is left
    between two equal formulas is not float32 rounding that early steps, where sqrt(abar_t) is small, enlarge and later ones carry on.

    Args:
        denoiser: the model, on `device`; shape: (C, H, W); settings: whether to clip is not asked here, both are done.
    Yields:
        MeansStep from the noisiest step to the last; three times the images go through the network in each.
    Raises:
        ImageError: a chain ended in NaN or infinite values.
        ValueError: a variance or a spacing that needs the network's table, which says nothing of eq. (11).
    """
    if settings.variance_type not in VARIANCES or settings.spacing == OPTIMAL:
        raise ValueError(
            f"variance '{settings.variance_type}' with spacing '{settings.spacing}': use one of {', '.join(VARIANCES)}, and spacing 'trailing'"
        )
    timesteps = spaced_timesteps(len(denoiser.schedule), settings.num_steps, settings.spacing)
    generators = [image_generator(settings.seed, i) for i in range(settings.num_images)]
    draw = lambda: torch.cat([torch.randn((1, *shape), generator=generator) for generator in generators]).double()  # noqa: E731
    chains = [draw()] * len(ROUTES)
    for index, (t, s) in enumerate(zip(timesteps, [*timesteps[1:], -1])):
        alpha_bar_t, alpha_bar_s = denoiser.schedule.alpha_bar_at(t), denoiser.schedule.alpha_bar_at(s)
        # Not around the yield: inference mode belongs to a thread, and would stay on in the consumer's code between two steps.
        with torch.inference_mode():
            x_t, times = torch.cat(chains), torch.full((len(chains[0]) * len(chains),), t)
            output = denoiser.network(x_t.float().to(device), times.to(device)).cpu().double()
            predicted = denoiser.convert(output, x_t, times)
            (eps_11, _, eps_clipped), (_, x_0_plain, x_0_clipped) = predicted.eps_theta.chunk(3), predicted.x_0_hat.chunk(3)
            means = [
                mu_theta_from_eps(chains[0], eps_11, alpha_bar_t, alpha_bar_s),
                p_reverse(x_0_plain, chains[1], alpha_bar_t, alpha_bar_s, 0)[0],
                p_reverse(x_0_clipped.clamp(-1, 1), chains[2], alpha_bar_t, alpha_bar_s, 0)[0],
            ]
            added = clipping_difference(chains[2], eps_clipped, alpha_bar_t, alpha_bar_s)
            residual = (means[2] - mu_theta_from_eps(chains[2], eps_clipped, alpha_bar_t, alpha_bar_s) - added).abs().max()
            if s >= 0:
                sigma = cast(VARIANCES[settings.variance_type](alpha_bar_t, alpha_bar_s).sqrt(), chains[0])
                noise = sigma * draw()
                chains = [mean + noise for mean in means]
            else:
                chains = [check_finite(mean, "error.image.sample_not_finite") for mean in means]
        outside = float((x_0_clipped.abs() > 1).float().mean())
        yield MeansStep(index, len(timesteps), t, s, dict(zip(ROUTES, chains)), added, float(residual), outside)
