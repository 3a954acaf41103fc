"""Every tab with every lab drawn and everything run once: what axe-core says of it, and whether it fits the screen, at four widths."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from walk import WIDTHS, complaints, draw_all, meet, unfold

pytestmark = pytest.mark.proof

# What is wider than the screen and cannot be scrolled to; what does not fit its own button or label; what is too small for a finger.
MISFITS = """() => {
    const shown = (one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest(".visually-hidden, .katex");
    const ours = (what) => [...document.querySelectorAll(what.split(", ").map((one) => `.ddpm ${one}`).join(", "))].filter(shown);
    const named = (kind) => (one) => `${kind}: ${one.closest("[data-panel]")?.dataset.panel} ${one.outerHTML.slice(0, 120)}`;
    const frame = (one) => one.matches(".gradio-container, body, html");
    const held = (one) => one && (getComputedStyle(one).overflowX === "visible" ? held(one.parentElement) : !frame(one));
    const outside = ours("*").filter((one) => {
        const box = one.getBoundingClientRect();
        return box.width && (box.right > innerWidth + 1 || box.left < -1) && !held(one.parentElement);
    });
    const wordy = ours("button, label, summary, dt, dd, h2, h3, .reading, figcaption").filter((one) => !one.querySelector(".katex"));
    const clipped = wordy.filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth);
    const target = (one) => (one.matches("input[type=checkbox]") ? one.closest("label") : one).getBoundingClientRect();
    const small = ours("button, summary, select, input, a").filter((one) => Math.min(target(one).width, target(one).height) < 24);
    return [...outside.map(named("outside")), ...clipped.map(named("clipped")), ...small.map(named("small"))];
}"""


@pytest.mark.parametrize(("lang", "scheme"), [("en", "light"), ("zh", "dark")])
def test_everything_drawn_fits_and_is_accessible(open_page: Callable, lang: str, scheme: str) -> None:
    page = open_page(lang, color_scheme=scheme).page
    found = []
    for name in ("noising", "sampling", "loss"):
        page.set_viewport_size({"width": 1280, "height": 900})
        draw_all(page, name, lang)
        page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        meet(page)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            unfold(page)
            page.wait_for_timeout(800)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            found += [f"{name} {width} {misfit}" for misfit in page.evaluate(MISFITS)]
            if width in (390, 1280):
                found += [f"{name} {width} {complaint}" for complaint in complaints(page, colours=width == 1280)]
    assert found == [], "\n".join(found)
