"""`TextError`: a mistake a person can mend, said once in English and by a key that the app translates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class TextError(ValueError):
    """A user's error: one clear sentence in English, and the same as a text id with its values.

    Args:
        key: the text's id, one of `templates`.
        values: what its placeholders stand for.
    """

    templates: ClassVar[Mapping[str, str]] = {}

    def __init__(self, key: str, **values: Any) -> None:
        super().__init__(self.templates[key].format(**values))
        self.key = key
        self.values = values
