"""How fast the dashboard answers on a large database, and what it costs the workers when somebody looks at it."""

from __future__ import annotations

import http.client
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from backlog import ID, NUMBERS
from figures import Figure, Section, Side, compare
from place import Place, started

from lateshift import histogram
from lateshift.dashboard.sections import SECTIONS
from lateshift.fingerprint import fingerprint
from lateshift.job import JobError
from lateshift.storage import failures, tallies
from lateshift.storage.failures import FailureCount
from lateshift.storage.migrations import migrate

TITLE = "Dashboard"
TEXT = """\
How long a page takes that nobody has asked for within the last second, over HTTP, in a database of {count:,} jobs with
a week of history: {tries} requests to each page, one after the other. Then a drain while a page is open: it holds the
stream of changes and fetches the overview anew whenever it is told to, as a browser does."""

STATES = (
    # share of all, status, days until due, attempts begun
    (0.90, "completed", -1, 1),
    (0.03, "failed", -1, 1),
    (0.02, "cancelled", -1, 1),
    (0.03, "pending", -1, 0),
    (0.02, "pending", 1, 0),
)
_FILL = """
insert into lateshift_jobs (id, name, queue, executor, priority, status, run_at, attempts, lease, max_retries,
                            enqueued_at, started_at, finished_at, result, parameters, error_type, error_message)
{numbers}
select {id}, {name}, {queue}, 'thread', 1 + i % 10, '{status}', {now} + i * {step} + {delay}, {attempts}, {attempts}, 3,
       {now} + i * {step}, case {attempts} when 1 then {now} + i * {step} end,
       case {attempts} when 1 then {now} + i * {step} + 40000 end, case '{status}' when 'completed' then 'null' end,
       '{{"order_id": 1234, "note": "a few words"}}', case '{status}' when 'failed' then 'app.GatewayTimeout' end,
       case '{status}' when 'failed' then 'no answer after 10 s' end
from n"""

_CALLABLES, _QUEUES = 30, 8
_DAY = 86_400_000_000
_LINK = re.compile(r"http://127\.0\.0\.1:(\d+)")


def run(kind: str, rounds: int, *, quick: bool) -> Section:
    """Measure every page, then the drains in turn."""
    count = 2_000_000 if kind == "postgres" else 200_000
    count, tries, jobs = (count // 100, 3, 5_000) if quick else (count, 40, 50_000)
    opened = Side("with the overview open", lambda: _drain(kind, jobs, watched=True))
    alone = Side("alone", lambda: _drain(kind, jobs, watched=False), 0.95)
    figures = (*_pages(kind, count, tries), *compare([opened, alone], rounds))
    return Section(TITLE, TEXT.format(count=count, tries=tries), figures)


def _pages(kind: str, count: int, tries: int) -> Iterator[Figure]:
    with Place(kind) as place:
        _fill(place, count)
        job = place.ask("select id from lateshift_jobs where status = 'failed' order by finished_at desc limit 1")
        paths = {section.title: section.path for section in SECTIONS} | {"Job": f"/jobs/{job}"}
        with _dashboard(place) as port:
            times: dict[str, list[float]] = {title: [] for title in paths}
            for _ in range(tries):
                began = time.perf_counter()
                for title, path in paths.items():
                    times[title].append(_fetch(port, path))
                time.sleep(max(0.0, 1.1 - (time.perf_counter() - began)))  # no answer of the last round is kept
    for title, taken in times.items():
        worst = statistics.quantiles(taken, n=20)[-1]
        name = f"{title}, 95th percentile"
        yield Figure(name=name, value=worst, unit="ms", at_most=150, rounds=tuple(taken))


def _fetch(port: int, path: str) -> float:
    """Milliseconds until the whole page is here."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    began = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    taken = 1000 * (time.perf_counter() - began)
    connection.close()
    assert answer.status == 200, f"{path}: {answer.status}"
    return taken


def _drain(kind: str, count: int, *, watched: bool) -> float:
    with Place(kind) as place:
        place.fill(count)
        place.rest()
        if not watched:
            return place.drain(count)
        with _dashboard(place) as port:
            _fetch(port, "/")
            threading.Thread(target=_look, args=(port,), daemon=True).start()
            return place.drain(count)


def _look(port: int) -> None:
    """Be a browser with the overview open, until the dashboard goes."""
    stream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    stream.request("GET", "/events")
    try:
        for line in stream.getresponse():
            if line.startswith(b"event: change"):
                _fetch(port, "/")
    except (OSError, http.client.HTTPException):
        return


@contextmanager
def _dashboard(place: Place) -> Iterator[int]:
    """`lateshift dashboard` on that place; its port."""
    command = [sys.executable, "-u", "-m", "lateshift", "dashboard", "--port", "0"]
    with started(command, place.environment, place.folder) as process:
        yield _port(place, process)


def _port(place: Place, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if link := _LINK.search((place.folder / "output.txt").read_text()):
            return int(link[1])
        time.sleep(0.02)
    raise SystemExit(f"The dashboard does not start:\n{(place.folder / 'output.txt').read_text()}")


def _fill(place: Place, count: int) -> None:
    """A week of jobs in some queues, most of them finished, with the history and the errors that belong to them."""
    migrate(place.look)
    now = place.look.now()
    for number, (share, status, due, attempts) in enumerate(STATES):
        rows = int(share * count)
        values = {"kind": number, "count": rows, "status": status, "attempts": attempts, "now": now - 7 * _DAY}
        values |= {"step": 7 * _DAY // rows, "delay": due * _DAY if due > 0 else 0}
        words = {name: part[place.kind].format(**values) for name, part in (("numbers", NUMBERS), ("id", ID))}
        words |= {"name": _one_of("app.jobs.work_", _CALLABLES, place.kind)}
        words |= {"queue": _one_of("queue", _QUEUES, place.kind)}
        place.look.execute(_FILL.format(**values, **words))
    _fill_history(place, now)
    place.rest()


def _one_of(start: str, count: int, kind: str) -> str:
    return f"concat('{start}', i % {count})" if kind != "sqlite" else f"'{start}' || (i % {count})"


def _fill_history(place: Place, now: int) -> None:
    dice = random.Random(7)
    for hour in range(7 * 24):
        rows = [
            ((now // 60_000_000 - 60 * hour, f"queue{n % _QUEUES}", f"app.jobs.work_{n}"), _sums(dice))
            for n in range(30)
        ]
        tallies.add(place.look, "bench", hour, rows)
    while tallies.fold(place.look):
        pass
    for hour in range(0, 7 * 24, 4):
        failures.add(place.look, "bench", [_failure(place, n, now - hour * 3_600_000_000) for n in range(12)])


def _sums(dice: random.Random) -> tallies.Sums:
    sums = tallies.Sums(completed=dice.randrange(100, 900), failed=dice.randrange(9), retried=dice.randrange(9))
    for buckets in (sums.waits, sums.runs):
        for _ in range(sums.count):
            buckets[min(histogram.BUCKETS - 1, int(dice.lognormvariate(10, 2)).bit_length())] += 1
    return sums


def _failure(place: Place, number: int, at: int) -> FailureCount:
    trace = (
        f'Traceback (most recent call last):\n  File "/srv/app/jobs.py", line {number}, in work_{number}\n    call()\n'
    )
    error = JobError("app.GatewayTimeout", "no answer after 10 s", f"{trace}app.GatewayTimeout: no answer after 10 s")
    job = place.ask("select id from lateshift_jobs where status = 'failed' limit 1")
    return FailureCount(fingerprint(error), f"app.jobs.work_{number}", error.message, 3, 2, at, at, job)
