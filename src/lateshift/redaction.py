"""The values that LATESHIFT_REDACT keeps out of error messages, logs and what viewers of the dashboard see."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from lateshift.codec import TOO_DEEP, encode_hook
from lateshift.texts import of_type, shown

HIDDEN: Final = "••••••"

MOST_LEVELS: Final = 100
"""Levels of lists and dicts that are looked through: far from where Python gives up, wherever it is called from."""


def is_hidden(name: object, patterns: Sequence[str]) -> bool:
    """Whether what has this name is not to be shown."""
    lowered = str(name).lower()
    return any(fnmatchcase(lowered, pattern) for pattern in patterns)


def redact(value: Any, patterns: Sequence[str], levels: int = MOST_LEVELS) -> Any:
    """A value with what is under such a name hidden; of an object with parts only the type is left.

    Raises RecursionError for what has more levels than that, or contains itself.
    """
    if not patterns:
        return value
    if not levels:
        raise RecursionError(TOO_DEEP)
    if isinstance(value, dict):
        return {
            name: HIDDEN if is_hidden(name, patterns) else redact(inner, patterns, levels - 1)
            for name, inner in value.items()
        }
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(redact(inner, patterns, levels - 1) for inner in value)
    return value if _has_no_parts(value) else _OfType(value)


def for_viewers(value: Any, patterns: Sequence[str]) -> Any:
    """Parameters or a result redacted; where they are nested too deep to be looked through, all values are hidden."""
    try:
        return redact(value, patterns)
    except RecursionError:
        return dict.fromkeys(value, HIDDEN) if isinstance(value, dict) else HIDDEN


def told(value: Any, patterns: Sequence[str]) -> str:
    """A value for a message: redacted and shortened."""
    try:
        return shown(redact(value, patterns))
    except RecursionError:  # it contains itself, or is nested too deep
        return repr(_OfType(value))


def mask(text: str, value: Any, patterns: Sequence[str]) -> str:
    """What somebody says about a value, such as the user's own type that refuses it, without what is hidden in it."""
    with contextlib.suppress(Exception):  # what JSON cannot hold is looked through as it is
        value = msgspec.to_builtins(value, enc_hook=encode_hook)
    try:
        hidden = set(_hidden(value, patterns))
    except RecursionError:
        return TOO_DEEP
    lowered = text.lower()
    for part in sorted((part for part in hidden if part.lower() in lowered), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", HIDDEN, text, flags=re.IGNORECASE)
    return text


class _OfType:
    """Stands for an object of which a message shows the type only."""

    def __init__(self, value: object) -> None:
        self._told = of_type(value)

    def __repr__(self) -> str:
        return self._told


def _has_no_parts(value: object) -> bool:
    """Whether a value is a text, a number, a date or the like, which has nothing in it that could have a name."""
    try:
        return isinstance(msgspec.to_builtins(value, enc_hook=encode_hook), str | int | float | None)
    except Exception:  # nothing that JSON can hold, so nobody knows
        return False


def _hidden(value: Any, patterns: Sequence[str], *, inside: bool = False) -> Iterator[str]:
    """The texts and numbers under hidden names, line by line and as Python writes them, as messages may have them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _hidden(inner, patterns, inside=inside or is_hidden(name, patterns))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _hidden(inner, patterns, inside=inside)
    elif inside and not isinstance(value, bool | None):
        text = f"{value}\n{repr(value)[1:-1]}" if isinstance(value, str) else shown(value)
        yield from filter(None, map(str.strip, text.splitlines()))
