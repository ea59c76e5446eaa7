"""What jobs log themselves: a handler on the root logger that brings it to the log files, and keeps it with the job."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

from lateshift.context import current
from lateshift.errors import LateshiftError
from lateshift.host.logs import ERRORS, FileLog, escape
from lateshift.settings import Settings

LONGEST_KEPT: Final = 4_000
"""Characters of a line that is kept with the job: 200 of them have to fit into a row."""


class JobLogHandler(logging.Handler):
    """Brings what jobs log to the log files, tagged with the job's id, and keeps their last lines with the job."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.log_level)
        self._log = FileLog(settings)

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record of the standard library's logging."""
        try:
            self._take(record)
        except Exception:
            self.handleError(record)

    def _take(self, record: logging.LogRecord) -> None:
        message, at, context = self.format(record), int(record.created * 1_000_000), current.get()
        job = None if context is None else (context.job.id, context.job.name, context.job.attempt)
        if context is not None:
            head = f"{self._log.stamp(at).text} {record.levelname:<7} [{record.name}] "
            for line in message.split("\n"):
                context.log_lines.append(escape((head + line)[:LONGEST_KEPT]))
                head = "    "
        text = self._log.format_record(at, record.levelname, record.name, message, job)
        self._log.write_job_records([text], at, record.levelno)


_capturing: Final[list[JobLogHandler]] = []


@contextlib.contextmanager
def captured_logging(settings: Settings) -> Iterator[None]:
    """Bring all that this process logs meanwhile, from LATESHIFT_LOG_LEVEL up, to the log files, as a worker does."""
    level = logging.root.level
    handler = _capture(settings)
    try:
        yield
    finally:
        _capturing.remove(handler)
        logging.root.removeHandler(handler)
        logging.root.setLevel(level)
        handler.close()


def capture_logging(settings: Settings) -> None:
    """Bring all that this process logs, for as long as it lives, to the log files; also what it dies of."""
    _capture(settings)
    sys.excepthook = lambda _kind, error, _traceback: _last_words(settings, error)


def keep_capturing() -> None:
    """Put the handler back that a job's module has removed: `dictConfig`, as in `django.setup()`, does so unasked."""
    for handler in _capturing:
        if handler not in logging.root.handlers:
            logging.root.addHandler(handler)


def _capture(settings: Settings) -> JobLogHandler:
    handler = JobLogHandler(settings)
    _capturing.append(handler)
    logging.root.addHandler(handler)
    logging.root.setLevel(settings.log_level)
    return handler


def _last_words(settings: Settings, error: BaseException) -> None:
    """One line for who watches; the traceback goes where those of jobs are."""
    path = settings.storage_dir / "logs" / f"{ERRORS}{date.today()}.log"  # noqa: DTZ011 - as in delete_old
    before = _size(path)
    logging.getLogger("lateshift").critical("This process ends", exc_info=error)
    told = str(error) if isinstance(error, LateshiftError) else f"{type(error).__name__}: {error}."
    with contextlib.suppress(AttributeError, OSError, ValueError):  # nobody watches
        if _size(path) > before:
            sys.stderr.write(f"error: {' '.join(told.split())} The traceback is in {path}\n")
        else:  # the disk is full, or not ours to write
            sys.__excepthook__(type(error), error, error.__traceback__)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
