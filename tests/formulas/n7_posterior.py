"""Row N7: the posterior."""

from formulas.anywhere import SAMPLE, Call, coefficient
from formulas.case import LARGER_UNIT, NORMAL, UNIT, Case

TIMES = {r"\bar\alpha_t": UNIT, r"\bar\alpha_s": LARGER_UNIT}
BETA = {r"\beta_{t|s}": "N6.beta_between"}
MOMENTS = {**BETA, r"\tilde\mu_t(x_t,x_0)": "N7.posterior_coefficients", r"\tilde\beta_t": "N7.beta_tilde"}

CASES = [
    Case("N7.posterior_coefficients", TIMES, piece="brace 0", output=0, given=BETA),
    Case("N7.posterior_coefficients", TIMES, piece="brace 1", output=1, given=BETA),
    Case("N7.beta_tilde", TIMES, given=BETA),
    Case("N7.q_posterior", {"x_0": NORMAL, "x_t": NORMAL, **TIMES}, piece="mean", output=0, given=MOMENTS),
    Case("N7.q_posterior", {"x_0": NORMAL, "x_t": NORMAL, **TIMES}, piece="variance", output=1, given=MOMENTS),
]

ABAR_T, ABAR_S = coefficient(0.1, 0.4), coefficient(0.5, 0.9)

ANYWHERE = {
    "N7.posterior_coefficients": Call(ABAR_T, ABAR_S, outputs="coefficient coefficient"),
    "N7.beta_tilde": Call(ABAR_T, ABAR_S, outputs="coefficient"),
    "N7.q_posterior": Call(SAMPLE, SAMPLE, ABAR_T, ABAR_S, outputs="sample coefficient"),
}
