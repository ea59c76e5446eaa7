"""Text from outside, made so that every database can hold it."""

from __future__ import annotations


def storable(text: str) -> str:
    """The text without lone surrogates and NULs, which are written as in a Python string."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
