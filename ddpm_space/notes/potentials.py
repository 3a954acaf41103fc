"""Potentials for row N1's particles: a few named ones, the force, and the stationary law exp(-U / kT).

A potential is any torch function from positions (..., d) to energies (...), each energy from its own position alone. What stands here are such
functions with dials; each also has its `gradient` written out, positions (..., d) -> (..., d), which costs a third of what autograd does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64
from ddpm_space.notes.entry import equation
from ddpm_space.notes.langevin import finite, positive

Potential: TypeAlias = Callable[[Tensor], Tensor]
"""Positions (..., d) -> energies (...)."""

EDGE_SHARE = 1e-6
"""A density that has not fallen to this share of its largest value at the grid's edge has mass outside the grid."""

RESOLVED_SHARE = 1e-3
"""Where a density is above this share of its largest value, its shape has to show on the grid."""

RESOLVED_DIFFERENCE = 2.0
"""How many kT the energies of neighbouring points may differ by there."""


@dataclass(frozen=True)
class Free:
    """U = 0: no force; in any number of dimensions."""

    def __call__(self, x: Tensor) -> Tensor:
        return 0 * x.sum(-1)

    def gradient(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


@dataclass(frozen=True)
class Harmonic:
    """U = k |x|^2 / 2; in any number of dimensions. stiffness: k > 0."""

    stiffness: float = 1.0

    def __post_init__(self) -> None:
        positive(stiffness=self.stiffness)

    def __call__(self, x: Tensor) -> Tensor:
        return self.stiffness / 2 * (x**2).sum(-1)

    def gradient(self, x: Tensor) -> Tensor:
        return self.stiffness * x


@dataclass(frozen=True)
class DoubleWell:
    """U = h ((x_1 / a)^2 - 1)^2 + k / 2 (x_2^2 + ...): two wells at x_1 = -a and a behind a barrier of height h; in any number of dimensions.

    Args:
        barrier: h > 0; half_distance: a > 0; stiffness: k > 0 of the other coordinates; tilt: a constant force along x_1, which favours one well.
    """

    barrier: float = 2.0
    half_distance: float = 1.0
    stiffness: float = 1.0
    tilt: float = 0.0

    def __post_init__(self) -> None:
        positive(barrier=self.barrier, half_distance=self.half_distance, stiffness=self.stiffness)
        finite(tilt=self.tilt)

    def __call__(self, x: Tensor) -> Tensor:
        first = x[..., 0]
        across = self.barrier * ((first / self.half_distance) ** 2 - 1) ** 2 - self.tilt * first
        return across + self.stiffness / 2 * (x[..., 1:] ** 2).sum(-1)

    def gradient(self, x: Tensor) -> Tensor:
        slope, first = self.stiffness * x, x[..., 0]
        curvature = 4 * self.barrier / self.half_distance**2
        slope[..., 0] = first * (curvature / self.half_distance**2 * first**2 - curvature) - self.tilt
        return slope


@dataclass(frozen=True)
class Washboard:
    """U = h / 2 (1 - cos(2 pi x_1 / L)) - f x_1 + k / 2 (x_2^2 + ...): a periodic landscape of barriers h, tilted by a force f.

    It has no stationary law on the whole line: a particle diffuses, or slides down, for ever.

    Args:
        barrier: h > 0; wavelength: L > 0; tilt: f, any sign; stiffness: k > 0 of the other coordinates.
    """

    barrier: float = 2.0
    wavelength: float = 1.0
    tilt: float = 0.0
    stiffness: float = 1.0

    def __post_init__(self) -> None:
        positive(barrier=self.barrier, wavelength=self.wavelength, stiffness=self.stiffness)
        finite(tilt=self.tilt)

    def __call__(self, x: Tensor) -> Tensor:
        first = x[..., 0]
        along = self.barrier / 2 * (1 - torch.cos(2 * torch.pi / self.wavelength * first)) - self.tilt * first
        return along + self.stiffness / 2 * (x[..., 1:] ** 2).sum(-1)

    def gradient(self, x: Tensor) -> Tensor:
        slope, wave = self.stiffness * x, 2 * torch.pi / self.wavelength
        slope[..., 0] = self.barrier / 2 * wave * torch.sin(wave * x[..., 0]) - self.tilt
        return slope


@dataclass(frozen=True)
class Ring:
    """U = k / 2 (|x|^2 - r^2)^2 / (2 r)^2: a circular valley of radius r, as stiff as k across; two or more dimensions.

    Args:
        stiffness: k > 0; radius: r > 0.
    """

    stiffness: float = 20.0
    radius: float = 1.5

    def __post_init__(self) -> None:
        positive(stiffness=self.stiffness, radius=self.radius)

    def __call__(self, x: Tensor) -> Tensor:
        return self.stiffness / (8 * self.radius**2) * ((x**2).sum(-1) - self.radius**2) ** 2

    def gradient(self, x: Tensor) -> Tensor:
        return self.stiffness / (2 * self.radius**2) * ((x**2).sum(-1, keepdim=True) - self.radius**2) * x


MUELLER_BROWN = (
    # height A, a, b, c, centre x, centre y
    (-200.0, -1.0, 0.0, -10.0, 1.0, 0.0),
    (-100.0, -1.0, 0.0, -10.0, 0.0, 0.5),
    (-170.0, -6.5, 11.0, -6.5, -0.5, 1.5),
    (15.0, 0.7, 0.6, 0.7, -1.0, 1.0),
)


@dataclass(frozen=True)
class MuellerBrown:
    """U = scale sum_i A_i exp(a_i u_i^2 + b_i u_i w_i + c_i w_i^2): three wells joined by two bent passes, in the plane [Mueller, Brown 1979].

    Args:
        scale: > 0; 0.05 makes the highest pass from the deepest well about 5 kT at kT = 1.
    """

    scale: float = 0.05

    def __post_init__(self) -> None:
        positive(scale=self.scale)

    def __call__(self, x: Tensor) -> Tensor:
        return self._wells(x)[0].sum(0)

    def gradient(self, x: Tensor) -> Tensor:
        well, p, q = self._wells(x)
        return torch.stack([(well * p).sum(0), (well * q).sum(0)], dim=-1)

    def _wells(self, x: Tensor) -> tuple[Tensor, ...]:
        """Each well's energy, and the slopes of its exponent along both axes, each (4, ...)."""
        if x.shape[-1] != 2:
            raise ValueError(f"positions have {x.shape[-1]} coordinates: the Mueller-Brown landscape lies in the plane, use (..., 2)")
        constants = torch.tensor(MUELLER_BROWN, dtype=x.dtype, device=x.device)
        height, a, b, c, x_centre, y_centre = constants.T.reshape(6, 4, *[1] * (x.ndim - 1)).unbind(0)
        u, w = x[..., 0] - x_centre, x[..., 1] - y_centre
        p, q = 2 * a * u + b * w, b * u + 2 * c * w
        # A quadratic form is half the product with its slope.
        return self.scale * height * torch.exp((u * p + w * q) / 2), p, q


POTENTIALS: dict[str, type] = {
    "free": Free,
    "harmonic": Harmonic,
    "double_well": DoubleWell,
    "washboard": Washboard,
    "ring": Ring,
    "mueller_brown": MuellerBrown,
}
"""Every named potential; call it with its dials to get the function."""


@equation("N1.force")
def force(potential: Potential, x: Tensor) -> Tensor:
    """F(x) = -U'(x), by the potential's own `gradient` if it has one, else by automatic differentiation [N1].

    Args:
        potential: positions (..., d) -> energies (...), differentiable; x: (..., d).
    Returns:
        (..., d) in x's dtype, detached; also where the caller has switched gradients off.
    Raises:
        ValueError: the potential's output is not one energy a particle, or autograd cannot follow it (its force would read as 0).
    """
    gradient = getattr(potential, "gradient", None)
    if gradient is not None:
        with torch.no_grad():
            return -gradient(x)
    with torch.inference_mode(False), torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        energy = potential(x)
        if energy.shape != x.shape[:-1]:
            raise ValueError(
                f"the potential maps {tuple(x.shape)} to {tuple(energy.shape)}: it must return one energy a particle, {tuple(x.shape[:-1])}"
            )
        (slope,) = torch.autograd.grad(energy.sum(), x, allow_unused=True) if energy.requires_grad else (None,)
    if slope is None:
        raise ValueError(
            "autograd cannot follow the potential from positions to energies: build it from differentiable torch functions; a constant is "
            "0 * x.sum(-1)"
        )
    return -slope


@equation("N1.stationary_density")
def stationary_density(potential: Potential, kT: Coefficient, *axes: Tensor, confined: bool = False) -> Tensor:
    """p(x) = exp(-U(x) / kT) / Z on a grid, Z by the trapezoidal rule [N1; Boltzmann 1868; Kramers 1940].

    Both forms of Langevin's equation leave this law of the positions unchanged, whatever mass and friction.

    Args:
        potential: as in `force`, or +inf where no particle can be; kT: > 0; axes: one ascending float64 grid a dimension, fine enough that the
            energy changes by at most 2 kT from point to point where the particles are.
        confined: the particle cannot leave the grid (walls, or one period of a periodic potential); otherwise the grid has to hold all of it.
    Returns:
        float64 of shape (len(axis_1), ...), in units of 1 / volume.
    Raises:
        ValueError: axes that are no ascending grids; an energy that is not a number, or no finite lowest one; a grid too coarse for kT; or, unless
            confined, a density that has not vanished at the edge of the grid.
    """
    positive(kT=kT)
    grids = [axis.double().cpu() for axis in axes]
    _check_grids(grids)
    energy = potential(torch.stack(torch.meshgrid(*grids, indexing="ij"), dim=-1))
    if bool(energy.isnan().any()):
        raise ValueError("the potential is nan somewhere on the grid: it must be a number, or +inf where no particle can be")
    lowest = float(energy.min())
    if not math.isfinite(lowest):
        raise ValueError(f"the lowest energy on the grid is {lowest:g}: it must be finite, there has to be a place where a particle can be")
    density = torch.exp(-(energy - lowest) / as_float64(kT))
    share = max(float(density.movedim(dim, 0)[[0, -1]].max()) for dim in range(len(grids)))
    if not share <= EDGE_SHARE and not confined:
        raise ValueError(
            f"at the edge of the grid the density is still {share:.2g} of its largest value: widen the grid; a potential that does not rise there "
            f"has no stationary law, unless the particle is confined to the grid (confined=True)"
        )
    _check_resolved(energy / as_float64(kT), density, float(as_float64(kT)))
    total = density
    for grid in reversed(grids):
        total = torch.trapezoid(total, grid, dim=-1)
    return density / total


def _check_grids(grids: list[Tensor]) -> None:
    if not grids:
        raise ValueError("there is no axis: give one ascending grid a dimension")
    for dim, grid in enumerate(grids):
        if grid.ndim != 1 or len(grid) < 2:
            raise ValueError(f"axis {dim} has shape {tuple(grid.shape)}: use a grid of at least 2 points, such as torch.linspace(-4, 4, 801)")
        if not bool((grid[1:] > grid[:-1]).all()):
            raise ValueError(f"axis {dim} is not ascending, from {float(grid[0]):g} to {float(grid[-1]):g}: sort its points and leave out doubles")


def _check_resolved(exponent: Tensor, density: Tensor, kT: float) -> None:
    """Refuse a grid on which the energy (in kT) jumps where the density counts; +inf is a wall, not a jump."""
    for dim in range(exponent.ndim):
        largest = torch.maximum(density.narrow(dim, 1, density.shape[dim] - 1), density.narrow(dim, 0, density.shape[dim] - 1))
        step = exponent.diff(dim=dim).abs()
        counts = (largest > RESOLVED_SHARE) & step.isfinite()
        if bool((step[counts] > RESOLVED_DIFFERENCE).any()):
            raise ValueError(
                f"the energy changes by {float(step[counts].max()):.3g} kT between neighbouring points of axis {dim}: the grid spacing is too coarse "
                f"for kT = {kT:g}, use more points"
            )
