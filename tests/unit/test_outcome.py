"""What the end of an attempt means: the state machine, as a table and as properties."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateshift.errors import InvalidOption, ResultNotStorable
from lateshift.job import Claimed, JobError
from lateshift.outcome import (
    MAX_CRASHES,
    Cancel,
    Ending,
    JobTimeout,
    Outcome,
    Retry,
    Snooze,
    decide,
    failed,
    lost,
    returned,
)

STARTED, NOW = 1_000_000, 3_000_000
ERROR = JobError("ValueError", "no", "Traceback ...")


def job(attempt=1, max_retries=3, crashes=0):
    name = "app.jobs.X.handle"
    return Claimed("id", 7, name, "{}", attempt, crashes, max_retries, 0, 0, None, "default", "thread", 1)


def ended(exception=None, **more):
    return Ending(exception=exception, error=None if exception is None else ERROR, **more)


def five(attempt, error):
    return 5.0


def test_completed():
    """A job that returns is completed, with its result."""
    outcome = decide(job(), Ending(result="3"), STARTED, NOW, five)
    assert outcome == Outcome("completed", "completed", STARTED, NOW, result="3")
    assert (outcome.counts, outcome.crashed, outcome.run_at, outcome.error) == (True, False, None, None)


def test_retry():
    """A job that raises waits for its retry, as long as the policy says, and keeps the error."""
    outcome = decide(job(), ended(ValueError()), STARTED, NOW, five)
    assert outcome == Outcome("retry", "pending_retry", STARTED, NOW, run_at=NOW + 5_000_000, error=ERROR)
    assert outcome.counts


@pytest.mark.parametrize(
    ("attempt", "max_retries", "status"),
    [(1, 0, "failed"), (1, 1, "pending_retry"), (2, 1, "failed"), (3, 3, "pending_retry"), (4, 3, "failed")],
)
def test_attempts_are_one_more_than_retries(attempt, max_retries, status):
    """With three retries the fourth attempt is the last."""
    assert decide(job(attempt, max_retries), ended(ValueError()), STARTED, NOW, five).status == status


def test_the_policy_sees_the_attempt_and_the_exception():
    """The retry policy is asked with the attempt that failed and what it raised."""
    asked = []
    error = ValueError()
    decide(job(2), ended(error), STARTED, NOW, lambda *question: asked.append(question))
    assert asked == [(2, error)]


def test_the_policy_may_refuse():
    """None from the policy fails the job for good, with attempts left."""
    outcome = decide(job(), ended(ValueError()), STARTED, NOW, lambda *_: None)
    assert outcome == Outcome("failed", "failed", STARTED, NOW, error=ERROR)


def test_the_policy_is_not_asked_after_the_last_attempt():
    """With no attempt left the policy has nothing to say."""

    def never(attempt, error):
        raise AssertionError

    assert decide(job(4), ended(ValueError()), STARTED, NOW, never).status == "failed"


def test_raising_retry():
    """Retry sets its own wait, or takes the policy's, and uses up an attempt either way."""
    assert decide(job(), ended(Retry(delay=2)), STARTED, NOW, five).run_at == NOW + 2_000_000
    assert decide(job(), ended(Retry(delay=timedelta(minutes=1))), STARTED, NOW, five).run_at == NOW + 60_000_000
    assert decide(job(), ended(Retry("again")), STARTED, NOW, five).run_at == NOW + 5_000_000
    assert decide(job(), ended(Retry(delay=0)), STARTED, NOW, five).run_at == NOW
    assert decide(job(), ended(Retry(delay=2)), STARTED, NOW, five).counts
    assert decide(job(4), ended(Retry(delay=2)), STARTED, NOW, five).status == "failed"


def test_raising_snooze():
    """Snooze runs the job later without using up an attempt, even on the last one, and is no error."""
    outcome = decide(job(4), ended(Snooze(1.5)), STARTED, NOW, five)
    assert outcome == Outcome("snoozed", "pending_retry", STARTED, NOW, run_at=NOW + 1_500_000, counts=False)


def test_a_negative_snooze_is_due_at_once():
    """A wait below zero does not reach into the past."""
    assert decide(job(), ended(Snooze(-5)), STARTED, NOW, five).run_at == NOW


def test_raising_cancel():
    """Cancel ends the job as cancelled, with the reason, retries or not."""
    outcome = decide(job(), ended(Cancel("not needed")), STARTED, NOW, five)
    assert outcome == Outcome("cancelled", "cancelled", STARTED, NOW, error=ERROR)
    assert str(Cancel("not needed")) == "not needed"


def test_a_cancel_that_the_job_saw_wins_over_its_result():
    """A job that looked at `cancelled`, saw it and returned is cancelled; what it returned is kept."""
    outcome = decide(job(), Ending(result="1", cancel_requested=True, cancel_observed=True), STARTED, NOW, five)
    assert (outcome.status, outcome.result) == ("cancelled", "1")


def test_a_cancel_that_the_job_never_looked_at_loses():
    """A job that finished without looking is completed: its work is done."""
    outcome = decide(job(), Ending(result="1", cancel_requested=True), STARTED, NOW, five)
    assert outcome.status == "completed"


@pytest.mark.parametrize("exception", [ValueError(), Retry(), Snooze(5), JobTimeout(), KeyboardInterrupt()])
def test_a_requested_cancel_ends_what_raises(exception):
    """A job that raises after somebody asked to cancel is not run again."""
    assert decide(job(), ended(exception, cancel_requested=True), STARTED, NOW, five).status == "cancelled"


def test_a_result_that_cannot_be_stored_is_not_retried():
    """Running the job again would do its work twice and give the same result."""
    outcome = decide(job(), ended(ResultNotStorable("too big")), STARTED, NOW, five)
    assert (outcome.status, outcome.error) == ("failed", ERROR)
    outcome = decide(job(), ended(ResultNotStorable("too big"), cancel_requested=True), STARTED, NOW, five)
    assert outcome.status == "failed"


@pytest.mark.parametrize("exception", [JobTimeout("2 s"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_any_exception_is_an_error_like_others(exception):
    """A timeout, SystemExit and KeyboardInterrupt use up an attempt and are retried."""
    outcome = decide(job(), ended(exception), STARTED, NOW, five)
    assert (outcome.kind, outcome.counts) == ("retry", True)


def test_a_timeout_passes_except_exception():
    """JobTimeout is no Exception, so that a job's own `except Exception` does not swallow it."""
    assert not issubclass(JobTimeout, Exception)


def test_returned():
    """A job that a stopping worker gives back waits again, with no attempt used up."""
    outcome = returned(STARTED, NOW, 0.5)
    assert outcome == Outcome("returned", "pending_retry", STARTED, NOW, run_at=NOW + 500_000, counts=False)
    assert returned(STARTED, NOW).run_at == NOW


def test_lost():
    """A job whose process died runs again at once; that counts as a crash and not as an attempt."""
    outcome = lost(job(attempt=4), STARTED, NOW, ERROR)
    assert outcome == Outcome(
        "lost", "pending_retry", STARTED, NOW, run_at=NOW, error=ERROR, counts=False, crashed=True
    )


def test_lost_again():
    """The second try after a crash comes a second later, what follows later still: short trouble uses up no three."""
    pauses = [lost(job(crashes=crashes), STARTED, NOW, ERROR, shared=True).run_at - NOW for crashes in range(4)]
    assert pauses == [0, 1_000_000, 2_000_000, 3_000_000]


def test_lost_too_often():
    """The third crash fails the job, however many attempts it has left."""
    statuses = [lost(job(crashes=crashes), STARTED, NOW, ERROR).status for crashes in range(MAX_CRASHES + 1)]
    assert statuses == ["pending_retry", "pending_retry", "failed", "failed"]
    last = lost(job(crashes=2), STARTED, NOW, ERROR)
    assert (last.kind, last.error, last.crashed, last.counts, last.run_at) == ("failed", ERROR, True, False, None)


def test_a_crash_that_may_be_another_jobs_doing():
    """It is counted; but only the tenth fails the job, so that a neighbour of poison jobs lives."""
    statuses = [lost(job(crashes=crashes), STARTED, NOW, ERROR, shared=True).status for crashes in range(10)]
    assert statuses == ["pending_retry"] * 9 + ["failed"]


def test_failed():
    """An attempt whose outcome could not be decided or stored fails the job with the reason, and counts."""
    assert failed(STARTED, NOW, ERROR) == Outcome("failed", "failed", STARTED, NOW, error=ERROR)


@pytest.mark.parametrize("ask", [Snooze, lambda delay: Retry(delay=delay)], ids=["Snooze", "Retry"])
def test_the_delay_that_a_job_asks_for(ask):
    """It is in seconds or a timedelta; below zero means at once, as `deadline - time.time()` may come out."""
    given = [3, timedelta(milliseconds=250), timedelta(days=3650), -5, -1e300, timedelta(-1), float("-inf")]
    assert [ask(delay).delay for delay in given] == [3.0, 0.25, 315_360_000.0, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("ask", [Snooze, lambda delay: Retry(delay=delay)], ids=["Snooze", "Retry"])
@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (float("inf"), "more than ten years"),
        (10**30, "more than ten years"),
        (1e18, "more than ten years"),
        (timedelta.max, "more than ten years"),
        (float("nan"), "give a number of seconds"),
        ("60", "give seconds as a number"),
        (True, "give seconds as a number"),
    ],
)
def test_an_absurd_delay_is_refused_where_it_is_raised(ask, delay, expected):
    """The job fails with an error that names the limit."""
    with pytest.raises(InvalidOption, match=expected):
        ask(delay)


exceptions = st.one_of(
    st.none(),
    st.sampled_from([ValueError(), KeyboardInterrupt(), SystemExit(), JobTimeout(), Cancel(), ResultNotStorable("x")]),
    st.builds(Retry, delay=st.none() | st.floats(-10, 1e6)),
    st.builds(Snooze, st.floats(-10, 1e6)),
)
endings = st.builds(
    lambda exception, requested, observed: Ending(
        result=None if exception else "1",
        exception=exception,
        error=ERROR if exception else None,
        cancel_requested=requested or observed,
        cancel_observed=observed,
    ),
    exceptions,
    st.booleans(),
    st.booleans(),
)
policies = st.sampled_from([five, lambda *_: None, lambda *_: 0.0, lambda *_: 1e8])


@given(
    st.builds(job, st.integers(1, 12), st.integers(0, 10), st.integers(0, 5)), endings, policies, st.integers(0, 2**52)
)
def test_every_decision_is_consistent(claimed, ending, policy, now):
    """Whatever happened: a job that waits has a due time, a finished one has none; and so on."""
    outcome = decide(claimed, ending, STARTED, now, policy)
    waits = outcome.status == "pending_retry"
    assert outcome.status in ("completed", "failed", "cancelled", "pending_retry")
    assert (outcome.run_at is not None) == waits
    assert not waits or outcome.run_at >= now
    assert outcome.counts == (outcome.kind != "snoozed")
    assert not outcome.crashed
    assert (outcome.started_at, outcome.finished_at) == (STARTED, now)
    assert (outcome.status == "completed") == (ending.exception is None and not ending.cancel_observed)
    assert outcome.status != "failed" or outcome.error == ERROR
    assert outcome.kind != "retry" or claimed.attempt <= claimed.max_retries


@given(st.builds(job, st.integers(1, 50), st.integers(0, 10)))
def test_a_job_that_always_fails_comes_to_an_end(claimed):
    """No attempt beyond the last leads to another."""
    outcome = decide(claimed, ended(ValueError()), STARTED, NOW, five)
    assert (outcome.status == "failed") == (claimed.attempt > claimed.max_retries)


@given(endings)
def test_deciding_is_pure(ending):
    """The same question gets the same answer."""
    first, second = (decide(job(), ending, STARTED, NOW, five) for _ in range(2))
    assert first == second


def test_a_subclass_that_does_not_call_init_has_a_delay():
    """Its AttributeError failed the job for good, in place of what the job had to say."""

    class NotReady(Retry):
        def __init__(self): ...

    class Later(Snooze):
        def __init__(self): ...

    assert decide(job(), ended(NotReady()), STARTED, NOW, five).run_at == NOW + 5_000_000
    assert decide(job(), ended(Later()), STARTED, NOW, five).run_at == NOW + 5_000_000
