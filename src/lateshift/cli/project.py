"""`init`, `migrate`, `doctor` and `demo`: a project's beginning and its health."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from lateshift.cli.base import Code, Refusal, find_jobs_below, open_app
from lateshift.cli.output import coloured, json_option, on_screen, print_json, wrapped
from lateshift.cli.scaffold import scaffold
from lateshift.cli.shapes import CHECK_KEYS
from lateshift.errors import SettingsError, StorageUnavailable
from lateshift.screen import COLOURS, one_line
from lateshift.settings import explain_settings, load_settings
from lateshift.storage import migrations, open_database
from lateshift.storage.database import Database
from lateshift.storage.schema import LATEST

PATIENCE: Final = 3600.0
"""Seconds that a statement of a migration may take: it may have to build an index of a large table."""

if TYPE_CHECKING:
    from lateshift.doctor.place import Check


@click.command()
def init() -> None:
    """Set up a project in this folder.

    Writes the settings to .env, a package for the jobs with one example, and storage/ to .gitignore. Files that are
    there already are only added to, never overwritten.
    """
    folder = Path.cwd()
    found = {item.name: item for item in explain_settings()}
    root = load_settings().root
    if not root.samefile(folder):
        raise Refusal(
            f"This folder belongs to the project in {root} ({found['root'].origin}). Run `lateshift init` there, "
            "or set LATESHIFT_ROOT=. to begin one of its own here."
        )
    done = scaffold(folder, {name: item.origin for name, item in found.items()})
    for line in done.lines:
        click.echo(line)
    click.echo(f"\n{done.advice}\n\n    {done.command}\n")


@click.command()
@click.option("--plan", is_flag=True, help="Only say what would be applied.")
@click.option("--sql", is_flag=True, help="Only print the SQL of it, for psql, mysql or sqlite3.")
def migrate(*, plan: bool, sql: bool) -> None:
    """Make the database's tables, or bring them up to date.

    An SQLite file is made and brought up to date by its first use. Workers go on meanwhile.
    """
    if plan and sql:
        raise click.UsageError("--plan and --sql exclude each other.")
    app = open_app(create=True)
    with closing(open_database(app.settings, as_is=True, patience=PATIENCE)) as database:
        if sql:
            click.echo(migrations.script(database))
            return
        steps = migrations.pending(database)
        applied = [] if plan else _apply(database)
    for step in steps:
        if plan or step.number in applied:  # another process may have come before
            click.echo(f"{'Pending' if plan else 'Applied'} {step.number}: {step.title}.")
    if not steps:
        click.echo(f"The database is up to date, at schema {LATEST}.")


def _apply(database: Database) -> list[int]:
    try:
        return migrations.migrate(database)
    except StorageUnavailable as error:
        from lateshift.storage.server import ServerDatabase

        said = error.__cause__
        server = database if isinstance(database, ServerDatabase) else None
        if server is None or not isinstance(said, server.errors) or server.judge(said) != "denied":
            raise
        other = "A user with more rights may do it in your place: `lateshift migrate --sql` prints the statements."
        raise Refusal(f"{error} {other}", Code.DATABASE) from error


@click.command()
@json_option(f"an array of checks: {CHECK_KEYS}")
def doctor(*, as_json: bool) -> int:
    """Check settings, database, logs, allow-list and workers.

    The exit code is 1 when a check found an error.
    """
    from lateshift.doctor import diagnose, exit_code

    try:
        find_jobs_below(str(load_settings().root))
    except SettingsError:  # the first thing that the checks will tell
        pass
    checks = diagnose()
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        _print_checks(checks)
    return exit_code(checks)


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--dashboard", is_flag=True, help="Serve the dashboard on it, with more jobs to look at, until Ctrl-C.")
@click.option("--open", "open_it", is_flag=True, help="The same, and open it in the browser.")
def demo(folder: Path | None, *, dashboard: bool, open_it: bool) -> int:
    """See Lateshift at work on a folder of source files.

    Has one job done for each file of FOLDER, by default of Python's own library. Interrupted and started again, it
    carries on. The exit code is 0 when everything that should complete did.
    """
    from lateshift.demo import run_demo

    return run_demo(folder, plain=not on_screen(), dashboard=dashboard or open_it, open_it=open_it)


def _print_checks(checks: list[Check]) -> None:
    width = max((len(check.name) for check in checks), default=0)
    for check in checks:
        state = f"{check.level:7}"
        told = wrapped(one_line(f"{check.message} {check.remedy}"), len(state) + 2 + width + 2)
        if coloured():
            state = click.style(state, fg=COLOURS[check.level])
        click.echo(f"{state}  {check.name:{width}}  {told}")


COMMANDS: Final = (init, migrate, doctor, demo)
