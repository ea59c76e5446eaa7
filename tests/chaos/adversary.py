"""Does harm to a cluster, as a seed tells it to; everything it does is told to the journal of faults.

Each fault is a generator: it does harm, yields for how many seconds that lasts, and then undoes it.
"""

from __future__ import annotations

import heapq
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import Any

import psutil
from cluster import Cluster, Host, Role, fault, signal_all, wait_until

from lateshift.errors import StorageUnavailable

Fault = Generator[float, None, None]

CONNECTIONS = {
    "postgresql": "select pid, state, query from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid()",
    "mysql": "select id, command, state, info from information_schema.processlist"
    " where db = database() and id <> connection_id()",
}
KILL = {"postgresql": "select pg_terminate_backend({})", "mysql": "kill {}"}

LONGER_THAN_A_LEASE = 18.0
"""Seconds: the lease of 15, and a look."""


class Adversary:
    """Chooses a fault every second or so; `server` is None for SQLite."""

    def __init__(self, cluster: Cluster, server: Any, seed: int, pace: float = 1.0) -> None:
        self.cluster = cluster
        self.server = server
        self.pace = pace
        self.random = random.Random(seed)
        self.counts: dict[str, int] = {}
        self._undoing: list[tuple[float, int, str, Fault]] = []
        self._number = 0

    def run(self, seconds: float) -> None:
        """Do harm for so long, and then undo what is still to be undone."""
        self.replace_the_dead()
        wait_until(lambda: len(self.cluster.processes("worker")) == 2 * len(self.cluster.hosts), 30)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self._begin(self._choose())
            pause = time.monotonic() + self.random.uniform(0.2, 2 * self.pace)
            while time.monotonic() < min(pause, ends):
                self._undo(time.monotonic())
                self.replace_the_dead()
                time.sleep(0.1)
        self._undo(float("inf"))
        for host in self.cluster.hosts:
            host.shift.unlink(missing_ok=True)

    def _choose(self) -> Callable[[], Fault]:
        faults = {**FAULTS, **(SERVER_FAULTS if self.server else SQLITE_FAULTS)}
        under_way = {name for _, _, name, _ in self._undoing}
        if under_way & NEED_THE_DATABASE:
            under_way |= NEED_THE_DATABASE
        names = [name for name in faults if name not in under_way]
        name = self.random.choices(names, [faults[name] for name in names])[0]
        return getattr(self, name)

    def _begin(self, make: Callable[[], Fault]) -> None:
        name, steps = make.__name__, make()
        try:
            lasts = next(steps)
        except StopIteration:
            return
        self.counts[name] = self.counts.get(name, 0) + 1
        self._number += 1
        heapq.heappush(self._undoing, (time.monotonic() + lasts, self._number, name, steps))

    def _undo(self, until: float) -> None:
        while self._undoing and self._undoing[0][0] <= until:
            steps = heapq.heappop(self._undoing)[3]
            next(steps, None)

    def _insist(self, action: Callable[[], object]) -> None:
        """Wait for SQLite's lock, for a minute; who was stopped while holding it is woken meanwhile: only we can."""
        ends = time.monotonic() + 60
        while True:
            try:
                action()
                return
            except (StorageUnavailable, sqlite3.OperationalError):
                if time.monotonic() > ends:
                    raise
            self._undo(time.monotonic())

    def replace_supervisors(self) -> None:
        """What a service manager does."""
        self.cluster.collect()
        for host in self.cluster.hosts:
            if not self.cluster.processes("supervisor", host):
                self.cluster.start_supervisor(host)

    def replace_the_dead(self) -> None:
        """The same, and what users do about their programs."""
        self.replace_supervisors()
        for host in self.cluster.hosts:
            for _ in range(2 - len(self.cluster.processes("enqueuer", host))):
                self.cluster.start_enqueuer(host)

    def _host(self) -> Host:
        return self.random.choice(self.cluster.hosts)

    def _one(self, role: Role) -> list[psutil.Process]:
        found = self.cluster.processes(role)
        return [self.random.choice(found)] if found else []

    def _kill(self, role: Role) -> Fault:
        """A supervisor or a runner takes its workers with it: they may not get to give their jobs back."""
        if victims := self._one(role):
            fault(self.cluster, "kill", role=role, pids=[p.pid for p in with_children(victims)])
            signal_all(victims, signal.SIGKILL)
            yield 0.0

    def kill_worker(self) -> Fault:
        return self._kill("worker")

    def kill_supervisor(self) -> Fault:
        return self._kill("supervisor")

    def kill_enqueuer(self) -> Fault:
        return self._kill("enqueuer")

    def kill_runner(self) -> Fault:
        return self._kill("runner")

    def kill_child(self) -> Fault:
        return self._kill("child")

    def _stop(self, role: Role, seconds: float) -> Fault:
        if victims := self._one(role):
            pids = [process.pid for process in victims]
            fault(self.cluster, "stop", role=role, pids=pids)
            signal_all(victims, signal.SIGSTOP)
            yield seconds
            fault(self.cluster, "wake", role=role, pids=pids)
            signal_all(victims, signal.SIGCONT)

    def stop_worker(self) -> Fault:
        return self._stop("worker", LONGER_THAN_A_LEASE)

    def stop_worker_briefly(self) -> Fault:
        return self._stop("worker", self.random.uniform(0.5, 6))

    def stop_supervisor(self) -> Fault:
        return self._stop("supervisor", self.random.uniform(1, 10))

    def stop_runner(self) -> Fault:
        return self._stop("runner", LONGER_THAN_A_LEASE)

    def stop_enqueuer(self) -> Fault:
        return self._stop("enqueuer", self.random.uniform(0.5, 6))

    def move_clock(self) -> Fault:
        host = self._host()
        ahead = (60, 600) if self.server else ()  # SQLite's clock is the host's: what comes due then, waits so long
        seconds = self.random.choice((-600, -60, -5, 5, *ahead))
        fault(self.cluster, "clock", host=host.name, seconds=seconds)
        host.shift.write_text(str(seconds))
        yield self.random.uniform(2, 10)
        fault(self.cluster, "clock", host=host.name, seconds=0)
        host.shift.write_text("0")

    def rotate_logs(self) -> Fault:
        host = self._host()
        fault(self.cluster, "logs", host=host.name)
        for path in (host.storage / "logs").glob("*.log"):
            if self.random.random() < 0.5:
                path.unlink(missing_ok=True)
            else:
                path.replace(path.with_suffix(".log.1"))
        yield 0.0

    def pause_queue(self) -> Fault:
        queue = self.random.choice(("alpha", "beta", "gamma"))
        with closing(self.cluster.app(busy_timeout=0.2)) as app:
            fault(self.cluster, "pause", queue=queue)
            self._insist(lambda: app.pause_queue(queue))
            yield self.random.uniform(0.5, 4)
            self._insist(lambda: app.resume_queue(queue))
            fault(self.cluster, "resume", queue=queue)

    def deploy(self) -> Fault:
        """A new version of the code; one supervisor after the other is stopped in good order, and replaced."""
        version = self.cluster.deploy()
        for host in self.cluster.hosts:
            supervisors = self.cluster.processes("supervisor", host)
            fault(self.cluster, "deploy", host=host.name, version=version, pids=[p.pid for p in supervisors])
            signal_all(supervisors, signal.SIGTERM)
            wait_until(lambda old=supervisors: self.cluster.collect() or not any(p.is_running() for p in old), 4)
            self.replace_the_dead()
        yield 0.0

    def lock_database(self) -> Fault:
        """Another program holds SQLite's write lock."""
        path = self.cluster.direct.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, timeout=0.2, isolation_level=None)) as other:
            self._insist(lambda: other.execute("begin immediate"))
            fault(self.cluster, "database", how="lock")
            yield self.random.uniform(0.5, 4)
            other.execute("commit")
            fault(self.cluster, "database is back")

    def fill_disk(self) -> Fault:
        """The disk of the database and the logs is full for some seconds."""
        if not (disk := self.cluster.hosts[0].disk):
            return
        fault(self.cluster, "disk full")
        ballast = disk / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        yield self.random.uniform(1, 4)
        ballast.unlink()
        fault(self.cluster, "disk has room")

    def kill_backends(self) -> Fault:
        """The server ends all connections that there are."""
        scheme = self.cluster.direct.partition(":")[0]
        with closing(self.cluster.app()) as app:
            fault(self.cluster, "backends")
            for pid, *_ in app.database.query(CONNECTIONS[scheme]):
                with suppress(Exception):  # some have gone meanwhile
                    self.server.execute(KILL[scheme].format(pid))
        yield 0.0

    def restart_database(self) -> Fault:
        mode = self.random.choice(("fast", "immediate"))
        fault(self.cluster, "database", how=mode)
        self.server.stop(mode)
        yield self.random.choice((0.0, 0.5, 5.0))
        self.server.start()
        fault(self.cluster, "database is back")

    def cut_connections(self) -> Fault:
        """Half-open: neither side is told, and new ones work."""
        host = self._host()
        fault(self.cluster, "cut", host=host.name)
        host.proxy.cut()
        yield 0.0

    def part_host(self) -> Fault:
        """A cable is out for longer than a lease."""
        host = self._host()
        fault(self.cluster, "part", host=host.name)
        host.proxy.part()
        yield LONGER_THAN_A_LEASE
        host.proxy.join()
        fault(self.cluster, "join", host=host.name)


def with_children(processes: list[psutil.Process]) -> list[psutil.Process]:
    """The processes and those that they started."""
    found = list(processes)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found += process.children()
    return found


FAULTS = {
    "kill_worker": 6,
    "kill_supervisor": 2,
    "kill_enqueuer": 2,
    "kill_runner": 2,
    "kill_child": 2,
    "stop_worker": 3,
    "stop_worker_briefly": 2,
    "stop_supervisor": 1,
    "stop_runner": 1,
    "stop_enqueuer": 1,
    "move_clock": 2,
    "rotate_logs": 1,
    "pause_queue": 2,
    "deploy": 1,
}
"""What may be done on every database, and how often compared to the others."""

NEED_THE_DATABASE = {"pause_queue", "lock_database", "restart_database", "fill_disk", "kill_backends"}
"""One at a time of those that the adversary itself needs the database for, or takes it away with."""

SQLITE_FAULTS = {"lock_database": 3, "fill_disk": 2}

SERVER_FAULTS = {"restart_database": 2, "kill_backends": 2, "cut_connections": 3, "part_host": 2}
