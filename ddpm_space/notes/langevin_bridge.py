"""The bridge of row N1: a step of the forward process is the exact solution of a Langevin equation over that step, and beta_t tells how far it ran.

dx = -beta(s)/2 x ds + sqrt(beta(s)) dW over a step with integral B of beta(s) gives N(exp(-B/2) x, 1 - exp(-B)), which is row N5's step with
beta_t = 1 - exp(-B). Only B matters: beta(s) inside a step and the clock are free, so the way back picks the piecewise constant beta(s).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64, cast
from ddpm_space.notes.entry import equation
from ddpm_space.notes.langevin import between, not_negative, positive
from ddpm_space.notes.quadrature import integrate

UNIT_VARIANCE_TOLERANCE = 1e-9


@equation("N1.vp_transition")
def vp_transition(x: Tensor, integral: Coefficient) -> tuple[Tensor, Tensor]:
    """Exact law after dx = -beta(s)/2 x ds + sqrt(beta(s)) dW: N(exp(-B/2) x, 1 - exp(-B)) [N1; Song 2021 eq. 11, 29].

    Args:
        x: (B, ...); integral: B, the integral of beta(s) over the step, >= 0, shape () or (B,).
    Returns:
        mean (B, ...) in x's dtype, variance float64.
    Raises:
        ValueError: a negative integral.
    """
    between(0, torch.inf, "numbers >= 0", integral=integral)
    integral = as_float64(integral)
    return cast(torch.exp(-integral / 2), x) * x, -torch.expm1(-integral)


@equation("N1.step_integrals")
def step_integrals(beta: Callable[[Tensor], Tensor], edges: Tensor) -> Tensor:
    """B_t, the integral of beta(s) from edge s_t to edge s_{t+1}, for every step [N1].

    Args:
        beta: float64 tensor of times -> rates >= 0 of the same shape, or a number; edges: (T + 1,) ascending times.
    Returns:
        (T,) float64.
    Raises:
        ValueError: a negative rate or one that is not finite, with its time; an integral that does not converge.
    """

    def checked(s: Tensor) -> Tensor:
        rate = torch.as_tensor(beta(s), dtype=torch.float64, device="cpu").broadcast_to(s.shape)
        if bool((rate < 0).any()):
            place = rate < 0
            raise ValueError(f"beta(s) = {float(rate[place][0]):g} at s = {float(s[place][0]):.6g}: a rate of noising cannot be negative")
        return rate

    return integrate(checked, edges)


@equation("N1.beta_from_integral")
def beta_from_integral(integral: Coefficient) -> Tensor:
    """beta_t = 1 - exp(-B), B the integral of beta(s) over the step [N1; Song 2021 eq. 29].

    Args:
        integral: B >= 0, any shape.
    Returns:
        float64 in [0, 1], same shape.
    Raises:
        ValueError: a negative integral.
    """
    between(0, torch.inf, "numbers >= 0", integral=integral)
    return -torch.expm1(-as_float64(integral))


@equation("N1.integral_from_beta")
def integral_from_beta(beta_t: Coefficient) -> Tensor:
    """B = -log(1 - beta_t): how far the continuous process runs in a step of variance beta_t [N1].

    Args:
        beta_t: in [0, 1], any shape.
    Returns:
        float64, same shape; infinite at beta_t = 1.
    Raises:
        ValueError: a beta_t outside [0, 1].
    """
    between(0, 1, "numbers in [0, 1]", beta_t=beta_t)
    return -torch.log1p(-as_float64(beta_t))


def unit_variance(stiffness: Coefficient, kT: Coefficient) -> None:
    """Refuse a well whose stationary variance kT / k is not 1: the forward process ends in N(0, I), so it bridges to no other.

    Raises:
        ValueError: with kT / k and the length that would make it 1.
    """
    positive(stiffness=stiffness, kT=kT)
    ratio = as_float64(kT) / as_float64(stiffness)
    wrong = (ratio - 1).abs() > UNIT_VARIANCE_TOLERANCE
    if bool(wrong.any()):
        value = float(ratio.reshape(-1)[wrong.reshape(-1)][0])
        raise ValueError(f"kT / k = {value:g}, not 1: the bridge to beta_t needs unit stationary variance; measure x in units of {value**0.5:g}")


@equation("N1.beta_from_physics")
def beta_from_physics(stiffness: Coefficient, dt: Coefficient, gamma: Coefficient, kT: Coefficient) -> Tensor:
    """beta_t = 1 - exp(-2 k dt / gamma): an overdamped particle in the well U = k x^2 / 2 with kT / k = 1, watched every dt [N1].

    Args:
        stiffness: k > 0; dt: >= 0; gamma: > 0; kT: equal to k in the units used; shape () or (T,).
    Returns:
        float64 in [0, 1).
    Raises:
        ValueError: kT / k is not 1 (with the length unit that makes it 1), or a constant out of range.
    """
    unit_variance(stiffness, kT)
    positive(gamma=gamma)
    not_negative(dt=dt)
    return -torch.expm1(-2 * as_float64(stiffness) * as_float64(dt) / as_float64(gamma))


@equation("N1.dt_from_beta")
def dt_from_beta(beta_t: Coefficient, stiffness: Coefficient, gamma: Coefficient, kT: Coefficient) -> Tensor:
    """dt = -gamma / (2 k) log(1 - beta_t): how long the particle of `beta_from_physics` takes for a step of variance beta_t [N1].

    Args:
        beta_t: in [0, 1]; stiffness, gamma, kT: as in `beta_from_physics`.
    Returns:
        float64; infinite at beta_t = 1.
    Raises:
        ValueError: a beta_t outside [0, 1]; otherwise as in `beta_from_physics`.
    """
    unit_variance(stiffness, kT)
    positive(gamma=gamma)
    between(0, 1, "numbers in [0, 1]", beta_t=beta_t)
    return -as_float64(gamma) / (2 * as_float64(stiffness)) * torch.log1p(-as_float64(beta_t))


@dataclass(frozen=True, eq=False)
class PiecewiseConstantBeta:
    """beta(s) = B_t / (s_{t+1} - s_t) inside step t: the plainest of the continuous rates that lead to the same chain.

    Args:
        integrals: (T,) B_t, finite and >= 0; horizon: the time at which the chain ends, > 0; every step takes horizon / T.
    Raises:
        ValueError: an integral that is infinite (beta_t = 1), negative or nan, or a horizon that is not positive.
    """

    integrals: Tensor
    horizon: float = 1.0

    def __post_init__(self) -> None:
        positive(horizon=self.horizon)
        wrong = ~(self.integrals.isfinite() & (self.integrals >= 0))
        if bool(wrong.any()):
            t = int(wrong.nonzero()[0])
            value = float(self.integrals[t])
            if value == torch.inf:
                reason = "beta_t = 1 forgets x in one step, which no finite beta(s) does; use a smaller beta_t"
            elif value < 0:
                reason = "use numbers >= 0, a rate of noising cannot be negative"
            else:
                reason = "not a number; use finite numbers >= 0"
            raise ValueError(f"step {t} has integral {value:g}: {reason}")

    @cached_property
    def edges(self) -> Tensor:
        """The times between which the steps lie, (T + 1,) float64."""
        return step_edges(len(self.integrals), self.horizon)

    @cached_property
    def rates(self) -> Tensor:
        """beta(s) inside each step, (T,) float64."""
        return self.integrals / self.edges.diff()

    def __call__(self, s: Coefficient) -> Tensor:
        """beta(s), float64 in the shape of s.

        Args:
            s: times in [0, horizon].
        Raises:
            ValueError: a time outside the chain.
        """
        s = as_float64(s)
        outside = ~((s >= 0) & (s <= self.horizon))
        if bool(outside.any()):
            raise ValueError(f"s = {float(s[outside].reshape(-1)[0]):g} is outside [0, {self.horizon:g}], the time the chain takes")
        step = (torch.searchsorted(self.edges, s.contiguous(), right=True) - 1).clamp(max=len(self.integrals) - 1)
        return self.rates[step]


def step_edges(num_steps: int, horizon: float) -> Tensor:
    """The times s_0 = 0, ..., s_T = horizon that bound T steps of equal length, (T + 1,) float64."""
    return torch.linspace(0, horizon, num_steps + 1, dtype=torch.float64)
