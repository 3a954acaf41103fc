"""What visitors type: whole numbers and lists of timesteps, checked once, with an error that names the value and the fix."""

from __future__ import annotations

import math
import re

from ddpm_space.errors import TextError

MAX_SEED = 2**31 - 1
MAX_TIMESTEPS = 8

FORM_ERRORS = {
    "error.form.whole_number": "{name}: {value} is not a whole number from {lowest} to {highest}.",
    "error.form.number": "{name}: {value} is not a number from {lowest} to {highest}.",
    "error.form.timesteps": "'{value}' is not a list of timesteps: write whole numbers from 0 to {highest}, separated by commas.",
    "error.form.too_many": "{count} timesteps at once: use at most {highest}.",
    "error.form.choice": "Unknown {name} '{value}': use one of {known}.",
}


class FormError(TextError):
    """An entry that cannot be used; `key` is one of FORM_ERRORS."""

    templates = FORM_ERRORS


def whole_number(value: float | None, name: str, lowest: int = 0, highest: int = MAX_SEED) -> int:
    """Check a number that a visitor typed.

    Raises:
        FormError: empty, not whole, or out of range.
    """
    if value is None or isinstance(value, bool) or not math.isfinite(value) or int(value) != value or not lowest <= value <= highest:
        raise FormError("error.form.whole_number", name=name, value=value, lowest=lowest, highest=highest)
    return int(value)


def finite_number(value: float | None, name: str, lowest: float, highest: float) -> float:
    """Check a number that need not be whole.

    Raises:
        FormError: empty, not finite, or out of range.
    """
    if value is None or isinstance(value, bool) or not math.isfinite(value) or not lowest <= value <= highest:
        raise FormError("error.form.number", name=name, value=value, lowest=lowest, highest=highest)
    return float(value)


def timestep_list(text: str, length: int) -> list[int]:
    """Read timesteps such as "10, 100, 500"; commas of either language or spaces separate them.

    Raises:
        FormError: not whole numbers in [0, T), none at all, or more than MAX_TIMESTEPS.
    """
    words = [word for word in re.split(r"[\s,，、;；]+", text or "") if word]
    if not words or not all(re.fullmatch(r"\d{1,7}", word) and int(word) < length for word in words):
        raise FormError("error.form.timesteps", value=text, highest=length - 1)
    unique = sorted({int(word) for word in words})
    if len(unique) > MAX_TIMESTEPS:
        raise FormError("error.form.too_many", count=len(unique), highest=MAX_TIMESTEPS)
    return unique


def one_of(value: str, name: str, known: tuple[str, ...]) -> str:
    """Check a choice that came over the API.

    Raises:
        FormError: not among the known ones, which are listed.
    """
    if value not in known:
        raise FormError("error.form.choice", name=name, value=value, known=", ".join(known))
    return value
