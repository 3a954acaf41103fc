"""What a visitor reads off the page beyond a number's full value: its error as shown, and a chart's lines under the pointer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from walk import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Locator

LEFT, RIGHT = 64, 14
"""A chart's margins, pixels."""


def place_of(canvas: Locator, x: float, low: float, high: float) -> dict[str, float]:
    """Where x lies on a chart whose axis goes from low to high: a position inside its `.chart-canvas`."""
    box = canvas.bounding_box()
    assert box is not None
    return {"x": LEFT + (x - low) / (high - low) * (box["width"] - LEFT - RIGHT), "y": box["height"] / 2}


def read_lines(canvas: Locator, x: float, low: float, high: float) -> list[float]:
    """Hover over a chart at x and read the values in its legend, in the order of its named lines, as they are shown: three digits."""
    values = canvas.locator("xpath=..").locator(".legend-value")

    def pointed() -> bool:
        # Again where the page moved on under a pointer that had arrived.
        canvas.hover(position=place_of(canvas, x, low, high))
        return values.count() > 0

    eventually(pointed)
    return [number_of(shown) for shown in values.all_inner_texts()]


def drag(canvas: Locator, start: float, end: float, low: float, high: float) -> None:
    """Drag on a chart from one x to another.

    The labs above a chart grow when their first answers come, and push it down: what is measured first and pressed later misses it. This waits until
    the chart stands still, and presses only where the chart itself takes the press.
    """
    place = {"source_position": place_of(canvas, start, low, high), "target_position": place_of(canvas, end, low, high)}
    canvas.drag_to(canvas, steps=4, **place)  # type: ignore[arg-type]


def number_of(shown: str) -> float:
    """Read a number as the page writes it, such as −1.2 or 3.4 × 10⁻⁵."""
    plain = shown.replace("−", "-").translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-"))
    return float(re.sub(r"\s*×\s*10", "e", plain))


def shown_error(lab: Locator, quantity: str) -> float:
    """The standard error that stands behind a number, to the two digits that are shown."""
    shown = lab.locator(f"[data-quantity={quantity}]").inner_text()
    found = re.search(r"±\s*([\d.]+)", shown)
    assert found, f"{quantity} is shown without an error: {shown}"
    return float(found[1])
