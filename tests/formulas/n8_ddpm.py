"""Row N8: the reverse step and its parametrizations."""

from formulas.case import LARGER_UNIT, NORMAL, POSITIVE, UNIT, Case

TIMES = {r"\bar\alpha_t": UNIT, r"\bar\alpha_s": LARGER_UNIT}
BETA = {r"\beta_{t|s}": "N6.beta_between"}
REVERSE = {r"\hat x_0": NORMAL, "x_t": NORMAL, **TIMES, r"\sigma_t^2": POSITIVE}
ALPHA_BAR = {r"\bar\alpha_t": UNIT}

CASES = [
    Case("N8.p_reverse", REVERSE, piece="variance", output=1),
    Case(
        "N8.p_reverse",
        REVERSE,
        piece="mean",
        output=0,
        given={"x_0": r"\hat x_0", **BETA, r"\tilde\mu_t(x_t,\hat x_0)": "N7.posterior_coefficients"},
    ),
    Case("N8.mu_theta_from_eps", {"x_t": NORMAL, r"\varepsilon_\theta": NORMAL, **TIMES}, given=BETA),
    Case("N8.x_0_from_eps", {"x_t": NORMAL, r"\varepsilon_\theta": NORMAL, **ALPHA_BAR}),
    Case("N8.x_0_from_v", {"x_t": NORMAL, r"v_\theta": NORMAL, **ALPHA_BAR}),
    Case("N8.eps_from_x_0", {r"\hat x_0": NORMAL, "x_t": NORMAL, **ALPHA_BAR}),
    Case("N8.eps_from_v", {"x_t": NORMAL, r"v_\theta": NORMAL, **ALPHA_BAR}),
    Case("N8.velocity", {"x_0": NORMAL, r"\varepsilon": NORMAL, **ALPHA_BAR}),
    Case("N8.v_from_x_0", {"x_0": NORMAL, "x_t": NORMAL, **ALPHA_BAR}),
    Case("N8.v_from_eps", {"x_t": NORMAL, r"\varepsilon": NORMAL, **ALPHA_BAR}),
]
