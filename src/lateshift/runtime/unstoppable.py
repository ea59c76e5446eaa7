"""What becomes of a job whose code cannot be stopped, and goes on until its process ends."""

from __future__ import annotations

import threading
from typing import Final

import msgspec

from lateshift.outcome import Outcome
from lateshift.runtime.exceptions import as_exception
from lateshift.runtime.execution import OVERLAP_GUARD, Execution
from lateshift.runtime.run import Run
from lateshift.storage.settlements import Settlement

HOOK_LIMIT: Final = 5.0
"""Seconds that the failed() hook of such a job gets."""


def leave(run: Run, execution: Execution) -> Settlement:
    """The job goes back, or has run out of time; it may be claimed again only after the process has ended."""
    now = execution.now()
    if run.interruption == "timeout":
        outcome = _call_failed(run, execution, execution.interrupted(run))
    else:
        outcome = execution.stopped(run, now)
    if outcome.run_at is not None:
        outcome = msgspec.structs.replace(outcome, run_at=max(outcome.run_at, now + round(OVERLAP_GUARD * 1_000_000)))
    return Settlement(run.job, outcome)


def _call_failed(run: Run, execution: Execution, outcome: Outcome) -> Outcome:
    """Call the failed() hook of a job that has failed for good: in another thread, as it may hang too."""
    if outcome.kind != "failed" or outcome.error is None or run.hook is None:
        return outcome
    hook = threading.Thread(target=execution.call_failed, args=(run, as_exception(outcome.error)), daemon=True)
    try:
        hook.start()
        hook.join(HOOK_LIMIT)
    except RuntimeError as error:
        run.context.log_lines.append(f"The failed() hook was not called: {error}")
    return msgspec.structs.replace(outcome, logs=tuple(run.context.log_lines))
