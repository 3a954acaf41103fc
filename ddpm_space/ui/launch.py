"""Start the app: the console command `ddpm-space`, and `python app.py`.

    ddpm-space --model PATH_OR_HUB_ID --port 7860

The environment variable DDPM_SPACE_MODEL stands for --model where there is no command line (a Space).
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from ddpm_space.priority import let_networks_give_way
from ddpm_space.ui import build_app
from ddpm_space.ui.head import STATIC, PageHead, static_routes
from ddpm_space.ui.memory import give_back_now_and_then
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.routes import lab_routes
from ddpm_space.ui.text import I18N
from ddpm_space.ui.theme import theme

DEFAULT_MODEL = "bundled:mnist"
MAX_FILE_MEGABYTES = 20
"""Largest file that a caller of the API may send."""

PAGE_SECONDS = 3.0
"""How long the first page has the interpreter to itself: it comes in three hundred answers, and the model's imports would stand before each."""

MOST_SESSIONS = 200
"""Visits that the server remembers: each costs 0.2 MB, and up to 20 MB of its latest run. The one that was quiet for longest goes first."""


def mcp_wanted() -> bool:
    """Tell whether the owner offers the named endpoints as tools: DDPM_SPACE_MCP, "off" where it is not set.

    Raises:
        SystemExit: it is something else, or the package that tools need is not installed.
    """
    value = os.environ.get("DDPM_SPACE_MCP") or "off"
    if value not in ("on", "off"):
        sys.exit(f"DDPM_SPACE_MCP = '{value}': use on or off")
    if value == "on" and importlib.util.find_spec("mcp") is None:
        sys.exit("DDPM_SPACE_MCP = 'on' needs a package that is missing: pip install 'mcp<2', or use off")
    return value == "on"


def launch_options() -> dict[str, Any]:
    """Arguments of `Blocks.launch` that belong to this app: language, look, nothing recorded, no other host."""
    return {
        "theme": theme(),
        "i18n": I18N,
        "app_kwargs": {"middleware": [Middleware(PageHead)], "routes": [*lab_routes(), *static_routes()]},
        "run_history": False,
        "enable_monitoring": False,
        "max_file_size": f"{MAX_FILE_MEGABYTES}mb",
        "show_error": False,
        "strict_cors": True,
        "ssr_mode": False,
        "state_session_capacity": MOST_SESSIONS,
        "mcp_server": mcp_wanted(),
        "pwa": False,
        "favicon_path": STATIC / "icon.svg",
        "footer_links": ["api", "settings"],
    }


def start(model: ModelSlot, *, host: str | None = None, port: int | None = None, quiet: bool = False) -> gr.Blocks:
    """Open the page, then load the model beside it.

    Args:
        model: loaded in its own thread once the page answers.
        host, port: where to listen; Gradio's defaults and environment variables when None.
    Returns:
        the running app; `close()` ends it.
    """
    app = build_app(model)
    app.launch(prevent_thread_lock=True, server_name=host, server_port=port, quiet=quiet, **launch_options())
    model.start()
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="ddpm-space", description="DDPM, opened up: noising, sampling and loss in the browser.")
    parser.add_argument(
        "--model",
        default=os.environ.get("DDPM_SPACE_MODEL") or DEFAULT_MODEL,
        help="a folder, a Hub id user/repo[@revision], or bundled:NAME (default: $DDPM_SPACE_MODEL, then %(default)s)",
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1, or $GRADIO_SERVER_NAME)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860, or $GRADIO_SERVER_PORT)")
    options = parser.parse_args(arguments)
    give_back_now_and_then()
    let_networks_give_way()
    app = start(ModelSlot(options.model, after=PAGE_SECONDS), host=options.host, port=options.port)
    # What is there by now stays: no later collection need look at it.
    gc.freeze()
    gc.enable()
    app.block_thread()


if __name__ == "__main__":
    main()
