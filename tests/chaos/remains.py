"""The end of a run: everything drains, every worker shows that it works, and then nothing may be left of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count

from adversary import CONNECTIONS
from cluster import Cluster, wait_until
from enqueuer import QUEUES

from lateshift import Call, Lateshift
from lateshift.host.fleet import is_alive
from lateshift.runtime.duties import Sweep
from lateshift.storage import reads

UNFINISHED = "select count(*) from lateshift_jobs where status in ('pending', 'pending_retry', 'running')"

SWEPT = 4 * Sweep.INTERVAL
"""Seconds after which a worker's file is left for good: the others remove those of the dead that have stood a while."""

ORPHANS = {
    "attempts": "select count(*) from lateshift_attempts where job_id not in (select id from lateshift_jobs)",
    "logs": "select count(*) from lateshift_logs where job_id not in (select id from lateshift_jobs)",
}


def drain(cluster: Cluster, replace: Callable[[], None], patience: float) -> float | None:
    """Let everything that waits end; returns the seconds that took, None if it was not done in time."""
    began, number = time.monotonic(), count(1)
    with closing(cluster.app(spawn="auto")) as app:

        def done() -> bool:
            replace()
            left = app.database.query(UNFINISHED)[0][0]
            if left:  # jobs of a transaction start no runner; the next call does
                last = {"label": f"last-{next(number)}", "seconds": 0.0}
                app.run_background_job("app.jobs.threaded", parameters=last, queue="gamma")
                time.sleep(0.5)
            return not left

        return time.monotonic() - began if wait_until(done, patience) else None


def put_in_order(cluster: Cluster) -> None:
    """Have jobs of all priorities wait together, and then run."""
    rng = random.Random(cluster.seed)
    with closing(cluster.app()) as app:
        app.pause_queue("alpha")
        app.enqueue_many(
            Call(
                "app.jobs.threaded",
                parameters={"label": f"order-{number}", "seconds": 0.02},
                priority=rng.randint(1, 10),
                queue="alpha",
            )
            for number in range(150)
        )
        app.resume_queue("alpha")
        wait_until(lambda: not app.database.query(UNFINISHED)[0][0], 30)


def silent_workers(cluster: Cluster) -> list[str]:
    """Every supervisor has two workers, each alive by its row, and each takes a job when there is enough to do."""
    with closing(cluster.app()) as app:
        expected = 2 * len(cluster.hosts)
        wait_until(lambda: len(served(app)) == expected, 30)
        names = served(app)
        if len(names) != expected:
            return [f"{len(names)} workers live, and there should be {expected}: {sorted(names)}"]
        silent, number = set(names), count(1)

        def ask() -> bool:
            probes = ({"label": f"probe-{next(number)}", "seconds": 0.2} for _ in range(8 * expected))
            app.enqueue_many(Call("app.jobs.threaded", parameters=each, queue=QUEUES[0]) for each in probes)
            wait_until(lambda: not app.database.query(UNFINISHED)[0][0], 20)
            found = app.database.query("select distinct worker from lateshift_jobs where parameters like '%probe%'")
            silent.difference_update(row[0] for row in found)
            return not silent

        wait_until(ask, 30)
        return [f"silent: {name} lives, and takes no job" for name in silent]


def served(app: Lateshift) -> set[str]:
    now = app.database.now()
    return {worker.id for worker in reads.workers(app.database) if worker.kind == "worker" and is_alive(worker, now)}


def stop(cluster: Cluster) -> list[str]:
    """End all in good order; tells of the processes that did not."""
    said = [] if cluster.stop("supervisor", 30) else ["supervisors did not end within 30 s of SIGTERM"]
    wait_until(lambda: cluster.collect() or not cluster.processes(), 20)
    return said + [f"process left: {' '.join(p.cmdline())} ({p.pid})" for p in cluster.processes()]


def remains(cluster: Cluster) -> Iterator[str]:
    """What is left when all processes have ended."""
    for host in cluster.hosts:
        if host.proxy:
            host.proxy.close()
            host.proxy = None
        for path in sorted((host.storage / "run").rglob("*")):
            if path.suffix in (".lock", ".open", ".run") and time.time() - path.stat().st_mtime > SWEPT:
                yield f"file left: {path.name} of {host.name}"
    with closing(cluster.app()) as app:
        for worker in reads.workers(app.database):
            yield f"row left: worker {worker.id}"
        for table, sql in ORPHANS.items():
            if number := app.database.query(sql)[0][0]:
                yield f"rows left: {number} {table} of no job"
        if sql := CONNECTIONS.get(cluster.direct.partition(":")[0]):
            wait_until(lambda: not app.database.query(sql), 10)
            for row in app.database.query(sql):
                yield f"connection left: {row}"
