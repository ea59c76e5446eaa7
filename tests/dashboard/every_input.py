"""A job with a parameter of each kind that the form for new jobs has an input for."""

from datetime import date, datetime
from enum import Enum
from typing import Any


class Paper(Enum):
    """What to print on."""

    A4 = "a4"
    LETTER = "letter"


def report(
    month: date,
    recipient: str,
    copies: int = 1,
    rate: float = 0.19,
    paper: Paper = Paper.A4,
    *,
    draft: bool = False,
    send_at: datetime | None = None,
    filters: Any = None,
) -> None:
    """Writes the report of a month and sends it to whoever asked for it."""
