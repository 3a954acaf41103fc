"""Row N1: Langevin's equation, the bridge to beta_t, integrators, and sampling with a score."""

import torch

from ddpm_space.notes.potentials import DoubleWell
from formulas.anywhere import SAMPLE, Call, coefficient
from formulas.case import NORMAL, POSITIVE, UNIT, Case, between, vector

WELL = {"k": POSITIVE, r"\Delta t": between(0.01, 0.1), r"\gamma": POSITIVE}
FREE = {"t": POSITIVE, r"\gamma": POSITIVE, "m": POSITIVE, "kT": POSITIVE}
OU = {"x_s": NORMAL, r"\Delta t": POSITIVE, r"\theta": POSITIVE, "D": POSITIVE}
KINETIC = {"v": NORMAL, "F(x)": NORMAL, r"\gamma": POSITIVE, "m": POSITIVE, "kT": POSITIVE}


def times_mass(function, values):
    """Call the equation of motion and multiply dv by m, as its formula does."""
    velocity, acceleration, amplitude = function(*values.values())
    return velocity, values["m"] * acceleration, values["m"] * amplitude


def physics(function, values):
    """Call the bridge with kT = k, the only value it accepts."""
    return function(values["k"], values[r"\Delta t"], values[r"\gamma"], values["k"])


def inverse_physics(function, values):
    return function(values[r"\beta_t"], values["k"], values[r"\gamma"], values["k"])


CASES = [
    Case("N1.langevin", KINETIC, piece="brace 0", output=1, call=times_mass),
    Case("N1.langevin", KINETIC, piece="brace 1", output=2, call=times_mass),
    Case("N1.overdamped", {"F(x)": NORMAL, r"\gamma": POSITIVE, "kT": POSITIVE}, piece="brace 0", output=0),
    Case("N1.overdamped", {"F(x)": NORMAL, r"\gamma": POSITIVE, "kT": POSITIVE}, piece="brace 1", output=1),
    Case("N1.ou_transition", OU, piece="mean", output=0),
    Case("N1.ou_transition", OU, piece="variance", output=1),
    Case("N1.velocity_autocorrelation", FREE),
    Case("N1.free_particle_msd", FREE),
    Case("N1.msd_regimes", FREE, output=0),
    Case("N1.msd_regimes", FREE, statement=1, output=1),
    Case("N1.vp_transition", {"x_{t-1}": NORMAL, "B": POSITIVE}, piece="mean", statement=1, output=0),
    Case("N1.vp_transition", {"x_{t-1}": NORMAL, "B": POSITIVE}, piece="variance", statement=1, output=1),
    Case("N1.beta_from_integral", {"B_t": POSITIVE}),
    Case("N1.integral_from_beta", {r"\beta_t": UNIT}),
    Case("N1.beta_from_physics", WELL, call=physics),
    Case("N1.dt_from_beta", {r"\beta_t": UNIT, "k": POSITIVE, r"\gamma": POSITIVE}, call=inverse_physics),
    Case(
        "N1.euler_maruyama",
        {"x": NORMAL, "F(x)": NORMAL, r"\Delta t": POSITIVE, r"\gamma": POSITIVE, "kT": POSITIVE, r"\varepsilon": NORMAL},
        call=lambda f, v: f(*list(v.values())[:5], eps=v[r"\varepsilon"]),
    ),
    Case("N1.euler_maruyama_variance", {**WELL, "kT": POSITIVE}),
    Case("N1.baoab_variances", {"k": POSITIVE, r"\Delta t": between(0.05, 0.4), "m": POSITIVE, "kT": POSITIVE}, output=0),
    Case("N1.baoab_variances", {"k": POSITIVE, r"\Delta t": between(0.05, 0.4), "m": POSITIVE, "kT": POSITIVE}, statement=1, output=1),
    Case("N1.score_from_eps", {r"\varepsilon_\theta": NORMAL, r"\bar\alpha_t": UNIT}),
    Case(
        "N1.ula_step",
        {"x": NORMAL, "s(x)": NORMAL, r"\eta": POSITIVE, "z": NORMAL},
        call=lambda f, v: f(v["x"], v["s(x)"], v[r"\eta"], eps=v["z"]),
    ),
    Case(
        "N1.mala_log_ratio",
        {
            "x_i": vector(3),
            "y_i": vector(3),
            "s_{x,i}": vector(3),
            "s_{y,i}": vector(3),
            r"\log\frac{p(y)}{p(x)}": NORMAL,
            r"\eta": POSITIVE,
            "D": 3,
        },
        call=lambda f, v: f(*list(v.values())[:6]),
    ),
    Case(
        "N1.geometric_sigmas",
        {r"\sigma_1": between(5, 10), r"\sigma_L": POSITIVE, "i": 3, "L": 6},
        call=lambda f, v: torch.stack([f(first, last, 6)[2] for first, last in zip(v[r"\sigma_1"], v[r"\sigma_L"])]),
    ),
    Case("N1.annealed_step_size", {r"\sigma_i": POSITIVE, r"\sigma_L": POSITIVE, r"\epsilon": POSITIVE}),
]

WITHOUT_CASE = {
    "N1.langevin[0]": "dx / dt is the argument v itself",
    "N1.step_integrals": "an integral of any function",
    "N1.force": "the gradient of any function",
    "N1.stationary_density": "its normalization is an integral",
    "N1.baoab": "a sequence of assignments, compared with the exact flow by its check",
    "N1.equipartition": "averages over particles in equilibrium",
    "N1.log_density_ratio": "an integral of any function",
    "N1.mala_step": "decided by a coin",
}

TIME, POSITIVE_NUMBER, ENERGY = coefficient(0.01, 0.1), coefficient(0.5, 2), coefficient(0.5, 1.5)
FUNCTIONS_OF_TIME = Call(TIME, POSITIVE_NUMBER, POSITIVE_NUMBER, ENERGY, outputs="coefficient")
PARTICLES = ((3, 1), (3, 4, 2))
BATCHES = ((3,), (3, 2, 4, 4))


def well_force(x):
    """A linear force."""
    return -0.7 * x


ANYWHERE = {
    "N1.langevin": Call(SAMPLE, SAMPLE, POSITIVE_NUMBER, POSITIVE_NUMBER, ENERGY, outputs="sample sample coefficient"),
    "N1.overdamped": Call(SAMPLE, POSITIVE_NUMBER, ENERGY, outputs="sample coefficient"),
    "N1.ou_transition": Call(SAMPLE, TIME, POSITIVE_NUMBER, ENERGY, outputs="sample coefficient"),
    "N1.velocity_autocorrelation": FUNCTIONS_OF_TIME,
    "N1.free_particle_msd": FUNCTIONS_OF_TIME,
    "N1.msd_regimes": Call(TIME, POSITIVE_NUMBER, POSITIVE_NUMBER, ENERGY, outputs="coefficient coefficient"),
    "N1.vp_transition": Call(SAMPLE, POSITIVE_NUMBER, outputs="sample coefficient"),
    "N1.beta_from_integral": Call(POSITIVE_NUMBER, outputs="coefficient"),
    "N1.integral_from_beta": Call(coefficient(0.1, 0.9), outputs="coefficient"),
    "N1.beta_from_physics": Call(1.5, TIME, POSITIVE_NUMBER, 1.5, outputs="coefficient"),
    "N1.dt_from_beta": Call(coefficient(0.1, 0.9), 1.5, POSITIVE_NUMBER, 1.5, outputs="coefficient"),
    "N1.force": Call(DoubleWell(), SAMPLE, shapes=PARTICLES),
    "N1.euler_maruyama": Call(SAMPLE, SAMPLE, TIME, POSITIVE_NUMBER, ENERGY, eps=SAMPLE),
    "N1.baoab": Call(SAMPLE, SAMPLE, SAMPLE, well_force, TIME, POSITIVE_NUMBER, POSITIVE_NUMBER, ENERGY, outputs="sample sample sample", eps=SAMPLE),
    "N1.euler_maruyama_variance": Call(POSITIVE_NUMBER, TIME, POSITIVE_NUMBER, ENERGY, outputs="coefficient"),
    "N1.baoab_variances": Call(POSITIVE_NUMBER, TIME, POSITIVE_NUMBER, ENERGY, outputs="coefficient coefficient"),
    "N1.equipartition": Call(SAMPLE, SAMPLE, SAMPLE, POSITIVE_NUMBER, outputs="batch batch"),
    "N1.score_from_eps": Call(SAMPLE, coefficient(0.1, 0.9)),
    "N1.ula_step": Call(SAMPLE, SAMPLE, POSITIVE_NUMBER, eps=SAMPLE),
    "N1.log_density_ratio": Call(well_force, SAMPLE, SAMPLE, outputs="batch"),
    "N1.mala_log_ratio": Call(SAMPLE, SAMPLE, SAMPLE, SAMPLE, 0.3, POSITIVE_NUMBER, outputs="batch"),
    "N1.mala_step": Call(SAMPLE, well_force, POSITIVE_NUMBER, outputs="sample batch", eps=SAMPLE, uniform=0.5),
    "N1.annealed_step_size": Call(POSITIVE_NUMBER, 0.3, 1e-3, outputs="coefficient"),
}

NOT_ANYWHERE = {
    "N1.step_integrals": "takes a function of time and the times of the steps, no sample",
    "N1.stationary_density": "takes a potential and grids, on the CPU in float64",
    "N1.geometric_sigmas": "takes two numbers and gives a whole list of levels",
}
