"""The two addresses that the labs use beside Gradio's: questions with an answer at once, and what a formula card shows.

They stay out of Gradio's queue, so that a slider does not wait behind a model; what they do is short and bounded, and so is how many wait.
"""

from __future__ import annotations

import functools
import inspect
import json
import textwrap
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ddpm_space.notes.equations import EQUATIONS
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.labs import LABS
from ddpm_space.ui.widgets import Payload, answered, encode

AT_ONCE = 2
"""Questions answered at the same time: as many as the machine has cores."""

MOST_WAITING = 64
MAX_BODY = 400_000
"""Bytes of the longest question: a picture of 256 x 256 in colour, as PNG in base64."""


def lab_routes() -> list[Route]:
    """Serve `POST ddpm/ask/{name}` and `GET ddpm/equation/{id}`."""
    places = _Places()

    async def ask(request: Request) -> Response:
        answer = LABS.get(request.path_params["name"])
        values = await _values(request)
        if answer is None or values is None:
            return _json({"error": {"key": "error.ask.malformed", "values": {}}})
        limiter = places.limiter()
        if limiter.statistics().tasks_waiting >= MOST_WAITING:
            return _json({"error": {"key": "error.busy", "values": {}}})
        return _json(await anyio.to_thread.run_sync(answered(answer), Asked(values), limiter=limiter))

    async def equation(request: Request) -> Response:
        found = request.path_params["id"]
        return Response(status_code=404) if found not in EQUATIONS else Response(_card(found), media_type="application/json")

    return [Route("/ddpm/ask/{name}", ask, methods=["POST"]), Route("/ddpm/equation/{id}", equation)]


class _Places:
    """A limiter made when the first question comes: it belongs to the event loop that serves."""

    def __init__(self) -> None:
        self._limiter: CapacityLimiter | None = None

    def limiter(self) -> CapacityLimiter:
        self._limiter = self._limiter or CapacityLimiter(AT_ONCE)
        return self._limiter


async def _values(request: Request) -> dict[str, Any] | None:
    """Read the question; None if it is too long or no JSON object."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            return None
    try:
        values = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _json(payload: Payload) -> Response:
    # An error is an answer too: a status of 4xx would stand in the browser's console as a failure of the page.
    return Response(encode(payload), media_type="application/json", headers={"cache-control": "no-store"})


@functools.cache
def _card(equation_id: str) -> str:
    """Describe an equation for its card: LaTeX, meaning, source, the function's real source, and what its check compares."""
    equation = EQUATIONS[equation_id]
    description = equation.description
    return encode(
        {
            "id": equation.id,
            "latex": equation.latex,
            "meaning": {"zh-CN": description.zh, "en": description.en},
            "route": {"zh-CN": description.route_zh, "en": description.route_en},
            "source": description.source,
            "function": f"{equation.function.__module__}.{equation.function.__qualname__}",
            "code": textwrap.dedent(inspect.getsource(inspect.unwrap(equation.function))),
        }
    )
