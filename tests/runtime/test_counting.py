"""What a worker counts of the events that it hears, and how that is folded and thrown away in the end."""

from __future__ import annotations

import pytest

from lateshift.errors import StorageUnavailable
from lateshift.events import Events, JobEnqueued, JobFinished
from lateshift.job import JobError
from lateshift.outcome import Outcome
from lateshift.runtime.history import MOST_GROUPS, Compaction, Statistics
from lateshift.settings import load_settings
from lateshift.storage import failures, history, open_database, tallies
from lateshift.testing import FrozenClock

SECOND = 1_000_000
HOUR = 3600 * SECOND
ERROR = JobError("ValueError", "no such order 17", "")


class Scene:
    """A duty that counts, and the database that it writes to."""

    def __init__(self, folder) -> None:
        self.clock = FrozenClock()
        self.db = open_database(load_settings(database_url=f"sqlite:///{folder}/lateshift.db"), self.clock)
        self.events = Events()
        self.duty = Statistics(self.db, self.events, "worker-1")

    def finish(self, kind: str = "completed", *, took: float = 0.5, waited: float = 0, **more) -> None:
        now = self.clock.now()
        began = now - round(took * SECOND)
        status = kind if kind in ("completed", "failed", "cancelled") else "pending_retry"
        outcome = Outcome(kind, status, began, now, error=more.get("error"))
        due = began - round(waited * SECOND)
        name = more.get("name", "app.jobs.send")
        self.events.emit([JobFinished(now, more.get("id", "job"), name, "default", 1, "worker-1", outcome, due)])

    def write(self) -> None:
        self.duty.tick(self.clock.now())

    def total(self) -> history.Point:
        return history.series(self.db, self.clock.now() - HOUR, self.clock.now() + 1, 60).total

    def groups(self) -> list[failures.ErrorGroup]:
        return failures.groups(self.db, self.clock.now() - HOUR)


@pytest.fixture
def scene(tmp_path):
    scene = Scene(tmp_path)
    yield scene
    scene.db.close()


def test_outcomes_are_counted_by_kind(scene):
    """A lost attempt counts as retried; what was snoozed or given back counts for nothing."""
    kinds = ("completed", "failed", "retry", "lost", "cancelled", "snoozed", "returned")
    for kind in (*kinds, "completed"):
        scene.finish(kind)
    scene.events.emit([JobEnqueued(0, "x", "app.jobs.send", "default", 0, 1, 0)])
    scene.write()
    total = scene.total()
    assert (total.completed, total.failed, total.retried, total.cancelled) == (2, 1, 2, 1)


def test_durations_are_counted(scene):
    """Those of running and of waiting; a job that began before it was due has not waited."""
    scene.finish(took=1, waited=30)
    scene.finish(took=1, waited=-5)
    scene.write()
    scene.write()
    total = scene.total()
    assert (total.run_time, total.wait_time) == (1, 15)
    assert 0.5 < total.running.p50 < 1.1
    assert (total.waiting.p50 < 0.01, 16 < total.waiting.p99 < 34) == (True, True)


def test_a_clock_that_went_back_is_borne(scene):
    """An attempt that ended before it began, by its clock, counts all the same."""
    scene.finish(took=-3)
    scene.write()
    assert scene.total().completed == 1


def test_what_was_due_ages_ago_stops_no_counting(scene):
    """Rows by other hands, whose waiting times add up to more than the database has room for: the others count."""
    for _ in range(2):
        for _ in range(3):
            scene.finish(waited=2**62 / SECOND)
        scene.write()
    scene.finish(took=1.0)
    scene.write()
    Compaction(scene.db).tick(scene.clock.now())
    assert scene.db.query("select count(*) from lateshift_tallies") == [(0,)]
    assert scene.total().completed == 7


def test_names_that_begin_alike_are_counted_together(scene):
    """Of a callable path 255 characters are kept, and two with the same ones are one."""
    for end in ("a", "b"):
        scene.finish(name="app." + "x" * 255 + end)
    scene.write()
    assert scene.total().completed == 2


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("module", [tallies, failures])
def test_what_could_not_be_written_is_written_later(scene, monkeypatch, module, written):
    """Once, also if only the answer was lost. So far ten seconds of counts were gone, or failures counted twice."""
    scene.finish("failed", error=ERROR)
    real = module.add

    def unavailable(*arguments):
        if written:
            real(*arguments)
        raise StorageUnavailable("It is away for a moment.")

    with monkeypatch.context() as patch:
        patch.setattr(module, "add", unavailable)
        with pytest.raises(StorageUnavailable):
            scene.write()
    scene.finish("failed", error=ERROR)
    scene.write()
    assert scene.total().failed == 2
    assert [group.failed for group in scene.groups()] == [2]


def test_failures_are_counted_by_group(scene):
    """By what failed and where, with the job that failed last."""
    scene.finish("retry", error=ERROR, id="one")
    scene.clock.move(1)
    scene.finish("failed", error=JobError("ValueError", "no such order 4711", ""), id="two")
    scene.finish("cancelled", error=ERROR)
    scene.write()
    scene.finish("retry", error=ERROR, id="three")
    scene.write()
    [group] = scene.groups()
    assert (group.failed, group.retried, group.job_id, group.message) == (1, 2, "three", "no such order 17")
    assert group.last_at - group.first_at == SECOND


def test_messages_that_are_never_the_same_fill_no_memory(scene):
    """Beyond some hundred groups in ten seconds the others are not told apart, nor kept."""
    for number in range(MOST_GROUPS + 50):
        words = "".join(chr(97 + int(digit)) for digit in str(number))
        scene.finish("failed", error=JobError("ValueError", f"no {words}", ""))
    scene.write()
    assert len(scene.groups()) == MOST_GROUPS
    assert scene.total().failed == MOST_GROUPS + 50


def test_folding_changes_nothing_that_is_read(scene):
    """One of several workers folds in each half minute; after it there is one row for each span."""
    duties = [Compaction(scene.db) for _ in range(3)]
    for _ in range(250):
        scene.finish()
        scene.write()
    for _ in range(10):
        for duty in duties:
            assert 0.5 <= duty.tick(scene.clock.now()) <= 30
        scene.clock.move(30)
    assert scene.db.query("select count(*) from lateshift_tallies") == [(0,)]
    assert scene.db.query("select span, count(*) from lateshift_history where name <> '' group by span") == [
        (1, 1),
        (10, 1),
        (60, 1),
        (1440, 1),
    ]
    assert scene.total().completed == 250
