"""How a scheduler is written for plain diffusers, and what goes into a file beside it because plain diffusers has no word for it."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING

from diffusers import DDPMScheduler

from ddpm_space.scheduler_parts.stock_schedules import STOCK_BETA_SCHEDULES

if TYPE_CHECKING:
    from ddpm_space.scheduler import NotesDDPMScheduler

GIVEN_VARIANCE_FILE = "given_variance.json"

_STOCK_VARIANCES = {"given": "fixed_large", "fixed_large_log": "fixed_large"}
"""A given variance has no name in diffusers; diffusers' fixed_large_log takes the square root of a logarithm, which is NaN."""


def to_stock(scheduler: NotesDDPMScheduler) -> DDPMScheduler:
    """Express a scheduler as diffusers' own `DDPMScheduler`, which anyone can load.

    A schedule that diffusers does not know is written out as `trained_betas`. A given variance becomes `fixed_large`; `save_stock` keeps its table.

    Returns:
        a scheduler with the same alpha_bar (in diffusers' float32) and, given and learned variances apart, the same sigma_t^2.
    """
    # Keywords only: diffusers counts positional arguments as defaults and loses them when the config is loaded again.
    names = [name for name in inspect.signature(DDPMScheduler.__init__).parameters if name != "self"]
    options = {name: scheduler.config[name] for name in names}
    options["variance_type"] = _STOCK_VARIANCES.get(scheduler.config.variance_type, scheduler.config.variance_type)
    known = scheduler.config.trained_betas is not None or scheduler.config.beta_schedule in STOCK_BETA_SCHEDULES
    if not known or scheduler.has_capped_betas:
        options.update(beta_schedule="linear", trained_betas=scheduler.betas.tolist(), rescale_betas_zero_snr=False)
    return DDPMScheduler(**options)


def save_stock(scheduler: NotesDDPMScheduler, folder: str | Path) -> None:
    """Write `to_stock(scheduler)` into a folder, and a given variance beside it; `NotesDDPMScheduler.from_pretrained` reads both back."""
    to_stock(scheduler).save_pretrained(folder)
    side_file = Path(folder) / GIVEN_VARIANCE_FILE
    if scheduler.config.variance_type == "given":
        side_file.write_text(json.dumps({"given_variance": list(scheduler.config.given_variance)}) + "\n", encoding="utf-8")
    else:
        side_file.unlink(missing_ok=True)


def read_given_variance(folder: str | Path) -> list[float | None] | None:
    """Read the table that `save_stock` wrote beside a config; None if there is none.

    Raises:
        ValueError: the file is damaged.
    """
    side_file = Path(folder) / GIVEN_VARIANCE_FILE
    if not side_file.is_file():
        return None
    try:
        return list(json.loads(side_file.read_text(encoding="utf-8"))["given_variance"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{side_file} is damaged ({error}): export the scheduler again") from None
