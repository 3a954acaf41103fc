"""Options that are each fine and cannot be meant together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.config import TrainConfig

WITH_BETA_RANGE = ("linear", "scaled_linear", "sigmoid")
"""Schedules that beta_start and beta_end belong to."""


def contradiction(config: TrainConfig) -> str | None:
    """The first contradiction among the options, with the fix; None where there is none."""
    for check in (_run, _data, _objective, _evaluation, _hub):
        for problem in check(config):
            return problem
    return None


def _changed(config: TrainConfig, *names: str) -> Iterator[str]:
    """Those of the options that are not what they are by default, as 'name = value'."""
    defaults = {item.name: item.default for item in fields(config)}
    for name in names:
        if getattr(config, name) != defaults[name]:
            yield f"{name} = {getattr(config, name)}"


def _run(config: TrainConfig) -> Iterator[str]:
    step = config.batch_size * config.gradient_accumulation_steps
    if config.train_images < step:
        factors = " x gradient_accumulation_steps" if config.gradient_accumulation_steps > 1 else ""
        yield f"train_images = {config.train_images} is less than one step of {step} images (batch_size{factors}): raise it or lower batch_size"
    if config.sample_steps > config.num_train_timesteps:
        yield f"sample_steps = {config.sample_steps} but the chain has {config.num_train_timesteps}: use at most as many"
    if config.lr_schedule == "constant" and config.lr_warmup_steps:
        for given in _changed(config, "lr_warmup_steps"):
            yield f"{given}, but lr_schedule = constant has no warm-up: use constant_with_warmup, or leave it out"
    if not config.trackers:
        for given in _changed(config, "tracker_project"):
            yield f"{given}, but nothing is tracked: name trackers, or leave it out"
    repeated = [name for name in config.trackers if config.trackers.count(name) > 1]
    if repeated:
        yield f"trackers names {repeated[0]} twice: name it once"


def _data(config: TrainConfig) -> Iterator[str]:
    if config.dataset == "bundled" or Path(config.dataset).expanduser().exists():
        for given in _changed(config, "dataset_config", "dataset_revision"):
            yield f"{given}, but the dataset '{config.dataset}' is not on the Hub: leave it out, or give the id of a data set there"
    if config.streaming:
        for given in _changed(config, "memory_limit_gb"):
            yield f"{given}, but with streaming no picture is kept: leave one of them out"
    else:
        for given in _changed(config, "shuffle_buffer"):
            yield f"{given}, but only a stream is shuffled in a buffer: add streaming, or leave it out"


def _objective(config: TrainConfig) -> Iterator[str]:
    if config.variance != "learned_range":
        for given in _changed(config, "vlb_weight"):
            yield f"{given}, but no variance is learned: add variance = learned_range, or leave it out"
    if config.beta_schedule not in WITH_BETA_RANGE:
        for given in _changed(config, "beta_start", "beta_end"):
            yield f"{given}, but beta_schedule = {config.beta_schedule} has none: leave it out, or use one of {', '.join(WITH_BETA_RANGE)}"


def _evaluation(config: TrainConfig) -> Iterator[str]:
    if config.eval_every and not config.eval_images:
        yield f"eval_every = {config.eval_every}, but eval_images = 0: there is nothing to evaluate; leave one of them out"
    if not config.eval_samples:
        for given in _changed(config, "eval_steps", "features"):
            yield f"{given}, but eval_samples = 0: set how many samples to draw, or leave it out"


def _hub(config: TrainConfig) -> Iterator[str]:
    if not config.push_to_hub:
        for given in _changed(config, "hub_model_id", "hub_private", "hub_revision", "hub_create_pr"):
            yield f"{given}, but nothing is pushed: add push_to_hub, or leave it out"
    elif not config.hub_model_id:
        yield "push_to_hub needs to know where to: set hub_model_id (user/name)"
    elif not re.fullmatch(r"[\w.-]+/[\w.-]+", config.hub_model_id):
        yield f"hub_model_id = '{config.hub_model_id}': use user/name"
