"""Row N1 on the page: the exact step of dx = -beta(s)/2 x ds + sqrt(beta(s)) dW is the step of the forward process.

Three routes to the law after the step: the formula; Euler-Maruyama in n substeps, whose law is known exactly because every substep is linear; and
many paths walked that way with drawn noise. The first two differ by the substeps' coarseness, the last two by chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ddpm_space.figures import array
from ddpm_space.notes.gaussian import density
from ddpm_space.notes.integrators import euler_maruyama_step
from ddpm_space.notes.langevin_bridge import beta_from_integral, beta_from_physics, dt_from_beta, vp_transition
from ddpm_space.notes.potentials import Harmonic, force
from ddpm_space.schedule import SCHEDULES, NoiseSchedule
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.widgets import Payload

SOURCES = ("schedule", "physics")
STEPS = 1000
PATHS, DRAWN = 16000, 14
SUBSTEPS = tuple(2**power for power in range(9))
SPANS = tuple(2**power for power in range(10))
SHOWN_TIMES = 64
BINS = 40

Substep = Callable[[Tensor, int, Tensor], Tensor]
"""x, the number of the substep, eps -> x after it."""


def answer(asked: Asked) -> Payload:
    """Walk paths through one step of the forward process, from one x, and compare their law with the exact one.

    Returns:
        beta_t, B and where they come from; mean and variance by the three routes with standard errors; a few paths with the exact band around
        them; the histogram at the end of the step.
    """
    source = asked.choice("source", SOURCES)
    x_prev = asked.number("x", -3, 3)
    substeps = asked.whole("substeps", 1, SUBSTEPS[-1])
    generator = torch.Generator().manual_seed(asked.whole("seed", 0, MAX_SEED))
    origin, rates, substep = _from_schedule(asked, substeps) if source == "schedule" else _from_physics(asked, substeps)
    integral = float(rates.sum())
    start = torch.full((1,), x_prev, dtype=torch.float64)
    mean, variance = vp_transition(start, integral)
    x, paths = _walk(substep, x_prev, substeps, generator)
    euler_mean, euler_variance = _euler_law(substep, x_prev, substeps)
    times = torch.linspace(0, substeps, min(substeps, SHOWN_TIMES) + 1, dtype=torch.float64).round().long()
    so_far = torch.cat([torch.zeros(1, dtype=torch.float64), rates.cumsum(0)])[times]
    along, spread = vp_transition(start.expand(len(times)), so_far)
    return {
        "source": source,
        **origin,
        "integral": integral,
        "beta_t": float(beta_from_integral(integral)),
        "x_prev": x_prev,
        "substeps": substeps,
        "paths": PATHS,
        "mean": _compared(float(mean), euler_mean, *_mean(x)),
        "variance": _compared(float(variance), euler_variance, *_variance(x)),
        "times": array(times / substeps, "float64"),
        "band": array(torch.stack([along, spread.sqrt()]), "float64"),
        "walked": array(paths[times].T, "float64"),
        **_histogram(x, float(mean), float(variance)),
    }


def _from_schedule(asked: Asked, substeps: int) -> tuple[Payload, Tensor, Substep]:
    """The steps t - span + 1 ... t of a schedule, taken as one: where it comes from, B of every substep, and the substep itself."""
    name = asked.choice("schedule", SCHEDULES)
    t, span = asked.whole("t", 0, STEPS - 1), min(asked.whole("span", 1, SPANS[-1]), asked.whole("t", 0, STEPS - 1) + 1)
    schedule = NoiseSchedule.make(name, STEPS)
    continuous = schedule.continuous(horizon=STEPS)
    first = t - span + 1
    edges = torch.linspace(first, t + 1, substeps + 1, dtype=torch.float64)
    # beta(s) is constant inside a step: the integral over a substep is a difference of their sum, which is linear between whole numbers.
    total = torch.cat([torch.zeros(1, dtype=torch.float64), continuous.integrals.cumsum(0)])
    below = edges.floor().long().clamp(max=STEPS - 1)
    rates = (total[below] + (edges - below) * continuous.integrals[below]).diff()

    def substep(x: Tensor, index: int, eps: Tensor) -> Tensor:
        # dx = -beta/2 x ds + sqrt(beta) dW is the overdamped particle in U = x^2 / 2 at kT = 1 with friction 2 / beta.
        return euler_maruyama_step(x, -x, float(rates[index]), 2.0, 1.0, eps=eps)

    before = schedule.alpha_bar[first - 1] if first else torch.ones(())
    return {"t": t, "first": first, "span": span, "abar_ratio": float(schedule.alpha_bar[t] / before)}, rates, substep


def _from_physics(asked: Asked, substeps: int) -> tuple[Payload, Tensor, Substep]:
    """A particle in the well U = k x^2 / 2 with kT = k, watched for dt: as `_from_schedule`."""
    stiffness, dt, gamma = asked.number("stiffness", 0.2, 3), asked.number("dt", 0.02, 2), asked.number("gamma", 0.5, 10)
    beta_t = beta_from_physics(stiffness, dt, gamma, stiffness)
    rates = torch.full((substeps,), 2 * stiffness * dt / gamma / substeps, dtype=torch.float64)
    well = Harmonic(stiffness)

    def substep(x: Tensor, index: int, eps: Tensor) -> Tensor:
        return euler_maruyama_step(x, force(well, x), dt / substeps, gamma, stiffness, eps=eps)

    origin = {"stiffness": stiffness, "dt": dt, "gamma": gamma, "beta_from_physics": float(beta_t)}
    return {**origin, "dt_back": _finite(dt_from_beta(beta_t, stiffness, gamma, stiffness))}, rates, substep


def _walk(substep: Substep, x_prev: float, substeps: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """All paths at the end of the step (PATHS,), and a few of them all the way (substeps + 1, DRAWN)."""
    x = torch.full((PATHS, 1), x_prev, dtype=torch.float64)
    paths = [x[:DRAWN, 0]]
    for index in range(substeps):
        x = substep(x, index, torch.randn(x.shape, generator=generator, dtype=x.dtype))
        paths.append(x[:DRAWN, 0])
    return x[:, 0], torch.stack(paths)


def _euler_law(substep: Substep, x_prev: float, substeps: int) -> tuple[float, float]:
    """Mean and variance after the substeps, exactly: each multiplies x by a number and adds noise of a known size."""
    mean, variance = torch.full((1, 1), x_prev, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    zero, one = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    for index in range(substeps):
        mean = substep(mean, index, zero)
        variance = substep(one, index, zero) ** 2 * variance + substep(zero, index, one) ** 2
    return float(mean), float(variance)


def _compared(exact: float, euler: float, value: float, se: float) -> Payload:
    return {"exact": exact, "euler": euler, "value": value, "se": se, "z": (value - exact) / se, "z_euler": (value - euler) / se}


def _mean(x: Tensor) -> tuple[float, float]:
    return float(x.mean()), float(x.std()) / math.sqrt(len(x))


def _variance(x: Tensor) -> tuple[float, float]:
    squared = (x - x.mean()) ** 2
    return float(x.var()), float(squared.std()) / math.sqrt(len(x))


def _histogram(x: Tensor, mean: float, variance: float) -> Payload:
    """Shares of the paths as a density between edges that hold both laws, and the exact density over the same range."""
    exact, walked = math.sqrt(variance), float(x.std())
    low = min(mean - 4 * exact, float(x.mean()) - 4 * walked)
    high = max(mean + 4 * exact, float(x.mean()) + 4 * walked)
    edges = torch.linspace(low, high, BINS + 1, dtype=torch.float64)
    counts = torch.histogram(x, edges).hist
    fine = torch.linspace(low, high, 160, dtype=torch.float64)
    return {
        "edges": array(edges, "float64"),
        "heights": array(counts / (len(x) * (edges[1] - edges[0])), "float64"),
        "curve": array(torch.stack([fine, density(fine, mean, variance)]), "float64"),
    }


def _finite(value: Tensor) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
