"""What a running job may say about itself, and what it is told when it says it wrongly."""

from decimal import Decimal
from fractions import Fraction

import pytest

from lateshift.context import LONGEST_MESSAGE, CurrentJob, JobContext
from lateshift.errors import InvalidOption
from lateshift.job import Claimed


@pytest.fixture
def told():
    """What it reported."""
    return []


@pytest.fixture
def current(told):
    """A running job that tells its progress."""
    job = Claimed("id", 7, "app.jobs.X.handle", "default", "thread", 1, "{}", 1, 0, 3, 0, 0)
    return CurrentJob(JobContext(job, lambda job, *progress: told.append(progress)))


@pytest.mark.parametrize(
    ("given", "fraction"),
    [(0.5, 0.5), (1, 1.0), (True, 1.0), (Decimal("0.25"), 0.25), (Fraction(1, 4), 0.25), (1.5, 1.0), (-1, 0.0)],
)
def test_a_fraction_is_a_number_from_0_to_1(current, told, given, fraction):
    """Numbers of every type will do, and those beyond an end are taken for it: 101 of 100 pages is all of them."""
    current.progress(given)
    assert told == [(fraction, None)]


@pytest.mark.parametrize("given", [float("inf"), float("nan"), 10**400, "half", object(), [0.5], "x" * 10_000])
def test_what_is_no_fraction_is_refused(current, told, given):
    """The job is told so at once, in few words, and nothing is reported."""
    with pytest.raises(InvalidOption, match=r"^The progress is .{1,80}: give a number from 0 to 1, or None") as caught:
        current.progress(given)
    assert len(str(caught.value)) < 150
    assert told == []


@pytest.mark.parametrize("given", [2**70, object(), b"half", 0.5])
def test_a_message_that_is_no_text_is_refused(current, told, given):
    """The error names the type and says what to do."""
    with pytest.raises(InvalidOption, match=rf"of type {type(given).__name__}: give text"):
        current.progress(0.5, given)
    assert told == []


def test_a_message_is_made_storable(current, told):
    """No half of a surrogate pair, no NUL; of a long one the beginning is kept."""
    current.progress(None, "name \udcff\x00")
    current.progress(0.5, "x" * 10_000_000)
    assert told == [(None, "name \\udcff\\x00"), (0.5, "x" * LONGEST_MESSAGE)]


def test_a_job_sees_what_is_its_business(current):
    """What else its worker holds of it was there too, and a job that set it could settle for another one."""
    shown = {name for name in dir(current) if not name.startswith("_")}
    assert shown == {"id", "name", "queue", "attempt", "max_attempts", "cancelled", "connection", "progress"}
    with pytest.raises(AttributeError):
        current.cancel_requested = True
