"""axe-core over every tab, in light and dark, on a desk and on a phone: nothing serious beyond what Gradio brings along."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from walk import open_tab

pytestmark = pytest.mark.proof

GRADIOS_OWN = {
    # rule: the part of Gradio's page that breaks it
    "label-content-name-mismatch": ".gradio-container",
    "image-redundant-alt": "footer",
}
SERIOUS = ("serious", "critical")


def complaints(page) -> list[str]:
    """Every serious or critical violation that is not Gradio's own, with the place."""
    found = []
    for violation in Axe().run(page, options={"preload": False}).response["violations"]:
        if violation["impact"] not in SERIOUS:
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
