"""Shell completion: the script for a shell, and the ids and names that only the database knows."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from lateshift.cli.base import open_app
from lateshift.storage import reads


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands in a shell.

    \b
    bash:  lateshift completion bash >> ~/.bashrc
    zsh:   lateshift completion zsh >> ~/.zshrc
    fish:  lateshift completion fish > ~/.config/fish/completions/lateshift.fish
    """  # noqa: D301 - click's mark for lines that stay as they are
    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, "lateshift", "_LATESHIFT_COMPLETE").source())


def job_ids(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The newest jobs' ids, with status and name."""
    try:
        with context.scope(cleanup=False):
            jobs = open_app().list_jobs(limit=100)
    except Exception:  # a key press must never print a traceback into the command line
        return []
    return [CompletionItem(job.id, help=f"{job.status} {job.name}") for job in jobs if job.id.startswith(incomplete)]


def queue_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of the queues that the database knows."""
    try:
        with context.scope(cleanup=False):
            app = open_app()
            queues = reads.queues(app.database, app.database.now())
    except Exception:  # as above
        return []
    return [CompletionItem(queue.name) for queue in queues if queue.name.startswith(incomplete)]


def worker_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The ids of the workers that the database knows."""
    try:
        with context.scope(cleanup=False):
            workers = reads.workers(open_app().database)
    except Exception:  # as above
        return []
    return [CompletionItem(worker.id, help=worker.kind) for worker in workers if worker.id.startswith(incomplete)]


COMMANDS: Final = (completion,)
