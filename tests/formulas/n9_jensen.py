"""Row N9: the ELBO's gap over a latent of four values, and what the log-weights of five draws say."""

from __future__ import annotations

import torch
from torch import Tensor

from formulas.case import DRAWS, POSITIVE, Case


def weights(generator: torch.Generator) -> Tensor:
    """Positive numbers, (draws, 5)."""
    return torch.exp(torch.randn(DRAWS, 5, generator=generator, dtype=torch.float64))


def law(generator: torch.Generator) -> Tensor:
    """Probabilities of four values, (draws, 4)."""
    return torch.softmax(torch.randn(DRAWS, 4, generator=generator, dtype=torch.float64), dim=1)


def joint(generator: torch.Generator) -> Tensor:
    """p(x, z) of four z, (draws, 4), adding up to less than 1."""
    return 0.3 * law(generator)


WEIGHTS = {"w_i": weights, "n": 5}
LATENT = {"p_z": joint, "q_z": law, "n": 4}
MEAN = {r"\bar w": r"\frac{1}{n}\sum_{i=1}^{n} w_i"}
VARIANCE = {**MEAN, r"\hat v": "N9.relative_variance"}


def of_logs(function, values):
    """Call a function of log-weights, draws first."""
    return function(torch.log(values["w_i"]).T)


def of_joint(function, values):
    return function(torch.log(values["p_z"]).T, torch.log(values["q_z"]).T)


CASES = [
    Case("N9.elbo_gap", LATENT, output="log_p", call=of_joint),
    Case("N9.elbo_gap", LATENT, piece="brace 0", output="elbo", call=of_joint),
    Case("N9.elbo_gap", LATENT, piece="brace 1", output="kl", given={"p(x)": r"\sum_{z=1}^{n} p_z"}, call=of_joint),
    Case("N9.elbo", WEIGHTS, statement=2, output="value", call=of_logs),
    Case("N9.elbo", WEIGHTS, statement=3, output="standard_error", given={r"\hat L": r"\frac{1}{n}\sum_{i=1}^{n} \log(w_i)"}, call=of_logs),
    Case("N9.relative_variance", WEIGHTS, given=MEAN, call=of_logs),
    Case(
        "N9.iwae_gap",
        {**WEIGHTS, "k": POSITIVE},
        statement=1,
        given=VARIANCE,
        call=lambda f, v: torch.cat([f(torch.log(w)[:, None], 1) / k for w, k in zip(v["w_i"], v["k"])]),
    ),
    Case("N9.log_mean", WEIGHTS, output="value", call=of_logs),
    Case("N9.log_mean", WEIGHTS, statement=1, output="standard_error", given=VARIANCE, call=of_logs),
    Case("N9.log_mean", WEIGHTS, statement=2, output="bias", given=VARIANCE, call=of_logs),
    Case("N9.effective_sample_size", WEIGHTS, call=of_logs),
]

WITHOUT_CASE = {
    "N9.jensen_sides": "f stands for any concave function, not for a formula",
    "N9.jensen_second_order": "f stands for any smooth function, whose second derivative torch takes",
    "N9.jensen_sampled": "f stands for any smooth function, whose derivatives torch takes",
    "N9.iwae": "an expectation over groups of draws; its single group is the case of N9.log_mean",
    "N9.iwae_rise": "an expectation over groups of draws",
    "N9.jackknife": "the sum runs over samples without one draw each",
}

REASON = "reduces over its first dimension, the draws: test_jensen.py and test_importance.py take other shapes and dtypes"
NOT_ANYWHERE = dict.fromkeys([*WITHOUT_CASE, *(case.id for case in CASES)], REASON)
