"""The binary heartbeat of Sohl-Dickstein et al. 2015: 20 bits, a 1 in every 5th place, the first one anywhere in the first five; 2,000 steps.

As in appendix D.1.2 the bits go to the mean activity of the data, 0.2 (table App.1 has 0.5), and beta_t = 1/(T - t + 1). Unlike there, the network
predicts the clean bits, the notes' posterior turns these into the rates f_b, and time enters as an input and not by 2,000 readout layers.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from ddpm_space.notes.forward import beta_between
from ddpm_space.notes.thermo2015 import entropy_cumulative_bits, log_null_bits, step_kl_bits
from ddpm_space.notes.thermo2015_binomial import beta_erase, draw_bits, p_reverse_bits, q_cumulative_bits, q_step_bits
from training.toys2015.chain import Entropies, Term, ToyChain

LENGTH, PERIOD, RATE = 20, 5, 0.2


def sequences() -> Tensor:
    """The five sequences there are, equally likely: float64 (5, 20)."""
    place = torch.arange(LENGTH)
    return (place % PERIOD == torch.arange(PERIOD)[:, None]).double()


class BitsNetwork(nn.Module):
    """x_0_hat from (x_t, t): an MLP of three hidden layers over the bits and 16 bumps of time."""

    def __init__(self, num_steps: int, width: int = 64, bumps: int = 16) -> None:
        super().__init__()
        self.num_steps = num_steps
        self.register_buffer("centres", torch.linspace(0, 1, bumps))
        sizes = [LENGTH + bumps, width, width, width]
        layers = [layer for inputs, outputs in pairwise(sizes) for layer in (nn.Linear(inputs, outputs), nn.SiLU())]
        self.body = nn.Sequential(*layers, nn.Linear(width, LENGTH))

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """(B, 20) bits and (B,) steps to (B, 20) probabilities of a 1."""
        distance = (t[:, None] / self.num_steps - self.centres) * (len(self.centres) - 1)
        return torch.sigmoid(self.body(torch.cat([2 * x_t - 1, torch.softmax(-(distance**2) / 2, dim=1)], dim=1)))


class Heartbeat(ToyChain):
    """Binomial diffusion of the five sequences.

    Args:
        num_steps: T; batch: timesteps a training step, each with all five sequences.
    """

    name = "heartbeat"

    def __init__(self, num_steps: int = 2000, batch: int = 200) -> None:
        self.num_steps, self.batch = num_steps, batch
        self.settings = {"chain_steps": num_steps, "batch": batch}
        self.data = sequences()
        self.alpha_bar = torch.cumprod(1 - beta_erase(num_steps), 0)

    def network(self, generator: torch.Generator) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            return BitsNetwork(self.num_steps)

    def loss(self, network: nn.Module, generator: torch.Generator) -> Tensor:
        share = (torch.arange(self.batch) + torch.rand(self.batch, generator=generator)) / self.batch
        t = (1 + (share * (self.num_steps - 1)).long().clamp(max=self.num_steps - 2)).repeat_interleave(PERIOD)
        x_0 = self.data.float().repeat(self.batch, 1)
        x_t = draw_bits(q_cumulative_bits(x_0, self.alpha_bar[t], rate=RATE), generator=generator)
        kl = step_kl_bits(x_0, x_t, network(x_t, t), self.alpha_bar[t], self.alpha_bar[t - 1], rate=RATE)
        return kl.mean() * (self.num_steps - 1)

    def term(self, network: nn.Module, t: int, samples: int, generator: torch.Generator) -> Term:
        alpha_bar_t, alpha_bar_s = self.alpha_bar[t], self.alpha_bar[t - 1]
        x_0 = self.data.repeat(math.ceil(samples / PERIOD), 1)
        x_s = draw_bits(q_cumulative_bits(x_0, alpha_bar_s, rate=RATE), generator=generator)
        forward = q_step_bits(x_s, beta_between(alpha_bar_t, alpha_bar_s), rate=RATE)
        x_t = draw_bits(forward, generator=generator)
        x_0_hat = network(x_t.float(), torch.full((len(x_t),), t)).double()
        reverse = p_reverse_bits(x_0_hat, x_t, alpha_bar_t, alpha_bar_s, rate=RATE)
        log_q = self.log_density(x_s, alpha_bar_s) + log_probability(x_t, forward) - self.log_density(x_t, alpha_bar_t)
        best = self.phases(x_t, alpha_bar_t).softmax(dim=1) @ self.data
        kl, best_kl = (step_kl_bits(x_0, x_t, hat, alpha_bar_t, alpha_bar_s, rate=RATE) for hat in (x_0_hat, best))
        return Term(t, kl, best_kl, log_q - log_probability(x_s, reverse))

    def entropies(self) -> Entropies:
        one = self.data[:1]  # all five have the same numbers of ones and zeros
        first = entropy_cumulative_bits(one, self.alpha_bar[0], rate=RATE)[0]
        data = torch.tensor(math.log(PERIOD), dtype=torch.float64)
        last, prior = (entropy_cumulative_bits(one, alpha_bar, rate=RATE)[0] for alpha_bar in (self.alpha_bar[-1], 0.0))
        # H(X_1) - H(X_0) = H(X_1|X_0) - H(X_0|X_1); x_T is pi exactly, since the last beta is 1.
        return Entropies(last, first, prior, log_null_bits(one, rate=RATE)[0], data, first - phase_entropy(self.alpha_bar[0]), 0 * data)

    def phases(self, x_t: Tensor, alpha_bar_t: Tensor) -> Tensor:
        """log q(x_t, phase): (B, 5)."""
        rates = q_cumulative_bits(self.data, alpha_bar_t, rate=RATE)
        return log_probability(x_t[:, None], rates) - math.log(PERIOD)

    def log_density(self, x_t: Tensor, alpha_bar_t: Tensor) -> Tensor:
        """log q(x_t) over the five sequences: (B,)."""
        return self.phases(x_t, alpha_bar_t).logsumexp(dim=1)


def phase_entropy(alpha_bar_t: Tensor) -> Tensor:
    """H(X_0 | X_t), exactly: what x_t says of the phase is how many of the four bits of each phase are 1, 5^5 cases."""
    counts = torch.cartesian_prod(*[torch.arange(5, dtype=torch.float64)] * PERIOD)
    ways = torch.tensor([1, 4, 6, 4, 1], dtype=torch.float64).log()[counts.long()]
    rates = q_cumulative_bits(torch.eye(PERIOD, dtype=torch.float64), alpha_bar_t, rate=RATE)  # a bit of one phase under another
    logs = ways[:, None] + torch.special.xlogy(counts[:, None], rates) + torch.special.xlog1py(4 - counts[:, None], -rates)
    joint = logs.sum(dim=-1) - math.log(PERIOD)  # (counts, phase)
    return -(joint.exp() * joint.log_softmax(dim=1)).sum()


def log_probability(bits: Tensor, rates: Tensor) -> Tensor:
    """log of the probability of independent bits, summed over the last dimension."""
    return (torch.special.xlogy(bits, rates) + torch.special.xlog1py(1 - bits, -rates)).sum(dim=-1)
