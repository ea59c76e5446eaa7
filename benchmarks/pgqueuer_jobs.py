"""The same job for PGQueuer: its worker (`python pgqueuer_jobs.py BATCH connection|pool`), and what fills its queue.

The database is that of the environment variable PGQUEUER_DSN, which PGQueuer reads by itself. Everything runs on
uvloop and asyncpg, its fastest way, and the one that its own command takes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import pgqueuer
import uvloop
from pgqueuer import Job, PgQueuer, Queries
from pgqueuer.adapters.connections import connect_asyncpg, create_asyncpg_pool
from pgqueuer.db import AsyncpgDriver
from rates import rate

T = TypeVar("T")

CHUNK = 1_000


@asynccontextmanager
async def on_connection() -> AsyncIterator[PgQueuer]:
    """A worker over one connection."""
    async with connect_asyncpg() as connection:
        yield _with_job(PgQueuer.from_asyncpg_connection(connection))


@asynccontextmanager
async def on_pool() -> AsyncIterator[PgQueuer]:
    """A worker over a pool, so that it settles while it claims."""
    async with create_asyncpg_pool() as pool:
        yield _with_job(PgQueuer.from_asyncpg_pool(pool))


WORKERS: dict[str, Callable[[], AbstractAsyncContextManager[PgQueuer]]] = {"connection": on_connection, "pool": on_pool}


def fill(count: int) -> None:
    """Enqueue that many jobs, many at once."""

    async def enqueue(queries: Queries) -> None:
        for first in range(0, count, CHUNK):
            numbers = range(first, min(first + CHUNK, count))
            await queries.enqueue(["noop"] * len(numbers), [_payload(n) for n in numbers], [0] * len(numbers))

    uvloop.run(_connected(enqueue))


def enqueue_rate(count: int) -> float:
    """Jobs enqueued a second, one call after the other on one connection."""

    async def enqueue(queries: Queries, count: int) -> None:
        for n in range(count):
            await queries.enqueue("noop", _payload(n))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        manager = connect_asyncpg()
        queries = Queries(AsyncpgDriver(runner.run(manager.__aenter__())))
        try:
            return rate(lambda count: runner.run(enqueue(queries, count)), count)
        finally:
            runner.run(manager.__aexit__(None, None, None))


async def _connected(work: Callable[[Queries], Awaitable[T]]) -> T:
    async with connect_asyncpg() as connection:
        return await work(Queries(AsyncpgDriver(connection)))


def _with_job(pgq: PgQueuer) -> PgQueuer:
    @pgq.entrypoint("noop")
    async def noop(job: Job) -> None:
        """Do nothing with the number in the payload."""

    return pgq


def _payload(n: int) -> bytes:
    return b'{"n":%d}' % n


if __name__ == "__main__":
    uvloop.run(pgqueuer.run(WORKERS[sys.argv[2]], batch_size=int(sys.argv[1])))
