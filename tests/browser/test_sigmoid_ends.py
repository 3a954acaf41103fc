"""The sigmoid schedule does not reach the endpoints that a visitor sets: the page says so, with the numbers that it reaches."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from walk import eventually, text

from ddpm_space.schedule import NoiseSchedule

pytestmark = pytest.mark.proof

NOTE = "[data-panel=lab-noising] [data-ends]"


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_ends_that_are_not_reached_are_told(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    assert page.locator(NOTE).is_hidden(), "the linear schedule reaches its ends"
    page.locator("[data-control='noising.schedule'] [data-word='sigmoid']").click()
    page.locator(NOTE).wait_for()
    beta = NoiseSchedule.sigmoid(1000).beta
    # sigmoid(-6) = 1 / (1 + e^6) = 0.0024726 of the range is left at either end.
    assert float(beta[0]) == pytest.approx(1e-4 + 0.0199 * 0.0024726, rel=1e-4) and float(beta[-1]) == pytest.approx(
        0.02 - 0.0199 * 0.0024726, rel=1e-4
    )
    reached = {"reached_first": "1.49 × 10⁻⁴", "reached_last": "0.01995"}
    wanted = text("noising.ends_not_reached", lang).replace("{last}", "0.02000")
    for name, value in reached.items():
        wanted = wanted.replace("{" + name + "}", value)
    eventually(lambda: wanted.partition("{first}")[2] in page.locator(NOTE).inner_text(), lambda: page.locator(NOTE).inner_text())
