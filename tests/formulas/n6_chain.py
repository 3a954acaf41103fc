"""Rows N6 and N8: the chain as a whole."""

from __future__ import annotations

import torch
from torch import Tensor

from formulas.anywhere import SAMPLE, Call, coefficient
from formulas.case import DRAWS, LARGER_UNIT, NORMAL, POSITIVE, UNIT, Case


def betas(generator: torch.Generator) -> Tensor:
    """Schedules of 8 steps, (draws, 8)."""
    return 0.05 + 0.3 * torch.rand(DRAWS, 8, generator=generator, dtype=torch.float64)


def alpha_bars(function, values) -> tuple[Tensor, ...]:
    """abar_t and abar_s of a chain that visits the notes' t and then s, for each schedule."""
    visits = torch.tensor([values["t"] - 1, values["s"] - 1])
    both = [function(beta, visits) for beta in values[r"\beta_i"]]
    return torch.stack([t[0] for t, _ in both]), torch.stack([s[0] for _, s in both])


def shortened(function, values) -> Tensor:
    """The second beta of a chain of two steps, given the abar at its middle and at its end."""
    middle, end = values[r"\bar\alpha((k-1)T/K)"], values[r"\bar\alpha(kT/K)"]
    return torch.stack([function(torch.stack([1 - a, 1 - b / a]), 2)[1] for a, b in zip(middle, end)])


STEP = {"x_0": r"\hat x_0", r"\beta_{t|s}": "N6.beta_between", r"\tilde\mu_t(x_t,\hat x_0)": "N7.posterior_coefficients"}

CASES = [
    Case("N6.chain_alpha_bars", {r"\beta_i": betas, "t": 6, "s": 3}, output=0, call=alpha_bars),
    Case("N6.chain_alpha_bars", {r"\beta_i": betas, "t": 6, "s": 3}, statement=1, output=1, call=alpha_bars),
    Case("N6.shortened_betas", {r"\bar\alpha(kT/K)": UNIT, r"\bar\alpha((k-1)T/K)": LARGER_UNIT}, call=shortened),
    Case(
        "N8.ancestral_step",
        {r"\hat x_0": NORMAL, "x_t": NORMAL, r"\bar\alpha_t": UNIT, r"\bar\alpha_s": LARGER_UNIT, r"\sigma_t": POSITIVE, "z": NORMAL},
        given=STEP,
        call=lambda f, v: f(*list(v.values())[:4], v[r"\sigma_t"] ** 2, eps=v["z"]),
    ),
]

ABAR_T, ABAR_S = coefficient(0.1, 0.4), coefficient(0.5, 0.9)

ANYWHERE = {"N8.ancestral_step": Call(SAMPLE, SAMPLE, ABAR_T, ABAR_S, coefficient(0.2, 2), eps=SAMPLE)}

NOT_ANYWHERE = {
    "N6.chain_alpha_bars": "takes a schedule's table, not samples",
    "N6.shortened_betas": "takes a schedule's table, not samples",
}
