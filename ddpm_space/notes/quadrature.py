"""Integrals of functions of one number: Gauss-Legendre nodes, and an adaptive rule that also takes jumps and integrable poles."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

RELATIVE_TOLERANCE = 1e-13
"""How closely two rules of different order must agree on a piece, relative to the interval it belongs to."""

PROBE = 1e-12
"""How near its ends a piece is looked at, as a share of its width: a jump between the outermost node and the end shows there."""

PROBE_TOLERANCE = 1e-12
"""How far the function there may be from what the nodes foretell, times the piece's width, relative to the interval's integral."""

RESOLUTION_TOLERANCE = 1e-9
"""The same for a piece too narrow to be halved: where a jump lies is not known closer than the numbers lie."""

MAX_HALVINGS = 200
MAX_PIECES = 100_000
"""Pieces looked at together before a function counts as noise; a jump or a pole takes two a halving."""

BLOCK = 10_000
"""Pieces that are begun with together: bounds the memory."""

PIECES = 16
"""Pieces of equal width that an interval is begun with; one only where there are more than BLOCK intervals."""


@cache
def gauss_legendre(nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights on (0, 1) that integrate polynomials of degree 2 nodes - 1 exactly [Golub, Welsch 1969].

    Args:
        nodes: how many, >= 1.
    Returns:
        two float64 tensors (nodes,); the weights add up to 1 and both are symmetric about 1/2.
    Raises:
        ValueError: nodes < 1.
    """
    if nodes < 1:
        raise ValueError(f"nodes = {nodes}: a quadrature needs at least one")
    order = torch.arange(1, nodes, dtype=torch.float64)
    off_diagonal = order / (4 * order**2 - 1).sqrt()
    position, vectors = torch.linalg.eigh(torch.diag(off_diagonal, 1) + torch.diag(off_diagonal, -1))
    weight = vectors[0] ** 2
    # The rule is symmetric; the eigenvalue solver is so up to rounding only.
    position, weight = (position - position.flip(0)) / 2, (weight + weight.flip(0)) / 2
    return (1 + position) / 2, weight / weight.sum()


@cache
def _rules() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Places in (0, 1) where a piece is evaluated (20 nodes, 10 nodes, 2 probes), both rules' weights, and the 20 nodes' forecast at the probes."""
    fine, fine_weight = gauss_legendre(20)
    coarse, coarse_weight = gauss_legendre(10)
    probes = torch.tensor([PROBE, 1 - PROBE], dtype=torch.float64)
    powers = torch.arange(20)
    # In Chebyshev polynomials, cos(n arccos x), the interpolation is well conditioned.
    basis = torch.cos(powers * torch.arccos(2 * fine[:, None] - 1))
    forecast = torch.linalg.solve(basis.T, torch.cos(powers[:, None] * torch.arccos(2 * probes - 1)))
    return torch.cat([fine, coarse, probes]), fine_weight, coarse_weight, forecast


def integrate(function: Callable[[Tensor], Tensor], edges: Tensor) -> Tensor:
    """Integrate `function` over each interval between neighbouring edges, to about 12 digits of that interval's integral.

    A piece is halved until 10 and 20 nodes agree on it and foretell its ends, so that a jump or an integrable pole costs time, not digits.
    What no node meets cannot be seen: a bump is found for certain where it is wider than 1/200 of its interval (1/13 where there are more than
    10,000 intervals), a narrower one where it meets a node or the end of a piece. Put edges at its sides, or use more intervals.

    Args:
        function: float64 tensor of any shape -> same shape, or a number; edges: (n + 1,) ascending.
    Returns:
        (n,) float64.
    Raises:
        ValueError: fewer than two edges or unordered ones, a value that is not finite, or an integral that does not converge.
    """
    edges = torch.as_tensor(edges, dtype=torch.float64, device="cpu")
    if edges.ndim != 1 or len(edges) < 2 or not bool((edges[1:] > edges[:-1]).all()):
        raise ValueError("edges must be at least two numbers in ascending order")
    pieces = PIECES if len(edges) - 1 <= BLOCK else 1
    block = BLOCK // pieces
    return torch.cat([_integrate_block(function, edges[start : start + block + 1], pieces) for start in range(0, len(edges) - 1, block)])


def _integrate_block(function: Callable[[Tensor], Tensor], edges: Tensor, pieces: int) -> Tensor:
    inner = edges[:-1, None] + edges.diff()[:, None] * torch.arange(pieces, dtype=torch.float64) / pieces
    # Rounding of edges that lie close together must leave no piece empty.
    if not bool((torch.cat([inner, edges[1:, None]], 1).diff() > 0).all()):
        inner = edges[:-1, None]
    left, right = inner.reshape(-1), torch.cat([inner[:, 1:], edges[1:, None]], 1).reshape(-1)
    owner = torch.arange(len(edges) - 1).repeat_interleave(inner.shape[1])
    total = torch.zeros(len(edges) - 1, dtype=torch.float64)
    settled = torch.zeros_like(total)
    for _ in range(MAX_HALVINGS):
        fine, coarse, surprise = _estimates(function, left, right)
        # The integral of |function| as far as it is known now: the first look may miss most of it.
        scale = settled.index_add(0, owner, fine.abs())
        allowed = scale[owner]
        done = ((fine - coarse).abs() <= RELATIVE_TOLERANCE * allowed) & (surprise <= PROBE_TOLERANCE * allowed)
        total.index_add_(0, owner[done], fine[done])
        settled.index_add_(0, owner[done], fine[done].abs())
        if bool(done.all()):
            return total
        left, right, owner = left[~done], right[~done], owner[~done]
        middle = (left + right) / 2
        narrow = (middle <= left) | (middle >= right)
        if bool(narrow.any()):
            fits = surprise[~done] <= RESOLUTION_TOLERANCE * scale[owner]
            if not bool(fits[narrow].all()):
                break
            total.index_add_(0, owner[narrow], fine[~done][narrow])
            settled.index_add_(0, owner[narrow], fine[~done][narrow].abs())
            left, middle, right, owner = left[~narrow], middle[~narrow], right[~narrow], owner[~narrow]
            if len(left) == 0:
                return total
        left, right, owner = torch.cat([left, middle]), torch.cat([middle, right]), owner.repeat(2)
        if len(left) > MAX_PIECES:
            break
    raise ValueError(
        f"the integral does not converge near {float(left[0]):.6g}: the function must be computed in float64, and be bounded there or have an "
        f"integrable pole at 0; if it is, use more or smaller steps"
    )


def _estimates(function: Callable[[Tensor], Tensor], left: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return each piece's integral by 20 and by 10 nodes, and by how much its ends differ from the forecast, times its width."""
    places, fine_weight, coarse_weight, forecast = _rules()
    width = right - left
    at = left[:, None] + width[:, None] * places
    # Rounding must not carry a probe out of its piece, where another step's rate may begin.
    at = at.clamp(torch.nextafter(left, right)[:, None], torch.nextafter(right, left)[:, None])
    values = torch.as_tensor(function(at), dtype=torch.float64, device="cpu").broadcast_to(at.shape)
    wrong = ~values.isfinite()
    if bool(wrong.any()):
        place, value = float(at[wrong][0]), float(values[wrong][0])
        raise ValueError(f"the function is {value} at {place:.6g}: it must be finite inside every interval")
    surprise = (values[:, :20] @ forecast - values[:, 30:]).abs().amax(1)
    return width * (values[:, :20] @ fine_weight), width * (values[:, 20:30] @ coarse_weight), width * surprise
