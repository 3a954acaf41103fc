"""Tab 3: the loss taken apart: likelihood, Jensen, the derivation, the error of eps_theta, the bound term by term, and the bound of 2015."""

from __future__ import annotations

from functools import partial

from ddpm_space.ui.labs import bound, derivation, errors, lossy
from ddpm_space.ui.model import ModelSlot, shown_name
from ddpm_space.ui.widgets import HEAVY, lab, on_run, panel


def build(model: ModelSlot) -> None:
    """Lay out the tab and wire it."""
    own = shown_name(model.source)
    for question in ("mle", "jensen", "iwae"):
        panel("section", {}, section=question)
        lab(question)
    panel("section", {}, section="derivation")
    on_run(lab("derivation"), derivation.run, concurrency_id="derivation", concurrency_limit=1)
    panel("section", {}, section="loss")
    on_run(lab("errors", own=own), partial(errors.run, model), **HEAVY)
    panel("section", {}, section="bound")
    on_run(lab("bound", own=own), partial(bound.run, model), **HEAVY)
    panel("section", {}, section="lossy")
    on_run(lab("lossy", own=own), partial(lossy.run, model), **HEAVY)
    panel("section", {}, section="thermo2015")
    lab("thermo2015")
