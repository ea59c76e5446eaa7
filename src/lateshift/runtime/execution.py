"""From a claimed job to the outcome of one attempt: resolve, bind, call, conclude.

Executors decide where this happens; what happens is the same everywhere.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import msgspec

from lateshift import codec, django, retry
from lateshift.allowlist import AllowList
from lateshift.context import JobContext, Report, current
from lateshift.errors import CallableNotAllowed, CallableNotFound, InvalidOption, InvalidParameters, MemoryExceeded
from lateshift.host.job_logs import keep_capturing
from lateshift.host.logs import escape
from lateshift.job import CallOptions, Claimed, JobError
from lateshift.options import Transactional
from lateshift.outcome import WORKER_DIED, Ending, JobTimeout, Outcome, decide, failed, lost, returned
from lateshift.runtime import copies
from lateshift.runtime.exceptions import as_exception, describe, without_group
from lateshift.runtime.new_code import NewCode
from lateshift.runtime.patching import no_patching
from lateshift.runtime.run import Ready, Run
from lateshift.settings import Settings
from lateshift.target import Target, resolve
from lateshift.texts import megabytes

if TYPE_CHECKING:
    from lateshift.storage.effects import Effects, Source

OVERLAP_GUARD: Final = 1.0
"""Seconds before a job may run again that was given back while its code could not be stopped: its process ends now."""

LIMIT_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds before a job is tried again for which there was no process, thread, file or memory; twice as many each time
that it goes back, up to a minute: where a Python is gone for good, each of these tries would be a row for ever."""

OVERTAKEN_PAUSE: Final = (0.02, 0.2)
"""Seconds, at least and at most, before a job runs again whose transaction others have overtaken."""

OVERTAKEN_MOST: Final = 100
"""Times that it does so without using up an attempt: what refuses it may be a file of its own that stays locked."""

YOUNG: Final = 5_000_000
"""Microseconds for which a process counts as new, so that jobs which nobody has the code of replace it rarely."""


class Execution:
    """Runs attempts under one set of settings; remembers what each name resolved to.

    `now` tells microseconds since 1970 by the database's clock. `outdated`: it has met a job whose code may have been
    written after this process, which began at `began`, had imported its modules; a new process would see it.
    A job that does not fit goes back to a new process at once where `code` has found that source files have changed.
    `overfull` are the jobs that share a process which takes too much memory, and has to end because of that.
    `told` is what the worker was asked to do. What is to be awaited in a thread goes to `run_awaitable`. `widen` gives
    the settings with what the allow-list has got in addition since, and is asked about each name that is new here.
    """

    def __init__(self, settings: Settings, now: Callable[[], int], report: Report) -> None:
        self._settings = settings
        self.now = now
        self._report = report
        self._allow = AllowList(settings.allowed, of_worker=True)
        self._targets: dict[str, Target] = {}
        self._source: Source | None = None
        self.began, self.outdated = now(), False
        self.code = NewCode(settings.root, self._allow)
        self.overfull: frozenset[str] = frozenset()
        self.told: Literal["", "stop", "now"] = ""
        self.run_awaitable = run_alone
        self.widen: Callable[[Settings], Settings] = lambda settings: settings

    def begin(self, job: Claimed) -> Run:
        """Take a claimed job up; nothing of the user's runs yet."""
        return Run(job, JobContext(job, self._report), self.now())

    def execute(self, run: Run, ready: Ready) -> Outcome:
        """Run an attempt in this thread, to its outcome. Only what an executor raises in the thread comes out of it."""
        token, forks = current.set(run.context), copies.forks
        try:
            try:
                call, arguments = self._prepare(run, ready)
                value = call(**arguments)
                if hasattr(value, "__await__"):  # async since it was enqueued: a loop of its own serves just as well
                    value = self.run_awaitable(value)
                ending, stored = Ending(result=codec.encode(value, limit=self._settings.max_result)), None
                if run.effects is not None:
                    copies.end_copy(forks)
                    stored = self._complete(run.effects, run, ending)
            except BaseException as error:
                ending, stored = self._failure(run, error), self._overtaken(run, error)
            copies.end_copy(forks)
            run.roll_back()
            outcome = stored or self._conclude(run, ending)
            if outcome.kind == "failed" and run.hook is not None:
                self._call_hook(run, ending, self._run_if_awaitable)
            return self._with_logs(run, outcome)
        except JobTimeout:
            raise
        except BaseException as error:
            return self.interrupted(run, error)
        finally:
            copies.end_copy(forks)
            current.reset(token)

    async def execute_async(self, run: Run, ready: Ready) -> Outcome:
        """Run an attempt on this event loop, to its outcome."""
        token, forks = current.set(run.context), copies.forks
        try:
            try:
                call, arguments = self._prepare(run, ready)
                django.close_for_coroutines()
                value = call(**arguments)
                if hasattr(value, "__await__"):
                    value = await value
                ending = Ending(result=codec.encode(value, limit=self._settings.max_result))
            except BaseException as error:
                ending = self._failure(run, error)
            copies.end_copy(forks)
            outcome = self._conclude(run, ending)
            if outcome.kind == "failed" and run.hook is not None:
                awaited: list[Any] = []
                self._call_hook(run, ending, awaited.append)
                await _await_hook(run, awaited)
            return self._with_logs(run, outcome)
        except BaseException as error:
            return self.interrupted(run, error)
        finally:
            copies.end_copy(forks)
            django.close_for_coroutines()
            current.reset(token)

    def close(self) -> None:
        """Close what its transactional jobs have opened; the next one opens it again."""
        if self._source is not None:
            self._source.db.close()

    def interrupted(self, run: Run, error: BaseException | None = None) -> Outcome:
        """The outcome of an attempt that could not conclude by itself: it was interrupted, or deciding raised `error`.

        A worker's slot comes free with an outcome only, so there is one in any case.
        """
        try:
            return self._with_logs(run, self._conclude(run, self._failure(run, error or JobTimeout())))
        except BaseException as trouble:  # from a retry function, for example
            return failed(run.started_at, self.now(), describe(trouble))

    def interrupted_late(self, run: Run, error: BaseException | None) -> Outcome:
        """As `interrupted`, with the failed() hook, for an attempt whose own thread was about to conclude it."""
        outcome = self.interrupted(run, error)
        if outcome.kind == "failed" and outcome.error is not None and run.hook is not None:
            run.roll_back()
            self.call_failed(run, as_exception(outcome.error))
        return self._with_logs(run, outcome)

    def postponed(self, job: Claimed, error: BaseException) -> Outcome:
        """The outcome of an attempt that cannot begin, through no fault of the job: soon again."""
        now = self.now()
        pause = min(LIMIT_PAUSE * 2 ** min(job.lease - job.attempt, 6), LONGEST_PAUSE)
        return msgspec.structs.replace(returned(now, now, pause), error=replace(describe(error), traceback=""))

    def stopped(self, run: Run, now: int) -> Outcome:
        """The outcome of an attempt that is interrupted as its worker ends.

        Where that is for memory which the job itself may take, it counts as a crash, and the job gets a process of its
        own: given back as if nothing had happened, it would fill one worker after the other.
        """
        if run.job.id not in self.overfull:
            return returned(run.started_at, now)
        error = JobError(
            WORKER_DIED, "its worker took more than --max-memory, and the job did not end within the grace"
        )
        return lost(run.job, run.started_at, now, error, shared=len(self.overfull) > 1)

    def mourn(self, run: Run, failure: JobError, *, decide: bool) -> Outcome | None:
        """What comes after an attempt that was ended with its process, by the retry policy in the job's code; or None.

        None unless it is to `decide` that: of a process that died of itself the crashes count, whatever the policy.
        When nothing comes after it, the failed() hook is called.
        """
        token, error = current.set(run.context), as_exception(failure)
        try:
            run.options = self._target(run.job.name).options
            outcome = self._conclude(run, Ending(exception=error, error=failure)) if decide else None
        finally:
            current.reset(token)
        if outcome is None or outcome.kind == "failed":
            self.call_failed(run, error)
        return outcome

    def call_failed(self, run: Run, error: BaseException) -> None:
        """Call the failed() hook of a job whose last attempt was ended from outside and could not do so itself."""
        token = current.set(run.context)
        try:
            run.hook = self._target(run.job.name).failed
            if run.hook is not None:
                self._call_hook(run, Ending(exception=error), self._run_if_awaitable)
        finally:
            current.reset(token)

    def _prepare(self, run: Run, ready: Ready) -> tuple[Callable[..., Any], dict[str, Any]]:
        target = self._target(run.job.name)
        keep_capturing()
        run.options, run.hook = target.options, target.failed
        overrides = _overrides(run.job.options)
        run.timeout = overrides.timeout or target.options.timeout or self._settings.timeout
        run.max_memory = overrides.max_memory or target.options.max_memory
        if target.options.transactional:
            self._begin_effects(run, target.options.transactional)
        ready(run)
        arguments = target.signature.bind(run.job.parameters, self._settings.redact)
        if run.effects is not None:
            run.effects.enter()
        run.entered = True
        return target.bound(), arguments

    def _begin_effects(self, run: Run, kind: Transactional) -> None:
        from lateshift.storage import effects  # most jobs need none

        self._source = self._source or effects.Source(self._settings)
        run.context.effects = run.effects = effects.Effects(self._source, run.job, kind)

    def _complete(self, effects: Effects, run: Run, ending: Ending) -> Outcome | None:
        """Commit a job's own transaction, with the job completed in it; None if it has not begun, or no completion."""
        if not effects.begun:
            return None
        outcome = self._decide(run, ending)
        if outcome.kind != "completed":
            return None
        verdict = effects.complete(outcome)
        if verdict == "stored":
            return msgspec.structs.replace(outcome, stored=True)
        if verdict == "unwritten":
            return outcome
        # Refused when it is settled, if the job is another's or completed by now; else it runs again.
        return returned(run.started_at, outcome.finished_at)

    def _overtaken(self, run: Run, error: BaseException) -> Outcome | None:
        """Give an attempt back whose transaction others have overtaken; not for ever, as its lease tells how often."""
        often = run.job.lease - run.job.attempt >= OVERTAKEN_MOST
        if often or run.effects is None or not run.effects.was_overtaken(error):
            return None
        return returned(run.started_at, self.now(), random.uniform(*OVERTAKEN_PAUSE))  # not all at once again

    def _target(self, name: str) -> Target:
        target = self._targets.get(name)
        if target is None:
            self.look_for_permits()
            with no_patching(name):
                target = self._targets[name] = resolve(name, self._allow)
        return target

    def look_for_permits(self) -> Settings:
        """Go by the allow-list as it is now; the settings with it."""
        settings = self.widen(self._settings)
        if settings is not self._settings:
            self._settings, self._allow = settings, AllowList(settings.allowed, of_worker=True)
            self.code.allow = self._allow
        return settings

    def _failure(self, run: Run, error: BaseException) -> Ending:
        error = without_group(error)
        if run.interruption == "timeout":
            error = JobTimeout(f"ran longer than its timeout of {run.timeout:g} s").with_traceback(error.__traceback__)
        elif run.interruption == "memory":
            used, limit = megabytes(run.memory), megabytes(run.max_memory or 0)
            error = MemoryExceeded(f"used {used} of memory, more than its max_memory of {limit}")
        elif isinstance(error, MemoryError) and run.max_memory and not str(error):  # Python's own, which says nothing
            words = f"asked for far more memory than its max_memory of {megabytes(run.max_memory)}"
            error = MemoryError(words).with_traceback(error.__traceback__)
        elif run.interruption == "cancel":
            if isinstance(error, JobTimeout):  # what stands for the end of a child process, which nothing timed out
                from concurrent.futures import CancelledError

                error = CancelledError("cancelled on request").with_traceback(error.__traceback__)
            run.context.cancel_requested = run.context.cancel_observed = True
        context = run.context
        return Ending(
            exception=error,
            error=describe(error),
            cancel_requested=context.cancel_requested,
            cancel_observed=context.cancel_observed,
        )

    def _conclude(self, run: Run, ending: Ending) -> Outcome:
        """The outcome, whatever happens here: a job without one would be running for ever."""
        try:
            return self._decide(run, ending)
        except Exception as error:
            return failed(run.started_at, self.now(), describe(error))

    def _decide(self, run: Run, ending: Ending) -> Outcome:
        now = self.now()
        if ending.exception is None:
            observed = run.context.cancel_observed
            ending = Ending(result=ending.result, cancel_observed=observed) if observed else ending
        elif run.interruption == "stop":
            return self.stopped(run, now)
        elif not run.entered and isinstance(ending.exception, CallableNotFound | InvalidParameters):
            if self.code.may_fit(run.job):
                return msgspec.structs.replace(returned(run.started_at, now), error=ending.error)
            self.outdated = self.outdated or run.job.run_at - self.began > YOUNG
        return decide(run.job, ending, run.started_at, now, lambda attempt, error: self._delay(run, attempt, error))

    def _delay(self, run: Run, attempt: int, error: BaseException) -> float | None:
        if isinstance(error, CallableNotAllowed):
            return None
        policy, own = _stored_policy(run.job.options), run.options.retry if run.options else None
        if policy is not None and own is not None:  # exception types are code, so no call can have some of its own
            policy = msgspec.structs.replace(policy, only=own.only, never=own.never)
        return (policy or own or retry.to_policy(self._settings.retry_delay)).delay(attempt, error)

    def _call_hook(self, run: Run, ending: Ending, take: Callable[[Any], None]) -> None:
        if not run.hook_due.acquire(blocking=False):  # another thread does it for this one, which has just come loose
            return
        try:
            take(cast("Any", run.hook)(ending.exception))
        except BaseException as error:
            _note_hook(run, error)

    def _run_if_awaitable(self, value: Any) -> None:
        if hasattr(value, "__await__"):
            self.run_awaitable(value)

    def _with_logs(self, run: Run, outcome: Outcome) -> Outcome:
        if not run.context.has_logged:
            return outcome
        return msgspec.structs.replace(outcome, logs=tuple(run.context.log_lines))


def _overrides(options: str | None) -> CallOptions:
    return _NO_OVERRIDES if options is None else msgspec.json.decode(options, type=CallOptions)


def _stored_policy(options: str | None) -> retry.RetryPolicy | None:
    try:
        stored = _overrides(options).retry
        return None if stored is None else retry.decode(stored)
    except (InvalidOption, msgspec.DecodeError, RecursionError):  # a row written by other hands; it has failed already
        return None


_NO_OVERRIDES: Final = CallOptions()


def run_alone(value: Awaitable[Any]) -> Any:
    """Await a value on an event loop of its own."""
    import asyncio

    async def awaited() -> Any:
        return await value

    return asyncio.run(awaited())


async def _await_hook(run: Run, awaited: list[Any]) -> None:
    try:
        for value in awaited:
            if hasattr(value, "__await__"):
                await value
    except BaseException as error:
        _note_hook(run, error)


def _note_hook(run: Run, error: BaseException) -> None:
    lines = ["The failed() hook raised:", *describe(error).traceback.rstrip().split("\n")]
    run.context.log_lines.extend(escape(line) for line in lines)
