"""A full queue is said in the visitor's language, and the run that was refused can be started again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from walk import eventually, open_tab, text

pytestmark = pytest.mark.proof


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_full_queue_says_busy_and_gives_the_button_back(open_page: Callable, lang: str) -> None:
    watched = open_page(lang)
    page = watched.page
    open_tab(page, "sampling", lang)
    page.route("**/queue/join*", lambda route: route.fulfill(status=503, content_type="application/json", body='{"detail": "Queue is full!"}'))
    run = page.locator("[data-panel=film] [data-run]")
    run.click()
    notice = page.locator("[data-panel=film] .error-note")
    eventually(lambda: notice.inner_text() == text("error.busy", lang), notice.inner_text)
    eventually(lambda: text("error.busy", lang) in page.locator(".toast-body").first.inner_text())
    assert "currently busy" not in page.locator("body").inner_text()
    assert run.is_enabled()
    # What the browser itself writes about the refusal is no fault of the page.
    watched.complaints[:] = [complaint for complaint in watched.complaints if "503" not in complaint]
