"""The audit log and the marks in time: written once, read by page, and forgotten after ninety days."""

from __future__ import annotations

import pytest
from storage_steps import SECOND

from lateshift.storage import audit, workers


def register(steps, worker: str, revision: str) -> None:
    row = workers.NewWorker(worker, "worker", "host-1", 4711, "/run", (), "1.0", revision, {"thread": 8})
    workers.register_worker(steps.db, row, steps.now)


def deploys(steps) -> list[str]:
    return [mark.label for mark in audit.marks(steps.db, 0, steps.now, kind="deploy")]


def test_actions_are_listed_by_page(steps, clock):
    """The latest first; what is told is what was noted."""
    noted = []
    for number in range(7):
        noted.append(
            audit.append(steps.db, steps.now, "ada" if number % 2 else "bob", "retry", f"job-{number}", number)
        )
        clock.move(number % 2)
    first = audit.page(steps.db, limit=4)
    second = audit.page(steps.db, limit=4, before=first[-1].id)
    assert sorted((*first, *second), key=lambda entry: entry.id) == sorted(noted, key=lambda entry: entry.id)
    assert [entry.at for entry in (*first, *second)] == sorted((entry.at for entry in noted), reverse=True)
    assert {entry.actor for entry in audit.page(steps.db, actor="ada")} == {"ada"}
    assert audit.page(steps.db, actor="nobody") == []


def test_long_texts_are_cut(steps):
    """Whatever a page hands over can be noted."""
    entry = audit.append(steps.db, steps.now, "a" * 999, "delete", "ü" * 999, 3, "x" * 9999)
    assert audit.page(steps.db) == [entry]
    assert (len(entry.actor), len(entry.target), len(entry.details)) == (500, 500, 2000)


def test_a_worker_that_names_no_revision_marks_nothing(steps):
    """`lateshift run`, which has a single job, is no deploy: its version stood on every chart."""
    register(steps, "a", "v1")
    register(steps, "one-job", "")
    assert deploys(steps) == ["v1"]


def test_a_new_version_is_marked_once(steps, clock):
    """However many of its workers start, and though some of the old ones are replaced meanwhile."""
    for worker in ("a", "b"):
        register(steps, worker, "v1")
    clock.move(3600)
    register(steps, "c", "v2")
    register(steps, "d", "v2")
    clock.move(60)
    workers.remove_worker(steps.db, "a")
    register(steps, "e", "v1")
    assert deploys(steps) == ["v2", "v1"]
    for worker in ("b", "e"):
        workers.remove_worker(steps.db, worker)
    clock.move(600)
    register(steps, "f", "v2")
    assert deploys(steps) == ["v2", "v1"]
    clock.move(600)
    for worker in ("c", "d", "f"):
        workers.remove_worker(steps.db, worker)
    register(steps, "g", "v1")
    assert deploys(steps) == ["v1", "v2", "v1"]


def test_marks_of_a_period(steps, clock):
    """Deploys and deaths, the latest first."""
    register(steps, "a", "v1")
    clock.move(30)
    audit.mark_death(steps.db, steps.now, "a", "2 jobs taken back")
    death, deploy = audit.marks(steps.db, steps.now - 60 * SECOND, steps.now)
    assert (death.kind, death.label, death.details, death.at) == ("death", "a", "2 jobs taken back", steps.now)
    assert (deploy.kind, deploy.at) == ("deploy", steps.now - 30 * SECOND)
    assert audit.marks(steps.db, steps.now - 29 * SECOND, steps.now) == [death]
    assert audit.marks(steps.db, steps.now + 1, steps.now + 9) == []


def test_what_is_old_goes(steps, clock):
    """After ninety days nobody asks any more."""
    audit.append(steps.db, steps.now, "ada", "retry", "a job")
    register(steps, "a", "v1")
    clock.move(89 * 86_400)
    audit.prune_audit(steps.db, steps.now)
    assert len(audit.page(steps.db)) == len(audit.marks(steps.db, 0, steps.now)) == 1
    clock.move(2 * 86_400)
    audit.prune_audit(steps.db, steps.now)
    assert audit.page(steps.db) == audit.marks(steps.db, 0, steps.now) == []


@pytest.mark.parametrize("label", ["v1.2-ü", "x" * 100])
def test_any_label(steps, label):
    """A release may be called as it likes."""
    register(steps, "a", label)
    assert deploys(steps) == [label]
