"""Rows N2 and N3: the Gaussian, element by element."""

from scipy.stats import norm

from formulas.anywhere import SAMPLE, Call, coefficient
from formulas.case import NORMAL, POSITIVE, Case

VARIANCE = coefficient(0.2, 2)
ONE = {"x": NORMAL, r"\mu": NORMAL, r"\sigma^2": POSITIVE}
BY_SIGMA = {"x": NORMAL, r"\mu": NORMAL, r"\sigma": POSITIVE}
TWO = {r"\mu_1": NORMAL, r"\sigma_1^2": POSITIVE, r"\mu_2": NORMAL, r"\sigma_2^2": POSITIVE}


def by_sigma(function, values):
    """Call a function of the variance with sigma^2."""
    return function(values["x"], values[r"\mu"], values[r"\sigma"] ** 2)


CASES = [
    Case("N2.density", ONE),
    Case("N2.log_density", ONE),
    Case("N2.entropy", {r"\sigma^2": POSITIVE}),
    Case("N2.cdf", BY_SIGMA, call=by_sigma),
    Case("N2.cdf", BY_SIGMA, piece="side 2", call=by_sigma),
    Case("N2.log_cdf", BY_SIGMA, call=by_sigma),
    Case(
        "N2.quantile",
        {r"\Phi^{-1}(p)": NORMAL, r"\mu": NORMAL, r"\sigma": POSITIVE},
        call=lambda f, v: f(norm.cdf(v[r"\Phi^{-1}(p)"]), v[r"\mu"], v[r"\sigma"] ** 2),
    ),
    Case("N2.kl_gaussian", TWO),
    Case("N2.product", TWO, statement=1, output=1),
    Case("N2.product", TWO, statement=2, output=0, given={r"\sigma^2": r"\frac{1}{\frac{1}{\sigma_1^2} + \frac{1}{\sigma_2^2}}"}),
    Case("N2.product", TWO, statement=3, output=2, given={"v": r"\sigma_1^2+\sigma_2^2"}),
    Case("N3.affine", {r"\mu": NORMAL, r"\sigma^2": POSITIVE, "a": NORMAL, "b": NORMAL}, piece="mean", output=0),
    Case("N3.affine", {r"\mu": NORMAL, r"\sigma^2": POSITIVE, "a": NORMAL, "b": NORMAL}, piece="variance", output=1),
    Case("N3.linear_combination", {**TWO, "a": NORMAL, "b": NORMAL}, piece="mean", output=0),
    Case("N3.linear_combination", {**TWO, "a": NORMAL, "b": NORMAL}, piece="variance", output=1),
    Case(
        "N3.reparameterize",
        {r"\mu": NORMAL, r"\sigma": POSITIVE, r"\varepsilon": NORMAL},
        call=lambda f, v: f(v[r"\mu"], v[r"\sigma"] ** 2, eps=v[r"\varepsilon"]),
    ),
]

ANYWHERE = {
    "N2.density": Call(SAMPLE, SAMPLE, VARIANCE),
    "N2.log_density": Call(SAMPLE, SAMPLE, VARIANCE),
    "N2.entropy": Call(VARIANCE, outputs="coefficient"),
    "N2.cdf": Call(SAMPLE, SAMPLE, VARIANCE),
    "N2.log_cdf": Call(SAMPLE, SAMPLE, VARIANCE, upper=True),
    "N2.quantile": Call(0.03, SAMPLE, VARIANCE),
    "N2.kl_gaussian": Call(SAMPLE, VARIANCE, SAMPLE, coefficient(0.5, 3)),
    "N2.product": Call(SAMPLE, VARIANCE, SAMPLE, coefficient(0.5, 3), outputs="sample coefficient sample"),
    "N3.affine": Call(SAMPLE, VARIANCE, coefficient(-1, 2), coefficient(0, 3), outputs="sample coefficient"),
    "N3.linear_combination": Call(SAMPLE, VARIANCE, SAMPLE, VARIANCE, coefficient(-1, 2), coefficient(0.1, 3), outputs="sample coefficient"),
    "N3.reparameterize": Call(SAMPLE, VARIANCE, eps=SAMPLE),
}
