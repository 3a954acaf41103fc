"""axe-core over every tab, in light and dark, on a phone: nothing serious beyond Gradio's own. On a desk, with all drawn: test_drawn.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from walk import complaints, open_tab

pytestmark = pytest.mark.proof


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_violation(open_page: Callable, scheme: str) -> None:
    page = open_page("en", 390, color_scheme=scheme).page
    for name in ("noising", "sampling", "loss"):
        open_tab(page, name, "en")
        page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        page.wait_for_timeout(1500)
        assert complaints(page) == [], (name, scheme)
