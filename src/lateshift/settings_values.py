"""What the value of a setting may be: each kind takes what was found, text or typed, and returns it checked.

A kind raises ValueError with what is expected and, if it helps, an example; the caller adds the name and the source.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from lateshift.allowlist import check_entry

Kind = Callable[[Any], Any]

_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SQLITE: Final = "sqlite:///"


def whole(least: int, most: int) -> Kind:
    """A whole number in a range."""

    def read(value: Any) -> int:
        if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
            value = int(value) if len(value) < 30 else most + 1
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return value

    return read


def number(least: float, most: float, unit: float = 1.0) -> Kind:
    """A number in a range, or a timedelta; `unit` is what the number counts, in seconds."""

    def read(value: Any) -> float:
        try:
            result = value.total_seconds() / unit if isinstance(value, timedelta) else float(value)
        except (TypeError, ValueError, OverflowError):
            result = math.nan
        odd = isinstance(value, bool) or (isinstance(value, str) and "_" in value)  # 1_0 is how Python writes numbers
        if odd or not least <= result <= most:  # NaN fails each comparison
            raise ValueError(f"expected a number from {least:.12g} to {most:.12g}")
        return result

    return read


def or_none(kind: Kind) -> Kind:
    """Another kind, or "none" for no value."""

    def read(value: Any) -> Any:
        if value is None or (isinstance(value, str) and value.strip().lower() == "none"):
            return None
        try:
            return kind(value)
        except ValueError as error:
            raise ValueError(f'{error}, or "none"') from None

    return read


def one_of(*words: str) -> Kind:
    """One of a few words, in either case."""

    def read(value: Any) -> str:
        for word in words:
            if isinstance(value, str) and value.strip().lower() == word.lower():
                return word
        raise ValueError(f"expected one of {', '.join(words)}")

    return read


def packages(value: Any) -> tuple[str, ...]:
    """Dotted names, separated by commas or in a list."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, Iterable):
        raise ValueError("expected dotted names such as app.jobs,app.services")  # noqa: TRY004 - as all kinds do
    names = [name for item in items if (name := item.strip() if isinstance(item, str) else item) != ""]
    if not names:
        raise ValueError("it names no package, so no job could run; write for example app.jobs")
    for name in names:
        check_entry(name)
    return tuple(dict.fromkeys(names))


def label(value: Any) -> str:
    """A short text on one line."""
    if not isinstance(value, str) or len(value.strip()) > 100 or not value.strip().isprintable():
        raise ValueError("expected up to 100 characters on one line")
    return value.strip()


def flag(value: Any) -> bool:
    """Yes or no, in the words that people use for it."""
    words = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.strip().lower() not in words:
        raise ValueError("expected yes or no")
    return words[value.strip().lower()]


def text(value: Any) -> str:
    """Any text that says something."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected a text")
    return value.strip()


def secret(value: Any) -> str:
    """A text that cannot be guessed."""
    found = text(value)
    if len(found) < 16:
        raise ValueError(
            'expected 16 characters or more, as `python -c "import secrets; print(secrets.token_hex())"` prints'
        )
    return found


def names(value: Any) -> tuple[str, ...]:
    """Texts separated by commas or in a list; "none" for no one."""
    items = value.split(",") if isinstance(value, str) else value
    items = list(items) if isinstance(items, Iterable) else [items]
    if not all(isinstance(item, str) for item in items):
        raise ValueError("expected names, separated by commas")
    found = tuple(dict.fromkeys(item.strip() for item in items if item.strip()))
    return () if found == ("none",) else found


def patterns(value: Any) -> tuple[str, ...]:
    """Names in small letters, with `*` for anything."""
    return tuple(name.lower() for name in names(value))


def addresses(value: Any) -> tuple[str, ...]:
    """IP addresses or networks."""
    import ipaddress  # only who has a proxy pays for it

    found = names(value)
    for item in found:
        try:
            ipaddress.ip_network(item, strict=False)
        except ValueError:
            raise ValueError(f"{item!r} is no IP address or network such as 10.0.0.5 or 10.0.0.0/8") from None
    return found


def header(value: Any) -> str:
    """The name of an HTTP header."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", value.strip()):
        raise ValueError("expected the name of a header such as X-Forwarded-User")
    return value.strip()


def identifier(value: Any) -> str:
    """A name that every database takes without quotes."""
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value.strip()):
        raise ValueError("expected up to 40 lower case letters, digits and _, with a letter first")
    return value.strip()


def path(value: Any) -> Path:
    """A file or folder; `~` is the user's home."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise ValueError("expected a path")
    if "\0" in os.fspath(value):
        raise ValueError("a path holds no NUL character")
    _refuse_no_name(os.fspath(value))
    return expanded(Path(value))


def _refuse_no_name(name: str) -> None:
    """Python keeps bytes of a path that are no text as halves of surrogate pairs, which JSON and databases refuse.

    Windows has no names with control characters, as `.env` makes them of backslashes.
    """
    if os.name == "nt" and any(character < " " for character in name):
        raise ValueError(r"in double quotes a backslash begins something else, as \t a tab: write / or single quotes")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError("its name has to be UTF-8 text, so that worker processes can be told of it") from None


def expanded(value: Path) -> Path:
    """A path with the user's home in place of `~`. Raises ValueError if there is none."""
    try:
        return value.expanduser()
    except RuntimeError:
        raise ValueError("nobody knows the home folder that its ~ stands for, so write the whole path") from None


def url(value: Any) -> str:
    """The address of a database."""
    if not isinstance(value, str) or "://" not in value:
        raise ValueError("expected a URL such as sqlite:///storage/lateshift.db or postgresql://user@host/name")
    text = value.strip()
    if not text.startswith("sqlite:"):
        return text
    if not text.startswith(_SQLITE):
        raise ValueError("an SQLite URL has three slashes before a relative path and four before an absolute one")
    if text.removeprefix(_SQLITE) in ("", ":memory:"):
        raise ValueError("jobs need a file that other processes can open, such as sqlite:///storage/lateshift.db")
    if "?" in text:
        raise ValueError("an SQLite URL is a path only: it takes no options after a ?, and no ? in a name")
    _refuse_no_name(text)
    expanded(Path(text.removeprefix(_SQLITE)))
    return text


def absolute(value: Path, root: Path) -> Path:
    """A path made absolute against a folder."""
    return Path(os.path.abspath(root / value))  # see Settings


def absolute_url(value: str, root: Path) -> str:
    """The URL of an SQLite file with its path made absolute; any other URL as it is."""
    if not value.startswith(_SQLITE):
        return value
    return _SQLITE + str(absolute(expanded(Path(value.removeprefix(_SQLITE))), root)).replace("\\", "/")
