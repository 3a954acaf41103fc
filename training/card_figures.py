"""What was measured of a model, for its card: a table to read, and the same figures as metadata for the Hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult

from training.config import TrainConfig


def figures_table(evaluation: Mapping[str, Any] | None) -> str:
    """A section with every figure, its error, its n and what real images get; empty if nothing was measured."""
    return ""


def results(evaluation: Mapping[str, Any] | None, data_name: str, config: TrainConfig) -> list[EvalResult]:
    """The figures as the Hub's model-index wants them."""
    return []
