"""The same job for Procrastinate. The database comes from the environment, since its worker imports this by name."""

from __future__ import annotations

import os

from procrastinate import App, PsycopgConnector
from rates import one_by_one, rate

app = App(connector=PsycopgConnector(conninfo=os.environ["BENCH_URL"]))


@app.task(name="noop")
def noop(n: int) -> None:
    """Do nothing with a number."""


def fill(count: int) -> None:
    """Enqueue that many jobs at once."""
    with app.open():
        noop.batch_defer(*({"n": n} for n in range(count)))


def enqueue_rate(count: int) -> float:
    """Jobs enqueued a second, one call after the other."""
    with app.open():
        return rate(one_by_one(lambda n: noop.defer(n=n)), count)
