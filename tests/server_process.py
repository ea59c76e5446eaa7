"""A server's program under test: not as root, in a session of its own, and gone when the process that started it is.

Run as a script, this file is the watchdog, which sees to the last of these.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import SystemRandom

import psutil

PATIENCE = 60  # seconds for a start or a stop, on a machine that others load as well


class ServerFailed(Exception):
    """A program did not start, or not to its end; the message has the end of its log."""


def suspend(process: psutil.Process) -> None:
    """Stop a process, and come back when it has stopped: on a busy machine it may go on for a moment, and answer."""
    process.suspend()
    while is_alive(process) and process.status() != psutil.STATUS_STOPPED:
        time.sleep(0.001)


class ServerProcess:
    """One server program, which can be started again and again; `connect` raises until it takes connections."""

    def __init__(self, command: Sequence[str], folder: Path, connect: Callable[[], object]) -> None:
        self.name = Path(command[0]).name
        self.command = command
        self.folder = folder
        self.log = folder / f"{self.name}.log"
        self._connect = connect
        self._process: subprocess.Popen | None = None

    @property
    def pid(self) -> int:
        """The number of the process that was started, not of its children."""
        assert self._process, f"{self.name} was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, or let it go on, and return when it takes connections."""
        if self.running:
            return self.resume()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **ways(self.folder),
            )
        watchdog().tell("watch", self.pid)
        return self._wait_for_connections()

    def stop(self, number: signal.Signals) -> None:
        """Ask it to end, with the signal that its manual names, and wait until it has."""
        if not self.running:
            return
        self.resume()
        self._process.send_signal(number)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise self._failure(f"did not stop within {PATIENCE} seconds of {number.name}") from None
        watchdog().tell("forget", self.pid)

    def kill(self) -> None:
        """End it and its children at once, without a chance to do anything about it."""
        if self.running:
            kill_family(psutil.Process(self.pid))
            self._process.wait()
            watchdog().tell("forget", self.pid)

    def pause(self) -> None:
        """Keep it from answering: connections stay open, and new ones are still made by the kernel."""
        stopped = psutil.Process(self.pid)
        suspend(stopped)  # first, since it starts the others
        for child in stopped.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                suspend(child)

    def resume(self) -> None:
        stopped = psutil.Process(self.pid)
        for process in [*stopped.children(recursive=True), stopped]:
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def _wait_for_connections(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while refusal := self._refusal():
            if not self.running or time.monotonic() > deadline:
                self.kill()
                raise self._failure(f"did not start: {refusal}")
            time.sleep(0.02)

    def _refusal(self) -> Exception | None:
        try:
            self._connect()
        except Exception as refusal:
            return refusal
        return None

    def _failure(self, what: str) -> ServerFailed:
        log = self.log.read_text(errors="replace").splitlines()[-30:]
        return ServerFailed("\n".join([f"{self.name} {what}", f"The end of {self.log}:", *log]))


class Watchdog:
    """Kills the servers that are left, and removes their folders, when this process ends: also after a SIGKILL.

    It reads a pipe whose other end this process alone holds, and which the kernel closes in any case. The parent-death
    signal (prctl) would need no second process, but only Linux has it, it is lost when a program changes its user,
    and it does not reach the children of a server that is paused, as in a test it may well be.
    """

    def __init__(self) -> None:
        quiet = subprocess.DEVNULL  # or `pytest | tee` would wait for it
        command = [sys.executable, __file__]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, text=True, start_new_session=True
        )
        atexit.register(self._end)

    def tell(self, verb: str, what: object) -> None:
        self._process.stdin.write(f"{verb} {what}\n")
        self._process.stdin.flush()

    def _end(self) -> None:
        self._process.stdin.close()
        self._process.wait()


@cache
def watchdog() -> Watchdog:
    return Watchdog()


def watch(lines: Iterable[str]) -> None:
    """What the watchdog does: listen until the line goes dead, then clear up."""
    servers: dict[int, psutil.Process] = {}
    folders: list[str] = []
    for line in lines:
        verb, _, what = line.rstrip("\n").partition(" ")
        if verb == "watch":
            with suppress(psutil.NoSuchProcess):
                servers[int(what)] = psutil.Process(int(what))
        elif verb == "forget":
            servers.pop(int(what), None)
        else:
            folders.append(what)
    for server in servers.values():
        kill_family(server)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def kill_family(parent: psutil.Process) -> None:
    """Kill a process and its children, and wait until none is left that could hold a file or a port."""
    with suppress(psutil.NoSuchProcess):
        parent.suspend()  # so that no child is born while they are being counted
        family = [*parent.children(recursive=True), parent]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        while any(map(is_alive, family)):
            time.sleep(0.005)


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; in a container nobody may ever collect a zombie."""
    try:
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def new_folder(*, on_disk: bool = False) -> Path:
    """A folder for servers: one that their user can enter, unlike pytest's, and that goes when this process does.

    In memory where there is some: PostgreSQL makes and drops a database in 20 to 40 ms there, in up to 250 on a disk
    that others use. A benchmark wants the disk.
    """
    folder = Path(tempfile.mkdtemp(prefix="lateshift-servers-", dir=None if on_disk else memory()))
    folder.chmod(0o755)
    watchdog().tell("remove", folder)
    return folder


def memory() -> Path | None:
    """A folder in memory, where there is enough to spare; Wine shows it to Windows as well, which is not to know."""
    place = Path("/dev/shm")
    spare = os.name != "nt" and os.access(place, os.W_OK) and shutil.disk_usage(place).free > 4 << 30
    return place if spare else None


def own_folder(folder: Path, name: str) -> Path:
    """A folder inside for one server, which belongs to the user it runs as."""
    own = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
    give_away(own)
    try:
        subprocess.run(["true"], check=True, **ways(own))
    except PermissionError:
        raise ServerFailed(
            f"{name} must not run as root, and its user cannot enter {folder}: see new_folder()."
        ) from None
    return own


def give_away(*paths: Path) -> None:
    if account():
        for path in paths:
            shutil.chown(path, *account())


@cache
def account() -> tuple[int, int] | None:
    """The user and group that servers run as if we are root, as which PostgreSQL and PgBouncer refuse to run."""
    if os.geteuid() != 0:
        return None
    import pwd

    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = users.get("postgres") or users["nobody"]
    return user.pw_uid, user.pw_gid


def ways(folder: Path) -> Mapping[str, object]:
    """How a program of a server runs, for subprocess: where, as whom, and without PGPORT and the like of our caller."""
    options = {"cwd": folder, "env": {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)}}
    if account():
        user, group = account()
        options |= {"user": user, "group": group, "extra_groups": []}
    return options


def find(program: str) -> str | None:
    """Where a program is; Debian's servers lie where only root looks."""
    return shutil.which(program, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"]))


def free_port() -> int:
    """A port that stays ours while the server is down.

    It is below those that the kernel hands out: of these, a client that keeps calling a stopped server can be given
    the server's own port, and is then connected to itself.
    """
    while True:
        port = SystemRandom().randrange(20_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


if __name__ == "__main__":
    watch(sys.stdin)
