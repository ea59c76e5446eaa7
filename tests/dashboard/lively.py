"""A database in the middle of a working day: jobs in every status, with attempts, errors and logs, and workers.

`python tests/dashboard/lively.py FOLDER` fills one and serves it; add `--keep` to have things go on happening.
"""

import json
import random
import sys
import time
from functools import cache
from pathlib import Path

from lively_errors import add_groups, add_jobs

from lateshift import Lateshift, histogram
from lateshift.enqueuing import new_id
from lateshift.fingerprint import fingerprint
from lateshift.host.fleet import host_name
from lateshift.job import JobError
from lateshift.storage import audit, tallies, workers, writes

SECOND = 1_000_000
ERROR = "requests.exceptions.ReadTimeout"

TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/shop/billing.py", line 88, in handle
    receipt = self.gateway.charge(order, amount)
              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shop/gateway.py", line 41, in charge
    response = self.session.post(url, json=body, timeout=10)
  File "/srv/shop/.venv/lib/python3.12/site-packages/requests/sessions.py", line 637, in post
    return self.request("POST", url, data=data, json=json, **kwargs)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/.venv/lib/python3.12/site-packages/requests/adapters.py", line 713, in send
    raise ReadTimeout(e, request=request)
requests.exceptions.ReadTimeout: HTTPSConnectionPool(host='pay.example.com', port=443): Read timed out. (timeout=10)
"""

TIMEOUT = JobError(ERROR, TRACEBACK.splitlines()[-1].partition(": ")[2], TRACEBACK)

KINDS = [  # name, queue, priority, parameters, seconds, weight
    ("shop.billing.ChargeCard.handle", "billing", 8, lambda n: {"order_id": 48_000 + n, "amount": "129.90"}, 1.4, 3),
    ("shop.mail.send_receipt", "mail", 5, lambda n: {"order_id": 48_000 + n, "to": f"customer{n}@example.com"}, 0.3, 6),
    ("shop.images.MakeThumbnails.handle", "images", 2, lambda n: {"path": f"/uploads/2026/11/{n}.jpg"}, 4.2, 3),
    ("shop.search.reindex_product", "search", 3, lambda n: {"product_id": 900 + n, "full": False}, 0.08, 6),
    ("shop.reports.NightlyRevenue.handle", "reports", 1, lambda n: {"day": "2026-11-24", "currencies": ["EUR"]}, 95, 1),
    ("shop.partners.sync_stock", "partners", 4, lambda n: {"partner": "acme", "api_key": "sk-live-1"}, 12, 2),
]

INSERT = """insert into lateshift_jobs (id, name, queue, executor, priority, status, run_at, lease, attempts, crashes,
    max_retries, worker, enqueued_at, started_at, finished_at, progress, progress_message, error_type, error_message,
    error_traceback, result, parameters)
values (:id, :name, :queue, 'thread', :priority, :status, :run_at, :lease, :attempts, 0, 3, :worker, :enqueued_at,
    :started_at, :finished_at, :progress, :progress_message, :error_type, :error_message, :error_traceback, :result,
    :parameters)"""


def counted(dice, done, bad, lasts, waits):
    """What a worker counts of attempts that took and waited about so many seconds."""
    sums = tallies.Sums(done, bad, bad * 2)
    for buckets, mean in ((sums.runs, lasts), (sums.waits, waits)):
        lengths = [0] * histogram.LENGTHS
        for _ in range(done):
            lengths[round(mean * dice.lognormvariate(0, 0.5) * SECOND).bit_length()] += 1
        buckets[:] = histogram.by_length(lengths)
    sums.run_time, sums.wait_time = round(done * lasts * SECOND), round(done * waits * SECOND)
    return sums


@cache
def last_hour():
    """What was counted in each minute of it: (minutes ago, queue, name, sums). Once for all sites: it takes 35 ms."""
    dice, rows = random.Random(11), []
    for back in range(60):
        for name, queue, _, _, lasts, weight in KINDS:
            done = max(0, round(dice.gauss(weight * 9, weight * 2)))
            bad = dice.randint(0, 3) if queue == "billing" and 20 < back < 34 else int(dice.random() < 0.02)
            waits = dice.uniform(0.05, 0.4) * (6 if bad > 1 else 1)
            rows.append((back, queue, name, counted(dice, done, bad, lasts, waits)))
    return rows


class Day:
    """Writes the rows of a day, with the same dice each time."""

    def __init__(self, app):
        self.app, self.db, self.dice = app, app.database, random.Random(7)
        self.now, self.number = app.database.now(), 0

    def job(self, status, ago, kind=None, **changes):
        name, queue, priority, parameters, lasts, _ = kind or self.dice.choices(KINDS, [k[-1] for k in KINDS])[0]
        self.number += 1
        at = self.now - round(ago * SECOND)
        took = round(lasts * self.dice.lognormvariate(0, 0.5) * SECOND)
        row = dict.fromkeys(("worker", "started_at", "finished_at", "progress", "progress_message", "result"))
        row |= dict.fromkeys(("error_type", "error_message", "error_traceback"))
        row |= {"id": new_id(at - 3 * SECOND), "name": name, "queue": queue, "priority": priority, "status": status}
        row |= {"run_at": at - 3 * SECOND, "enqueued_at": at - 3 * SECOND, "lease": 0, "attempts": 0}
        row["parameters"] = json.dumps(parameters(self.number))
        if status in ("running", "completed", "failed"):
            row |= {
                "lease": 1,
                "attempts": 1,
                "worker": "w-7f3a90",
                "started_at": at - took if status != "running" else at,
            }
            row["enqueued_at"] = row["run_at"] = row["started_at"] - round(self.dice.expovariate(2) * SECOND)
        if status in ("completed", "failed", "cancelled"):
            row["finished_at"] = at
        if status == "completed":
            row["result"] = json.dumps({"ok": True, "seconds": round(took / SECOND, 3)})
        self.db.execute(INSERT, row | changes)
        return row | changes

    def failure(self, ago, attempts=4, kind=KINDS[0], *, status="failed", error=TIMEOUT):
        """A job with all its attempts, each with an error and some log lines."""
        error = {"error_type": error.type, "error_message": error.message, "error_traceback": error.traceback}
        job = self.job("failed", ago, kind, attempts=attempts, lease=attempts, **error)
        if status != "failed":
            self.db.execute(
                "update lateshift_jobs set status = :status, finished_at = null, run_at = :at where id = :id",
                {"status": status, "at": self.now + 42 * SECOND, "id": job["id"]},
            )
        lengths = [round((10.4 + 5 * number) * SECOND) for number in range(1, attempts + 1)]
        at = began = job["started_at"] - sum(lengths[:-1])  # the last attempt is the one in the job's own row
        for number, length in enumerate(lengths, 1):
            outcome = "failed" if number == attempts and status == "failed" else "retry"
            end = (job["finished_at"] if number == attempts else None) or at + 10_400_000
            self._attempt(job["id"], number, outcome, at, end, error)
            at += length
        self.db.execute(
            "update lateshift_jobs set enqueued_at = :at where id = :id", {"at": began - 2 * SECOND, "id": job["id"]}
        )
        return job

    def _attempt(self, job_id, number, outcome, start, end, error):
        mark = fingerprint(JobError(*error.values())).key
        self.db.execute(
            "insert into lateshift_attempts values (:id, :n, :n, :outcome, 'w-7f3a90', :start, :end,"
            " :error_type, :error_message, :error_traceback, :fingerprint)",
            {"id": job_id, "n": number, "outcome": outcome, "start": start, "end": end, **error, "fingerprint": mark},
        )
        lines = [
            f"2026-11-24 14:03:{number:02d},118 INFO shop.billing: charging order 48012, attempt {number}",
            f"2026-11-24 14:03:{number + 10:02d},530 WARNING shop.gateway: no answer after 10 s",
        ]
        self.db.execute(
            "insert into lateshift_logs values (:id, :n, :n, :lines)",
            {"id": job_id, "n": number, "lines": "\n".join(lines)},
        )

    def workers(self):
        """Two that live, on another host, and one that has died."""
        for name, pid, silent in (("w-7f3a90", 4121, 2), ("w-81bc02", 4122, 4), ("w-4410ee", 977, 900)):
            worker = workers.NewWorker(
                name, "worker", "app-1" if silent < 100 else "app-2", pid, "/srv/shop", (), "0.1.0"
            )
            workers.register_worker(self.db, worker, self.now - 5400 * SECOND)
            self.beat(name, silent)

    def beat(self, name, ago=0):
        self.db.execute(
            "update lateshift_workers set heartbeat_at = :at where id = :id",
            {"at": self.db.now() - ago * SECOND, "id": name},
        )

    def machines(self):
        """What the living workers told of themselves, a version that came half an hour ago, and a worker that died."""
        audit.mark_deploy(self.db, self.now - 2000 * SECOND, "w-7f3a90", "v41")
        for name, memory, cpu, revision in (("w-7f3a90", 184e6, 0.42, "v41"), ("w-81bc02", 1.31e9, 0.97, "v41")):
            slots = json.dumps({"thread": 8, "loop": 100, "process": 2})
            self.db.execute(
                "update lateshift_workers set memory = :memory, cpu = :cpu, revision = :revision, slots = :slots"
                " where id = :id",
                {"memory": round(memory), "cpu": cpu, "revision": revision, "slots": slots, "id": name},
            )
        audit.mark_death(self.db, self.now - 1500 * SECOND, "w-3190ab", "4 jobs taken back, 0 of them failed for good")

    def week(self):
        """A week of history before the last hour, with nights in it: for charts of days."""
        for back in range(6, 7 * 144):
            minute, rows = self.now // (60 * SECOND) - 10 * back, []
            busy = 1 + (minute // 60 % 24 in range(7, 20)) * 2.5 + self.dice.random()
            for name, queue, _, _, lasts, weight in KINDS:
                bad = int(self.dice.random() < 0.1) * self.dice.randint(1, 4)
                waits = self.dice.uniform(0.05, 0.2) * busy
                counts = counted(self.dice, round(weight * 22 * busy), bad, lasts, waits)
                rows.append(((minute, queue, name), counts))
            self.db.transact(lambda rows=rows, back=back: tallies.add(self.db, "w-81bc02", back, rows))
        while self.db.transact(lambda: tallies.fold(self.db)):
            pass

    def statistics(self):
        """The counts of the last hour, with a bad quarter of an hour in it."""
        now = self.now // (60 * SECOND)
        rows = [((now - back, queue, name), counted) for back, queue, name, counted in last_hour()]
        self.db.transact(lambda: tallies.add(self.db, "w-7f3a90", 1, rows))

    def fill(self, completed=120):
        self.db.transact(lambda: self._fill(completed))
        self.statistics()
        add_groups(self.db, self.now, TIMEOUT)

    def _fill(self, completed):
        self.workers()
        for _ in range(completed):
            self.job("completed", self.dice.uniform(30, 3500))
        for ago in (250, 900, 1500, 1530, 1700, 3000):
            self.failure(ago)
        self.failure(12, 2, status="pending_retry")
        self.failure(30, 1, KINDS[5], status="pending_retry")
        for _ in range(14):
            self.job("pending", self.dice.uniform(1, 20))
        for delay in (90, 600, 3600, 86_000):
            self.job("pending", 40, run_at=self.now + delay * SECOND)
        for _ in range(3):
            self.job("cancelled", self.dice.uniform(60, 2000))
        progress = {"progress": 0.64, "progress_message": "page 41 of 64"}
        self.job("running", 61, KINDS[4], worker="w-81bc02", **progress)
        for _ in range(5):
            self.job("running", self.dice.uniform(0.2, 6), worker=self.dice.choice(["w-7f3a90", "w-81bc02"]))
        writes.pause_queue(self.db, "partners", self.now)
        self.job("pending", 300, KINDS[5])
        self.machines()

    def alive(self):
        """The living workers say so once more."""
        for worker in ("w-7f3a90", "w-81bc02"):
            self.beat(worker)

    def errors(self):
        """Failed jobs of other kinds, as the error groups tell of them."""
        add_jobs(self)

    def go_on(self):
        """A moment later: something finishes, something comes."""
        self.now = self.db.now()
        self.alive()
        self.job("completed", 0)
        self.job("pending", 0)


def make(folder, **settings):
    """An application object on a file of its own, with no host of this machine in it."""
    assert host_name() not in ("app-1", "app-2")
    own = {"database_url": f"sqlite:///{folder}/lateshift.db", "allowed": ["shop"], "sqlite_durability": "normal"}
    return Lateshift(root=folder, storage_dir=folder, **(own | {"spawn": "never"} | settings))


def main():
    import threading

    import uvicorn

    from lateshift.dashboard import create_dashboard

    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True, parents=True)
    app = make(folder)
    day = Day(app)
    if "--empty" not in sys.argv:
        day.fill()
        day.week()
        day.errors()

        def go_on():
            while True:
                time.sleep(2)
                day.go_on() if "--keep" in sys.argv else day.alive()

        threading.Thread(target=go_on, daemon=True).start()
    port = int(next((a for a in sys.argv[2:] if a.isdigit()), 8650))
    uvicorn.run(create_dashboard(app), port=port, log_level="warning")


if __name__ == "__main__":
    main()
