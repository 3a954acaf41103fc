"""The worlds of the plane that a visitor can choose, write or draw, and the chain that noises them: what the plane's labs have in common."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_space.errors import TextError
from ddpm_space.exact import ExactDistribution, PointSet
from ddpm_space.exact.plane import eight_bumps, letters, swiss_roll, two_moons, two_rings
from ddpm_space.figures import Payload
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.asked import Asked

WORLDS = ("roll", "moons", "rings", "bumps", "letters", "drawn")
SCHEDULES = ("linear", "cosine", "sigmoid")
LENGTHS = ("50", "200", "1000")
LONGEST_TEXT = 6
MOST_POINTS, FEWEST_DRAWN, MOST_DRAWN = 400, 3, 300
REACH = 3.0
"""The plane is shown from -REACH to REACH; points may be drawn anywhere in it."""

SHOWN_OF_MIXTURE = 400

PLANE_ERRORS = {
    "error.plane.letters": "'{text}': write 1 to {longest} letters that the built-in font has (Latin letters and digits).",
    "error.plane.empty": "Nothing is drawn yet: draw at least {fewest} points, or choose another set.",
}


class PlaneError(TextError):
    """A world that cannot be made; `key` is one of PLANE_ERRORS."""

    templates = PLANE_ERRORS


def world_of(asked: Asked) -> ExactDistribution:
    """Make the world that is asked for: `world`, and `std`, `letters` or `drawn` where it needs them."""
    name = asked.choice("world", WORLDS)
    if name == "bumps":
        return eight_bumps(asked.number("std", 0.02, 0.4))
    if name == "letters":
        return written(asked.values.get("letters"))
    if name == "drawn":
        if not asked.values.get("drawn"):
            raise PlaneError("error.plane.empty", fewest=FEWEST_DRAWN)
        # Where it was drawn, not standardized: a drawing that moves under the pen is no drawing.
        return PointSet(asked.points("drawn", FEWEST_DRAWN, MOST_DRAWN, REACH))
    return {"roll": swiss_roll, "moons": two_moons, "rings": two_rings}[name]()


def written(text: object) -> PointSet:
    """Make a point set of a visitor's letters."""
    line = text.strip() if isinstance(text, str) else ""
    if not 1 <= len(line) <= LONGEST_TEXT or not line.isprintable():
        raise PlaneError("error.plane.letters", text=line[: 2 * LONGEST_TEXT], longest=LONGEST_TEXT)
    try:
        return letters(line, most=MOST_POINTS)
    except ValueError as error:
        raise PlaneError("error.plane.letters", text=line, longest=LONGEST_TEXT) from error


def chain_of(asked: Asked) -> NoiseSchedule:
    """Make the training chain that is asked for: `schedule` and `T`."""
    return NoiseSchedule.make(asked.choice("schedule", SCHEDULES), int(asked.choice("T", LENGTHS)))


def points_of(world: ExactDistribution) -> Tensor:
    """The world's points, or some draws of it where it has a density: (n, 2)."""
    if isinstance(world, PointSet):
        return world.points
    return world.sample(SHOWN_OF_MIXTURE, generator=torch.Generator().manual_seed(0))


def described(world: ExactDistribution) -> Payload:
    """Say what kind of world it is: how many points or Gaussians, the standard deviation of one of these, and that of the whole a coordinate."""
    weights, means, variances = world.components()
    mean = weights @ means
    spread = (weights @ (variances + (means - mean) ** 2)).mean().sqrt()
    kind = "points" if isinstance(world, PointSet) else "mixture"
    return {"kind": kind, "count": len(weights), "std": float(variances.mean().sqrt()), "spread": float(spread)}
