"""ELBO <= IWAE_k <= log p in a world where all three are known (row N9), for a network that can be made worse and better.

The network is a mixture of two posterior means: the perfect one of three bumps on the line, and that of one Gaussian with their mean and variance.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ddpm_space import figures
from ddpm_space.denoiser import Denoiser
from ddpm_space.exact.chain import ExactChain
from ddpm_space.exact.distribution import ExactDistribution
from ddpm_space.exact.floor import optimal_variances
from ddpm_space.exact.mixture import GaussianData
from ddpm_space.exact_chain import VARIANCES, example_data
from ddpm_space.notes import importance
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.widgets import Payload

STEPS = ("2", "4", "8")
QUALITY_STEPS = 20
TRAJECTORIES = 8192
KS = tuple(2**power for power in range(11))
REACH = 2.6
NODES = 261
"""Places of x_0 for the curves and for averages over the data: 0.02 apart, a fifth of the narrowest bump's standard deviation."""

NODES_PER_SD = 1.5
"""Of the chain's own grid: sums over it are then off by 2 exp(-2 pi^2 1.5^2) of a Gaussian, 1e-19."""


class Curves(NamedTuple):
    """Along x_0: the data's log-density, the model's, and the ELBO: (NODES,) each; and what they are on average over the data."""

    place: Tensor
    log_q: Tensor
    log_p: Tensor
    elbo: Tensor
    mean_log_q: float
    mean_log_p: float
    mean_elbo: float


def answer(asked: Asked) -> Payload:
    """Take the chain, the network's quality, x_0 and a seed.

    Returns:
        log p and ELBO by quadrature, the gap by two routes, IWAE_k with errors from shared trajectories, curves along x_0, averages over the data.
    """
    settings = int(asked.choice("steps", STEPS)), asked.choice("variance", VARIANCES), asked.whole("quality", 0, QUALITY_STEPS)
    chain, curves = chain_of(*settings), curves_of(*settings)
    point = torch.tensor([asked.number("x_0", -2, 2)], dtype=torch.float64)
    generator = torch.Generator().manual_seed(asked.whole("seed", 0, MAX_SEED))
    log_weights = chain.log_weights(point, TRAJECTORIES, generator=generator)[0]
    bounds = [importance.iwae(log_weights, k) for k in KS]
    rises = [importance.iwae_rise(log_weights, 1, k) for k in KS]
    log_p, elbo = float(chain.log_p(point)), float(chain.elbo(point))
    return {
        "x_0": float(point),
        "quality": settings[2] / QUALITY_STEPS,
        "trajectories": TRAJECTORIES,
        "log_p": log_p,
        "elbo": elbo,
        "gap": {"subtracted": log_p - elbo, "kl": float(chain.gap(point))},
        "k": figures.array([float(k) for k in KS], "float64"),
        "iwae": figures.array([float(bound.value) for bound in bounds], "float64"),
        "se": figures.array([float(bound.standard_error) for bound in bounds], "float64"),
        "rise": figures.array([float(rise.value) for rise in rises], "float64"),
        "rise_se": figures.array([float(rise.standard_error) for rise in rises], "float64"),
        "expected": figures.array([log_p - float(importance.iwae_gap(log_weights, k)) for k in KS], "float64"),
        "relative_variance": float(importance.relative_variance(log_weights)),
        "effective": float(importance.effective_sample_size(log_weights)),
        "curves": {
            "x": figures.array(curves.place, "float64"),
            **{name: figures.array(getattr(curves, name), "float64") for name in ("log_q", "log_p", "elbo")},
        },
        "mean": {"log_q": curves.mean_log_q, "log_p": curves.mean_log_p, "elbo": curves.mean_elbo},
    }


@lru_cache(maxsize=192)
def chain_of(steps: int, variance: str, quality: int) -> ExactChain:
    """The chain with `quality` / QUALITY_STEPS of the perfect network in its x_0_hat."""
    data, schedule = example_data(), NoiseSchedule.cosine(steps)
    weights, means, variances = data.components()
    mean = weights @ means[:, 0]
    plain = GaussianData(mean[None], float(weights @ (variances[:, 0] + (means[:, 0] - mean) ** 2)))
    sigma2 = optimal_variances(data, schedule) if variance == "optimal" else variance
    network = mixed(data, plain, schedule, quality / QUALITY_STEPS)
    return ExactChain(network, schedule, sigma2, reach=REACH, nodes_per_sd=NODES_PER_SD)


def mixed(perfect: ExactDistribution, plain: ExactDistribution, schedule: NoiseSchedule, share: float) -> Denoiser:
    """A network whose x_0_hat is `share` of the perfect one and the rest of the plain one."""

    def network(x_t: Tensor, t: Tensor) -> Tensor:
        alpha_bar_t = schedule.at(t).alpha_bar_t
        return share * perfect.posterior_mean(x_t, alpha_bar_t) + (1 - share) * plain.posterior_mean(x_t, alpha_bar_t)

    return Denoiser(network, "sample", schedule)


@lru_cache(maxsize=192)
def curves_of(steps: int, variance: str, quality: int) -> Curves:
    """log p and ELBO along x_0, and averaged over the data by the even grid's sum."""
    chain, data = chain_of(steps, variance, quality), example_data()
    place = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64)
    log_q, log_p, elbo = data.log_density(place[:, None], 1.0), chain.log_p(place), chain.elbo(place)
    weight = log_q.exp() * (place[1] - place[0])
    return Curves(place, log_q, log_p, elbo, *(float((weight * values).sum()) for values in (log_q, log_p, elbo)))
