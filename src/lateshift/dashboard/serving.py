"""Serving the dashboard by itself, with uvicorn: `lateshift dashboard`."""

from __future__ import annotations

import socket
from types import FrameType
from typing import Final

import uvicorn

from lateshift.app import Lateshift
from lateshift.dashboard.access import is_loopback
from lateshift.dashboard.application import create_dashboard
from lateshift.dashboard.desk import Desk
from lateshift.errors import SettingsError

PORT: Final = 8642
TRIED: Final = 20
"""Ports that are tried, one after the other, when the first is taken and nobody asked for it."""


class Server(uvicorn.Server):
    """uvicorn, ending the streams of open pages first: it would wait for them."""

    def __init__(self, config: uvicorn.Config, desk: Desk) -> None:
        super().__init__(config)
        self._desk = desk

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """At Ctrl-C and SIGTERM."""
        self._desk.watcher.close()
        super().handle_exit(sig, frame)


class Serving:
    """The dashboard on a port of its own. Raises SettingsError when it may not be, OSError when no port is free.

    `root_path` is what a proxy takes off: empty, or as `/jobs`.
    """

    def __init__(self, app: Lateshift, host: str, port: int | None, *, read_only: bool, root_path: str = "") -> None:
        made = create_dashboard(app, read_only=read_only or None)
        self.desk: Desk = made.state.desk
        if self.desk.access.is_open and not is_loopback(host):
            raise _open_to(host, "--host")
        if self.desk.access.is_open and root_path:
            raise _open_to("the proxy in front of it", "--root-path")
        self.socket = _bind(host, port)
        self.host, self.port = host, self.socket.getsockname()[1]
        # Who asks is told by the connection; proxies that may say more are named in LATESHIFT_DASHBOARD_PROXIES.
        config = uvicorn.Config(
            made,
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            access_log=False,
            root_path=root_path,
        )
        self._server = Server(config, self.desk)

    @property
    def link(self) -> str:
        """Where it is to be found."""
        host = "127.0.0.1" if self.host in ("", "0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM."""
        try:
            self._server.run(sockets=[self.socket])
        finally:
            self.desk.close()

    def stop(self) -> None:
        """End `run`, which goes on in another thread."""
        self._server.should_exit = True
        self.desk.watcher.close()


def _open_to(reached: str, option: str) -> SettingsError:
    return SettingsError(
        f"The dashboard would be open to everybody who reaches {reached}. Set LATESHIFT_DASHBOARD_TOKEN or "
        "LATESHIFT_DASHBOARD_USERS first, or name a proxy that has users in LATESHIFT_DASHBOARD_PROXIES and "
        f"LATESHIFT_DASHBOARD_PROXY_HEADER, or leave {option} out."
    )


def _bind(host: str, port: int | None) -> socket.socket:
    """A listening socket; without a port of one's own, on the first that is free from 8642 on."""
    ports = range(PORT, PORT + TRIED) if port is None else [port]
    for number in ports:
        try:
            family = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0][0]
            return socket.create_server((host, number), family=family, backlog=128)
        except OSError:
            if number == ports[-1]:
                raise
    raise AssertionError
