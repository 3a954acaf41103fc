"""Rows N9 and N10 in headless Chromium, in both languages: a control is moved or pressed, and the page's numbers are the library's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch
from walk import await_numbers, check_language, eventually, find_lab, lab_number, move_control, open_tab

from ddpm_space.exact.chain import ExactChain
from ddpm_space.exact_chain import example_data
from ddpm_space.notes import mle
from ddpm_space.notes.jensen import jensen_gap, jensen_second_order
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.labs.mle import law_of

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.proof
LANGUAGES = ("zh", "en")


def open_lab(page: Page, name: str, lang: str) -> Locator:
    open_tab(page, "loss", lang)
    return find_lab(page, name)


@pytest.mark.row("N10", "likelihood", "kl")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_gaussian_is_dragged_over_data_and_climbs(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    lab = open_lab(page, "mle", lang)
    lab.get_by_role("radio").nth(2).click()
    move_control(lab, "mle.mu", 0.5)
    x = law_of("tails").sample(40, generator=torch.Generator().manual_seed(0))[:, 0]
    best_mean, best_variance = mle.mle_gaussian(x)
    at = torch.tensor(0.5, dtype=torch.float64), torch.tensor(0.25, dtype=torch.float64)
    slope = mle.likelihood_gradient(x, *at)
    await_numbers(
        lab,
        {
            "log_likelihood": float(mle.log_likelihood(x, *at)),
            "top": float(mle.log_likelihood(x, best_mean, best_variance)),
            "best_mean": float(best_mean),
            "slope_mean": float(slope[0]),
            "slope_log_variance": float(slope[1]),
        },
    )
    kl = lab_number(lab, "kl")
    assert lab_number(lab, "split_difference") < 1e-9
    buttons = lab.locator(".lab-controls > button")
    buttons.nth(1).click()
    lab.locator("[data-quantity=climbed]").wait_for()
    assert lab_number(lab, "climbed") < 1e-4
    check_language(page, lang)
    buttons.nth(0).click()
    await_numbers(lab, {"log_likelihood": float(mle.log_likelihood(x, best_mean, best_variance)), "slope_mean": 0.0})
    assert lab_number(lab, "kl") < kl
    assert lab.locator("[data-quantity=climbed]").count() == 0, "the ascent belongs to the place it began at"


@pytest.mark.row("N9", "gap")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_gap_of_jensen(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    lab = open_lab(page, "jensen", lang)
    lab.locator('[data-word="sqrt"]').click()
    move_control(lab, "jensen.high", 2.0)
    move_control(lab, "jensen.p", 0.25)
    values, chances = torch.tensor([0.3, 2.0]).double(), torch.tensor([0.75, 0.25]).double()
    values[0] = 0.3
    gap, second = jensen_gap(torch.sqrt, values, chances), jensen_second_order(torch.sqrt, values, chances)
    await_numbers(lab, {"gap": float(gap), "second_order": float(second), "mean": 0.725})
    check_language(page, lang)
    lab.locator('[data-word="corner"]').click()
    await_numbers(lab, {"second_order": 0.0, "gap": 0.725 - (0.75 * 0.3 + 0.25)})
    lab.locator('[data-word="many"]').click()
    eventually(lambda: lab.locator('[data-control="jensen.n"]').is_visible() and lab_number(lab, "gap") > 0)
    assert lab.locator('[data-control="jensen.p"]').is_hidden()


@pytest.mark.row("N9", "elbo", "importance")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_bounds_tighten(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    lab = open_lab(page, "iwae", lang)
    lab.locator('[data-word="optimal"]').click()
    move_control(lab, "iwae.x_0", 0.9)
    chain = ExactChain(example_data(), NoiseSchedule.cosine(8), "optimal")
    point = torch.tensor([0.9], dtype=torch.float64)
    expected = {"log_p": float(chain.log_p(point)), "elbo": float(chain.elbo(point)), "gap_kl": float(chain.gap(point))}
    await_numbers(lab, expected, 1e-8)
    assert lab_number(lab, "iwae_1") < lab_number(lab, "iwae_8") < lab_number(lab, "iwae_1024") < expected["log_p"] + 0.1
    check_language(page, lang)
    mean = lab_number(lab, "mean_log_p")
    move_control(lab, "iwae.quality", 4)
    eventually(lambda: lab_number(lab, "mean_log_p") < mean - 0.05, lambda: str(lab_number(lab, "mean_log_p")))
    # The sweep walks through every quality and ends at the best network again.
    lab.locator(".lab-controls > button").click()
    eventually(lambda: lab_number(lab, "mean_log_p") < mean - 0.3, seconds=30)
    eventually(lambda: lab_number(lab, "mean_log_p") == pytest.approx(mean, abs=1e-12), lambda: str(lab_number(lab, "mean_log_p")), seconds=60)


def test_a_bad_seed_is_a_sentence_with_the_control_s_name(open_page: Callable) -> None:
    page = open_page().page
    lab = open_lab(page, "jensen", "en")
    box = lab.locator('[data-control="jensen.seed"] input')
    box.fill("-3")
    box.press("Tab")
    note = lab.locator(".panel-body > .error-note")
    eventually(lambda: note.is_visible() and "Seed" in note.inner_text() and "-3" in note.inner_text(), lambda: note.inner_text())
    box.fill("3")
    box.press("Tab")
    eventually(lambda: note.is_hidden())


def test_no_lab_is_wider_than_a_phone(open_page: Callable) -> None:
    page = open_page("en", 390).page
    for name in ("mle", "jensen", "iwae"):
        open_lab(page, name, "en")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name


OUT_OF_REACH = """() => [...document.querySelectorAll(".ddpm .formula-block")]
    .filter((block) => block.scrollWidth > block.clientWidth && !(block.tabIndex === 0 && block.getAttribute("role") === "group"))
    .map((block) => block.dataset.tex)"""
REACHED = """() => [...document.querySelectorAll(".ddpm .formula-block[tabindex]")].map((block) => block.scrollWidth > block.clientWidth)"""


def test_a_formula_that_a_late_font_makes_too_wide_can_be_scrolled_by_the_keyboard(open_page: Callable) -> None:
    page = open_page("en", 390, reduced_motion="reduce").page
    waiting: list = []
    page.route("**/*.woff2", lambda route: waiting.append(route))
    lab = open_lab(page, "mle", "en")
    lab.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    wide = lab.locator("[data-equation='N10.log_likelihood'] .formula-block").first
    wide.scroll_into_view_if_needed()
    wide.locator(".katex-display").wait_for()
    eventually(lambda: len(waiting) > 0)
    # In the font that stands in it just fits, and in its own it does not.
    narrow, place = wide.evaluate("block => [block.querySelector('.katex-html').scrollWidth, block.clientWidth]")
    page.set_viewport_size({"width": 390 + narrow + 3 - place, "height": 900})
    eventually(lambda: wide.get_attribute("tabindex") is None, lambda: f"{narrow} of {place}")
    for route in waiting:
        route.continue_()
    page.unroute("**/*.woff2")
    eventually(lambda: wide.evaluate("block => block.scrollWidth > block.clientWidth"), lambda: f"the font changes nothing: {narrow}")
    eventually(lambda: page.evaluate(OUT_OF_REACH) == [], lambda: str(page.evaluate(OUT_OF_REACH)), seconds=5)
    assert wide.get_attribute("aria-label") == "formula, scrolls sideways"
    reached = page.evaluate(REACHED)
    assert reached and all(reached), "one that fits is no stop on the way of the Tab key"
