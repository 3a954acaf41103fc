"""What the tabs share: panels drawn by `static/*.js`, and handlers that answer with a sentence instead of a stack trace.

A panel is one `gr.HTML` whose value is a JSON text. Python sends numbers, pictures as base64, and text ids; the browser draws and words them.
Nothing that Python sends depends on the visitor's language.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from ddpm_space.errors import TextError
from ddpm_space.reasons import Reason
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.head import STATIC

Payload = dict[str, Any]
MOUNT = (STATIC / "mount.js").read_text(encoding="utf-8")
HEAVY: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
"""Events that run the network wait for one another; the others do not wait for them."""
log = logging.getLogger(__name__)


def panel(kind: str, payload: Payload | None = None, **props: Any) -> gr.HTML:
    """Place the panel `kind` of `static/app.js`, showing `payload`; `props` reach its script unchanged."""
    return gr.HTML(
        value=encode(payload) if payload is not None else "",
        html_template=f'<div class="ddpm-panel" data-panel="{kind}"></div>',
        js_on_load=MOUNT,
        apply_default_css=False,
        elem_classes=["ddpm", f"ddpm-{kind}"],
        **props,
    )


def lab(name: str, **props: Any) -> gr.HTML:
    """Place the lab `name` of `static/labs/`: its controls and its drawing are the browser's, its numbers come from `ddpm/ask/{name}`."""
    return panel(f"lab-{name}", None, **props)


def on_run(place: gr.HTML, handler: Callable[[Asked], Iterator[Payload]], **limits: Any) -> None:
    """Let a panel run what is long: `run(values)` of its script starts `handler`, whose payloads it draws; `halt()` cancels it between two of them.

    Args:
        handler: takes the values, checks them, and yields payloads; wrapped so that an error becomes a sentence.
        limits: `concurrency_id` and the like; HEAVY where the model runs.
    """

    def stream(question: str | None) -> Iterator[str]:
        values = picked(question, "asked")
        values = values if isinstance(values, dict) else {}
        for payload in streamed(handler)(Asked(values)):
            # The script tells by the number whether a payload belongs to a run that was stopped.
            yield encode({**payload, "run": values.get("run")})

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    running = place.submit(stream, [place], [place], trigger_mode="multiple", **quiet, **(limits or HEAVY))
    place.stop(None, None, None, cancels=[running], **quiet)


def encode(payload: Payload) -> str:
    """Write a payload as the JSON text that a panel reads; NaN and infinity have no JSON and are a mistake here."""
    return json.dumps(payload, allow_nan=False, separators=(",", ":"))


def error_payload(error: Exception) -> Payload:
    """Say what went wrong by text id; what is no user's mistake goes to the log and becomes one general sentence."""
    if isinstance(error, TextError):
        return {"error": {"key": error.key, "values": {name: _short(value) for name, value in error.values.items()}}}
    log.exception("a handler failed", exc_info=error)
    return {"error": {"key": "error.unexpected", "values": {}}}


def _short(value: Any) -> str | Payload | None:
    """Write a value of an error for the page; None stays, as an empty entry has a word of its own in each language, and a reason is a text itself."""
    if value is None:
        return None
    if isinstance(value, Reason):
        return {"key": value.key, "values": {name: _short(each) for name, each in value.values.items()}, "detail": value.detail}
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def answered(handler: Callable[..., Payload]) -> Callable[..., Payload]:
    """Make a handler answer every error with a payload, so that the page shows a sentence and the process goes on serving."""

    @functools.wraps(handler)
    def inner(*arguments: Any, **options: Any) -> Payload:
        try:
            return handler(*arguments, **options)
        except Exception as error:
            return error_payload(error)

    return inner


def streamed(handler: Callable[..., Iterator[Payload]]) -> Callable[..., Iterator[Payload]]:
    """The same for a handler that yields payloads."""

    @functools.wraps(handler)
    def inner(*arguments: Any, **options: Any) -> Iterator[Payload]:
        try:
            yield from handler(*arguments, **options)
        except Exception as error:
            yield error_payload(error)

    return inner


def picked(value: str | None, name: str) -> Any:
    """Read one entry of a panel's own value, such as the example that was clicked; None if it is not there."""
    try:
        return json.loads(value or "{}").get(name)
    except (ValueError, AttributeError):
        return None
