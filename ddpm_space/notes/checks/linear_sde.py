"""Linear stochastic equations and linear steps solved by linear algebra: the independent route of row N1's checks, with no random number in it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def solve_linear_sde(drift: Tensor, noise: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor]:
    """Propagator exp(A t) and covariance at t from a sure start, for dz = A z dt + N dW, by a matrix exponential [Van Loan 1978].

    Args:
        drift: A (n, n); noise: N (n, m); t: > 0.
    Returns:
        (n, n) and (n, n).
    """
    n = len(drift)
    block = torch.zeros(2 * n, 2 * n, dtype=torch.float64)
    block[:n, :n], block[:n, n:], block[n:, n:] = -drift, noise @ noise.mT, drift.mT
    # The block holds exp(-A t), which grows: a long time is reached by doubling a short one.
    doublings = max(0, math.ceil(math.log2(float(torch.linalg.matrix_norm(drift) * t) + 1e-300)))
    # By its series, since torch.linalg.matrix_exp is good to only 13 digits for norms near 0.01.
    exponential = term = torch.eye(2 * n, dtype=torch.float64)
    for order in range(1, 25):
        term = term @ block * (t / 2**doublings / order)
        exponential = exponential + term
    propagator = exponential[n:, n:].mT
    covariance = propagator @ exponential[:n, n:]
    for _ in range(doublings):
        covariance, propagator = covariance + propagator @ covariance @ propagator.mT, propagator @ propagator
    return propagator, covariance


def stationary_covariance(propagator: Tensor, added: Tensor) -> Tensor:
    """Solve S = M S M^T + Q, the covariance that a linear step z' = M z + noise of covariance Q leaves unchanged."""
    n = len(propagator)
    kron = torch.kron(propagator.contiguous(), propagator.contiguous())
    return torch.linalg.solve(torch.eye(n * n, dtype=torch.float64) - kron, added.reshape(-1)).reshape(n, n)


def linear_step(step: Callable[[Tensor, Tensor], Tensor], n: int) -> tuple[Tensor, Tensor]:
    """Read M and b off a step z' = M z + b eps that is known only as a function, by automatic differentiation.

    Args:
        step: (z (n,), eps (1,)) -> z' (k,), linear in both.
    Returns:
        M (k, n) and b (k, 1).
    """
    zero = torch.zeros(n, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    return torch.func.jacfwd(step, argnums=(0, 1))(*zero)


def underdamped_well(stiffness: Tensor, gamma: Tensor, mass: Tensor, kT: Tensor) -> tuple[Tensor, Tensor]:
    """A and N of Langevin's equation in the well U = k x^2 / 2, for z = (x, v); k = 0 is the free particle."""
    zero = torch.zeros((), dtype=torch.float64)
    drift = torch.stack([torch.stack([zero, zero + 1]), torch.stack([-stiffness / mass, -gamma / mass])])
    return drift, torch.stack([zero, (2 * gamma * kT).sqrt() / mass])[:, None]


def random_constants(generator: torch.Generator, count: int) -> Tensor:
    """Draw physical constants: float64 in (0.5, 2)."""
    return 0.5 + 1.5 * torch.rand(count, generator=generator, dtype=torch.float64)
