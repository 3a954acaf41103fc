"""Row N8: the weights of the terms, SNR forms, min-SNR, the reverse step's variances and the effect of clipping."""

from formulas.anywhere import SAMPLE, Call, coefficient
from formulas.case import LARGER_UNIT, NORMAL, POSITIVE, UNIT, Case, between

STEP = {r"\sigma_t^2": POSITIVE, r"\bar\alpha_t": UNIT, r"\bar\alpha_s": LARGER_UNIT}
BETA = {r"\beta_{t|s}": "N6.beta_between"}
SNR_AND_GAMMA = {r"\mathrm{SNR}": between(0.1, 20), r"\gamma": 5.0}
ABAR_T, ABAR_S, SIGMA2 = coefficient(0.1, 0.4), coefficient(0.5, 0.9), coefficient(0.2, 2)

CASES = [
    Case("N8.eps_weight", STEP, given=BETA),
    Case("N8.x_0_weight", STEP, given=BETA),
    Case("N8.v_weight", STEP, given=BETA),
    Case("N8.snr", {r"\bar\alpha_t": UNIT}),
    Case("N8.alpha_bar_from_snr", {r"\mathrm{SNR}(t)": POSITIVE}),
    Case("N8.snr_weight", {r"\mathrm{SNR}(t)": between(0, 1), r"\mathrm{SNR}(s)": between(1, 9)}),
    Case("N8.min_snr_weight_eps", SNR_AND_GAMMA),
    Case("N8.min_snr_weight_x_0", SNR_AND_GAMMA),
    Case("N8.min_snr_weight_v", SNR_AND_GAMMA),
    Case(
        "N8.clipping_difference",
        {"x_t": NORMAL, r"\varepsilon_\theta": NORMAL, r"\bar\alpha_t": UNIT, r"\bar\alpha_s": LARGER_UNIT},
        given={r"\hat x_0": "N8.x_0_from_eps", **BETA},
    ),
    Case(
        "N8.optimal_variance",
        {r"V_t": POSITIVE, r"\bar\alpha_t": UNIT, r"\bar\alpha_s": LARGER_UNIT},
        given={**BETA, r"\tilde\beta_t": "N7.beta_tilde"},
    ),
    Case("N8.posterior_variance_from_eps", {"m_t": UNIT, r"\bar\alpha_t": UNIT}),
    Case("N8.largest_last_sigma", {"k": POSITIVE}),
    Case("N8.learned_variance", {"v": UNIT, r"\tilde\beta_t": POSITIVE, r"\beta_t": POSITIVE}),
]

WITHOUT_CASE = {"N8.continuous_bound": "an integral of the network's error, known only where it was measured; its check has a closed form"}

ANYWHERE = {
    "N8.clipping_difference": Call(SAMPLE, SAMPLE, ABAR_T, ABAR_S),
    "N8.learned_variance": Call(SAMPLE, SIGMA2, SIGMA2),
}

NOT_ANYWHERE = {
    f"N8.{name}": "a coefficient of coefficients: no sample enters"
    for name in (
        *("eps_weight", "x_0_weight", "v_weight", "snr", "alpha_bar_from_snr", "snr_weight", "optimal_variance"),
        *("posterior_variance_from_eps", "largest_last_sigma"),
        *("min_snr_weight_eps", "min_snr_weight_x_0", "min_snr_weight_v"),
    )
} | {"N8.continuous_bound": "the first dimension of its errors is log SNR, not a batch"}
