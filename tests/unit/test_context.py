"""What a running job may say about itself, and what it is told when it says it wrongly."""

from decimal import Decimal
from fractions import Fraction

import pytest

from lateshift.context import LONGEST_MESSAGE, JobContext
from lateshift.errors import InvalidOption
from lateshift.job import Claimed


@pytest.fixture
def told():
    """What the context reported."""
    return []


@pytest.fixture
def context(told):
    """The context of a job that tells its progress."""
    job = Claimed("id", 7, "app.jobs.X.handle", "default", "thread", 1, "{}", 1, 0, 3, 0, 0)
    return JobContext(job, lambda job, *progress: told.append(progress))


@pytest.mark.parametrize(
    ("given", "fraction"),
    [(0.5, 0.5), (1, 1.0), (True, 1.0), (Decimal("0.25"), 0.25), (Fraction(1, 4), 0.25), (1.5, 1.0), (-1, 0.0)],
)
def test_a_fraction_is_a_number_from_0_to_1(context, told, given, fraction):
    """Numbers of every type will do, and those beyond an end are taken for it: 101 of 100 pages is all of them."""
    context.progress(given)
    assert told == [(fraction, None)]


@pytest.mark.parametrize("given", [float("inf"), float("nan"), 10**400, "half", object(), [0.5], "x" * 10_000])
def test_what_is_no_fraction_is_refused(context, told, given):
    """The job is told so at once, in few words, and nothing is reported."""
    with pytest.raises(InvalidOption, match=r"^The progress is .{1,80}: give a number from 0 to 1, or None") as caught:
        context.progress(given)
    assert len(str(caught.value)) < 150
    assert told == []


@pytest.mark.parametrize("given", [2**70, object(), b"half", 0.5])
def test_a_message_that_is_no_text_is_refused(context, told, given):
    """The error names the type and says what to do."""
    with pytest.raises(InvalidOption, match=rf"of type {type(given).__name__}: give text"):
        context.progress(0.5, given)
    assert told == []


def test_a_message_is_made_storable(context, told):
    """No half of a surrogate pair, no NUL; of a long one the beginning is kept."""
    context.progress(None, "name \udcff\x00")
    context.progress(0.5, "x" * 10_000_000)
    assert told == [(None, "name \\udcff\\x00"), (0.5, "x" * LONGEST_MESSAGE)]
