"""What the address of the jobs page asks for: `q` is the text of the search, `status` the tab, and `sort` and `cursor`.

Values beside these (`queue`, `name`, `after`, ...) are filters that are to be written into the text: the selects of
the page, and links from elsewhere, send them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast, get_args

from lateshift.dashboard.redaction import refuse_hidden
from lateshift.errors import InvalidSearch
from lateshift.job import STATUSES
from lateshift.query import NUMBERS, Query, Term, parse, write
from lateshift.storage.search import Sort

FILTERS: Final = ("queue", "name", "priority", "after", "worker", "attempts", "error")
"""Fields that have a select."""

ANY: Final = "*"
"""The value of a select that takes its filter away."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search as the address holds it. When its text cannot be read, `trouble` says why, and `query` finds nothing."""

    text: str
    query: Query
    status: str | None
    sort: Sort | None
    cursor: str | None
    trouble: InvalidSearch | None = None

    @property
    def address(self) -> dict[str, str | None]:
        """What the address needs to say to mean the same jobs, in whatever order."""
        return {"q": self.text, "status": self.status}

    @property
    def words(self) -> str:
        """The search as text, its tab included: `status:failed queue:mail`."""
        return " ".join(part for part in (self.status and f"status:{self.status}", self.text) if part)

    def filtered(self, field: str, value: str) -> dict[str, str | None]:
        """What the address needs to say for the same search with a filter."""
        return {**self.address, "q": with_filter(self.text, field, value)}

    def value_of(self, field: str) -> str:
        """The value of a filter, if there is one; several in words."""
        terms = [term for term in self.query.of(field) if not term.negated]
        values = [
            f"{'' if term.comparison == '=' else term.comparison}{value}" for term in terms for value in term.values
        ]
        return values[0] if len(values) == 1 else f"{len(values)} values" if values else ""


def read_address(given: Mapping[str, str], hidden: Sequence[str] = ()) -> Search:
    """The search of an address; `hidden` are the patterns of parameters that this user may not search for."""
    text = given.get("q", "").strip()
    sort = given.get("sort")
    trouble = None
    try:
        query = parse(text)
        refuse_hidden(query, hidden)
    except InvalidSearch as error:
        query, trouble = Query((Term("status", ("",)),), text), error
    tab = given.get("status") if given.get("status") in STATUSES else None
    if query.of("status") and trouble is None:  # what is typed counts
        tab = None
    elif tab is not None and trouble is None:
        query = query.narrowed((tab,))
    return Search(
        text,
        query.labels_only() if hidden else query,
        tab,
        cast(Sort, sort) if sort in get_args(Sort) else None,
        given.get("cursor"),
        trouble,
    )


def added_filters(given: Mapping[str, str]) -> dict[str, str]:
    """The filters of an address that are not in its text yet."""
    return {field: given[field].strip() for field in FILTERS if given.get(field, "").strip()}


def with_filter(text: str, field: str, value: str) -> str:
    """A search with this value of a field instead of what it says of it; everything else stays as it was written."""
    kept = without_field(text, field, negated=False)
    written = f"{field}:{value}" if field in NUMBERS else write([Term(field, (value,))])
    return " ".join(part for part in (kept, "" if value == ANY else written) if part)


def without_field(text: str, field: str, *, negated: bool = True) -> str:
    """A search without what it says of a field; with `negated` also without what it excludes."""
    try:
        terms = parse(text).terms
    except InvalidSearch:
        return text.strip()
    return " ".join(
        text[term.start : term.end] for term in terms if term.field != field or (term.negated and not negated)
    )
