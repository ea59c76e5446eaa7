"""Checks of a database server: what others do there, whether it tells of jobs and keeps its tables slim."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from lateshift.doctor.place import PATIENCE, Check, Place
from lateshift.runtime.wake import LOOK_POLLING
from lateshift.storage import health
from lateshift.wording import count, duration

LONG_TRANSACTION: Final = 300.0
"""Seconds after which somebody else's transaction is worth a warning: five minutes of dead rows."""


def connection(place: Place) -> Iterator[Check]:
    """Whether there is a pooler between this program and the server."""
    if place.usable and place.db.pooled:
        told = "it goes through a pooler such as PgBouncer, so no statement is prepared and no worker listens"
        yield Check("connection", "ok", told)


def waking(place: Place) -> Iterator[Check]:
    """How workers learn of new jobs: told by the server within milliseconds, or by looking."""
    if not place.usable or place.file is not None:
        return
    looking = f"idle workers look for jobs every {duration(LOOK_POLLING)}"
    heard = threading.Event()
    listener = place.db.listen(heard.set)
    if listener is None:
        yield Check("waking", "ok", looking)
        return
    try:
        heard.wait(PATIENCE)  # it hears once when it begins to listen
        heard.clear()
        place.db.announce()
        works = heard.wait(PATIENCE)
    finally:
        listener.close()
    if works:
        yield Check("waking", "ok", "the server tells idle workers of new jobs (LISTEN)")
    else:
        told = f"The server does not tell of new jobs (LISTEN was silent for {duration(PATIENCE)}), so {looking}."
        yield Check(
            "waking", "warning", told, "Connect to the server itself, or set LATESHIFT_PREPARE=off for a pooler."
        )


def durability(place: Place) -> Iterator[Check]:
    """Whether what the server has committed is on its disk."""
    if not place.usable or place.file is not None:
        return
    found = health.losable(place.db)
    for name, value in found:
        told = f"{name} is {value} here: when the server's machine goes down, jobs that were stored may be gone."
        wanted = f"{name} = on, for the server, this database and this user"
        if place.db.dialect.name == "mysql":
            wanted = f"`set global {name} = 1;`, and the same in the server's configuration"
        yield Check("durability", "warning", told, f"If that must not be: {wanted}.")
    if not found:
        yield Check("durability", "ok", "a commit is on the server's disk before it counts")


def transactions(place: Place) -> Iterator[Check]:
    """Whether somebody keeps a transaction open, which keeps dead rows from being removed."""
    if not place.usable or place.file is not None:
        return
    found = health.long_transactions(place.db, LONG_TRANSACTION)
    for long in found:
        told = (
            f"A transaction has been open for {duration(long.seconds)} ({long.who}): until it ends no dead row can be "
            "removed, and claims get slower."
        )
        remedy = f"End it: `{long.end};`. Let the server do so from now on ({_limit(place)})."
        yield Check("transactions", "warning", told, remedy)
    if not found:
        whose = (
            "" if health.sees_others(place.db) else f" of this user; to see those of others it lacks {_right(place)}"
        )
        yield Check("transactions", "ok", f"none has been open for {duration(LONG_TRANSACTION)}{whose}")


def dead_rows(place: Place) -> Iterator[Check]:
    """Whether dead rows pile up, and whether the server clears them by itself."""
    if not place.usable or not health.has_dead_rows(place.db):
        return
    off = health.vacuum_off(place.db)
    for what in off:
        told = f"Dead rows are not cleared by themselves: {what} is off, and each job leaves two."
        remedy = f"`alter table {what} reset (autovacuum_enabled);`."
        if what in health.VACUUM_SETTINGS:
            remedy = f"`alter system set {what} = on; select pg_reload_conf();`."
        yield Check("dead rows", "warning", told, remedy)
    piles = health.dead_rows(place.db)
    for pile in piles:
        told = f"{pile.table} has {count(pile.dead, 'dead row')} and {pile.live:,} live: claims step over them."
        remedy = f"`vacuum {pile.table};`, once no old transaction holds it up; then see what kept autovacuum away."
        yield Check("dead rows", "warning", told, remedy)
    if not off and not piles:
        yield Check("dead rows", "ok", "autovacuum clears them")


def indexes(place: Place) -> Iterator[Check]:
    """Whether every index of the schema is there and used."""
    if not place.usable:
        return
    faults = health.faulty_indexes(place.db)
    for fault in faults:
        state = "is there, but the database does not use it" if fault.unused else "is missing"
        told = f"The index {fault.name} {state}: the more jobs there are, the slower each gets."
        yield Check("indexes", "warning", told, f"`{fault.repair};`.")
    if not faults:
        yield Check("indexes", "ok", "all are there")


def _limit(place: Place) -> str:
    return "idle_in_transaction_session_timeout" if place.db.dialect.name == "postgres" else "wait_timeout"


def _right(place: Place) -> str:
    return "the role pg_read_all_stats" if place.db.dialect.name == "postgres" else "the right PROCESS"
