"""The page: its table of contents. A tab is one module; words are in `text`, what the browser does is in `static`, the look in `theme`."""

from __future__ import annotations

import os

# Read when gradio and huggingface_hub are imported, which is now: nothing leaves this machine unless a Hub model is asked for.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# Gradio keeps a record of each of its latest 10,000 events, for a page that this app does not serve.
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")

import gradio as gr

from ddpm_space.ui import api, loss, noising, sampling
from ddpm_space.ui.model import Models, ModelSlot
from ddpm_space.ui.text import T
from ddpm_space.ui.visitor_models import VisitorModels, allowed
from ddpm_space.ui.widgets import panel


def build_app(model: ModelSlot) -> gr.Blocks:
    """Build the page around a model that may still be loading.

    Args:
        model: asked for by the tabs that need it, when they need it.
    Returns:
        the Blocks; `launch.start` opens them with the language, the look and the browser side in place.
    """
    models = Models(model, VisitorModels(allowed()))
    with gr.Blocks(title="ddpm_space", analytics_enabled=False, delete_cache=(3600, 3600)) as app:
        panel("header", {})
        with gr.Tabs():
            with gr.Tab(T("tab.noising"), id="noising"):
                panel("contents", {})
                noising.build()
            with gr.Tab(T("tab.sampling"), id="sampling"):
                panel("contents", {})
                sampling.build(models)
            with gr.Tab(T("tab.loss"), id="loss"):
                panel("contents", {})
                loss.build(models)
        api.build(model)
    return app.queue(default_concurrency_limit=4, max_size=48)
