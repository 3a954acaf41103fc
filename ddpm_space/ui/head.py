"""What the page needs before Gradio's own scripts run: the language, the styles, the panels.

Gradio's `head=` arrives too late to choose the language, so a small ASGI middleware writes `static/head.html` right after `<head>`.
"""

from __future__ import annotations

from pathlib import Path

import gradio
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ddpm_space.ui.example_files import FOLDER as EXAMPLES

STATIC = Path(__file__).parent / "static"
STATIC_PREFIX = "/ddpm"
HEAD_TAG = b"<head>"
PAGE_MARK = b"window.gradio_config"
"""What tells the page from other HTML, such as the pages that document the API."""


def static_routes() -> list[Mount]:
    """Serve the example pictures and `ui/static` beside Gradio's own assets."""
    return [
        Mount(f"{STATIC_PREFIX}/examples", StaticFiles(directory=EXAMPLES), name="examples"),
        Mount(STATIC_PREFIX, StaticFiles(directory=STATIC), name="ddpm"),
    ]


def head_html() -> bytes:
    """The lines for `<head>`, with the addresses of the KaTeX that Gradio brings along: formulas need no other host and no second copy."""
    assets = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"
    scripts, styles = sorted(assets.glob("katex-*.js")), sorted(assets.glob("katex-*.css"))
    if not scripts or not styles:
        raise RuntimeError(f"gradio {gradio.__version__} has no KaTeX under {assets}: use the version in requirements.txt")
    template = (STATIC / "head.html").read_text(encoding="utf-8")
    return template.format(katex_js=f"assets/{scripts[0].name}", katex_css=f"assets/{styles[0].name}").encode()


class PageHead:
    """ASGI middleware: puts `head_html` into the page, and makes browsers ask again for the panels' files after an upgrade."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.addition = head_html()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_static = scope["path"].startswith(STATIC_PREFIX + "/")
        held: list[Message] = []

        async def passing(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(b"x-content-type-options", b"nosniff"), *([(b"cache-control", b"no-cache")] if is_static else [])]
                message["headers"] = [*message["headers"], *added]
                if any(name == b"content-type" and value.startswith(b"text/html") for name, value in message["headers"]):
                    held.append(message)
                    return
            elif held:
                await self._send_page(held, message, send)
                return
            await send(message)

        await self.app(scope, receive, passing)

    async def _send_page(self, held: list[Message], message: Message, send: Send) -> None:
        held.append(message)
        if message.get("more_body"):
            return
        body = b"".join(part.get("body", b"") for part in held[1:])
        if PAGE_MARK in body:
            body = body.replace(HEAD_TAG, HEAD_TAG + self.addition, 1)
        start = held[0]
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})
