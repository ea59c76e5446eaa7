"""The demo from its first line to its exit code."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO, cast

from lateshift.app import Lateshift
from lateshift.demo.feed import ALLOWED as SHOP
from lateshift.demo.run import ALLOWED, DELAYS, DemoRefused, Run
from lateshift.demo.served import Served
from lateshift.demo.sources import find_sources, standard_library
from lateshift.host.presence import try_lock
from lateshift.settings import load_settings
from lateshift.wording import count, duration, local_time

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED: Final = 130

UNWRAPPED: Final = 10_000
"""Columns that no line needs."""


def perform(folder: Path | None, *, plain: bool, dashboard: bool = False, open_it: bool = False) -> int:
    """Run the demo; see `run_demo`."""
    console = _console(plain=plain)
    # The demo stands for a project that allows its own jobs to run, and lets a runner start by itself.
    app = Lateshift(allowed=[*load_settings().allowed, ALLOWED, SHOP], spawn="auto")
    program = command()
    try:
        with _only_one(app), Served(app, console, open_it=open_it) if dashboard else nullcontext() as served:
            return _play(app, folder, console, program, served)
    except KeyboardInterrupt:
        console.show_cursor(True)  # the display does that itself, unless it was interrupted while it began
        again = f"{program} demo" + (f" {_quoted(str(folder))}" if folder else "")
        console.print("\nInterrupted. The jobs go on in the background. This shows how far they are:")
        console.print(f"\n  {again}\n", style="bold", soft_wrap=True)
        console.print("It carries on with the same jobs: none is enqueued or done twice.")
        return INTERRUPTED
    finally:
        app.close()


class _Trimmed:
    """Standard output without spaces at the ends of lines: rich fills tables up with them."""

    def write(self, text: str) -> None:
        sys.stdout.write(re.sub(r" +$", "", text, flags=re.MULTILINE))

    def flush(self) -> None:
        sys.stdout.flush()


def _console(*, plain: bool) -> Console:
    """What fits a terminal; where there is none, nothing is wrapped."""
    from rich.console import Console

    class Screen(Console):
        """Leaves it to the command line what a reader that has gone means: rich ends the program with 1."""

        def on_broken_pipe(self) -> None:
            self.quiet = True
            raise BrokenPipeError

    console = Screen(highlight=False, markup=False, force_terminal=False if plain else None)
    if console.is_terminal:
        return console
    out = cast("TextIO", _Trimmed())
    return Screen(highlight=False, markup=False, force_terminal=False, file=out, width=UNWRAPPED)


def command() -> str:
    """How to call Lateshift again in this folder, as this process was called."""
    name = Path(sys.argv[0])
    if name.stem == "lateshift" and name.exists():
        found = shutil.which("lateshift")
        return "lateshift" if found and os.path.samefile(found, name) else _shortest(name)
    found = shutil.which("python")
    # By name: that of a virtual environment is a link to another, which has no Lateshift.
    known = found and os.path.normcase(os.path.abspath(found)) == os.path.normcase(os.path.abspath(sys.executable))
    return f"{'python' if known else _shortest(Path(sys.executable))} -m lateshift"


def _shortest(path: Path) -> str:
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive of Windows
        relative = str(path)
    return _quoted(min(relative, os.path.abspath(path), key=len))


def _quoted(argument: str) -> str:
    return subprocess.list2cmdline([argument]) if sys.platform == "win32" else shlex.quote(argument)


@contextmanager
def _only_one(app: Lateshift) -> Iterator[None]:
    """Two demos at once on one database would each enqueue the files."""
    folder = app.settings.storage_dir
    try:
        lock = try_lock(folder / "demo.lock")
    except OSError as error:
        told = f"The folder {folder} cannot be written ({error.strerror}), and the demo needs it."
        raise DemoRefused(f"{told} Make it writable, or point LATESHIFT_STORAGE_DIR somewhere else.") from error
    if lock is None:
        raise DemoRefused("Another demo is running in this folder. Wait for its end, or use another folder.")
    try:
        yield
    finally:
        os.close(lock)


def _play(app: Lateshift, given: Path | None, console: Console, program: str, served: Served | None) -> int:
    from lateshift.demo.report import Report
    from lateshift.demo.show import Progress

    folder = Path(os.path.abspath(given or standard_library()))
    sources, in_all = find_sources(folder)
    if not sources:
        raise DemoRefused(f"There is no *.py file in {folder}. Give a folder that has some, or none for Python's own.")
    whose = folder.name if given else f"Python {platform.python_version()}'s own library"
    console.print(f"\nLateshift demo: the source files of {whose}", style="bold")
    console.print(str(folder), style="dim")
    run = Run(app, folder)
    began = time.perf_counter()
    run.begin(sources)
    if run.resumed:
        _say_what_is_resumed(console, run)
    else:
        _say_what_is_enqueued(console, run, len(sources), in_all, time.perf_counter() - began)
    if served is not None:
        served.begin()
    Progress(run, console).follow()
    report = Report(run, program)
    report.show(console)
    run.forget()
    if served is not None:
        served.go_on(program)
    return report.exit_code


def _say_what_is_enqueued(console: Console, run: Run, taken: int, in_all: int, seconds: float) -> None:
    files = count(taken, "file") if taken == in_all else f"The {taken:,} largest of {count(in_all, 'file')}"
    held = f"{len(DELAYS)} are held back for {DELAYS[0]:g} to {DELAYS[-1]:g} s. " if taken > len(DELAYS) else ""
    console.print(
        f"\n{files}, each a job: digest, lines, words, most frequent identifier (self apart). The largest tenth has "
        f"priority 10, the smallest 1. {held}One more job fails twice and then succeeds, and one always fails."
    )
    console.print(f"\nStored {count(len(run.statuses), 'job')} in {duration(seconds)}. {_who_works(run)}")


def _say_what_is_resumed(console: Console, run: Run) -> None:
    began, jobs = local_time(min(job.enqueued_at for job in run.jobs())), count(len(run.statuses), "job")
    if run.done:
        console.print(f"\nCarrying on with the demo of {began}: all of its {jobs} are finished.")
        return
    console.print(
        f"\nCarrying on with the demo of {began}: {run.finished:,} of its {jobs} "
        f"{'is' if run.finished == 1 else 'are'} finished, and none is enqueued again. {_who_works(run)}"
    )


def _who_works(run: Run) -> str:
    if run.found_worker:
        return f"The worker {run.found_worker} is there already."
    return "The runner that does them starts by itself."
