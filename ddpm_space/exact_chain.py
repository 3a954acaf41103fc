"""The exact world on the line as one table: log p, the importance-weighted bounds, the ELBO, and the gap by two routes.

    python -m ddpm_space.exact_chain                    # averaged over the data, one column a variance
    python -m ddpm_space.exact_chain --x_0 0.1          # at one x_0
    python -m ddpm_space.exact_chain --steps 12 --draws 4000

The chain itself is `ExactChain`, in `ddpm_space.exact.chain`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ddpm_space.exact.chain import ExactChain, data_nodes
from ddpm_space.exact.distribution import ExactDistribution
from ddpm_space.exact.floor import Estimate
from ddpm_space.exact.mixture import GaussianMixture
from ddpm_space.notes import importance
from ddpm_space.schedule import NoiseSchedule

__all__ = ["VARIANCES", "Bounds", "ExactChain", "bounds_at", "data_nodes", "example_data", "mean_bounds"]

VARIANCES = ("fixed_small", "fixed_large", "optimal")
IWAE_KS = (1000, 100, 10, 1)
TRAJECTORIES = 1000
"""Trajectories of one x_0 when averaging over x_0: one group of 1000, ten of 100, and so on, all from the same weights."""


@dataclass(frozen=True)
class Bounds:
    """One chain's numbers in nats, at one x_0 or averaged over the data.

    log_q is the data's own log-density, which no model exceeds on average; iwae holds (k, estimate) from large k to 1; gap_forward is the sum of
    KLs of `ExactChain.gap`, gap_subtracted is log_p - elbo, and route_difference the largest difference of the two at any x_0 that counts.
    """

    log_q: float
    log_p: float
    iwae: tuple[tuple[int, Estimate], ...]
    elbo: float
    gap_subtracted: float
    gap_forward: float
    route_difference: float


def example_data() -> GaussianMixture:
    """Three narrow bumps on the line: far from Gaussian, so that eight steps leave a clear gap."""
    return GaussianMixture(torch.tensor([0.3, 0.2, 0.5]), torch.tensor([[-1.2], [0.1], [1.0]]), torch.tensor([0.02, 0.01, 0.04]))


def bounds_at(
    chain: ExactChain, distribution: ExactDistribution, x_0: float, *, trajectories: int = 200_000, generator: torch.Generator | None = None
) -> Bounds:
    """Every bound at one x_0.

    Args:
        trajectories: shared by all k; a multiple of the largest k, at least 2000.
    """
    point = torch.tensor([x_0], dtype=torch.float64)
    log_weights = chain.log_weights(point, trajectories, generator=generator)
    estimates = tuple((k, Estimate(*importance.iwae(log_weights[0], k))) for k in IWAE_KS)
    log_q = float(distribution.log_density(point[:, None], 1.0))
    return _bounds(log_q, float(chain.log_p(point)), estimates, float(chain.elbo(point)), float(chain.gap(point)))


def mean_bounds(chain: ExactChain, distribution: ExactDistribution, *, draws: int = 2000, generator: torch.Generator | None = None) -> Bounds:
    """Every bound averaged over the data: by quadrature, and IWAE by `draws` samples x_0 with TRAJECTORIES trajectories each.

    At each drawn x_0 the exact log p is taken from the estimate and its exact mean added back, so that the error bar holds the
    trajectories' spread and not that of the data. The data needs a density: a mixture, not a set of points.
    """
    if draws < 2:
        raise ValueError(f"draws = {draws}: use at least 2, or there is no error bar")
    nodes, probability = data_nodes(distribution)
    log_p, elbo, gap = chain.log_p(nodes), chain.elbo(nodes), chain.gap(nodes)
    mean_log_p = float(probability @ log_p)
    x_0 = distribution.sample(draws, generator=generator)[:, 0]
    log_weights = chain.log_weights(x_0, TRAJECTORIES, generator=generator)
    exact = chain.log_p(x_0)
    estimates = []
    for k in IWAE_KS:
        short = importance.iwae(log_weights.T, k).value - exact
        estimates.append((k, Estimate(mean_log_p + short.mean(), short.std() / draws**0.5)))
    log_q = float(probability @ distribution.log_density(nodes[:, None], 1.0))
    # Where the data has no mass the two routes are differences of numbers that nobody asks for.
    counted = probability > 1e-12
    difference = float((log_p - elbo - gap).abs()[counted].max())
    return _bounds(log_q, mean_log_p, tuple(estimates), float(probability @ elbo), float(probability @ gap), difference)


def _bounds(log_q: float, log_p: float, estimates: tuple, elbo: float, gap: float, difference: float | None = None) -> Bounds:
    subtracted = log_p - elbo
    return Bounds(log_q, log_p, estimates, elbo, subtracted, gap, abs(subtracted - gap) if difference is None else difference)


def table(columns: Sequence[tuple[str, Bounds]]) -> str:
    """The columns side by side as text."""
    lines = [("nats", [name for name, _ in columns])]

    def add(label: str, cells: list[str]) -> None:
        lines.append((label, cells))

    add("log q(x_0), the data's own", [f"{bounds.log_q:.6f}" for _, bounds in columns])
    add("log p_theta(x_0), exact", [f"{bounds.log_p:.6f}" for _, bounds in columns])
    for place, k in enumerate(IWAE_KS):
        label = f"IWAE_{k}" + (" = ELBO, sampled" if k == 1 else "")
        estimates = [bounds.iwae[place][1] for _, bounds in columns]
        add(label, [f"{float(value):.4f} ± {float(error):.4f}" for value, error in estimates])
    add("ELBO, exact", [f"{bounds.elbo:.6f}" for _, bounds in columns])
    add("gap: log p - ELBO", [f"{bounds.gap_subtracted:.9f}" for _, bounds in columns])
    add("gap: sum of forward KLs", [f"{bounds.gap_forward:.9f}" for _, bounds in columns])
    add("routes differ by at most", [f"{bounds.route_difference:.1e}" for _, bounds in columns])
    return "\n".join(f"{label:28}" + "".join(f"{cell:>20}" for cell in cells) for label, cells in lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and its conventions."""
    parser = argparse.ArgumentParser(prog="python -m ddpm_space.exact_chain", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=8, help="T, of a cosine schedule (default 8)")
    parser.add_argument("--x_0", type=float, help="one x_0; averaged over the data when left out")
    parser.add_argument("--draws", type=int, default=2000, help="x_0 drawn for the IWAE averages (default 2000)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        print(_page(options))
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error


def _page(options: argparse.Namespace) -> str:
    """Conventions and table as text."""
    if options.draws < 2:
        raise ValueError(f"--draws {options.draws}: use at least 2, or there is no error bar")
    data, schedule = example_data(), NoiseSchedule.cosine(options.steps)
    columns = []
    for variance in VARIANCES:
        chain = ExactChain(data, schedule, variance)
        if options.x_0 is not None and not abs(options.x_0) <= chain.reach:
            raise ValueError(f"--x_0 {options.x_0:g}: the data lie within {chain.reach:.3g} of 0, use a number there")
        # The same seed for every column: the same x_0 and the same trajectories.
        generator = torch.Generator().manual_seed(options.seed)
        if options.x_0 is None:
            columns.append((variance, mean_bounds(chain, data, draws=options.draws, generator=generator)))
        else:
            columns.append((variance, bounds_at(chain, data, options.x_0, generator=generator)))
    where = "averaged over the data" if options.x_0 is None else f"at x_0 = {options.x_0:g}"
    conventions = [
        f"data: three Gaussian bumps on the line; T = {options.steps}, '{schedule.name}', alpha_bar_T = {schedule.terminal_alpha_bar:.1e}",
        f"model: the exact posterior mean; {where}",
        "p_theta(x_0 | x_1) is a Gaussian density, no grey levels; its variance under fixed_small is the next step's beta_tilde (Ho et al.)",
        "± is one standard error; IWAE_k for all k comes from the same forward trajectories, and in all columns from the same ones",
    ]
    return "\n".join([*conventions, "", table(columns)])


if __name__ == "__main__":
    main()
