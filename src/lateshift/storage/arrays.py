"""Rows as arrays of PostgreSQL: one statement stores or settles hundreds of jobs."""

from __future__ import annotations

from collections.abc import Sequence

from lateshift.storage.database import Parameters
from lateshift.storage.dialect import as_columns


def as_arrays(rows: Sequence[Parameters], names: Sequence[str]) -> dict[str, str]:
    """Rows as one array literal for each column; psycopg's own way takes ten times as long for lists of text."""
    return {name: "{" + _elements(values) + "}" for name, values in as_columns(rows, names).items()}


def _elements(values: list[object]) -> str:
    """Most columns have one type and nothing to escape: those take a fifth of the time."""
    kinds = set(map(type, values))
    if kinds == {int}:
        return str(values)[1:-1]
    if kinds == {str}:
        quoted = '"' + '","'.join(map(str, values)) + '"'
        if "\\" not in quoted and quoted.count('"') == 2 * len(values):
            return quoted
    return ",".join(map(_element, values))


def _element(value: object) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "null" if value is None else str(value)
