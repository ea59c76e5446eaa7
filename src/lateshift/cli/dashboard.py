"""`dashboard`: every job in a browser."""

from __future__ import annotations

import sys
from typing import Final

import click

from lateshift.app import Lateshift
from lateshift.cli.base import Code, Refusal, find_jobs_below


def _root_path(_: click.Context, __: click.Parameter, path: str) -> str:
    """The path with one slash before it and none behind; empty for none."""
    if ":" in path or "//" in path:
        raise click.BadParameter(f"'{path}' is no path such as /jobs: leave scheme and host out.")
    return f"/{path.strip('/')}".rstrip("/")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="Default: 8642, or the next that is free.")
@click.option(
    "--root-path", default="", metavar="PATH", callback=_root_path, help="A path that a proxy takes off, as /jobs."
)
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser.")
@click.option("--read-only", is_flag=True, help="Show everything, change nothing.")
@click.option("--hash-password", is_flag=True, help="Ask for a password, print what LATESHIFT_DASHBOARD_USERS needs.")
def dashboard(
    host: str, port: int | None, root_path: str, *, open_it: bool, read_only: bool, hash_password: bool
) -> None:
    """Serve the web dashboard until Ctrl-C.

    It answers only on this machine, unless LATESHIFT_DASHBOARD_TOKEN or LATESHIFT_DASHBOARD_USERS is set.
    """
    if hash_password:
        from lateshift.accounts import hash_password as hashed

        click.echo(hashed(_password()))
        return
    from lateshift.dashboard.serving import Serving

    app = Lateshift()
    find_jobs_below(str(app.settings.root))
    try:
        serving = Serving(app, host, port, read_only=read_only, root_path=root_path)
    except OSError as error:
        raise Refusal(f"Cannot listen on {host}: {error}. Choose another --port.", Code.FAILED) from error
    if locked_out := serving.desk.access.locked_out:
        from lateshift.accounts import NO_HASH

        click.echo(f"Nobody can log in as {', '.join(locked_out)}: {NO_HASH}", err=True)
    proxy = f", for a proxy that serves it at {root_path}" if root_path else ""
    click.echo(f"The dashboard is at {serving.link}{proxy} (Ctrl-C ends it).")
    if open_it:
        click.launch(serving.link)
    try:
        serving.run()
    except KeyboardInterrupt:
        pass
    finally:
        app.close()


def _password() -> str:
    """What is typed twice in a terminal, or else the first line of standard input."""
    if sys.stdin is not None and sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    given = sys.stdin.readline().rstrip("\r\n") if sys.stdin is not None else ""
    if not given:
        raise Refusal("Standard input has no password. Run this in a terminal, or write the password into it.")
    return given


COMMANDS: Final = (dashboard,)
