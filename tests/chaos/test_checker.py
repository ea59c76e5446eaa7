"""The checker of the fault suite finds each kind of broken promise, and nothing in a history where all were kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
from checker import WORKER_DIED, check
from evidence import Evidence, Row, Try

ROW = Row("a", "alpha", "thread", 5, "completed", 1, 1, 0, 2, "w1", {"lease": 1}, None, "e1-1", "ok")


def line(at, what, lease=1, pid=7, attempt=1, job="a", label="e1-1", host="left", **more):
    facts = {"lease": lease, "attempt": attempt, "worker": more.pop("worker", pid), "host": host}
    return {"at": at, "wall": at, "pid": pid, "what": what, "job": job, "label": label, **facts, **more}


def told(what, label="e1-1", **more):
    return {"at": 0.0, "wall": 0.0, "pid": 2, "what": what, "label": label, **more}


def fault(at, what, **more):
    return {"at": at, "wall": at, "pid": 1, "what": what, **more}


RAN = [line(1.0, "begin"), line(1.1, "beat"), line(1.2, "returned")]
AGAIN = [line(1.0, "begin"), line(1.1, "beat"), line(20.0, "begin", 2, 8), line(20.1, "returned", 2, 8)]
RESCUED = replace(ROW, lease=2, crashes=1, result={"lease": 2}, history=(Try("a", 1, 1, "lost", "w1", WORKER_DIED),))


def case(row=ROW, jobs=RAN, enqueuers=(), faults=(), left=()):
    """A history of one job; all is well with its defaults."""
    rows = {} if row is None else {row.id: row}
    accepted = [told("trying"), told("accepted", job="a")]
    return Evidence(rows, list(jobs), [*accepted, *enqueuers], list(faults), list(left))


def tries(*outcomes):
    """The history of errors at the leases from 1 on."""
    return tuple(Try("a", lease, lease, outcome, "w1", "app.jobs.Planned") for lease, outcome in enumerate(outcomes, 1))


KEPT = {
    "a job that completed": case(),
    "a worker killed in the middle": case(RESCUED, AGAIN, faults=[fault(2.0, "kill", pids=[7])]),
    "an attempt that went on in the moment its process was woken": case(
        RESCUED,
        [*AGAIN, line(30.2, "beat")],
        faults=[fault(2.0, "stop", pids=[7]), fault(30.0, "wake", pids=[7])],
    ),
    "an attempt that went on in the moment its process was woken, which had been stopped twice": case(
        RESCUED,
        [*AGAIN, line(30.2, "beat")],
        faults=[fault(2.0, "stop", pids=[7]), fault(29.0, "stop", pids=[7]), fault(30.0, "wake", pids=[7])],
    ),
    "an attempt that went on where the cable was out": case(
        RESCUED,
        [*AGAIN, line(30.2, "beat")],
        faults=[fault(2.0, "part", host="left"), fault(31.0, "join", host="left")],
    ),
    "an error and a success": case(
        replace(ROW, lease=2, attempts=2, result={"lease": 2}, plan="fail:1", history=tries("retry")),
        [
            line(1.0, "begin"),
            line(1.1, "raised"),
            line(2.0, "begin", 2, attempt=2),
            line(2.1, "returned", 2, attempt=2),
        ],
    ),
    "what was rolled back, and is not there": case(enqueuers=[told("undone", "e1-2")]),
    "what is in doubt, and is not there": case(enqueuers=[told("trying", "e1-2"), told("refused", "e1-3")]),
}


@pytest.mark.parametrize("evidence", KEPT.values(), ids=KEPT)
def test_where_all_was_kept_nothing_is_found(evidence):
    """Faults alone are no violation, nor is what they excuse."""
    assert check(evidence) == []


BROKEN = {
    "lost: e1-1": case(None, []),
    "doubled: e1-1 was enqueued once": replace(
        case(), rows={"a": ROW, "b": replace(ROW, id="b")}, jobs=[*RAN, *(entry | {"job": "b"} for entry in RAN)]
    ),
    "stuck: still pending": case(replace(ROW, status="pending", lease=0, attempts=0, result=None), []),
    "stuck: still running": case(replace(ROW, status="running", attempts=0, result=None), RAN[:1]),
    "was rolled back, and ran": case(enqueuers=[told("undone")]),
    "was rolled back, and is in the database": case(
        enqueuers=[told("undone", "e1-2")], row=replace(ROW, label="e1-2"), jobs=RAN
    ),
    "stale result": case(replace(RESCUED, result={"lease": 1}), AGAIN, faults=[fault(2.0, "kill", pids=[7])]),
    "never returned": case(ROW, RAN[:2]),
    "lease 2 ran, and the row says 1": case(ROW, [*RAN, line(3.0, "begin", 2)], faults=[fault(1.5, "kill", pids=[7])]),
    "overlap": case(RESCUED, [*AGAIN, line(20.05, "beat")], faults=[fault(2.0, "kill", pids=[7])]),
    "overlap: lease 1 went on 15.00 s": case(
        RESCUED,
        [*AGAIN, line(35.0, "beat")],
        faults=[fault(2.0, "stop", pids=[7]), fault(30.0, "wake", pids=[7])],
    ),
    "its worker lived on, and it ran again": case(
        replace(ROW, lease=2, result={"lease": 2}), [*RAN, line(3.0, "begin", 2, 8), line(3.1, "returned", 2, 8)]
    ),
    "2 attempts in the row, 1 by its history": case(replace(ROW, attempts=2)),
    "0 crashes in the row, 1 by its history": case(
        replace(RESCUED, crashes=0), AGAIN, faults=[fault(2.0, "kill", pids=[7])]
    ),
    "4 attempts of 3": case(replace(ROW, attempts=4)),
    "failed after 1 attempts of 3": case(
        replace(
            ROW, status="failed", result=None, error_type="app.jobs.Planned", plan="fail:9", history=tries("failed")
        ),
        [line(1.0, "begin"), line(1.1, "raised")],
    ),
    "10 crashes, and completed": case(
        replace(
            RESCUED,
            crashes=10,
            lease=11,
            result={"lease": 11},
            history=tuple(Try("a", lease, 1, "lost", "w1", WORKER_DIED) for lease in range(1, 11)),
        ),
        [line(1.0, "begin", 11), line(1.1, "returned", 11)],
    ),
    "lease 2 was attempt 2, not 1": case(
        RESCUED,
        [AGAIN[0], line(20.0, "begin", 2, 8, 2), line(20.1, "returned", 2, 8, 2)],
        faults=[fault(2.0, "kill", pids=[7])],
    ),
    "has an outcome, retry, and never began": case(
        replace(ROW, lease=2, attempts=2, result={"lease": 2}, plan="fail:1", history=tries("retry")),
        [line(2.0, "begin", 2, attempt=2), line(2.1, "returned", 2, attempt=2)],
    ),
    "which it did not do itself": case(
        replace(ROW, lease=2, attempts=2, result={"lease": 2}, history=tries("retry")),
        [
            line(1.0, "begin"),
            line(1.1, "raised"),
            line(2.0, "begin", 2, attempt=2),
            line(2.1, "returned", 2, attempt=2),
        ],
    ),
    "completed after 0 errors, and its plan was fail:1": case(replace(ROW, plan="fail:1")),
    "counts as crashed, and nobody touched its worker": case(RESCUED, AGAIN),
    "process left": case(left=["process left: python (9)"]),
}


@pytest.mark.parametrize(("words", "evidence"), BROKEN.items(), ids=BROKEN)
def test_each_broken_promise_is_found(words, evidence):
    """A checker that cannot find it proves nothing."""
    assert any(words in violation.words for violation in check(evidence))


def test_the_wrong_order_is_found():
    """Among the jobs that waited together a higher priority begins first; what is in hand already may be ahead."""

    def ordered(*begins, worker=7):
        rows = {str(p): replace(ROW, id=str(p), label=f"order-{p}", priority=p) for p in (1, 9)}
        workers = {1: 7, 9: worker}
        jobs = [
            line(at, what, job=str(p), label=f"order-{p}", worker=workers[p])
            for p, at in begins
            for what in ("begin", "returned")
        ]
        return [violation.words for violation in check(Evidence(rows, jobs, [], []))]

    assert ordered((9, 1.0), (1, 1.1)) == []
    assert ordered((1, 1.0), (9, 1.1)) == []
    assert ordered((1, 1.0), (9, 3.0)) == ["order: priority 9 began after 1 (1)"]
    assert ordered((1, 1.0), (9, 3.0), worker=8) == []
    assert ordered((1, 1.0), (9, 9.0), worker=8) == ["order: priority 9 began after 1 (1)"]
