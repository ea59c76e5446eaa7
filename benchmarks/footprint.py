"""What an idle worker costs, and how long the first import and a short command take. Linux only for the former."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import jobs
import psutil
from figures import Figure, Section
from place import Place, wait_until
from servers import server

TITLE = "Idle worker"
TEXT = """\
A worker process that has run a hundred jobs and waits for more: its share of a core (scheduler's count, all threads)
and its proportional memory (PSS), with a supervisor and a second worker beside it."""
TIMES = " Times are whole processes."
SERVER = " The server's share is that of all its processes, whatever else they do, and nobody else uses it."


def run(kind: str, rounds: int, *, quick: bool) -> Section:
    """Measure an idle worker, then on SQLite start Python over and over."""
    seconds = 5.0 if quick else 20.0
    idle = _idle(kind, seconds) if Path("/proc/self/smaps_rollup").exists() else ()
    if kind != "sqlite":
        return Section(TITLE, TEXT + SERVER, idle)
    return Section(f"{TITLE}, import, command", TEXT + TIMES, (*idle, *_starts(5 if quick else max(15, 5 * rounds))))


def _idle(kind: str, seconds: float) -> tuple[Figure, ...]:
    with Place(kind) as place, place.workers(2) as supervisor:
        place.fill(200)
        wait_until(lambda: place.ask("select count(*) from lateshift_jobs where status = 'completed'") == 200)
        time.sleep(2)
        pids = place.worker_pids()
        shares = _shares([[pid] for pid in pids] + ([_of_server(kind)] if kind != "sqlite" else []), seconds)
        memories = tuple(_memory(pid) for pid in pids)
        parent = _memory(supervisor.pid)
    own, others = shares[: len(pids)], shares[len(pids) :]
    name = f"processor, over {seconds:g} s"
    return (
        Figure(name=name, value=max(own), unit="% of a core", at_most=1, rounds=own),
        *(Figure(name=f"the server's {name}", value=share, unit="% of a core") for share in others),
        Figure(name="memory of a worker", value=max(memories), unit="MB", at_most=35, rounds=memories),
        Figure(name="memory of the supervisor", value=parent, unit="MB"),
    )


def _shares(groups: list[list[int]], seconds: float) -> tuple[float, ...]:
    """What each group of processes takes of a core, in percent, while nothing else happens."""
    before = [sum(map(_processor_time, pids)) for pids in groups]
    began = time.perf_counter()
    time.sleep(seconds)
    elapsed = time.perf_counter() - began
    return tuple(100 * (sum(map(_processor_time, pids)) - b) / elapsed for pids, b in zip(groups, before, strict=True))


def _of_server(kind: str) -> list[int]:
    process = psutil.Process(server(kind).pid)
    return [process.pid, *(child.pid for child in process.children(recursive=True))]


def _processor_time(pid: int) -> float:
    """Seconds on a core so far, over all threads, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _memory(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def _starts(tries: int) -> tuple[Figure, ...]:
    """Whole processes, in turn: bare Python, an import, a command."""
    with Place() as place:
        job = place.app.run_background_job(jobs.noop, parameters={"n": 1})
        commands = {
            "bare": [sys.executable, "-c", "pass"],
            "import": [sys.executable, "-c", "import lateshift"],
            "status": [sys.executable, "-m", "lateshift", "status", job],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(tries):
            for name, command in commands.items():
                times[name].append(_time(command, place))
    middle = {name: statistics.median(taken) for name, taken in times.items()}
    return (
        Figure(name="bare Python", value=middle["bare"], unit="ms", rounds=tuple(times["bare"])),
        Figure(
            name="`import lateshift`", value=middle["import"], unit="ms", at_most=100, rounds=tuple(times["import"])
        ),
        Figure(
            name="`lateshift status`", value=middle["status"], unit="ms", at_most=250, rounds=tuple(times["status"])
        ),
    )


def _time(command: list[str], place: Place) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=place.environment, cwd=place.folder, check=True, stdout=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - began)
