"""What is SQLite's own: a file with its troubles, and the ways in which it finds rows."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from storage_steps import EVERY_KIND, Place, Steps, new_job

from lateshift.errors import StorageCorrupt, StorageUnavailable
from lateshift.storage import reads, workers, writes
from lateshift.storage.settlements import Batch, Settlement


@pytest.fixture
def place(sqlite_place):
    """Only SQLite here."""
    return sqlite_place


def test_a_missing_folder_is_made_and_private(place, file):
    """The first use makes the folder and the file, for their owner only."""
    Steps(place.open(), place.clock).enqueue()
    assert file.exists()
    if sys.platform != "win32":
        assert (file.parent.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_missing_file_is_made_anew(place, file):
    """After the database was deleted, a program that starts then has an empty one."""
    database = place.open()
    Steps(database, place.clock).enqueue()
    database.close()
    for path in file.parent.iterdir():
        path.unlink()
    assert reads.counts(place.open())["pending"] == 0


def test_a_file_where_a_folder_should_be(place, file):
    """A path that leads through a file is reported with the path, and nothing is made."""
    file.parent.write_text("in the way")
    with pytest.raises(StorageUnavailable, match=r"lateshift\.db"):
        Steps(place.open(), place.clock).enqueue()
    assert file.parent.read_text() == "in the way"


HOLD = """
import time
held = db.transaction()
held.__enter__()
print("locked", flush=True)
time.sleep(float(sys.stdin.readline()))
"""


def test_an_enqueue_waits_for_a_database_that_is_locked(place, steps):
    """While another process holds the database for three seconds, an enqueue waits, and then succeeds."""
    holder = place.process(HOLD)
    assert holder.stdout.readline() == "locked\n"
    began = time.monotonic()
    holder.stdin.write("3\n")
    holder.stdin.flush()
    job_id = steps.enqueue()
    assert 2.5 < time.monotonic() - began < 10
    assert steps.status(job_id) == "pending"
    holder.communicate()


def test_reading_does_not_wait_for_a_writer(place, steps):
    """What is there can be read while another process holds the database."""
    job_id = steps.enqueue()
    holder = place.process(HOLD)
    assert holder.stdout.readline() == "locked\n"
    assert steps.status(job_id) == "pending"
    holder.communicate("0\n")


def test_a_database_that_stays_locked(place, steps):
    """After LATESHIFT_BUSY_TIMEOUT the wait ends with an error that names the setting, and nothing is stored.

    It may be the caller's own transaction, which he does not take for another process.
    """
    steps.enqueue()
    impatient = Steps(place.open(busy_timeout=0.2), place.clock)
    with steps.db.transaction(), pytest.raises(StorageUnavailable, match="LATESHIFT_BUSY_TIMEOUT") as caught:
        impatient.enqueue()
    assert "In a transaction of your own, enqueue with `connection=`" in str(caught.value)
    assert reads.counts(steps.db)["pending"] == 1
    assert impatient.enqueue()


@pytest.mark.parametrize("size", [100, 5000])
def test_a_file_that_is_no_database(place, file, size):
    """Something else under the database's name is reported as damaged, and left alone."""
    file.parent.mkdir()
    file.write_bytes(b"no database" * size)
    for _ in range(2):
        with pytest.raises(StorageCorrupt, match="backup"):
            Steps(place.open(), place.clock).enqueue()
    assert file.read_bytes() == b"no database" * size


def test_a_database_with_damaged_pages(place, file):
    """A page that was overwritten is reported as damage, in words, by whoever comes upon it."""
    steps = Steps(place.open(), place.clock)
    steps.enqueue_many(2000)
    steps.db.close()
    with file.open("r+b") as content:
        content.seek(4096 * 10)
        content.write(b"\xff" * 4096 * 60)
    with pytest.raises(StorageCorrupt, match="damaged"):
        steps.claim()


def full(database, spare: int = 0) -> None:
    """Let the file not grow any more, as on a full disk."""
    pages = database.query("pragma page_count")[0][0]
    database.query(f"pragma max_page_count = {pages + spare}")


def test_a_full_disk_while_enqueuing(place, steps):
    """What does not fit is not stored at all, the error says so, and it goes on when there is space."""
    steps.enqueue()
    full(steps.db, spare=2)
    with pytest.raises(StorageUnavailable, match="full"):
        steps.enqueue_many(500)
    assert reads.counts(place.open())["pending"] == 1
    steps.db.query("pragma max_page_count = 1000000")
    assert len(steps.enqueue_many(500)) == 500


def test_a_full_disk_while_settling(place, steps):
    """When outcomes cannot be written, none of the batch is, the jobs still run, and writing again succeeds."""
    jobs = [steps.running() for _ in range(20)]
    batch = [Settlement(job, steps.completed('"' + "x" * 5000 + '"')) for job in jobs]
    full(steps.db, spare=2)
    with pytest.raises(StorageUnavailable, match="full"):
        writes.settle(steps.db, Batch(batch))
    other = place.open()
    assert {reads.status(other, job.id) for job in jobs} == {"running"}
    steps.db.query("pragma max_page_count = 1000000")
    assert writes.settle(steps.db, Batch(batch)) == []
    assert {reads.status(other, job.id) for job in jobs} == {"completed"}


def test_the_caller_s_own_connection(place, steps):
    """A row that a program inserts in its own transaction is a job from its commit on."""
    steps.enqueue()
    with sqlite3.connect(steps.db.path) as own:
        job = new_job(steps.now)
        own.execute(writes.INSERT_JOB, {name: getattr(job, name) for name in job.__struct_fields__})
        assert steps.status(job.id) is None
    own.close()
    assert steps.status(job.id) == "pending"


def plan(database, sql: str, parameters: dict[str, object]) -> str:
    return "\n".join(row[3] for row in database.query(f"explain query plan {sql}", parameters))


def test_claiming_goes_through_the_waiting_index(database):
    """A claim seeks its lane in the waiting index; nothing is sorted and no table is scanned."""
    values = {"worker": "w", "now": 1, "queue": "q", "executor": "thread", "priority": 1, "limit": 5}
    found = plan(database, writes._CLAIM, values)
    assert "SEARCH lateshift_jobs USING" in found
    assert "INDEX lateshift_jobs_waiting (queue=? AND executor=? AND priority=? AND run_at<?)" in found
    assert "B-TREE" not in found
    assert "SCAN lateshift_jobs" not in found


def test_lanes_go_through_the_waiting_index(database):
    """Each step to the next lane is a seek in the waiting index, without a sort."""
    found = plan(database, reads._LANES, {"start": "", "most": 200, "only": 0}).replace("COVERING ", "")
    for seek in ("queue=? AND executor=? AND priority<?", "queue=? AND executor>?", "queue>?"):
        assert f"SEARCH n USING INDEX lateshift_jobs_waiting ({seek})" in found
    assert "SEARCH lateshift_jobs USING INDEX lateshift_jobs_waiting (queue>?)" in found, "the first lane"
    assert "SCAN lateshift_jobs" not in found
    assert "B-TREE" not in found


def work_for(database, act: Callable[[], object]) -> int:
    """How much SQLite had to do, in steps of its virtual machine by the fifty."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1

    database.query("select 1")
    database._connection.set_progress_handler(count, 50)
    try:
        act()
    finally:
        database._connection.set_progress_handler(None, 0)
    return done


@pytest.fixture
def crowd(place, clock):
    """A table with thousands of rows that are none of a claim's business, and as many that wait in line."""
    steps = Steps(place.open(), clock)
    steps.enqueue_many(4000, priority=10, delay=3600)
    steps.enqueue_many(4000, priority=1, delay=3600)
    steps.enqueue_many(4000, priority=5)
    with steps.db.transaction():
        done = [Settlement(job, steps.completed()) for job in steps.claim(thread=3900)]
        writes.settle(steps.db, Batch(done))
    steps.register()
    steps.claim(thread=100)
    steps.enqueue_many(4000)
    return steps


@pytest.mark.parametrize(
    ("verb", "most"),
    [
        pytest.param(lambda s: s.claim("worker-2", thread=1), 12, id="claim"),
        pytest.param(lambda s: reads.lanes(s.db), 8, id="lanes"),
        pytest.param(lambda s: reads.anything_waiting(s.db, ()), 2, id="anything_waiting"),
        pytest.param(lambda s: workers.remove_idle_runner(s.db, "runner-1", ("default",)), 10, id="sign off"),
        pytest.param(lambda s: s.enqueue(), 8, id="enqueue"),
        pytest.param(lambda s: reads.absent_owners(s.db), 60, id="absent_owners"),
        pytest.param(lambda s: reads.cancel_requests(s.db, "worker-1"), 60, id="cancel_requests"),
        pytest.param(lambda s: reads.workers(s.db), 30, id="workers"),
        pytest.param(lambda s: writes.prune(s.db, s.now - 1), 8, id="prune, nothing old enough"),
        pytest.param(lambda s: reads.list_jobs(s.db, limit=10), 20, id="list"),
    ],
)
def test_other_rows_cost_nothing(crowd, verb, most):
    """Among 16,000 rows each verb of a worker's loop takes as few steps as among a handful."""
    assert work_for(crowd.db, lambda: verb(crowd)) <= most


def test_a_claim_costs_by_what_it_takes(crowd, place):
    """Claiming fifty out of thousands is no more work than claiming the only fifty there are."""
    alone = Steps(Place("sqlite", place.url.replace("lateshift.db", "alone.db"), crowd.clock).open(), crowd.clock)
    alone.enqueue_many(50)

    def claim(steps: Steps) -> None:
        lanes = [lane for lane in steps.lanes() if lane.run_at <= steps.now]
        assert len(writes.claim(steps.db, "worker-2", steps.now, lanes, EVERY_KIND | {"thread": 50})) == 50

    many, few = work_for(crowd.db, lambda: claim(crowd)), work_for(alone.db, lambda: claim(alone))
    assert many <= few * 1.3 + 5


def test_a_batch_is_completed_by_its_ids(clock, tmp_path):
    """After an `analyze` while one job ran, each row of a batch was looked for among all that run."""

    def work(folder: str, *statements: str) -> int:
        steps = Steps(Place("sqlite", f"sqlite:///{tmp_path}/{folder}/lateshift.db", clock).open(), clock)
        steps.enqueue_many(1001)
        steps.claim(thread=1)
        for statement in statements:
            steps.db.query(statement)
        steps.db.close()  # what is open goes by what was known before
        batch = Batch([Settlement(job, steps.completed()) for job in steps.claim(thread=1000)])
        return work_for(steps.db, lambda: writes.settle(steps.db, batch))

    assert work("analysed", "analyze") <= 1.3 * work("unknown")


KEPT = """\
import sys
from lateshift import Lateshift
app = Lateshift(database_url=sys.argv[1], storage_dir=sys.argv[2], spawn="never")
app.list_jobs()
sys._kept = app
"""


def test_a_program_that_keeps_an_application_to_the_very_end_ends_without_a_word(place, tmp_path):
    """Modules are emptied before it is let go of, and what it does then needs none of their names."""
    command = [sys.executable, "-c", KEPT, place.url, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stderr == ""


def test_a_change_by_another_connection_is_noticed_once(steps, place):
    """An idle worker learns of what others commit, and does not wake itself."""
    other = place.open()
    steps.db.changed()
    assert not steps.db.changed()
    writes.enqueue(other, [steps.new()])
    assert steps.db.changed()
    assert not steps.db.changed()
    steps.enqueue()
    assert not steps.db.changed()


def test_the_last_look_comes_after_transactions_that_have_begun(steps, place):
    """A job that another process has inserted and not committed yet is waited for; queues not served do not count."""
    other = place.open()
    inserted, looked = threading.Event(), []

    def insert() -> None:
        with other.transaction():
            writes.enqueue(other, [steps.new(queue="mail"), steps.new(queue="reports")])
            inserted.set()
            late.wait(0.3)
            assert looked == []

    late, thread = threading.Event(), threading.Thread(target=insert)
    thread.start()
    inserted.wait()
    looked += workers.look(steps.db, ("mail",))
    thread.join()
    assert [lane.queue for lane in looked] == ["mail"]
    assert [lane.queue for lane in workers.look(steps.db, ())] == ["mail", "reports"]


def test_the_number_of_a_deleted_row_leads_to_no_other_job(steps):
    """SQLite gives it to the next one: what a late worker settles about the one before leaves that alone."""
    steps.enqueue_many(60)
    *_, last = jobs = steps.claim(thread=60)
    steps.lose(last)
    writes.cancel(steps.db, last.id, steps.now)
    writes.delete(steps.db, last.id)
    heir = steps.running("worker-2")
    assert (heir.seq, heir.lease) == (last.seq, last.lease)
    batch = Batch([Settlement(job, steps.completed()) for job in jobs])
    assert [refused.job.id for refused in writes.settle(steps.db, batch)] == [last.id]
    assert steps.status(heir) == "running"
