"""What somebody who can write into the tables puts there must not hide the other rows, nor stop a worker."""

from __future__ import annotations

import msgspec
import pytest

from lateshift.events import Events
from lateshift.host.fleet import host_name
from lateshift.query import parse
from lateshift.runtime.duties import rescue
from lateshift.storage import reads, search, trash, workers
from lateshift.storage.workers import NewWorker

DEEP = "[" * 100_000 + "]" * 100_000
FAR = 2**62


@pytest.mark.parametrize("column", ["run_at", "enqueued_at", "started_at", "finished_at"])
@pytest.mark.parametrize("value", [FAR, -FAR])
def test_a_time_that_no_calendar_has_hides_no_job(steps, database, column, value):
    """Both jobs are listed, and the hostile one can be read."""
    bad, good = steps.enqueue(), steps.enqueue()
    database.execute(f"update lateshift_jobs set {column} = :value where id = :id", {"value": value, "id": bad})
    assert {job.id for job in reads.list_jobs(database)} == {bad, good}
    assert getattr(reads.get(database, bad, history=True), column).year in {1, 9987}


@pytest.mark.parametrize("column", ["run_at", "priority"])
def test_a_text_where_a_number_belongs_stops_no_worker(steps, database, place, column):
    """SQLite takes it; the lanes leave it out, and the job beside it is claimed."""
    if place.kind != "sqlite":
        pytest.skip("servers refuse it")
    bad, good = steps.enqueue(queue="bad"), steps.enqueue(queue="good")
    database.execute(f"update lateshift_jobs set {column} = 'soon' where id = :id", {"id": bad})
    assert [lane.queue for lane in reads.lanes(database)] == ["good"]
    assert {job.id for job in reads.list_jobs(database)} == {bad, good}


@pytest.mark.parametrize("value", [0.5, float("-inf")])
def test_a_fraction_where_a_time_belongs_keeps_no_other_job_back(steps, database, place, value):
    """SQLite takes it, as the first of its lane: it is claimed, and so are those behind it."""
    if place.kind != "sqlite":
        pytest.skip("servers round or refuse it")
    bad, good = steps.enqueue(), steps.enqueue()
    database.execute("update lateshift_jobs set run_at = :value where id = :id", {"value": value, "id": bad})
    assert {job.id for job in steps.claim(thread=2)} == {bad, good}


@pytest.mark.parametrize(
    ("column", "statuses", "query"),
    [("finished_at", ("completed", "failed"), "status:finished"), ("run_at", ("pending",), "status:pending")],
)
def test_a_text_where_a_time_belongs_stops_no_search(steps, database, place, column, statuses, query):
    """It stands behind all numbers, as SQLite has it, and cannot be compared with them in Python."""
    if place.kind != "sqlite":
        pytest.skip("servers refuse it")
    ids = [steps.enqueue() for _ in range(8)]
    for number, job_id in enumerate(ids):
        values = {"id": job_id, "status": statuses[number % len(statuses)], "at": number}
        database.execute(f"update lateshift_jobs set status = :status, {column} = :at where id = :id", values)
    database.execute(f"update lateshift_jobs set {column} = 'soon' where id = :id", {"id": ids[0]})
    seen, cursor = [], None
    while not seen or cursor is not None:
        found = search.search(database, parse(query), cursor=cursor, limit=3)
        seen += [job.id for job in found.jobs]
        cursor = found.next
    assert sorted(seen) == sorted(ids)


@pytest.mark.parametrize("text", [DEEP, "not JSON", "null", "5", '{"a": 1}', "[1]"])
def test_a_hostile_row_of_a_worker_hides_no_other(steps, database, text):
    """Its queues and slots count for nothing; above all it does not pass for one that serves every queue."""
    database.execute(
        "insert into lateshift_workers (id, kind, host, pid, folder, queues, version, started_at, heartbeat_at, slots)"
        " values ('w', 'worker', 'h', 1, '/', :text, '1', 1, 1, :slots)",
        {"text": text, "slots": text if text != '{"a": 1}' else '{"thread": "x"}'},
    )
    assert [row.queues for row in reads.workers(database)] == [(reads.UNREADABLE,)]
    assert [detail.slots for detail in workers.worker_details(database)] == [{}]


def test_names_of_columns_in_the_trash_become_no_sql(steps, database):
    """Tables and columns that are none of ours are left out when a deletion is undone."""
    job = steps.enqueue()
    trash.throw_away(database, "batch", [job], ["pending"], database.now())
    text = database.query("select content from lateshift_trash")[0][0]
    content = msgspec.json.decode(text)
    content["lateshift_jobs"][0]["id) values ('x'); drop table lateshift_jobs; --"] = "x"
    content["lateshift_queues (name) values ('mine') --"] = [{"name": "x"}]
    database.execute("update lateshift_trash set content = :text", {"text": msgspec.json.encode(content).decode()})
    assert trash.restore(database, "batch") == 1
    assert reads.status(database, job) == "pending"
    assert reads.queues(database, database.now())[0].name != "mine"


@pytest.mark.parametrize("text", [DEEP, "not JSON", "[]", '{"lateshift_jobs": 1}'])
def test_what_stands_in_the_trash_keeps_nothing_else_from_coming_back(steps, database, text):
    """The one that cannot be read is left out, the other one is there again."""
    bad, good = steps.enqueue(), steps.enqueue()
    for job in (bad, good):
        trash.throw_away(database, "batch", [job], ["pending"], database.now())
    database.execute("update lateshift_trash set content = :text where job_id = :id", {"text": text, "id": bad})
    trash.restore(database, "batch")
    assert (reads.status(database, bad), reads.status(database, good)) == (None, "pending")


def test_the_row_of_a_worker_is_no_way_to_other_files(steps, database, tmp_path):
    """Rescuing it removes its files only: neither those of a path in its name, nor what is called like one of them."""
    folder = tmp_path / "project"
    (folder / "run").mkdir(parents=True)
    for name in ("uv.lock", "run/uv.lock", "run/uv.run"):
        (folder / name).write_text("precious")
    for name in ("uv", "../uv", f"{folder}/uv"):
        database.execute("delete from lateshift_workers", {})
        worker = NewWorker(name, "worker", host_name(), 1, str(folder / "run"), (), "1")
        workers.register_worker(database, worker, database.now())
        rescue(database, Events(), name, str(folder / "run"))
    assert {path.name for path in folder.rglob("uv.*")} == {"uv.lock", "uv.run"}
    assert len([*folder.rglob("uv.*")]) == 3
