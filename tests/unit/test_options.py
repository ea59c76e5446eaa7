"""Options of jobs: the checks of single values, and what a class declares."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateshift.errors import InvalidOption
from lateshift.job import STATUSES, moment
from lateshift.options import (
    JobOptions,
    check_delay,
    check_isolation,
    check_priority,
    check_queue,
    check_retries,
    check_run_at,
    check_status,
    check_timeout,
    read_options,
    refuse_misspelt,
)
from lateshift.retry import RetryPolicy


def refusal(check, *values):
    """The message of the InvalidOption that a check raises."""
    with pytest.raises(InvalidOption) as caught:
        check(*values)
    return str(caught.value)


NAIVE = datetime(2030, 1, 1)  # noqa: DTZ001 - some of these tests are about it
OLDEST = datetime(1900, 1, 1)  # noqa: DTZ001 - as above


class Urgency(IntEnum):
    HIGH = 9


def test_priority():
    """Priorities are whole numbers from 1 to 10."""
    assert [check_priority(value) for value in (1, 5, 10, Urgency.HIGH)] == [1, 5, 10, 9]


@pytest.mark.parametrize("value", [0, 11, -1, "high", "5", True, False, 5.0, None, float("nan")])
def test_bad_priority(value):
    """Anything else is refused, with the value and the range."""
    message = refusal(check_priority, value)
    assert repr(value) in message
    assert "from 1 to 10" in message


def test_queue():
    """A queue name is printable text of up to 100 characters, in any language."""
    for name in ("default", "e-mails", "v1.2", "...", "a/b", "Rechnungen für März", "x" * 100):
        assert check_queue(name) == name


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("x" * 101, "101 characters: give at most 100"),
        ("a\nb", "cannot be printed"),
        ("a\x00", "cannot be printed"),
        ("\ud800", "cannot be printed"),
        (" mails", "spaces at its ends"),
        (".", "cannot be part of an address"),
        ("..", "cannot be part of an address"),
        ("mail/../billing", "cannot be part of an address"),
        (None, "give its name as text"),
        (3, "give its name as text"),
        (b"mails", "give its name as text"),
    ],
)
def test_bad_queue(value, expected):
    """An empty, over-long or unprintable name is refused, and what is no text."""
    assert expected in refusal(check_queue, value)


def test_delay():
    """A delay is seconds or a timedelta, from none to ten years."""
    assert check_delay(0) == 0
    assert check_delay(1.5) == 1.5
    assert check_delay(timedelta(hours=1)) == 3600
    assert check_delay(timedelta(days=3650)) == 3650 * 86_400


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-1, "cannot be negative"),
        (-0.001, "cannot be negative"),
        (timedelta(seconds=-1), "cannot be negative"),
        (float("-inf"), "cannot be negative"),
        (float("nan"), "give a number of seconds"),
        (float("inf"), "more than ten years"),
        (timedelta(days=3651), "more than ten years"),
        (1_900_000_000_000, "more than ten years"),
        (10**400, "more than ten years"),
        (True, "give seconds as a number"),
        ("60", "give seconds as a number"),
        (None, "give seconds as a number"),
    ],
)
def test_bad_delay(value, expected):
    """A negative, absurd or senseless delay is refused."""
    assert expected in refusal(check_delay, value)


@given(st.datetimes(OLDEST, NAIVE, timezones=st.timezones()))
def test_run_at_is_exact(when):
    """An aware datetime of any zone becomes the same moment, to the microsecond."""
    assert moment(check_run_at(when)) == when.astimezone(UTC)  # within one zone: a skipped hour equals nothing


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (NAIVE, "without a time zone"),
        (date(2030, 1, 1), "give an aware datetime"),
        ("2030-01-01", "give an aware datetime"),
        (1_900_000_000, "give an aware datetime"),
        (datetime(9999, 1, 1, tzinfo=UTC), "more than ten years ahead"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=9))), "outside the calendar"),
    ],
)
def test_bad_run_at(value, expected):
    """A naive datetime, what is none, and dates out of reach are refused."""
    assert expected in refusal(check_run_at, value)


def test_a_zone_without_an_offset_is_naive():
    """A datetime whose zone tells no offset is as ambiguous as one without a zone."""

    class Vague(tzinfo):
        def utcoffset(self, _):
            return None

    assert "without a time zone" in refusal(check_run_at, datetime(2030, 1, 1, tzinfo=Vague()))


def test_run_at_and_delay_exclude_each_other():
    """Giving both is refused."""
    assert "give one of them" in refusal(check_run_at, datetime.now(UTC), 5)
    assert check_run_at(datetime(2026, 1, 1, tzinfo=UTC), 0) == 1_767_225_600_000_000
    assert check_run_at(datetime(2026, 1, 1, tzinfo=UTC), timedelta(0)) == 1_767_225_600_000_000


def test_run_at_is_judged_by_the_clock_it_is_given():
    """What is too far ahead depends on `now`, so that frozen clocks work."""
    far = datetime(2080, 1, 1, tzinfo=UTC)
    assert check_run_at(far, 0, round(far.timestamp() * 1e6)) == round(far.timestamp() * 1e6)


@pytest.mark.parametrize("value", [0, -1, True, "5", float("nan"), float("inf"), timedelta(0)])
def test_bad_timeout(value):
    """A timeout is above 0."""
    assert "The timeout is" in refusal(check_timeout, value)


def test_timeout_retries_isolation_status():
    """The other checks pass what is in range."""
    assert check_timeout(timedelta(minutes=1)) == 60
    assert check_retries(0) == 0
    assert check_retries(10_000) == 10_000
    assert check_isolation("process") == "process"
    assert check_isolation(None) is None
    assert [check_status(status) for status in STATUSES] == list(STATUSES)


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (check_retries, -1),
        (check_retries, 10_001),
        (check_retries, True),
        (check_retries, 2.0),
        (check_retries, "3"),
        (check_isolation, "thread"),
        (check_isolation, True),
        (check_status, "done"),
        (check_status, None),
        (check_status, []),
    ],
)
def test_bad_retries_isolation_status(check, value):
    """And refuse the rest with the value."""
    assert repr(value) in refusal(check, value)


class Plain:
    def handle(self):
        pass


class Declared(Plain):
    queue = "mails"
    priority = 7
    max_retries = 1
    retry_delay = 30
    timeout = timedelta(minutes=1)
    isolation = "process"


def test_options_of_a_class():
    """Class attributes set the options; a class without any has the defaults."""
    assert read_options(Plain) == JobOptions()
    assert read_options(Declared) == JobOptions("mails", 7, 1, RetryPolicy.fixed(30), 60.0, "process")


def test_options_are_inherited_and_overridden():
    """A subclass keeps what it does not declare anew; None takes back what a base has declared."""

    class Child(Declared):
        queue = "other"
        timeout = None
        retry = None

    class Anew(Child):
        retry_delay = 9
        retry = None

    assert read_options(Child) == JobOptions("other", 7, 1, None, None, "process")
    assert read_options(Anew) == JobOptions("other", 7, 1, RetryPolicy.fixed(9), None, "process")


def test_the_decorator_wins_over_attributes():
    """What `@background` sets on a class wins there, and leaves alone what it does not set."""

    class Both(Plain):
        __lateshift__ = JobOptions(priority=9)
        queue = "mails"
        priority = 2

    class Below(Both):
        priority = 3

    assert (read_options(Both).queue, read_options(Both).priority) == ("mails", 9)
    assert read_options(Below).priority == 3


def test_retry_wins_over_retry_delay():
    """`retry` is the fuller of the two; it may be a list, a policy, or a static method."""

    class Job(Plain):
        retry_delay = 5
        retry = (1, 2)

    class Function(Plain):
        @staticmethod
        def retry(attempt, error):
            return attempt * 3

    assert read_options(Job).retry == RetryPolicy.delays([1, 2])
    assert read_options(Function).retry.delay(2, ValueError()) == 6


def backoff(attempt, error):
    return 8


def test_a_function_may_be_assigned():
    """A function from elsewhere can be the class's retry policy."""

    class Job(Plain):
        retry = backoff

    assert read_options(Job).retry.delay(1, ValueError()) == 8


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("priority", 11, "The priority is 11"),
        ("queue", "", "is empty"),
        ("max_retries", -1, "max_retries is -1"),
        ("timeout", 0, "The timeout is 0"),
        ("isolation", "thread", "isolation is 'thread'"),
        ("retry_delay", "5", "The retry delay is '5'"),
        ("queue", property(lambda self: "x"), "give its name as text"),
    ],
)
def test_a_bad_attribute_names_its_class(name, value, expected):
    """The message says which class declares the bad value."""
    message = refusal(read_options, type("Bad", (), {name: value}))
    assert f"Bad.{name}: " in message
    assert expected in message


def test_a_method_named_like_an_option():
    """A method by the name of an option is refused rather than misread."""

    class Job(Plain):
        def retry(self):
            pass

    @dataclass(slots=True)
    class Slotted:
        queue: str = "mails"

    assert "Call it something else" in refusal(read_options, Job)
    assert "Call it something else" in refusal(read_options, Slotted)


def test_options_of_a_function():
    """A decorated function carries its options; any other callable has the defaults."""

    def job():
        pass

    assert read_options(job) == JobOptions()
    job.__lateshift__ = JobOptions(queue="mails")
    assert read_options(job).queue == "mails"
    job.__lateshift__ = {"queue": "rubbish"}
    assert read_options(job) == JobOptions()


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("max_retires", 0, "max_retries"),
        ("max_retry", 1, "max_retries"),
        ("isolate", "process", "isolation"),
        ("prioritiy", 5, "priority"),
        ("queues", "mails", "queue"),
        ("time_out", timedelta(seconds=5), "timeout"),
        ("retry_dealy", [1, 2], "retry_delay"),
        ("transactionnal", "django", "transactional"),
        ("transacionl", True, "transactional"),
        ("priorirty", 5, "priority"),
        ("max_reties", 5, "max_retries"),
        ("max_memroyy", "500M", "max_memory"),
        *((name, 5, "max_retries") for name in ("retries", "tries", "attempts", "max_attempts", "max_retrys")),
        ("prio", 5, "priority"),
        ("backoff", [10, 60], "retry_delay"),
        ("max_mem", "500M", "max_memory"),
    ],
)
def test_an_attribute_that_is_nearly_an_option(name, value, meant):
    """Nobody noticed it: the job had the default. It may stand in a base of the class."""
    base = type("Base", (), {name: value})
    message = refusal(refuse_misspelt, type("Job", (base,), {}))
    assert f"Base has {name!r}, which is no option: did you mean {meant!r}?" in message


@pytest.mark.parametrize(
    "attributes",
    [
        {"timeouts": (3, 10)},
        {"queues": ["a", "b"]},
        {"timeouts": 3, "timeout": 10},
        {"retry_": lambda self: 5},
        {"max_entries": 100, "max_replies": 5, "retry_days": 3, "entry": 5, "delay": 5, "max_rows": 3},
        {"tries": "often", "backoff": {"a": 1}, "prio": 0, "attempts": None, "max_mem": 5},
        {"retries": 3, "max_retries": 1},
        {"_priority": 5, "isolated": None},
    ],
    ids=" ".join,
)
def test_an_attribute_of_ones_own(attributes):
    """What no option takes, a name that is further away, and one beside the option itself."""
    refuse_misspelt(type("Job", (), attributes))
