"""Retry policies: how long they wait, for which exceptions, and how they are stored."""

import logging
import math
from datetime import timedelta
from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateshift.errors import InvalidOption
from lateshift.outcome import JobTimeout, Retry
from lateshift.retry import FALLBACK, RetryPolicy, decode, encode, to_policy

ERROR = ValueError("no")
waits = st.floats(0, 1e6)


def test_fixed():
    """A fixed policy waits the same each time."""
    policy = RetryPolicy.fixed(timedelta(minutes=2))
    assert [policy.delay(attempt, ERROR) for attempt in (1, 2, 50)] == [120.0, 120.0, 120.0]


def test_exponential_without_jitter():
    """An exponential policy doubles up to its ceiling, however many attempts there were."""
    policy = RetryPolicy.exponential(base=5, factor=2, ceiling=60, jitter=False)
    assert [policy.delay(attempt, ERROR) for attempt in (1, 2, 3, 4, 5, 10_000)] == [5, 10, 20, 40, 60, 60]
    assert RetryPolicy.exponential(0, ceiling=9, jitter=False).delay(5000, ERROR) == 0


def test_exponential_jitter_spans_half_to_whole():
    """Jitter moves a wait between half of it and all of it."""
    policy = RetryPolicy.exponential(base=8, factor=2, ceiling=100)
    assert policy.delay(1, ERROR, random=lambda: 0.0) == 4
    assert policy.delay(1, ERROR, random=lambda: 1.0) == 8
    assert 8 <= policy.delay(2, ERROR) <= 16


@given(waits, st.floats(1, 1000), waits, st.integers(1, 10_000), st.floats(0, 1))
def test_exponential_stays_in_its_bounds(base, factor, ceiling, attempt, chance):
    """Whatever the numbers, a wait is finite, not negative and not above the ceiling."""
    delay = RetryPolicy.exponential(base, factor, ceiling).delay(attempt, ERROR, random=lambda: chance)
    assert math.isfinite(delay)
    assert 0 <= delay <= ceiling


def test_delays_repeat_the_last():
    """A list gives one wait per retry, and then its last one again."""
    policy = RetryPolicy.delays([1, timedelta(seconds=10), 60.5])
    assert [policy.delay(attempt, ERROR) for attempt in (1, 2, 3, 4, 99)] == [1, 10, 60.5, 60.5, 60.5]


@pytest.mark.parametrize(
    "policy",
    [
        partial(RetryPolicy, "delays"),
        partial(RetryPolicy, "fixed", (-1,)),
        partial(RetryPolicy, "function"),
        partial(RetryPolicy, "linear", (1,)),
        partial(RetryPolicy, "exponential", (1,), factor=0),
        partial(RetryPolicy, "exponential", (1,), ceiling=-1),
        partial(RetryPolicy, "fixed", (1,), only=("ValueError",)),
    ],
)
def test_a_policy_made_by_hand_is_checked(policy):
    """What no policy can be is refused when it is made, not when a job has failed."""
    with pytest.raises(InvalidOption):
        policy()


def test_a_policy_made_by_hand_takes_timedeltas():
    """They were checked and kept, and then took all retries away by a TypeError."""
    minute = timedelta(minutes=1)
    assert RetryPolicy("fixed", (minute,)).delay(1, ERROR) == 60.0
    assert RetryPolicy("exponential", (minute,), ceiling=minute).delay(5, ERROR) == 60.0


def test_function():
    """A function sees the attempt and the exception; None means no retry."""
    policy = RetryPolicy.function(lambda attempt, error: None if isinstance(error, KeyError) else attempt * 2)
    assert policy.delay(3, ERROR) == 6
    assert policy.delay(3, KeyError()) is None
    assert RetryPolicy.function(lambda *_: timedelta(minutes=1)).delay(1, ERROR) == 60


async def later(attempt, error):
    return 1


class Later:
    async def __call__(self, attempt, error):
        return 1


@pytest.mark.parametrize("function", [later, partial(later), Later()])
def test_a_function_that_has_to_be_awaited_is_refused(function):
    """Nobody would await it when an attempt has failed."""
    for make in (RetryPolicy.function, to_policy):
        with pytest.raises(InvalidOption, match="async"):
            make(function)


@pytest.mark.parametrize("result", [float("nan"), "soon", object(), [1], False])
def test_a_function_that_returns_rubbish_falls_back(result, caplog):
    """What is no number becomes the default wait, and the log tells of it."""
    with caplog.at_level(logging.ERROR):
        assert RetryPolicy.function(lambda *_: result).delay(1, ERROR) == FALLBACK
    assert "retry function failed" in caplog.text


def test_a_function_that_raises_falls_back(caplog):
    """An error in the retry function does not take the retries away."""

    def broken(attempt, error):
        raise RuntimeError("bug")

    assert RetryPolicy.function(broken).delay(1, ERROR) == FALLBACK
    assert "bug" in caplog.text


def test_a_function_is_held_to_the_bounds():
    """Negative waits become none, endless ones ten years."""
    assert RetryPolicy.function(lambda *_: -5).delay(1, ERROR) == 0
    assert RetryPolicy.function(lambda *_: math.inf).delay(1, ERROR) == 3650 * 86_400


def test_only_and_never():
    """`only` names what is worth a retry, `never` what is not, and `never` wins; subclasses count."""
    policy = RetryPolicy.fixed(1, only=(OSError,), never=[FileNotFoundError])
    assert policy.delay(1, ConnectionError()) == 1
    assert policy.delay(1, FileNotFoundError()) is None
    assert policy.delay(1, ERROR) is None
    assert policy.delay(1, JobTimeout()) is None
    assert RetryPolicy.fixed(1, never=(JobTimeout,)).delay(1, JobTimeout()) is None
    for made in (
        RetryPolicy.exponential(never=(ValueError,)),
        RetryPolicy.delays([1], never=(ValueError,)),
        RetryPolicy.function(lambda *_: 1, never=ValueError),
    ):
        assert made.delay(1, ERROR) is None
        assert made.delay(1, KeyError()) is not None


def test_a_job_that_asks_for_a_retry_gets_it():
    """Raising Retry is a request, to which `only` and `never` do not apply."""
    assert RetryPolicy.fixed(3, only=(OSError,)).delay(1, Retry("again")) == 3
    assert RetryPolicy.fixed(3, never=(Exception,)).delay(1, Retry("again")) == 3


@pytest.mark.parametrize(
    ("value", "delay"),
    [(5, 5), (2.5, 2.5), (0, 0), (timedelta(minutes=1), 60), ([7, 8], 7), ((9,), 9), (lambda *_: 4, 4)],
)
def test_to_policy(value, delay):
    """Seconds, timedeltas, lists and functions all stand for a policy."""
    assert to_policy(value).delay(1, ERROR) == delay


def test_to_policy_keeps_a_policy():
    """A policy stays what it is."""
    policy = RetryPolicy.fixed(1)
    assert to_policy(policy) is policy


@pytest.mark.parametrize("value", [-1, True, float("nan"), math.inf, 10**12, "5", [], ["x"], [-1], None, int, object()])
def test_to_policy_refuses(value):
    """What is no policy is refused with the value."""
    with pytest.raises(InvalidOption) as caught:
        to_policy(value)
    assert "give" in str(caught.value).lower()


@pytest.mark.parametrize(
    "make",
    [
        lambda: RetryPolicy.exponential(factor=0.5),
        lambda: RetryPolicy.exponential(factor=float("nan")),
        lambda: RetryPolicy.exponential(factor="2"),
        lambda: RetryPolicy.exponential(base=-1),
        lambda: RetryPolicy.exponential(ceiling=-1),
        lambda: RetryPolicy.delays("123"),
        lambda: RetryPolicy.function(3),
        lambda: RetryPolicy.fixed(1, only=("ValueError",)),
        lambda: RetryPolicy.fixed(1, never=(3,)),
        lambda: RetryPolicy.fixed(1, never=(int,)),
    ],
)
def test_constructors_refuse(make):
    """Each constructor refuses what makes no sense."""
    with pytest.raises(InvalidOption):
        make()


@given(
    st.one_of(
        waits.map(RetryPolicy.fixed),
        st.lists(waits, min_size=1, max_size=5).map(RetryPolicy.delays),
        st.builds(RetryPolicy.exponential, waits, st.floats(1, 1000), waits, jitter=st.booleans()),
    )
)
def test_storing_and_reading_back(policy):
    """A policy without code survives being stored as JSON."""
    assert decode(msgspec.json.decode(msgspec.json.encode(encode(policy)))) == policy


@pytest.mark.parametrize(
    ("policy", "what"),
    [
        (RetryPolicy.function(lambda *_: 1), "a function"),
        (RetryPolicy.fixed(1, only=(OSError,)), "exception types"),
        (RetryPolicy.fixed(1, never=(OSError,)), "exception types"),
    ],
)
def test_code_is_not_stored(policy, what):
    """Functions and exception types cannot be stored per call; the message says where they belong."""
    with pytest.raises(InvalidOption, match=what) as caught:
        encode(policy)
    assert "@background(retry=...)" in str(caught.value)


@pytest.mark.parametrize("stored", [{}, {"kind": "fixed"}, {"kind": "x", "steps": [1]}, {"kind": "fixed", "steps": 3}])
def test_reading_rubbish(stored):
    """A stored policy of unknown form is refused."""
    with pytest.raises(InvalidOption, match="stored retry policy"):
        decode(stored)
