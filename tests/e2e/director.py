"""What happens on the database's host in `test_three_hosts`: it runs there, and tells what it saw as JSON lines.

python director.py FOLDER ADDRESS      then a line on standard input for each step
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from database_servers import new_folder, start_postgres

from lateshift import Call, Lateshift
from lateshift.storage import migrations, open_database, reads


def tell(**what: object) -> None:
    print(json.dumps(what), flush=True)


def start(address: str) -> str:
    """A PostgreSQL that the other hosts reach as well; its URL for them."""
    server = start_postgres(new_folder(), listen_addresses=f"127.0.0.1,{address}")
    with (server.process.folder / "data/pg_hba.conf").open("a") as file:
        file.write(f"host all all {address}/24 trust\n")
    server.execute("select pg_reload_conf()")
    return server.new_database().replace("127.0.0.1", address)


def enqueue(app: Lateshift, count: int, seconds: float) -> None:
    app.enqueue_many(Call("app.jobs.told", parameters={"seconds": seconds}) for _ in range(count))


def states(app: Lateshift) -> dict[str, int]:
    return dict(app.database.query("select status, count(*) from lateshift_jobs group by status"))


def owners(app: Lateshift) -> dict[str, int]:
    """How many jobs the workers of each host hold."""
    held: dict[str, int] = {}
    for worker, count in reads.held_jobs(app.database).items():
        host = worker.rsplit("-", 2)[0]
        held[host] = held.get(host, 0) + count
    return held


def verdict(app: Lateshift) -> dict[str, object]:
    """What a checker wants to know at the end: who ended each job, and whether the newest lease did."""
    rows = app.database.query("select id, status, lease, worker, result, crashes from lateshift_jobs")
    foreign = [
        row[0]
        for row in rows
        if row[1] == "completed" and json.loads(row[4]) != f"{row[3].rsplit('-', 2)[0]} lease {row[2]}"
    ]
    hosts: dict[str, int] = {}
    for row in rows:
        host = row[3].rsplit("-", 2)[0]
        hosts[host] = hosts.get(host, 0) + 1
    return {
        "jobs": len(rows),
        "states": states(app),
        "foreign": foreign,
        "hosts": hosts,
        "crashes": sum(r[5] for r in rows),
    }


def main(folder: str, address: str) -> None:
    """Do what the test says, line by line."""
    sys.path.append(folder)
    url = start(address)
    app = Lateshift(database_url=url, storage_dir=Path(folder) / "database", allowed=["app"], spawn="never")
    migrations.migrate(open_database(app.settings, as_is=True))
    tell(url=url)
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "enqueue":
            enqueue(app, int(words[0]), float(words[1]))
            tell(enqueued=words[0])
        elif verb == "look":
            workers = {worker.id: worker.host for worker in reads.workers(app.database)}
            tell(states=states(app), owners=owners(app), workers=workers, at=time.monotonic())
        else:
            tell(**verdict(app))


if __name__ == "__main__":
    main(*sys.argv[1:])
