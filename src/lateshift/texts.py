"""Text from outside, made so that every database can hold it, and sizes as text."""

from __future__ import annotations


def storable(text: str) -> str:
    """The text without lone surrogates and NULs, which are written as in a Python string."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def megabytes(size: int) -> str:
    """Bytes of memory for people, with the unit that `max_memory` takes: 213M."""
    return f"{size / 1024**2:,.0f}M"
