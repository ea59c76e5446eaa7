"""The parts that pages are made of: numbers and times in words, tracebacks, timelines, charts, the verdict."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from lateshift import wording
from lateshift.dashboard import charts, formatting, timeline, tracebacks
from lateshift.dashboard.rows import lasted
from lateshift.dashboard.watcher import Watcher
from lateshift.fingerprint import fingerprint
from lateshift.job import Attempt, Job, JobError
from lateshift.judgement import Facts, judge
from lateshift.redaction import HIDDEN, redact
from lateshift.storage.reads import QueueRow, WorkerRow

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "now"),
        (-0.4, "now"),
        (1, "1 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (-3599, "in 59 min"),
        (7200, "2 h ago"),
        (-90_000, "in 1 d"),
        (1e7, "115 d ago"),
    ],
)
def test_distances_in_time_have_one_unit(seconds, words):
    """As the browser writes them too."""
    assert wording.ago(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.132, "132 ms"),
        (4.2, "4.2 s"),
        (59.96, "1 min"),
        (64, "1 min 4 s"),
        (7500, "2 h 5 min"),
        (86_400, "1 d"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_have_at_most_two_units(seconds, words):
    """A duration is short, and exact enough."""
    assert wording.long_duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0"), (950, "950"), (1200, "1.2k"), (2000, "2k"), (34_500, "34k"), (5_100_000, "5.1M")]
)
def test_axes_have_short_numbers(number, words):
    """Large numbers are written with k and M."""
    assert formatting.compact(number) == words


def test_counts_stop_at_their_limit():
    """What was not counted to its end says so."""
    assert formatting.bounded(10_000) == "10,000"
    assert formatting.bounded(10_001) == "10,000+"


@pytest.mark.parametrize(
    ("path", "part"),
    [("app.jobs.ProcessOrder.handle", "ProcessOrder.handle"), ("app.jobs.send", "send"), ("send", "send"), ("", "")],
)
def test_the_eye_finds_class_or_function(path, part):
    """A callable path is split without losing anything."""
    assert wording.last_part(path) == part
    assert formatting.leading(path) + part == path


def test_json_is_coloured_without_losing_a_character():
    """Without its tags the JSON is what it was."""
    import html
    import re

    value = {"a<b": ['x"y', 1.5, None, True], "n": -3e10, "text": 'a": "b'}
    marked = str(formatting.json_part(value).html)
    assert html.unescape(re.sub(r"<[^>]*>", "", marked)) == formatting.json_text(value)
    assert '<span class="j-number">1.5</span>' in marked


def test_secrets_are_hidden_however_deep():
    """By name, in any case, inside lists and dicts; the rest stays."""
    value = {"user": "a", "API_KEY": "x", "list": [{"db_password": {"x": 1}}], "tokens": [1]}
    hidden = {"user": "a", "API_KEY": HIDDEN, "list": [{"db_password": HIDDEN}], "tokens": HIDDEN}
    assert redact(value, ("*password*", "*token*", "api_key")) == hidden


def test_a_traceback_is_taken_apart_and_nothing_is_lost():
    """Own frames stay open, those of libraries are folded, and chained errors keep their order."""
    from lively import TRACEBACK

    text = f"{TRACEBACK}\nDuring handling of the above exception, another exception occurred:\n\n{TRACEBACK}"
    pieces = tracebacks.take_apart(text)
    assert [len(piece.frames) for piece in pieces if piece.frames] == [2, 2, 2, 2]
    assert [piece.library for piece in pieces if piece.frames] == [False, True, False, True]
    again = []
    for piece in pieces:
        again += [piece.text] if not piece.frames else []
        for frame in piece.frames:
            again.append(f'  File "{frame.file}", line {frame.line}, in {frame.function}')
            again += [f"    {line}" for line in frame.code.splitlines()]
    assert "\n".join(again) == "\n".join(text.splitlines())
    assert tracebacks.innermost(text).function == "charge"
    assert tracebacks.take_apart("") == []
    assert tracebacks.innermost("boom") is None


def test_a_traceback_and_its_error_group_agree_on_what_is_your_code():
    """The page of a job named a place in the standard library, the one of its group the callable."""
    for file in (
        r"C:\Users\ada\miniconda3\Lib\json\decoder.py",
        "/usr/lib/pypy3.11/json/decoder.py",
        "json/decoder.py",
    ):
        frames = f'  File "/srv/app/jobs.py", line 3, in handle\n  File "{file}", line 1, in decode\n'
        trace = f"Traceback (most recent call last):\n{frames}ValueError: x"
        assert tracebacks.innermost(trace).function == "handle", file
        assert fingerprint(JobError("ValueError", "x", trace)).place == "app/jobs.py: handle"


def job(**changes):
    given = {
        "id": "1",
        "name": "a.b",
        "queue": "q",
        "priority": 1,
        "status": "pending",
        "parameters": {},
        "attempts": 0,
        "max_attempts": 4,
        "run_at": NOW,
        "enqueued_at": NOW,
    }
    return Job(**(given | changes))


def later(seconds):
    return NOW + timedelta(seconds=seconds)


def test_a_job_that_was_cancelled_while_it_waited_has_not_run_until_then():
    """It failed after three seconds, and was cancelled an hour later: that was told as how long it had run."""
    cancelled = job(status="cancelled", attempts=1, started_at=NOW, finished_at=later(3600))
    history = (Attempt(1, "retry", NOW, later(3), "w", None),)
    assert [lasted(one) for one in (cancelled, replace(cancelled, history=history))] == [None, 3]
    assert lasted(replace(cancelled, cancel_requested=True)) == 3600
    assert lasted(replace(cancelled, error=JobError("lateshift.outcome.Cancel", "enough"))) == 3600


def test_a_timeline_has_no_gaps():
    """Waiting, attempts and the pauses between them follow one another from enqueuing to now."""
    history = (Attempt(1, "retry", later(2), later(5), "w", None), Attempt(2, "running", later(10), None, "w", None))
    spans = timeline.spans(job(status="running", history=history), later(30))
    assert [(span.kind, span.seconds) for span in spans] == [("pause", 2), ("retry", 3), ("pause", 5), ("running", 20)]
    assert all(one.end == next_.start for one, next_ in pairwise(spans))


def test_a_short_attempt_is_still_seen():
    """Beside a pause of a day an attempt of a millisecond is some pixels wide."""
    history = (Attempt(1, "failed", later(86_400), later(86_400.001), "w", None),)
    drawn = str(timeline.draw(timeline.spans(job(status="failed", history=history), later(90_000))))
    assert 'class="t-failed"' in drawn
    assert 'width="2.0"' in drawn
    assert timeline.draw([]) == ""


def test_clocks_that_disagree_draw_no_negative_time():
    """An attempt that seems to begin before its job was stored is drawn all the same."""
    history = (Attempt(1, "failed", later(-5), later(-3), "w", None),)
    assert [span.seconds for span in timeline.spans(job(status="failed", history=history), NOW)] == [2]


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (1, 1), (3, 4), (9, 10), (10, 10), (11, 20), (0.03, 0.04), (430, 500)]
)
def test_axes_end_at_a_round_number(value, top):
    """The top of an axis is no less than the highest value."""
    assert charts.ceiling(value) == pytest.approx(top)


def test_a_bar_chart_tells_its_values():
    """Each bar names its value and its unit, and the whole has a summary; nothing is styled inline."""
    items = [charts.Bar("12:00", [("completed", 30), ("failed", 0)]), charts.Bar("12:01", [("completed", 0)])]
    drawn = str(charts.bars("Jobs", "per minute", items, [(0, "12:00")]))
    assert "12:00: 30 completed" in drawn
    assert "12:01: none" in drawn
    assert "30 in all" in drawn
    assert "style=" not in drawn
    assert charts.bars("Nothing", "x", [])
    assert "0 now" in charts.sparkline("Nothing", [])


def worker(name="w", beat=0):
    return WorkerRow(name, "worker", "h", 1, "/", (), "1", 0, beat)


def facts(**changes):
    given = {
        "now": 10**9,
        "queues": [],
        "alive": [worker()],
        "dead": [],
        "held": {},
        "finished": 0,
        "failed": 0,
        "spawns": True,
    }
    return Facts(**(given | changes))


def queue(waiting=0, age=0.0, *, paused=False):
    return QueueRow("q", paused, waiting, 0, 0, 10**9 - round(age * 1e6) if waiting else None)


@pytest.mark.parametrize(
    ("given", "light", "words"),
    [
        ({}, "good", ""),
        ({"queues": [queue(3, 5)]}, "good", ""),
        ({"queues": [queue(3, 90)]}, "warning", "due for 1 min 30 s"),
        ({"queues": [queue(3, 5)], "alive": []}, "good", ""),
        ({"queues": [queue(3, 15)], "alive": []}, "bad", "with the next job that is enqueued"),
        ({"queues": [queue(3, 5)], "alive": [], "spawns": False}, "bad", "lateshift work"),
        ({"queues": [queue(2, 900, paused=True)]}, "warning", "paused while 2 jobs wait"),
        ({"queues": [queue(0, paused=True)]}, "good", ""),
        ({"dead": [worker("d")], "held": {"d": 2}}, "warning", "1 dead worker still holds 2 jobs"),
        ({"dead": [worker("d"), worker("e")], "held": {"d": 2}}, "warning", "1 dead worker still holds 2 jobs"),
        ({"dead": [worker("d")], "held": {"d": 2, "gone": 1}, "absent": ["gone"]}, "warning", "2 dead workers still"),
        ({"dead": [worker("d")]}, "good", ""),
        ({"finished": 100, "failed": 4}, "good", ""),
        ({"finished": 100, "failed": 20}, "warning", "20 of 100 jobs"),
    ],
)
def test_the_verdict_has_its_reason(given, light, words):
    """The light follows from the facts, and says why."""
    verdict = judge(facts(**given))
    assert verdict.light == light
    assert words in " ".join(reason.words for reason in verdict.reasons)
    assert bool(verdict.reasons) == (light != "good")


def test_the_worst_comes_first():
    """What is bad stands before what is worth a look."""
    verdict = judge(facts(queues=[queue(3, 90)], alive=[], finished=10, failed=9, spawns=False))
    assert [reason.light for reason in verdict.reasons] == ["bad", "warning"]


def test_one_look_serves_every_listener():
    """However many listen, there is one look for each interval; none when nobody listens."""
    answers = iter(range(10_000))

    async def listen(watcher, most):
        told = 0
        stream = watcher.stream()
        async for event in stream:
            told += event.startswith(b"event: change")
            if told == most:
                break
        await stream.aclose()

    async def scene():
        changed = []
        watcher = Watcher(lambda: next(answers), lambda: changed.append(1), interval=0.01)
        await asyncio.gather(*(listen(watcher, 5) for _ in range(20)))
        looks = watcher.looks
        await asyncio.sleep(0.1)
        return looks, watcher.looks, len(changed)

    looks, after, changed = asyncio.run(scene())
    assert looks <= 10
    assert after <= looks + 1
    assert changed >= 4


def test_a_look_that_fails_is_told_as_a_change():
    """A database that goes away makes the pages ask, and say so."""

    async def scene():
        divisors = iter([1, 0])
        watcher = Watcher(lambda: 1 / next(divisors, 2), interval=0.01)
        stream = watcher.stream()
        got = [await asyncio.wait_for(anext(stream), 5) for _ in range(3)]
        await stream.aclose()
        return got

    assert len(asyncio.run(scene())) == 3


def test_a_stream_ends_at_the_beat_and_the_next_misses_nothing(monkeypatch):
    """A browser comes back soon after such an end, and is told of what changed while it was away."""
    monkeypatch.setattr("lateshift.dashboard.watcher.BEAT", 0.05)
    state = ["before"]

    async def scene():
        watcher = Watcher(lambda: state[0], interval=0.01)
        first = [event async for event in watcher.stream()]
        state[0] = "after"
        second = [event async for event in watcher.stream()]
        return first, second

    first, second = asyncio.run(asyncio.wait_for(scene(), 5))
    assert first == [b"retry: 2000\n\n", b"event: change\ndata: 0\n\n", b"retry: 500\n\n"]
    assert b"event: change\ndata: 1\n\n" in second
