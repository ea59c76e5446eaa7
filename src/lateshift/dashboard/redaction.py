"""What viewers cannot search for: the values of parameters that LATESHIFT_REDACT names."""

from __future__ import annotations

from collections.abc import Sequence

from lateshift.errors import InvalidSearch
from lateshift.query import Query
from lateshift.redaction import is_hidden


def refuse_hidden(query: Query, patterns: Sequence[str]) -> None:
    """A value that is hidden is not told by whether it can be found either. Raises InvalidSearch.

    A value that is a whole object or list may hold one, so viewers cannot search for those.
    """
    for term in query.of("parameters"):
        hidden = any(is_hidden(part, patterns) for part in term.path)
        if hidden or any(value.startswith(("{", "[")) for value in term.values):
            written = ".".join(("parameters", *term.path))
            raise InvalidSearch(
                f"{written} is hidden by LATESHIFT_REDACT, or may hold what is, so viewers cannot search for it.",
                term.start,
                term.end,
            )
