"""An open file by its number, for several threads."""

from __future__ import annotations

import os
from collections.abc import Callable


class Handle:
    """An open file; closed when the last thread has let go of this: any sooner, its number may be another file's."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        """Close the file."""
        close(self.number)
