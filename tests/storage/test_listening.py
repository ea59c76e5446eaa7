"""Listening for new jobs on PostgreSQL."""

import time

import pytest

from lateshift.storage import postgres_connection


@pytest.mark.parametrize("bare", ["postgres"], indirect=True)
def test_silence_does_not_break_the_connection(database, monkeypatch):
    """Where nothing is told for long the listener stays connected; it looks for jobs whenever it has to connect."""
    monkeypatch.setattr(postgres_connection, "LISTEN_TURN", 0.1)
    heard = []
    listener = database.listen(lambda: heard.append(1))
    time.sleep(1)
    assert heard == [1]
    listener.close()
    listener.join()
