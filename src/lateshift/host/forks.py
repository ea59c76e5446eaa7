"""How often this process and its ancestors since the import were forked off: a number that differs is another process.

To ask for the process's id instead, at each job, cost 7 % of a worker's time.
"""

from __future__ import annotations

import os

count = 0


def _note() -> None:
    global count  # noqa: PLW0603 - a fact about this process
    count += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note)
