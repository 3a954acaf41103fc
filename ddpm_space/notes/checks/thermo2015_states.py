"""A binomial chain small enough to write out: every state of a few bits, every step as a matrix. What the checks of row N4 compare with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_space.notes.checks.noising import random_betas


def all_states(bits: int) -> Tensor:
    """Every sequence of `bits` bits, float64 (2^bits, bits)."""
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * bits).reshape(-1, bits)


def transition(kept: Tensor | float, rate: float, bits: int) -> Tensor:
    """The noising as a matrix over states: each bit is kept with probability `kept`, else drawn anew; (from, to)."""
    stationary = torch.tensor([1 - rate, rate], dtype=torch.float64)
    single = kept * torch.eye(2, dtype=torch.float64) + (1 - kept) * stationary.expand(2, 2)
    matrix = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(bits):
        matrix = torch.kron(matrix, single)
    return matrix


def ones_share(law: Tensor) -> Tensor:
    """Probability that each bit is 1 under laws over the states: (..., 2^n) to (..., n)."""
    return law @ all_states(law.shape[-1].bit_length() - 1)


def entropy_of(law: Tensor) -> Tensor:
    """Entropy over the last dimension, nats."""
    return -torch.special.xlogy(law, law).sum(-1)


def bayes(law: Tensor, kernel: Tensor) -> Tensor:
    """P(from | to), (to, from), for `from` drawn from the law."""
    joint = law[:, None] * kernel
    return (joint / joint.sum(0)).T


@dataclass(frozen=True)
class Chain:
    """Data on two bits, three steps of noising, and a reverse chain whose rates are random.

    Args:
        law (4,) of the data; rate: stationary; alpha_bar (3,); forward, reverse (3, 4, 4): q(x_t|x_{t-1}), p(x_{t-1}|x_t) from the row's
            state to the column's; reverse_rates (3, 4, 2): probability of a 1 in x_{t-1} given x_t, not used by the step to x_0.
    """

    law: Tensor
    rate: float
    alpha_bar: Tensor
    forward: Tensor
    reverse: Tensor
    reverse_rates: Tensor

    @property
    def stationary(self) -> Tensor:
        """pi over the four states."""
        return transition(0.0, self.rate, 2)[0]

    def trajectories(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Every (x_0, ..., x_3): its states (256, 4), log p(x_3) (256,), log p(x_{t-1}|x_t) and log q(x_t|x_{t-1}) (3, 256)."""
        path = torch.cartesian_prod(*[torch.arange(4)] * 4)
        log_forward = torch.stack([self.forward[t, path[:, t], path[:, t + 1]].log() for t in range(3)])
        log_reverse = torch.stack([self.reverse[t, path[:, t + 1], path[:, t]].log() for t in range(3)])
        return path, self.stationary[path[:, 3]].log(), log_reverse, log_forward


def random_chain(generator: torch.Generator, rate: float) -> Chain:
    """Draw a chain; its step from x_1 to x_0 is the forward kernel turned round, as in the paper."""
    law = torch.softmax(torch.randn(4, generator=generator, dtype=torch.float64), 0)
    beta = random_betas(generator, 3)
    forward = torch.stack([transition(1 - b, rate, 2) for b in beta])
    rates = 0.1 + 0.8 * torch.rand(3, 4, 2, generator=generator, dtype=torch.float64)
    states = all_states(2)
    reverse = torch.where(states == 1, rates[:, :, None], 1 - rates[:, :, None]).prod(-1)
    stationary = transition(0.0, rate, 2)[0]
    # p(x_0|x_1) = q(x_1|x_0) pi(x_0) / pi(x_1), rows x_1.
    reverse[0] = (forward[0] * stationary[:, None]).T / stationary[:, None]
    return Chain(law, rate, torch.cumprod(1 - beta, 0), forward, reverse, rates)
