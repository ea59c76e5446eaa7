"""The two daily log files, and the subscriber to the events that writes them.

    background-jobs-YYYY-MM-DD.log           everything from LATESHIFT_LOG_LEVEL up, a line each
    background-jobs-errors-YYYY-MM-DD.log    what is an error, with its traceback

Any number of processes write them at once: each batch of lines is one appending write, which the system does not
interleave; on Windows it is locked as well. The file is opened anew for each batch. That costs 3 us more than keeping
it open, and there is then nothing that midnight, a deleted folder, a fork, or threads that log while one of them
changes files could break.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from lateshift import events
from lateshift.settings import Settings
from lateshift.storage.files import make_private

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

ALL: Final = "background-jobs-"
ERRORS: Final = "background-jobs-errors-"

LONGEST_MESSAGE: Final = 1_000
"""Characters of an error's message in its log line; the errors file and the database have all of it."""

LEVELS: Final = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}
"""Those of the standard library's logging, which takes 4 ms to import."""

DEBUG, INFO, WARNING, ERROR = LEVELS.values()


class FileLog:
    """Writes events to the daily log files. Subscribe it; it never raises, whatever becomes of the disk."""

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.storage_dir / "logs"
        self._start = f"{self.folder}{os.sep}"
        self.json = settings.log_format == "json"
        self.level = LEVELS[settings.log_level]
        self._stamp = _stamp_of(0)

    def __call__(self, batch: Sequence[events.Event]) -> None:
        """Write the lines of a batch: one write per file and day."""
        stamp, lines = self._stamp, list[str]()
        ended = self._ended_at_once(batch)
        for event in batch:
            kind = type(event)
            if kind is events.JobStarted and event.job_id in ended:  # type: ignore[attr-defined]
                continue
            describe = _DESCRIBE.get(kind)
            if describe is None:
                continue
            form, values = describe(event)
            if form.level < self.level:
                continue
            if event.at // 1000 != stamp.millisecond:
                before, stamp = stamp, self.stamp(event.at)
                if before.day != stamp.day:
                    lines = self._append(ALL, before.day, lines)
            lines.append(self._line(stamp, form, values))
            if form.level >= ERROR:
                self._append(ERRORS, stamp.day, [self._line(stamp, form, values, _traceback(event))])
        self._append(ALL, stamp.day, lines)

    def _ended_at_once(self, batch: Sequence[events.Event]) -> set[str]:
        """Jobs whose beginning need not be told, since the line of their end comes in the same moment with the time."""
        if self.level <= DEBUG or len(batch) == 1:
            return set()
        return {event.job_id for event in batch if type(event) is events.JobFinished}

    def write_job_records(self, records: Sequence[str], at: int, level: int = INFO) -> None:
        """Write what a job logged, as `format_record` gives it; `at` is in microseconds since 1970 in UTC."""
        day = self.stamp(at).day
        self._append(ALL, day, records)
        if level >= ERROR:
            self._append(ERRORS, day, records)

    def format_record(self, at: int, level: str, logger: str, message: str, job: tuple[str, str, int] | None) -> str:
        """A record of a job's own logging, ready to write; `job` is its (id, name, attempt)."""
        stamp = self.stamp(at)
        if self.json:
            tag = {} if job is None else {"job": job[0], "name": job[1], "attempt": job[2]}
            return _encode(stamp, level, {"event": "log", **tag, "logger": logger, "message": message})
        head = f"{stamp.text} {level:<7} "
        tag_text = "" if job is None else f"{job[0]} {job[1]} "
        first, *more = message.split("\n")
        return _one_line(f"{head}{tag_text}[{logger}] {first}") + _indented(more)

    def stamp(self, at: int) -> _Stamp:
        """The local time of a moment, remembered for the millisecond, which fifty short jobs may share."""
        stamp, millisecond = self._stamp, at // 1000
        if stamp.millisecond // 1000 != millisecond // 1000:
            stamp = self._stamp = _stamp_of(millisecond)
        elif stamp.millisecond != millisecond:
            text = f"{stamp.text[:-3]}{millisecond % 1000:03d}"
            stamp = self._stamp = _Stamp(millisecond, text, stamp.day, stamp.offset)
        return stamp

    def _line(self, stamp: _Stamp, form: _Form, values: tuple[object, ...], traceback: str = "") -> str:
        if self.json:
            fields: dict[str, object] = {"event": form.verb, **dict(zip(form.keys, values, strict=True))}
            if traceback:
                fields["traceback"] = traceback
            return _encode(stamp, form.level_name, fields)
        line = form.template % (stamp.text, *values)
        if not line.isprintable():
            line = escape(line)
        return f"{line}\n{_indented(traceback.splitlines())}" if traceback else line + "\n"

    def _append(self, prefix: str, day: str, lines: Sequence[str]) -> list[str]:
        """Add whole lines to a file; returns the empty list that comes after them."""
        if lines:
            path = f"{self._start}{prefix}{day}.log"
            data = "".join(lines).encode(errors="backslashreplace")
            try:
                self._write(path, b"\n" + data if path in _torn else data)
            except OSError as error:
                _complain(path, error)
        return []

    def _write(self, path: str, data: bytes) -> None:
        try:
            handle = open_to_append(path)
        except FileNotFoundError:  # the first line of all, or somebody has deleted the folder
            make_private(self.folder)
            handle = open_to_append(path)
        written = 0
        try:
            while written < len(data):
                written += os.write(handle, data[written:])
        finally:
            if written < len(data) and written:  # the disk is full: what comes next is to begin on a line of its own
                _torn.add(path)
            elif written:
                _torn.discard(path)
            os.close(handle)


def delete_old(folder: Path, days: int, today: date | None = None) -> int:
    """Delete the log files older than so many days, today's being the first of them; returns how many went."""
    today, deleted = today or date.today(), 0  # noqa: DTZ011 - the files are named by local days
    for path in [*daily_files(folder), *daily_files(folder, ERRORS)]:
        try:
            if (today - date.fromisoformat(path.stem[-10:])).days >= days:
                path.unlink()
                deleted += 1
        except (ValueError, OSError):  # no day at all; or gone, or held open by somebody on Windows
            continue
    return deleted


def daily_files(folder: Path, kind: str = ALL) -> list[Path]:
    """The log files of one kind, and nothing else that others keep in their folder."""
    return [path for path in folder.glob(f"{kind}*.log") if _DAY.fullmatch(path.stem.removeprefix(kind))]


def escape(text: str) -> str:
    """The text on one line, without anything that a terminal obeys: what is not printable as in a Python string."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text.expandtabs(4))


class _Stamp(NamedTuple):
    """A millisecond as it is written: local time, and how far that is from UTC."""

    millisecond: int
    text: str
    day: str
    offset: str


def _stamp_of(millisecond: int) -> _Stamp:
    second, rest = divmod(millisecond, 1000)
    local = time.localtime(second)
    text, offset = time.strftime("%Y-%m-%d %H:%M:%S", local), time.strftime("%z", local)
    return _Stamp(millisecond, f"{text}.{rest:03d}", text[:10], f"{offset[:3]}:{offset[3:]}")


class _Form:
    """How a kind of event is written: its level, its verb, and the names of its values."""

    def __init__(self, level: int, verb: str, keys: tuple[str, ...]) -> None:
        self.level, self.verb, self.keys = level, verb, keys
        self.level_name = next(name for name, number in LEVELS.items() if number == level)
        units = {"duration": "%.3fs", "delay": "%.6gs", "older_than": "%.6gs"}
        job = ["%s" for key in keys if key in _JOB]
        values = [f"{key}={units.get(key, '%s')}" for key in keys if key not in _JOB]
        self.template = " ".join(["%s", f"{self.level_name:<7}", *job, verb, *values])


_JOB = ("job", "name")
_ENDING = (*_JOB, "attempt", "duration", "queue", "worker")
_WAITING = (*_ENDING, "delay")

_ENQUEUED = _Form(INFO, "enqueued", (*_JOB, "queue", "priority", "delay"))
_STARTED = _Form(INFO, "started", (*_JOB, "attempt", "queue", "worker"))
_OUTCOMES = {
    "completed": _Form(INFO, "completed", _ENDING),
    "retry": _Form(WARNING, "retry", (*_WAITING, "error")),
    "failed": _Form(ERROR, "failed", (*_ENDING, "error")),
    "cancelled": _Form(WARNING, "cancelled", (*_ENDING, "error")),
    "snoozed": _Form(INFO, "snoozed", _WAITING),
    "returned": _Form(INFO, "returned", _WAITING),
    "lost": _Form(WARNING, "lost", (*_WAITING, "error")),
}
_POSTPONED = _Form(WARNING, "returned", (*_WAITING, "error"))
_RESCUED = _Form(WARNING, "rescued", (*_JOB, "attempt", "queue", "worker", "status"))
_LEASE_LOST = _Form(WARNING, "lease lost", (*_JOB, "attempt", "queue", "worker"))
_CANCELLED = _Form(WARNING, "cancelled", (*_JOB, "attempt", "queue"))
_PAUSED = _Form(INFO, "queue paused", ("queue",))
_RESUMED = _Form(INFO, "queue resumed", ("queue",))
_PRUNED = _Form(INFO, "pruned", ("jobs", "older_than"))
_WORKER_STARTED = _Form(INFO, "worker started", ("worker", "pid"))
_WORKER_STOPPED = _Form(INFO, "worker stopped", ("worker", "reason"))
_DATABASE_AWAY = _Form(WARNING, "database away", ("worker", "reason"))
_DATABASE_BACK = _Form(WARNING, "database back", ("worker", "duration"))

_Described = tuple[_Form, tuple[object, ...]]


def _enqueued(event: events.JobEnqueued) -> _Described:
    delay = max(0, event.run_at - event.at) / 1_000_000
    return _ENQUEUED, (event.job_id, event.name, event.queue, event.priority, delay)


def _started(event: events.JobStarted) -> _Described:
    return _STARTED, (event.job_id, event.name, event.attempt, event.queue, event.worker)


def _finished(event: events.JobFinished) -> _Described:
    outcome = event.outcome
    duration = (outcome.finished_at - outcome.started_at) / 1_000_000
    form = _POSTPONED if outcome.kind == "returned" and outcome.error is not None else _OUTCOMES[outcome.kind]
    values: tuple[object, ...] = (event.job_id, event.name, event.attempt, duration, event.queue, event.worker)
    if form.keys is _ENDING:
        return form, values
    if "delay" in form.keys:
        values = (*values, max(0, (outcome.run_at or 0) - outcome.finished_at) / 1_000_000)
    if "error" in form.keys:
        values = (*values, _error(event))
    return form, values


def _changed(event: events.JobChanged) -> _Described:
    if event.action == "cancelled":
        return _CANCELLED, (event.job_id, event.name, event.attempt, event.queue)
    form = _Form(INFO, event.action.replace("_", " "), _CANCELLED.keys)
    return form, (event.job_id, event.name, event.attempt, event.queue)


_DESCRIBE: Final[dict[type[events.Event], Callable[[Any], _Described]]] = {
    events.JobEnqueued: _enqueued,
    events.JobStarted: _started,
    events.JobFinished: _finished,
    events.JobRescued: lambda e: (_RESCUED, (e.job_id, e.name, e.attempt, e.queue, e.worker, e.status)),
    events.JobChanged: _changed,
    events.LeaseLost: lambda e: (_LEASE_LOST, (e.job_id, e.name, e.attempt, e.queue, e.worker)),
    events.QueueChanged: lambda e: (_PAUSED if e.paused else _RESUMED, (e.queue,)),
    events.JobsPruned: lambda e: (_PRUNED, (e.jobs, e.older_than)),
    events.WorkerStarted: lambda e: (_WORKER_STARTED, (e.worker, e.pid)),
    events.WorkerStopped: lambda e: (_WORKER_STOPPED, (e.worker, e.reason)),
    events.DatabaseAway: lambda e: (_DATABASE_AWAY, (e.worker, e.reason)),
    events.DatabaseBack: lambda e: (_DATABASE_BACK, (e.worker, e.seconds)),
}


def _error(event: events.JobFinished) -> str:
    error = event.outcome.error
    if error is None:
        return "none"
    text = f"{error.type}: {error.message}"
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}... ({len(text):,} characters)"


def _traceback(event: events.Event) -> str:
    error = event.outcome.error if isinstance(event, events.JobFinished) else None
    return "" if error is None else error.traceback or f"{error.type}: {error.message}"


def _encode(stamp: _Stamp, level: str, fields: dict[str, object]) -> str:
    moment = f"{stamp.day}T{stamp.text[11:]}{stamp.offset}"
    whole = {"time": moment, "level": level, **fields}
    try:
        line = msgspec.json.encode(whole).decode()
    except (UnicodeEncodeError, TypeError):  # half a surrogate pair, from a file name that is no UTF-8
        line = msgspec.json.encode({key: escape(str(value)) for key, value in whole.items()}).decode()
    return (line if line.isprintable() else "".join(map(_json_escape, line))) + "\n"


def _json_escape(character: str) -> str:
    """JSON itself lets through what turns a terminal's writing round, or ends a line for some readers."""
    if character.isprintable():
        return character
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def _one_line(text: str) -> str:
    return escape(text) + "\n"


def _indented(lines: Sequence[str]) -> str:
    return "".join(f"    {escape(line)}\n" for line in lines)


_torn: Final[set[str]] = set()
"""Files in which this process has written a part of a line."""

_complained: Final[set[str]] = set()


def _complain(path: str, error: OSError) -> None:
    """Once per folder and process, to whom it may concern; jobs go on without a log."""
    folder = os.path.dirname(path)
    if folder in _complained or sys.stderr is None:
        return
    _complained.add(folder)
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(
            f"Lateshift cannot write its log {path}: {error.strerror or error}. Jobs go on without it. Make the folder "
            "writable, free space on its disk, or name another one in LATESHIFT_STORAGE_DIR.\n"
        )


if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import wintypes

    from lateshift.host.file_lock import lock_file

    def open_to_append(path: str) -> int:
        """Open with FILE_APPEND_DATA, as C's O_APPEND seeks first and loses lines; others wait until it is closed.

        The lock is for what does not append in one step either: shared folders, and Wine.
        """
        read, append_data, share_all, open_always, normal = 0x80000000, 0x4, 0x7, 4, 0x80
        create = ctypes.WinDLL("kernel32", use_last_error=True).CreateFileW
        word, pointer = wintypes.DWORD, wintypes.LPVOID
        create.restype = wintypes.HANDLE
        create.argtypes = [wintypes.LPCWSTR, word, word, pointer, word, word, wintypes.HANDLE]
        handle = create(path, read | append_data, share_all, None, open_always, normal, None)
        if handle == wintypes.HANDLE(-1).value:
            raise ctypes.WinError(ctypes.get_last_error())
        file = msvcrt.open_osfhandle(handle, os.O_WRONLY | os.O_NOINHERIT)
        try:
            lock_file(file, wait=True)
        except OSError:
            os.close(file)
            raise
        return file

else:

    def open_to_append(path: str) -> int:
        """Open so that what is written at once stands together at the end, whoever else writes. Raises OSError."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
