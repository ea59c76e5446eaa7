"""Retry policies, `Retry`, `Snooze` and the `failed` hook: `python retries.py`."""

from pathlib import Path

from lateshift import Retry, RetryPolicy, Snooze, configure, current_job, run_background_job, wait_for_job

# One list for all the examples: those that run in one folder share a runner, which has the list of whoever started it.
configure(allowed=["orders", "retries", "web"])


class FetchReport:
    """Fails once, asks to be run later once, and then succeeds."""

    retry = RetryPolicy.exponential(base=0.2, ceiling=60, never=(PermissionError,))
    max_retries = 5

    def handle(self, marker: str) -> str:
        """Fetch the report."""
        if current_job().attempt == 1:
            raise ConnectionError("the service does not answer")
        if not Path(marker).exists():
            Path(marker).touch()
            raise Snooze(0.2)
        if current_job().attempt == 2:
            raise Retry("not ready yet", delay=0.1)
        return f"fetched at attempt {current_job().attempt}"

    def failed(self, error: BaseException) -> None:
        """Called once, when no attempt is left."""
        print(f"given up: {error}")


if __name__ == "__main__":
    job = wait_for_job(run_background_job(FetchReport, parameters={"marker": "snoozed"}), timeout=30, check=True)
    for attempt in job.history:
        print(attempt.number, attempt.outcome, attempt.error and attempt.error.message)
    print(job.result)
