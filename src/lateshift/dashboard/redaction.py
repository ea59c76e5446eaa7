"""What viewers do not get to see, and cannot search for: the values of parameters that LATESHIFT_REDACT names."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from lateshift.errors import InvalidSearch
from lateshift.query import Query

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


def refuse_hidden(query: Query, patterns: Sequence[str]) -> None:
    """A value that is hidden is not told by whether it can be found either. Raises InvalidSearch.

    A value that is a whole object or list may hold one, so viewers cannot search for those.
    """
    for term in query.of("parameters"):
        hidden = any(fnmatchcase(part.lower(), pattern) for part in term.path for pattern in patterns)
        if hidden or any(value.startswith(("{", "[")) for value in term.values):
            written = ".".join(("parameters", *term.path))
            raise InvalidSearch(
                f"{written} is hidden by LATESHIFT_REDACT, or may hold what is, so viewers cannot search for it.",
                term.start,
                term.end,
            )
