"""Langevin's equation (row N1): its two forms, the exact Ornstein-Uhlenbeck transition, and the free particle's displacement.

Units are the reader's own: mass m, friction gamma (force per velocity), thermal energy kT, time; m / gamma is the time a velocity is remembered.
A particle has d coordinates, x of shape (B, d); the coefficients are numbers or tensors of shape () or (B,).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64, cast, draw_eps
from ddpm_space.notes.entry import equation


def positive(**values: Coefficient) -> None:
    """Refuse a constant that is not a finite number > 0; the values come by the names under which the reader gave them.

    Raises:
        ValueError: with the name and the value.
    """
    for name, value in values.items():
        _refuse(name, value, as_float64(value) > 0, " > 0")


def not_negative(**values: Coefficient) -> None:
    """Refuse a constant that is not a finite number >= 0; as `positive`."""
    for name, value in values.items():
        _refuse(name, value, as_float64(value) >= 0, " >= 0")


def finite(**values: Coefficient) -> None:
    """Refuse a constant of either sign that is not a finite number; as `positive`."""
    for name, value in values.items():
        _refuse(name, value, as_float64(value).isfinite(), "")


def between(lowest: float, highest: float, wanted: str, **values: Coefficient) -> None:
    """Refuse a value outside [lowest, highest], or nan. One that lives on an accelerator is not looked at: that would make the host wait for it.

    Raises:
        ValueError: with the name, the value and what is `wanted`.
    """
    for name, value in values.items():
        if isinstance(value, Tensor) and value.device.type != "cpu":
            continue
        number = as_float64(value)
        wrong = ~((number >= lowest) & (number <= highest))
        if bool(wrong.any()):
            raise ValueError(f"{name} = {float(number[wrong].reshape(-1)[0]):g}: use {wanted}")


def _refuse(name: str, value: Coefficient, inside: Tensor, wanted: str) -> None:
    number = as_float64(value)
    wrong = ~(inside & number.isfinite())
    if bool(wrong.any()):
        raise ValueError(f"{name} = {float(number[wrong].reshape(-1)[0]):g}: use a finite number{wanted}")


@equation("N1.langevin")
def langevin_equation(v: Tensor, force_x: Tensor, gamma: Coefficient, mass: Coefficient, kT: Coefficient) -> tuple[Tensor, Tensor, Tensor]:
    """m dv = (-gamma v + F) dt + sqrt(2 gamma kT) dW, dx = v dt, with F = -U'(x) [N1; Langevin 1908; Kramers 1940].

    Args:
        v, force_x: (B, d) velocity, and force at x; gamma, mass: > 0; kT: >= 0.
    Returns:
        dx/dt (B, d), the drift of v (B, d), and the amplitude of dW in dv, sqrt(2 gamma kT) / m, as float64.
    """
    gamma, mass, kT = as_float64(gamma), as_float64(mass), as_float64(kT)
    return v, cast(1 / mass, v) * force_x - cast(gamma / mass, v) * v, (2 * gamma * kT).sqrt() / mass


@equation("N1.overdamped")
def overdamped_equation(force_x: Tensor, gamma: Coefficient, kT: Coefficient) -> tuple[Tensor, Tensor]:
    """dx = F / gamma dt + sqrt(2 kT / gamma) dW: what is left of Langevin's equation for m / gamma -> 0 [N1; Smoluchowski 1916].

    Args:
        force_x: (B, d) force at x; gamma: > 0; kT: >= 0.
    Returns:
        the drift of x (B, d), and the amplitude of dW as float64.
    """
    gamma, kT = as_float64(gamma), as_float64(kT)
    return cast(1 / gamma, force_x) * force_x, (2 * kT / gamma).sqrt()


@equation("N1.ou_transition")
def ou_transition(x: Tensor, dt: Coefficient, rate: Coefficient, diffusion: Coefficient) -> tuple[Tensor, Tensor]:
    """Exact law of x(s + dt) given x(s) under dx = -rate x ds + sqrt(2 diffusion) dW [N1; Uhlenbeck, Ornstein 1930].

    N(exp(-rate dt) x, diffusion / rate (1 - exp(-2 rate dt))); a velocity has rate gamma / m and diffusion gamma kT / m^2, a particle in the
    overdamped well U = k x^2 / 2 has rate k / gamma and diffusion kT / gamma. At rate 0 the variance is 2 diffusion dt.

    Args:
        x: (B, ...); dt: >= 0, also infinite; rate: >= 0; diffusion: >= 0; each shape () or (B,).
    Returns:
        mean (B, ...) in x's dtype, variance float64.
    Raises:
        ValueError: a negative dt or rate.
    """
    between(0, torch.inf, "numbers >= 0", dt=dt, rate=rate)
    dt, rate, diffusion = as_float64(dt), as_float64(rate), as_float64(diffusion)
    drawn_back = rate > 0
    # At rate 0 nothing is forgotten, even in infinite time, where the product is nan.
    exponent = torch.where(drawn_back, rate * dt, 0.0)
    variance = torch.where(drawn_back, diffusion / torch.where(drawn_back, rate, 1.0) * -torch.expm1(-2 * exponent), 2 * diffusion * dt)
    return cast(torch.exp(-exponent), x) * x, variance


def ou_transition_sample(
    x: Tensor, dt: Coefficient, rate: Coefficient, diffusion: Coefficient, *, eps: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Draw x(s + dt) given x(s) = x; shapes as in `ou_transition`, eps (B, ...)."""
    mean, variance = ou_transition(x, dt, rate, diffusion)
    return mean + cast(variance.sqrt(), x) * draw_eps(x, eps, generator)


def thermal_velocity(
    like: Tensor, mass: Coefficient, kT: Coefficient, *, eps: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Draw velocities from the thermal law N(0, kT / m), one for each coordinate of `like` (B, d) [N1; Maxwell 1860]."""
    return cast((as_float64(kT) / as_float64(mass)).sqrt(), like) * draw_eps(like, eps, generator)


@equation("N1.velocity_autocorrelation")
def velocity_autocorrelation(t: Coefficient, gamma: Coefficient, mass: Coefficient, kT: Coefficient) -> Tensor:
    """E v(0) v(t) = kT / m exp(-gamma t / m) for a free particle in equilibrium, per coordinate [N1; Uhlenbeck, Ornstein 1930].

    Args:
        t: >= 0, any shape; gamma, mass: > 0; kT: >= 0.
    Returns:
        float64 in t's shape.
    """
    t, gamma, mass, kT = as_float64(t), as_float64(gamma), as_float64(mass), as_float64(kT)
    return kT / mass * torch.exp(-gamma * t / mass)


@equation("N1.free_particle_msd")
def free_particle_msd(t: Coefficient, gamma: Coefficient, mass: Coefficient, kT: Coefficient) -> Tensor:
    """E |x(t) - x(0)|^2 = 2 kT / gamma (t - m / gamma (1 - exp(-gamma t / m))) per coordinate [N1; Fuerth 1920; Uhlenbeck, Ornstein 1930].

    v(0) is drawn from the thermal law. Below gamma t / m = 0.01 the bracket, a difference of nearly equal terms, is formed from its series.

    Args:
        t: >= 0, any shape; gamma, mass: > 0; kT: >= 0.
    Returns:
        float64 in t's shape.
    Raises:
        ValueError: a gamma or mass that is not > 0 (without friction it is `msd_regimes`' ballistic one at all times).
    """
    positive(gamma=gamma, mass=mass)
    t, gamma, mass, kT = as_float64(t), as_float64(gamma), as_float64(mass), as_float64(kT)
    u = gamma * t / mass
    series = u**2 / 2 * (1 - u / 3 * (1 - u / 4 * (1 - u / 5 * (1 - u / 6 * (1 - u / 7)))))
    return 2 * kT * mass / gamma**2 * torch.where(u < 0.01, series, u + torch.expm1(-u))


@equation("N1.msd_regimes")
def msd_regimes(t: Coefficient, gamma: Coefficient, mass: Coefficient, kT: Coefficient) -> tuple[Tensor, Tensor]:
    """The two regimes of the free particle's displacement: ballistic kT / m t^2, diffusive 2 kT / gamma t [N1; Einstein 1905; Langevin 1908].

    The first holds for t much shorter than m / gamma, the second for t much longer; they cross at t = 2 m / gamma.

    Args:
        t: >= 0, any shape; gamma, mass: > 0; kT: >= 0.
    Returns:
        ballistic and diffusive mean-square displacement, float64 in t's shape.
    """
    t, gamma, mass, kT = as_float64(t), as_float64(gamma), as_float64(mass), as_float64(kT)
    return kT / mass * t**2, 2 * kT / gamma * t
