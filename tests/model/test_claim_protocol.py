"""The claim protocol keeps its promises in every state that it can come to, and needs each of its rules for that."""

from __future__ import annotations

import pytest
from model.claim_protocol import ClaimProtocol, Rules
from model.explorer import explore

TWO_AT_ONCE = "two attempts of a job run at once"
UNKNOWN_HOLDER = "a job is held by a worker that nobody knows of"


@pytest.mark.parametrize(
    "limits", [{"faults": 2, "acts": 1, "max_retries": 0}, {"faults": 3, "acts": 0, "max_retries": 0}], ids=str
)
def test_nothing_is_ever_wrong(limits):
    """Whatever two workers suffer and an operator does, and in whatever order: no counterexample, and a way out."""
    report = explore(ClaimProtocol(**limits))
    assert report.wrong is None, str(report)
    assert report.states > 30_000, "the model has lost most of what it knew"


@pytest.mark.parametrize(
    ("left_out", "wrong", "last"),
    [
        ("lease_condition", "an outcome of an older lease stands", "worker A settles job 0: raised"),
        ("watchdog", TWO_AT_ONCE, "worker B begins job 0"),
        ("armed_at_registration", TWO_AT_ONCE, "worker B begins job 0"),
        ("looks_again", UNKNOWN_HOLDER, "worker A claims job 0"),
        ("living_speak_first", TWO_AT_ONCE, "worker B begins job 0"),
        ("begins_in_lease", TWO_AT_ONCE, "worker B begins job 0"),
        ("claims_in_lease", UNKNOWN_HOLDER, "worker A claims job 0"),
    ],
)
def test_no_rule_may_be_left_out(left_out, wrong, last):
    """Without any one of the rules there is a counterexample, told as a story of at most ten steps."""
    report = explore(ClaimProtocol(Rules(**{left_out: False}), acts=0))
    assert (report.wrong, report.story[-1]) == (wrong, last)
    assert len(report.story) <= 10


def test_a_job_that_nobody_takes_back_has_no_way_out():
    """The explorer finds a state that leads nowhere: here, where no supervisor and no other worker rescues."""

    class WithoutRescue(ClaimProtocol):
        def steps(self, s):
            return (step for step in super().steps(s) if not any(call[0] == "take back" for call in step.calls))

    report = explore(WithoutRescue(faults=1, acts=0))
    assert report.wrong == "there is no way out"
    assert report.story[-1].startswith("worker A is ")
