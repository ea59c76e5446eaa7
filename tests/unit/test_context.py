"""What a running job may say about itself, and what it is told when it says it wrongly."""

from decimal import Decimal
from fractions import Fraction

import pytest

from lateshift.context import LONGEST_MESSAGE, CurrentJob, JobContext, current, warn_of_waiting
from lateshift.errors import InvalidOption
from lateshift.job import Claimed


@pytest.fixture
def told():
    """What it reported."""
    return []


@pytest.fixture
def context(told):
    """A running job that tells its progress, as a worker has it."""
    job = Claimed("id", 7, "app.jobs.X.handle", "{}", 1, 0, 3, 0, 0, None, "default", "thread", 1)
    return JobContext(job, lambda job, *progress: told.append(progress))


@pytest.fixture
def job(context):
    """The same, as it sees itself."""
    return CurrentJob(context)


@pytest.mark.parametrize(
    ("given", "fraction"),
    [(0.5, 0.5), (1, 1.0), (True, 1.0), (Decimal("0.25"), 0.25), (Fraction(1, 4), 0.25), (1.5, 1.0), (-1, 0.0)],
)
def test_a_fraction_is_a_number_from_0_to_1(job, told, given, fraction):
    """Numbers of every type will do, and those beyond an end are taken for it: 101 of 100 pages is all of them."""
    job.progress(given)
    assert told == [(fraction, None)]


@pytest.mark.parametrize("given", [float("inf"), float("nan"), 10**400, "half", object(), [0.5], "x" * 10_000])
def test_what_is_no_fraction_is_refused(job, told, given):
    """The job is told so at once, in few words, and nothing is reported."""
    with pytest.raises(InvalidOption, match=r"^The progress is .{1,80}: give a number from 0 to 1, or None") as caught:
        job.progress(given)
    assert len(str(caught.value)) < 150
    assert told == []


def test_what_no_text_can_be_made_of_is_refused_as_well(job):
    """Python does not write out numbers of so many digits."""
    with pytest.raises(InvalidOption, match=r"^The progress is an int: give a number"):
        job.progress(10**5_000)


@pytest.mark.parametrize("given", [2**70, object(), b"half", 0.5])
def test_a_message_that_is_no_text_is_refused(job, told, given):
    """The error names the type and says what to do."""
    with pytest.raises(InvalidOption, match=rf"of type {type(given).__name__}: give text"):
        job.progress(0.5, given)
    assert told == []


def test_a_message_is_made_storable(job, told):
    """No half of a surrogate pair, no NUL; of a long one the beginning is kept."""
    job.progress(None, "name \udcff\x00")
    job.progress(0.5, "x" * 10_000_000)
    assert told == [(None, "name \\udcff\\x00"), (0.5, "x" * LONGEST_MESSAGE)]


def test_a_job_sees_what_is_its_business(job):
    """What else its worker holds of it was there too, and a job that set it could settle for another one."""
    shown = {name for name in dir(job) if not name.startswith("_")}
    assert shown == {"id", "name", "queue", "attempt", "max_attempts", "cancelled", "connection", "progress"}
    with pytest.raises(AttributeError):
        job.cancel_requested = True


@pytest.mark.parametrize(
    ("executor_has_a_loop", "status", "warnings"), [(False, "pending", 1), (False, "running", 0), (True, "pending", 0)]
)
def test_a_job_that_takes_a_thread_to_wait_in_is_warned(context, caplog, executor_has_a_loop, status, warnings):
    """Once, and only of what has not begun: when all threads wait so, no job of theirs ever ends."""
    warn_of_waiting("child", status)
    context.loop_thread = 1 if executor_has_a_loop else None
    token = current.set(context)
    for _ in range(2):
        warn_of_waiting("child", status)
    current.reset(token)
    assert [record.message[:15] for record in caplog.records] == ["waits for job c"] * warnings
