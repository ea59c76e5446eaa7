"""Searching: every term on every database, pages in both directions, and counts that agree with them."""

from __future__ import annotations

import msgspec
import pytest
from storage_steps import SECOND, Steps

from lateshift.errors import QueryTooSlow
from lateshift.job import STATUSES, Job, JobError
from lateshift.outcome import Outcome
from lateshift.query import parse
from lateshift.storage import counting, search, streams, suggestions, writes
from lateshift.storage.counting import Count

HARD = JobError(
    "shop.errors.Timeout", "no Answer after 5 s from ünï", 'Traceback\n  File "/srv/shop/a.py", line 1, in f\n'
)


def found(steps, text: str, **options) -> list[str]:
    return [job.id for job in search.search(steps.db, parse(text), **options).jobs]


class Crowd:
    """Twenty jobs in all states, by a name for each."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.ids: dict[str, str] = {}
        for number in range(3):
            self.enqueue(f"plain-{number}", parameters=f'{{"order_id":{40 + number},"note":"Straße {number}"}}')
            steps.clock.move(1)
        self.enqueue("mail", queue="mail", name="app.mail.Letter.send", priority=9)
        self.enqueue("later", delay=3600, parameters='{"customer":{"name":"Ada","tags":["vip","eu"]}}')
        self.settle("failed", Outcome("failed", "failed", 0, 0, error=HARD), queue="mail")
        self.settle("retry", Outcome("retry", "pending_retry", 0, 0, run_at=steps.now + 60 * SECOND, error=HARD))
        self.settle("done", Outcome("completed", "completed", 0, 0, result='"fine"'), name="app.jobs.other")
        self.settle("cancelled", Outcome("cancelled", "cancelled", 0, 0))
        self.ids["running"] = steps.running("worker-7", parameters='{"flag":true,"nothing":null,"odd":"a\\"b"}').id

    def enqueue(self, label: str, **fields) -> None:
        self.ids[label] = self.steps.enqueue(**fields)

    def settle(self, label: str, outcome: Outcome, **fields) -> None:
        job = self.steps.running(**fields)
        at = {"started_at": self.steps.now, "finished_at": self.steps.now}
        assert self.steps.settle(job, msgspec.structs.replace(outcome, **at))
        self.steps.clock.move(1)
        self.ids[label] = job.id

    def named(self, ids: list[str]) -> set[str]:
        return {label for label, job_id in self.ids.items() if job_id in ids}


@pytest.fixture(autouse=True)
def _patience(monkeypatch) -> None:
    """On a busy machine as well, a search comes to its end."""
    monkeypatch.setattr(search, "SECONDS", 60.0)


@pytest.fixture
def crowd(steps) -> Crowd:
    return Crowd(steps)


ALL = {"plain-0", "plain-1", "plain-2", "mail", "later", "failed", "retry", "done", "cancelled", "running"}

SEARCHES = [
    ("", ALL),
    ("status:failed", {"failed"}),
    ("status:pending_retry", {"retry"}),
    ("status:waiting", {"plain-0", "plain-1", "plain-2", "mail", "later", "retry"}),
    ("status:finished", {"failed", "done", "cancelled"}),
    ("-status:finished -status:pending", {"retry", "running"}),
    ("queue:mail", {"mail", "failed"}),
    ("queue:mail,default queue:other", ALL),
    ("-queue:default", {"mail", "failed"}),
    ("queue:nobody", set()),
    ("name:letter", {"mail"}),
    ("name:app.jobs.other", {"done"}),
    ("-name:app.jobs.send", {"mail", "done"}),
    ("priority:>5", {"mail"}),
    ("priority:<=1 -queue:mail status:waiting", {"plain-0", "plain-1", "plain-2", "later", "retry"}),
    ("worker:worker-7", {"running"}),
    ("attempts:>0", {"failed", "retry", "done", "cancelled", "running"}),
    ("attempts:0", {"plain-0", "plain-1", "plain-2", "mail", "later"}),
    ("error:timeout", {"failed", "retry"}),
    ("error:answer status:failed", {"failed"}),
    ("error:TIMEOUT status:waiting", {"retry"}),
    ("-error:timeout", ALL - {"failed", "retry"}),
    ("error:nothing", set()),
    ("parameters.order_id:41", {"plain-1"}),
    ("parameters.order_id:4", set()),
    ("-parameters.order_id:41", ALL - {"plain-1"}),
    ("parameters.customer.name:ada", {"later"}),
    ("parameters.customer.tags:vip", {"later"}),
    ("parameters.customer.tags.1:eu", {"later"}),
    ("parameters.flag:true", {"running"}),
    ("parameters.nothing:null", {"running"}),
    ('parameters.odd:"a\\"b"', {"running"}),
    ('parameters.note:"Straße 2"', {"plain-2"}),
    ("letter", {"mail"}),
    ("vip", {"later"}),
    ("ünï", {"failed", "retry"}),
    ("-order_id", ALL - {"plain-0", "plain-1", "plain-2"}),
    ("'; drop table lateshift_jobs; -- %s %(a)s :b {waiting}", None),
    ("100% _under\\score", set()),
    ("after:1h", ALL),
    ("before:1h", set()),
    ("before:2020-01-01", set()),
    ("after:2020-01-01 queue:mail", {"mail", "failed"}),
]


@pytest.mark.parametrize(("text", "labels"), SEARCHES, ids=[text for text, _ in SEARCHES])
def test_terms(crowd, text, labels):
    """What each search finds; and its counts by state, and those of a bulk action, say as many."""
    steps = crowd.steps
    if labels is None:
        text, labels = f'"{text}"', set()
    query = parse(text)
    page = search.search(steps.db, query)
    assert crowd.named([job.id for job in page.jobs]) == labels
    assert page.complete
    assert (page.next, page.previous) == (None, None)
    counts = search.state_counts(steps.db, query)
    left = {status: counts[status].number for status in query.statuses if counts[status].number}
    by_status: dict[str, int] = {}
    for job in page.jobs:
        by_status[job.status] = by_status.get(job.status, 0) + 1
    assert left == by_status
    assert not any(count.more for count in counts.values())
    assert search.count_matching(steps.db, query) == Count(len(labels))
    ids = [job_id for piece in search.matching_ids(steps.db, query, steps.now) for job_id in piece]
    assert (len(ids), crowd.named(ids)) == (len(labels), labels)


@pytest.mark.parametrize("status", STATUSES)
def test_each_state_has_its_order(crowd, status):
    """A state is shown in the order that its index has; every order there is shows the same jobs."""
    query = parse(f"status:{status}")
    possible = search.sorts(query)
    assert possible[0] == {"running": "longest", "pending": "due", "pending_retry": "due"}.get(status, "finished")
    pages = [set(found(crowd.steps, query.text, sort=sort)) for sort in possible]
    assert all(page == pages[0] for page in pages)


def test_ids(crowd):
    """A job by its id, or those whose ids begin so."""
    steps = crowd.steps
    job_id = crowd.ids["failed"]
    assert found(steps, f"id:{job_id}") == [job_id]
    assert found(steps, f"id:{job_id.upper()} status:failed") == [job_id]
    assert found(steps, f"id:{job_id} status:completed") == []
    assert crowd.named(found(steps, f"id:{job_id[:8]}")) == ALL
    assert found(steps, job_id) == [job_id]
    assert search.state_counts(steps.db, parse(f"id:{job_id[:8]}"))["failed"] == Count(1)


def pages(steps, text: str, **options) -> list[list[str]]:
    """All pages, forwards."""
    pages, cursor = [], None
    while True:
        page = search.search(steps.db, parse(text), cursor=cursor, limit=4, **options)
        pages.append([job.id for job in page.jobs])
        cursor = page.next
        if cursor is None:
            return pages


def key(job: Job, sort: str) -> object:
    return {
        "newest": -job.enqueued_at.timestamp(),
        "finished": -job.finished_at.timestamp() if job.finished_at else 0,
        "due": job.run_at,
        "longest": job.started_at,
    }[sort]


@pytest.mark.parametrize(
    ("text", "sort"),
    [
        ("", "newest"),
        ("queue:mail", "newest"),
        ("", "finished"),
        ("status:failed", "finished"),
        ("status:waiting", "due"),
        ("status:waiting name:send", "due"),
        ("status:running", "longest"),
        ("error:timeout", "newest"),
    ],
)
def test_pages(steps, clock, text, sort):
    """Page after page shows every job once, in order; and back again, the same pages."""
    for number in range(11):
        for queue in ("mail", "default"):
            steps.enqueue(queue=queue, priority=number % 3 + 1, delay=number % 4)
            job = steps.running(queue=queue)
            steps.settle(job, Outcome("failed", "failed", steps.now, steps.now, error=HARD))
            steps.settle(steps.running(queue=queue), steps.completed())
            steps.running(queue=queue)
        clock.move(number % 2)
    query, forward = parse(text), pages(steps, text, sort=sort)
    together = [job_id for page in forward for job_id in page]
    everything = search.search(steps.db, query, sort=sort, limit=500)
    assert together == [job.id for job in everything.jobs]
    assert len(together) == len(set(together)) > 10
    assert all(len(page) == 4 for page in forward[:-1])
    assert [key(job, sort) for job in everything.jobs] == sorted(key(job, sort) for job in everything.jobs)
    cursor, back = None, []
    for _ in range(len(forward) - 1):
        page = search.search(steps.db, query, sort=sort, cursor=cursor, limit=4)
        cursor = page.next
    page = search.search(steps.db, query, sort=sort, cursor=cursor, limit=4)
    while page.previous is not None:
        back.append([job.id for job in page.jobs])
        page = search.search(steps.db, query, sort=sort, cursor=page.previous, limit=4)
    assert [[job.id for job in page.jobs], *back[::-1]] == forward


@pytest.mark.parametrize("cursor", ["", "a", "x1", "a1~2~3", "anumber", "a99999999999999999999", "b'", "a-1"])
def test_a_cursor_that_does_not_fit_is_none(crowd, cursor):
    """An address that somebody has changed shows the first page."""
    assert set(found(crowd.steps, "status:failed", cursor=cursor)) == {crowd.ids["failed"]}


@pytest.mark.parametrize("cursor", ["a\x00", "a\U0001f40c", "bä"])
@pytest.mark.parametrize("text", ["id:0190", "fingerprint:0190"])
def test_a_cursor_that_no_server_would_look_for_is_none(steps, text, cursor):
    """As an id in an address that somebody has made by hand; of two keys the other is a number."""
    for written in (cursor, f"{cursor}~1", f"a1~{cursor[1:]}"):
        assert found(steps, text, cursor=written) == []


def test_a_search_that_looks_at_much_says_so(steps, monkeypatch):
    """It stops after so many rows, and goes on from there at the next page."""
    monkeypatch.setattr(search, "WINDOW", 30)
    monkeypatch.setattr(streams, "FIRST_PIECE", 1)
    monkeypatch.setattr(streams, "LARGEST_PIECE", 10)
    wanted = steps.enqueue(parameters='{"a":1}')
    steps.enqueue_many(70)
    page, pages = search.search(steps.db, parse("parameters.a:1"), limit=9), 1
    while not page.jobs:
        assert not page.complete
        page, pages = search.search(steps.db, parse("parameters.a:1"), cursor=page.next, limit=9), pages + 1
    assert ([job.id for job in page.jobs], pages, page.complete, page.next) == ([wanted], 3, True, None)


def test_counts_stop(steps, monkeypatch):
    """Of many jobs a count says that there are more."""
    monkeypatch.setattr(counting, "COUNT_LIMIT", 10)
    monkeypatch.setattr(search, "COUNT_WINDOW", 10)
    steps.enqueue_many(20)
    for _ in range(12):
        steps.settle(steps.running(queue="mail"), steps.completed())
    counts = search.state_counts(steps.db, parse(""))
    assert {status: str(count) for status, count in counts.items() if count.number} == {
        "pending": "10+",
        "completed": "10+",
    }
    named = search.state_counts(steps.db, parse("name:send"))
    assert str(named["completed"]) == "10+"
    assert str(named["failed"]) == "0"
    assert str(search.count_matching(steps.db, parse("queue:mail"))) == "10+"


def test_a_row_by_other_hands_hides_nothing(steps):
    """Parameters that are no JSON are found as text, and no search fails for them."""
    job_id = steps.enqueue(parameters="no json: order_id 42")
    assert found(steps, "parameters.order_id:42") == []
    assert found(steps, '"no json"') == [job_id]


def test_deep_parameters_stop_no_search(steps):
    """Items of a list are looked at, and lists in it as a whole; what is nested deep below is not that value."""
    deep = steps.enqueue(parameters='{"x": ' + "[" * 700 + "1" + "]" * 700 + "}")
    flat = steps.enqueue(parameters='{"x": [2, [1, 3], 1]}')
    assert found(steps, "parameters.x:1") == found(steps, 'parameters.x:"[1,3]"') == [flat]
    assert found(steps, "-parameters.x:1") == [deep]


SLOW = {
    "sqlite": "with recursive n(i) as (select 1 union all select i + 1 from n where i < 50000000) select max(i) from n",
    "postgres": "select pg_sleep(5)",
    "mysql": "select count(*) from information_schema.columns a, information_schema.columns b,"
    " information_schema.columns c",
}


def test_a_read_has_a_time_limit(steps):
    """What takes longer is given up; the connection goes on, without a limit."""
    slow = SLOW[steps.db.dialect.name]
    with pytest.raises(QueryTooSlow, match="longer than it may"):
        steps.db.within(0.2, lambda: steps.db.query(slow))
    assert steps.db.within(1.0, lambda: steps.db.query("select 1")) == [(1,)]
    job_id = steps.enqueue()
    assert steps.db.within(1.0, lambda: writes.cancel(steps.db, job_id, steps.now)) == "pending"


def test_a_search_that_no_job_can_match(crowd):
    """States that exclude each other give an empty page at once, in every order."""
    for sort in (None, "newest", "due", "finished", "longest"):
        page = search.search(crowd.steps.db, parse("status:failed -status:failed"), sort=sort)
        assert (page.jobs, page.next, page.previous, page.complete) == ((), None, None, True)
    assert search.count_matching(crowd.steps.db, parse("status:failed -status:failed")) == Count(0)


def test_words_that_do_not_look_into_parameters(crowd):
    """For who may not see them: neither what has such a word nor what has not can be told by them."""

    def labels(text):
        page = search.search(crowd.steps.db, parse(text).labels_only())
        return crowd.named([job.id for job in page.jobs])

    assert labels("vip") == set()
    assert labels("-order_id") == ALL
    assert labels("letter") == {"mail"}
    assert labels("ünï") == {"failed", "retry"}
    assert labels(crowd.ids["mail"]) == {"mail"}


def offers(steps, text: str) -> list[str]:
    return [offer.text for offer in suggestions.suggest(steps.db, text, len(text))]


def test_suggestions(crowd):
    """Fields by their beginning; values that there are."""
    steps = crowd.steps
    steps.register("worker-7")
    assert offers(steps, "sta") == ["status:"]
    assert offers(steps, "queue:mail par") == ["parameters."]
    assert offers(steps, "status:fa") == ["failed"]
    assert offers(steps, "status:failed,can") == ["cancelled"]
    assert offers(steps, "queue:m") == ["mail"]
    assert offers(steps, "worker:7") == ["worker-7"]
    assert offers(steps, "priority:1") == ["10"]
    assert offers(steps, "nonsense:x") == []
    assert offers(steps, "parameters.") == [
        *("parameters.customer:", "parameters.flag:", "parameters.note:", "parameters.nothing:", "parameters.odd:"),
        "parameters.order_id:",
    ]
    assert offers(steps, "parameters.ORD") == ["parameters.order_id:"]
    assert len(offers(steps, "")) == suggestions.MOST
    [offer] = suggestions.suggest(steps.db, "a queue:ma b", 10)
    assert ("a queue:ma b"[: offer.start] + offer.text + "a queue:ma b"[offer.end :]) == "a queue:mail b"


def test_a_suggestion_reads_back_as_what_was_suggested(steps):
    """A backslash was taken for the one that keeps a quote, so such a queue was not found."""
    names = ["back\\slash", "plain", 'say "so"', "two words"]
    for name in names:
        steps.enqueue(queue=name)
    assert [parse(f"queue:{offer}").terms[0].values for offer in offers(steps, "queue:")] == [(name,) for name in names]


def test_a_few_retries_in_a_long_queue_are_found(steps, monkeypatch):
    """However many jobs are due before them, and without looking at those."""
    monkeypatch.setattr(search, "WINDOW", 100)
    retries = []
    for _ in range(3):
        job = steps.running()
        steps.settle(job, steps.retry_in(3600))
        retries.append(job.id)
    steps.enqueue_many(500)
    page = search.search(steps.db, parse("status:pending_retry"))
    assert ([job.id for job in page.jobs], page.complete) == (retries, True)
    assert search.state_counts(steps.db, parse(""))["pending_retry"] == Count(3)


def test_parameters_that_sql_cannot_tell_apart(steps):
    """Among thousands of rows with the same words, the right ones are found, each once, page after page."""
    jobs = [steps.new(parameters=f'{{"a":{{"n":{number % 50}}},"b":7}}') for number in range(5_000)]
    writes.enqueue(steps.db, jobs)
    wanted = [job.id for job in jobs if '"n":7}' in job.parameters][::-1]
    assert [job_id for page in pages(steps, "parameters.a.n:7") for job_id in page] == wanted
    assert search.count_matching(steps.db, parse("parameters.a.n:7")) == Count(100)
    ids = [job_id for piece in search.matching_ids(steps.db, parse("parameters.a.n:7"), steps.now) for job_id in piece]
    assert sorted(ids) == sorted(wanted)


def test_runs_around(steps):
    """The jobs of the same callable next to one, the nearest first; neither others nor what has not run."""
    ids = []
    for number in range(7):
        ids.append(steps.running(name="app.jobs.send").id)
        steps.running(name=f"app.jobs.send{number}")
        steps.enqueue(name="app.jobs.send", delay=60)
        steps.clock.move(1)
    older, newer = search.runs_around(steps.db, ids[3], limit=2, seconds=60)
    assert [job.id for job in older] == [ids[2], ids[1]]
    assert [job.id for job in newer] == [ids[4], ids[5]]
    assert search.runs_around(steps.db, ids[0], seconds=60)[0] == []
    assert search.runs_around(steps.db, "nothing") == ([], [])
