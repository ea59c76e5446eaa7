"""Jobs with `isolation="process"`: each attempt in a child process, which can always be stopped, with all it started.

The child reads the job from its standard input and answers in JSON lines on what was its standard output; what the job
itself prints goes to standard error. A child that sees its input end knows that the worker is gone and ends at once,
so that no attempt outlives its lease. So does one that hears no more of its worker, which may have been stopped, for as
long as the lease lasts.

Nothing of the job runs before the child has said that it begins, and was told until when it may go on. One that ends
before that is no crash: the machine could not run it. A child is not told that anew before it has heard the last word:
so one that does not listen, because it starts slowly or keeps the GIL, fills no pipe, and nobody waits for it.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from lateshift.context import Report
from lateshift.host.spawn import CHILD_VARIABLE, command_of, describe_process, unpacked_anew
from lateshift.job import Claimed, JobError
from lateshift.outcome import WORKER_DIED, Outcome, failed, lost, returned
from lateshift.runtime.child import CLOSED, Errand
from lateshift.runtime.exceptions import describe
from lateshift.runtime.execution import Execution
from lateshift.runtime.executors import Finished, Started
from lateshift.runtime.run import Interruption, Run
from lateshift.runtime.supervisor import how_it_died, in_digits
from lateshift.runtime.tree import ProcessTree, start_tree, tree_memory
from lateshift.settings import to_environment
from lateshift.texts import megabytes

KILL_AFTER: Final = 2.0
"""Seconds between asking a child's process tree to end and killing it."""

LOOK_EVERY: Final = 1.0
LOOK_CLOSELY: Final = 0.1
"""Seconds between two looks at the memory of a child: without a limit, and with one."""

HOOK_LIMIT: Final = 30.0
"""Seconds that a failed() hook gets whose job was ended with its process."""

ENDS_WITHIN: Final = 1.0
"""Seconds in which a child whose pipe has ended is expected to have ended as well; the pipe does so a moment before."""

TOLD_WITHIN: Final = 1.0
"""Seconds in which SIGTERM, sent to all processes of a service, reaches the worker after it has ended a child."""


class ProcessExecutor:
    """Runs up to `slots` child processes, each watched by a thread."""

    def __init__(self, slots: int, execution: Execution, started: Started, finished: Finished, report: Report) -> None:
        self.slots = slots
        self._execution = execution
        self._started = started
        self._finished = finished
        self._report = report
        self._children: dict[Claimed, _Child] = {}
        self._ends_at = math.inf

    @property
    def unstarted(self) -> int:
        """Always none: each job gets its process at once."""
        return 0

    @property
    def held_up(self) -> bool:
        """Never, for the same reason."""
        return False

    @property
    def broken(self) -> bool:
        """Never: each child has a thread of its own."""
        return False

    def submit(self, jobs: Sequence[Claimed]) -> None:
        """Take jobs; each gets a process."""
        for job in jobs:
            child = self._children[job] = _Child(self._execution.begin(job), self._ends_at)
            watch = threading.Thread(target=self._watch, args=(child,), name=f"lateshift-child-{job.id}", daemon=True)
            try:
                watch.start()
            except RuntimeError as error:
                del self._children[job]
                self._finished(job, self._execution.postponed(job, error))

    def withdraw(self) -> list[Claimed]:
        """Nothing: what it has taken has begun."""
        return []

    def cancel(self, job_id: str, lease: int) -> None:
        """Kill the job's process tree."""
        for child in list(self._children.values()):
            if child.run.job.id == job_id and child.run.job.lease == lease:
                child.run.context.cancel_requested = True
                child.interrupt("cancel")

    def renew(self, ends_at: float) -> None:
        """Let every child live until then."""
        self._ends_at = ends_at
        for child in list(self._children.values()):
            child.renew(ends_at)

    def tick(self, now: float) -> float | None:
        """Kill the process trees whose job ran out of time."""
        waits = [wait for child in list(self._children.values()) if (wait := child.look(now)) is not None]
        return min(waits, default=None)

    def stuck(self) -> list[Run]:
        """Never any: a process can be killed."""
        return []

    def interrupt(self) -> None:
        """Kill every child."""
        for child in list(self._children.values()):
            child.interrupt("stop")

    def running(self) -> list[Run]:
        """What runs now."""
        return [child.run for child in list(self._children.values())]

    def stack(self, job_id: str) -> str | None:
        """Where a job that runs is at the moment, as its process tells; None until it has."""
        found = [child for child in list(self._children.values()) if child.run.job.id == job_id]
        return found[0].ask_stack() if found else ""

    def close(self) -> None:
        """Nothing to close: children end with their jobs."""

    def _watch(self, child: _Child) -> None:
        run = child.run
        outcome: Outcome | None = None
        try:
            child.start(self._environment(), self._errand(run))
            outcome = child.follow(self._report, lambda: self._started(run))
        except OSError as error:
            outcome = self._execution.postponed(run.job, error)
        except Exception as error:  # a fault of ours: without an outcome the job would be running for ever
            outcome = failed(run.started_at, self._execution.now(), describe(error))
        finally:
            child.reap()
        outcome = outcome or self._without_answer(child)
        self._children.pop(run.job, None)
        self._finished(run.job, outcome)

    def _mourn(self, run: Run, outcome: Outcome, *, decide: bool) -> Outcome:
        """Have the job's code say what comes next, in a fresh process, as its own could not any more.

        That is its retry policy where it is to `decide`, and its failed() hook. Without an answer `outcome` stands.
        """
        mourner = self._children[run.job] = _Child(run, self._ends_at, HOOK_LIMIT)
        answer: Outcome | None = None
        try:
            errand = self._errand(run, failure=outcome.error, started_at=run.started_at, decide=decide)
            mourner.start(self._environment(), errand)
            answer = mourner.follow(self._report, lambda: True)
        except Exception as error:  # what the worker has decided stands
            run.context.log_lines.append(f"The job's policy and failed() hook were not asked: no process: {error}")
        finally:
            mourner.reap()
        if mourner.interrupted:
            run.context.log_lines.append("The failed() hook took too long, or its worker had to stop, and was ended.")
        return msgspec.structs.replace(answer or outcome, logs=tuple(run.context.log_lines))

    def _without_answer(self, child: _Child) -> Outcome:
        """The child ended without an outcome: we stopped it, it never began, or it died."""
        run = child.run
        if run.interruption is None and self._ended_with_us(child):
            run.interruption = "stop"
        if run.interruption is not None:
            outcome = self._execution.interrupted(run)
        elif not child.begun:
            how = f"the child process {child.how_it_ended}; nothing of the job had run"
            outcome = self._execution.postponed(run.job, ChildProcessError(how))
        else:
            had = f"; it last had {megabytes(child.memory)} of memory" if child.memory else ""
            error = JobError(WORKER_DIED, f"the child process {child.how_it_ended}{had}")
            outcome = lost(run.job, run.started_at, self._execution.now(), error)
            outcome = msgspec.structs.replace(outcome, logs=tuple(run.context.log_lines))
        decide = child.has_policy and run.interruption in ("timeout", "memory") and outcome.kind in ("retry", "failed")
        if decide or (child.has_hook and outcome.kind == "failed"):
            return self._mourn(run, outcome, decide=decide)
        return outcome

    def _ended_with_us(self, child: _Child) -> bool:
        """Whether SIGTERM ended it as its worker was told to stop: some send that to all processes, the worker last."""
        if child.process is None or child.process.returncode != -signal.SIGTERM:
            return False
        give_up = time.monotonic() + TOLD_WITHIN
        while not self._execution.told and time.monotonic() < give_up:
            time.sleep(0.02)
        return bool(self._execution.told)

    def _errand(self, run: Run, **more: Any) -> Errand:
        return Errand(run.job, self._execution.now() - time.monotonic_ns() // 1000, **more)

    def _environment(self) -> dict[str, str]:
        settings = to_environment(self._execution.look_for_permits())
        return {**os.environ, **unpacked_anew(), **settings, CHILD_VARIABLE: json.dumps(describe_process())}


class _Child:
    """One child process and the job in it, or what is to be said of its failure, which has `limit` seconds.

    `begun`: it has said that it begins, so whatever ends it now is the job's doing.
    """

    def __init__(self, run: Run, ends_at: float, limit: float | None = None) -> None:
        self.run = run
        self.process: subprocess.Popen[bytes] | None = None
        self.begun = self.has_hook = self.has_policy = False
        self.memory = 0
        self._measured_at = 0.0
        self._tree: ProcessTree | None = None
        self._ending = threading.Lock()
        self._telling = threading.Lock()
        self._ends_at = ends_at
        self._listens = self._cut_off = False
        self._stack: str | None = None
        self._interrupted_at: float | None = None
        self._deadline = None if limit is None else time.monotonic() + limit

    @property
    def interrupted(self) -> bool:
        return self._interrupted_at is not None

    @property
    def how_it_ended(self) -> str:
        """In words, once it has."""
        code = None if self.process is None else self.process.returncode
        if code is None:
            return "could not be followed"
        if self._cut_off or code == CLOSED:
            return "closed its pipe to the worker, as os.closerange() does, so nobody could hear how the job ended"
        if code < 0:
            return how_it_died(code)
        return f"ended with exit code {in_digits(code)} before the job was done"

    def start(self, environment: dict[str, str], errand: Errand) -> None:
        self.process, self._tree = start_tree(
            command_of("child"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        if self._interrupted_at is not None:
            self._kill(hard=True)
        self._tell(msgspec.json.encode(errand))

    def renew(self, ends_at: float) -> None:
        """Tell the child how long it may go on, if it listens."""
        with self._telling:
            self._ends_at = ends_at
            if self._listens:
                self._listens = False
                self._tell(f"renew {ends_at - time.monotonic():.3f}".encode())

    def follow(self, report: Report, may_begin: Callable[[], bool]) -> Outcome | None:
        """Read what the child tells until it has told the outcome, or is gone."""
        stdout = self.process.stdout if self.process is not None else None
        for line in stdout or ():
            try:
                message: dict[str, Any] = msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError):
                continue
            if "begins" in message and not may_begin():
                return returned(self.run.started_at, self.run.started_at)
            if "outcome" in message:
                return msgspec.convert(message["outcome"], Outcome)
            self._take(message, report)
        self._cut_off = self._goes_on()
        return None

    def _goes_on(self) -> bool:
        """Whether it lives, and nobody has asked it to end, though it can tell nothing any more."""
        if self.process is not None and not self.interrupted:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(ENDS_WITHIN)
                return False
        return not self.interrupted

    def _take(self, message: dict[str, Any], report: Report) -> None:
        if "begins" in message:
            self.begun = self._listens = True
            self.renew(self._ends_at)
        elif "heard" in message:
            self._listens = True
        elif "timeout" in message:
            self.has_hook, self.has_policy = message["hook"], message["policy"]
            self.memory = message["memory"]
            self.run.max_memory = message["max_memory"]
            self.run.timeout = timeout = message["timeout"]
            self._deadline = None if timeout is None else time.monotonic() + timeout
        elif "progress" in message:
            report(self.run.job, message["progress"], message["message"])
        elif "stack" in message:
            self._stack = message["stack"]
        elif "log" in message:
            self.run.context.log_lines.append(message["log"])

    def ask_stack(self) -> str | None:
        """The stack, once the child has told it; asks for it when that has not been done."""
        if self._stack:
            stack, self._stack = self._stack, None
            return stack
        if self._stack is None and self.begun:
            self._stack = ""  # asked
            with self._telling:
                self._tell(b"stack")
        return None

    def _tell(self, line: bytes) -> None:
        stdin = None if self.process is None else self.process.stdin
        if stdin is not None:
            with suppress(OSError, ValueError):  # it is about to end
                stdin.write(line + b"\n")
                stdin.flush()

    def look(self, now: float) -> float | None:
        if self._interrupted_at is not None:
            if now - self._interrupted_at >= KILL_AFTER:
                self._kill(hard=True)
            return KILL_AFTER
        if self._deadline is not None and now >= self._deadline:
            self.interrupt("timeout")
            return KILL_AFTER
        pause = self._measure(now)
        return pause if self._deadline is None else min(pause, self._deadline - now)

    def _measure(self, now: float) -> float:
        """Look at its memory when that is due, and end it above its limit; the seconds until the next look."""
        limit = self.run.max_memory
        pause = LOOK_EVERY if limit is None else LOOK_CLOSELY
        if self.process is None or now < self._measured_at + pause:
            return max(0.0, self._measured_at + pause - now) or pause
        self._measured_at = now
        self.memory = tree_memory(self.process.pid) or self.memory
        if limit is not None and self.memory > limit:
            self.run.memory = self.memory
            self.interrupt("memory", hard=True)
        return pause

    def interrupt(self, why: Interruption, *, hard: bool = False) -> None:
        if self._interrupted_at is None:
            self.run.interruption = why
            self._interrupted_at = time.monotonic()
            self._kill(hard=hard)

    def reap(self) -> None:
        """See to it that nothing of the child is left, its own children included."""
        if self.process is None or self._tree is None:
            return
        if self.interrupted:
            self._kill(hard=True)
        self._tree.end_group()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):  # the child is gone; so is what we had not written
                    pipe.close()
        self.process.wait()
        self._tree.close()

    def _kill(self, *, hard: bool) -> None:
        with self._ending:
            if self._tree is not None and self.process is not None and self.process.returncode is None:
                self._tree.end(hard=hard)
