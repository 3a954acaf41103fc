"""Row N1 in headless Chromium, in both languages: a control is moved, and the numbers on the page are the library's for what it was moved to."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from walk import check_language, eventually, set_range, text

from ddpm_space.notes.langevin import free_particle_msd, msd_regimes
from ddpm_space.notes.langevin_bridge import beta_from_physics
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.labs import LABS

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.proof
LANGUAGES = ("zh", "en")


def open_lab(page: Page, name: str) -> Locator:
    """Scroll to a lab, which asks its first question then; return its stage."""
    page.locator(f"[data-panel=lab-{name}]").scroll_into_view_if_needed()
    stage = page.locator(f"[data-lab={name}]")
    page.wait_for_selector(f"[data-lab={name}][data-state=drawn]")
    return stage


def change(page: Page, stage: Locator, act: Callable[[], object]) -> None:
    """Do something to a lab and wait until its next answer is drawn."""
    before = int(stage.get_attribute("data-answers") or 0)
    act()
    eventually(lambda: int(stage.get_attribute("data-answers") or 0) > before, lambda: page.locator(".error-note:not([hidden])").all_inner_texts())


def slide(page: Page, stage: Locator, key: str, place: int) -> str:
    """Move a slider of a lab; return what it then reads."""
    control = page.locator(f'[data-control="{key}"]')
    change(page, stage, lambda: set_range(control.locator("input"), place))
    return control.locator("output").inner_text()


def choose(page: Page, stage: Locator, key: str, word: str, lang: str) -> None:
    change(page, stage, lambda: page.locator(f'[data-control="{key}"]').get_by_role("radio", name=text(f"{key}.{word}", lang), exact=True).click())


def shown(stage: Locator, quantity: str) -> float:
    return float(stage.locator(f'[data-quantity="{quantity}"]').get_attribute("data-exact") or "nan")


def library(name: str, **values: Any) -> dict[str, Any]:
    return LABS[name](Asked({"seed": 0, **values}))


def unpack(packed: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["b64"]), packed["dtype"]).reshape(packed["shape"])


@pytest.mark.row("N1", "stationary")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_particles_at_another_temperature_in_another_potential(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    stage = open_lab(page, "langevin")
    stage.locator('.cloud[data-frame="80"]').wait_for()
    stage.locator('.verdict[data-settled="true"]').wait_for()
    choose(page, stage, "langevin.potential", "ring", lang)
    kT = float(slide(page, stage, "langevin.kT", 160))
    assert 1.2 < kT < 1.4
    found = library("langevin", potential="ring", motion="underdamped", kT=kT, gamma=1, mass=1)
    for name in ("kinetic", "virial"):
        mean, se = unpack(found[name])[:, 80]
        assert shown(stage, name) == mean and abs(mean - kT) < 4 * se
    assert shown(stage, "deviation") == unpack(found["deviation"])[80] < 1 + 4 * found["deviation_spread"]
    set_range(stage.locator(".scrub"), 0)
    eventually(lambda: shown(stage, "kinetic") == 0)
    stage.locator('.verdict[data-settled="false"]').wait_for()
    choose(page, stage, "langevin.motion", "overdamped", lang)
    assert stage.locator('[data-quantity="kinetic"]').count() == 0 and page.locator('[data-control="langevin.mass"]').is_hidden()
    check_language(page, lang)


@pytest.mark.row("N1", "msd")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_free_particle_with_another_friction(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    stage = open_lab(page, "msd")
    gamma = float(slide(page, stage, "msd.gamma", 150))
    assert 3 < gamma < 3.4
    readings = []
    for place in (2, 22):
        set_range(page.locator('[data-control="msd.place"] input'), place)
        t = shown(stage, "t")
        readings.append(t)
        assert shown(stage, "theory") == pytest.approx(float(free_particle_msd(t, gamma, 1, 1)), rel=1e-12)
        assert [shown(stage, name) for name in ("ballistic", "diffusive")] == pytest.approx([float(value) for value in msd_regimes(t, gamma, 1, 1)])
    assert readings[0] < 0.2 / gamma and readings[1] > 15 / gamma
    found = library("msd", kT=1, gamma=gamma, mass=1)
    assert shown(stage, "msd") == unpack(found["msd"])[22]
    assert float(stage.locator(".verdict").get_attribute("data-worst") or "nan") == found["worst"] < 4
    check_language(page, lang)


@pytest.mark.row("N1", "bridge")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_bridge_for_another_step_and_for_a_spring(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    stage = open_lab(page, "bridge")
    slide(page, stage, "bridge.span", 0)
    choose(page, stage, "bridge.schedule", "cosine", lang)
    assert slide(page, stage, "bridge.t", 900) == "900"
    assert shown(stage, "beta_t") == pytest.approx(float(NoiseSchedule.cosine().beta[900]), rel=1e-9)
    assert shown(stage, "mean.exact") == pytest.approx(1.5 * math.sqrt(1 - shown(stage, "beta_t")))
    choose(page, stage, "bridge.source", "physics", lang)
    k = float(slide(page, stage, "bridge.stiffness", 150))
    assert shown(stage, "beta_t") == pytest.approx(float(beta_from_physics(k, 0.5, 1, k)), rel=1e-12)
    values = {"source": "physics", "stiffness": k, "dt": 0.5, "gamma": 1, "x": 1.5}
    for power, fits in ((1, False), (8, True)):
        assert slide(page, stage, "bridge.substeps", power) == str(2**power)
        found = library("bridge", substeps=2**power, **values)
        assert [shown(stage, f"{name}.measured") for name in ("mean", "variance")] == [found[name]["value"] for name in ("mean", "variance")]
        assert (float(stage.locator(".verdict").get_attribute("data-worst") or "nan") < 4) is fits
    check_language(page, lang)


@pytest.mark.row("N1", "score")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_sampling_with_a_score_at_another_step_size(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    stage = open_lab(page, "ula")
    stage.locator('[data-sampler="mala"] .cloud[data-frame="40"]').wait_for()
    choose(page, stage, "ula.target", "one", lang)
    eta = float(slide(page, stage, "ula.eta", 180))
    found = library("ula", target="one", eta=eta)
    assert shown(stage, "mala.accepted") == found["accepted"]["mean"]
    for name in ("ula", "mala"):
        mean, se = unpack(found[name]["second"])[:, 40]
        assert shown(stage, f"{name}.second") == mean
        assert bool(abs(mean - found["second"]) < 4 * se) is (name == "mala")
    # The two clouds go together.
    set_range(stage.locator('[data-sampler="mala"] .scrub'), 7)
    stage.locator('[data-sampler="ula"] .cloud[data-frame="7"]').wait_for()
    check_language(page, lang)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_seed_that_is_none_is_refused_by_the_control_s_own_name(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    stage = open_lab(page, "msd")
    box = page.locator('[data-control="msd.seed"] input')
    box.fill("-4")
    box.press("Tab")
    page.wait_for_selector("[data-lab=msd][data-state=error]")
    assert text("msd.seed", lang) in page.locator("[data-panel=lab-msd] .error-note:not([hidden])").inner_text()
    change(page, stage, lambda: page.locator('[data-control="msd.seed"] button').click())
    assert page.locator("[data-panel=lab-msd] .error-note:not([hidden])").count() == 0
