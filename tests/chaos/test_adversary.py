"""The adversary of the fault suite does not stand in its own way."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from types import SimpleNamespace

from adversary import Adversary

from lateshift import Lateshift


def test_it_undoes_what_is_due_while_it_waits_for_the_lock_of_sqlite(tmp_path):
    """Who was stopped with SQLite's lock held it for ever: the only one who would have woken it waited for it."""
    link = f"sqlite:///{tmp_path}/lateshift.db"
    settings = {"allowed": ["app"], "database_url": link, "storage_dir": tmp_path, "spawn": "never"}
    Lateshift(**settings).list_jobs()
    (tmp_path / "journals").mkdir()
    cluster = SimpleNamespace(direct=link, folder=tmp_path, app=lambda **more: Lateshift(**settings, **more))
    adversary = Adversary(cluster, None, seed=1)
    adversary._begin(adversary.lock_database)
    adversary._begin(adversary.pause_queue)
    assert adversary.counts == {"lock_database": 1, "pause_queue": 1}
    assert [name for *_, name, _ in adversary._undoing] == ["pause_queue"]
    adversary._undo(float("inf"))
    with closing(sqlite3.connect(tmp_path / "lateshift.db")) as own:
        assert own.execute("select count(*) from lateshift_queues where paused_at is not null").fetchone() == (0,)
