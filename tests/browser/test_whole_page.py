"""The long walk, with the model that comes with the package and the settings as they stand on the page, at four widths."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from walk import WIDTHS, await_phase, exact, move_t, open_tab, press, text

from ddpm_space import loss, models
from ddpm_space.images import load_image
from ddpm_space.schedule import SCHEDULES, NoiseSchedule
from ddpm_space.ui.example_files import example_path
from ddpm_space.ui.labs.noised import LENGTHS
from ddpm_space.ui.launch import DEFAULT_MODEL, start
from ddpm_space.ui.model import ModelSlot

pytestmark = pytest.mark.proof


@pytest.fixture(scope="module")
def bundled_app() -> Iterator[str]:
    app = start(ModelSlot(DEFAULT_MODEL), quiet=True)
    yield app.local_url
    app.close()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_bundled_model_through_all_tabs(open_page: Callable, bundled_app: str, lang: str) -> None:
    page = open_page(lang, address=bundled_app).page
    open_tab(page, "sampling", lang)
    press(page, "sampling.run", lang)
    await_phase(page, "film")
    check_widths(page)
    open_tab(page, "loss", lang)
    press(page, "errors.run", lang)
    await_phase(page, "lab-errors")
    press(page, "bound.run", lang)
    await_phase(page, "lab-bound")
    check_widths(page)
    model = models.load(DEFAULT_MODEL)
    *_, last = loss.bound_terms(model.denoiser, load_image(example_path("digit_3"), size=28), draws=2, variance="fixed_large")
    shown = float(page.locator("[data-panel=lab-bound] .verdict").get_attribute("data-exact") or "nan")
    assert shown == pytest.approx(last.running.mean, rel=1e-5)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_schedule_and_length_shows_the_library_s_numbers(open_page: Callable, bundled_app: str, lang: str) -> None:
    page = open_page(lang, address=bundled_app).page
    for length in LENGTHS:
        page.locator(f"[data-control='noising.T'] [data-word='{length}']").click()
        for name in SCHEDULES:
            page.locator(f"[data-control='noising.schedule'] [data-word='{name}']").click()
            table = NoiseSchedule.make(name, length)
            for t in (1, length // 2, length - 1):
                move_t(page, t)
                page.wait_for_function(
                    "wanted => Number(document.querySelector('[data-panel=lab-noising] [data-quantity=alpha_bar]').dataset.exact) === wanted",
                    arg=float(table.alpha_bar[t]),
                )
                assert exact(page, "snr") == pytest.approx(float(table.snr[t]), rel=1e-9)
    check_widths(page)


def check_widths(page) -> None:
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_phone_shows_questions_that_open_by_hand_by_keyboard_and_by_link(open_page: Callable, lang: str) -> None:
    page = open_page(lang, 390).page
    panel = page.locator("[data-panel=lab-pixel]")
    assert page.locator("[data-panel=lab-noising]").is_visible() and panel.is_hidden()
    button = page.locator("[data-fold=pixel]")
    assert button.get_attribute("aria-expanded") == "false"
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-lab=pixel][data-state=drawn]")
    assert button.get_attribute("aria-expanded") == "true" and button.inner_text() == text("fold.close", lang)
    page.locator(".contents summary").locator("visible=true").click()
    page.locator("[data-section=ula]").click()
    page.locator("[data-panel=lab-ula]").wait_for()
    page.wait_for_url("**open=pixel%2Cula**")
    again = open_page(lang, 390).page
    again.goto(page.url)
    again.locator("[data-panel=lab-ula]").wait_for()
    assert again.locator("[data-panel=lab-pixel]").is_visible() and again.locator("[data-panel=lab-msd]").is_hidden()
    again.locator("[data-fold=pixel]").click()
    assert again.locator("[data-panel=lab-pixel]").is_hidden()
    again.set_viewport_size({"width": 1280, "height": 900})
    assert again.locator("[data-panel=lab-pixel]").is_visible() and again.locator(".fold-button").locator("visible=true").count() == 0
