"""The learning rate of each step: diffusers' own schedules, begun and ended where a step still learns."""

from __future__ import annotations

import math
from typing import get_args, get_type_hints

import pytest
import torch
from diffusers.optimization import get_scheduler

from training.config import ConfigError, TrainConfig, make_config
from training.learning_rate import learning_rates


def rates(name: str, steps: int, warmup: int | None, highest: float = 0.5) -> list[float]:
    rise = {} if warmup is None else {"lr_warmup_steps": warmup}
    rate = learning_rates(make_config({"lr_schedule": name, "learning_rate": highest, **rise}), steps)
    return [rate(step) for step in range(steps)]


def test_a_linear_rise_and_a_fall_that_ends_just_above_zero() -> None:
    assert rates("linear", 8, 3) == pytest.approx([0.5 * share for share in (1 / 3, 2 / 3, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6)])
    assert rates("cosine", 9, 0) == pytest.approx([0.25 * (1 + math.cos(math.pi * k / 10)) for k in range(1, 10)])
    assert rates("constant", 4, None) == [0.5] * 4
    assert rates("constant_with_warmup", 4, 2) == [0.25, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("name", get_args(get_type_hints(TrainConfig)["lr_schedule"]))
def test_they_are_those_of_a_scheduler_that_is_stepped(name: str) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=4, num_training_steps=21)
    stepped = []
    for _ in range(20):
        optimizer.step()
        scheduler.step()
        stepped.append(optimizer.param_groups[0]["lr"])
    constant = name == "constant"  # which has no warm-up, and refuses one
    found = rates(name, 20, None if constant else 4)
    assert found == pytest.approx(stepped) and min(found) > 0
    # A run that is shorter than its warm-up rises all the way, at the same slope.
    assert rates(name, 3, None if constant else 6) == pytest.approx([0.5] * 3 if constant else [0.5 / 6, 1 / 6, 0.25])


def test_a_rate_that_a_schedule_cannot_fall_from_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"learning_rate = 1e-09 does not go with lr_schedule = polynomial"):
        rates("polynomial", 10, 2, highest=1e-9)
