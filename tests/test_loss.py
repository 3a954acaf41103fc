"""The loss against closed forms: with Gaussian pixels and their exact denoiser, every figure is an integral that can be done by hand.

With x_0 given, x_t = a x_0 + b eps (a = sqrt(abar), b = sqrt(1 - abar)) and eps* = b (x_t - a m) / (a^2 s^2 + b^2), so that
eps - eps* = (a^2 s^2 eps - a b (x_0 - m)) / (a^2 s^2 + b^2): its mean square over eps, and that square's variance, are polynomials of x_0.
"""

from __future__ import annotations

import math

import pytest
import torch

from ddpm_space import loss
from ddpm_space.denoiser import Denoiser
from ddpm_space.images import quantize
from ddpm_space.loss import BoundProgress, Estimate, bound_terms, eps_errors, simple_loss
from ddpm_space.schedule import NoiseSchedule


def gaussian_pixels(gaussian, images: int = 2, size: int = 8) -> torch.Tensor:
    x_0 = gaussian.mean + gaussian.std * torch.randn(images, 1, size, size, generator=torch.Generator().manual_seed(3))
    return quantize(x_0)


def expected_errors(gaussian, x_0: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance over eps of each image's mse at every t: (T, B) each, float64."""
    alpha_bar = gaussian.denoiser.schedule.alpha_bar[:, None, None]
    spread = alpha_bar * gaussian.std**2 + 1 - alpha_bar
    slope = alpha_bar * gaussian.std**2 / spread
    offset = (alpha_bar * (1 - alpha_bar)).sqrt() * (x_0.double().flatten(1) - gaussian.mean) / spread
    mean = (slope**2 + offset**2).mean(dim=-1)
    variance = (2 * slope**4 + 4 * slope**2 * offset**2).mean(dim=-1) / x_0[0].numel()
    return mean, variance


def test_eps_errors_and_their_standard_errors_against_the_closed_form(gaussian) -> None:
    x_0, draws = gaussian_pixels(gaussian), 400
    mean, variance = expected_errors(gaussian, x_0)
    for error in eps_errors(gaussian.denoiser, x_0, [0, 7, 20, 39], draws=draws, seed=1):
        standard_error = float((variance[error.t].sum() / draws).sqrt()) / len(x_0)
        assert abs(error.mse - float(mean[error.t].mean())) < 4.5 * standard_error
        assert error.standard_error == pytest.approx(standard_error, rel=0.25)


def test_eps_errors_show_their_first_draw(gaussian) -> None:
    x_0 = gaussian_pixels(gaussian)
    early, late = eps_errors(gaussian.denoiser, x_0, [3, 30], draws=2, seed=1)
    assert torch.equal(early.eps, late.eps) and early.eps.shape == x_0.shape
    for error in (early, late):
        alpha_bar = float(gaussian.denoiser.schedule.alpha_bar[error.t])
        assert (error.x_t - (alpha_bar**0.5 * x_0 + (1 - alpha_bar) ** 0.5 * error.eps)).abs().max() < 1e-6
        back = alpha_bar**0.5 * error.x_0_hat + (1 - alpha_bar) ** 0.5 * error.eps_theta
        assert (error.x_t - back).abs().max() < 1e-5
    one, two = (eps_errors(gaussian.denoiser, x_0, [3], draws=2, seed=seed)[0].mse for seed in (1, 2))
    assert one == early.mse != two


def test_simple_loss_is_the_mean_over_t(gaussian) -> None:
    x_0 = gaussian_pixels(gaussian)
    mean, _ = expected_errors(gaussian, x_0)
    estimate = simple_loss(gaussian.denoiser, x_0, draws=800, seed=2)
    assert estimate.draws == 800 and 0 < estimate.standard_error < 0.01
    assert abs(estimate.mean - float(mean.mean())) < 4.5 * estimate.standard_error


def test_simple_loss_standard_error_is_calibrated(gaussian) -> None:
    """Over 300 seeds: the spread of the estimates is what each of them says, and stratified t beats independent t."""
    x_0, draws, seeds = gaussian_pixels(gaussian), 32, 300
    mean, variance = expected_errors(gaussian, x_0)
    estimates = [simple_loss(gaussian.denoiser, x_0, draws=draws, seed=seed) for seed in range(seeds)]
    means = torch.tensor([estimate.mean for estimate in estimates], dtype=torch.float64)
    said = torch.tensor([estimate.standard_error for estimate in estimates], dtype=torch.float64)
    assert abs(float(means.mean()) - float(mean.mean())) < 4.5 * float(means.std()) / seeds**0.5
    assert float((said**2).mean()) == pytest.approx(float(means.var()), rel=4.5 * math.sqrt(2 / seeds))
    independent_t = ((variance.mean(dim=0) + mean.var(dim=0)).sum() / draws).sqrt() / len(x_0)
    assert float(means.std()) < 0.7 * float(independent_t)


def terms(gaussian, x_0: torch.Tensor, **options: object) -> list[BoundProgress]:
    return list(bound_terms(gaussian.denoiser, x_0, **options))


def test_the_bound_streams_its_terms_and_running_sums(gaussian) -> None:
    x_0 = gaussian_pixels(gaussian)
    chain = terms(gaussian, x_0, draws=4, seed=3)
    assert [term.kind for term in chain] == ["L_T"] + ["L_t-1"] * 39 + ["L_0"]
    assert [term.index for term in chain] == list(range(41)) and {term.total for term in chain} == {41}
    assert [term.t for term in chain[1:]] == list(range(39, -1, -1))
    for index, term in enumerate(chain):
        assert term.running.mean == pytest.approx(sum(part.bits.mean for part in chain[: index + 1]), rel=1e-9)
        assert term.running.mean == pytest.approx(sum(part.mean for part in term.parts.values()), rel=1e-9)
        assert term.running.standard_error == pytest.approx(math.sqrt(sum(part.bits.standard_error**2 for part in chain[: index + 1])), rel=1e-9)
    assert chain[0].bits.standard_error == 0 and chain[0].eps_mse is None
    assert chain[0].parts != chain[-1].parts


def test_bound_terms_against_the_closed_form(gaussian) -> None:
    """L_T is a KL of Gaussians in x_0; with sigma^2 = beta_tilde, L_{t-1} is a known weight times the eps error, whose mean is known [eq. 12]."""
    x_0, schedule = gaussian_pixels(gaussian), gaussian.denoiser.schedule
    mean, variance = expected_errors(gaussian, x_0)
    draws = 200
    chain = terms(gaussian, x_0, draws=draws, seed=3, clip_x0=False)
    last = float(schedule.alpha_bar[-1])
    prior = 0.5 * (last * x_0.double() ** 2 - last - math.log(1 - last)).mean() / math.log(2)
    assert chain[0].bits.mean == pytest.approx(float(prior), rel=1e-6)
    for term in chain[1:-1]:
        t = term.t
        weight = float(schedule.beta[t] ** 2 / (2 * schedule.beta_tilde[t] * schedule.alpha[t] * (1 - schedule.alpha_bar[t]))) / math.log(2)
        standard_error = weight * float((variance[t].sum() / draws).sqrt()) / len(x_0)
        assert abs(term.bits.mean - weight * float(mean[t].mean())) < 4.5 * standard_error
        assert term.bits.standard_error == pytest.approx(standard_error, rel=0.35)
        assert term.eps_mse is not None and abs(term.eps_mse.mean - float(mean[t].mean())) < 4.5 * standard_error / weight


def test_clipping_and_variance_reach_the_bound(schedule: NoiseSchedule) -> None:
    """A network whose x_0_hat is 3 everywhere: clipped it is 1, so that L_{t-1}, quadratic in x_0 - x_0_hat, is 9 times smaller for x_0 = 0."""
    denoiser, x_0 = Denoiser(lambda x_t, t: torch.full_like(x_t, 3.0), "sample", schedule), quantize(torch.zeros(1, 1, 4, 4))
    level = float(x_0[0, 0, 0, 0])
    loose, clipped = (list(bound_terms(denoiser, x_0, rows=[20], clip_x0=clip))[-1].bits.mean for clip in (False, True))
    assert loose / clipped == pytest.approx((3 - level) ** 2 / (1 - level) ** 2, rel=1e-4)
    large = list(bound_terms(denoiser, x_0, rows=[20], variance="fixed_large"))[-1].bits.mean
    assert large != pytest.approx(clipped, rel=1e-3)


def test_the_bound_lies_above_the_likelihood_and_near_it(gaussian_on) -> None:
    """A perfect denoiser on a fine chain: the bound is above the data's own negative log-likelihood, as counted in grey levels, and close to it."""
    fine = gaussian_on(NoiseSchedule.cosine(1000))
    x_0 = gaussian_pixels(fine, images=8)
    normal = torch.distributions.Normal(fine.mean, fine.std)
    centre = x_0.double()
    likelihood = float(-(normal.cdf(centre + 1 / 255) - normal.cdf(centre - 1 / 255)).log2().mean())
    bound = terms(fine, x_0, draws=2, seed=0, variance="fixed_large")[-1].running
    assert likelihood - 4.5 * bound.standard_error < bound.mean < likelihood + 4.5 * bound.standard_error + 0.05


def test_the_standard_error_of_the_finished_bound_is_calibrated(gaussian) -> None:
    """Over 60 seeds the spread of the finished bound is what its standard error says, with two draws a term as with more."""
    x_0 = gaussian_pixels(gaussian)
    ends = [terms(gaussian, x_0, draws=2, seed=seed)[-1].running for seed in range(60)]
    means = torch.tensor([end.mean for end in ends], dtype=torch.float64)
    said = torch.tensor([end.standard_error for end in ends], dtype=torch.float64)
    assert float((said**2).mean()) == pytest.approx(float(means.var()), rel=4.5 * math.sqrt(2 / 60))


def test_a_shorter_chain_and_a_part_of_the_terms(gaussian) -> None:
    x_0, schedule = gaussian_pixels(gaussian), gaussian.denoiser.schedule
    short = terms(gaussian, x_0, schedule=schedule.respaced([39, 25, 12, 4]))
    assert [term.t for term in short] == [39, 39, 25, 12, 4] and {term.total for term in short} == {5}
    part = terms(gaussian, x_0, rows=[0, 10, 10], seed=4)
    whole = terms(gaussian, x_0, seed=4)
    assert [(term.kind, term.t) for term in part] == [("L_T", 39), ("L_t-1", 10), ("L_0", 0)]
    assert part[1].bits == whole[30].bits and part[2].bits == whole[40].bits and {term.total for term in part} == {3}


def test_pixels_are_rounded_to_the_grid_the_bound_is_defined_on(gaussian) -> None:
    x_0 = gaussian_pixels(gaussian)
    shifted = (x_0 + 0.3 / 255).clamp(-1, 1)
    assert terms(gaussian, shifted, rows=[0])[-1].running == terms(gaussian, x_0, rows=[0])[-1].running


def test_the_network_is_asked_in_batches_of_a_bounded_size(schedule: NoiseSchedule) -> None:
    sizes: list[int] = []

    def network(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        assert t.dtype == torch.int64 and t.shape == x_t.shape[:1] and torch.is_inference_mode_enabled()
        sizes.append(len(x_t))
        return x_t

    denoiser, x_0 = Denoiser(network, "epsilon", schedule), torch.zeros(3, 1, 4, 4)
    eps_errors(denoiser, x_0, [5, 6], draws=50)
    simple_loss(denoiser, x_0, draws=50)
    list(bound_terms(denoiser, x_0, draws=4))
    assert max(sizes) <= loss.BATCH and sum(sizes) == 150 * 2 + 150 + 12 * 40


@pytest.mark.parametrize("draws", [-1, 0, 1])
def test_too_few_draws_are_refused(gaussian, draws: int) -> None:
    x_0 = gaussian_pixels(gaussian)
    for measure in (
        lambda: eps_errors(gaussian.denoiser, x_0, [1], draws=draws),
        lambda: simple_loss(gaussian.denoiser, x_0, draws=draws),
        lambda: terms(gaussian, x_0, draws=draws),
    ):
        with pytest.raises(ValueError, match=f"draws = {draws}: use at least 2"):
            measure()
    with pytest.raises(ValueError, match="even"):
        simple_loss(gaussian.denoiser, x_0, draws=7)


@pytest.mark.parametrize("t", [-1, 40, 10**9])
def test_a_t_outside_the_chain_is_refused(gaussian, t: int) -> None:
    with pytest.raises(ValueError, match=f"t = {t} is outside"):
        eps_errors(gaussian.denoiser, gaussian_pixels(gaussian), [t])


def test_an_estimate_of_something_certain_has_no_error(schedule: NoiseSchedule) -> None:
    x_0 = torch.zeros(1, 1, 4, 4)

    def knows_x_0(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x_t)

    certain = Denoiser(knows_x_0, "sample", schedule)
    error = eps_errors(certain, x_0, [10], draws=4)[0]
    assert error.mse < 1e-12 and error.standard_error < 1e-12
    assert simple_loss(certain, x_0, draws=8) == Estimate(pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12), 8)
