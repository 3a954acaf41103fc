"""Rows N2 and N3: Gaussian vectors. Each formula is written out for two coordinates (or one, where the matrices only multiply)."""

import torch

from formulas.case import NORMAL, POSITIVE, Case, between


def matrices(values, first, second, correlation):
    """Covariances (draws, 2, 2) from two variances and a correlation, by the names of their symbols."""
    s_11, s_22 = values[first], values[second]
    s_12 = values[correlation] * (s_11 * s_22).sqrt()
    return torch.stack([torch.stack([s_11, s_12], -1), torch.stack([s_12, s_22], -1)], -2)


def pairs(values, first, second):
    return torch.stack([values[first], values[second]], -1)


def scalars(values, *names):
    """One-dimensional vectors for lower-case Greek, 1 x 1 matrices for the rest."""
    return [values[name][:, None] if name.startswith(r"\mu") else values[name][:, None, None] for name in names]


def flat(out):
    """Vectors of one coordinate and 1 x 1 matrices, as numbers a draw."""
    return tuple(value.reshape(value.shape[0]) for value in out)


CORRELATION = between(-0.8, 0.8)
LAW = {"s": POSITIVE, "w": POSITIVE, "r": CORRELATION}
OTHER_LAW = {"h": POSITIVE, "k": POSITIVE, "q": CORRELATION}
SHIFT = {"u": NORMAL, "v": NORMAL}
DET = r"(sw - r^2 sw)"
OTHER_DET = r"(hk - q^2 hk)"
ZERO = torch.zeros(2, dtype=torch.float64)

LINE = {r"\mu_1": NORMAL, r"\Sigma_1": POSITIVE, r"\mu_2": NORMAL, r"\Sigma_2": POSITIVE}
SUM = r"\frac{1}{\sqrt{(\Sigma_1+\Sigma_2) 2\pi}}\exp\left(-\frac{(\mu_1-\mu_2)^2}{2(\Sigma_1+\Sigma_2)}\right)"
BLOCKS = {
    r"\mu_a": NORMAL,
    r"\mu_b": NORMAL,
    r"\Sigma_{aa}": between(2, 3),
    r"\Sigma_{ab}": between(-1.5, 1.5),
    r"\Sigma_{bb}": between(2, 3),
    "x_b": NORMAL,
}
ENDS = {r"\mu_a": NORMAL, r"\Sigma_{aa}": POSITIVE}


def on_a_line(function, values):
    return flat(function(*scalars(values, *LINE)))


def of_blocks(function, values):
    """Call `condition` with coordinates (a, b) and b observed."""
    rows = [[r"\Sigma_{aa}", r"\Sigma_{ab}"], [r"\Sigma_{ab}", r"\Sigma_{bb}"]]
    covariance = torch.stack([torch.stack([values[name] for name in row], -1) for row in rows], -2)
    return flat(function(pairs(values, r"\mu_a", r"\mu_b"), covariance, [1], values["x_b"][:, None]))


def of_ends(function, values):
    """Call `marginal` for the second coordinate of a vector whose first is another."""
    covariance = torch.diag_embed(torch.stack([torch.ones_like(values[r"\mu_a"]), values[r"\Sigma_{aa}"]], -1))
    return flat(function(torch.stack([-values[r"\mu_a"], values[r"\mu_a"]], -1), covariance, [1]))


def mapped(function, values):
    return flat(function(*scalars(values, r"\mu", r"\Sigma", "A"), values["b"][:, None]))


CASES = [
    Case(
        "N2.log_density_full",
        {**LAW, **SHIFT},
        given={r"(x-\mu)^\top\Sigma^{-1}(x-\mu)": rf"\frac{{w u^2 - 2 r\sqrt{{sw}} u v + s v^2}}{{{DET}}}", r"\det(2\pi\Sigma)": rf"4\pi^2 {DET}"},
        call=lambda f, v: f(pairs(v, "u", "v"), ZERO, matrices(v, "s", "w", "r")),
    ),
    Case("N2.entropy_full", LAW, given={r"\det(2\pi e\Sigma)": rf"4\pi^2 e^2 {DET}"}, call=lambda f, v: f(matrices(v, "s", "w", "r"))),
    Case(
        "N2.kl_full",
        {**LAW, **OTHER_LAW, **SHIFT, "D": 2},
        given={
            r"\operatorname{tr}(\Sigma_2^{-1}\Sigma_1)": rf"\frac{{k s - 2 q\sqrt{{hk}} r\sqrt{{sw}} + h w}}{{{OTHER_DET}}}",
            r"(\mu_1-\mu_2)^\top\Sigma_2^{-1}(\mu_1-\mu_2)": rf"\frac{{k u^2 - 2 q\sqrt{{hk}} u v + h v^2}}{{{OTHER_DET}}}",
            r"\det\Sigma_1": DET,
            r"\det\Sigma_2": OTHER_DET,
        },
        call=lambda f, v: f(pairs(v, "u", "v"), matrices(v, "s", "w", "r"), ZERO, matrices(v, "h", "k", "q")),
    ),
    Case("N2.product_full", LINE, statement=1, output=1, call=on_a_line),
    Case("N2.product_full", LINE, statement=2, output=0, given={r"\Sigma": r"(\Sigma_1^{-1}+\Sigma_2^{-1})^{-1}"}, call=on_a_line),
    Case("N2.product_full", LINE, statement=3, output=2, given={r"\mathcal{N}(\mu_1;\mu_2,\Sigma_1+\Sigma_2)": SUM}, call=on_a_line),
    Case("N2.marginal", ENDS, piece="mean", output=0, call=of_ends),
    Case("N2.marginal", ENDS, piece="variance", output=1, call=of_ends),
    Case("N2.condition", BLOCKS, piece="mean", output=0, call=of_blocks),
    Case("N2.condition", BLOCKS, piece="variance", output=1, given={r"\Sigma_{ba}": r"\Sigma_{ab}"}, call=of_blocks),
    Case("N3.affine_full", {r"\mu": NORMAL, r"\Sigma": POSITIVE, "A": NORMAL, "b": NORMAL}, piece="mean", output=0, call=mapped),
    Case(
        "N3.affine_full",
        {r"\mu": NORMAL, r"\Sigma": POSITIVE, "A": NORMAL, "b": NORMAL},
        piece="variance",
        output=1,
        given={r"A^\top": "A"},
        call=mapped,
    ),
    *(
        Case(
            "N3.linear_combination_full",
            {**LINE, "a": -0.7, "b": 1.9},
            piece=piece,
            output=output,
            call=lambda f, v: flat(f(*scalars(v, *LINE), v["a"], v["b"])),
        )
        for output, piece in enumerate(("mean", "variance"))
    ),
    Case(
        "N3.reparameterize_full",
        {r"\mu": NORMAL, "L": POSITIVE, r"\varepsilon": NORMAL},
        call=lambda f, v: flat([f(v[r"\mu"][:, None], v["L"][:, None, None] ** 2, eps=v[r"\varepsilon"][:, None])])[0],
    ),
]

REASON = "its last dimension is the vector's and the covariance stays on the CPU: test_gaussian_full.py takes other shapes, dtypes and a device"
NOT_ANYWHERE = dict.fromkeys(sorted({case.id for case in CASES}), REASON)
