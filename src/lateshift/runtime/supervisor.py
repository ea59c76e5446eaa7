"""The parent of N worker processes: starts them, replaces those that die, and passes on that it is time to stop.

It shares nothing with its workers but a pipe to each one's standard input. The words on it are `stop` and `now`; its
end means that the supervisor died, and a worker then stops in good order by itself. A worker answers with its exit
code. The supervisor imports nothing of what jobs need, so it stays small and has nothing that could break.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, Final, Literal

from lateshift.host.spawn import PROCESS_VARIABLE, command_of
from lateshift.runtime.terms import CUT_OFF, DISMISSED, FINISHED, REPLACED, without_flag
from lateshift.runtime.tree import collect_strangers, start_tree

_WHY: Final[dict[int | None, str]] = dict(REPLACED.values())

QUICK_DEATH: Final = 5.0
"""Seconds: who dies younger may die of what would kill its successor as well, which is then given more time. A worker
looks 3 seconds for a server that is not there."""

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0

KILL_AFTER: Final = 10.0
"""Seconds beyond the grace period, for settling, after which a worker that was told to stop is killed."""

if sys.platform == "win32":
    _OWN_GROUP: Final[dict[str, Any]] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    _OWN_GROUP: Final[dict[str, Any]] = {"process_group": 0}
"""Ctrl-C in a terminal is to reach the supervisor only, and no running job or what that has started."""

Handler = Callable[[int, FrameType | None], Any] | int | None


class Supervisor:
    """Runs `count` worker processes until all have ended for good.

    `make_config()` gives what a worker is told, as a dict that JSON can hold; it is called anew for each process and
    must hold a new "worker", the worker's id. It arrives in the environment variable `_LATESHIFT_PROCESS`.
    `environment` is added to that of this process. `rescue(worker_id, how)` is called, in the thread of `run`, as soon
    as a worker has died, with words for how; it may raise. `signed_off(worker_id)` says of a worker that has ended
    whether it was the worker that ended, as its exit code alone may be that of a job's os._exit(0); `was_dismissed`
    of one that died whether somebody had asked it to stop for good. `has_left`, if given, is asked twice a second of
    each worker whether others may take its place before its last jobs have ended. Nobody replaces such a worker here.
    `grace` is how many seconds running jobs get at a stop.
    `on_event` is told in a few words what happens, `on_trouble` (if given, instead) what should not; `on_stop` is
    called when it begins to stop. `command` is what to run. When one worker has died at once `give_up_after` times in a
    row, or when the program to run is gone, the others are stopped and `run` returns 1; None means never.
    """

    def __init__(
        self,
        count: int,
        make_config: Callable[[], Mapping[str, Any]],
        rescue: Callable[[str, str], None],
        *,
        signed_off: Callable[[str], bool] = lambda _: True,
        was_dismissed: Callable[[str], bool] = lambda _: False,
        has_left: Callable[[str], bool] | None = None,
        grace: float = 30.0,
        on_event: Callable[[str], None] = lambda _: None,
        on_trouble: Callable[[str], None] | None = None,
        on_stop: Callable[[], None] = lambda: None,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        give_up_after: int | None = None,
    ) -> None:
        self._make_config = make_config
        self._rescue = rescue
        self._signed_off = signed_off
        self._was_dismissed = was_dismissed
        self._has_left = has_left
        self._grace = grace
        self._on_event = on_event
        self._on_trouble = on_trouble or on_event
        self._on_stop = on_stop
        self._command = tuple(command or command_of("worker"))
        self._environment = dict(environment or {})
        self._give_up_after = give_up_after
        self._seats = [_Seat(number) for number in range(count)]
        self._messages: SimpleQueue[_Child | Literal["stop"]] = SimpleQueue()
        self._stops = 0
        self._kill_at: float | None = None
        self._exit_code = 0
        self.dismissed = False  # whether somebody asked a worker to stop for good, though jobs may wait
        self._is_first = os.getpid() == 1  # of a container: the orphans of all others are given to it

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop, or has given up."""
        return self._stops > 0

    def run(self) -> int:
        """Run the workers; returns 0 when all have ended for good.

        1 when one died and was not replaced, or would not start; the exit code of one that was CUT_OFF. In the main
        thread SIGTERM, SIGINT and SIGHUP (and SIGBREAK on Windows) are taken as `stop()` meanwhile.
        """
        handlers = self._take_signals()
        try:
            while self._turn():
                pass
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return self._exit_code

    def stop(self) -> None:
        """Ask the workers to stop: the first time within the grace period, the second time now, the third time kill.

        May be called from any thread and from a signal handler.
        """
        self._messages.put("stop")

    def _turn(self) -> bool:
        """Start what is due, wait for one message, act on it; False when nothing is left to wait for."""
        self._start_due()
        if self._kill_at is not None and self._kill_at <= time.monotonic():
            self._kill_all()
        if self._has_left is not None and not self._stops:
            for child in self._children():
                child.left = child.left or self._has_left(child.worker_id)
        if self._is_first:
            collect_strangers([child.pid for child in self._children()])
        if all(seat.child is None and seat.start_at is None for seat in self._seats):
            return False
        message = self._next_message()
        if message == "stop":
            self._advance_stop()
        elif message is not None:
            self._ended(message)
        return True

    def _next_message(self) -> _Child | Literal["stop"] | None:
        moments = [seat.start_at for seat in self._seats if seat.start_at is not None]
        if self._kill_at is not None:
            moments.append(self._kill_at)
        wait = max(0.0, min(moments) - time.monotonic()) if moments else None
        # A wait in the main thread does not see Ctrl-C on Windows.
        if sys.platform == "win32" or self._is_first or self._has_left is not None:
            wait = 0.5 if wait is None else min(wait, 0.5)
        try:
            return self._messages.get(timeout=wait)
        except Empty:
            return None

    def _start_due(self) -> None:
        now = time.monotonic()
        for seat in self._seats:
            if seat.start_at is not None and seat.start_at <= now:
                self._start(seat)

    def _start(self, seat: _Seat) -> None:
        seat.start_at = None
        config = dict(self._make_config())
        environment = {**os.environ, **self._environment, PROCESS_VARIABLE: json.dumps(config)}
        try:
            seat.child = _Child(seat, config["worker"], self._command, environment, self._messages.put)
        except OSError as error:
            self._on_trouble(f"worker process {seat.number} could not be started: {error}")
            if not os.path.exists(self._command[0]):  # the virtual environment was moved, and comes back for nobody
                seat.quick_deaths = max(seat.quick_deaths, (self._give_up_after or 0) - 1)
            self._replace(seat, 0.0)
        else:
            self._on_event(f"worker {seat.child.worker_id} started as process {seat.child.pid}")

    def _ended(self, child: _Child) -> None:
        seat, lifetime = child.seat, time.monotonic() - child.started_at
        seat.child = None
        code, unfinished = without_flag(child.exit_code)
        why = _WHY.get(code)
        died = (why is None and code not in (FINISHED, CUT_OFF, DISMISSED)) or not self._signed_off(child.worker_id)
        if died or unfinished:
            child.kill()  # what it had started goes with it: the jobs are about to run again
        child.close()
        if not died:
            self.dismissed = self.dismissed or code == DISMISSED
            if code == CUT_OFF:
                self._exit_code = code
            again = why is not None and not child.left
            self._on_event(f"worker {child.worker_id} ended" + (f", to be replaced {why}".rstrip() if again else ""))
            if again and not self._stops:
                seat.quick_deaths = 0
                seat.start_at = time.monotonic()
            return
        how = how_it_died(child.exit_code)
        dismissed = self._was_dismissed(child.worker_id)
        unreplaced = ", and nobody replaces it, as it was asked to stop" if dismissed else ""
        self._on_trouble(f"worker {child.worker_id} (process {child.pid}) {how}{unreplaced}")
        self.dismissed = self.dismissed or dismissed
        if self._stops or child.left or dismissed:
            self._exit_code = 1
        else:
            self._replace(seat, lifetime)
            self._start_due()  # taking back may have to wait for the database
        self._take_back(child.worker_id, how)

    def _take_back(self, worker_id: str, how: str) -> None:
        try:
            self._rescue(worker_id, how)
        except Exception as error:  # whatever it is, the other workers need their supervisor
            self._on_trouble(
                f"the jobs of worker {worker_id}, if any, wait for another rescue: {type(error).__name__}: {error}"
            )

    def _replace(self, seat: _Seat, lifetime: float) -> None:
        seat.quick_deaths = seat.quick_deaths + 1 if lifetime < QUICK_DEATH else 0
        if self._give_up_after is not None and seat.quick_deaths >= self._give_up_after:
            self._on_trouble(
                f"giving up: worker process {seat.number} died at once, {seat.quick_deaths} times in a row"
            )
            self._exit_code = 1
            self._advance_stop()
            return
        seat.start_at = time.monotonic() + pause_before(seat.quick_deaths)

    def _advance_stop(self) -> None:
        self._stops += 1
        now = time.monotonic()
        for seat in self._seats:
            seat.start_at = None
        for child in self._children():
            child.tell("stop" if self._stops == 1 else "now")
        if self._stops == 1:
            self._on_stop()
            self._kill_at = now + self._grace + KILL_AFTER
            self._on_event(f"stopping: running jobs have {self._grace:g} s to finish")
        elif self._stops == 2:
            self._kill_at = min(now + KILL_AFTER, self._kill_at or now + KILL_AFTER)
            self._on_event("stopping now")
        else:
            self._kill_at = now

    def _kill_all(self) -> None:
        self._kill_at = None
        for child in self._children():
            self._on_event(f"worker {child.worker_id} did not stop and is killed")
            child.kill()

    def _children(self) -> list[_Child]:
        return [seat.child for seat in self._seats if seat.child is not None]

    def _take_signals(self) -> dict[int, Handler]:
        if threading.current_thread() is not threading.main_thread():
            return {}
        names = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")
        taken: dict[int, Handler] = {}
        if sys.platform != "win32" and signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
            # As whoever started this process has it; then the system tells nobody how, and when, a worker ended.
            taken[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
            if signal.getsignal(number) != signal.SIG_IGN:  # by a shell, in the background; by nohup
                taken[number] = signal.signal(number, lambda *_: self.stop())
        return taken


class _Seat:
    """The place of one worker, which one process after the other takes."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.child: _Child | None = None
        self.start_at: float | None = 0.0
        self.quick_deaths = 0


class _Child:
    """One worker process, and the thread that waits for its end. Raises OSError when it cannot be started."""

    def __init__(
        self,
        seat: _Seat,
        worker_id: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_exit: Callable[[_Child], None],
    ) -> None:
        self.seat = seat
        self.worker_id = worker_id
        self.started_at = time.monotonic()
        self.exit_code: int | None = None
        self.left = False  # others may take its place, and nobody replaces it
        self._on_exit = on_exit
        how = {"env": environment, "stdin": subprocess.PIPE, "bufsize": 0, **_OWN_GROUP}
        self._process, self._tree = start_tree(command, tied=False, **how)  # without a supervisor it ends in good order
        self.pid = self._process.pid
        waits = threading.Thread(target=self._await_end, name=f"lateshift-waits-{worker_id}", daemon=True)
        try:
            waits.start()
        except RuntimeError as error:
            self.kill()
            self.close()
            self._process.wait()
            raise OSError(errno.EAGAIN, str(error)) from error

    def tell(self, word: str) -> None:
        """Write a word to the worker's standard input."""
        stdin = self._process.stdin
        if stdin is not None:
            with suppress(OSError):  # it has ended, and our thread is about to say so
                stdin.write(word.encode() + b"\n")

    def kill(self) -> None:
        """Kill the process with what it started, also when it has ended."""
        self._tree.end_group()

    def close(self) -> None:
        """Let go of the pipe, and of the processes."""
        self._tree.close()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _await_end(self) -> None:
        self.exit_code = self._process.wait()
        self._on_exit(self)


def pause_before(quick_deaths: int) -> float:
    """Seconds before a worker is replaced whose last `quick_deaths` predecessors died at once: 0, 0.1, 0.2, ... 5."""
    if quick_deaths <= 1:
        return 0.0
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(quick_deaths - 2, 10))


def how_it_died(code: int | None) -> str:
    """The end of a process in words, by its exit code: `was killed by SIGSEGV`."""
    if code is None or code >= 0:
        return f"died with exit code {in_digits(code)}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def in_digits(code: int | None) -> str:
    """An exit code as one looks it up: that of a crash on Windows is known by its hexadecimal digits."""
    return str(code) if code is None or code < 1 << 31 else f"0x{code:X}"
