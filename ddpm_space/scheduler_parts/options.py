"""What a scheduler's config may hold, checked before anything is built from it."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from ddpm_space.analytic import check_decoder, check_posterior_variance
from ddpm_space.denoiser import PREDICTION_TYPES
from ddpm_space.scheduler_parts.chain import VARIANCE_TYPES
from ddpm_space.spacing import OPTIMAL, TIMESTEP_SPACINGS


def by_keyword(init: Callable) -> Callable:
    """Pass every argument on by keyword: diffusers takes positional ones for defaults, and loses them when it loads the config again."""
    names = list(inspect.signature(init).parameters)

    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(args) >= len(names):
            raise TypeError(f"at most {len(names) - 1} arguments, not {len(args)}")
        init(self, **dict(zip(names[1:], args)), **kwargs)

    return wrapped


def check_options(config: Mapping[str, Any]) -> None:
    """Check the options that no schedule depends on (`build_schedule` checks the others).

    Raises:
        ValueError: an unknown string (the valid ones are listed), or a number out of range.
    """
    for key, valid in (("variance_type", VARIANCE_TYPES), ("prediction_type", PREDICTION_TYPES), ("timestep_spacing", (*TIMESTEP_SPACINGS, OPTIMAL))):
        if config[key] not in valid:
            raise ValueError(f"unknown {key} '{config[key]}': use one of {', '.join(valid)}")
    if not 0 <= config["dynamic_thresholding_ratio"] <= 1:
        raise ValueError(f"dynamic_thresholding_ratio = {config['dynamic_thresholding_ratio']}: it is a quantile, use 0 to 1")
    for key in ("clip_sample_range", "sample_max_value"):
        if not config[key] > 0:
            raise ValueError(f"{key} = {config[key]}: use a number above 0")
    given = config["given_variance"]
    if (config["variance_type"] == "given") != (given is not None):
        raise ValueError("variance_type='given' and given_variance belong together: pass both or neither")
    posterior_variance = config["posterior_variance"]
    for key, name in (("variance_type", "analytic"), ("timestep_spacing", OPTIMAL)):
        if config[key] == name and posterior_variance is None:
            raise ValueError(f"{key}='{name}' needs posterior_variance: estimate it for this network once, by ddpm_space.analytic.estimate")
    if posterior_variance is not None:
        check_posterior_variance(posterior_variance, config["num_train_timesteps"])
    for name in ("decoder_variance", "decoder_nats"):
        if config[name] is not None:
            check_decoder(name, config[name], config["num_train_timesteps"])
    if given is None:
        return
    if len(given) != config["num_train_timesteps"]:
        raise ValueError(f"given_variance has {len(given)} values: give {config['num_train_timesteps']}, one a training timestep")
    for t, value in enumerate(given):
        if value is not None and not (value >= 0 and math.isfinite(value)):
            raise ValueError(f"given_variance[{t}] = {value}: a variance is finite and at least 0")
