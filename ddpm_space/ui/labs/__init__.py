"""The labs: parts of the page in which a visitor changes a number and the library answers. One module each; this is their table of contents.

A lab's `answer` takes what was asked and returns a payload of numbers and text ids, within about 100 ms, for any visitor and without the model:
nothing is kept between two questions. What runs the model, or runs for long, is an event of the tab instead (`widgets.on_run`).
"""

from __future__ import annotations

from collections.abc import Callable

from ddpm_space.ui.asked import Asked
from ddpm_space.ui.labs import (
    check,
    derivation,
    gaussian,
    gradients,
    iwae,
    jensen,
    langevin,
    langevin_bridge,
    langevin_msd,
    langevin_score,
    mistakes,
    mle,
    noised,
    pairs,
    pixel,
    plane,
    thermo2015,
)
from ddpm_space.ui.widgets import Payload

LABS: dict[str, Callable[[Asked], Payload]] = {
    "check": check.answer,
    "noising": noised.answer,
    "routes": noised.answer_routes,
    "pixel": pixel.answer,
    "posterior": pixel.answer_posterior,
    "derivation": derivation.answer,
    "thermo2015": thermo2015.answer,
    "langevin": langevin.answer,
    "msd": langevin_msd.answer,
    "bridge": langevin_bridge.answer,
    "ula": langevin_score.answer,
    "gaussian": gaussian.answer,
    "pairs": pairs.answer,
    "gradients": gradients.answer,
    "mle": mle.answer,
    "jensen": jensen.answer,
    "iwae": iwae.answer,
    "plane": plane.answer,
    "field": plane.answer_field,
    "mistakes": mistakes.answer,
}
"""name of the address `ddpm/ask/{name}` -> who answers."""
