"""What viewers do not get to see: the values of parameters that LATESHIFT_REDACT names."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

HIDDEN: Final = "••••••"


def redact(value: Any, patterns: Sequence[str]) -> Any:
    """A value with what is under such a name hidden, however deep."""
    if isinstance(value, dict):
        return {
            name: HIDDEN
            if any(fnmatchcase(str(name).lower(), pattern) for pattern in patterns)
            else redact(inner, patterns)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [redact(inner, patterns) for inner in value]
    return value
