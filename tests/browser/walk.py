"""What tests and screenshots do on the page: open a tab, run its button, wait for its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ddpm_space.ui.text import TEXT

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

FIRST_PANEL = {"noising": "noising", "sampling": "film", "loss": "errors"}


def text(key: str, lang: str) -> str:
    """Return the text of an id in a language, "zh" or "en"."""
    chinese, english = TEXT[key]
    return chinese if lang == "zh" else english


def open_tab(page: Page, name: str, lang: str) -> None:
    """Open a tab by its name: "noising", "sampling" or "loss"."""
    page.get_by_role("tab", name=text(f"tab.{name}", lang)).click()
    page.wait_for_selector(f"[data-panel={FIRST_PANEL[name]}]")


def press(page: Page, key: str, lang: str) -> None:
    """Press a button by the id of its label."""
    page.get_by_role("button", name=text(key, lang), exact=True).locator("visible=true").first.click()


def await_phase(page: Page, panel: str, phase: str = "finished") -> Locator:
    """Wait until a streaming panel reports a phase; returns its body."""
    body = page.locator(f'[data-panel={panel}] .panel-body[data-phase="{phase}"]')
    body.wait_for()
    return body


def set_range(element: Locator, value: int) -> None:
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
    set_range(page.locator('#noise-t input[type="range"]'), t)
    page.wait_for_selector(f'[data-quantity="t"][data-exact="{t}"]')


def exact(page: Page, quantity: str) -> float:
    """Read a number of the noising tab at full precision."""
    return float(page.locator(f'[data-quantity="{quantity}"]').get_attribute("data-exact") or "nan")
