"""Row N10 on the page: the walk through the derivation, its numbers against the library, by buttons and by keyboard, and in a link."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from walk import await_phase, check_language, eventually, open_tab, press, text

from ddpm_space.derivation import StepCheck, derivation
from ddpm_space.exact.chain import ExactChain
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.labs.derivation import law_of, model_of, reach_of

pytestmark = pytest.mark.proof

PANEL = "[data-panel=lab-derivation]"


def expected(law_name: str, model_name: str) -> dict[str, StepCheck]:
    """The same walk without the page: 6 steps, 12 data, 3,000 trajectories, seed 0."""
    law = law_of(law_name)
    model = model_of(law, model_name)
    x_0 = law.sample(12, generator=torch.Generator().manual_seed(0))[:, 0]
    chain = ExactChain(model, NoiseSchedule.cosine(6), "fixed_large", reach=reach_of(law, model))
    return {step.key: step.check() for step in derivation(x_0, chain, trajectories=3000, seed=0)}


@pytest.mark.row("N10", "derivation")
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_line_s_sides_are_the_library_s(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    open_tab(page, "loss", lang)
    panel = page.locator(PANEL)
    panel.scroll_into_view_if_needed()
    panel.get_by_role("radio", name=text("derivation.law.peaks", lang)).click()
    panel.get_by_role("radio", name=text("derivation.model.one_gaussian", lang)).click()
    press(page, "derivation.run", lang)
    await_phase(page, "lab-derivation")
    for key, found in expected("peaks", "one_gaussian").items():
        panel.locator(f"[data-chip={key}]").click()
        page.wait_for_selector(f"{PANEL} .walk-line[data-line={key}]")
        sides = [float(panel.locator(f"[data-side={side}]").get_attribute("data-exact")) for side in ("left", "right")]
        assert sides == pytest.approx([found.left, found.right], rel=1e-9, abs=1e-9), key
        verdict = panel.locator(".walk-verdict")
        assert verdict.get_attribute("data-holds") == "true" == str(found.holds).lower()
        assert float(verdict.get_attribute("data-exact")) == pytest.approx(found.difference, rel=1e-6, abs=1e-9)
    check_language(page, lang)
    before = float(panel.locator("[data-side=left]").get_attribute("data-exact"))
    panel.get_by_role("radio", name=text("derivation.model.perfect", lang)).click()
    eventually(lambda: panel.locator(".walk-sides").is_hidden())
    press(page, "derivation.run", lang)
    await_phase(page, "lab-derivation")
    assert float(panel.locator("[data-side=left]").get_attribute("data-exact")) != before


def test_the_walk_by_keyboard_and_by_link(open_page: Callable) -> None:
    page = open_page().page
    open_tab(page, "loss", "en")
    panel = page.locator(PANEL)
    panel.scroll_into_view_if_needed()
    page.wait_for_selector(f"{PANEL} .walk-line[data-line=likelihood]")
    panel.locator(".walk-line").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f"{PANEL} .walk-line[data-line=importance]")
    page.keyboard.press("End")
    page.wait_for_selector(f"{PANEL} .walk-line[data-line=training]")
    page.keyboard.press("Home")
    page.wait_for_selector(f"{PANEL} .walk-line[data-line=likelihood]")
    press(page, "derivation.next", "en")
    press(page, "derivation.next", "en")
    page.wait_for_selector(f"{PANEL} .walk-line[data-line=jensen]")
    address = lambda: page.evaluate("location.href")  # noqa: E731
    eventually(lambda: "walk=3" in address(), address)
    page.goto(address())
    page.locator(PANEL).scroll_into_view_if_needed()
    page.wait_for_selector(f"{PANEL} .walk-line[data-line=jensen]")
