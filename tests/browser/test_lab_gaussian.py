"""Rows N2 and N3 in headless Chromium, in both languages: a control is moved or the chart is dragged, and the page's numbers are the library's."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from reading import drag, read_lines, shown_error
from torch.distributions import Normal, kl_divergence
from walk import await_numbers, check_language, eventually, find_lab, lab_number, move_control, text

from ddpm_space.notes.gaussian import entropy
from ddpm_space.notes.gaussian_algebra import linear_combination, product
from ddpm_space.notes.gradients import pathwise_variance, quadratic_gradient, score_function_variance
from ddpm_space.ui.labs.gaussian import draw_eps

pytestmark = pytest.mark.proof
LANGUAGES = ("zh", "en")


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.row("N2", "density", "entropy", "kl")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_gaussian_follows_its_sliders(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    lab = find_lab(page, "gaussian")
    move_control(lab, "gaussian.mu", -1.4)
    move_control(lab, "gaussian.sigma", 0.35)
    # torch's own distributions know nothing of the notes.
    law, standard = Normal(number(-1.4), number(0.35)), Normal(number(0.0), number(1.0))
    kl, bits = float(kl_divergence(law, standard)), float(law.entropy())
    await_numbers(lab, {"entropy": bits, "entropy_quadrature": bits, "kl": kl, "kl_quadrature": kl})
    points = -1.4 + 0.35 * draw_eps(0)
    spread = float(points.std(correction=0))
    await_numbers(lab, {"x_1": float(points[0]), "area": 1.0, "area_quadrature": 1.0, "top": float(law.log_prob(number(-1.4)).exp())})
    await_numbers(lab, {"points_mean": float(points.mean())})
    assert lab_number(lab, "points_std") == pytest.approx(spread, rel=0.02), "whichever way the variance is counted"
    assert shown_error(lab, "points_mean") == pytest.approx(spread / math.sqrt(len(points)), rel=0.03)
    bell = lab.locator("[data-chart=density] .chart-canvas")
    heights = [float(each.log_prob(number(-1.4)).exp()) for each in (law, standard)]
    assert read_lines(bell, -1.4, -7, 7) == pytest.approx(heights, rel=0.01)
    check_language(page, lang)


@pytest.mark.row("N3", "reparameterized")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_bell_is_dragged_and_the_eps_stay(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    lab = find_lab(page, "gaussian")
    bell = lab.locator("[data-chart=density] .chart-canvas")
    drag(bell, 1.2, -0.5, -7, 7)
    eventually(
        lambda: abs(lab_number(lab, "points_mean") - (-0.5 + 0.7 * float(draw_eps(0).mean()))) < 0.05, lambda: str(lab_number(lab, "points_mean"))
    )
    middle = lab_number(lab, "x_1") - 0.7 * float(draw_eps(0)[0])
    drag(bell, middle + 0.7, middle + 1.5, -7, 7)
    eventually(lambda: abs(lab_number(lab, "entropy") - float(entropy(1.5**2))) < 0.05, lambda: str(lab_number(lab, "entropy")))
    assert lab_number(lab, "x_1") == pytest.approx(middle + 1.5 * float(draw_eps(0)[0]), abs=0.15)
    # A link keeps what was dragged.
    eventually(lambda: all(f"gaussian.{name}=" in page.evaluate("location.href") for name in ("mu", "sigma")))


@pytest.mark.row("N2", "sum", "product")
@pytest.mark.row("N3", "linear")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_two_gaussians_added_and_multiplied(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    lab = find_lab(page, "pairs")
    move_control(lab, "pairs.mu_2", 2.0)
    move_control(lab, "pairs.b", -0.5)
    mean, variance = linear_combination(number(-1.5), 0.36, number(2.0), 1.0, 1.0, -0.5)
    await_numbers(lab, {"mean": float(mean), "variance": float(variance)})
    for name, value, error in (
        ("mean", float(mean), math.sqrt(float(variance) / 20_000)),
        ("variance", float(variance), float(variance) * math.sqrt(2 / 20_000)),
    ):
        measured = lab_number(lab, f"{name}_measured")
        assert abs(measured - value) < 5 * error
        assert lab_number(lab, f"{name}_difference") == pytest.approx(measured - value, abs=1e-12)
        assert shown_error(lab, f"{name}_measured") == pytest.approx(error, rel=0.04)
    lab.get_by_role("radio").nth(1).click()
    mean, variance, log_c = product(number(-1.5), 0.36, number(2.0), 1.0)
    expected = {"mean": float(mean), "variance": float(variance), "c": math.exp(float(log_c))}
    await_numbers(lab, expected | {f"{name}_measured": value for name, value in expected.items()})
    check_language(page, lang)
    lab.get_by_role("radio").nth(0).click()
    lab.locator(".lab-controls > button").click()
    await_numbers(lab, {"variance": 1.0})


@pytest.mark.row("N3", "gradients")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_two_ways_to_a_gradient(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    lab = find_lab(page, "gradients")
    lab.locator("select").select_option("lifted")
    move_control(lab, "gradients.sigma", 0.5)
    draws = int(lab.locator('[data-control="gradients.draws"] output').inner_text())
    path, score = pathwise_variance(1, 0, 1, 0.5), score_function_variance(1, 0, 10, 1, 0.5)
    await_numbers(
        lab,
        {
            "exact": float(quadratic_gradient(1, 0, 1, 0.5).d_mean),
            "pathwise_theory": float(path.d_mean),
            "score_theory": float(score.d_mean),
            "score_ratio": float(score.d_mean / path.d_mean),
            "second_route": 2.0,  # d/d mu of mu^2 + sigma^2 + 10 at mu = 1
        },
    )
    for name in ("pathwise", "score", "baseline"):
        theory = lab_number(lab, f"{name}_theory")
        error = math.sqrt(theory / draws)
        assert abs(lab_number(lab, f"{name}_mean") - 2) < 5 * error
        assert shown_error(lab, f"{name}_mean") == pytest.approx(error, rel=0.3), "the draws' own spread, of a law with long tails"
        assert 0.6 < lab_number(lab, f"{name}_variance") / theory < 1.6
    # What a constant may save at best is known: for a quadratic f it leaves Var(pathwise) and what its square adds.
    assert lab_number(lab, "pathwise_theory") < lab_number(lab, "baseline_theory") < lab_number(lab, "score_theory")
    check_language(page, lang)
    lab.locator("select").select_option("step")
    no_path = text("gradients.no_path", lang)[:12]
    lab.locator(".warning", has_text=no_path).wait_for()
    assert lab.locator("[data-chart=pathwise]").is_hidden()
    await_numbers(lab, {"exact": math.exp(-2) / math.sqrt(2 * math.pi) / 0.5})
