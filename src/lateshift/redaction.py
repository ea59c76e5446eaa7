"""The values that LATESHIFT_REDACT keeps out of error messages, logs and what viewers of the dashboard see."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

HIDDEN: Final = "••••••"


def is_hidden(name: object, patterns: Sequence[str]) -> bool:
    """Whether what has this name is not to be shown."""
    lowered = str(name).lower()
    return any(fnmatchcase(lowered, pattern) for pattern in patterns)


def redact(value: Any, patterns: Sequence[str]) -> Any:
    """A value with what is under such a name hidden, however deep."""
    if isinstance(value, dict):
        return {name: HIDDEN if is_hidden(name, patterns) else redact(inner, patterns) for name, inner in value.items()}
    if isinstance(value, list):
        return [redact(inner, patterns) for inner in value]
    return value
