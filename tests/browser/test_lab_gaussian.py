"""Rows N2 and N3 in headless Chromium, in both languages: a control is moved or the chart is dragged, and the page's numbers are the library's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch
from walk import await_numbers, check_language, eventually, find_lab, lab_number, move_control, text

from ddpm_space.notes.gaussian import entropy, kl_gaussian
from ddpm_space.notes.gaussian_algebra import linear_combination, product
from ddpm_space.notes.gradients import pathwise_variance, quadratic_gradient, score_function_variance
from ddpm_space.ui.labs.gaussian import draw_eps

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.proof
LANGUAGES = ("zh", "en")


def settle(page: Page) -> None:
    """Wait until the sections above have drawn themselves, and what is to be dragged stays where it is."""
    heights: list[int] = []

    def still() -> bool:
        page.wait_for_timeout(250)
        heights.append(page.evaluate("document.documentElement.scrollHeight"))
        return len(heights) > 4 and len(set(heights[-4:])) == 1

    eventually(still, lambda: str(heights))


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_gaussian_follows_its_sliders(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    lab = find_lab(page, "gaussian")
    move_control(lab, "gaussian.mu", -1.4)
    move_control(lab, "gaussian.sigma", 0.35)
    kl = kl_gaussian(number(-1.4), 0.35**2, number(0.0), 1.0)
    await_numbers(
        lab, {"entropy": float(entropy(0.35**2)), "entropy_quadrature": float(entropy(0.35**2)), "kl": float(kl), "kl_quadrature": float(kl)}
    )
    await_numbers(lab, {"x_1": -1.4 + 0.35 * float(draw_eps(0)[0]), "area": 1.0})
    check_language(page, lang)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_bell_is_dragged_and_the_eps_stay(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    lab = find_lab(page, "gaussian")
    picture = lab.locator("[data-chart=density] .chart-canvas > svg")

    def drag(start: float, end: float) -> None:
        settle(page)
        picture.scroll_into_view_if_needed()
        # The axis goes from -7 to 7, between its margins.
        box = picture.bounding_box()
        places = [box["x"] + 64 + (x + 7) / 14 * (box["width"] - 64 - 14) for x in (start, end)]
        page.mouse.move(places[0], box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(places[1], box["y"] + box["height"] / 2, steps=4)
        page.mouse.up()

    drag(1.2, -0.5)
    eventually(
        lambda: abs(lab_number(lab, "points_mean") - (-0.5 + 0.7 * float(draw_eps(0).mean()))) < 0.05, lambda: str(lab_number(lab, "points_mean"))
    )
    middle = lab_number(lab, "x_1") - 0.7 * float(draw_eps(0)[0])
    drag(middle + 0.7, middle + 1.5)
    eventually(lambda: abs(lab_number(lab, "entropy") - float(entropy(1.5**2))) < 0.05, lambda: str(lab_number(lab, "entropy")))
    assert lab_number(lab, "x_1") == pytest.approx(middle + 1.5 * float(draw_eps(0)[0]), abs=0.15)
    # A link keeps what was dragged.
    eventually(lambda: all(f"gaussian.{name}=" in page.evaluate("location.href") for name in ("mu", "sigma")))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_two_gaussians_added_and_multiplied(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    lab = find_lab(page, "pairs")
    move_control(lab, "pairs.mu_2", 2.0)
    move_control(lab, "pairs.b", -0.5)
    mean, variance = linear_combination(number(-1.5), 0.36, number(2.0), 1.0, 1.0, -0.5)
    await_numbers(lab, {"mean": float(mean), "variance": float(variance)})
    assert abs(lab_number(lab, "mean_difference")) < 5 * math.sqrt(float(variance) / 20_000)
    lab.get_by_role("radio").nth(1).click()
    mean, variance, log_c = product(number(-1.5), 0.36, number(2.0), 1.0)
    await_numbers(lab, {"mean": float(mean), "variance": float(variance), "c": math.exp(float(log_c)), "c_measured": math.exp(float(log_c))})
    check_language(page, lang)
    lab.get_by_role("radio").nth(0).click()
    lab.locator(".lab-controls > button").click()
    await_numbers(lab, {"variance": 1.0})


@pytest.mark.parametrize("lang", LANGUAGES)
def test_two_ways_to_a_gradient(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    lab = find_lab(page, "gradients")
    lab.locator("select").select_option("lifted")
    move_control(lab, "gradients.sigma", 0.5)
    path, score = pathwise_variance(1, 0, 1, 0.5), score_function_variance(1, 0, 10, 1, 0.5)
    await_numbers(
        lab,
        {
            "exact": float(quadratic_gradient(1, 0, 1, 0.5).d_mean),
            "pathwise_theory": float(path.d_mean),
            "score_theory": float(score.d_mean),
            "score_ratio": float(score.d_mean / path.d_mean),
        },
    )
    assert 0.5 < lab_number(lab, "pathwise_variance") / float(path.d_mean) < 2
    check_language(page, lang)
    lab.locator("select").select_option("step")
    no_path = text("gradients.no_path", lang)[:12]
    lab.locator(".warning", has_text=no_path).wait_for()
    assert lab.locator("[data-chart=pathwise]").is_hidden()
    await_numbers(lab, {"exact": math.exp(-2) / math.sqrt(2 * math.pi) / 0.5})
