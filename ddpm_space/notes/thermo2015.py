"""The lower bound K of Sohl-Dickstein et al. 2015 (row N4), for the Gaussian and the binomial kernel: every term in nats, one value a sample.

K = -sum of KLs + H_q(X_T|X_0) - H_q(X_1|X_0) - H_p(X_T) bounds the log-likelihood from below: larger is better. t runs from 1 to T as in the paper.
Its step from x_1 to x_0 is not learned but the forward kernel turned round, p(x_0|x_1) = q(x_1|x_0) pi(x_0) / pi(x_1).
"""

from __future__ import annotations

import math

from torch import Tensor

from ddpm_space.notes.coefficients import Coefficient, as_float64, cast
from ddpm_space.notes.entry import equation
from ddpm_space.notes.gaussian import entropy, kl_gaussian, log_density
from ddpm_space.notes.reverse import q_posterior
from ddpm_space.notes.thermo2015_binomial import checked_bits, entropy_bernoulli, kl_bernoulli, p_reverse_bits, q_cumulative_bits, q_posterior_bits


def summed(values: Tensor) -> Tensor:
    """Sum over the elements of each sample: (B, ...) to (B,)."""
    return values.flatten(1).sum(dim=1) if values.ndim > 1 else values


@equation("N4.trajectory_log_ratio")
def trajectory_log_ratio(log_prior: Tensor, log_reverse: Tensor, log_forward: Tensor) -> Tensor:
    """log [p(x_0..x_T) / q(x_1..x_T | x_0)] = log p(x_T) + sum_t (log p(x_{t-1}|x_t) - log q(x_t|x_{t-1})) [N4; Sohl-Dickstein 2015 eq. 9, 12].

    Over forward trajectories its exponential averages to p(x_0), and itself to a lower bound on log p(x_0).

    Args:
        log_prior: (B,) log p(x_T); log_reverse, log_forward: (T, B) logs of the reverse and the forward steps of the same trajectories.
    Returns:
        (B,) nats.
    """
    return log_prior + (log_reverse - log_forward).sum(dim=0)


@equation("N4.K")
def log_likelihood_bound(kl_terms: Tensor, entropy_T: Tensor, entropy_1: Tensor, entropy_prior: Tensor) -> Tensor:
    """K = -sum_{t=2}^T KL_t + H_q(X_T|X_0) - H_q(X_1|X_0) - H_p(X_T) <= E log p(x_0) [N4; Sohl-Dickstein 2015 eq. 14].

    It holds for data whose cross-entropy to pi does not change along the chain; `moment_gaussian` and `moment_bits` add what it lacks otherwise.

    Args:
        kl_terms: (T - 1, ...) KLs of the steps t = 2..T; entropy_T, entropy_1, entropy_prior: broadcast with kl_terms[0]. Nats.
    Returns:
        (...) nats; average over the data.
    """
    return entropy_T - entropy_1 - entropy_prior - kl_terms.sum(dim=0)


@equation("N4.step_kl_gaussian")
def step_kl_gaussian(x_0: Tensor, x_t: Tensor, mean: Tensor, variance: Coefficient, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient) -> Tensor:
    """KL(q(x_s | x_t, x_0) || N(mean, diag(variance))), one term of K [N4; Sohl-Dickstein 2015 eq. 14, f_mu and f_Sigma of table App.1].

    Args:
        x_0, x_t: (B, ...); mean (B, ...) and variance > 0 of the learned step, the latter of shape (), (B,), or element by element (diagonal);
        alpha_bar_t < alpha_bar_s, shape () or (B,).
    Returns:
        (B,) nats, summed over the elements of a sample.
    """
    mu_tilde, beta_tilde = q_posterior(x_0, x_t, alpha_bar_t, alpha_bar_s)
    return summed(kl_gaussian(mu_tilde, beta_tilde, mean, variance))


@equation("N4.step_kl_bits")
def step_kl_bits(x_0: Tensor, x_t: Tensor, x_0_hat: Tensor, alpha_bar_t: Coefficient, alpha_bar_s: Coefficient, *, rate: float = 0.5) -> Tensor:
    """KL(q(x_s | x_t, x_0) || p(x_s | x_t)) of the binomial kernel, one term of K [N4; Sohl-Dickstein 2015 eq. 14, f_b of table App.1].

    Args:
        x_0, x_t: (B, ...) bits; x_0_hat: (B, ...) predicted probability that the clean bit is 1; the rest as in `q_posterior_bits`.
    Returns:
        (B,) nats, summed over the bits of a sample.
    """
    truth = q_posterior_bits(x_0, x_t, alpha_bar_t, alpha_bar_s, rate=rate)
    model = p_reverse_bits(x_0_hat, x_t, alpha_bar_t, alpha_bar_s, rate=rate)
    return summed(kl_bernoulli(truth, model))


@equation("N4.entropy_cumulative_gaussian")
def entropy_cumulative_gaussian(alpha_bar_t: Coefficient, num_dims: int) -> Tensor:
    """H_q(X_t | X_0) = d/2 log(2 pi e (1 - abar_t)), the same for every x_0; abar_t = 0 gives H_p(X_T) [N4; Sohl-Dickstein 2015 eq. 14].

    Args:
        alpha_bar_t: in [0, 1), shape () or (B,); num_dims: d >= 1.
    Returns:
        float64 nats in alpha_bar_t's shape.
    Raises:
        ValueError: an alpha_bar_t >= 1.
    """
    alpha_bar = as_float64(alpha_bar_t)
    if not bool((alpha_bar < 1).all()):
        wrong = alpha_bar[~(alpha_bar < 1)].reshape(-1)[0].item()
        raise ValueError(f"alpha_bar_t = {wrong:g}: x_t is x_0 without noise and has no entropy as a density; pass one in [0, 1)")
    return num_dims * entropy(1 - alpha_bar)


@equation("N4.entropy_cumulative_bits")
def entropy_cumulative_bits(x_0: Tensor, alpha_bar_t: Coefficient, *, rate: float = 0.5) -> Tensor:
    """H_q(X_t | X_0 = x_0) = sum over bits of h(abar_t x_0 + rate (1 - abar_t)); abar_t = 0 gives H_p(X_T) [N4; Sohl-Dickstein 2015 eq. 14].

    Args:
        x_0: (B, ...) bits; alpha_bar_t: in [0, 1], shape () or (B,).
    Returns:
        (B,) nats.
    """
    return summed(entropy_bernoulli(q_cumulative_bits(x_0, alpha_bar_t, rate=rate)))


@equation("N4.moment_gaussian")
def moment_gaussian(x_0: Tensor, alpha_bar_1: Coefficient, alpha_bar_T: Coefficient) -> Tensor:
    """What eq. 14 leaves out, (d - |x_0|^2) (abar_T + 1 - abar_1) / 2: it averages to 0 where E|x_0|^2 = d [N4; from Sohl-Dickstein 2015 eq. 41-46].

    Args:
        x_0: (B, ...); alpha_bar_1, alpha_bar_T: after the first and the last step, shape () or (B,).
    Returns:
        (B,) nats to add to K.
    """
    missing = math.prod(x_0.shape[1:]) - summed(x_0**2)
    return cast((as_float64(alpha_bar_T) + 1 - as_float64(alpha_bar_1)) / 2, missing) * missing


@equation("N4.moment_bits")
def moment_bits(x_0: Tensor, alpha_bar_1: Coefficient, alpha_bar_T: Coefficient, *, rate: float = 0.5) -> Tensor:
    """What eq. 14 leaves out, (sum of bits - n rate) log(rate / (1 - rate)) (abar_T + 1 - abar_1) [N4; from Sohl-Dickstein 2015 eq. 41-46].

    It averages to 0 where the mean activity of the data is `rate`, and is 0 for every sample at rate = 0.5.

    Args:
        x_0: (B, ...) bits; alpha_bar_1, alpha_bar_T: after the first and the last step, shape () or (B,).
    Returns:
        (B,) nats to add to K.
    """
    surplus = summed(checked_bits(x_0, rate) - rate)
    log_odds = math.log(rate / (1 - rate))
    return cast(log_odds * (as_float64(alpha_bar_T) + 1 - as_float64(alpha_bar_1)), surplus) * surplus


@equation("N4.log_null_gaussian")
def log_null_gaussian(x_0: Tensor) -> Tensor:
    """log pi(x_0) = -(|x_0|^2 + d log(2 pi)) / 2; its mean over data with E|x_0|^2 = d is L_null = -H_p(X_T) [N4; Sohl-Dickstein 2015 table 1].

    Args:
        x_0: (B, ...).
    Returns:
        (B,) nats; -4.094 bits on average in two dimensions.
    """
    return summed(log_density(x_0, 0.0, 1.0))


@equation("N4.log_null_bits")
def log_null_bits(x_0: Tensor, *, rate: float = 0.5) -> Tensor:
    """log pi(x_0) = sum over bits of x_0 log rate + (1 - x_0) log(1 - rate); its mean over the data is L_null [N4; Sohl-Dickstein 2015 table 1].

    Args:
        x_0: (B, ...) bits; rate: of a 1, the data's own mean activity in the paper.
    Returns:
        (B,) nats; -14.439 bits for 20 bits of which 4 are 1, at rate 0.2.
    """
    return summed(checked_bits(x_0, rate) * math.log(rate) + (1 - x_0) * math.log1p(-rate))


@equation("N4.gain_bits")
def gain_bits(bound: Tensor, log_null: Tensor) -> Tensor:
    """(K - L_null) / log 2: how many bits a sample the chain is better than independent noise of the same moments [N4; Sohl-Dickstein 2015 table 1].

    Args:
        bound: K; log_null: L_null; same shape, nats.
    """
    return (bound - log_null) / math.log(2)
