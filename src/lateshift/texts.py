"""Text from outside, made so that every database can hold it; values and sizes as text."""

from __future__ import annotations

import re
from typing import Final

_SHOWN: Final = 60
"""Characters of a bad value that a message shows."""


def storable(text: str) -> str:
    """The text without lone surrogates and NULs, which are written as in a Python string."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def in_three_bytes(json: str) -> str:
    """JSON with escapes for the characters that MySQL's old `utf8` has no room for.

    A connection that speaks it makes question marks of them where its SQL mode is not strict.
    """

    def escaped(found: re.Match[str]) -> str:
        units = found[0].encode("utf-16-be").hex()
        return f"\\u{units[:4]}\\u{units[4:]}"

    return re.sub("[\U00010000-\U0010ffff]", escaped, json)


def is_id(text: str) -> bool:
    """Whether a text may be an id that was made here: these are ASCII, and servers refuse to look for others."""
    return text.isascii() and "\x00" not in text


def megabytes(size: int) -> str:
    """Bytes of memory for people, with the unit that `max_memory` takes: 213M."""
    return f"{size / 1024**2:,.0f}M"


def type_name(kind: type) -> str:
    """The dotted name of a type, without a module for those that are built in."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def of_type(value: object) -> str:
    """What stands for a value of which only the type is told: an Order, a str."""
    name = type(value).__qualname__
    return f"{'an' if name[0].lower() in 'aeio' else 'a'} {name}"


def shown(value: object) -> str:
    """A value for a message, shortened."""
    try:
        text = repr(value)
    except Exception:  # a broken __repr__ in the user's type, or a number of more digits than Python writes
        text = of_type(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
