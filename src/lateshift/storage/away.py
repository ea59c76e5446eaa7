"""Why a database server is not to be had at the moment, in words, and what to do."""

from __future__ import annotations

import re
from typing import Final

_KNOWN: Final = (
    (
        r"^53300|too many (clients|connections)|connection slots|max_client_conn|^ (1040|1203|1226): ",
        "has no connection left for us",
        (
            "Raise its limit (max_connections, or that of the user, the database or the pooler), or open fewer: a "
            "worker process holds one, on PostgreSQL two; other programs up to LATESHIFT_POOL in each process."
        ),
    ),
    (
        r"^25006|^ (1290|1792|1836): ",
        "can only be read",
        (
            "It is a standby, or read-only by a setting (default_transaction_read_only on PostgreSQL, read_only on "
            "MySQL and MariaDB). Name the primary in LATESHIFT_DATABASE_URL, or change the setting."
        ),
    ),
    (
        r"^53100|No space left on device|^ (\d{1,3}|1021|1026|1030|1034|1114|1878): ",
        "cannot write its files",
        "Free space on the disks of the server, that of its temporary files too; its own log tells more.",
    ),
    (
        r"no answer within|during query \(.*timed out",
        "did not answer in time",
        (
            "It hangs, cannot be reached from here, or somebody else's transaction holds a lock on the jobs: look at "
            "pg_stat_activity, or `show processlist` on MySQL and MariaDB."
        ),
    ),
)
"""How it is known, what it is, what to do. Who connects to PostgreSQL is told no SQLSTATE, so words count as well."""


def away(state: str, said: str, timeout: float) -> tuple[str, str]:
    """What is wrong and what to do, by SQLSTATE and what a driver has said; MySQL's begins with its number."""
    for pattern, what, remedy in _KNOWN:
        if re.search(pattern, f"{state} {said}"):
            return what, remedy
    return (
        f"could not be reached or did not answer within {timeout:g} s",
        "Check that it runs and that LATESHIFT_DATABASE_URL is right; programs wait for LATESHIFT_DATABASE_TIMEOUT.",
    )
