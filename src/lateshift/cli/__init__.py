"""The command line, `lateshift`: one file for each family of commands.

This package is imported at every start, so nothing here imports the application, rich or asyncio before a command needs
them (`lateshift status` is to take less than 250 ms, of which click is 60).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from lateshift import django
from lateshift.cli import changes, completion, dashboard, enqueuing, jobs, logs, project, queues, top, work
from lateshift.cli.base import Commands, report

EPILOG: Final = """\
\b
Exit codes:
  0    done; the job completed; every check is fine
  1    a job failed or was cancelled, a check failed, an unforeseen error
  2    refused: wrong usage, settings or parameters, or not in this status
  3    no such job
  4    `wait` ran out of time
  5    the database cannot be used
  130  interrupted by Ctrl-C, or a question answered with no

Commands that read print one JSON object or array with --json. Times in JSON are UTC (ISO 8601), times on the screen
are local. `lateshift COMMAND --help` names the keys.
"""

FAMILIES: Final = (project, work, enqueuing, jobs, logs, changes, queues, top, dashboard, completion)


@click.group(
    cls=Commands,
    epilog=EPILOG,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.option("--plain", is_flag=True, help="Plain text, also in a terminal: no colours, nothing cut or wrapped.")
@click.option("--traceback", is_flag=True, help="Show where an error comes from.")
@click.version_option(package_name="lateshift", message="lateshift %(version)s")
@click.pass_context
def cli(context: click.Context, /, **_: bool) -> None:
    """Background jobs for Python, with nothing to start."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for family in FAMILIES:
    for command in family.COMMANDS:
        cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    _open_streams()
    django.process_is_ours()
    with contextlib.suppress(OSError):  # the current folder is gone, which the settings will tell
        if not sys.flags.safe_path and os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())  # as `python -m` does, so that `app/jobs.py` in this folder is found
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name from the database must not end in a UnicodeError
    # On Windows click would expand %NAME%, $NAME, ~ and * also in what is quoted, such as a job's parameters.
    return report(lambda: cli.main(arguments, "lateshift", standalone_mode=False, windows_expand_args=False))


def _open_streams() -> None:
    """Make up for standard streams that were closed, as some services start programs, and those without a console.

    Python has None in their place then, and the next file that is opened would get a number that is theirs.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - until the process ends
            os.set_inheritable(stream.fileno(), True)  # for the processes that this one starts
            setattr(sys, name, stream)
