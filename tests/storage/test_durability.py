"""What a commit of SQLite waits for."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("bare", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("settings", "synchronous"), [({}, 2), ({"sqlite_durability": "normal"}, 1)])
def test_a_commit_waits_for_the_disk_unless_it_is_told_not_to(bare, settings, synchronous):
    """2 is SQLite's `full`: in WAL mode each commit is synchronised. With `normal` only checkpoints are."""
    database = bare.open(**settings)
    assert database.query("pragma journal_mode") == [("wal",)]
    assert database.query("pragma synchronous") == [(synchronous,)]
