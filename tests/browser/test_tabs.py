"""The three tabs in headless Chromium, in both languages, on a phone and on a desk: every figure on the page against the library."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from walk import T_SLIDER, await_phase, check_language, eventually, exact, move_t, open_tab, press, set_range, text

from ddpm_space import loss, models, noising
from ddpm_space.images import load_image, to_uint8
from ddpm_space.notes.reverse import posterior_coefficients
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.example_files import example_path

LANGUAGES = ("zh", "en")
WIDTHS = (390, 1280)
PIXELS = "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).filter((_, i) => i % 4 === 0)"


def check_layout(page, width: int) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page is wider than the screen"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_walk_through_the_tabs(open_page: Callable, lang: str, width: int) -> None:
    page = open_page(lang, width).page
    check_language(page, lang)
    check_layout(page, width)
    open_tab(page, "sampling", lang)
    check_language(page, lang)
    press(page, "sampling.run", lang)
    await_phase(page, "film")
    page.wait_for_selector("[data-panel=step][data-state=drawn]")
    check_language(page, lang)
    check_layout(page, width)
    open_tab(page, "loss", lang)
    press(page, "errors.run", lang)
    await_phase(page, "lab-errors")
    press(page, "bound.run", lang)
    await_phase(page, "lab-bound")
    check_language(page, lang)
    check_layout(page, width)


def test_the_noised_picture_and_its_numbers_are_the_library_s(open_page: Callable) -> None:
    page = open_page().page
    chain = NoiseSchedule.linear()
    for t in (0, 137, 999):
        move_t(page, t)
        assert exact(page, "alpha_bar") == float(chain.alpha_bar[t])
        assert exact(page, "beta") == float(chain.beta[t])
        assert exact(page, "sigma") == math.sqrt(1 - float(chain.alpha_bar[t]))
        assert exact(page, "snr") == pytest.approx(float(chain.snr[t]), rel=1e-12)
        expected = to_uint8(noising.noise_image(load_image(example_path("digit_3"), size=28), chain, t, seed=0).x_t)[0].ravel()
        shown = np.array(page.locator("[data-panel=lab-noising] .role-xt canvas").evaluate(PIXELS))
        assert np.abs(shown - expected.astype(int)).max() <= 1
    formula = page.locator("[data-panel=lab-noising] .lab-stage .formula-block").get_attribute("data-tex")
    assert f"{math.sqrt(chain.alpha_bar[999]):.4g}"[:4] in formula


def test_picture_schedule_and_length_change_what_is_shown(open_page: Callable) -> None:
    page = open_page().page
    page.locator('[data-example="digit_8"]').first.click()
    expected = to_uint8(load_image(example_path("digit_8"), size=28))[0].ravel()
    page.wait_for_function("() => document.querySelector('[data-panel=lab-noising] [data-example=digit_8]').ariaChecked === 'true'")
    eventually(lambda: np.array_equal(page.locator("[data-panel=lab-noising] .role-x0 canvas").evaluate(PIXELS), expected))
    page.locator("[data-control='noising.schedule'] [data-word='cosine']").click()
    eventually(lambda: exact(page, "alpha_bar") == float(NoiseSchedule.cosine().alpha_bar[250]))
    page.locator("[data-control='noising.T'] [data-word='50']").click()
    eventually(lambda: exact(page, "alpha_bar") == float(NoiseSchedule.cosine(50).alpha_bar[49]))


def test_too_few_steps_for_the_beta_range_are_called_out(open_page: Callable) -> None:
    page = open_page().page
    assert page.locator("[data-panel=path] .warning").is_hidden()
    page.locator("[data-control='noising.T'] [data-word='50']").click()
    page.locator("[data-panel=path] .warning").wait_for()
    assert f"{float(NoiseSchedule.linear(50).alpha_bar[-1]):.3g}" in page.locator("[data-panel=path] .warning").inner_text()


def test_both_routes_are_measured_again(open_page: Callable) -> None:
    page = open_page().page
    move_t(page, 40)
    press(page, "routes.measure", "en")
    page.locator("[data-panel=lab-routes]", has_text="At t = 40").wait_for()
    expected = noising.compare_routes(load_image(example_path("digit_3"), size=28), NoiseSchedule.linear(), 40, draws=64, seed=0)
    assert float(page.locator("[data-coupled]").get_attribute("data-coupled")) == expected.coupled_error
    assert f"{expected.variance.theory:.4g}" in page.locator("[data-panel=lab-routes] table").inner_text()


def test_the_keyboard_moves_t_and_chooses_pictures(open_page: Callable) -> None:
    page = open_page().page
    page.locator(T_SLIDER).focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector('[data-quantity="t"][data-exact="251"]')
    page.locator("[data-panel=lab-noising] .thumbs [aria-checked=true]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector('[data-panel=lab-noising] [data-example="digit_4"][aria-checked="true"]')


def test_playing_runs_t_to_the_end(open_page: Callable) -> None:
    page = open_page().page
    move_t(page, 900)
    press(page, "noising.play", "en")
    page.wait_for_selector('[data-quantity="t"][data-exact="999"]')
    eventually(lambda: page.locator(T_SLIDER).input_value() == "999")


def test_an_opened_step_shows_the_posterior_s_coefficients(open_page: Callable, tiny_pipeline: Path) -> None:
    page = open_page().page
    open_tab(page, "sampling", "en")
    set_range(page.locator("[data-control='sampling.images'] input"), 4)
    set_range(page.locator("[data-control='sampling.steps'] input"), 10)
    press(page, "sampling.run", "en")
    await_phase(page, "film")
    # The finished film opens its last step by itself: before that, it would undo what a hand has moved.
    eventually(lambda: opened(page).get("t") == 4, lambda: str(opened(page)))
    set_range(page.locator("[data-panel=film] .scrub"), 3)
    page.locator("[data-panel=film] canvas").first.click(position={"x": 5, "y": 5})
    schedule = models.load(tiny_pipeline).denoiser.schedule
    eventually(lambda: opened(page)["t"] == 34, lambda: str(opened(page)))
    shown = opened(page)
    a, b = posterior_coefficients(schedule.alpha_bar[shown["t"]], schedule.alpha_bar[shown["s"]])
    assert (shown["a"], shown["b"]) == pytest.approx((float(a), float(b)), rel=1e-12)
    assert float(page.locator("[data-residual]").get_attribute("data-residual")) < 1e-5
    page.locator("[data-panel=step] .cards summary").first.click()
    filled = page.locator("[data-panel=step] [data-equation='N7.posterior_coefficients'] .filled")
    eventually(lambda: f"= {float(a):.4g}"[:6] in (filled.get_attribute("data-tex") or ""), lambda: str(filled.get_attribute("data-tex")))


def opened(page) -> dict:
    return json.loads(page.locator("[data-panel=step] [data-coefficients]").get_attribute("data-coefficients") or "{}")


def test_the_loss_is_the_library_s(open_page: Callable, tiny_pipeline: Path) -> None:
    page = open_page().page
    model, x_0 = models.load(tiny_pipeline), load_image(example_path("digit_3"), size=8)
    open_tab(page, "loss", "en")
    page.get_by_label(text("errors.timesteps", "en")).fill("7, 31")
    press(page, "errors.run", "en")
    await_phase(page, "lab-errors")
    expected = loss.eps_errors(model.denoiser, x_0, [7, 31], draws=16, seed=0)
    for row in expected:
        assert float(page.locator(f'.error-card[data-t="{row.t}"] [data-mse]').get_attribute("data-mse")) == pytest.approx(row.mse, rel=1e-6)
    simple = loss.simple_loss(model.denoiser, x_0, draws=128, seed=0)
    assert float(page.locator("[data-panel=lab-errors] .verdict").get_attribute("data-exact")) == pytest.approx(simple.mean, rel=1e-6)
    press(page, "bound.run", "en")
    await_phase(page, "lab-bound")
    *_, last = loss.bound_terms(model.denoiser, x_0, draws=2, variance="fixed_large")
    assert float(page.locator("[data-panel=lab-bound] .verdict").get_attribute("data-exact")) == pytest.approx(last.running.mean, rel=1e-6)
    for kind, part in last.parts.items():
        assert float(page.locator(f'[data-part="{kind}"]').get_attribute("data-exact")) == pytest.approx(part.mean, rel=1e-6)
