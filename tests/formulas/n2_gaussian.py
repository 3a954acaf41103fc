"""Row N2: the Gaussian."""

from formulas.anywhere import SAMPLE, Call, coefficient
from formulas.case import NORMAL, POSITIVE, Case

CASES = [
    Case("N2.log_density", {"x": NORMAL, r"\mu": NORMAL, r"\sigma^2": POSITIVE}),
    Case("N2.kl_gaussian", {r"\mu_1": NORMAL, r"\sigma_1^2": POSITIVE, r"\mu_2": NORMAL, r"\sigma_2^2": POSITIVE}),
]

ANYWHERE = {
    "N2.log_density": Call(SAMPLE, SAMPLE, coefficient(0.2, 2)),
    "N2.kl_gaussian": Call(SAMPLE, coefficient(0.2, 2), SAMPLE, coefficient(0.5, 3)),
}
