"""axe-core over every tab, in light and dark, on a desk and on a phone, fresh and drawn: nothing serious beyond what Gradio brings along."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from walk import draw_all, meet, open_tab, unfold

pytestmark = pytest.mark.proof

GRADIOS_OWN = {
    # rule: the part of Gradio's page that breaks it
    "label-content-name-mismatch": ".gradio-container",
    "image-redundant-alt": "footer",
}
SERIOUS = ("serious", "critical")
ALSO = ("heading-order",)
"""Rules that axe calls moderate and this page keeps all the same."""


def complaints(page) -> list[str]:
    """Every violation that counts and is not Gradio's own, with the place."""
    found = []
    for violation in Axe().run(page, options={"preload": False}).response["violations"]:
        if violation["impact"] not in SERIOUS and violation["id"] not in ALSO:
            continue
        for place in violation["nodes"]:
            selector = place["target"][-1] if isinstance(place["target"][-1], str) else place["target"][-1][-1]
            ours = page.locator(selector).first.evaluate("element => Boolean(element.closest('.ddpm'))")
            if ours or violation["id"] not in GRADIOS_OWN:
                found.append(f"{violation['id']}: {selector}: {place['html'][:160]}")
    return found


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_violation(open_page: Callable, scheme: str, width: int) -> None:
    page = open_page("en", width, color_scheme=scheme).page
    for name in ("noising", "sampling", "loss"):
        open_tab(page, name, "en")
        page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        page.wait_for_timeout(1500)
        assert complaints(page) == [], (name, scheme, width)


@pytest.mark.parametrize(("lang", "scheme"), [("en", "light"), ("zh", "dark")])
def test_no_serious_violation_once_every_lab_is_drawn(open_page: Callable, lang: str, scheme: str) -> None:
    page = open_page(lang, color_scheme=scheme).page
    for name in ("noising", "sampling", "loss"):
        page.set_viewport_size({"width": 1280, "height": 900})
        draw_all(page, name, lang)
        page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        meet(page)
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            unfold(page)
            page.wait_for_timeout(500)
            assert complaints(page) == [], (name, lang, scheme, width)
