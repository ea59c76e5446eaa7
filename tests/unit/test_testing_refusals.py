"""What `lateshift.testing` refuses, as the application object does: in words."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
import testing_jobs
from testing_jobs import note

from lateshift.errors import InvalidOption, InvalidParameters
from lateshift.testing import FrozenClock, assert_enqueued, drain, isolated

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize("seconds", ["x", None, math.inf, math.nan, 1e30, 1e15, -1e12])
def test_a_frozen_clock_stays_in_the_calendar(seconds):
    """A move that cannot be is refused, and the clock is where it was."""
    clock = FrozenClock(NOON)
    with pytest.raises(InvalidOption, match=r"FrozenClock\.move"):
        clock.move(seconds)
    assert clock.at == NOON


@pytest.fixture
def app():
    with isolated(allowed=[testing_jobs.__name__]) as app:
        yield app


@pytest.mark.parametrize("given", [{"limit": "a"}, {"limit": -1}, {"queue": 5}])
def test_what_cannot_be_drained(app, given):
    """A queue is a name, a limit a number."""
    with pytest.raises(InvalidOption, match=f"The {min(given)} is"):
        drain(app=app, **given)


@pytest.mark.parametrize("parameters", [{"what": object()}, 5])
def test_what_no_job_can_have_been_given(app, parameters):
    """Parameters are a dict of what JSON can hold."""
    with pytest.raises(InvalidParameters, match="parameters"):
        assert_enqueued(note, parameters=parameters, app=app)


def test_the_database_in_memory_of_django_s_tests():
    """It has a name like a file's, which would be made."""
    url = "sqlite:///file:memorydb_default?mode=memory&cache=shared"
    with pytest.raises(InvalidOption, match="TEST"), isolated(database_url=url):
        pass
