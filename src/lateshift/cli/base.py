"""What all commands share: exit codes, the application object, errors as one line on standard error."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, Final

import click

from lateshift.app import Lateshift
from lateshift.default import set_app
from lateshift.errors import (
    JobNotFound,
    LateshiftError,
    ResultNotStorable,
    SpawnError,
    StorageError,
    WaitTimeout,
)
from lateshift.query import seconds_ago
from lateshift.screen import one_line
from lateshift.settings import explain_in_force
from lateshift.wording import as_sentence


class Code(IntEnum):
    """The exit codes, as `lateshift --help` documents them."""

    OK = 0
    FAILED = 1
    REFUSED = 2
    NO_SUCH_JOB = 3
    WAIT_TIMEOUT = 4
    DATABASE = 5
    INTERRUPTED = 130


_CODES: Final[dict[type[LateshiftError], Code]] = {
    JobNotFound: Code.NO_SUCH_JOB,
    WaitTimeout: Code.WAIT_TIMEOUT,
    StorageError: Code.DATABASE,
    SpawnError: Code.FAILED,
    ResultNotStorable: Code.FAILED,
    LateshiftError: Code.REFUSED,
}


PARAMS: Final = "\"{'order_id': 123}\"" if sys.platform == "win32" else """'{"order_id": 123}'"""
"""A job's parameters for the shell; PowerShell and cmd.exe agree on nothing that has double quotes inside."""


class Refusal(click.ClickException):
    """Ends a command with one line on standard error and an exit code."""

    def __init__(self, message: str, code: int = Code.REFUSED) -> None:
        super().__init__(message)
        self.code = code


class Commands(click.Group):
    """A group whose commands end in an exit code and at most one line of error, never in a traceback.

    A command returns its exit code, or None for 0.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands in the order in which one meets them, not by the alphabet."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; every error comes out as click's own, or as a Refusal."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.params.get("traceback") and not isinstance(error, BrokenPipeError):
                traceback.print_exc()
            if isinstance(error, OSError) and not isinstance(error, LateshiftError):
                return _refused_by_system(error)
            raise _refusal(error) from error

    def main(self, *args: Any, **extra: Any) -> Any:
        """As click's, with our way to report."""
        run: Callable[..., Any] = super().main
        if not extra.pop("standalone_mode", True):
            return run(*args, **extra, standalone_mode=False)
        sys.exit(report(lambda: run(*args, **extra, standalone_mode=False)))


def report(run: Callable[[], Any]) -> int:
    """Run click without its own reporting; returns the exit code and prints what it refused, in one line."""
    try:
        code = run()
        sys.stdout.flush()
    except click.UsageError as error:
        extra = "unexpected extra argument" in error.message and error.ctx and error.ctx.command.name == "enqueue"
        hint = f" Parameters of the job go into --params, in quotes: --params {PARAMS}." if extra else ""
        hint += f" Try `{error.ctx.command_path} --help`." if error.ctx is not None else ""
        complain(f"{as_sentence(error.format_message())}{hint}")
        return Code.REFUSED
    except click.ClickException as error:
        complain(error.format_message())
        return getattr(error, "code", Code.REFUSED)
    except click.Abort:
        return Code.INTERRUPTED
    except OSError as error:
        return _refused_by_system(error)
    return code if isinstance(code, int) else Code.OK


def tell(text: str, *, err: bool = False) -> None:
    """Print one line at once. Whoever reads it may have gone: the work goes on."""
    try:
        click.echo(one_line(text), err=err)
    except BrokenPipeError:
        _discard(sys.stderr if err else sys.stdout)
    except OSError:  # a full disk, which may have room again
        return


@contextmanager
def perhaps_unread() -> Iterator[None]:
    """Print to standard output for a reader who may have gone, where the command's exit code tells more than that."""
    try:
        yield
    except BrokenPipeError:
        _discard(sys.stdout)


def complain(message: str) -> None:
    """Print one line of error."""
    tell(f"error: {message}", err=True)


def code_of(error: LateshiftError) -> Code:
    """The exit code that stands for an error."""
    return next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)


def duration_of(text: str | float) -> float:
    """The seconds of a number, or of a whole number with a unit, as `5m` or `2h`. Ends the command if it is none."""
    try:
        return float(text)
    except ValueError:
        seconds = seconds_ago(str(text))
    if seconds is None:
        raise click.BadParameter(f"{text!r} is no duration: 90, 5m, 2h.")
    return float(seconds)


def refuse_if_nobody_can_be_asked() -> None:
    """End a command that would ask where no terminal is."""
    if not sys.stdin.isatty():
        raise Refusal(
            "Nobody can be asked here whether that is meant: --yes does it, --dry-run says how many jobs it is."
        )


def ask_to_go_on(told: str) -> None:
    """Go on if that is meant; end the command, as Ctrl-C does, if the answer is no, or none."""
    try:
        meant = click.confirm(f"{told} Go on?", err=True)
    except click.Abort:  # Ctrl-C or Ctrl-D: the cursor is still behind the question
        click.echo(err=True)
        meant = False
    if not meant:
        tell("Nothing was done.", err=True)
        raise click.Abort


def open_app(*, create: bool = False, **code: Any) -> Lateshift:
    """The application object for a command, in force until the command ends. `code` are settings that it overrides.

    Unless `create` is set, a database that does not exist is refused: in a wrong folder "no such job" would mislead.
    """
    app = Lateshift(**code)
    if not create and not app.database.exists():
        origin = next(item.origin for item in explain_in_force(app.settings) if item.name == "database_url")
        raise Refusal(
            f"There is no database at {app.database.place} yet (LATESHIFT_DATABASE_URL, {origin}). Run this in the "
            "project's folder; `lateshift migrate` or the first enqueued job makes the database.",
            Code.DATABASE,
        )
    find_jobs_below(str(app.settings.root))
    before = set_app(app)
    context = click.get_current_context()
    context.call_on_close(app.close)
    context.call_on_close(lambda: set_app(before))
    return app


def find_jobs_below(root: str) -> None:
    """Make the project's packages importable also from one of its subfolders: they lie where its settings do."""
    if not sys.flags.safe_path and root not in sys.path:
        sys.path.insert(1, root)


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, LateshiftError):
        return Refusal(str(error), code_of(error))
    if isinstance(error, UnicodeEncodeError):  # from the command line: what is stored is UTF-8
        return Refusal(f"{error.object!r} is not UTF-8 text, so no job and no queue has such a name.")
    words = f"{type(error).__name__}: {error}".rstrip(": .")
    return Refusal(f"Not foreseen: {words}. `lateshift --traceback ...` shows where it comes from.", Code.FAILED)


def _refused_by_system(error: OSError) -> Code:
    """The exit code when the system refuses something: 0 for a reader such as `head`, which has seen enough."""
    _discard(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return Code.OK
    if isinstance(error, PermissionError) and error.filename is not None:
        complain(f"{error.filename}: {error.strerror}. Run this as a user who may, or give this one the right.")
    else:
        complain(f"{error}.")
    return Code.FAILED


def _discard(stream: Any) -> None:
    """Send what is still buffered nowhere, so that Python's last flush does not complain."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError, AttributeError):  # not a real file
        return
