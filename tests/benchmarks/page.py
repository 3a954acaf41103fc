"""How quick the page is on this machine: from `python app.py` to a usable page, from a slider to its picture, to the first preview of sampling.

    PYTHONPATH=tests/browser python tests/benchmarks/page.py [--rounds 5]

Headless Chromium runs beside the server and shares its cores, as it does not for a visitor. Medians with the lowest and highest of the rounds; run it
on a quiet machine. The live network's time to its Bayes floor is `tests/benchmarks/live_network.py`.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import FLAGS, NAMES, PATIENCE
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
BARS = {"usable page, s": 12.0, "slider to picture, ms": 150.0, "first preview, s": 0.7, "2-D lab, frames/s": 30.0}
"""What the project asks of two idle cores; the last is a least value, the others are most."""

MOVES = 40

SLIDER = """async (moves) => {
  const range = document.querySelector('[data-control="noising.t"] input[type=range]');
  const canvas = document.querySelector('[data-lab=noising] .role-xt canvas, [data-panel=noising] .role-xt canvas');
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
  const pixels = () => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const painted = () => pixels().reduce((sum, value, i) => (sum * 31 + value + i) % 1000003, 7);
  const times = [];
  for (let move = 0; move < moves; move += 1) {
    const before = painted();
    const begin = performance.now();
    set.call(range, String((137 * (move + 1)) % 1000));
    range.dispatchEvent(new Event('input', { bubbles: true }));
    while (painted() === before) {
      if (performance.now() - begin > 5000) throw new Error('the picture did not change');
      await new Promise(requestAnimationFrame);
    }
    await new Promise(requestAnimationFrame);
    times.push(performance.now() - begin);
  }
  return times;
}"""


@contextmanager
def served() -> Iterator[tuple[str, float]]:
    """Start `python app.py`; gives its address and when it was started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port)], cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1"}, stdout=subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{port}/", begin
    finally:
        process.terminate()
        process.wait()


def opened(browser: Browser, address: str) -> Page:
    """Open the page as a new visitor does, as soon as the server answers."""
    while True:
        try:
            urllib.request.urlopen(address, timeout=1).close()
            break
        except OSError:
            time.sleep(0.05)
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}?lang=en")
    page.wait_for_selector("[data-panel=noising][data-state=drawn], [data-lab=noising][data-state=drawn]")
    return page


def preview(page: Page) -> float:
    """Seconds from the press of Generate to the first frame, with the model already there."""
    page.get_by_role("tab", name="Sampling").click()
    run = page.locator("[data-panel=film] [data-run]")
    run.wait_for()
    page.locator("[data-panel=model][data-state=drawn]").wait_for()
    return float(
        page.evaluate(
            """async () => {
                const body = document.querySelector('[data-panel=film] .panel-body');
                const begin = performance.now();
                document.querySelector('[data-panel=film] [data-run]').click();
                while (!['running', 'finished'].includes(body.dataset.phase)) await new Promise(requestAnimationFrame);
                return (performance.now() - begin) / 1000;
            }"""
        )
    )


def frames_a_second(page: Page) -> float:
    """Pictures a second that the 2-D lab draws while 1,000 particles run back, on cores that the preview's run has left."""
    page.locator("[data-panel=film] .panel-body[data-phase=finished]").wait_for()
    lab = page.locator("[data-lab=plane]")
    lab.scroll_into_view_if_needed()
    page.locator("[data-lab=plane][data-state=drawn]").wait_for()
    lab.locator("[data-play]").first.click()
    page.wait_for_timeout(1500)
    return float(lab.locator("[data-fps]").first.get_attribute("data-fps") or "nan")


def main() -> None:
    """Measure round by round, each with a server of its own, and print the medians beside the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    found: dict[str, list[float]] = {name: [] for name in BARS}
    executable = next((path for path in map(shutil.which, NAMES) if path), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        for _ in range(rounds):
            with served() as (address, begin):
                page = opened(browser, address)
                found["usable page, s"].append(time.perf_counter() - begin)
                found["slider to picture, ms"] += page.evaluate(SLIDER, MOVES)
                found["first preview, s"].append(preview(page))
                found["2-D lab, frames/s"].append(frames_a_second(page))
                page.context.close()
        browser.close()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {rounds} rounds\n")
    print("| | median | lowest to highest | wanted |\n|---|---|---|---|")
    for name, values in found.items():
        sign = ">=" if "frames" in name else "<="
        print(f"| {name} | {statistics.median(values):.3g} | {min(values):.3g} to {max(values):.3g} | {sign} {BARS[name]:g} |")


if __name__ == "__main__":
    main()
