"""Text that would be a statement, a pattern or the end of a string: in every place that takes it, on each database."""

from __future__ import annotations

import contextlib

import pytest

from lateshift import Call, Lateshift
from lateshift.errors import LateshiftError
from lateshift.query import FIELDS, parse
from lateshift.storage import audit, search, suggestions
from lateshift.testing import drain

HOSTILE = (
    "'; drop table lateshift_jobs; --",
    '"; delete from lateshift_jobs; --',
    "' or '1'='1",
    "x' union select null, null from lateshift_meta --",
    "%",
    "_",
    "\\",
    "\\'",
    "%s %(id)s :id ? {jobs} {{x}}",
    "$1; $$",
    "a\x00b",
    "\ud800",
    "`lateshift_jobs`",
    "/* */ -- #",
    "\n;\r\n",
)


def echo(text: str) -> str:
    """A job that gives back what it got."""
    return text


@pytest.fixture
def app(place):
    """An application that may run `echo`, with a job that must come out of all this as it was."""
    app = Lateshift(database_url=place.url, allowed=[__name__], spawn="never")
    app.run_background_job(echo, parameters={"text": "untouched"}, queue="other")
    yield app
    app.close()


@pytest.fixture(autouse=True)
def intact(app):
    """Nothing else has happened to the database, whatever a test did."""
    yield
    drain("other", app=app)
    assert [job.result for job in app.list_jobs(queue="other")] == ["untouched"]
    assert len(app.list_jobs(limit=1000)) == app.database.query("select count(*) from lateshift_jobs")[0][0]


@pytest.mark.parametrize("text", HOSTILE)
def test_parameters_come_back_as_they_went(app, text):
    """Stored, searched for and run: or refused, where JSON or the database has no such character."""
    with contextlib.suppress(LateshiftError):
        job_id = app.run_background_job(echo, parameters={"text": text})
        assert app.get_job(job_id).parameters == {"text": text}
        drain("default", app=app)
        job = app.get_job(job_id)
        assert (job.status, job.result) == ("completed", text) or "cannot be stored" in str(job.error)


def test_batches_come_back_as_they_went(app):
    """Many at once, as they are stored and settled on a server: in arrays, beside what needs no escaping."""
    texts = [*(text for text in HOSTILE if "\x00" not in text and text.isascii()), "", "null", "{}", ",", 'a","b', "é"]
    for chosen in (texts, ["plain", "text"]):
        ids = app.enqueue_many(Call(echo, parameters={"text": text}) for text in chosen)
        drain("default", app=app)
        assert [app.get_job(id_).result for id_ in ids] == chosen


@pytest.mark.parametrize("text", HOSTILE)
def test_names_find_nothing_or_are_refused(app, text):
    """Names of jobs, queues and callables are values: no job has these, and none is touched."""
    for ask in (
        lambda: app.list_jobs(queue=text),
        lambda: app.list_jobs(name=f"{text}x"),
        lambda: app.list_jobs(status=text),
        lambda: app.get_job(text),
        lambda: app.cancel_job(text),
        lambda: app.delete_job(text),
        lambda: app.retry_job(text),
        lambda: app.cache.get(f"background_job:{text}"),
        lambda: app.pause_queue(text) and app.resume_queue(text) and None,
        lambda: app.run_background_job(echo, parameters={"text": "x"}, queue=text) and None,
        lambda: app.run_background_job(text, parameters={}),
    ):
        with contextlib.suppress(LateshiftError):
            assert not ask()


@pytest.mark.parametrize("text", HOSTILE)
def test_searches_find_what_has_the_text_only(app, text):
    """In each field, alone and with others, and completed while it is typed."""
    quoted = '"' + text.replace('"', '\\"') + '"'
    for words in (quoted, f"-{quoted}", *(f"{field}:{quoted}" for field in FIELDS), f"parameters.{text}:1"):
        with contextlib.suppress(LateshiftError):
            query = parse(words)
            jobs = search.search(app.database, query).jobs
            assert len(jobs) <= 1
            assert search.count_matching(app.database, query).number <= 1
    suggestions.suggest(app.database, f"queue:{text}", len(text) + 6)


@pytest.mark.parametrize("text", [text for text in HOSTILE if "\x00" not in text and "\ud800" not in text])
def test_the_audit_log_keeps_it_as_text(app, text):
    """Whoever acts, on whatever."""
    audit.append(app.database, app.database.now(), text, "retry", text, 1, text)
    [entry] = audit.page(app.database)
    assert (entry.actor, entry.target, entry.details) == (text, text, text)
