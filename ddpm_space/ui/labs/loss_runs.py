"""What the runs of the loss tab share: how long one may take, which network it measured, and the picture as that network got it."""

from __future__ import annotations

import time

from torch import Tensor

from ddpm_space import figures
from ddpm_space.errors import TextError
from ddpm_space.models import LoadedModel
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.model import shown_name
from ddpm_space.ui.widgets import Payload

RUN_SECONDS = 300
"""Longest run; the one who waits behind it waits no longer than this."""

MOST_WORK = {"model": 20_000, "perfect": 80_000}
"""Pictures that may go through a network in one run, steps x draws x pictures: all of a chain of 1000 steps for ten digits, twice each."""

WORK_ERRORS = {
    "error.run.work": "This would take {value} evaluations of the network, {steps} steps x {draws} noises x {pictures} pictures; at most {highest} "
    "are accepted. Choose a shorter chain, fewer noises or a single picture."
}

KNOWN_WORLDS = {"bundled:mnist": "digits", "bundled:fashion_mnist": "clothes"}
"""What a model was trained on, where this page can know it."""


class WorkError(TextError):
    """More work than a run may take; `key` is one of WORK_ERRORS."""

    templates = WORK_ERRORS


class Clock:
    """Counts a run's seconds from when its model is there."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()

    def late(self, share: float = 0.0) -> bool:
        """Tell whether the time is over, or would be after another `share` of what the run has taken so far."""
        return (time.perf_counter() - self._begun) * (1 + share) > RUN_SECONDS


def check_work(network: str, steps: int, draws: int, pictures: int = 1) -> None:
    """Refuse what would keep other visitors waiting. Raises WorkError."""
    value = steps * draws * pictures
    if value > MOST_WORK[network]:
        raise WorkError("error.run.work", value=value, steps=steps, draws=draws, pictures=pictures, highest=MOST_WORK[network])


def limit(late: bool) -> Payload:
    """Say in a payload that the run was ended; what was computed until then stands beside it."""
    return {"limit": RUN_SECONDS if late else None}


def measured(loaded: LoadedModel, asked: Asked, network: str = "model") -> Payload:
    """Name the network that a run measures: `choice` is what the visitor's page called it, so that it can tell when another was chosen since."""
    return {
        "model": {
            "source": shown_name(loaded.source),
            "revision": loaded.revision,
            "bundled": loaded.source.startswith("bundled:"),
            "prediction_type": loaded.prediction_type,
            "learned_variance": loaded.learned_variance,
            "network": network,
            "choice": str(asked.values.get("model") or ""),
        }
    }


def picture_for(loaded: LoadedModel, asked: Asked) -> Tensor:
    """Take the visitor's picture at the model's size and channels: (1, C, H, W)."""
    return asked.picture(1 if loaded.channels == 1 else 3, loaded.sample_size)


def seen(loaded: LoadedModel, x_0: Tensor, asked: Asked, *, network: str = "model", digits: bool = False) -> Payload:
    """Show what the network gets, with whether that is of its world.

    Its kind is "inside", "outside_" and what the network was trained on, "unknown", or for the perfect network "impossible".

    Args:
        x_0: (B, C, H, W); digits: it is the ten bundled digits, whatever picture was chosen.
    """
    shown, trained = "digits" if digits else asked.world(), KNOWN_WORLDS.get(loaded.source)
    if network == "perfect":
        kind = "inside" if shown == "digits" else "impossible"
    elif trained is None:
        kind = "unknown"
    else:
        kind = "inside" if shown == trained else f"outside_{trained}"
    return {"seen": {"pictures": figures.pictures(x_0), "size": x_0.shape[-1], "gray": x_0.shape[1] == 1, "kind": kind}}
