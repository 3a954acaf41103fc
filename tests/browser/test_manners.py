"""How the page behaves when something is wrong, stopped, missing or foreign: bad input, no model, a stop, a language, the dark."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from walk import await_phase, check_language, eventually, move_t, open_tab, press, text

from ddpm_space import models
from ddpm_space.denoiser import Denoiser
from ddpm_space.ui.launch import start
from ddpm_space.ui.model import ModelSlot

LANGUAGES = ("zh", "en")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_bad_input_is_one_sentence_in_the_visitor_s_language(open_page: Callable, tmp_path: Path, lang: str) -> None:
    page = open_page(lang).page
    note, huge, fine = tmp_path / "note.png", tmp_path / "huge.png", tmp_path / "fine.jpg"
    note.write_text("not a picture")
    Image.new("1", (20_000, 20_000)).save(huge)
    Image.new("CMYK", (90, 60), (10, 200, 30, 0)).save(fine)
    notice = page.locator("[data-panel=lab-noising] .picture-source .error-note")
    for path, key, values in (
        (note, "not_an_image", {"name": "note.png"}),
        (huge, "too_many_pixels", {"pixels": 400_000_000, "max_pixels": 50_000_000}),
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
    eventually(lambda: notice.inner_text() == sentence)
    notice = page.locator("[data-panel=lab-noising] .panel-body > .error-note")
    seed = page.get_by_label(text("noising.seed", lang))
    seed.fill("-3")
    seed.press("Tab")
    notice.wait_for()
    assert "-3" in notice.inner_text()
    open_tab(page, "loss", lang)
    page.get_by_label(text("errors.timesteps", lang)).fill("5, 50")
    press(page, "errors.run", lang)
    sentence = text("error.form.timesteps", lang).format(value="5, 50", highest=49)
    eventually(lambda: page.locator("[data-panel=lab-errors] .error-note").first.inner_text() == sentence)
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


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_a_server_says_is_shown_as_it_is_and_called_a_detail(open_page: Callable, language: str) -> None:
    page = open_page(language).page
    detail = r"costs $\href{javascript:alert(1)}{x}$"
    reason = {"key": "reason.unknown", "values": {}, "detail": detail}
    shown = page.evaluate(NOTE, {"key": "error.model.old_copy", "values": {"repo": "a/b", "reason": reason, "commit": "0"}})
    sentence = text("error.model.old_copy", language).format(repo="a/b", reason=text("reason.unknown", language), commit="0")
    assert shown == {"text": sentence + text("error.detail", language) + detail, "detail": detail, "links": 0}


NOTE = """async (note) => {
    const { describeModel } = await import("/ddpm/heading.js");
    const root = document.createElement("div");
    describeModel(root)({ schedule: "linear", num_parameters: 1, prediction_type: "epsilon", note });
    await new Promise((resolve) => setTimeout(resolve, 500));
    const shown = root.querySelector(".note");
    return { text: shown.textContent, detail: shown.querySelector(".error-detail code").textContent, links: root.querySelectorAll("a").length };
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_on_their_ground(open_page: Callable, scheme: str) -> None:
    page = open_page(color_scheme=scheme).page
    page.locator("[data-panel=lab-routes]").scroll_into_view_if_needed()  # where it asks for its table
    selectors = "h1, .lead, .tile-words, .note, .numbers dt, .coefficient, .legend-value, [role=tab], .frame span, table.data th, .field-label"
    for selector in selectors.split(", "):
        words = page.locator(selector).locator("visible=true").first
        # Not at once: a chart that is drawn anew takes the words that were found out of the page, and nothing has a colour there.
        eventually(lambda words=words: words.evaluate(CONTRAST) >= 4.5, lambda selector=selector: selector, seconds=10)


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
    page.locator("[data-control='bound.draws'] [data-word='8']").click()
    press(page, "bound.run", "en")
    await_phase(page, "lab-bound", "running")
    page.locator("[data-panel=lab-bound] [data-halt]").click()
    await_phase(page, "lab-bound", "stopped")


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
