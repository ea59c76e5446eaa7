"""Enqueue and drain mixed jobs for long, and see whether anything grows: `python3 dev.py soak [OPTIONS]`.

Every few seconds a line of samples goes to FOLDER/<database>.jsonl: memory, threads and open files of each kind of
process, connections, write-ahead log, tables. At the end `soak_report` judges them and draws the plot; it can be run
alone on what an earlier run has written. All databases are soaked at the same time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import soak_jobs
import soak_report
from place import Place
from servers import KINDS, server

ROOT = Path(__file__).resolve().parents[1]
WORKERS = 2
BACKLOG = 5_000
"""Jobs that wait while nothing limits the rate."""

MEGABYTE = 1_000_000
TABLES = ("attempts", "logs", "workers", "statistics", "tallies", "history", "groups", "failures", "requests", "trash")

_UNFINISHED = "select count(*) from lateshift_jobs where status in ('pending', 'pending_retry', 'running')"


def main(arguments: Sequence[str]) -> int:
    """Soak what was asked for; 1 when something grew."""
    chosen = _parse(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    kinds = chosen.database or list(KINDS)
    for kind in kinds:
        if kind != "sqlite":
            server(kind)
    with ThreadPoolExecutor(len(kinds)) as pool:
        list(pool.map(lambda kind: soak(kind, chosen), kinds))
    return soak_report.main([str(chosen.folder), *(["--svg", str(chosen.svg)] if chosen.svg else [])])


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="how long (default: 10)")
    parser.add_argument("--database", action="append", choices=KINDS, help="which one; may be repeated (default: all)")
    parser.add_argument("--rate", type=float, help="jobs a second to enqueue on each (default: as fast as they go)")
    parser.add_argument("--keep", type=float, default=300, help="seconds to keep finished jobs (default: 300)")
    parser.add_argument("--every", type=float, default=5, help="seconds between two samples (default: 5)")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "soak", help="where the samples go")
    parser.add_argument("--svg", type=Path, help="draw the plot into this file")
    return parser.parse_args(arguments)


def soak(kind: str, chosen: argparse.Namespace) -> None:
    """Feed workers on one database for the whole time, and write samples."""
    with (
        Place(kind) as place,
        (chosen.folder / f"{kind}.jsonl").open("w", buffering=1, encoding="utf-8") as file,
    ):
        place.environment |= {"LATESHIFT_KEEP_DAYS": f"{chosen.keep / 86_400:.9f}"}
        place.environment |= {"LATESHIFT_CHILDREN": "2"}
        with place.workers(WORKERS) as supervisor:
            began, sample_at, fed = time.monotonic(), 0.0, 0
            while (elapsed := time.monotonic() - began) < chosen.minutes * 60:
                if supervisor.poll() is not None:
                    raise SystemExit(f"The workers on {KINDS[kind]} have ended with {supervisor.returncode}.")
                fed += _feed(place, fed, None if chosen.rate is None else round(chosen.rate * elapsed))
                if elapsed >= sample_at:
                    sample_at = elapsed + chosen.every
                    sample = {"at": round(elapsed, 1), "fed": fed, "keep": chosen.keep}
                    file.write(json.dumps(sample | _sample(place, supervisor.pid)) + "\n")
                time.sleep(0.1 if chosen.rate is None else 0.5)


def _feed(place: Place, fed: int, due: int | None) -> int:
    """Enqueue what the rate asks for, or what is missing from a full backlog; returns how many."""
    count = BACKLOG - place.ask(_UNFINISHED) if due is None else due - fed
    if count > 0:
        place.app.enqueue_many([soak_jobs.call(n) for n in range(fed, fed + count)])
    return max(0, count)


def _sample(place: Place, supervisor: int) -> dict[str, float]:
    """What may grow, at this moment."""
    workers = set(place.worker_pids())
    family = psutil.Process(supervisor).children(recursive=True)
    named = {"supervisor": [psutil.Process(supervisor)], "workers": [p for p in family if p.pid in workers]}
    told: dict[str, float] = {"children": len(family) - len(named["workers"])}
    for name, processes in named.items():
        told |= {f"{name}_{what}": value for what, value in _of_processes(processes).items()}
    told |= {f"enqueuer_{what}": value for what, value in _of_processes([psutil.Process()]).items()}
    rows = {table: place.ask(f"select count(*) from lateshift_{table}") for table in ("jobs", *TABLES)}
    told |= {"unfinished": place.ask(_UNFINISHED), "jobs": rows["jobs"]}
    told |= {"rows_beside": sum(rows[table] for table in TABLES) - rows["attempts"] - rows["logs"]}
    told |= {"rows_of_jobs": rows["attempts"] + rows["logs"]}
    told |= {"logs_mb": sum(file.stat().st_size for file in place.folder.rglob("*.log*")) / MEGABYTE}
    return told | STORED[place.kind](place)


def _of_processes(processes: list[psutil.Process]) -> dict[str, float]:
    """The sums over processes."""
    return {
        "mb": sum(process.memory_info().rss for process in processes) / MEGABYTE,
        "threads": sum(process.num_threads() for process in processes),
        "files": sum(_files(process) for process in processes),
    }


def _files(process: psutil.Process) -> int:
    return process.num_handles() if sys.platform == "win32" else process.num_fds()


def _of_sqlite(place: Place) -> dict[str, float]:
    file = place.folder / "lateshift.db"
    used = place.ask("pragma page_count") - place.ask("pragma freelist_count")
    return {
        "database_mb": file.stat().st_size / MEGABYTE,
        "used_mb": used * place.ask("pragma page_size") / MEGABYTE,
        "wal_mb": Path(f"{file}-wal").stat().st_size / MEGABYTE,
    }


def _of_postgres(place: Place) -> dict[str, float]:
    return {
        "database_mb": place.ask("select pg_database_size(current_database())") / MEGABYTE,
        "wal_mb": float(place.ask("select sum(size) from pg_ls_waldir()")) / MEGABYTE,
        "connections": place.ask("select count(*) from pg_stat_activity where datname = current_database()"),
    }


def _of_mariadb(place: Place) -> dict[str, float]:
    spaces = (
        "select sum(file_size) from information_schema.innodb_sys_tablespaces where name like concat(database(), '/%')"
    )
    undo = "select count from information_schema.innodb_metrics where name = 'trx_rseg_history_len'"
    return {
        "database_mb": float(place.ask(spaces)) / MEGABYTE,
        "undo": place.ask(undo),
        "connections": place.ask("select count(*) from information_schema.processlist where db = database()"),
    }


STORED: dict[str, Callable[[Place], dict[str, float]]] = {
    "sqlite": _of_sqlite,
    "postgres": _of_postgres,
    "mariadb": _of_mariadb,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
