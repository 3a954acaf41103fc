"""Rows N5, N6 and the draw of N3: noising."""

from formulas.anywhere import SAMPLE, Call, coefficient
from formulas.case import LARGER_UNIT, NORMAL, UNIT, Case

STEP = {"x_{t-1}": NORMAL, r"\beta_t": UNIT}
JUMP = {"x_s": NORMAL, r"\bar\alpha_t": UNIT, r"\bar\alpha_s": LARGER_UNIT}
CUMULATIVE = {"x_0": NORMAL, r"\bar\alpha_t": UNIT}

CASES = [
    Case("N5.q_step", STEP, piece="mean", output=0),
    Case("N5.q_step", STEP, piece="variance", output=1),
    Case("N6.beta_between", {r"\bar\alpha_t": UNIT, r"\bar\alpha_s": LARGER_UNIT}),
    Case("N6.q_between", JUMP, piece="mean", output=0),
    Case("N6.q_between", JUMP, piece="variance", output=1),
    Case("N6.q_cumulative", CUMULATIVE, piece="mean", output=0),
    Case("N6.q_cumulative", CUMULATIVE, piece="variance", output=1),
    Case(
        "N3.q_cumulative_sample",
        {**CUMULATIVE, r"\varepsilon": NORMAL},
        call=lambda f, v: f(v["x_0"], v[r"\bar\alpha_t"], eps=v[r"\varepsilon"]),
    ),
]

ABAR_T, ABAR_S = coefficient(0.1, 0.4), coefficient(0.5, 0.9)

ANYWHERE = {
    "N5.q_step": Call(SAMPLE, ABAR_T, outputs="sample coefficient"),
    "N6.beta_between": Call(ABAR_T, ABAR_S, outputs="coefficient"),
    "N6.q_between": Call(SAMPLE, ABAR_T, ABAR_S, outputs="sample coefficient"),
    "N6.q_cumulative": Call(SAMPLE, ABAR_T, outputs="sample coefficient"),
    "N3.q_cumulative_sample": Call(SAMPLE, ABAR_T, eps=SAMPLE),
}
