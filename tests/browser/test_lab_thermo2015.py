"""Row N4 on the page: K in bits for both kernels, and where the entropy bound breaks, against the library."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from reading import read_lines
from walk import check_language, eventually, open_tab, set_range, text

from ddpm_space.notes.thermo2015 import log_null_bits
from ddpm_space.notes.thermo2015_entropy import entropy_bounds_gaussian, reverse_entropy_gaussian
from ddpm_space.schedule import NoiseSchedule

pytestmark = pytest.mark.proof

PANEL = "[data-panel=lab-thermo2015]"


@pytest.mark.row("N4", "gaussian", "entropy_bounds")
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_second_moment_breaks_the_upper_bound(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    open_tab(page, "loss", lang)
    panel = page.locator(PANEL)
    panel.scroll_into_view_if_needed()

    def shown(quantity: str) -> float:
        return float(panel.locator(f'[data-quantity="{quantity}"]').get_attribute("data-exact") or "nan")

    panel.get_by_role("radio", name=text("thermo2015.shape.gaussian", lang)).click()
    eventually(lambda: abs(shown("gain")) < 1e-9, lambda: str(shown("gain")))
    assert shown("broken") == 0
    set_range(panel.locator("[data-control='thermo2015.moment'] input"), 3)
    schedule = NoiseSchedule.cosine(30)
    steps = (schedule.alpha_bar[1:], schedule.alpha_bar_prev[1:])
    over = int((reverse_entropy_gaussian(3.0, *steps) > entropy_bounds_gaussian(*steps, 3.0, 1).upper).sum())
    eventually(lambda: shown("broken") == over > 0, lambda: str(shown("broken")))
    assert shown("null") == pytest.approx(-(3 + math.log(2 * math.pi)) / 2 / math.log(2), rel=1e-9)
    assert shown("truth") == pytest.approx(-math.log2(2 * math.pi * math.e * 3) / 2, rel=1e-9)
    assert shown("plain") > shown("truth") > shown("bound")
    # K by hand: for Gaussian data p's steps are Gaussian, and a step's mean KL is the logarithm of its variance over the posterior's, halved.
    a, s = steps
    there, here = s * 3 + 1 - s, a * 3 + 1 - a
    reverse = there - a / s * there**2 / here
    posterior = (1 - s) / (1 - a) * (1 - a / s)
    ends = (schedule.alpha_bar[-1], schedule.alpha_bar[0])
    last, first = (float((1 - end).log()) / 2 for end in ends)
    normal = math.log(2 * math.pi * math.e) / 2
    plain = (-float((reverse / posterior).log().sum()) / 2 + last - first - normal) / math.log(2)
    assert shown("plain") == pytest.approx(plain, rel=1e-6)
    assert shown("bound") == pytest.approx(shown("plain") + shown("moment"), abs=1e-9)
    assert shown("gain") == pytest.approx(shown("bound") - shown("null"), abs=1e-9)
    assert shown("routes") < 1e-6
    bits = [float((2 * math.pi * math.e * variance[13]).log2()) / 2 for variance in (1 - a / s, reverse)]
    canvas = panel.locator("[data-chart=entropies] .chart-canvas")
    assert read_lines(canvas, 15, 2, 30) == pytest.approx(bits, rel=0.01), "eq. 24's upper bound and the entropy under it, at t = 15"
    assert panel.locator('[data-quantity="above"]').is_visible()
    check_language(page, lang)


@pytest.mark.row("N4", "binomial")
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_heartbeat_is_worth_its_bits(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    open_tab(page, "loss", lang)
    panel = page.locator(PANEL)
    panel.scroll_into_view_if_needed()
    panel.get_by_role("radio", name=text("thermo2015.kernel.binomial", lang), exact=True).click()
    panel.get_by_role("radio", name=text("thermo2015.period.8", lang), exact=True).click()
    null = float(log_null_bits(torch.eye(8, dtype=torch.float64)[:1], rate=1 / 8)) / math.log(2)
    read = lambda name: float(panel.locator(f'[data-quantity="{name}"]').get_attribute("data-exact") or "nan")  # noqa: E731
    eventually(lambda: read("null") == pytest.approx(null, rel=1e-9), lambda: str(read("null")))
    assert read("truth") == pytest.approx(-3) and null < read("bound") < -3
    assert read("bound") == pytest.approx(read("plain") + read("moment"), abs=1e-9)
    assert read("routes") < 1e-6
    assert read("gain") == pytest.approx(read("bound") - null, abs=1e-9)
    assert panel.locator("canvas").count() == 2
    check_language(page, lang)
