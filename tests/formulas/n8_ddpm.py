"""Row N8: the reverse step, its parametrizations, and the terms of the bound."""

from formulas.anywhere import SAMPLE, Call, coefficient
from formulas.case import LARGER_UNIT, NORMAL, POSITIVE, UNIT, Case, between, vector

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
    Case("N8.prior_kl", {"x_0": NORMAL, r"\bar\alpha_T": UNIT}, piece="side -1"),
    Case("N8.kl_term", {r"\tilde\mu_t": NORMAL, r"\tilde\beta_t": POSITIVE, r"\mu_\theta": NORMAL, r"\sigma_t^2": POSITIVE}, piece="side -1"),
    Case(
        "N8.discretized_log_likelihood",
        {"x_0": between(-0.9, 0.9), r"\mu_\theta": NORMAL, r"\sigma_1": POSITIVE},
        piece="side -1",
        call=lambda f, v: f(v["x_0"], v[r"\mu_\theta"], v[r"\sigma_1"] ** 2),
    ),
    Case(
        "N8.simple_loss",
        {r"\varepsilon_i": vector(5), r"\varepsilon_{\theta,i}": vector(5), "D": 5},
        piece="brace 0",
        call=lambda f, v: f(v[r"\varepsilon_i"], v[r"\varepsilon_{\theta,i}"]),
    ),
    Case("N8.bits_per_dim", {r"\text{nats}": POSITIVE, "D": 784}),
]

ABAR_T, ABAR_S, SIGMA2 = coefficient(0.1, 0.4), coefficient(0.5, 0.9), coefficient(0.2, 2)

ANYWHERE = {
    "N8.p_reverse": Call(SAMPLE, SAMPLE, ABAR_T, ABAR_S, SIGMA2, outputs="sample coefficient"),
    "N8.mu_theta_from_eps": Call(SAMPLE, SAMPLE, ABAR_T, ABAR_S),
    "N8.x_0_from_eps": Call(SAMPLE, SAMPLE, ABAR_T),
    "N8.x_0_from_v": Call(SAMPLE, SAMPLE, ABAR_T),
    "N8.eps_from_x_0": Call(SAMPLE, SAMPLE, ABAR_T),
    "N8.eps_from_v": Call(SAMPLE, SAMPLE, ABAR_T),
    "N8.velocity": Call(SAMPLE, SAMPLE, ABAR_T),
    "N8.v_from_x_0": Call(SAMPLE, SAMPLE, ABAR_T),
    "N8.v_from_eps": Call(SAMPLE, SAMPLE, ABAR_T),
    "N8.prior_kl": Call(SAMPLE, ABAR_T),
    "N8.kl_term": Call(SAMPLE, SIGMA2, SAMPLE, SIGMA2),
    "N8.discretized_log_likelihood": Call(SAMPLE, SAMPLE, SIGMA2),
    "N8.simple_loss": Call(SAMPLE, SAMPLE, outputs="batch"),
    "N8.bits_per_dim": Call(SAMPLE, 784),
}
