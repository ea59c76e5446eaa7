"""Whether finished jobs, delayed ones and a long queue slow the claims down."""

from __future__ import annotations

from functools import partial

from figures import Section, Side, compare
from place import Place

from lateshift.storage.migrations import migrate

TITLE = "Draining in a full database"
TEXT = """\
The ready jobs have priority 1; the delayed ones have priority 10 and stand before them in every order but time. The
same ready jobs in an otherwise empty database are the measure."""

_FILL = """
insert into lateshift_jobs (id, name, queue, executor, priority, status, run_at, attempts, lease, max_retries,
                            enqueued_at, started_at, finished_at, result, parameters)
{numbers}
select {id}, 'jobs.noop', 'default', 'thread', {priority}, '{status}',
       {now} + {delay} + i, {attempts}, {attempts}, 3, {now}, nullif({now} * {attempts}, 0),
       nullif(({now} + i) * {attempts}, 0), case {attempts} when 1 then 'null' end, '{{"n":1}}'
from n"""

NUMBERS = {
    "sqlite": "with recursive n(i) as (select 1 union all select i + 1 from n where i < {count})",
    "postgres": "with n(i) as (select * from generate_series(cast(1 as bigint), {count}))",
    "mariadb": "with n(i) as (select seq from seq_1_to_{count})",
}
ID = {
    "sqlite": "printf('%08x-%04x-7000-8000-%012x', {kind}, i & 65535, i)",
    "postgres": "format('%s-%s-7000-8000-%s', lpad('{kind}', 8, '0'), lpad(to_hex(i & 65535), 4, '0'),"
    " lpad(to_hex(i), 12, '0'))",
    "mariadb": "concat(lpad('{kind}', 8, '0'), '-', lpad(hex(i & 65535), 4, '0'), '-7000-8000-',"
    " lpad(hex(i), 12, '0'))",
}

HOUR = 3_600_000_000


def run(kind: str, rounds: int, *, quick: bool) -> Section:
    """Drain the ready jobs from an empty and from a full database, in turn."""
    scale = 20 if quick else 1
    ready, finished, delayed = 200_000 // scale, 1_000_000 // scale, 200_000 // scale
    full = Side(f"with {finished:,} finished, {delayed:,} delayed", partial(_drain, kind, ready, finished, delayed))
    empty = Side(f"{ready:,} ready, nothing else", partial(_drain, kind, ready, 0, 0), 0.7)
    return Section(TITLE, TEXT, tuple(compare([full, empty], rounds)))


def _drain(kind: str, ready: int, finished: int, delayed: int) -> float:
    with Place(kind) as place:
        _fill(place, ready, finished, delayed)
        return place.drain(ready)


def _fill(place: Place, ready: int, finished: int, delayed: int) -> None:
    """Write the rows as they stand after enqueuing and running, in one go."""
    migrate(place.look)
    now = place.look.now() - 3 * HOUR
    groups = (
        (finished, "completed", 1, -2 * HOUR, 1),
        (delayed, "pending", 10, 27 * HOUR, 0),
        (ready, "pending", 1, HOUR, 0),
    )
    for number, (count, status, priority, delay, attempts) in enumerate(groups):
        values = {"kind": number, "count": count, "status": status, "priority": priority, "now": now, "delay": delay}
        words = {name: part[place.kind].format(**values) for name, part in (("numbers", NUMBERS), ("id", ID))}
        if count:
            place.look.execute(_FILL.format(**values, **words, attempts=attempts))
    place.rest()
