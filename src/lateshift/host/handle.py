"""An open file by its number, for several threads, and not for a forked child."""

from __future__ import annotations

import os
from collections.abc import Callable

from lateshift.host import forks


class Handle:
    """An open file; closed when the last thread has let go of this: any sooner, its number may be another file's.

    So may it be in a forked child, as a program that becomes a daemon closes whatever is open: there the handle is not
    `own`, and neither to be used nor closed.
    """

    __slots__ = ("_forks", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self._forks = forks.count

    @property
    def own(self) -> bool:
        """Whether this process has opened it."""
        return self._forks == forks.count

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        """Close the file."""
        if self._forks == forks.count:
            close(self.number)
