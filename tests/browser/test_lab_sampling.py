"""Rows N7 and N8 operated in the browser: the sampling tab's runs against the library, its links, and the models that visitors name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import HubServer
from walk import await_phase, check_language, eventually, open_tab, press, set_range, text

from ddpm_space import models
from ddpm_space.coupling import coupled_sample
from ddpm_space.images import to_uint8
from ddpm_space.mean_routes import compare_means
from ddpm_space.notes.reverse import beta_tilde, posterior_coefficients
from ddpm_space.sampling import SamplingSettings, sample
from ddpm_space.ui.launch import start
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.visitor_models import SWITCH

pytestmark = pytest.mark.proof

LANGUAGES = ("zh", "en")
FIRST_PIXELS = "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, 8, 8).data).filter((_, i) => i % 4 === 0)"


def exactly(page, selector: str) -> float:
    return float(page.locator(selector).get_attribute("data-exact") or "nan")


def run(page, panel: str, key: str, lang: str) -> None:
    press(page, key, lang)
    await_phase(page, panel)


@pytest.mark.row("N8", "sampling")
@pytest.mark.row("N7", "posterior")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_link_restores_the_settings_and_the_run_is_the_library_s(open_page: Callable, live_app: str, tiny_pipeline: Path, lang: str) -> None:
    watched = open_page(lang)
    page, watched.leaves = watched.page, True
    settings = "sampling.images=3&sampling.steps=8&sampling.variance=fixed_large&sampling.spacing=linspace&sampling.clip=0&sampling.seed=11"
    page.goto(f"{live_app}?lang={lang}&tab=sampling&{settings}")
    page.wait_for_selector("[data-panel=model][data-state=drawn]")
    run(page, "film", "sampling.run", lang)
    check_language(page, lang)
    model = models.load(tiny_pipeline)
    frames = list(sample(model.denoiser, model.shape, SamplingSettings(3, 8, "linspace", "fixed_large", False, 11, 50)))
    shown = page.locator("[data-panel=film] .sheet.role-xt canvas").evaluate(FIRST_PIXELS)
    assert shown == to_uint8(frames[-1].x_prev[0]).ravel().tolist()
    set_range(page.locator("[data-panel=film] .scrub"), 2)
    step = page.locator("[data-panel=step] [data-coefficients]")
    eventually(lambda: json.loads(step.get_attribute("data-coefficients") or "{}").get("t") == frames[2].t)
    opened = json.loads(step.get_attribute("data-coefficients"))
    a, b = posterior_coefficients(model.denoiser.schedule.alpha_bar_at(frames[2].t), model.denoiser.schedule.alpha_bar_at(frames[2].s))
    assert (opened["a"], opened["b"]) == pytest.approx((float(a), float(b)), rel=1e-12)
    page.locator("[data-panel=step] .cards summary").first.click()
    tilde = float(beta_tilde(model.denoiser.schedule.alpha_bar_at(frames[2].t), model.denoiser.schedule.alpha_bar_at(frames[2].s)))
    filled = page.locator("[data-panel=step] [data-equation='N7.beta_tilde'] .filled")
    eventually(lambda: f"= {tilde:.4}"[:7] in (filled.get_attribute("data-tex") or ""), lambda: str(filled.get_attribute("data-tex")))
    for kind, name in (("png", "ddpm_8_steps.png"), ("gif", "ddpm_8_steps.gif")):
        with page.expect_download() as caught:
            page.locator(f"[data-kind={kind}]").click()
        assert caught.value.suggested_filename == name
    set_range(page.locator("[data-control='sampling.steps'] input"), 9)
    page.wait_for_function("() => new URLSearchParams(location.search).get('sampling.steps') === '9'")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_two_visitors_have_two_trajectories(open_page: Callable, lang: str) -> None:
    one, other = open_page(lang).page, open_page(lang).page
    for page, steps in ((one, 6), (other, 9)):
        open_tab(page, "sampling", lang)
        set_range(page.locator("[data-control='sampling.steps'] input"), steps)
        run(page, "film", "sampling.run", lang)
    for page, steps in ((one, 6), (other, 9)):
        with page.expect_download() as caught:
            page.locator("[data-kind=png]").click()
        assert caught.value.suggested_filename == f"ddpm_{steps}_steps.png"


@pytest.mark.row("N8", "means")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_two_means_are_measured_as_the_library_does(open_page: Callable, tiny_pipeline: Path, lang: str) -> None:
    page = open_page(lang, 390).page
    open_tab(page, "sampling", lang)
    model = models.load(tiny_pipeline)
    for images in (2, 5):
        set_range(page.locator("[data-control='clipping.images'] input"), images)
        page.locator("[data-control='clipping.steps'] [data-word='50']").click()
        run(page, "lab-clipping", "clipping.run", lang)
        *_, last = compare_means(model.denoiser, model.shape, SamplingSettings(images, 50, "trailing", "fixed_small", True, 0, 50))
        apart = float((last.x_prev["clipped"] - last.x_prev["eq11"]).abs().max())
        assert exactly(page, "[data-panel=lab-clipping] [data-quantity=apart_max]") == pytest.approx(apart, rel=1e-6)
        assert exactly(page, "[data-panel=lab-clipping] [data-quantity=rounding]") < 1e-6 * apart
    check_language(page, lang)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("lang", LANGUAGES)
def test_rows_of_one_noise_are_the_library_s(open_page: Callable, tiny_pipeline: Path, lang: str) -> None:
    page = open_page(lang).page
    open_tab(page, "sampling", lang)
    model = models.load(tiny_pipeline)
    for shared in ("path", "start"):
        page.locator(f"[data-control='step_counts.shared'] [data-word={shared}]").click()
        run(page, "lab-step_counts", "step_counts.run", lang)
        options = {"num_images": 4, "seed": 0, "clip": True, "coupled": shared == "path"}
        chains = [list(coupled_sample(model.denoiser, model.shape, steps, **options))[-1].x_prev for steps in (10, 50)]
        apart = float((chains[0] - chains[1]).double().square().mean().sqrt())
        assert exactly(page, "[data-quantity=rms_10]") == pytest.approx(apart, rel=1e-5)
        assert exactly(page, "[data-quantity=rms_50]") == 0
        assert page.locator("[data-panel=lab-step_counts] .count-row").count() == 2
    assert "250" in page.locator("[data-panel=lab-step_counts] .warning").inner_text(), "the tiny model has T = 50"
    for steps in (10, 50):
        page.locator(f"[data-control='step_counts.s{steps}'] input").uncheck()
    press(page, "step_counts.run", lang)
    sentence = text("error.steps.none", lang).format(highest=50)
    notice = page.locator("[data-panel=lab-step_counts] .error-note").first
    eventually(lambda: notice.inner_text() == sentence, notice.inner_text)
    check_language(page, lang)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_samplers_stand_side_by_side(open_page: Callable, lang: str) -> None:
    page = open_page(lang, 390).page
    open_tab(page, "sampling", lang)
    page.locator("[data-control='samplers.analytic'] input").check()
    page.locator("[data-control='samplers.steps'] [data-word='10']").click()
    run(page, "lab-samplers", "samplers.run", lang)
    rows = page.locator("[data-panel=lab-samplers] .count-row")
    found = [(row.get_attribute("data-sampler"), row.get_attribute("data-steps")) for row in rows.all()]
    assert found == [("ddpm", "10"), ("sde", "10"), ("ddim", "10"), ("dpm", "10")]
    for name in ("ddpm", "sde", "ddim", "dpm"):
        assert exactly(page, f"[data-quantity=calls_{name}_10]") == 10
    assert page.locator("[data-panel=lab-samplers] .warning").inner_text() == text("samplers.left_out.analytic", lang), "the tiny model has no table"
    for name in ("ddpm", "analytic", "sde", "ddim", "dpm"):
        page.locator(f"[data-control='samplers.{name}'] input").uncheck()
    press(page, "samplers.run", lang)
    notice = page.locator("[data-panel=lab-samplers] .error-note").first
    eventually(lambda: notice.inner_text() == text("error.samplers.none", lang), notice.inner_text)
    check_language(page, lang)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer() as server:
        server.become_default(monkeypatch, "write")
        yield server


def name_model(page, name: str) -> None:
    page.locator("#model-list").select_option("hub")
    page.locator("#model-name").fill(name)
    page.locator("[data-load]").click()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_visitor_names_a_model(open_page: Callable, live_app: str, hub: HubServer, new_pipeline: Callable, lang: str) -> None:
    folder = new_pipeline(seed=7, prediction_type="v_prediction")
    hub.add("alice/digits", folder)
    hub.add("alice/secret", folder, private=True)
    watched = open_page(lang)
    page, watched.leaves = watched.page, True
    open_tab(page, "sampling", lang)
    page.wait_for_selector("[data-panel=model][data-state=drawn]")
    name_model(page, "alice/secret")
    notice = page.locator("[data-panel=model] .error-note").first
    sentence = text("error.visitor.missing", lang).format(source="alice/secret")
    eventually(lambda: notice.inner_text() == sentence, notice.inner_text)
    assert "model=" not in page.url
    name_model(page, "alice/digits")
    page.wait_for_selector("[data-panel=model] [data-model='alice/digits']")
    notice.wait_for(state="hidden")
    set_range(page.locator("[data-control='sampling.steps'] input"), 7)
    run(page, "film", "sampling.run", lang)
    model = models.load(folder)
    *_, last = sample(model.denoiser, model.shape, SamplingSettings(16, 7, "trailing", "fixed_small", True, 0, 50))
    assert page.locator("[data-panel=film] .sheet.role-xt canvas").evaluate(FIRST_PIXELS) == to_uint8(last.x_prev[0]).ravel().tolist()
    assert all("authorization" not in request.headers for request in hub.requests)
    check_language(page, lang)
    page.wait_for_function("() => new URLSearchParams(location.search).get('model') === 'alice/digits'")
    page.goto(page.url)
    page.wait_for_selector("[data-panel=model] [data-model='alice/digits']")
    page.goto(f"{live_app}?lang={lang}&tab=sampling&model=alice/nothing")
    failure = page.locator("[data-panel=model] .model-choice .error-note")
    sentence = text("error.visitor.missing", lang).format(source="alice/nothing")
    eventually(lambda: failure.is_visible() and failure.inner_text() == sentence)
    page.wait_for_selector("[data-panel=model] [data-model=tiny]")
    run(page, "film", "sampling.run", lang)


def test_an_owner_switches_it_off(open_page: Callable, tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "off")
    app = start(ModelSlot(str(tiny_pipeline)), quiet=True)
    try:
        page = open_page("zh", address=app.local_url).page
        open_tab(page, "sampling", "zh")
        page.wait_for_selector("[data-panel=model][data-state=drawn]")
        assert page.locator("#model-list option[value=hub]").count() == 0
        assert text("models.off", "zh") in page.locator("[data-panel=model]").inner_text()
        for name in models.BUNDLED:
            page.locator("#model-list").select_option(label=text(f"models.bundled.{name}", "zh"))
            page.wait_for_selector(f"[data-panel=model] [data-model='bundled:{name}']")
    finally:
        app.close()
