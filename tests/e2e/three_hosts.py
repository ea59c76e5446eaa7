"""Three hosts on one machine, as network namespaces with names of their own: a database, and two with workers.

with three_hosts() as hosts:
    hosts.run("worker-1", [...])     a process there
    hosts.cut("worker-1")            its cable is pulled
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from database_servers import ServerMissing

NETWORK = "10.231.77"
"""Addresses that exist in these namespaces only."""

NAMES = ("database", "worker-1", "worker-2")


class Forbidden(Exception):
    """This kernel does not allow network namespaces."""


class Hosts:
    """The namespaces `ls<mark>-<name>`, joined by a bridge in that of the database."""

    def __init__(self) -> None:
        self.mark = secrets.token_hex(2)
        self.processes: list[subprocess.Popen[str]] = []

    def space(self, name: str) -> str:
        return f"ls{self.mark}-{name}"

    def address(self, name: str) -> str:
        return f"{NETWORK}.{NAMES.index(name) + 1}"

    def make(self) -> None:
        for name in NAMES:
            ip("netns", "add", self.space(name))
            self.inside(name, "link", "set", "lo", "up")
        self.inside("database", "link", "add", "bridge", "type", "bridge")
        self.inside("database", "addr", "add", f"{self.address('database')}/24", "dev", "bridge")
        self.inside("database", "link", "set", "bridge", "up")
        for name in NAMES[1:]:
            self.inside("database", "link", "add", name, "type", "veth", "peer", "name", "cable")
            self.inside("database", "link", "set", "cable", "netns", self.space(name))
            self.inside("database", "link", "set", name, "master", "bridge", "up")
            self.inside(name, "addr", "add", f"{self.address(name)}/24", "dev", "cable")
            self.inside(name, "link", "set", "cable", "up")

    def remove(self) -> None:
        for process in self.processes:
            with process:
                process.kill()
        for name in NAMES:
            subprocess.run(["ip", "netns", "delete", self.space(name)], check=False, capture_output=True)

    def inside(self, name: str, *words: str) -> None:
        ip("-netns", self.space(name), *words)

    def cut(self, name: str) -> None:
        """Pull a worker's cable: what it sends is lost, and nobody tells either side."""
        self.inside("database", "link", "set", name, "down")

    def mend(self, name: str) -> None:
        self.inside("database", "link", "set", name, "up")

    def run(self, name: str, command: Sequence[str], **options: object) -> subprocess.Popen[str]:
        """Start a process on a host, under the host's own name."""
        named = ["unshare", "--uts", "sh", "-c", f'hostname {name} && exec "$@"', "sh", *command]
        process = subprocess.Popen(["ip", "netns", "exec", self.space(name), *named], text=True, **options)
        self.processes.append(process)
        return process


@contextmanager
def three_hosts() -> Iterator[Hosts]:
    """Make them, and remove them with what runs there. Raises Forbidden, ServerMissing."""
    if sys.platform != "linux":
        raise Forbidden("only Linux has network namespaces")
    if os.geteuid() != 0 or not shutil.which("ip"):
        raise ServerMissing("Network namespaces need root and iproute2.")
    hosts = Hosts()
    try:
        hosts.make()
        yield hosts
    finally:
        hosts.remove()


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    if "not permitted" in done.stderr or "not supported" in done.stderr:
        raise Forbidden(done.stderr.strip())
    raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
