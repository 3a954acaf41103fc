"""The three tabs in headless Chromium, in both languages, on a phone and on a desk: every figure on the page against the library."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from walk import await_phase, exact, move_t, open_tab, press, set_range, text

from ddpm_space import loss, models, noising
from ddpm_space.denoiser import Denoiser
from ddpm_space.images import load_image, to_uint8
from ddpm_space.notes.reverse import posterior_coefficients
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.examples import example_path
from ddpm_space.ui.launch import start
from ddpm_space.ui.model import ModelSlot

LANGUAGES = ("zh", "en")
WIDTHS = (390, 1280)
HAN = re.compile(r"[\u3400-\u9fff]")
SENTENCE = re.compile(r"[A-Za-z][a-z]+(?: [A-Za-z]+){2,}")
PIXELS = "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).filter((_, i) => i % 4 === 0)"
WORDS = """() => {
    const copy = document.body.cloneNode(true);
    copy.querySelectorAll(".katex, script, style, .language, noscript").forEach((part) => part.remove());
    document.body.append(copy);
    const shown = copy.innerText;
    copy.remove();
    const labels = [...document.querySelectorAll(".ddpm [aria-label]:not(.language)")].map((part) => part.getAttribute("aria-label"));
    return [shown, ...labels, document.title].join("\\n");
}"""


def check_language(page, lang: str) -> None:
    words = page.evaluate(WORDS)
    if lang == "en":
        assert not HAN.search(words), re.findall(r".*[\u3400-\u9fff].*", words)
    else:
        assert HAN.search(words)
        assert not SENTENCE.search(words), SENTENCE.findall(words)
    assert "__i18n__" not in words and not re.search(r"\{[a-z]+\}", words)


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
    await_phase(page, "errors")
    press(page, "bound.run", lang)
    await_phase(page, "bound")
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
        shown = np.array(page.locator("[data-panel=noising] .role-xt canvas").evaluate(PIXELS))
        assert np.abs(shown - expected.astype(int)).max() <= 1
    formula = page.locator("[data-panel=numbers] .formula-block").get_attribute("data-tex")
    assert f"{math.sqrt(chain.alpha_bar[999]):.4g}"[:4] in formula


def test_picture_schedule_and_length_change_what_is_shown(open_page: Callable) -> None:
    page = open_page().page
    page.locator('[data-example="digit_8"]').first.click()
    expected = to_uint8(load_image(example_path("digit_8"), size=28))[0].ravel()
    page.wait_for_function("() => document.querySelector('[data-panel=picker] [data-example=digit_8]').ariaChecked === 'true'")
    eventually(lambda: np.array_equal(page.locator("[data-panel=noising] .role-x0 canvas").evaluate(PIXELS), expected))
    page.get_by_label(text("noising.schedule", "en")).click()
    page.get_by_role("option", name=text("schedule.cosine", "en")).click()
    eventually(lambda: exact(page, "alpha_bar") == float(NoiseSchedule.cosine().alpha_bar[250]))
    page.get_by_role("radio", name="50", exact=True).check()
    eventually(lambda: exact(page, "alpha_bar") == float(NoiseSchedule.cosine(50).alpha_bar[49]))


def test_too_few_steps_for_the_beta_range_are_called_out(open_page: Callable) -> None:
    page = open_page().page
    assert page.locator("[data-panel=path] .warning").is_hidden()
    page.get_by_role("radio", name="50", exact=True).check()
    page.locator("[data-panel=path] .warning").wait_for()
    assert f"{float(NoiseSchedule.linear(50).alpha_bar[-1]):.3g}" in page.locator("[data-panel=path] .warning").inner_text()


def test_both_routes_are_measured_again(open_page: Callable) -> None:
    page = open_page().page
    move_t(page, 40)
    press(page, "routes.measure", "en")
    page.locator("[data-panel=routes]", has_text="At t = 40").wait_for()
    expected = noising.compare_routes(load_image(example_path("digit_3"), size=28), NoiseSchedule.linear(), 40, draws=64, seed=0)
    assert float(page.locator("[data-coupled]").get_attribute("data-coupled")) == expected.coupled_error
    assert f"{expected.variance.theory:.4g}" in page.locator("[data-panel=routes] table").inner_text()


def test_the_keyboard_moves_t_and_chooses_pictures(open_page: Callable) -> None:
    page = open_page().page
    page.locator('#noise-t input[type="range"]').focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector('[data-quantity="t"][data-exact="251"]')
    page.locator("[data-panel=picker] [aria-checked=true]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector('[data-panel=picker] [data-example="digit_4"][aria-checked="true"]')


def test_playing_runs_t_to_the_end(open_page: Callable) -> None:
    page = open_page().page
    move_t(page, 900)
    press(page, "noising.play", "en")
    page.wait_for_selector('[data-quantity="t"][data-exact="999"]')
    eventually(lambda: page.locator('#noise-t input[type="range"]').input_value() == "999")


def test_an_opened_step_shows_the_posterior_s_coefficients(open_page: Callable, tiny_pipeline: Path) -> None:
    page = open_page().page
    open_tab(page, "sampling", "en")
    page.get_by_label(f"number input for {text('sampling.images', 'en')}").fill("4")
    page.get_by_label(f"number input for {text('sampling.steps', 'en')}", exact=True).fill("10")
    page.keyboard.press("Tab")
    press(page, "sampling.run", "en")
    await_phase(page, "film")
    set_range(page.locator(".scrub"), 3)
    page.locator("[data-panel=film] canvas").first.click(position={"x": 5, "y": 5})
    schedule = models.load(tiny_pipeline).denoiser.schedule
    eventually(lambda: opened(page)["t"] == 34, lambda: str(opened(page)))
    shown = opened(page)
    a, b = posterior_coefficients(schedule.alpha_bar[shown["t"]], schedule.alpha_bar[shown["s"]])
    assert (shown["a"], shown["b"]) == pytest.approx((float(a), float(b)), rel=1e-12)
    assert float(page.locator("[data-residual]").get_attribute("data-residual")) < 1e-5


def opened(page) -> dict:
    return json.loads(page.locator("[data-panel=step] .formula-block").get_attribute("data-coefficients") or "{}")


def test_the_loss_is_the_library_s(open_page: Callable, tiny_pipeline: Path) -> None:
    page = open_page().page
    model, x_0 = models.load(tiny_pipeline), load_image(example_path("digit_3"), size=8)
    open_tab(page, "loss", "en")
    page.get_by_label(text("errors.timesteps", "en")).fill("7, 31")
    press(page, "errors.run", "en")
    await_phase(page, "errors")
    expected = loss.eps_errors(model.denoiser, x_0, [7, 31], draws=16, seed=0)
    for row in expected:
        assert float(page.locator(f'.error-card[data-t="{row.t}"] [data-mse]').get_attribute("data-mse")) == pytest.approx(row.mse, rel=1e-6)
    simple = loss.simple_loss(model.denoiser, x_0, draws=128, seed=0)
    assert float(page.locator("[data-panel=errors] .verdict").get_attribute("data-exact")) == pytest.approx(simple.mean, rel=1e-6)
    press(page, "bound.run", "en")
    await_phase(page, "bound")
    *_, last = loss.bound_terms(model.denoiser, x_0, draws=2, variance="fixed_large")
    assert float(page.locator("[data-panel=bound] .verdict").get_attribute("data-exact")) == pytest.approx(last.running.mean, rel=1e-6)
    for kind, part in last.parts.items():
        assert float(page.locator(f'[data-part="{kind}"]').get_attribute("data-exact")) == pytest.approx(part.mean, rel=1e-6)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_bad_input_is_one_sentence_in_the_visitor_s_language(open_page: Callable, tmp_path: Path, lang: str) -> None:
    page = open_page(lang).page
    note, huge, fine = tmp_path / "note.png", tmp_path / "huge.png", tmp_path / "fine.jpg"
    note.write_text("not a picture")
    Image.new("1", (20_000, 20_000)).save(huge)
    Image.new("CMYK", (90, 60), (10, 200, 30, 0)).save(fine)
    notice = page.locator("[data-panel=noising] .error-note")
    for path, key, values in (
        (note, "not_an_image", {"name": "note.png"}),
        (huge, "too_many_pixels", {"pixels": 400_000_000, "max_pixels": 8_000_000}),
    ):
        page.locator("input[type=file]").first.set_input_files(path)
        sentence = text(f"error.image.{key}", lang).format(**values)
        eventually(lambda sentence=sentence: notice.inner_text() == sentence, notice.inner_text)
    page.locator("input[type=file]").first.set_input_files(fine)
    notice.wait_for(state="hidden")
    heavy = tmp_path / "heavy.png"
    heavy.write_bytes(bytes(21_500_000))
    page.locator("input[type=file]").first.set_input_files(heavy)
    sentence = text("error.file_size", lang).format(name="heavy.png", megabytes=22, limit=20)
    eventually(lambda: page.locator("[data-panel=picker] .error-note").first.inner_text() == sentence)
    seed = page.get_by_label(text("noising.seed", lang))
    seed.fill("-3")
    seed.press("Tab")
    notice.wait_for()
    assert "-3" in notice.inner_text()
    open_tab(page, "loss", lang)
    page.get_by_label(text("errors.timesteps", lang)).fill("5, 50")
    press(page, "errors.run", lang)
    sentence = text("error.form.timesteps", lang).format(value="5, 50", highest=49)
    eventually(lambda: page.locator("[data-panel=errors] .error-note").inner_text() == sentence)
    assert page.locator(".toast-body").count() == 0


def test_the_language_follows_the_browser_and_the_switch_is_kept(open_page: Callable) -> None:
    watched = open_page(None, locale="zh-HK")
    page = watched.page
    check_language(page, "zh")
    watched.leaves = True
    page.get_by_role("button", name="English").click()
    page.locator("h1", has_text=text("header.title", "en")).wait_for()
    assert page.evaluate("document.documentElement.lang") == "en"
    page.goto(page.url.split("?")[0])
    page.locator("h1", has_text=text("header.title", "en")).wait_for()
    assert open_page(None, locale="fr-FR").page.locator("h1").inner_text() == text("header.title", "en")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_on_their_ground(open_page: Callable, scheme: str) -> None:
    page = open_page(color_scheme=scheme).page
    selectors = "h1, .lead, .tile-words, .note, .numbers dt, .coefficient, .legend-value, [role=tab], .frame span, table.data th, .field-label"
    for selector in selectors.split(", "):
        assert page.locator(selector).locator("visible=true").first.evaluate(CONTRAST) >= 4.5, selector


CONTRAST = """element => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const read = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return canvas.getImageData(0, 0, 1, 1).data;
    };
    const light = ([r, g, b]) => [r, g, b].map((x) => (x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4))
        .reduce((sum, x, index) => sum + x * [0.2126, 0.7152, 0.0722][index], 0);
    let ground = element;
    while (ground && read(getComputedStyle(ground).backgroundColor)[3] < 255) ground = ground.parentElement;
    const [one, other] = [light(read(getComputedStyle(element).color)), light(read(getComputedStyle(ground).backgroundColor))];
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}"""


@pytest.fixture(scope="module")
def slow_app(tiny_pipeline: Path) -> Iterator[tuple[str, list[float]]]:
    """The app with a network that takes a fifth of a second a call, a second for a large batch, and the times of its calls."""
    calls: list[float] = []
    loaded = models.load(tiny_pipeline)

    def slow(x_t, t):
        time.sleep(0.2 if len(x_t) < 64 else 1)
        calls.append(time.monotonic())
        return loaded.denoiser.network(x_t, t)

    class Slow(ModelSlot):
        def get(self):
            return replace(loaded, denoiser=Denoiser(slow, loaded.denoiser.prediction_type, loaded.denoiser.schedule))

    app = start(Slow("slow"), quiet=True)
    yield app.local_url, calls
    app.close()


def test_stop_stops_at_once_and_the_steps_so_far_stay(open_page: Callable, slow_app: tuple) -> None:
    address, calls = slow_app
    page = open_page(address=address).page
    open_tab(page, "sampling", "en")
    press(page, "sampling.run", "en")
    await_phase(page, "film", "running")
    page.wait_for_timeout(400)
    press(page, "sampling.stop", "en")
    await_phase(page, "film", "stopped")
    page.wait_for_timeout(300)
    done = len(calls)
    page.wait_for_timeout(500)
    assert len(calls) == done < 40, "the network still works after the stop"
    page.wait_for_selector("[data-panel=step][data-state=drawn]")
    open_tab(page, "loss", "en")
    page.get_by_role("radio", name="8", exact=True).check()
    press(page, "bound.run", "en")
    await_phase(page, "bound", "running")
    page.get_by_role("button", name=text("loss.stop", "en"), exact=True).locator("visible=true").last.click()
    await_phase(page, "bound", "stopped")


def test_without_a_model_the_page_says_so_and_noising_works(open_page: Callable, tmp_path: Path) -> None:
    app = start(ModelSlot(str(tmp_path / "nothing")), quiet=True)
    try:
        page = open_page("zh", address=app.local_url).page
        move_t(page, 500)
        open_tab(page, "sampling", "zh")
        sentence = text("error.model.not_found", "zh").format(source=tmp_path / "nothing")
        eventually(lambda: sentence in page.locator("[data-panel=model]").inner_text())
        press(page, "sampling.run", "zh")
        eventually(lambda: sentence in page.locator("[data-panel=film]").inner_text())
    finally:
        app.close()


def eventually(holds: Callable[[], bool], shown: Callable[[], str] = str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, shown()
        time.sleep(0.05)
