"""What was counted since a moment, by queue: for counters that only grow.

One statement reads the history and what is not folded into it yet: between two, a fold would hide what it moves.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from lateshift.storage.database import Database
from lateshift.storage.tallies import COLUMNS, Sums

DAY: Final = 1440


def totals(db: Database, first: int) -> dict[str, Sums]:
    """Counts of each queue since the beginning of a day, which is `first`, in minutes since 1970."""
    rows = db.query(
        f"select queue, {COLUMNS} from lateshift_history"
        " where span = :day and start >= :first and name = '' and queue <> ''"
        f" union all select queue, {COLUMNS} from lateshift_tallies where minute >= :first",
        {"day": DAY, "first": first},
    )
    sums: dict[str, Sums] = defaultdict(Sums)
    for queue, *counts in rows:
        sums[queue].add_row(tuple(counts))
    return dict(sums)
