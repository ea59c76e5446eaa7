"""A statement whose answer is lost with its connection is done again, and whoever asked can tell."""

from __future__ import annotations

from contextlib import closing

import pytest

from lateshift.settings import load_settings
from lateshift.storage import open_database


@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_what_is_done_again_is_counted(server, request):
    """What was done the first time may stand: a worker looks whether it holds more jobs than it knows of."""
    url = request.getfixturevalue(f"{server}_url")
    with closing(open_database(load_settings(database_url=url), as_is=True)) as database:
        database.query("select 1")
        [link] = database._idle
        real = link.query

        def lost(sql, parameters):
            real(sql, parameters)
            link.close()
            return real(sql, parameters)

        link.query = lost
        assert database.repeats == 0
        assert database.query("select 2") == [(2,)]
        assert database.repeats == 1
