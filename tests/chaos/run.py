"""Runs the fault suite: `python3 dev.py chaos [--seed N] [--minutes M] [--database sqlite|postgres|mariadb|all]`.

docs/reliability.md says what it does. With `all` the three run side by side, each in a process of its own.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adversary import Adversary
from checker import check
from cluster import Cluster
from database_servers import new_folder, start_mariadb, start_postgres
from evidence import Evidence, gather
from remains import drain, put_in_order, remains, silent_workers, stop
from report import history, summary

DATABASES = ("sqlite", "postgres", "mariadb")
SERVERS = {"postgres": start_postgres, "mariadb": start_mariadb}
PATIENCE = 90.0
"""Seconds that a run may take to drain when the harm has ended; a long one half of its length, if that is more: its
programs enqueue all the time, and where a machine is slower than they are, a backlog is left."""


def main() -> int:
    """Exit code 0: all promises were kept."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and so leave nothing behind
    parser = argparse.ArgumentParser(prog="python3 dev.py chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="repeats the choice of faults")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long harm is done (default: 2)")
    parser.add_argument("--database", choices=(*DATABASES, "all"), default="all")
    options = parser.parse_args()
    if options.database != "all":
        return run(options.database, options.seed, options.minutes)
    given = ["--seed", str(options.seed), "--minutes", str(options.minutes)]
    started = [subprocess.Popen([sys.executable, __file__, *given, "--database", name]) for name in DATABASES]
    return max(process.wait() for process in started)


def run(database: str, seed: int, minutes: float) -> int:
    """One run on one database; prints what came of it."""
    again = f"python3 dev.py chaos --seed {seed} --minutes {minutes:g} --database {database}"
    print(f"{database}: seed {seed}, {minutes:g} minutes of faults", flush=True)
    server = SERVERS[database](new_folder()) if database in SERVERS else None
    folder = Path(tempfile.mkdtemp(prefix=f"lateshift-chaos-{database}-"))
    cluster = Cluster(folder, server.new_database() if server else None, seed)
    try:
        adversary = Adversary(cluster, server, seed)
        evidence, normal = live(cluster, adversary, minutes * 60)
        violations = check(evidence)
    finally:
        cluster.close()
        if server:
            server.kill()
    print(summary(database, evidence, adversary.counts, violations, normal), flush=True)
    if not violations:
        shutil.rmtree(folder)
        return 0
    for violation in violations[:10]:
        print(f"{database}: {history(violation, evidence, folder)}", flush=True)
    print(f"{database}: seed {seed}; all is in {folder}; again: {again}", flush=True)
    return 1


def live(cluster: Cluster, adversary: Adversary, seconds: float) -> tuple[Evidence, float | None]:
    """The life of a cluster: load and harm, then calm, a last proof that all work, and the end."""
    adversary.run(seconds)
    cluster.stop("enqueuer", 20)
    normal = drain(cluster, adversary.replace_supervisors, max(PATIENCE, seconds / 2))
    put_in_order(cluster)
    left = silent_workers(cluster) + stop(cluster)
    left += remains(cluster)
    with closing(cluster.app()) as app:
        return gather(cluster.folder, app, left), normal


if __name__ == "__main__":
    sys.exit(main())
