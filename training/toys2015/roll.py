"""The swiss roll of Sohl-Dickstein et al. 2015: two dimensions, 40 steps, mean and diagonal covariance from radial basis functions.

The paper gives neither noise nor scale. Here the angle is uniform on [3 pi/2, 9 pi/2], the radius proportional to it, both coordinates get Gaussian
noise of standard deviation `noise`, and the whole is scaled to E|x_0|^2 = 2, the moment of pi that eq. 14 needs. The forward chain is fixed, not
learned: the ratio of noise to signal grows by the same factor every step, starting far below the roll's own noise. As in appendix D.1.1 the hidden
layer of normalized kernels is shared by all steps, each step has readouts of its own, and a sigmoid keeps the variance below 1. Unlike there, it
has more units than 16, they see x_t / sqrt(abar_t), and the readouts also see the coordinates themselves.
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor, nn

from ddpm_space.exact.mixture import GaussianMixture
from ddpm_space.notes.coefficients import cast
from ddpm_space.notes.forward import beta_between, q_cumulative_sample, q_step, q_step_sample
from ddpm_space.notes.gaussian import log_density
from ddpm_space.notes.reverse import beta_tilde, posterior_coefficients, q_posterior
from ddpm_space.notes.thermo2015 import entropy_cumulative_gaussian, step_kl_gaussian
from training.toys2015.chain import Entropies, Term, ToyChain

FIRST_ANGLE, LAST_ANGLE = 1.5 * math.pi, 4.5 * math.pi
NODES_APART = 0.8
"""Of the midpoint rule along the angle, in standard deviations of the noise: its error for a Gaussian is then below 1e-13."""

EXACT_SAMPLES = 2000
"""Draws for what needs the roll's own density; the KLs of the network, which are cheap, get all draws."""


class SwissRoll:
    """The data: exact samples, and the density as a mixture of Gaussians at the nodes of the midpoint rule.

    Args:
        noise: standard deviation, in units in which E|x_0|^2 = 2.
    Raises:
        ValueError: noise outside [0.02, 0.5].
    """

    def __init__(self, noise: float) -> None:
        if not 0.02 <= noise <= 0.5:
            raise ValueError(f"noise = {noise}: use 0.02 to 0.5 (the arms are 0.9 apart, and a thinner roll needs more units and steps)")
        self.noise = noise
        mean_square_angle = (LAST_ANGLE**3 - FIRST_ANGLE**3) / (3 * (LAST_ANGLE - FIRST_ANGLE))
        self.scale = math.sqrt((2 - 2 * noise**2) / mean_square_angle)
        widest = (LAST_ANGLE - FIRST_ANGLE) * self.scale * math.hypot(LAST_ANGLE, 1)  # length of the curve, had it everywhere the speed of its end
        nodes = math.ceil(widest / (NODES_APART * noise))
        middles = (torch.arange(nodes, dtype=torch.float64) + 0.5) / nodes
        self.mixture = GaussianMixture(torch.ones(nodes), self.curve(middles), torch.full((nodes,), noise**2, dtype=torch.float64))

    def curve(self, share: Tensor) -> Tensor:
        """Points of the curve: (n,) in [0, 1] to (n, 2)."""
        angle = FIRST_ANGLE + (LAST_ANGLE - FIRST_ANGLE) * share
        return self.scale * angle[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw x_0: float64 (n, 2)."""
        points = self.curve(torch.rand(n, generator=generator, dtype=torch.float64))
        return points + self.noise * torch.randn(n, 2, generator=generator, dtype=torch.float64)

    def entropy(self, alpha_bar: float = 1.0, spacing: float = 0.7) -> Tensor:
        """H(X_t) by quadrature over a square grid, nats, to about 1e-5.

        Args:
            alpha_bar: of the time t; 1 for the data. spacing: of the grid, in standard deviations of the noise in x_t.
        """
        width = math.sqrt(alpha_bar * self.noise**2 + 1 - alpha_bar)
        reach = math.sqrt(alpha_bar) * self.scale * LAST_ANGLE + 8 * width
        axis = torch.linspace(-reach, reach, 2 * math.ceil(reach / (spacing * width)) + 1, dtype=torch.float64)
        log_q = self.mixture.log_density(torch.cartesian_prod(axis, axis), alpha_bar)
        return -(log_q.exp() * log_q).sum() * (axis[1] - axis[0]) ** 2


class RadialNetwork(nn.Module):
    """Mean and diagonal variance of every reverse step from normalized Gaussian kernels.

    Args:
        beta, alpha_bar: (S,) of the steps that are learned and of the x_t they start from; centres: (M, 2) of the kernels; width: theirs at first.
    """

    def __init__(self, beta: Tensor, alpha_bar: Tensor, centres: Tensor, width: float) -> None:
        super().__init__()
        self.register_buffer("beta", beta.float()[:, None, None])
        self.register_buffer("alpha_bar", alpha_bar.float()[:, None, None])
        self.centres = nn.Parameter(centres.float())
        self.log_width = nn.Parameter(torch.full((len(centres),), math.log(width)))
        self.readout = nn.Parameter(torch.zeros(len(beta), len(centres), 4))
        self.linear = nn.Parameter(torch.zeros(len(beta), 3, 4))

    def forward(self, x_t: Tensor, rows: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """x_t (S, n, 2), n samples for each step of `rows`, to mean and variance of x_{t-1}, both (S, n, 2)."""
        y = x_t / self.alpha_bar[rows].sqrt()
        distance2 = (y**2).sum(dim=-1, keepdim=True) + (self.centres**2).sum(dim=-1) - 2 * y @ self.centres.T
        kernels = torch.softmax(-distance2 * torch.exp(-2 * self.log_width) / 2, dim=-1)
        plain = torch.cat([torch.ones_like(y[..., :1]), y], dim=-1)
        shift, spread = (kernels @ self.readout[rows] + plain @ self.linear[rows]).chunk(2, dim=-1)
        # Nothing learned means the forward step turned round: its mean, its variance.
        beta = self.beta[rows]
        return (1 - beta).sqrt() * x_t + beta.sqrt() * shift, torch.sigmoid(torch.logit(beta) + spread)


class Roll(ToyChain):
    """Gaussian diffusion of the swiss roll.

    Args:
        num_steps: T; noise: of the roll; batch: samples of each step in a training step; units: hidden units.
    """

    name = "swiss_roll"

    def __init__(self, num_steps: int = 40, noise: float = 0.05, batch: int = 64, units: int = 256) -> None:
        self.num_steps, self.batch, self.units = num_steps, batch, units
        self.settings = {"chain_steps": num_steps, "noise": noise, "batch": batch, "units": units}
        self.data = SwissRoll(noise)
        noise_to_signal = torch.logspace(math.log10(0.03 * noise**2), 1, num_steps, dtype=torch.float64)
        self.alpha_bar = 1 / (1 + noise_to_signal)

    def network(self, generator: torch.Generator) -> nn.Module:
        # On and around the roll, where x_t / sqrt(abar_t) is while the noise is small.
        noise = self.data.noise
        centres = self.data.sample(self.units, generator) + 1.5 * noise * torch.randn(self.units, 2, generator=generator, dtype=torch.float64)
        return RadialNetwork(beta_between(self.alpha_bar[1:], self.alpha_bar[:-1]), self.alpha_bar[1:], centres, 2 * noise)

    def loss(self, network: nn.Module, generator: torch.Generator) -> Tensor:
        steps = self.num_steps - 1
        alpha_bar_t, alpha_bar_s = (a.repeat_interleave(self.batch) for a in (self.alpha_bar[1:], self.alpha_bar[:-1]))
        x_0 = self.data.sample(steps * self.batch, generator)
        x_t = q_cumulative_sample(x_0, alpha_bar_t, generator=generator).float()
        mean, variance = (out.flatten(0, 1) for out in network(x_t.reshape(steps, self.batch, 2)))
        return step_kl_gaussian(x_0.float(), x_t, mean, variance, alpha_bar_t, alpha_bar_s).sum() / self.batch

    def term(self, network: nn.Module, t: int, samples: int, generator: torch.Generator) -> Term:
        alpha_bar_t, alpha_bar_s = self.alpha_bar[t], self.alpha_bar[t - 1]
        beta = beta_between(alpha_bar_t, alpha_bar_s)
        x_0 = self.data.sample(samples, generator)
        x_s = q_cumulative_sample(x_0, alpha_bar_s, generator=generator)
        x_t = q_step_sample(x_s, beta, generator=generator)
        mean, variance = (out[0].double() for out in network(x_t.float()[None], slice(t - 1, t)))
        kl = step_kl_gaussian(x_0, x_t, mean, variance, alpha_bar_t, alpha_bar_s)
        x_s, x_t, mean, variance = (value[:EXACT_SAMPLES] for value in (x_s, x_t, mean, variance))
        # Averaged over x_0 given x_t, the KL to a Gaussian of the right mean and variance is log(variance / beta_tilde) / 2.
        best = 0.5 * torch.log(self.best(x_t, alpha_bar_t, alpha_bar_s)[1] / beta_tilde(alpha_bar_t, alpha_bar_s)).sum(dim=1)
        log_q = self.data.mixture.log_density(x_s, alpha_bar_s) - self.data.mixture.log_density(x_t, alpha_bar_t)
        log_q = log_q + log_density(x_t, *q_step(x_s, beta)).sum(dim=1)
        return Term(t, kl, best, log_q - log_density(x_s, mean, variance).sum(dim=1))

    def best(self, x_t: Tensor, alpha_bar_t: Tensor, alpha_bar_s: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variances of q(x_{t-1} | x_t): the best diagonal Gaussian."""
        mean, within = q_posterior(self.data.mixture.posterior_mean(x_t, alpha_bar_t), x_t, alpha_bar_t, alpha_bar_s)
        weight, _ = posterior_coefficients(alpha_bar_t, alpha_bar_s)
        spread = self.data.mixture.posterior_covariance(x_t, alpha_bar_t).diagonal(dim1=1, dim2=2)
        return mean, cast(within, spread) + cast(weight**2, spread) * spread

    def entropies(self) -> Entropies:
        return self._entropies

    @cached_property
    def _entropies(self) -> Entropies:
        last, first, prior = (entropy_cumulative_gaussian(alpha_bar, 2) for alpha_bar in (self.alpha_bar[-1], self.alpha_bar[0], 0.0))
        data, noised_once, noised = (self.data.entropy(alpha_bar) for alpha_bar in (1.0, float(self.alpha_bar[0]), float(self.alpha_bar[-1])))
        # E log pi(x_0) = E log pi(x_T) = -H_p(X_T), since E|x_0|^2 = 2.
        return Entropies(last, first, prior, -prior, data, noised_once - data, prior - noised)
