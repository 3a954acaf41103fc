"""The derivation as a walk (row N10): from maximum likelihood to L_simple, both sides of every line evaluated on data drawn now.

Words and formulas of the lines are the library's (`ddpm_space.derivation`), in both languages, as a formula card's are the registry's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor

from ddpm_space import figures
from ddpm_space.derivation import Side, Step, derivation
from ddpm_space.exact.chain import ExactChain
from ddpm_space.exact.distribution import ExactDistribution
from ddpm_space.exact.mixture import GaussianData, GaussianMixture
from ddpm_space.exact_chain import example_data
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.widgets import Payload

LAWS = ("bumps", "peaks", "gaussian")
MODELS = ("perfect", "one_gaussian")
VARIANCES = ("fixed_small", "fixed_large")
MOST_STEPS, MOST_DATA, MOST_TRAJECTORIES = 12, 32, 8000
HISTOGRAM_NODES = 201


def answer(asked: Asked) -> Payload:
    """List the lines of the walk: formula, words, routes, equations. Nothing is evaluated, and nothing depends on what was asked."""
    return _outline()


def run(asked: Asked) -> Iterator[Payload]:
    """Draw the data and evaluate line after line."""
    law, data = law_of(asked.choice("law", LAWS)), asked.whole("data", 1, MOST_DATA)
    schedule = NoiseSchedule.cosine(asked.whole("steps", 2, MOST_STEPS))
    seed = asked.whole("seed", 0, MAX_SEED)
    x_0 = law.sample(data, generator=torch.Generator().manual_seed(seed))[:, 0]
    model = model_of(law, asked.choice("model", MODELS))
    trajectories = asked.whole("trajectories", 100, MOST_TRAJECTORIES)
    variance = asked.choice("variance", VARIANCES)
    world = drawn(x_0, law, model)
    yield {**world, "lines": []}
    chain = ExactChain(model, schedule, variance, reach=reach_of(law, model))
    lines: list[Payload] = []
    for step in derivation(x_0, chain, trajectories=trajectories, seed=seed):
        lines.append(evaluated(step))
        yield {**world, "lines": list(lines)}
    yield {**world, "lines": lines, "done": True}


def law_of(name: str) -> GaussianMixture:
    """Where the data come from: three narrow bumps, two sharp peaks, or one Gaussian."""
    if name == "gaussian":
        return GaussianData(torch.tensor([0.2]), 0.3)
    if name == "peaks":
        return GaussianMixture(torch.tensor([0.4, 0.6]), torch.tensor([[-1.0], [0.8]]), torch.tensor([0.02, 0.02]))
    return example_data()


def model_of(law: GaussianMixture, name: str) -> ExactDistribution:
    """The law whose posterior mean the model takes for x_0_hat: the data's own, or one Gaussian of the same mean and variance."""
    if name == "perfect":
        return law
    weights, means, variances = law.components()
    mean = weights @ means[:, 0]
    return GaussianData(mean[None], float(weights @ (variances[:, 0] + (means[:, 0] - mean) ** 2)))


def reach_of(*worlds: ExactDistribution) -> float:
    """A bound on |x_0| beyond which none of them has any mass that counts."""
    parts = [world.components() for world in worlds]
    return max(float((part.means.abs() + 10 * part.variances.sqrt()).max()) for part in parts)


def drawn(x_0: Tensor, law: GaussianMixture, model: ExactDistribution) -> Payload:
    """The data that were drawn, with the density of their law and of the law that the model assumes."""
    reach = reach_of(law)
    place = torch.linspace(-reach, reach, HISTOGRAM_NODES, dtype=torch.float64)
    shown = law.log_density(place[:, None], 1.0) > -12  # where there is nothing to see the axis need not reach
    place = place[shown]
    densities = [each.log_density(place[:, None], 1.0).exp() for each in (law, model)]
    return {
        "data": figures.array(x_0, "float64"),
        "place": figures.array(place, "float64"),
        "law": figures.array(densities[0], "float64"),
        "assumed": figures.array(densities[1], "float64"),
    }


def evaluated(step: Step) -> Payload:
    """Evaluate both sides of a line once, and compare them."""
    start = time.perf_counter()
    left, right = step.left(), step.right()
    found = step.compare(left, right)
    return {
        "key": step.key,
        "left": found.left,
        "right": found.right,
        "difference": found.difference,
        "tolerance": found.tolerance,
        "holds": found.holds,
        "element": found.element,
        "seconds": time.perf_counter() - start,
        "sides": {name: _side(side) for name, side in (("left", left), ("right", right))},
    }


def _side(side: Side) -> Payload:
    """Pack a side: its value or its value at every t, the error each may have, and where its terms are least."""
    value = side.value.reshape(-1)
    packed: Payload = {"value": figures.array(value, "float64"), "error": figures.array(side.error.expand(value.shape), "float64")}
    if side.minimum is not None:
        packed["minimum"] = figures.array(side.minimum, "float64")
    return packed


@cache
def _outline() -> Payload:
    steps = derivation(torch.zeros(1), ExactChain(example_data(), NoiseSchedule.cosine(2)))
    return {
        "lines": [
            {
                "key": step.key,
                "equations": list(step.equations),
                "relation": step.relation,
                "latex": step.latex,
                "words": {"zh-CN": step.zh, "en": step.en},
                "route": {"zh-CN": step.route_zh, "en": step.route_en},
            }
            for step in steps
        ]
    }
