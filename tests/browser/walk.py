"""What tests and screenshots do on the page: open a tab, run its button, wait for its result."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from axe_playwright_python.sync_playwright import Axe

from ddpm_space.ui.text import TEXT

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

T_SLIDER = "[data-control='noising.t'] input"
"""The slider that moves t on the noising tab."""

WIDTHS = (390, 768, 1280, 2560)
"""Of a phone, a tablet, a laptop, and a projector or a wall."""

ALL_THERE = """() => {
    const open = [...document.querySelectorAll("[role=tabpanel]")].find((panel) => panel.checkVisibility());
    const sections = [...(open?.querySelectorAll(".column > .ddpm-section") ?? [])];
    return sections.length > 1 && sections.every((section) => section.querySelector("h2"));
}"""
"""Every section of the open tab has its question."""

FIRST_PANEL = {"noising": "lab-noising", "sampling": "film", "loss": "lab-errors"}


def text(key: str, lang: str) -> str:
    """Return the text of an id in a language, "zh" or "en"."""
    chinese, english = TEXT[key]
    return chinese if lang == "zh" else english


def open_tab(page: Page, name: str, lang: str) -> None:
    """Open a tab by its name: "noising", "sampling" or "loss"."""
    page.get_by_role("tab", name=text(f"tab.{name}", lang)).click()
    page.wait_for_selector(f"[data-panel={FIRST_PANEL[name]}]", state="attached")
    unfold(page)


def unfold(page: Page) -> None:
    """Open every section of the open tab that a phone shows folded; on a wide screen there is none."""
    page.wait_for_function(ALL_THERE)
    for button in page.locator(".fold-button").all():
        if button.is_visible() and button.get_attribute("aria-expanded") == "false":
            button.click()


def meet(page: Page) -> None:
    """Scroll through the page: a lab asks its first question when it comes near the screen."""
    place = 0
    while place < page.evaluate("document.documentElement.scrollHeight"):
        page.evaluate("place => scrollTo(0, place)", place)
        page.wait_for_timeout(400)
        place += 500
    page.wait_for_timeout(2500)


def draw_all(page: Page, name: str, lang: str) -> None:
    """Open a tab, meet each of its labs, and run what runs, with the settings as they stand."""
    open_tab(page, name, lang)
    meet(page)
    for button in page.locator("[data-panel] button[data-run]").all():
        if button.is_visible() and button.is_enabled():
            button.click()
            panel = button.evaluate("button => button.closest('[data-panel]').dataset.panel")
            await_phase(page, panel)
    meet(page)


def press(page: Page, key: str, lang: str) -> None:
    """Press a button by the id of its label."""
    page.get_by_role("button", name=text(key, lang), exact=True).locator("visible=true").first.click()


def await_phase(page: Page, panel: str, phase: str = "finished") -> Locator:
    """Wait until a streaming panel reports a phase; returns its body."""
    body = page.locator(f'[data-panel={panel}] .panel-body[data-phase="{phase}"]')
    body.wait_for()
    return body


def set_range(element: Locator, value: float) -> None:
    """Move a slider as a hand would."""
    element.evaluate(
        """(range, value) => {
            Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(range, value);
            range.dispatchEvent(new Event("input", { bubbles: true }));
        }""",
        str(value),
    )


def move_t(page: Page, t: int) -> None:
    """Move the noising tab's slider and wait for the numbers to follow."""
    set_range(page.locator(T_SLIDER), t)
    page.wait_for_selector(f'[data-quantity="t"][data-exact="{t}"]')


def exact(page: Page, quantity: str) -> float:
    """Read a number of the noising tab at full precision."""
    return float(page.locator(f'[data-panel=lab-noising] [data-quantity="{quantity}"]').get_attribute("data-exact") or "nan")


GRADIOS_OWN = {
    # rule: the part of Gradio's page that breaks it
    "label-content-name-mismatch": ".gradio-container",
    "image-redundant-alt": "footer",
}
SERIOUS = ("serious", "critical")
ALSO = ("heading-order",)
"""Rules that axe calls moderate and this page keeps all the same."""


def complaints(page: Page, *, colours: bool = True) -> list[str]:
    """Every violation that counts and is not Gradio's own, with the place; without `colours` contrast, which takes longest, is left out."""
    found = []
    # Without resultTypes axe also writes down every part that passed, which takes up to four times as long.
    options = {"preload": False, "resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": colours}}}
    for violation in Axe().run(page, options=options).response["violations"]:
        if violation["impact"] not in SERIOUS and violation["id"] not in ALSO:
            continue
        for place in violation["nodes"]:
            selector = place["target"][-1] if isinstance(place["target"][-1], str) else place["target"][-1][-1]
            ours = page.locator(selector).first.evaluate("element => Boolean(element.closest('.ddpm'))")
            if ours or violation["id"] not in GRADIOS_OWN:
                found.append(f"{violation['id']}: {selector}: {place['html'][:160]}")
    return found


HAN = re.compile(r"[\u3400-\u9fff]")
SENTENCE = re.compile(r"[A-Za-z][a-z]+(?: [A-Za-z]+){2,}")
WORDS = """() => {
    const copy = document.body.cloneNode(true);
    copy.querySelectorAll(".katex, script, style, .language, noscript, pre").forEach((part) => part.remove());
    document.body.append(copy);
    const shown = copy.innerText;
    copy.remove();
    const labels = [...document.querySelectorAll(".ddpm [aria-label]:not(.language)")].map((part) => part.getAttribute("aria-label"));
    return [shown, ...labels, document.title].join("\\n");
}"""


def check_language(page: Page, lang: str) -> None:
    """Assert that all words on the page, and the labels that are only read out, are of one language."""
    words = page.evaluate(WORDS)
    if lang == "en":
        assert not HAN.search(words), re.findall(r".*[\u3400-\u9fff].*", words)
    else:
        assert HAN.search(words)
        assert not SENTENCE.search(words), SENTENCE.findall(words)
    assert "__i18n__" not in words and not re.search(r"\{[a-z]+\}", words)


def eventually(holds: Callable[[], bool], shown: Callable[[], str] = str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, shown()
        time.sleep(0.05)


def find_lab(page: Page, name: str) -> Locator:
    """Scroll to a lab of the open tab and wait for its first answer, and for those of the labs around it, which grow and would move it."""
    lab = page.locator(f"[data-panel=lab-{name}]")
    lab.scroll_into_view_if_needed()
    page.wait_for_selector(f"[data-lab={name}][data-state=drawn]")
    eventually(lambda: page.locator("[data-state=waiting]").count() == 0)
    lab.scroll_into_view_if_needed()
    return lab


def move_control(lab: Locator, name: str, value: float) -> None:
    """Move a lab's slider by its id, such as "mle.mu"."""
    set_range(lab.locator(f'[data-control="{name}"] input[type=range]'), value)


def lab_number(lab: Locator, quantity: str) -> float:
    """Read a number of a lab at full precision; NaN where it is not shown."""
    found = lab.locator(f"[data-quantity={quantity}]")
    return float(found.get_attribute("data-exact") or "nan") if found.count() else math.nan


def await_numbers(lab: Locator, expected: dict[str, float], tolerance: float = 1e-9) -> None:
    """Wait until a lab shows these numbers, relative or absolute."""
    found: dict[str, float] = {}

    def same() -> bool:
        found.update({name: lab_number(lab, name) for name in expected})
        return all(math.isclose(found[name], value, rel_tol=tolerance, abs_tol=tolerance) for name, value in expected.items())

    eventually(same, lambda: f"{found} instead of {expected}", seconds=30)
