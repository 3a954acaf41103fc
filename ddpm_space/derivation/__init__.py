"""From maximum likelihood to L_simple, step by step, every (in)equality sign evaluated on given data (row N10).

    chain = ExactChain(GaussianMixture(...), NoiseSchedule.cosine(8), "fixed_large")
    for step in derivation(x_0, chain):
        print(step.latex, step.relation, step.check())

`python -m ddpm_space.derivation` prints the walk with both sides of every step.
"""

from ddpm_space.derivation.step import RELATIONS, Side, Step, StepCheck
from ddpm_space.derivation.walk import derivation

__all__ = ["RELATIONS", "Side", "Step", "StepCheck", "derivation"]
