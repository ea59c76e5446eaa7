"""The pytest plugin, run by a pytest within this one; then isolation and assertions, in tests with its fixtures.

`pytester` writes a user's test files into an empty folder, in which nothing of this repository is in force.
"""

from __future__ import annotations

import logging
import os
from datetime import date
from pathlib import Path

import pytest

import lateshift
from lateshift import Call, default
from lateshift.default import get_app, set_app
from lateshift.errors import SettingsError
from lateshift.testing import assert_enqueued, drain, enqueued_jobs, inline, isolated

SHOP = """
import os, pytest, lateshift
from lateshift import default
from lateshift.testing import FrozenClock, assert_enqueued, drain, enqueued_jobs

def mail(to: str) -> str:
    return f"{os.environ['HELLO']} {to}" if "@" in to else 1 / 0

def enqueue(to="a@example.com"):
    return lateshift.run_background_job(mail, parameters={"to": to})
"""

ALLOWED = """
@pytest.fixture
def lateshift_settings():
    return {"allowed": [__name__], "max_retries": 1, "retry_delay": 60}
"""

# Hypothesis is imported anew by each run inside this one, which takes 0.6 s, and schemathesis, 1.5 s.
WITHOUT = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:schemathesis")


def environment() -> dict[str, str]:
    """The environment without the variable by which pytest, this one and the one within, tells what it is doing."""
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


def note(what: str) -> str:
    logging.getLogger("shop").warning("noted")
    return what


def stored(day: date, path: Path, both: list[int]) -> str:
    return f"{day} {path.name} {both}"


class Order:
    def handle(self, order_id: int, paid: bool = True) -> int:
        return order_id

    def refund(self, order_id: int) -> int:
        return -order_id


@pytest.fixture
def lateshift_settings():
    return {"allowed": [__name__]}


@pytest.fixture
def run(pytester, monkeypatch):
    """Run these tests in this process, with warnings as errors, and return the result."""
    monkeypatch.setenv("HELLO", "hello")
    monkeypatch.setattr(default, "_code", {})

    def run(tests, *args, head=SHOP + ALLOWED):
        pytester.makepyfile(test_shop=head + tests)
        return pytester.runpytest_inprocess("-W", "error", *WITHOUT, *args)

    return run


def enqueue(job, method="handle", /, **options):
    return lateshift.run_background_job(job, method, **options)


def test_the_fixtures_are_there_and_say_what_they_are(pytester):
    """`pytest --fixtures` lists the four, each with a sentence."""
    listed = pytester.runpytest_inprocess("--fixtures", *WITHOUT)
    for name in ("lateshift_app", "lateshift_clock", "lateshift_inline", "lateshift_settings"):
        listed.stdout.fnmatch_lines([f"{name} -- *pytest_plugin.py:*", "    *[A-Za-z]*"], consecutive=True)


def test_a_users_tests_enqueue_drain_and_move_time(run):
    """The fixtures together: jobs wait, see the test's patches, fail, and come back when the clock is moved."""
    run("""
def test_drained(lateshift_app, monkeypatch):
    job_id = enqueue()
    assert lateshift.get_job(job_id).status == "pending"
    assert_enqueued(mail, parameters={"to": "a@example.com"})
    monkeypatch.setenv("HELLO", "patched")
    assert [job.result for job in drain()] == ["patched a@example.com"]

def test_retried(lateshift_app, lateshift_clock):
    enqueue("nobody")
    assert [job.status for job in drain()] == ["pending_retry"]
    assert drain() == []
    lateshift_clock.move(60)
    assert [(job.status, job.error.type) for job in drain()] == [("failed", "ZeroDivisionError")]

def test_at_once(lateshift_inline, lateshift_app, lateshift_clock):
    assert lateshift_inline is lateshift_app is default.get_app()
    assert lateshift_app.clock is lateshift_clock
    assert lateshift.get_job(enqueue()).finished_at == lateshift_clock.at
    assert lateshift.get_job(enqueue("nobody")).status == "pending_retry"
""").assert_outcomes(passed=3)


def test_tests_do_not_see_each_others_jobs(run):
    """Each test has an empty database, and the folder of the one before is gone, also when that failed."""
    result = run("""
seen = []

@pytest.mark.parametrize("number", range(3))
def test_alone(lateshift_app, number):
    assert enqueued_jobs() == []
    assert not any(folder.exists() for folder in seen)
    seen.append(lateshift_app.settings.storage_dir)
    enqueue()
    drain()
    assert seen[-1].exists()
    assert number != 1

def test_after():
    assert len(set(seen)) == 3
    assert not any(folder.exists() for folder in seen)
""")
    result.assert_outcomes(passed=3, failed=1)


def test_the_default_object_is_restored_after_each_test(run, lateshift_app):
    """Whatever was the default before is so again, after tests that pass, fail, or configure another one."""
    result = run("""
def test_passes(lateshift_app):
    assert default.get_app() is lateshift_app

def test_fails(lateshift_inline):
    assert default.get_app() is None

def test_configures(lateshift_app):
    assert lateshift.configure(allowed=["x"], spawn="never") is default.get_app()

def test_without():
    assert default.get_app().settings.allowed == ("test_pytest_plugin",)
""")
    result.assert_outcomes(passed=3, failed=1)
    assert get_app() is lateshift_app
    assert lateshift_app.settings.allowed == (__name__,)


def test_nothing_is_automatic(pytester):
    """A run in which no test asks for a fixture makes no application object, no files, and imports no testing."""
    pytester.makepyfile("""
import sys
from lateshift import default

def test_nothing():
    assert "lateshift.pytest_plugin" in sys.modules
    assert "lateshift.testing" not in sys.modules
    assert default._app is None
""")
    pytester.runpytest_subprocess("-W", "error", *WITHOUT).assert_outcomes(passed=1)
    assert not [path for path in pytester.path.rglob("*") if path.suffix in (".db", ".log") or path.name == "storage"]


def test_settings_are_overridden_nearest_first(run, pytester):
    """A module's `lateshift_settings` wins over the conftest's and may build on it; so for the clock."""
    pytester.makeconftest("""
import pytest

@pytest.fixture
def lateshift_settings():
    return {"max_retries": 5, "timeout": 9}
""")
    pytester.makepyfile(test_other="def test_other(lateshift_app): assert lateshift_app.settings.max_retries == 5")
    run(
        """
from datetime import UTC, datetime

@pytest.fixture
def lateshift_settings(lateshift_settings):
    return lateshift_settings | {"allowed": [__name__], "max_retries": 0}

@pytest.fixture
def lateshift_clock():
    return FrozenClock(datetime(2030, 1, 1, tzinfo=UTC))

def test_settings(lateshift_app):
    settings = lateshift_app.settings
    assert (settings.max_retries, settings.timeout, settings.allowed) == (0, 9, (__name__,))
    assert lateshift.get_job(enqueue()).enqueued_at.year == 2030
""",
        head=SHOP,
    ).assert_outcomes(passed=2)


def test_unknown_settings_are_an_error_of_the_setup(run):
    """A misspelt setting stops the test before it begins, and says which was meant."""
    result = run(
        """
@pytest.fixture
def lateshift_settings():
    return {"max_retrys": 1}

def test_it(lateshift_app): pass
""",
        head=SHOP,
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*SettingsError: There is no setting max_retrys (code): did you mean max_retries?"])


def test_the_users_environment_and_database_stay_untouched(run, pytester, monkeypatch):
    """The project's settings are read but nothing is written to its database, folder or environment."""
    own = pytester.path / "own"
    settings = {"DATABASE_URL": f"sqlite:///{own}/jobs.db", "STORAGE_DIR": str(own), "SPAWN": "auto", "THREADS": "3"}
    for name, value in settings.items():
        monkeypatch.setenv(f"LATESHIFT_{name}", value)
    before = environment()
    run("""
before = dict(os.environ)

def test_it(lateshift_app):
    assert (lateshift_app.settings.threads, lateshift_app.settings.spawn) == (3, "never")
    enqueue()
    drain()
    assert {**os.environ, "PYTEST_CURRENT_TEST": ""} == {**before, "PYTEST_CURRENT_TEST": ""}
""").assert_outcomes(passed=1)
    assert not own.exists()
    assert environment() == before


def test_the_plugin_can_be_left_out(run):
    """With `-p no:lateshift` the fixtures are unknown, and other tests run."""
    result = run("def test_it(lateshift_app): pass\ndef test_other(): pass", "-p", "no:lateshift")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'lateshift_app' not found"])


@pytest.mark.parametrize("name", ["lateshift", "lateshift.pytest_plugin"])
def test_the_plugin_can_be_named(run, monkeypatch, name):
    """Where plugins are not loaded by themselves, both its entry point's name and its module's load it."""
    tests = "def test_it(lateshift_inline): assert lateshift.get_job(enqueue()).finished"
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    run(tests).assert_outcomes(errors=1)
    run(tests, "-p", name).assert_outcomes(passed=1)


def test_a_failed_assertion_is_shown_where_the_test_made_it(run):
    """The report of assert_enqueued has the test's own line and the message, and no code of ours."""
    result = run("def test_it(lateshift_app):\n    enqueue()\n    assert_enqueued(mail, times=2)")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">   *assert_enqueued(mail, times=2)",
            "E   *AssertionError: Expected 2 enqueued, found 1: test_shop.mail",
            "E   *test_shop.mail in queue 'default' with {'to': 'a@example.com'}",
        ]
    )
    result.stdout.no_fnmatch_line("*lateshift/testing.py*")


def test_enqueued_jobs_are_found_by_what_is_given(lateshift_app):
    """Class, method, function, dotted name, parameters and queue narrow down what was enqueued, oldest first."""
    first = enqueue(Order, parameters={"order_id": 1})
    second = enqueue(Order, parameters={"order_id": 2, "paid": False}, queue="shop")
    refund = enqueue(Order, "refund", parameters={"order_id": 1})
    other = enqueue(note, parameters={"what": "x"})
    drain(limit=1)

    def found(*args, **kwargs):
        return [job.id for job in enqueued_jobs(*args, **kwargs)]

    assert found() == found(app=lateshift_app) == [first, second, refund, other]
    assert found(Order) == found(f"{__name__}.Order") == found(f"{__name__}.Order.handle") == [first, second]
    assert found(Order, "refund") == found(f"{__name__}.Order", "refund") == [refund]
    assert found(note) == found(f"{__name__}.note") == [other]
    assert found(Order, parameters={"order_id": 1}) == [first]
    assert found(Order, parameters={"paid": False}) == []
    assert found(parameters={"order_id": 1}) == [first, refund]
    assert found(queue="shop") == found(Order, queue="shop") == [second]


def test_parameters_are_compared_as_they_are_stored(lateshift_app):
    """Values beyond JSON, such as dates and paths, are given as they were enqueued."""
    parameters = {"day": date(2026, 11, 24), "path": Path("a/b"), "both": (1, 2)}
    job_id = enqueue(stored, parameters=parameters)
    assert [job.id for job in assert_enqueued(stored, parameters=parameters)] == [job_id]
    assert [job.result for job in drain()] == ["2026-11-24 b [1, 2]"]


def test_assert_enqueued_counts(lateshift_app):
    """`times` is exact, None means at least once, and the jobs are returned."""
    assert assert_enqueued(note, times=0) == []
    ids = [enqueue(note, parameters={"what": what}) for what in "ab"]
    assert [job.id for job in assert_enqueued(note, times=2)] == ids
    assert [job.id for job in assert_enqueued(note, times=None)] == ids
    assert [job.id for job in assert_enqueued(note, parameters={"what": "b"})] == ids[1:]


@pytest.mark.parametrize(
    ("job", "options", "first"),
    [
        (Order, {}, "Expected 1 enqueued, found 0: {}.Order.handle"),
        (Order, {"method": "refund", "times": None}, "Expected at least 1 enqueued, found 0: {}.Order.refund"),
        (note, {"times": 3, "queue": "q"}, "Expected 3 enqueued, found 0: {}.note in queue 'q'"),
        (note, {"times": 0}, "Expected 0 enqueued, found 1: {}.note"),
        (note, {"parameters": {"what": "y"}}, "Expected 1 enqueued, found 0: {}.note with {{'what': 'y'}}"),
        (f"{__name__}.missing", {}, "Expected 1 enqueued, found 0: {}.missing"),
    ],
)
def test_assert_enqueued_says_what_there_was_instead(lateshift_app, job, options, first):
    """The error shows what was wanted, under the name that was given, and all that was enqueued."""
    enqueue(note, parameters={"what": "x"})
    with pytest.raises(AssertionError) as caught:
        assert_enqueued(job, **options)
    listed = f"\nEnqueued were:\n    {__name__}.note in queue 'default' with {{'what': 'x'}}"
    assert str(caught.value) == first.format(__name__) + listed


def test_assert_enqueued_shows_nothing_or_the_last_twenty(lateshift_app):
    """An empty database is said to be so, and of many jobs the last 20 are shown, the newest at the end."""
    with pytest.raises(AssertionError, match=r"\nEnqueued were: nothing$"):
        assert_enqueued(note)
    lateshift.enqueue_many(Call(note, parameters={"what": str(number)}) for number in range(21))
    with pytest.raises(AssertionError) as caught:
        assert_enqueued(Order)
    lines = str(caught.value).splitlines()
    assert lines[1] == "Enqueued were (the last 20):"
    assert [line.split("'")[-2] for line in lines[2:]] == [str(number) for number in range(1, 21)]


def test_isolated_objects_nest_and_see_only_their_own_jobs(lateshift_app):
    """An inner block has an empty database and is the default until it ends, also by an exception."""
    enqueue(note, parameters={"what": "outer"})
    with pytest.raises(ZeroDivisionError), isolated(allowed=[__name__]) as inner:
        assert get_app() is inner
        assert enqueued_jobs() == drain() == []
        with inline(lateshift_app):
            assert lateshift.get_job(enqueue(note, parameters={"what": "inner"})).status == "pending"
        assert [job.result for job in drain(app=lateshift_app)] == ["outer"]
        raise ZeroDivisionError
    assert get_app() is lateshift_app
    assert [job.parameters for job in enqueued_jobs()] == [{"what": "outer"}]


def test_isolated_leaves_no_folder_behind(lateshift_app):
    """The temporary folder with database and logs is gone after the block, and the default is what it was: none."""
    before = set_app(None)
    try:
        with isolated(allowed=[__name__]) as inner:
            enqueue(note, parameters={"what": "x"})
            drain()
            folder = inner.settings.storage_dir
            assert {"lateshift.db", "logs"} <= {path.name for path in folder.iterdir()}
        assert not folder.exists()
        assert set_app(before) is None
    finally:
        set_app(before)


def test_isolated_refuses_unknown_settings_and_changes_nothing(lateshift_app, monkeypatch, tmp_path):
    """A wrong setting is a SettingsError; the default object stays and no folder is left."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SettingsError, match="There is no setting max_retrys"), isolated(max_retrys=1):
        pass
    assert (get_app(), [*tmp_path.iterdir()]) == (lateshift_app, [])


def test_isolated_takes_the_projects_settings_but_not_its_database(monkeypatch, tmp_path):
    """Settings come from the environment unless given; where the jobs are and that nothing starts does not."""
    project = {"MAX_RETRIES": "7", "DATABASE_URL": f"sqlite:///{tmp_path}/own.db", "SPAWN": "auto", "TIMEOUT": "9"}
    for name, value in project.items():
        monkeypatch.setenv(f"LATESHIFT_{name}", value)
    with isolated(allowed=[__name__], database_url=None, storage_dir=None, spawn=None, timeout=None) as app:
        settings = app.settings
        enqueue(note, parameters={"what": "x"})
    assert (settings.max_retries, settings.spawn, settings.timeout) == (7, "never", None)
    assert settings.storage_dir.as_posix() in settings.database_url
    assert [*tmp_path.iterdir()] == []
