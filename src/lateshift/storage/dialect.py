"""What differs between the databases, as one value for each.

A statement is written once, with `:name` parameters and our table names, in SQL that all of them accept. Where they do
not agree it holds a word in braces, which `render` replaces by the database's own:

    {row}                  what finds a row fastest within a statement
    {age}                  what orders rows by age, with an index
    {waiting}              the rows that wait to be claimed, in the form that the waiting index serves
    {lock}                 after a select whose rows are about to be changed
    {skip_locked}          the same, leaving out what others have locked
    {among ids}            whether the column is one of :ids
    {first(} ... {)}       around a select with a limit, after a column: the column is in what it gives
    {on_conflict(a, b)}    after an insert: where a row with these keys is there, set what follows
    {new(x)}               there, the value that was to be inserted
    {schema}               the name of the schema, where there is one
    {in_path}              whether the dotted name holds :name as a whole part
    {position(}            the function that tells where in a text another is, from 1, or 0
    {retry}                what an index has the waiting retries in the order of: when they are due, or their age
    {div}                  between two whole numbers: division, to a whole number
    {seq_once}             whether two rows must not have the same `seq`
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Final

import msgspec

PARAMETER: Final = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")
TABLES: Final = (
    *("jobs", "attempts", "logs", "workers", "queues", "statistics", "meta"),
    *("tallies", "history", "groups", "failures", "requests", "trash", "audit", "marks"),
)
_NAME: Final = re.compile(rf"\blateshift_(?:(?P<table>{'|'.join(TABLES)})|(?P<index>[a-z]+_[a-z]+))\b")
_ON_CONFLICT: Final = re.compile(r"\{on_conflict\((.*?)\)\}")
_NEW: Final = re.compile(r"\{new\((.*?)\)\}")


def as_columns(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    """Rows as one list for each of these columns."""
    return {name: [row[name] for row in rows] for name in names}


@cache
def names_in(sql: str) -> tuple[str, ...]:
    """The names of a statement's parameters."""
    return tuple(dict.fromkeys(PARAMETER.findall(sql)))


Numbered = tuple[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]]
"""A statement that has numbers for its parameters, and what picks their values from a row."""


def numbered(sql: str) -> Numbered:
    """A statement with `:name` parameters in that form.

    SQLite's driver looks up each name in each row, which was 0.6 of 5.4 µs when it settled a job.
    """
    names = names_in(sql)
    text = PARAMETER.sub(lambda found: f"?{names.index(found[1]) + 1}", sql)
    if len(names) > 1:
        return text, itemgetter(*names)
    return text, lambda row: tuple(row[name] for name in names)


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One database's way of saying things; `tables` is what stands before the bare name of each table."""

    name: str
    tables: str
    indexes: str = ""
    parameter: str
    words: Mapping[str, str]
    on_conflict: str
    new: str
    returning: bool = True
    types: Mapping[str, str]
    batches: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Statements of its own that write a whole batch at once, by what they are for: the exceptions to the rule."""
    pack: Callable[[Sequence[Mapping[str, Any]], Sequence[str]], Mapping[str, Any]] = as_columns
    """What turns rows into the parameters of such a statement, which have these names."""
    whereabouts: str
    """The statement that tells which database a connection leads to, in rows that end with a name."""
    silence: tuple[str, str] = ("", "")
    """The statements that limit how long the server waits for the next one in a transaction, and that take it back."""
    announce: str = ""
    """The statement that tells those who listen of new jobs, at the commit; empty where that cannot be."""

    def render(self, sql: str) -> str:
        """A statement in this database's own words."""
        sql = _NAME.sub(self._name, sql)  # before anything puts in names of the user's, which may begin like ours
        sql = _ON_CONFLICT.sub(lambda found: self.on_conflict.format(keys=found[1]), sql)
        sql = _NEW.sub(lambda found: self.new.format(column=found[1]), sql)
        for word, meaning in self.words.items():
            sql = sql.replace(word, meaning)
        return PARAMETER.sub(lambda found: self.parameter.format(name=found[1]), sql)

    def render_schema(self, sql: str) -> str:
        """A statement of a migration, with this database's types."""
        for word, meaning in self.types.items():
            sql = sql.replace(f"{{{word}}}", meaning)
        return self.render(sql).strip()

    def _name(self, found: re.Match[str]) -> str:
        return f"{self.tables}{found['table']}" if found["table"] else f"{self.indexes}{found['index']}"
