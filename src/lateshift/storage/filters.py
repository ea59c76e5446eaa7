"""The terms of a search as conditions on a job's row, in SQL that every database takes.

A value in the parameters is looked for as text in SQL, and looked at as JSON here: the three databases read JSON in
three ways, and refuse a whole statement for one row that holds none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from lateshift.job import STATUSES, to_microseconds
from lateshift.query import Query, Term, seconds_ago

_MERGED: Final = ("queue", "name", "worker", "priority", "attempts")
"""Fields of which several terms mean any of them."""

_LABEL: Final = ("name", "queue", "error_type", "error_message")
_TEXT: Final = (*_LABEL, "parameters")

_LOOKED_INTO: Final = {
    "text": _TEXT,
    "label": _LABEL,
    "error": ("error_type", "error_message"),
    "name": ("name",),
    "worker": ("worker",),
}

_WRITTEN_AS_IT_IS: Final = re.compile(r"[\w .,:@+-]+", re.ASCII)
"""What JSON has no other way to write."""

Check = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions on a row `j` that has `columns`; `checks` are for its parameters, which SQL has only looked over."""

    conditions: tuple[str, ...]
    columns: frozenset[str]
    parameters: dict[str, Any]
    checks: tuple[Check, ...]

    @property
    def where(self) -> str:
        """The conditions as a clause, which may be empty."""
        return f" where {' and '.join(self.conditions)}" if self.conditions else ""

    def hold(self, parameters: str | None) -> bool:
        """Whether a row's parameters are what is searched for."""
        return all(check(parameters or "") for check in self.checks)

    def enqueued_by(self, moment: int | None) -> Filters:
        """The same for those jobs that were enqueued by then (microseconds), for all of them with None."""
        if moment is None:
            return self
        conditions = (*self.conditions, "enqueued_at <= :enqueued_by")
        parameters = {**self.parameters, "enqueued_by": moment}
        return replace(self, conditions=conditions, columns=self.columns | {"enqueued_at"}, parameters=parameters)


def make_filters(query: Query, now: int, *, without: Sequence[str] = ()) -> Filters:
    """The conditions of a search, apart from those fields that the caller sees to by itself."""
    maker = _Maker(now)
    if "status" not in without and query.statuses != STATUSES:
        maker.add(Term("status", query.statuses))
    for field in _MERGED:
        terms = [term for term in query.of(field) if not term.negated and term.comparison == "="]
        if terms and field not in without:
            values = tuple(value for term in terms for value in term.values)
            maker.add(Term(field, values))
    for term in query.terms:
        merged = term.field in _MERGED and not term.negated and term.comparison == "="
        if not merged and term.field not in ("status", *without):
            maker.add(term)
    return maker.filters()


class _Maker:
    """Collects conditions, and numbers their parameters: `:p0`, `:p1`."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._conditions: list[str] = []
        self._columns: set[str] = set()
        self._values: dict[str, Any] = {}
        self._checks: list[Check] = []

    def filters(self) -> Filters:
        return Filters(tuple(self._conditions), frozenset(self._columns), self._values, tuple(self._checks))

    def add(self, term: Term) -> None:
        condition = " or ".join(self._alternative(term, value) for value in term.values) or "1 = 0"
        if term.field == "parameters":
            check = _parameter_check(term)
            self._checks.append((lambda text: not check(text)) if term.negated else check)
            if term.negated:  # what SQL looks over finds too much, so it cannot exclude
                self._columns.add("parameters")
                return
        self._conditions.append(f"({condition}) is not true" if term.negated else f"({condition})")

    def _alternative(self, term: Term, value: str) -> str:
        if term.field in ("queue", "status"):
            return f"{self._column(term.field)} = {self._parameter(value)}"
        if term.field in ("priority", "attempts"):
            return f"{self._column(term.field)} {term.comparison} {self._parameter(int(value))}"
        if term.field in ("after", "before"):
            moment = self._parameter(_moment(value, self._now))
            return f"{self._column('enqueued_at')} {'>=' if term.field == 'after' else '<'} {moment}"
        if term.field == "parameters":
            return self._parameter_holds(term, value)
        if term.field == "path":
            self._columns.add("name")
            self._values["name"] = value
            return "{in_path}"
        found = [self._holds(column, value) for column in _LOOKED_INTO[term.field]]
        if term.field in ("text", "label") and value.isascii():
            found.append(f"{self._column('id')} = {self._parameter(value.lower())}")
        return " or ".join(found)

    def _holds(self, column: str, value: str) -> str:
        return f"{{position(}}lower(coalesce({self._column(column)}, '')), lower({self._parameter(value)})) > 0"

    def _parameter_holds(self, term: Term, value: str) -> str:
        looked_for = [msgspec.json.encode(term.path[-1]).decode()] if not term.path[-1].isdigit() else []
        if _WRITTEN_AS_IT_IS.fullmatch(value):
            looked_for.append(value)
        found = [self._holds("parameters", text) for text in looked_for if text.isascii()]
        return f"({' and '.join(found) or '1 = 1'})"

    def _column(self, name: str) -> str:
        self._columns.add(name)
        return name

    def _parameter(self, value: object) -> str:
        name = f"p{len(self._values)}"
        self._values[name] = value
        return f":{name}"


def _moment(value: str, now: int) -> int:
    ago = seconds_ago(value)
    if ago is not None:
        return now - ago * 1_000_000
    return to_microseconds(datetime.fromisoformat(value).replace(tzinfo=UTC))


def _parameter_check(term: Term) -> Check:
    def check(text: str) -> bool:
        try:
            return matches(msgspec.json.decode(text))
        except (msgspec.DecodeError, RecursionError):
            return False

    def matches(found: Any) -> bool:
        for part in term.path:
            if isinstance(found, dict):
                found = found.get(part, _ABSENT)
            elif isinstance(found, list) and part.isascii() and part.isdigit() and int(part) < len(found):
                found = found[int(part)]
            else:
                return False
        items = found if isinstance(found, list) else ()
        return any(_equal(each, value) for each in (found, *items) for value in term.values)

    return check


_ABSENT: Final = object()


def _equal(found: object, value: str) -> bool:
    if found is _ABSENT:
        return False
    if isinstance(found, str):
        return found.lower() == value.lower()
    return msgspec.json.encode(found).decode() == value
