"""The child process of a job with `isolation="process"`: one errand in, JSON lines out, then the end.

Started by `executors.process`, never by hand.
"""

from __future__ import annotations

import ctypes
import json
import logging
import math
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, BinaryIO, Final

import msgspec

from lateshift import django
from lateshift.context import LOG_LINES
from lateshift.host.job_logs import capture_logging
from lateshift.host.spawn import CHILD_VARIABLE, take_path
from lateshift.job import Claimed, JobError
from lateshift.outcome import Outcome
from lateshift.runtime import stacks, wall
from lateshift.runtime.execution import Execution
from lateshift.runtime.output import flush, prepare
from lateshift.runtime.parent import close_in_forks, take_standard_input
from lateshift.runtime.run import Run
from lateshift.runtime.tree import tree_memory
from lateshift.settings import load_settings
from lateshift.storage.migrations import go_on_with_newer

CLOSED: Final = 74
"""Exit code of a child that cannot tell the outcome (EX_IOERR), as the job has closed what leads to the worker."""

LOOK_AGAIN: Final = 0.5
"""Seconds after the end of the worker's lease in which it may still be heard: code that keeps the GIL is no silence."""


class Errand(msgspec.Struct, frozen=True):
    """What a child is to do: run an attempt; or, given the `failure` that ended one with its process, say what is next.

    Of that attempt it is given when it `started_at`, and whether to `decide` if it is tried again; see `mourn`.

    `ahead` is by how many microseconds the database's clock, which tells when a retry is due, is ahead of the monotonic
    one, which the processes of a host have in common. Their clock of the day may be set in between.
    """

    job: Claimed
    ahead: int
    failure: JobError | None = None
    started_at: int | None = None
    decide: bool = False


class Channel:
    """The way back to the worker: JSON lines on what was standard output, which the job itself no longer reaches."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(1), "wb", buffering=0)
        close_in_forks(self._file.fileno())
        os.dup2(2, 1)
        self._lock = threading.RLock()  # a signal handler of the job may log while its code does
        self._owner = os.getpid()
        self._torn = False

    def send(self, **message: Any) -> None:
        """Tell the worker something; not from a process that the job has forked, where the way back is closed."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            self._write(b"\n" * self._torn + msgspec.json.encode(message) + b"\n")

    def _write(self, line: bytes) -> None:
        """Write all of a line: a signal that the job handles ends a write early, and its handler may raise, or log."""
        self._torn = True
        while line:
            line = line[self._file.write(line) :]
        self._torn = False

    def progress(self, _: Claimed, fraction: float | None, words: str | None) -> None:
        """Pass a job's progress on."""
        self.send(progress=fraction, message=words)

    def ready(self, run: Run) -> None:
        """Tell that the job's code begins, what it may use, and what of its own it has for a failure."""
        memory, limit = tree_memory(os.getpid()), run.max_memory
        if limit is not None:
            wall.build(limit)
        own = {"hook": run.hook is not None, "policy": run.options is not None and run.options.retry is not None}
        self.send(timeout=run.timeout, **own, memory=memory, max_memory=limit)

    def outcome(self, outcome: Outcome) -> None:
        """Tell how the attempt ended."""
        self.send(outcome=outcome)


class ToldLines(deque[str]):
    """A job's last log lines, each told to the worker at once: it has them when this process dies."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(maxlen=LOG_LINES)
        self._channel = channel

    def append(self, line: str) -> None:
        """Keep a line, and tell it."""
        super().append(line)
        self._channel.send(log=line)

    def extend(self, lines: Iterable[str]) -> None:
        """Keep several lines, and tell them."""
        for line in lines:
            self.append(line)


def main() -> None:
    """Run the errand that the worker hands over."""
    _die_with_worker()
    channel = Channel()
    prepare()
    take_path(json.loads(os.environ.pop(CHILD_VARIABLE)))
    go_on_with_newer()
    django.process_is_ours()
    settings = load_settings()
    pipe = take_standard_input()
    line = pipe.readline()
    if not line.endswith(b"\n"):  # the worker was killed before it had handed all of it over
        return
    errand = msgspec.json.decode(line, type=Errand)
    capture_logging(settings)
    execution = Execution(settings, lambda: time.monotonic_ns() // 1000 + errand.ahead, channel.progress)
    run = execution.begin(errand.job)
    run.context.log_lines, run.context.has_logged = ToldLines(channel), True
    run.started_at = errand.started_at or run.started_at
    Watch(pipe, channel).begin()
    if errand.failure is None:
        outcome: Outcome | None = execution.execute(run, channel.ready)
    else:
        outcome = execution.mourn(run, errand.failure, decide=errand.decide)
    _ignore_what_it_handled()
    logging.shutdown()
    flush()
    try:
        if outcome is not None:
            channel.outcome(outcome)
    except OSError:
        os._exit(CLOSED)
    os._exit(0)  # threads and handlers of the job's making must not keep the process


def _die_with_worker() -> None:
    """Have the kernel kill this process with the worker's watching thread: code that keeps the GIL sees no pipe."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _ignore_what_it_handled() -> None:
    """Have no signal handler of the job, which has ended, come between its end and the worker's hearing of it."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_IGN)


class Watch:
    """Listens to the worker, and ends all that is in this process with it.

    That is when its end of the pipe closes; or when it lets its lease run out, since it was stopped, perhaps, and
    others take its jobs for abandoned.
    """

    def __init__(self, pipe: BinaryIO, channel: Channel) -> None:
        self._pipe, self._channel = pipe, channel
        self._ends_at = math.inf
        self._answered = threading.Event()

    def begin(self) -> None:
        """Say that the errand begins, and come back when the worker has answered."""
        for work in (self._listen, self._keep_time):
            threading.Thread(target=work, daemon=True).start()
        self._channel.send(begins=True)
        self._answered.wait()

    def _listen(self) -> None:
        """Hear how long this process may go on, and tell where the job is when asked."""
        for line in self._pipe:
            word, _, seconds = line.decode().strip().partition(" ")
            with suppress(OSError):  # the worker has just gone
                if word == "stack":
                    self._channel.send(stack=stacks.of_thread(threading.main_thread().ident))
                else:
                    self._ends_at = time.monotonic() + float(seconds)
                    self._answered.set()
                    self._channel.send(heard=True)
        _end()

    def _keep_time(self) -> None:
        self._answered.wait()
        while self._ends_at < math.inf:  # `lateshift run` has no lease
            time.sleep(max(LOOK_AGAIN, self._ends_at - time.monotonic()))
            if time.monotonic() > self._ends_at:
                time.sleep(LOOK_AGAIN)
                if time.monotonic() > self._ends_at:
                    _end()


def _end() -> None:
    if sys.platform != "win32":
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
