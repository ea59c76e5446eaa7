"""Connections to PostgreSQL: what its URL means, how long an answer is waited for, and one that hears of new jobs.

An answer that does not come in time ends the connection: a cut cable or a frozen server would hold it for ever.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Generator
from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg.conninfo import conninfo_to_dict

from lateshift.clock import steady
from lateshift.errors import SettingsError
from lateshift.settings import mask_secrets, mask_url
from lateshift.storage.database import Row

T = TypeVar("T")

LISTEN_TURN: Final = 5.0
"""Seconds after which a listening connection is asked whether it still lives."""


class PatientConnection(psycopg.Connection[Row]):
    """A connection that waits for an answer `patience` seconds and then is broken, as its server may be."""

    patience: float = 10.0

    def wait(self, gen: Generator[Any, Any, T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait as psycopg does, which looks at its socket every `interval` seconds, but not for ever."""
        if timeout is not None:  # as in `notifies`, for which silence is no sign of a broken connection
            return super().wait(gen, interval, timeout)
        return super().wait(self._limited(gen), interval)

    def _limited(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        deadline = steady() + self.patience
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and steady() > deadline:
                    self.pgconn.finish()  # or psycopg would wait anew, and tell of a pipeline that it cannot leave
                    gen.close()
                    raise psycopg.OperationalError(f"no answer within {self.patience:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return cast("T", end.value)


class PostgresListener(threading.Thread):
    """Hears what is announced, on a connection of its own, which it opens again whenever it is lost."""

    def __init__(self, url: str, channel: str, timeout: float, hear: Callable[[], None]) -> None:
        super().__init__(name="lateshift-listens", daemon=True)
        self.listening = False
        self._url, self._channel, self._timeout, self._hear = url, channel, timeout, hear
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        """Listen until closed."""
        pause = 0.1
        while not self._ended.is_set():
            try:
                with open_connection(self._url, self._timeout, 4 * LISTEN_TURN) as connection:
                    connection.execute(f'listen "{self._channel}"')
                    pause = 0.1
                    self._listen(connection)
            except psycopg.Error:
                self.listening = False
                self._ended.wait(pause * random.uniform(0.5, 1.0))
                pause = min(5.0, pause * 2)

    def close(self) -> None:
        """End soon; the thread is a daemon, and nobody waits for it."""
        self._ended.set()

    def _listen(self, connection: psycopg.Connection[Row]) -> None:
        self.listening = True
        self._hear()  # what was announced while nobody listened
        while not self._ended.is_set():
            for _ in connection.notifies(timeout=LISTEN_TURN):
                self._hear()
            connection.execute("select 1")  # a cut cable says nothing by itself


def check_url(url: str) -> None:
    """Raise SettingsError for a URL that libpq does not understand, without the password that may be the reason."""
    try:
        given = conninfo_to_dict(url)
        said = "" if re.fullmatch(r"[0-9]{0,5}(,[0-9]{0,5})*", str(given.get("port", ""))) else "its port is none"
    except psycopg.ProgrammingError as error:
        said = mask_secrets(" ".join(str(error).split()), url)
    if said:
        raise SettingsError(
            f"LATESHIFT_DATABASE_URL {mask_url(url)} cannot be read: {said}. Special characters of a password are "
            "written as %XX: %2F for /, %25 for %."
        )


def open_connection(url: str, timeout: float, patience: float) -> PatientConnection:
    """Connect within `timeout` seconds (libpq knows whole ones from 2 up); answers have to come within `patience`."""
    given = conninfo_to_dict(url)
    several = "," in str(given.get("host", ""))
    options: dict[str, Any] = {
        "connect_timeout": max(2, round(timeout)),
        "client_encoding": "UTF8",
        "application_name": "lateshift",
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": round(patience * 1000),
        **({"target_session_attrs": "read-write"} if several else {}),  # of a cluster: the primary
    }
    chosen = {name: value for name, value in options.items() if name not in given}
    connection = PatientConnection.connect(url, autocommit=True, **chosen)
    connection.patience = patience
    return connection
