"""How a scheduler is written for plain diffusers, and what goes into a file beside it because plain diffusers has no word for it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusers import DDPMScheduler

from ddpm_space import analytic
from ddpm_space.scheduler_parts.stock_schedules import STOCK_BETA_SCHEDULES
from ddpm_space.spacing import OPTIMAL

if TYPE_CHECKING:
    from ddpm_space.scheduler import NotesDDPMScheduler

GIVEN_VARIANCE_FILE = "given_variance.json"

NAMES_FILE = "own_names.json"
"""The variance and spacing that diffusers has no names for; in a file of its own, since the table of `analytic` is estimated and written anew."""

TABLES = ("posterior_variance", "decoder_variance", "decoder_nats")
"""Options of ours that lie in the file of `analytic`."""

_STOCK_VARIANCES = {"given": "fixed_large", "analytic": "fixed_small", "fixed_large_log": "fixed_large"}
"""The first two have no name in diffusers; diffusers' fixed_large_log takes the square root of a logarithm, which is NaN."""

_STOCK_SPACINGS = {"quadratic": "trailing", OPTIMAL: "trailing"}
"""Spacings of ours that diffusers does not know."""

_OWN_NAMES = {"variance_type": ("analytic",), "timestep_spacing": tuple(_STOCK_SPACINGS)}


def to_stock(scheduler: NotesDDPMScheduler) -> DDPMScheduler:
    """Express a scheduler as diffusers' own `DDPMScheduler`, which anyone can load.

    A schedule that diffusers does not know is written out as `trained_betas`. A given variance becomes `fixed_large`, "analytic" `fixed_small`, and a
    spacing that diffusers does not know "trailing"; `save_stock` keeps what that loses.

    Returns:
        a scheduler with the same alpha_bar (in diffusers' float32) and, given, analytic and learned variances apart, the same sigma_t^2.
    """
    # Keywords only: diffusers counts positional arguments as defaults and loses them when the config is loaded again.
    names = [name for name in inspect.signature(DDPMScheduler.__init__).parameters if name != "self"]
    options = {name: scheduler.config[name] for name in names}
    options["variance_type"] = _STOCK_VARIANCES.get(scheduler.config.variance_type, scheduler.config.variance_type)
    options["timestep_spacing"] = _STOCK_SPACINGS.get(scheduler.config.timestep_spacing, scheduler.config.timestep_spacing)
    known = scheduler.config.trained_betas is not None or scheduler.config.beta_schedule in STOCK_BETA_SCHEDULES
    if not known or scheduler.has_capped_betas:
        options.update(beta_schedule="linear", trained_betas=scheduler.betas.tolist(), rescale_betas_zero_snr=False)
    return DDPMScheduler(**options)


def save_stock(scheduler: NotesDDPMScheduler, folder: str | Path) -> None:
    """Write `to_stock(scheduler)` into a folder, and beside it what plain diffusers has no word for; `from_pretrained` of ours reads both back."""
    to_stock(scheduler).save_pretrained(folder)
    config = scheduler.config
    _write(Path(folder) / GIVEN_VARIANCE_FILE, {"given_variance": config.given_variance} if config.variance_type == "given" else None)
    table = {key: config[key] for key in TABLES if config[key] is not None} if config.posterior_variance is not None else None
    _write(Path(folder) / analytic.FILE, table)
    _write(Path(folder) / NAMES_FILE, {key: config[key] for key, names in _OWN_NAMES.items() if config[key] in names} or None)


def _write(file: Path, content: dict[str, Any] | None) -> None:
    if content is None:
        file.unlink(missing_ok=True)
    else:
        file.write_text(json.dumps(content) + "\n", encoding="utf-8")


def read_beside(folder: Path) -> dict[str, Any]:
    """Read the options that `save_stock`, or `analytic.write`, left beside a config; empty if there are none.

    Raises:
        ValueError: a file is damaged.
    """
    options = _read(folder / GIVEN_VARIANCE_FILE, lambda content: {"variance_type": "given", "given_variance": list(content["given_variance"])})
    table = analytic.read(folder)
    if table is not None:
        options |= {key: getattr(table, key) for key in TABLES}
    return options | _read(folder / NAMES_FILE, lambda content: {key: str(name) for key, name in dict(content).items() if key in _OWN_NAMES})


def _read(file: Path, options: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return options(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is damaged ({error}): export the scheduler again") from None
