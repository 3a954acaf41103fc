"""Eight bits with a heartbeat under the binomial kernel of 2015 (row N4): everything by enumeration of the 256 states."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from ddpm_space.notes.forward import beta_between
from ddpm_space.notes.thermo2015 import entropy_cumulative_bits, log_likelihood_bound, log_null_bits, moment_bits, step_kl_bits
from ddpm_space.notes.thermo2015_binomial import (
    beta_erase,
    draw_bits,
    entropy_bernoulli,
    p_reverse_bits,
    q_cumulative_bits,
    q_posterior_bits,
    q_step_bits,
)
from ddpm_space.notes.thermo2015_entropy import entropy_bounds_bits
from ddpm_space.ui.labs.thermo2015_line import Account, Entropies

LENGTH = 8


class Heartbeat:
    """A 1 in every `period`-th place, the first anywhere, each such sequence as likely as the others; beta_t = 1 / (T - t + 1).

    Args:
        period: divides LENGTH; own_rate: bits go to the data's mean activity, as in the paper's appendix D.1.2, instead of 1/2; steps: T >= 2.
    """

    def __init__(self, period: int, own_rate: bool, steps: int) -> None:
        self.period, self.steps = period, steps
        self.rate = 1 / period if own_rate else 0.5
        self.data = (torch.arange(LENGTH) % period == torch.arange(period)[:, None]).double()
        self.states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * LENGTH)
        self.beta = beta_erase(steps)
        self.alpha_bar = torch.cumprod(1 - self.beta, 0)

    def account(self) -> Account:
        """K with the best x_0_hat there is, by KLs over all (x_0, x_t) and by entropies of single bits."""
        terms, by_entropies = (torch.stack(column) for column in zip(*(self._term(t) for t in range(1, self.steps))))
        last, first, prior = (entropy_cumulative_bits(self.data, a, rate=self.rate).mean() for a in (self.alpha_bar[-1], self.alpha_bar[0], 0.0))
        bound, other = (log_likelihood_bound(each, last, first, prior) for each in (terms, by_entropies))
        moment = moment_bits(self.data, self.alpha_bar[0], self.alpha_bar[-1], rate=self.rate).mean()
        truth = torch.tensor(-math.log(self.period), dtype=torch.float64)
        return Account(bound, other, moment, log_null_bits(self.data, rate=self.rate).mean(), truth, terms)

    def entropies(self) -> Entropies:
        """Eq. 24 along the chain; H(X_{t-1} | X_t) by Bayes over all pairs of states, and from the entropies of the marginals."""
        activity, later, earlier = self.data.mean(dim=0)[None], self.alpha_bar[1:], self.alpha_bar[:-1]
        bounds = [entropy_bounds_bits(activity, a_t, a_s, rate=self.rate) for a_t, a_s in zip(later, earlier)]
        lower, upper = (torch.cat(column) for column in ([each.lower for each in bounds], [each.upper for each in bounds]))
        marginal = torch.stack([_entropy(law.sum(dim=0)) for law in self._joint])
        by_bayes = torch.stack([self._reverse_entropy(t) for t in range(1, self.steps)])
        return Entropies(lower, upper, by_bayes, upper + marginal[:-1] - marginal[1:], all(bool(each.upper_holds) for each in bounds))

    def noised(self, generator: torch.Generator) -> Tensor:
        """One sequence as the forward chain takes it apart: (T + 1, LENGTH) bits from x_0 to x_T."""
        film = [self.data[torch.randint(self.period, (1,), generator=generator)]]
        for beta in self.beta:
            film.append(draw_bits(q_step_bits(film[-1], beta, rate=self.rate), generator=generator))
        return torch.cat(film)

    def drawn(self, generator: torch.Generator) -> Tensor:
        """One sequence as the reverse chain makes it: (T + 1, LENGTH) bits from x_T to x_0, the last step the forward kernel turned round."""
        film = [draw_bits(torch.full((1, LENGTH), self.rate, dtype=torch.float64), generator=generator)]
        for t in range(self.steps - 1, 0, -1):
            x_0_hat = self._posterior(film[-1], t) @ self.data
            law = p_reverse_bits(x_0_hat, film[-1], self.alpha_bar[t], self.alpha_bar[t - 1], rate=self.rate)
            film.append(draw_bits(law, generator=generator))
        # Keeping a bit or drawing it anew is reversible: turned round it is the same kernel.
        film.append(draw_bits(q_step_bits(film[-1], self.beta[0], rate=self.rate), generator=generator))
        return torch.cat(film)

    @cached_property
    def _joint(self) -> list[Tensor]:
        """q(x_0, x_t) of every t: (period, 256) each."""
        return [self._log_joint(self.states, t).exp().T for t in range(self.steps)]

    def _log_joint(self, x_t: Tensor, t: int) -> Tensor:
        """log q(x_0, x_t) for every sequence: (B, period)."""
        rates = q_cumulative_bits(self.data, self.alpha_bar[t], rate=self.rate)
        return _log_probability(x_t, rates) - math.log(self.period)

    def _posterior(self, x_t: Tensor, t: int) -> Tensor:
        """q(x_0 | x_t): (B, period)."""
        return self._log_joint(x_t, t).softmax(dim=1)

    def _term(self, t: int) -> tuple[Tensor, Tensor]:
        """The mean KL of step t with x_0_hat = E[x_0 | x_t], by KLs; and as the entropy that the bits of p have more than those of q."""
        joint, posterior = self._joint[t], self._posterior(self.states, t)
        x_0, x_t = self.data.repeat_interleave(len(self.states), 0), self.states.repeat(self.period, 1)
        x_0_hat, steps = posterior @ self.data, (self.alpha_bar[t], self.alpha_bar[t - 1])
        kl = step_kl_bits(x_0, x_t, x_0_hat.repeat(self.period, 1), *steps, rate=self.rate)
        model = entropy_bernoulli(p_reverse_bits(x_0_hat, self.states, *steps, rate=self.rate)).sum(dim=1)
        truth = entropy_bernoulli(q_posterior_bits(x_0, x_t, *steps, rate=self.rate)).sum(dim=1)
        flat = joint.reshape(-1)
        return (flat * kl).sum(), (joint.sum(dim=0) * model).sum() - (flat * truth).sum()

    def _reverse_entropy(self, t: int) -> Tensor:
        """H(X_{t-1} | X_t) over all pairs of states."""
        step = q_step_bits(self.states, beta_between(self.alpha_bar[t], self.alpha_bar[t - 1]), rate=self.rate)
        pair = _log_probability(self.states, step) + self._joint[t - 1].sum(dim=0).log()  # (x_t, x_{t-1})
        given = pair - self._joint[t].sum(dim=0).log()[:, None]
        return -(pair.exp() * given).sum()


def _log_probability(bits: Tensor, rates: Tensor) -> Tensor:
    """log of the probability of (B, n) bits under each of (M, n) rates, all strictly between 0 and 1: (B, M)."""
    return bits @ rates.log().T + (1 - bits) @ torch.log1p(-rates).T


def _entropy(law: Tensor) -> Tensor:
    return -torch.special.xlogy(law, law).sum()
