"""The learning rate as a function of the step alone, so that a run can be resumed with another end."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers.optimization import get_scheduler

from training.config import ConfigError, TrainConfig


def learning_rates(config: TrainConfig, steps: int) -> Callable[[int], float]:
    """The learning rate of each step of a run: diffusers' schedules by their names.

    diffusers counts from 0, where the warm-up starts at a rate of 0, to `num_training_steps`, where the fall ends at 0. A step at rate 0 learns
    nothing: the run's steps are those between, the first is number 1 and the last the one before the end.

    Args:
        config: learning_rate, lr_schedule and lr_warmup_steps are read; steps: in the whole run.
    Returns:
        step in [0, steps) -> learning rate.
    Raises:
        ConfigError: a learning_rate that the schedule cannot fall from.
    """
    warmup = config.lr_warmup_steps
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=config.learning_rate)
    try:
        schedule = get_scheduler(config.lr_schedule, optimizer, num_warmup_steps=warmup, num_training_steps=steps + 1)
    except ValueError as error:
        raise ConfigError(f"learning_rate = {config.learning_rate:g} does not go with lr_schedule = {config.lr_schedule}: {error}") from error
    factor = schedule.lr_lambdas[0]
    return lambda step: config.learning_rate * float(factor(step + 1))
