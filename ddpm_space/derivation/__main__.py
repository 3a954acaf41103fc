"""Print the walk from maximum likelihood to L_simple on data drawn from a known law: both sides, the sign, the difference, the tolerance.

python -m ddpm_space.derivation
python -m ddpm_space.derivation --steps 4 --variance fixed_small --data 8 --seed 1
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch

from ddpm_space.derivation import Step, StepCheck, derivation
from ddpm_space.exact.chain import ExactChain
from ddpm_space.exact_chain import VARIANCES, example_data
from ddpm_space.schedule import NoiseSchedule


def line(step: Step, result: StepCheck) -> str:
    """One step as text."""
    verdict = "ok  " if result.holds else "FAIL"
    compared = "minima apart" if step.relation == "~" else "difference"
    place = "" if result.element is None else f"; worst at element {result.element}"
    return (
        f"{verdict} {step.key:13} {result.left:15.9f} {step.relation:2} {result.right:15.9f}   {compared} {result.difference:10.2e}"
        f"   tolerance {result.tolerance:8.1e}   [{', '.join(step.equations)}{place}]\n     {step.en}\n     {step.route_en}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every step; returns 1 when a sign does not hold."""
    parser = argparse.ArgumentParser(prog="python -m ddpm_space.derivation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=8, help="T, of a cosine schedule (default 8)")
    parser.add_argument("--variance", choices=VARIANCES, default="fixed_large", help="the reverse variances (default fixed_large)")
    parser.add_argument("--data", type=int, default=16, help="how many numbers x_0 (default 16)")
    parser.add_argument("--trajectories", type=int, default=4000, help="noising trajectories for each x_0 (default 4000)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        return _walk(options)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error


def _walk(options: argparse.Namespace) -> int:
    law, schedule = example_data(), NoiseSchedule.cosine(options.steps)
    x_0 = law.sample(options.data, generator=torch.Generator().manual_seed(options.seed))[:, 0]
    chain = ExactChain(law, schedule, options.variance)
    print(f"data: {options.data} numbers from three Gaussian bumps; model: their exact posterior mean; T = {options.steps}, {options.variance}")
    print(f"nats a datum; p_theta(x_0|x_1) is a Gaussian density; drawn sides: {options.trajectories} trajectories a datum, five standard errors\n")
    results = [(step, step.check()) for step in derivation(x_0, chain, trajectories=options.trajectories, seed=options.seed)]
    for step, result in results:
        print(line(step, result))
    return 0 if all(result.holds for _, result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
