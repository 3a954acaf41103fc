"""Tab 1: an image is noised, and the motion and the Gaussians behind it. Each section is a lab, answered outside Gradio's queue."""

from __future__ import annotations

from ddpm_space.ui.widgets import lab, panel

QUESTIONS = ("noising", "routes", "pixel", "posterior", "langevin", "msd", "bridge", "ula", "gaussian", "pairs", "gradients")
"""The tab's sections, in order: the picture first."""


def build() -> None:
    """Lay out the tab."""
    for question in QUESTIONS:
        panel("section", {}, section=question)
        lab(question)
        if question == "noising":
            panel("path", {})
