"""The pages of the rail, in order."""

from __future__ import annotations

from typing import Final, NamedTuple


class Section(NamedTuple):
    """An entry of the rail; `key` is the letter that leads there after `g`."""

    name: str
    title: str
    path: str
    icon: str
    key: str


SECTIONS: Final = (
    Section("overview", "Overview", "/", "activity", "o"),
    Section("jobs", "Jobs", "/jobs", "jobs", "j"),
    Section("errors", "Errors", "/errors", "errors", "e"),
    Section("queues", "Queues", "/queues", "queues", "q"),
    Section("callables", "Callables", "/callables", "callables", "c"),
    Section("workers", "Workers", "/workers", "workers", "w"),
    Section("doctor", "Doctor", "/doctor", "doctor", "d"),
    Section("audit", "Audit log", "/audit", "audit", "a"),
)
