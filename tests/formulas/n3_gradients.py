"""Row N3: the gradient of an expectation, and its variances for a quadratic f."""

import torch

from formulas.anywhere import SAMPLE, Call, coefficient
from formulas.case import NORMAL, POSITIVE, Case, vector

SLOPE = {"a": NORMAL, "b": NORMAL, r"\mu": NORMAL, r"\sigma": POSITIVE}
QUADRATIC = {"a": NORMAL, "b": NORMAL, "c": NORMAL, r"\mu": NORMAL, r"\sigma": POSITIVE}
BASELINES = {r"b_\mu": NORMAL, r"b_\sigma": NORMAL}
PARTS = {"m": r"2a\mu+b", r"k_\mu": r"a\mu^2+b\mu+c-b_\mu", r"k_\sigma": r"a\mu^2+b\mu+c-b_\sigma"}
DRAWN = {"g_i": vector(7), "n": 7}


def with_baselines(function, values):
    numbers = list(values.values())
    return function(*numbers[:5], baseline=tuple(numbers[5:]))


def of_draws(function, values):
    """Call a function of draws, which come first."""
    return function(values["g_i"].T)


MEAN = {r"\bar g": r"\frac{1}{n}\sum_{i=1}^{n} g_i"}
SPREAD = {**MEAN, "s": r"\sqrt{\frac{1}{n-1}\sum_{i=1}^{n}(g_i-\bar g)^2}"}

CASES = [
    *(Case("N3.quadratic_gradient", SLOPE, statement=i, output=name) for i, name in enumerate(("d_mean", "d_std"))),
    *(Case("N3.pathwise_variance", SLOPE, statement=i, output=name) for i, name in enumerate(("d_mean", "d_std"))),
    *(
        Case("N3.score_function_variance", {**QUADRATIC, **BASELINES}, statement=i, output=name, given=PARTS, call=with_baselines)
        for i, name in enumerate(("d_mean", "d_std"))
    ),
    *(Case("N3.quadratic_baseline", QUADRATIC, statement=i, output=name) for i, name in enumerate(("d_mean", "d_std"))),
    Case("N3.estimate", DRAWN, output="mean", call=of_draws),
    Case("N3.estimate", DRAWN, statement=1, output="standard_error", given=SPREAD, call=of_draws),
    Case("N3.estimate", DRAWN, statement=2, output="variance", given=MEAN, call=of_draws),
]

WITHOUT_CASE = {
    "N3.pathwise_gradient": "f stands for any differentiable function, whose derivative torch takes",
    "N3.score_function_gradient": "f stands for any function, and an expectation is shown",
    "N3.optimal_baseline": "f stands for any function, and an expectation is shown",
}

NUMBERS = [coefficient(-1, 2), coefficient(0.3, 1), coefficient(-2, 1), coefficient(0.1, 1), coefficient(0.5, 2)]
DRAWS_FIRST = ((3,), (3, 2, 4, 4))
ANYWHERE = {
    "N3.pathwise_gradient": Call(torch.sin, 0.3, 0.7, SAMPLE, outputs="sample sample", shapes=DRAWS_FIRST),
    "N3.score_function_gradient": Call(torch.sin, 0.3, 0.7, SAMPLE, (0.1, 0.2), outputs="sample sample", shapes=DRAWS_FIRST),
    "N3.quadratic_gradient": Call(*NUMBERS[:2], *NUMBERS[3:], outputs="coefficient coefficient"),
    "N3.pathwise_variance": Call(*NUMBERS[:2], *NUMBERS[3:], outputs="coefficient coefficient"),
    "N3.score_function_variance": Call(*NUMBERS, outputs="coefficient coefficient"),
    "N3.quadratic_baseline": Call(*NUMBERS, outputs="coefficient coefficient"),
}

REASON = "reduces over its first dimension, the draws: test_gaussian_gradients.py takes other shapes and dtypes"
NOT_ANYWHERE = dict.fromkeys(["N3.optimal_baseline", "N3.estimate"], REASON)
