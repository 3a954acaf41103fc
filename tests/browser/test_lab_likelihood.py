"""Rows N9 and N10 in headless Chromium, in both languages: a control is moved or pressed, and the page's numbers are the library's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch
from walk import check_language, eventually, open_tab, set_range

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
    lab = page.locator(f"[data-panel=lab-{name}]")
    lab.scroll_into_view_if_needed()
    page.wait_for_selector(f"[data-lab={name}][data-state=drawn]")
    return lab


def move(lab: Locator, name: str, value: float) -> None:
    set_range(lab.locator(f'[data-control="{name}"] input[type=range]'), value)


def exact(lab: Locator, quantity: str) -> float:
    found = lab.locator(f"[data-quantity={quantity}]")
    return float(found.get_attribute("data-exact") or "nan") if found.count() else math.nan


def shows(lab: Locator, expected: dict[str, float], tolerance: float = 1e-9) -> None:
    """Wait until the lab shows these numbers."""
    found: dict[str, float] = {}

    def same() -> bool:
        found.update({name: exact(lab, name) for name in expected})
        return all(found[name] == pytest.approx(value, rel=tolerance, abs=tolerance) for name, value in expected.items())

    eventually(same, lambda: f"{found} instead of {expected}", seconds=30)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_gaussian_is_dragged_over_data_and_climbs(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    lab = open_lab(page, "mle", lang)
    lab.get_by_role("radio").nth(2).click()
    move(lab, "mle.mu", 0.5)
    x = law_of("tails").sample(40, generator=torch.Generator().manual_seed(0))[:, 0]
    best_mean, best_variance = mle.mle_gaussian(x)
    at = torch.tensor(0.5, dtype=torch.float64), torch.tensor(0.25, dtype=torch.float64)
    slope = mle.likelihood_gradient(x, *at)
    shows(
        lab,
        {
            "log_likelihood": float(mle.log_likelihood(x, *at)),
            "top": float(mle.log_likelihood(x, best_mean, best_variance)),
            "best_mean": float(best_mean),
            "slope_mean": float(slope[0]),
            "slope_log_variance": float(slope[1]),
        },
    )
    kl = exact(lab, "kl")
    assert exact(lab, "split_difference") < 1e-9
    buttons = lab.locator(".lab-controls > button")
    buttons.nth(1).click()
    lab.locator("[data-quantity=climbed]").wait_for()
    assert exact(lab, "climbed") < 1e-4
    check_language(page, lang)
    buttons.nth(0).click()
    shows(lab, {"log_likelihood": float(mle.log_likelihood(x, best_mean, best_variance)), "slope_mean": 0.0})
    assert exact(lab, "kl") < kl
    assert lab.locator("[data-quantity=climbed]").count() == 0, "the ascent belongs to the place it began at"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_gap_of_jensen(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    lab = open_lab(page, "jensen", lang)
    lab.locator('[data-word="sqrt"]').click()
    move(lab, "jensen.high", 2.0)
    move(lab, "jensen.p", 0.25)
    values, chances = torch.tensor([0.3, 2.0]).double(), torch.tensor([0.75, 0.25]).double()
    values[0] = 0.3
    gap, second = jensen_gap(torch.sqrt, values, chances), jensen_second_order(torch.sqrt, values, chances)
    shows(lab, {"gap": float(gap), "second_order": float(second), "mean": 0.725})
    check_language(page, lang)
    lab.locator('[data-word="corner"]').click()
    shows(lab, {"second_order": 0.0, "gap": 0.725 - (0.75 * 0.3 + 0.25)})
    lab.locator('[data-word="many"]').click()
    eventually(lambda: lab.locator('[data-control="jensen.n"]').is_visible() and exact(lab, "gap") > 0)
    assert lab.locator('[data-control="jensen.p"]').is_hidden()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_bounds_tighten(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    lab = open_lab(page, "iwae", lang)
    lab.locator('[data-word="optimal"]').click()
    move(lab, "iwae.x_0", 0.9)
    chain = ExactChain(example_data(), NoiseSchedule.cosine(8), "optimal")
    point = torch.tensor([0.9], dtype=torch.float64)
    expected = {"log_p": float(chain.log_p(point)), "elbo": float(chain.elbo(point)), "gap_kl": float(chain.gap(point))}
    shows(lab, expected, 1e-8)
    assert exact(lab, "iwae_1") < exact(lab, "iwae_8") < exact(lab, "iwae_1024") < expected["log_p"] + 0.1
    check_language(page, lang)
    mean = exact(lab, "mean_log_p")
    move(lab, "iwae.quality", 4)
    eventually(lambda: exact(lab, "mean_log_p") < mean - 0.05, lambda: str(exact(lab, "mean_log_p")))
    # The sweep walks through every quality and ends at the best network again.
    lab.locator(".lab-controls > button").click()
    eventually(lambda: exact(lab, "mean_log_p") < mean - 0.3, seconds=30)
    eventually(lambda: exact(lab, "mean_log_p") == pytest.approx(mean, abs=1e-12), lambda: str(exact(lab, "mean_log_p")), seconds=60)


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
