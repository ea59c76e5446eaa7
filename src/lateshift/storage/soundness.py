"""Rows by other hands: SQLite keeps a value of any type in any column, and nobody may stumble over one."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import Any, Final, cast

import msgspec

Kind = type | tuple[type, ...]

TEXT: Final = (str, NoneType)
WHOLE: Final = (int, NoneType)
REAL: Final = (float, int, NoneType)

LARGEST: Final = 2**62

_OF_LANE: Final[tuple[Kind, ...]] = (str, int, str, str, int, int, int, int, int, TEXT)

CLAIMED: Final[tuple[Kind, ...]] = (*_OF_LANE, str, str, int)
"""The columns of a `Claimed`."""

LaneRow = tuple[str, int, str, str, int, int, int, int, int, str | None]
"""Those that the lane does not tell."""


class _LaneRows(msgspec.Struct, array_like=True):
    """A class, since msgspec takes 6 us to understand any other type, and that each time."""

    rows: list[LaneRow]


def sound_of_lane(rows: Sequence[Sequence[Any]]) -> list[LaneRow]:
    """`sound` for what was claimed from a lane: where all are, as ever, in a fifth of the time."""
    try:
        return msgspec.convert((rows,), _LaneRows).rows
    except msgspec.ValidationError:
        return cast("list[LaneRow]", [sound(row, _OF_LANE) for row in rows])


def sound(row: Sequence[Any], kinds: Sequence[Kind]) -> Sequence[Any]:
    """The row, in which each value is of its column's kind; one that is not becomes what is nearest to it."""
    if all(map(isinstance, row, kinds)):
        return row
    return tuple(
        value if isinstance(value, kind) else _nearest(value, kind) for value, kind in zip(row, kinds, strict=True)
    )


def whole(number: float) -> int:
    """The whole part, within 64 bits: SQLite makes a float of the largest number, plus one, and knows the infinite."""
    return int(max(-LARGEST, min(number, LARGEST)))


def _nearest(value: object, kind: Kind) -> object:
    """Text for anything where text belongs; where a number does, its whole part, else 0, or None if that may be."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if str in kinds:
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    if isinstance(value, float):
        return whole(value)
    return None if NoneType in kinds else 0
