"""What the two toy chains of Sohl-Dickstein et al. 2015 share: train a reverse chain on K, and measure K with its error bars.

Every term of K gets independent draws of its own (x_0, x_{t-1}, x_t). Walking whole trajectories gives the same means, but there the terms of one
trajectory rise and fall together: on the heartbeat the sum then spreads over 2.6 bits instead of 0.1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ddpm_space.notes.thermo2015 import gain_bits, log_likelihood_bound

LN2 = math.log(2)


class TrainingStep(NamedTuple):
    """Progress of training: the estimate of -K, in bits, of one batch."""

    done: int
    bits: float


class Term(NamedTuple):
    """The term of one reverse step t on independent draws, (n,) nats each; n may differ between the three.

    Args:
        kl: of the network; best: of the best step of the same form (independent bits, a diagonal Gaussian); log_ratio: log q(x_{t-1}|x_t) -
            log p(x_{t-1}|x_t), whose mean is what this step loses of the likelihood.
    """

    t: int
    kl: Tensor
    best: Tensor
    log_ratio: Tensor


@dataclass(frozen=True)
class Entropies:
    """Exact numbers of a chain, nats.

    Args:
        last, first, prior: H_q(X_T|X_0), H_q(X_1|X_0) and H_p(X_T) of eq. 14; null: L_null; data: H(X_0); rise: H(X_1) - H(X_0), which is what the
            fixed step to x_0 costs; end: KL(q(x_T) || pi) = H_p(X_T) - H(X_T), which is what starting from pi costs.
    """

    last: Tensor
    first: Tensor
    prior: Tensor
    null: Tensor
    data: Tensor
    rise: Tensor
    end: Tensor


class ToyChain(ABC):
    """A data set, its forward chain and the form of its reverse chain. Steps count from 0: step t leads from x_t, noised t + 1 times, to x_{t-1}.

    The data have the moments of pi, so that eq. 14 needs no correction; step 0 is the forward kernel turned round, as in appendix B.2.
    """

    name: str
    num_steps: int
    settings: dict[str, float]
    """What the chain was made with, for the record."""

    @abstractmethod
    def network(self, generator: torch.Generator) -> nn.Module:
        """A network that has learned nothing."""

    @abstractmethod
    def loss(self, network: nn.Module, generator: torch.Generator) -> Tensor:
        """Unbiased estimate of the sum of KLs of eq. 14, nats, on one batch."""

    @abstractmethod
    def term(self, network: nn.Module, t: int, samples: int, generator: torch.Generator) -> Term:
        """Measure step t >= 1 on fresh draws, in float64."""

    @abstractmethod
    def entropies(self) -> Entropies:
        """The chain's exact numbers."""


def train(chain: ToyChain, network: nn.Module, *, steps: int, learning_rate: float, generator: torch.Generator) -> Iterator[TrainingStep]:
    """Train on K with AdamW and one cycle of the learning rate, one record a step."""
    exact = chain.entropies()
    outside = float(exact.last - exact.first - exact.prior)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    for done in range(1, steps + 1):
        loss = chain.loss(network, generator)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        yield TrainingStep(done, (loss.item() - outside) / LN2)


@torch.no_grad()
def evaluate(chain: ToyChain, network: nn.Module, *, samples: int, generator: torch.Generator) -> Iterator[Term]:
    """Measure every term of K, t = 1 to T - 1, on `samples` draws each."""
    for t in range(1, chain.num_steps):
        yield chain.term(network, t, samples, generator)


class Measured(NamedTuple):
    """A value and its standard error, bits a sample; 0 where it is exact."""

    value: float
    error: float


@dataclass(frozen=True)
class Result:
    """One row of table 1, ours, in bits.

    Args:
        K, gain: the bound and K - L_null; best: the K of the best reverse steps of this form; forward: log-likelihood less the loss of every step,
            E log q/p of the pairs (x_{t-1}, x_t): K by another route; last_step, chain_end: what the fixed step to x_0 and starting from
            pi cost; terms: of t = 2..T, [mean, error].
        samples: draws a term; seconds, cpu_seconds: of training and measuring.
    """

    experiment: str
    K: Measured
    L_null: float
    gain: Measured
    truth: float
    best: Measured
    forward: Measured
    last_step: float
    chain_end: float
    terms: list[Measured]
    samples: int
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def summarize(chain: ToyChain, terms: list[Term]) -> Result:
    """Add the terms up: standard errors from the spread of each term's independent draws."""
    exact = chain.entropies()
    kl, kl_error = _sum([term.kl for term in terms])
    best, best_error = _sum([term.best for term in terms])
    ratio, ratio_error = _sum([term.log_ratio for term in terms])
    bound, best_bound = (log_likelihood_bound(total[None], exact.last, exact.first, exact.prior) for total in (kl, best))
    return Result(
        experiment=chain.name,
        K=Measured(float(bound) / LN2, kl_error / LN2),
        L_null=float(exact.null) / LN2,
        gain=Measured(float(gain_bits(bound, exact.null)), kl_error / LN2),
        truth=-float(exact.data) / LN2,
        best=Measured(float(best_bound) / LN2, best_error / LN2),
        forward=Measured(-float(exact.data + exact.rise + exact.end + ratio) / LN2, ratio_error / LN2),
        last_step=float(exact.rise) / LN2,
        chain_end=float(exact.end) / LN2,
        terms=[Measured(float(term.kl.mean()) / LN2, _sum([term.kl])[1] / LN2) for term in terms],
        samples=len(terms[0].kl),
    )


def _sum(terms: list[Tensor]) -> tuple[Tensor, float]:
    """Sum of the means, and its standard error."""
    variance = sum(float(term.var()) / len(term) for term in terms)
    return torch.stack([term.mean() for term in terms]).sum(), math.sqrt(variance)
