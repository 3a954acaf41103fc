"""axe-core over every tab, in light and dark, on a desk and on a phone: nothing serious beyond what Gradio brings along."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from walk import complaints, open_tab

pytestmark = pytest.mark.proof


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_violation(open_page: Callable, scheme: str, width: int) -> None:
    page = open_page("en", width, color_scheme=scheme).page
    for name in ("noising", "sampling", "loss"):
        open_tab(page, name, "en")
        page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        page.wait_for_timeout(1500)
        assert complaints(page) == [], (name, scheme, width)
