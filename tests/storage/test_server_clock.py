"""On a database server its clock counts, for whoever asks."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from lateshift import Lateshift
from lateshift.dashboard.desk import Desk
from lateshift.runtime.process import TakeBack
from lateshift.settings import load_settings
from lateshift.storage import open_database, server
from lateshift.storage.migrations import migrate


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_the_servers_clock_counts(kind, request, tmp_path, monkeypatch):
    """On a host whose clock is an hour off it is the server's time, at once and carried on.

    A supervisor there gave jobs back that were due in an hour, and the dashboard took the workers for dead.
    """
    url = request.getfixturevalue(f"{kind}_url")
    with closing(open_database(load_settings(database_url=url), as_is=True)) as database:
        migrate(database)
    app = Lateshift(database_url=url, storage_dir=tmp_path, allowed=["app"])
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3600 * 10**9)
    monkeypatch.setattr(time, "time", lambda: real() / 1e9 + 3600)
    ways = app.database, TakeBack(app).db, Desk(app, None, read_only=False).database
    for ask in [app.database.reckon, *(database.now for database in ways * 2)]:
        assert abs(ask() - real() // 1000) < 2_000_000
    for database in ways:
        database.close()


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_an_outage_is_no_round_trip(kind, request, monkeypatch):
    """The server is asked, is gone for six seconds, and answers: the time was three seconds ahead for the next ten."""
    url, real, outages = request.getfixturevalue(f"{kind}_url"), server.elapsed_ns, []
    monkeypatch.setattr(server, "elapsed_ns", lambda: real() + 6_000_000_000 * len(outages))
    with closing(open_database(load_settings(database_url=url), as_is=True)) as database:
        database.query("select 1")
        database._idle[0].close()
        database.while_locked = lambda: outages.append(1)
        assert abs(database.now() - time.time_ns() // 1000) < 1_000_000
    assert outages
