"""Starting the runner: a background process of its own session that outlives its caller and leaves it no zombie."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, Literal

import msgspec

from lateshift.errors import SpawnError
from lateshift.settings import Settings, to_environment
from lateshift.storage.database import undivided
from lateshift.storage.files import make_private

Role = Literal["runner", "worker", "child"]
"""What a process of ours is."""

ENTRIES: Final[dict[Role, tuple[str, ...]]] = {
    "runner": ("lateshift.runtime.process", "runner"),
    "worker": ("lateshift.runtime.process", "worker"),
    "child": ("lateshift.runtime.child",),
}
"""The module whose `main()` is one, and its arguments."""

BEGIN: Final = "import sys; sys.path[:0] = [each for each in {} if each not in sys.path]; from {} import main; main()"
"""Run by the Python of a process of ours. It finds Lateshift and msgspec where this one has found them: in PEX, under
mod_wsgi and after `sys.path.insert` an interpreter knows of neither. A PYTHONPATH would reach what jobs start."""

ROLE_OPTION: Final = "--lateshift-process"
"""What makes a frozen program one, before the role."""

PROCESS_VARIABLE: Final = "_LATESHIFT_PROCESS"
"""The environment variable that carries, as JSON, what a process of ours has to know beside its settings."""

CHILD_VARIABLE: Final = "_LATESHIFT_CHILD"
"""The same for the child process of an isolated job."""

LOG_LIMIT: Final = 1_000_000
"""Bytes of runner.log beyond which the next start empties it: it only holds what nobody meant to print."""

INTERMEDIATE: Final = "import os, sys; os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ); os._exit(0)"
"""Run by a bare Python that ends at once, so that the runner is the system's child and not the caller's.

Forking the caller itself is no choice: it may have threads, which since Python 3.12 warns and at times deadlocks.
"""


_program: list[str] = []
"""The frozen program that can be started as a process of ours; see `freeze_support`."""


def is_frozen() -> bool:
    """Whether this program has Python in it, and no interpreter beside it (PyInstaller, cx_Freeze, Nuitka)."""
    return bool(getattr(sys, "frozen", False)) or hasattr(sys.modules.get("__main__"), "__compiled__")  # Nuitka's


def offer_program() -> None:
    """Note that this frozen program becomes what `ROLE_OPTION` says when it is started with that."""
    # Nuitka's sys.executable is an interpreter that is not there.
    _program[:] = [sys.executable if getattr(sys, "frozen", False) else os.path.abspath(sys.argv[0])]


def command_of(role: Role) -> list[str]:
    """The command that makes another process of ours, from one of them. Raises SpawnError where there is none."""
    if not is_frozen():
        module, *arguments = ENTRIES[role]
        return [sys.executable, *arguments_for(module), *arguments]
    if not _program:
        raise _no_runner(
            "this program is frozen and does not call `lateshift.freeze_support()`, first of all under "
            '`if __name__ == "__main__":`'
        )
    return [*_program, ROLE_OPTION, role]


def arguments_for(module: str) -> list[str]:
    """Python's arguments that make it the `main()` of a module of ours, with the options that this process has.

    Never from the current folder (-P), whose `queue.py` may be anybody's.
    """
    with undivided():
        import subprocess

    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001 - multiprocessing's
    homes = dict.fromkeys((Path(__file__).absolute().parents[2], Path(msgspec.__file__).absolute().parents[1]))
    return [*options, "-P", "-c", BEGIN.format(ascii([*map(str, homes)]), module)]


def start_runner(settings: Settings, arguments: Sequence[str] = ()) -> None:
    """Start the runner in the background and come back as soon as that is done, without waiting for its first claim.

    Raises SpawnError, with the remedy, when no process could be started. `arguments` are Python's, in place of ours.
    """
    try:
        command = command_of("runner")
        if not is_frozen():
            command = [_interpreter(), *(arguments or command[1:])]
        environment = _environment(settings)
        with _open_log(settings.storage_dir) as log:
            _start(command, environment, log)
    except (OSError, ValueError) as error:  # ValueError: an environment that no process can be given
        raise _no_runner(f"{type(error).__name__}: {error}") from error


def describe_process() -> dict[str, object]:
    """What a process started by this one needs to import the same jobs: `sys.path` made absolute, and whose it is.

    Nothing for a frozen program: each process of it has its modules in itself, or unpacks them for itself.
    """
    if is_frozen():
        return {}
    path = [path for entry in sys.path if (path := _absolute(entry)) is not None]
    return {"path": path, "python": sys.version, "prefixes": [sys.prefix, sys.base_prefix]}


def take_path(told: Mapping[str, Any]) -> None:
    """Look for modules where the process does that has told this one about itself, by `describe_process`.

    But for those of Python, if there is another one now in its place, as when a virtual environment is made anew with
    a newer version: a process with the modules of the old one dies at once, and so does each that comes after it.
    """
    path = told.get("path", sys.path)
    if told.get("python", sys.version) != sys.version:
        old = tuple(os.path.join(prefix, "lib") for prefix in told["prefixes"])
        path = [*(entry for entry in path if not entry.startswith(old)), *sys.path]
    sys.path[:] = path


def unpacked_anew() -> dict[str, str]:
    """The environment by which a frozen program does not share our unpacked files, which vanish when we end."""
    return {"PYINSTALLER_RESET_ENVIRONMENT": "1"} if is_frozen() else {}


def _environment(settings: Settings) -> dict[str, str]:
    with undivided():
        import json

    told = {PROCESS_VARIABLE: json.dumps(describe_process())}
    return {**os.environ, **unpacked_anew(), **to_environment(settings), **told}


def _absolute(entry: object) -> str | None:
    try:
        return os.path.abspath(entry) if isinstance(entry, str) else None
    except OSError:  # the current folder was deleted, so nothing can be imported from it either
        return None


def _interpreter() -> str:
    """The Python to run. Under uWSGI and mod_wsgi `sys.executable` is something else, or empty.

    Not pythonw.exe: it has no console that stays hidden, so each program that a job starts would open a window.
    """
    executable = sys.executable or ""
    if os.path.basename(executable).lower() == "pythonw.exe":
        beside = os.path.join(os.path.dirname(executable), "python.exe")
        executable = beside if os.path.exists(beside) else executable
    if os.path.basename(executable).lower().startswith(("python", "pypy", "graalpy")):
        return executable
    for name in ("bin/python3", "bin/python", "python.exe"):
        candidate = os.path.join(sys.prefix, name)
        if os.access(candidate, os.X_OK):
            return candidate
    raise _no_runner(f"no Python interpreter is known (sys.executable is {executable!r}, and none is in {sys.prefix})")


def _no_runner(reason: str) -> SpawnError:
    """The error that says why there is no runner, and what to do."""
    return SpawnError(
        f"No runner could be started: {reason}. Run `lateshift work` on this machine to have the jobs done, and set "
        "LATESHIFT_SPAWN=never if workers are always started that way."
    )


def _open_log(storage_dir: Path) -> IO[bytes]:
    """runner.log, for what escapes to standard output and error; the null device if it cannot be opened."""
    folder = storage_dir / "logs"
    try:
        make_private(folder)
        handle = os.open(folder / "runner.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        return open(os.devnull, "wb")
    if os.fstat(handle).st_size > LOG_LIMIT:
        os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_END)  # Windows hands the position on, but not that writing means appending
    return os.fdopen(handle, "wb")


if sys.platform == "win32":

    def _start(command: list[str], environment: dict[str, str], log: IO[bytes]) -> None:
        """No console window, and out of the caller's job object if that permits it, so as not to end with it."""
        import subprocess

        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        files: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        try:
            free = flags | subprocess.CREATE_BREAKAWAY_FROM_JOB
            process = subprocess.Popen(command, env=environment, creationflags=free, **files)
        except OSError:
            process = subprocess.Popen(command, env=environment, creationflags=flags, **files)
        process.returncode = 0  # it is not ours to wait for; without this, Popen warns when it is collected

else:

    def _start(command: list[str], environment: dict[str, str], log: IO[bytes]) -> None:
        """In a session of its own. The first process of a container gets orphans back, so there a thread awaits it.

        And in a frozen program, which is slow to start, and no Python for what stands between.
        """
        import threading

        with undivided():
            import subprocess

        awaited = os.getpid() == 1 or is_frozen()
        arguments = command if awaited else [command[0], "-S", "-P", "-c", INTERMEDIATE, *command]
        process = subprocess.Popen(
            arguments, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        if awaited:
            with suppress(RuntimeError):  # no thread is to be had: `subprocess` collects it at a later start
                threading.Thread(target=process.wait, name="lateshift-reaper", daemon=True).start()
        elif process.wait() != 0:
            raise OSError(f"{command[0]} ended with exit code {process.returncode}; runner.log has its message")
