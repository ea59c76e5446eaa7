"""What is typed into the search box, read into terms: pure, and it says where it stopped understanding.

    status:failed error:timeout -queue:mail name:"app.jobs.Send Receipt" attempts:>2 parameters.order_id:42 after:2h

Terms are joined by "and"; several of one field that are not negated, and values with commas between them, by "or".
Quotes keep spaces together; a minus negates; a word without a field looks into names, parameters and errors.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Final, Literal

from lateshift.errors import InvalidSearch
from lateshift.job import FINISHED, STATUSES, WAITING

Comparison = Literal["=", ">", ">=", "<", "<="]

LONGEST: Final = 1_000
MOST_TERMS: Final = 30

WORDS: Final = ("id", "queue", "status", "name", "worker", "error", "fingerprint")
NUMBERS: Final = ("priority", "attempts")
MOMENTS: Final = ("after", "before")
FIELDS: Final = (*WORDS, *NUMBERS, *MOMENTS, "parameters")
"""What may stand before a colon; `parameters` with the path of a value behind it."""

GROUPS: Final = {"waiting": WAITING, "finished": FINISHED}
"""Words that stand for several statuses."""

_NEGATED_TOO: Final = ("queue", "status", "name", "worker", "error", "priority", "attempts", "parameters", "text")
_FIELD: Final = re.compile(r"([A-Za-z_]+)((?:\.[^\s:\"]*)?):")
_COMPARISON: Final = re.compile(r"(>=|<=|>|<|=)?(.*)", re.DOTALL)
_AGO: Final = re.compile(r"(\d{1,6})(s|m|h|d|w)")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?)?")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_QUOTE_OR_COMMA: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|$)|,', re.DOTALL)
_PLAIN: Final = re.compile(r'[^\s",\\]+')
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. `field` is one of `FIELDS`, or "text" for a word alone; `path` leads to a value in parameters.

    A word that must not look into parameters has the field "label". What lists of jobs take as a name has "path": whole
    segments of it, in one term with one value. `values` are alternatives. `start` and `end` tell where it stands in the
    text.
    """

    field: str
    values: tuple[str, ...]
    comparison: Comparison = "="
    negated: bool = False
    path: tuple[str, ...] = ()
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """A search as it is understood; `text` is how it was written."""

    terms: tuple[Term, ...] = ()
    text: str = ""

    def of(self, field: str) -> tuple[Term, ...]:
        """The terms of one field."""
        return tuple(term for term in self.terms if term.field == field)

    @property
    def statuses(self) -> tuple[str, ...]:
        """The statuses that a job may have to match; all six when the search does not say."""
        chosen = {status for term in self.of("status") if not term.negated for status in term.values}
        without = {status for term in self.of("status") if term.negated for status in term.values}
        return tuple(status for status in STATUSES if status in (chosen or STATUSES) and status not in without)

    def without(self, *fields: str) -> Query:
        """The same search without the terms of some fields."""
        return Query(tuple(term for term in self.terms if term.field not in fields), self.text)

    def labels_only(self) -> Query:
        """The same search with words that do not look into parameters: for who may not see all that is there."""
        terms = (replace(term, field="label") if term.field == "text" else term for term in self.terms)
        return Query(tuple(terms), self.text)

    def narrowed(self, statuses: Sequence[str]) -> Query:
        """The same search among the jobs of some statuses."""
        left = tuple(status for status in self.statuses if status in statuses) or ("",)
        return Query((*self.without("status").terms, Term("status", left)), self.text)


@dataclass(frozen=True, slots=True)
class Place:
    """What is being typed at the caret: the value of a `field`, or (None) the beginning of a term; `typed` so far.

    What replaces it goes from `start` to `end`.
    """

    field: str | None
    typed: str
    start: int
    end: int


def parse(text: str) -> Query:
    """Read a search. Raises InvalidSearch, which says what is wrong and where."""
    if len(text) > LONGEST:
        raise InvalidSearch(f"The search has {len(text):,} characters: {LONGEST:,} are the most.", LONGEST, len(text))
    if (found := _FORBIDDEN.search(text)) is not None:
        raise InvalidSearch("The search holds a character that cannot be printed.", found.start(), found.end())
    terms = tuple(_term(text, start, end) for start, end in _pieces(text))
    if len(terms) > MOST_TERMS:
        raise InvalidSearch(f"The search has {len(terms)} terms: {MOST_TERMS} are the most.", 0, len(text))
    return Query(terms, text)


def write(terms: Sequence[Term]) -> str:
    """The text that reads back as these terms."""
    return " ".join(map(_written, terms))


def place_at(text: str, caret: int) -> Place:
    """What is being typed where the caret stands; never fails."""
    for start, end in _pieces(text, lenient=True):
        if start <= caret <= end:
            begin = start + (text[start] == "-")
            field = _FIELD.match(text, begin)
            if field is not None and caret >= field.end():
                name = (field[1] + field[2]).lower()
                begin = max([field.end(), *(at + 1 for at in _commas(text, field.end(), caret))])
                return Place(name, text[begin:caret].strip('"'), begin, end)
            return Place(None, text[begin:caret].strip('"'), begin, end)
    return Place(None, "", caret, caret)


def _pieces(text: str, *, lenient: bool = False) -> list[tuple[int, int]]:
    """Where each term begins and ends; a quote keeps what is inside together."""
    pieces, start, quoted, position = [], -1, -1, 0
    while position < len(text):
        character = text[position]
        if quoted >= 0:
            if character == "\\":
                position += 1
            elif character == '"':
                quoted = -1
        elif character.isspace():
            if start >= 0:
                pieces.append((start, position))
            start = -1
        else:
            start = position if start < 0 else start
            quoted = position if character == '"' else -1
        position += 1
    if quoted >= 0 and not lenient:
        raise InvalidSearch("A quote is opened here and never closed.", quoted, len(text))
    return pieces if start < 0 else [*pieces, (start, len(text))]


def _term(text: str, start: int, end: int) -> Term:
    negated = text[start] == "-" and end > start + 1
    begin = start + negated
    found = _FIELD.match(text, begin, end)
    if found is None:
        return Term("text", (_unquoted(text[begin:end]),), "=", negated, (), start, end)
    field, path = found[1].lower(), tuple(part for part in found[2].split(".")[1:])
    raw = text[found.end() : end]
    _check_field(field, path, found[0], begin, found.end())
    if not raw:
        raise InvalidSearch(f"{found[0]} stands without a value: write for example {_example(field)}.", start, end)
    if negated and field not in _NEGATED_TOO:
        raise InvalidSearch(f"{field}: cannot be negated.", start, end)
    comparison, values = _values(field, raw, found.end(), end)
    return Term(field, values, comparison, negated, path, start, end)


def _check_field(field: str, path: tuple[str, ...], written: str, start: int, end: int) -> None:
    if field not in FIELDS:
        near = difflib.get_close_matches(field, FIELDS, 1)
        hint = f"Did you mean {near[0]}:?" if near else f"Known are {', '.join(FIELDS)}."
        raise InvalidSearch(
            f"There is no field {field!r}. {hint} To search for a text with a colon, put it in quotes.", start, end
        )
    if field == "parameters" and (not path or not all(path)):
        raise InvalidSearch("Say which parameter: parameters.order_id:42, parameters.customer.name:Ada.", start, end)
    if field != "parameters" and path:
        raise InvalidSearch(f"{written} has a path, which only parameters have.", start, end)


def _values(field: str, raw: str, start: int, end: int) -> tuple[Comparison, tuple[str, ...]]:
    comparison: Comparison = "="
    if field in NUMBERS:
        found = _COMPARISON.fullmatch(raw)
        comparison, raw = (found[1] or "=", found[2]) if found else ("=", raw)  # type: ignore[assignment]
    commas = [] if field in ("parameters", "error", *MOMENTS) else _commas(raw, 0, len(raw))
    values = [_unquoted(raw[before + 1 : comma]) for before, comma in pairwise([-1, *commas, len(raw)])]
    for value in values:
        _check_value(field, value, start, end)
    if field == "status":
        values = [status for value in values for status in GROUPS.get(value.lower(), (value.lower(),))]
    return comparison, tuple(dict.fromkeys(values))


def _check_value(field: str, value: str, start: int, end: int) -> None:
    if not value and field != "parameters":
        raise InvalidSearch(f"{field}: has an empty value.", start, end)
    if field in NUMBERS and not re.fullmatch(r"\d{1,9}", value, re.ASCII):
        raise InvalidSearch(f"{field}: takes a whole number, as in {_example(field)}; this is {value!r}.", start, end)
    if field == "status" and value.lower() not in (*STATUSES, *GROUPS):
        raise InvalidSearch(f"There is no status {value!r}: known are {', '.join((*STATUSES, *GROUPS))}.", start, end)
    if field in ("id", "fingerprint") and not re.fullmatch(r"[0-9A-Za-z-]{1,36}", value, re.ASCII):
        raise InvalidSearch(f"{field}: takes letters, digits and dashes of an id; this is {value!r}.", start, end)
    if field in MOMENTS and not (_AGO.fullmatch(value) or _is_moment(value)):
        raise InvalidSearch(
            f"{field}: takes an age (30m, 2h, 7d) or a moment in UTC (2026-01-31T08:30); this is {value!r}.",
            start,
            end,
        )


def _is_moment(value: str) -> bool:
    try:
        return bool(_MOMENT.fullmatch(value) and datetime.fromisoformat(value))
    except ValueError:  # the 31st of June
        return False


def seconds_ago(value: str) -> int | None:
    """The seconds that an age such as `2h` means; None for a moment in the calendar."""
    found = _AGO.fullmatch(value)
    return int(found[1]) * _SECONDS[found[2]] if found else None


def _commas(text: str, start: int, end: int) -> list[int]:
    """Where commas stand that are in no quotes."""
    return [found.start() for found in _QUOTE_OR_COMMA.finditer(text, start, end) if found[0] == ","]


def _unquoted(raw: str) -> str:
    """A value without its quotes; a backslash in them keeps the character behind it."""
    if len(raw) >= 2 and raw[0] == raw[-1] == '"':
        return re.sub(r"\\(.)", r"\1", raw[1:-1], flags=re.DOTALL)
    return raw


def written(value: str) -> str:
    """A value as it stands behind its field: in quotes, where it needs them."""
    return value if _PLAIN.fullmatch(value) else _quoted(value)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _written(term: Term) -> str:
    minus = "-" if term.negated else ""
    if term.field == "text":
        return minus + _quoted(term.values[0])
    field = ".".join((term.field, *term.path))
    values = map(_quoted if term.path else written, term.values)
    comparison = "" if term.comparison == "=" else term.comparison
    return f"{minus}{field}:{comparison}{','.join(values)}"


def _example(field: str) -> str:
    return {"priority": "priority:>5", "attempts": "attempts:>2", "status": "status:failed", "after": "after:2h"}.get(
        field, f"{field}:mail" if field == "queue" else f"{field}:..."
    )
