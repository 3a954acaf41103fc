"""Take the pictures of the page that the README shows, with the app as it is now.

    PYTHONPATH=. python tests/browser/screenshots.py --out docs [--model PATH] [--all]

--all takes every tab in both languages, light and dark, on a desk and on a phone, to be looked at.
"""

from __future__ import annotations

import argparse
import io
import shutil
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from conftest import FLAGS, NAMES, PATIENCE
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from walk import await_phase, meet, move_t, open_tab, press, set_range, unfold

from ddpm_space.ui.launch import DEFAULT_MODEL, start
from ddpm_space.ui.model import ModelSlot

WIDTHS = {"desktop": 1280, "phone": 390}
COLOURS = 192
"""Enough for black, white, grays and the few colours of the roles; keeps a picture full of noise small."""


@dataclass(frozen=True)
class Shot:
    """One picture: which tab, in which language, how wide, light or dark."""

    tab: str
    lang: str
    size: str
    scheme: str = "light"

    @property
    def name(self) -> str:
        """The file's name; light goes without saying."""
        return "_".join([self.tab, self.lang, self.size, *(["dark"] if self.scheme == "dark" else [])]) + ".png"


README = [
    *(Shot(tab, lang, "desktop") for tab in ("noising", "sampling", "loss") for lang in ("en", "zh")),
    Shot("noising", "zh", "phone", "dark"),
    Shot("sampling", "en", "phone", "dark"),
]
TALL = {"desktop": 1500, "phone": 1900}
"""What of a page the README shows, in pixels from its top."""


def take(browser: Browser, address: str, shot: Shot, whole: bool) -> Image.Image:
    """Open the page, run what the tab has, and photograph its upper part, or all of it."""
    context = browser.new_context(viewport={"width": WIDTHS[shot.size], "height": 900}, color_scheme=shot.scheme, locale=shot.lang)
    page = context.new_page()
    page.set_default_timeout(2 * PATIENCE)
    page.goto(f"{address}?lang={shot.lang}")
    page.wait_for_selector("[data-lab=noising][data-state=drawn]")
    {"noising": noising, "sampling": sampling, "loss": loss}[shot.tab](page, shot.lang)
    page.mouse.move(0, 0)
    if whole:
        meet(page)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(1500)
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    context.close()
    if not whole:
        picture = picture.crop((0, 0, picture.width, min(picture.height, TALL[shot.size])))
    return picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)


def noising(page: Page, lang: str) -> None:
    """Choose another digit and t, and measure both routes there."""
    page.locator('[data-example="digit_5"]').first.click()
    move_t(page, 200)
    unfold(page)
    press(page, "routes.measure", lang)
    page.locator("[data-panel=lab-routes]", has_text="t = 200").wait_for()


def sampling(page: Page, lang: str) -> None:
    """Generate, then go back to the middle and open a step."""
    open_tab(page, "sampling", lang)
    press(page, "sampling.run", lang)
    await_phase(page, "film")
    set_range(page.locator("[data-panel=film] .scrub"), 30)
    page.locator("[data-panel=step]", has_text="t = ").wait_for()


def loss(page: Page, lang: str) -> None:
    """Walk to Jensen's line, measure the error and the bound of one picture, and send it as a lossy code."""
    open_tab(page, "loss", lang)
    press(page, "derivation.run", lang)
    await_phase(page, "lab-derivation")
    page.locator("[data-chip=jensen]").click()
    press(page, "errors.run", lang)
    await_phase(page, "lab-errors")
    press(page, "bound.run", lang)
    await_phase(page, "lab-bound")
    press(page, "lossy.run", lang)
    await_phase(page, "lab-lossy")


def main() -> None:
    """Start the app and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    shots = [Shot(*each) for each in product(("noising", "sampling", "loss"), ("zh", "en"), WIDTHS, ("light", "dark"))] if options.all else README
    options.out.mkdir(parents=True, exist_ok=True)
    app = start(ModelSlot(options.model), quiet=True)
    executable = next((path for path in map(shutil.which, NAMES) if path), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        for shot in shots:
            path = options.out / shot.name
            take(browser, app.local_url, shot, options.all).save(path, optimize=True)
            print(f"{path}  {path.stat().st_size // 1000} kB")
        browser.close()
    app.close()


if __name__ == "__main__":
    main()
