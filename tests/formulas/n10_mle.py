"""Row N10: likelihood, its maximum, and cross-entropy."""

from __future__ import annotations

from formulas.case import NORMAL, POSITIVE, Case, vector
from formulas.n9_jensen import law

DATA = {"x_i": vector(6), "n": 6}
GAUSSIAN = {**DATA, r"\mu": NORMAL, r"\sigma^2": POSITIVE}
LAWS = {"p_i": law, "q_i": law, "n": 4}


def on_data(function, values):
    return function(values["x_i"].T)


def under_gaussian(function, values):
    return function(values["x_i"].T, values[r"\mu"], values[r"\sigma^2"])


def of_laws(function, values):
    return function(values["p_i"].log().T, values["q_i"].log().T)


CASES = [
    Case("N10.log_likelihood", GAUSSIAN, call=under_gaussian),
    Case("N10.mle_gaussian", DATA, output=0, call=on_data),
    Case("N10.mle_gaussian", DATA, statement=1, output=1, given={r"\hat\mu": "N10.mle_gaussian"}, call=on_data),
    Case("N10.likelihood_gradient", GAUSSIAN, output=0, call=under_gaussian),
    Case("N10.likelihood_gradient", GAUSSIAN, statement=1, output=1, call=under_gaussian),
    Case("N10.cross_entropy", LAWS, call=of_laws),
    Case("N10.kl_discrete", LAWS, call=of_laws),
]

WITHOUT_CASE = {
    "N10.mle_gaussian_full": "an outer product of vectors, which the parser does not read",
    "N10.likelihood_split": "its terms are those of N10.cross_entropy and N10.kl_discrete",
}

REASON = "reduces over its first dimension, the data: test_mle.py takes other shapes and dtypes"
NOT_ANYWHERE = dict.fromkeys([*WITHOUT_CASE, *(case.id for case in CASES)], REASON)
