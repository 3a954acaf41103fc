"""The bound: against a float64 brute force written another way, and against cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from ddpm_space.denoiser import Denoiser
from ddpm_space.likelihood import bound_variance, conventions, variational_bound
from ddpm_space.schedule import NoiseSchedule

SCHEDULE = NoiseSchedule.linear(12, 0.05, 0.5)
X_0 = (torch.randint(0, 256, (2, 1, 3, 3), generator=torch.Generator().manual_seed(3)).double() / 127.5) - 1


def network(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Some smooth function of (x_t, t): as good as any network here."""
    return torch.tanh(0.7 * x_t + 0.05 * t.reshape(-1, 1, 1, 1))


def with_variance(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The same network, and a position between the two variances for each element, in [-1, 1] as diffusers has it."""
    return torch.cat([network(x_t, t), torch.sin(3 * x_t)], dim=1)


def given_variances(chain: NoiseSchedule) -> torch.Tensor:
    return 0.02 + 0.3 * torch.arange(len(chain), dtype=torch.float64) / len(chain)


DENOISER = Denoiser(network, "epsilon", SCHEDULE, with_variance)


def brute_force(row: int, variance: str, clip: bool, seed: int, chain: NoiseSchedule) -> np.ndarray:
    """One term for the eps-network in NumPy and SciPy, from the betas alone: the posterior by precisions, the KL by its definition on a grid."""
    beta = chain.beta.numpy()
    alpha_bar = np.cumprod(1 - beta)
    t = int(chain.timesteps[row])
    eps = torch.randn(X_0.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed * 1_000_003 + t)).numpy()
    x_0 = X_0.numpy()
    x_t = np.sqrt(alpha_bar[row]) * x_0 + np.sqrt(1 - alpha_bar[row]) * eps
    eps_theta = network(torch.from_numpy(x_t), torch.full((2,), t)).numpy()
    x_0_hat = (x_t - np.sqrt(1 - alpha_bar[row]) * eps_theta) / np.sqrt(alpha_bar[row])
    x_0_hat = np.clip(x_0_hat, -1, 1) if clip else x_0_hat

    def posterior(x):
        if row == 0:
            return x, 0.0
        precision = (1 - beta[row]) / beta[row] + 1 / (1 - alpha_bar[row - 1])
        weighted = np.sqrt(1 - beta[row]) / beta[row] * x_t + np.sqrt(alpha_bar[row - 1]) / (1 - alpha_bar[row - 1]) * x
        return weighted / precision, 1 / precision

    (mean_q, var_q), (mean_p, var_small) = posterior(x_0), posterior(x_0_hat)
    splice = 1 / ((1 - beta[1]) / beta[1] + 1 / (1 - alpha_bar[0]))
    low_end = splice if row == 0 else var_small
    position = (np.sin(3 * x_t) + 1) / 2
    sigma2 = {
        "fixed_small": low_end,
        "fixed_large": beta[row],
        "learned_range": beta[row] ** position * low_end ** (1 - position),
        "given": float(given_variances(chain)[row]),
    }[variance]
    if row == 0:
        sigma = np.sqrt(sigma2)
        low = np.where(x_0 < -0.999, -np.inf, x_0 - 1 / 255)
        high = np.where(x_0 > 0.999, np.inf, x_0 + 1 / 255)
        return -np.log(norm.cdf((high - mean_p) / sigma) - norm.cdf((low - mean_p) / sigma)).sum((1, 2, 3))
    z = np.linspace(-10, 10, 4001)[:, None, None, None, None]
    x = mean_q + math.sqrt(var_q) * z
    log_ratio = norm.logpdf(x, mean_q, math.sqrt(var_q)) - norm.logpdf(x, mean_p, np.sqrt(sigma2))
    return np.trapezoid(norm.pdf(z) * log_ratio, z, axis=0).sum((1, 2, 3))


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large", "learned_range", "given"])
@pytest.mark.parametrize("timesteps", [None, [11, 6, 2]])
def test_terms_agree_with_brute_force(variance: str, clip: bool, timesteps: list[int] | None) -> None:
    chain = SCHEDULE if timesteps is None else SCHEDULE.respaced(timesteps)
    sigma2 = given_variances(chain) if variance == "given" else variance
    terms = list(variational_bound(DENOISER, X_0, schedule=chain, variance=sigma2, clip_x0=clip, seed=4, chunk=5))
    assert [term.kind for term in terms] == ["L_T"] + ["L_t-1"] * (len(chain) - 1) + ["L_0"]
    assert [term.t for term in terms[1:]] == chain.timesteps.flip(0).tolist()
    for row, term in zip(range(len(chain) - 1, -1, -1), terms[1:]):
        assert np.allclose(term.nats.numpy(), brute_force(row, variance, clip, 4, chain), rtol=1e-6, atol=1e-6), term.t


def test_prior_term_is_the_kl_to_the_prior() -> None:
    term = next(variational_bound(Denoiser(network, "epsilon", SCHEDULE), X_0))
    a = float(np.prod(1 - SCHEDULE.beta.numpy()))
    expected = 0.5 * (a * X_0**2 + (1 - a) - 1 - math.log(1 - a)).sum((1, 2, 3))
    assert term.eps_mse is None and torch.allclose(term.nats, expected, rtol=1e-10)


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_the_three_prediction_types_are_one_model(prediction_type: str) -> None:
    eps_model = Denoiser(network, "epsilon", SCHEDULE)
    place = {"epsilon": 0, "sample": 1, "v_prediction": 2}[prediction_type]
    other = Denoiser(lambda x, t: eps_model.predict(x, t)[place], prediction_type, SCHEDULE)
    for ours, theirs in zip(variational_bound(eps_model, X_0), variational_bound(other, X_0)):
        assert torch.allclose(ours.nats, theirs.nats, rtol=1e-9)
        if ours.eps_mse is not None:
            assert torch.allclose(ours.eps_mse, theirs.eps_mse, rtol=1e-9)


def test_a_model_that_knows_the_image_pays_nothing_before_the_last_step() -> None:
    def oracle(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return X_0.repeat(x_t.shape[0] // X_0.shape[0], 1, 1, 1)

    terms = list(variational_bound(Denoiser(oracle, "sample", SCHEDULE), X_0))
    assert all(term.nats.abs().max() < 1e-12 for term in terms[1:-1])
    assert all(term.eps_mse is not None and term.eps_mse.max() < 1e-20 for term in terms[1:])


def test_some_rows_equal_those_rows_of_all() -> None:
    denoiser = Denoiser(network, "epsilon", SCHEDULE)
    every = {term.t: term for term in list(variational_bound(denoiser, X_0, seed=9))[1:]}
    some = list(variational_bound(denoiser, X_0, seed=9, rows=[0, 7, 3], chunk=2))[1:]
    assert [term.t for term in some] == [7, 3, 0]
    for term in some:
        assert torch.allclose(term.nats, every[term.t].nats, rtol=1e-12)


def test_a_chain_of_one_step_works() -> None:
    chain = SCHEDULE.respaced([11])
    terms = list(variational_bound(Denoiser(network, "epsilon", SCHEDULE), X_0, schedule=chain))
    assert [term.kind for term in terms] == ["L_T", "L_0"] and torch.isfinite(terms[1].nats).all()
    assert bound_variance(chain, "fixed_small")[0] == chain.beta[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variance": "huge"}, "unknown variance 'huge'"),
        ({"rows": [12]}, "t = 12 is outside"),
        ({"rows": [-1]}, "t = -1 is outside"),
        ({"chunk": 0}, "chunk = 0"),
        ({"variance": "learned_range"}, "this network learned no variance"),
        ({"variance": torch.ones(11)}, r"shape \(11,\).*12 finite numbers > 0"),
        ({"variance": torch.zeros(12)}, "smallest 0: the bound needs 12"),
    ],
)
def test_refusals(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(variational_bound(Denoiser(network, "epsilon", SCHEDULE), X_0, **options))


def test_unknown_prediction_type_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown prediction type 'noise': use one of epsilon"):
        Denoiser(network, "noise", SCHEDULE)


def test_conventions_name_the_chain_the_variance_the_clipping_and_the_last_step() -> None:
    said = conventions(SCHEDULE.respaced([11, 5]), "fixed_small", True)
    assert "2 of 12 steps" in said and "fixed_small" in said and "next step's beta_tilde" in said and "clipped to [-1, 1]" in said
    assert "given;" in conventions(SCHEDULE, given_variances(SCHEDULE), False) and "not clipped" in conventions(SCHEDULE, "fixed_large", False)


def test_errors_of_eps_and_x_0_are_those_of_the_prediction() -> None:
    term = list(variational_bound(DENOISER, X_0, rows=[7], clip_x0=False, seed=1))[1]
    assert term.eps_mse is not None and term.x_0_mse is not None
    # At one x_t an error of x_0 is one of eps times sqrt((1 - abar) / abar).
    a = float(np.prod(1 - SCHEDULE.beta.numpy()[:8]))
    assert torch.allclose(term.x_0_mse, term.eps_mse * (1 - a) / a, rtol=1e-9)
    clipped = list(variational_bound(DENOISER, X_0, rows=[7], clip_x0=True, seed=1))[1]
    assert clipped.x_0_mse is not None and bool((clipped.x_0_mse < term.x_0_mse).all())


def test_a_chain_whose_image_is_lost_early_has_no_bound() -> None:
    lost = Denoiser(network, "epsilon", NoiseSchedule.linear(1000, 0.5, 0.9))
    with pytest.raises(ValueError, match="abar is 0 already at t ="):
        next(variational_bound(lost, X_0))
