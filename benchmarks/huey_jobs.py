"""The same job for Huey. Its storage comes from the environment, since the consumer imports this module by name."""

from __future__ import annotations

import os

from huey import Huey, RedisHuey, SqliteHuey


def make() -> Huey:
    """Huey as installed on SQLite or Redis, or on SQLite without waiting for the disk."""
    kind, where = os.environ["BENCH_HUEY"].split(" ", 1)
    if kind == "redis":
        return RedisHuey("bench", port=int(where))
    return SqliteHuey("bench", filename=where, fsync=False if kind == "sqlite-unsafe" else None)


huey = make()


@huey.task()
def noop(n: int) -> None:
    """Do nothing with a number."""
