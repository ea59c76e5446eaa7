"""The history: counts of workers are folded together, and charts and tables add up whatever was folded already."""

from __future__ import annotations

import threading

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from storage_steps import SECOND, Steps

from lateshift import histogram
from lateshift.storage import history, tallies, writes
from lateshift.storage.tallies import Sums

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NAME = "app.jobs.send"


def counts(completed: int = 0, failed: int = 0, *, took: float = 0.01, waited: float = 0.0, **more: int) -> Sums:
    """What a worker counted of attempts that all took and waited as long."""
    number = completed + failed + sum(more.values())
    sums = Sums(completed, failed, **more)
    for buckets, seconds in ((sums.runs, took), (sums.waits, waited)):
        lengths = [0] * histogram.LENGTHS
        lengths[round(seconds * SECOND).bit_length()] = number
        buckets[:] = histogram.by_length(lengths)
    sums.run_time, sums.wait_time = round(number * took * SECOND), round(number * waited * SECOND)
    return sums


class Counting:
    """Writes counts as workers do; each call is another part."""

    def __init__(self, steps: Steps) -> None:
        self.steps, self.db, self.part, self.start = steps, steps.db, 0, steps.now

    def add(self, sums: Sums, *, at: int | None = None, queue: str = "default", name: str = NAME, worker: str = "a"):
        self.part += 1
        minute = (self.steps.now if at is None else at) // MINUTE
        tallies.add(self.db, worker, self.part, [((minute, queue, name), sums)])

    def fold(self) -> None:
        while tallies.fold(self.db):
            pass

    def hour(self, **chosen) -> history.Series:
        return history.series(self.db, self.steps.now - HOUR, self.steps.now + 1, 60, **chosen)


@pytest.fixture
def counting(steps) -> Counting:
    return Counting(steps)


def test_nothing_is_zeros(counting):
    """A chart of a time in which nothing happened has all its points, and they say so."""
    series = counting.hour()
    assert (series.step, len(series.points)) == (60, 61)
    assert all(point.count == 0 and point.running.p50 is None and point.failure_rate is None for point in series.points)


@pytest.mark.parametrize("folded", ["none", "all", "some"])
def test_what_several_workers_counted_adds_up(counting, folded):
    """Before, during and after it is folded, a chart shows the same."""
    counting.add(counts(90, 10), worker="a")
    if folded == "some":
        counting.fold()
    counting.add(counts(0, 0, retried=5, cancelled=5), worker="b", queue="mail")
    if folded == "all":
        counting.fold()
    series = counting.hour()
    last, total = series.points[-1], series.total
    for point in (last, total):
        assert (point.completed, point.failed, point.retried, point.cancelled) == (90, 10, 5, 5)
        assert point.failure_rate == 15 / 110
        assert point.run_time == pytest.approx(0.01)
    assert counting.hour(queue="mail").total.count == 10
    assert counting.hour(callable=NAME).total.count == 110
    assert counting.hour(callable="app.jobs.other").total.count == 0


def test_quantiles(counting):
    """The middle and the slow end of a period, over all that was counted in it."""
    counting.add(counts(90, took=0.1, waited=1))
    counting.add(counts(10, took=10, waited=30))
    counting.fold()
    total = counting.hour().total
    assert 0.06 < total.running.p50 < 0.14
    assert 8 < total.running.p95 < 17
    assert 0.5 < total.waiting.p50 < 1.1
    assert 16 < total.waiting.p99 < 34


@pytest.mark.parametrize(("step", "ago"), [(60, 0), (600, 3 * HOUR), (3600, 3 * DAY), (86_400, 60 * DAY)])
def test_each_span_holds_everything(counting, step, ago):
    """Minutes, ten minutes, hours and days count the same jobs; what was folded at several times is one row each."""
    for number in range(3):
        counting.add(counts(1), at=counting.steps.now - ago)
        counting.fold()
        counting.add(counts(number), at=counting.steps.now - ago)
    now = counting.steps.now
    series = history.series(counting.db, now - ago - step * SECOND, now + 1, step)
    assert series.step == step
    assert series.total.completed == 6


def test_a_step_that_is_not_kept_becomes_coarser(counting):
    """Minutes are kept for a week: a chart of last month in minutes is one in hours, and not endlessly many."""
    counting.add(counts(4), at=counting.steps.now - 20 * DAY)
    counting.fold()
    now = counting.steps.now
    series = history.series(counting.db, now - 30 * DAY, now, 60)
    assert series.step % 3600 == 0
    assert len(series.points) < 2_100
    assert series.total.completed == 4


def test_folding_twice_at_once_counts_nothing_twice(counting, place):
    """Two hosts that fold at the same time take turns; what a worker writes meanwhile is counted too."""
    others = [place.open() for _ in range(3)]
    for number in range(120):
        counting.add(counts(1), queue=f"queue-{number % 5}", worker=f"worker-{number % 3}")
    now, failed = counting.steps.now, []

    def fold(db) -> None:
        try:
            for number in range(40):
                db.transact(lambda at=number: tallies.take_turn(db, now + at, 0) and tallies.fold(db))
        except Exception as error:  # told by the test
            failed.append(error)

    threads = [threading.Thread(target=fold, args=(db,)) for db in others]
    for thread in threads:
        thread.start()
    for _ in range(30):
        counting.add(counts(1), worker="late")
    for thread in threads:
        thread.join()
    assert failed == []
    assert counting.hour().total.completed == 150
    counting.fold()
    assert counting.hour().total.completed == 150
    assert counting.db.query("select count(*) from lateshift_tallies") == [(0,)]


def test_one_folds_in_half_a_minute(counting, place):
    """Whoever has the turn has it for all; it can be given back."""
    now, pause = counting.steps.now, 15 * SECOND
    assert tallies.take_turn(counting.db, now, pause)
    assert not tallies.take_turn(place.open(), now + pause - 1, pause)
    assert tallies.take_turn(place.open(), now + pause, pause)
    tallies.give_turn_back(counting.db)
    assert tallies.take_turn(counting.db, now + pause, pause)


def test_a_part_that_is_written_again_counts_once(counting):
    """The answer to a commit may get lost, and the worker writes the same once more."""
    minute = counting.steps.now // MINUTE
    for _ in range(2):
        tallies.add(counting.db, "a", 1, [((minute, "default", NAME), counts(7))])
    counting.fold()
    assert counting.hour().total.completed == 7


def test_what_is_old_goes(counting, clock):
    """Minutes after a week, hours after three months; the days stay."""
    counting.add(counts(5))
    counting.fold()
    for days, left in ((8, {10, 60, 1440}), (15, {60, 1440}), (91, {1440}), (731, set())):
        clock.move(86_400 * days - (clock.now() - counting.start) / SECOND)
        while tallies.prune_history(counting.db, clock.now()):
            pass
        assert {row[0] for row in counting.db.query("select distinct span from lateshift_history")} == left


def test_callables(counting):
    """A table of what ran: the busiest first, with its failures, its durations and how it goes."""
    now = counting.steps.now
    counting.add(counts(8, 2, took=1), at=now - 50 * MINUTE, name="app.jobs.slow")
    counting.add(counts(20, took=1), name="app.jobs.slow", queue="mail")
    counting.add(counts(3), name="app.jobs.quick")
    counting.fold()
    counting.add(counts(1), name="app.jobs.quick")
    slow, quick = history.callables(counting.db, now - HOUR, now + 1)
    assert (slow.name, slow.queues, slow.total.count) == ("app.jobs.slow", ("default", "mail"), 30)
    assert slow.total.failure_rate == pytest.approx(2 / 30)
    assert 0.5 < slow.total.running.p95 < 2
    assert (sum(slow.trend), slow.change) == (30, 1.0)
    assert (quick.name, quick.total.completed, quick.change) == ("app.jobs.quick", 4, None)
    [mail] = history.callables(counting.db, now - HOUR, now + 1, queue="mail")
    assert mail.total.count == 20
    for ago in (12 * HOUR, 5 * DAY, 60 * DAY):
        assert history.callables(counting.db, now - ago, now + 1)[0].total.count == 30
    assert history.names(counting.db, now) == ["app.jobs.quick", "app.jobs.slow"]
    assert history.queue_names(counting.db, now) == ["default", "mail"]


def test_what_is_folded_while_it_is_read_is_counted(counting, place, monkeypatch):
    """Another process may fold at any time: what it moves is always in what a statement reads."""
    read, other, now = counting.db.query, place.open(), counting.steps.now

    def read_and_fold(sql, *parameters):
        rows = read(sql, *parameters)
        if "lateshift_history" in sql or "lateshift_tallies" in sql:
            tallies.fold(other)
        return rows

    monkeypatch.setattr(counting.db, "query", read_and_fold)
    counting.add(counts(5))
    assert counting.hour().total.count == 5
    counting.add(counts(5))
    assert [row["completed"] for row in history.minutes(counting.db, now // MINUTE - 5)] == [10]
    counting.add(counts(5))
    [row] = history.callables(counting.db, now - HOUR, now + 1)
    assert (row.total.count, sum(row.trend)) == (15, 15)
    counting.add(counts(5))
    trends = history._trends(counting.db, now // MINUTE - 60, now // MINUTE + 1, history._Which(every_name=True))
    assert sum(trends[NAME]) == 20


@pytest.mark.parametrize("ago", [6 * DAY, 8 * DAY, 20 * DAY, 100 * DAY])
def test_callables_until_a_moment(counting, ago):
    """What came after the period is no part of it, however long ago that began."""
    until = counting.steps.now - 20 * MINUTE
    counting.add(counts(3), at=until - 1)
    counting.add(counts(100), at=until)
    counting.fold()
    assert [row.total.completed for row in history.callables(counting.db, until - ago, until)] == [3]


@given(st.integers(0, 10_000), st.integers(1, 10_000), st.integers(0, 10_000))
@example(1, 5, 9_999)
def test_a_period_is_covered_by_few_rows(begin, length, since):
    """Every minute of it once and no other, but those to come; by some forty rows, however long it is."""
    first, last = 30_000_000 + begin, 30_000_000 + begin + length
    now = last - 1 + (min(since, 10_080 - length) if since % 2 else 0)  # minutes are kept so long
    covered, rows = [], 0
    for span, start, stop in history._cover(first, last, now):
        starts = range(start, stop, span)
        rows += len(starts)
        covered += [minute for each in starts for minute in range(each, each + span)]
    assert len(covered) == len(set(covered))
    assert [minute for minute in covered if minute <= now] == list(range(first, last))
    assert rows <= 70


def test_queue_rates(counting, clock):
    """How fast a queue fills and empties, and when it will be empty."""
    steps = counting.steps
    steps.enqueue_many(120, queue="mail")
    clock.move(30)
    counting.add(counts(1200), queue="mail")
    counting.add(counts(60), queue="idle")
    rates = {rate.queue: rate for rate in history.queue_rates(counting.db, steps.now)}
    mail, idle = rates["mail"], rates["idle"]
    assert mail.speed_in == pytest.approx(2)
    assert 3 < mail.speed_out < 4.1
    assert (str(mail.waiting), idle.waiting.number, idle.empty_in) == ("120", 0, 0.0)
    assert mail.empty_in == pytest.approx(120 / (mail.speed_out - 2))
    writes.enqueue(steps.db, [steps.new(queue="never") for _ in range(10)])
    never = {rate.queue: rate for rate in history.queue_rates(counting.db, steps.now)}["never"]
    assert (never.speed_out, never.empty_in) == (0.0, None)


def test_a_long_name_is_cut(counting):
    """MySQL has no keys for names of a thousand characters: the history knows their beginning."""
    name = "app." + "x" * 500
    minute = counting.steps.now // MINUTE
    tallies.add(counting.db, "a", 1, [((minute, "default", name[: tallies.NAME_LENGTH]), counts(2))])
    counting.fold()
    assert counting.hour(callable=name).total.completed == 2


def test_minutes(counting):
    """The counts of each minute and queue, whether they are folded or not."""
    counting.add(counts(3, took=1, waited=2))
    counting.add(counts(2), queue="mail", name="app.jobs.mail")
    counting.fold()
    counting.add(counts(0, 1, took=1), name="app.jobs.other")
    minute = counting.steps.now // MINUTE
    default, mail = history.minutes(counting.db, minute - 60)
    assert (default["minute"], default["queue"], mail["queue"]) == (minute, "default", "mail")
    assert (default["completed"], default["failed"], mail["completed"]) == (3, 1, 2)
    assert (default["run_time"], default["wait_time"]) == (4 * SECOND, 6 * SECOND)
