"""Headless Chromium for the tests in this folder; without one they are skipped with the reason, unless CI=true, where that is a failure."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",  # Chromium's test camera; who may use it is asked as ever
]
PATIENCE = 90_000
"""Milliseconds to wait for anything: a machine may be busy with other work."""

GRADIO_ON_LEAVING = ("AbortError: signal is aborted", "Connection errored out")
"""What Gradio itself writes to the console when a page is left while its stream is open."""

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests; each page has a context of its own, hence an empty profile."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        _without("playwright is not installed: pip install -r requirements-dev.txt")
    executable = next((path for path in map(shutil.which, NAMES) if path), None)
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        except Error as error:
            _without(f"no Chromium that starts: install one, or run `playwright install chromium` ({str(error).splitlines()[0]})")
        yield started
        started.close()


def _without(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Watched:
    """A page, and everything it should not have done: console errors, failures, requests to other hosts."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    leaves: bool = False

    def watch(self, address: str) -> None:
        """Start to note complaints; only the app's own address may be asked for anything."""
        own = (address, address.replace("http", "ws", 1), "data:", "blob:")
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page: {error}"))
        self.page.on("request", lambda request: None if request.url.startswith(own) else self.complaints.append(f"host: {request.url}"))
        self.page.on("response", lambda answer: self.complaints.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None)

    def _hear(self, message: ConsoleMessage) -> None:
        expected = self.leaves and any(words in message.text for words in GRADIO_ON_LEAVING)
        if message.type == "error" and not expected:
            self.complaints.append(f"console: {message.text}")


@pytest.fixture(scope="session")
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """One browser profile for the tests that need none of their own: its cache spares the server most of each page."""
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def open_page(browser: Browser, profile: BrowserContext, live_app: str) -> Iterator[Callable[..., Watched]]:
    """Open the app: open_page(lang="en", width=1280, address=None, **options of a profile); every page must end without a complaint."""
    with ExitStack() as stack:
        opened: list[Watched] = []

        def open_one(lang: str | None = "en", width: int = 1280, address: str | None = None, **options: Any) -> Watched:
            context = profile
            if options:
                context = browser.new_context(**options)
                stack.callback(context.close)
            watched = Watched(context.new_page())
            stack.callback(watched.page.close)
            watched.page.set_default_timeout(PATIENCE)
            watched.page.set_viewport_size({"width": width, "height": 900})
            watched.watch(address or live_app)
            opened.append(watched)
            watched.page.goto((address or live_app) + (f"?lang={lang}" if lang else ""))
            watched.page.wait_for_selector("[data-lab=noising][data-state=drawn]")
            return watched

        yield open_one
        for watched in opened:
            assert watched.complaints == []
