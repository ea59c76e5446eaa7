"""The job that does nothing: what is measured is everything around it."""

from __future__ import annotations


def noop(n: int) -> None:
    """Do nothing with a number."""
