"""Row N4: binomial diffusion, the terms of the bound K, and the entropy bounds of Sohl-Dickstein et al. 2015."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.notes.thermo2015_binomial import q_posterior_bits
from formulas.anywhere import SAMPLE, Call, coefficient
from formulas.case import LARGER_UNIT, NORMAL, POSITIVE, UNIT, Case, vector

RATE = 0.3
BETA = {r"\beta_{t|s}": "N6.beta_between"}


def posterior(x_0: float) -> float:
    """q(x_s = 1 | x_t = 1, x_0) at abar_t = 0.4, abar_s = 0.7."""
    x_t = torch.ones(1, dtype=torch.float64)
    return float(q_posterior_bits(x_0 * x_t, x_t, 0.4, 0.7, rate=RATE))


def steps(generator: torch.Generator) -> Tensor:
    """t = 1..12, whatever the generator."""
    return torch.arange(1, 13, dtype=torch.float64)


def entropy_of(variance: str) -> str:
    return rf"\frac{{d}}{{2}}\,\log\left(2\pi e \cdot ({variance})\right)"


ENTROPIES = {
    r"H(X_t \mid X_s)": entropy_of(r"1 - \frac{\bar\alpha_t}{\bar\alpha_s}"),
    r"H(X_s \mid X_0)": entropy_of(r"1 - \bar\alpha_s"),
    r"H(X_t \mid X_0)": entropy_of(r"1 - \bar\alpha_t"),
}
TIMES = {r"\bar\alpha_t": UNIT, r"\bar\alpha_s": LARGER_UNIT}
ENDS = {r"\bar\alpha_1": LARGER_UNIT, r"\bar\alpha_T": UNIT}


def bounds(function, values):
    return function(values[r"\bar\alpha_t"], values[r"\bar\alpha_s"], 2.0, values["d"])


CASES = [
    Case("N4.beta_erase", {"T": 12, "t": steps}, call=lambda f, v: f(v["T"])),
    Case(
        "N4.q_step_bits",
        {"x_{t-1}": UNIT, r"\beta_t": UNIT, r"\pi_1": RATE},
        call=lambda f, v: f(v["x_{t-1}"], v[r"\beta_t"], rate=RATE),
    ),
    Case(
        "N4.q_cumulative_bits",
        {"x_0": UNIT, r"\bar\alpha_t": UNIT, r"\pi_1": RATE},
        call=lambda f, v: f(v["x_0"], v[r"\bar\alpha_t"], rate=RATE),
    ),
    Case(
        "N4.p_reverse_bits",
        {r"\hat x_0": UNIT, r"q(x_s = 1 \mid x_t, 0)": posterior(0.0), r"q(x_s = 1 \mid x_t, 1)": posterior(1.0)},
        call=lambda f, v: f(v[r"\hat x_0"], torch.ones_like(v[r"\hat x_0"]), 0.4, 0.7, rate=RATE),
    ),
    Case("N4.entropy_bernoulli", {"p": UNIT}),
    Case("N4.kl_bernoulli", {"p_1": UNIT, "p_2": LARGER_UNIT}),
    Case("N4.entropy_cumulative_gaussian", {r"\bar\alpha_t": UNIT, "d": 3}),
    Case("N4.moment_gaussian", {"x_{0,i}": vector(4), **ENDS, "d": 4}, call=lambda f, v: f(v["x_{0,i}"], v[r"\bar\alpha_1"], v[r"\bar\alpha_T"])),
    Case(
        "N4.moment_bits",
        {"x_{0,i}": vector(4), **ENDS, "n": 4, r"\pi_1": RATE},
        call=lambda f, v: f(v["x_{0,i}"], v[r"\bar\alpha_1"], v[r"\bar\alpha_T"], rate=RATE),
    ),
    Case("N4.log_null_gaussian", {"x_{0,i}": vector(4), "d": 4}, call=lambda f, v: f(v["x_{0,i}"])),
    Case("N4.log_null_bits", {"x_{0,i}": vector(4), "n": 4, r"\pi_1": RATE}, call=lambda f, v: f(v["x_{0,i}"], rate=RATE)),
    Case("N4.gain_bits", {"K": NORMAL, r"L_{\text{null}}": NORMAL}),
    Case("N4.entropy_bounds_gaussian", {**TIMES, "d": 3}, piece="side 0", output="lower", given=ENTROPIES, call=bounds),
    Case("N4.entropy_bounds_gaussian", {**TIMES, "d": 3}, piece="side -1", output="upper", given=ENTROPIES, call=bounds),
    Case("N4.reverse_entropy_gaussian", {"v_0": POSITIVE, **TIMES}, given=BETA),
]

WITHOUT_CASE = {
    "N4.q_posterior_bits": "Bayes' formula over the two values of x_s, with laws and not symbols in it",
    "N4.trajectory_log_ratio": "its terms are the probabilities of whole steps, not symbols",
    "N4.K": "an expectation over trajectories",
    "N4.step_kl_gaussian": "the KL of N2.kl_gaussian between the laws of N7.q_posterior and the network",
    "N4.step_kl_bits": "the KL of N4.kl_bernoulli between the laws of N4.q_posterior_bits and N4.p_reverse_bits",
    "N4.entropy_cumulative_bits": "h stands for N4.entropy_bernoulli, of N4.q_cumulative_bits",
    "N4.entropy_bounds_gaussian[upper_holds]": "a condition, not a number",
    "N4.entropy_bounds_bits": "its entropies are averages over the bits and their values",
    "N4.reverse_entropy_bits": "its entropies are averages over the bits and their values",
}

STEP, EARLIER, LATER = coefficient(0.1, 0.4), coefficient(0.6, 0.9), coefficient(0.2, 0.5)

ANYWHERE = {
    "N4.q_step_bits": Call(SAMPLE, STEP, rate=RATE),
    "N4.q_cumulative_bits": Call(SAMPLE, LATER, rate=RATE),
    "N4.q_posterior_bits": Call(SAMPLE, SAMPLE, LATER, EARLIER, rate=RATE),
    "N4.p_reverse_bits": Call(SAMPLE, SAMPLE, LATER, EARLIER, rate=RATE),
    "N4.step_kl_gaussian": Call(SAMPLE, SAMPLE, SAMPLE, coefficient(0.2, 0.6), LATER, EARLIER, outputs="batch"),
    "N4.entropy_cumulative_gaussian": Call(LATER, 3, outputs="coefficient"),
    "N4.moment_gaussian": Call(SAMPLE, EARLIER, LATER, outputs="batch"),
    "N4.moment_bits": Call(SAMPLE, EARLIER, LATER, outputs="batch", rate=RATE),
    "N4.log_null_gaussian": Call(SAMPLE, outputs="batch"),
    "N4.log_null_bits": Call(SAMPLE, outputs="batch", rate=RATE),
    "N4.gain_bits": Call(SAMPLE, SAMPLE),
    "N4.entropy_bounds_gaussian": Call(LATER, EARLIER, coefficient(1.0, 4.0), 2, outputs="coefficient coefficient coefficient"),
    "N4.reverse_entropy_gaussian": Call(coefficient(0.5, 2.0), LATER, EARLIER, outputs="coefficient"),
}

PROBABILITIES = "takes probabilities, which no normal sample is: test_thermo2015.py takes other shapes, dtypes and devices"
NOT_ANYWHERE = {
    "N4.beta_erase": "takes the number of steps alone",
    "N4.trajectory_log_ratio": "reduces over its first dimension, the steps",
    "N4.K": "reduces over its first dimension, the steps",
    **dict.fromkeys(
        [
            "N4.entropy_bernoulli",
            "N4.kl_bernoulli",
            "N4.step_kl_bits",
            "N4.entropy_cumulative_bits",
            "N4.entropy_bounds_bits",
            "N4.reverse_entropy_bits",
        ],
        PROBABILITIES,
    ),
}
