"""Row N8 on the loss tab: the X-ray of ten digits beside its floor, and a picture as a lossy code, against the library; a picture of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from walk import await_phase, check_language, eventually, open_tab, press, set_range

from ddpm_space import loss, models
from ddpm_space.bound import full_bound
from ddpm_space.images import load_image, quantize
from ddpm_space.ui.example_files import example_path
from ddpm_space.ui.worlds import digit_pictures, perfect_denoiser, ten_digits

pytestmark = pytest.mark.proof

BOUND, LOSSY = "[data-panel=lab-bound]", "[data-panel=lab-lossy]"


def choose(page, control: str, word: str) -> None:
    page.locator(f"[data-control='{control}'] [data-word='{word}']").click()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_perfect_network_of_ten_digits_meets_its_floor(open_page: Callable, tiny_pipeline: Path, lang: str) -> None:
    page = open_page(lang).page
    model = models.load(tiny_pipeline)
    open_tab(page, "loss", lang)
    for control, word in (("bound.pictures", "digits"), ("bound.network", "perfect"), ("bound.draws", "8"), ("bound.variance", "fixed_small")):
        choose(page, control, word)
    press(page, "bound.run", lang)
    await_phase(page, "lab-bound")
    perfect = perfect_denoiser(ten_digits(1, 8), model.denoiser.schedule)
    *_, last = loss.bound_terms(perfect, digit_pictures(1, 8), draws=8, variance="fixed_small")
    assert float(page.locator(f"{BOUND} .verdict").get_attribute("data-exact")) == pytest.approx(last.running.mean, rel=1e-6)
    note = page.locator(f"{BOUND} [data-quantity=excess]")
    excess, error = (float(note.get_attribute(f"data-{name}")) for name in ("exact", "se"))
    assert abs(excess) < 4 * error
    shares = [float(cell.get_attribute("data-exact")) for cell in page.locator(f"{BOUND} tr[data-stretch]").all()]
    assert sum(shares) == pytest.approx(last.running.mean, rel=1e-9)
    choose(page, "bound.network", "model")
    press(page, "bound.run", lang)
    await_phase(page, "lab-bound")
    eventually(lambda: float(note.get_attribute("data-exact")) > 10 * float(note.get_attribute("data-se")))
    check_language(page, lang)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_picture_s_rate_and_distortion_are_the_library_s(open_page: Callable, tiny_pipeline: Path, lang: str) -> None:
    page = open_page(lang).page
    open_tab(page, "loss", lang)
    page.locator(f"{LOSSY} [data-example=digit_8]").click()
    press(page, "lossy.run", lang)
    await_phase(page, "lab-lossy")
    denoiser = models.load(tiny_pipeline).denoiser
    copies = quantize(load_image(example_path("digit_8"), size=8)).repeat(4, 1, 1, 1)
    points = {point.t: point for point in full_bound(denoiser, copies, variance="fixed_large").rate_distortion()}
    verdict = page.locator(f"{LOSSY} .verdict")
    seen = set()
    for place in (0, 40, 100):
        set_range(page.locator("[data-control='lossy.place'] input"), place)
        page.wait_for_timeout(200)
        t, rate, rmse = (float(verdict.get_attribute(f"data-{name}")) for name in ("t", "rate", "rmse"))
        assert (rate, rmse) == pytest.approx((points[int(t)].rate, points[int(t)].rmse), rel=1e-6)
        seen.add(t)
    assert len(seen) == 3 and {0.0, 49.0} <= seen
    check_language(page, lang)


def test_a_picture_of_one_s_own_is_measured_as_the_library_reads_it(open_page: Callable, tiny_pipeline: Path, tmp_path: Path) -> None:
    page = open_page().page
    own = tmp_path / "own.png"
    Image.linear_gradient("L").resize((40, 40)).save(own)
    open_tab(page, "loss", "en")
    page.locator("[data-panel=lab-errors] input[type=file]").set_input_files(own)
    page.locator("[data-panel=lab-errors] .own-picture").wait_for()
    page.locator("[data-control='errors.timesteps'] input").fill("20")
    press(page, "errors.run", "en")
    await_phase(page, "lab-errors")
    [expected] = loss.eps_errors(models.load(tiny_pipeline).denoiser, load_image(own, size=8), [20], draws=16)
    shown = page.locator("[data-panel=lab-errors] .error-card[data-t='20'] [data-mse]").get_attribute("data-mse")
    assert float(shown) == pytest.approx(expected.mse, rel=1e-6)
    assert page.locator("[data-panel=lab-errors] .seen .warning").is_visible()
    note = tmp_path / "note.png"
    note.write_text("not a picture")
    page.locator("[data-panel=lab-errors] input[type=file]").set_input_files(note)
    eventually(lambda: "note.png" in page.locator("[data-panel=lab-errors] .picture-source .error-note").inner_text())
