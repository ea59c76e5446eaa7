"""The databases that the suite runs on, and what its tests are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from storage_steps import Place, Steps

from lateshift.testing import FrozenClock

NOON = datetime(2025, 6, 15, 12, tzinfo=UTC)  # past, so that what is due here is due by the real clock as well


def sqlite(folder: Path) -> Iterator[str]:
    """A file in the test's own folder."""
    yield f"sqlite:///{folder}/jobs/lateshift.db"


# Another database is one entry: a generator that takes a folder, yields the URL of an empty database and drops it.
DATABASES: dict[str, Callable[[Path], Iterator[str]]] = {"sqlite": sqlite}


@pytest.fixture
def clock() -> FrozenClock:
    """Noon, until a test moves it."""
    return FrozenClock(NOON)


@pytest.fixture(params=DATABASES)
def place(request, tmp_path: Path, clock: FrozenClock) -> Iterator[Place]:
    """An empty database of each kind, not opened yet."""
    source = DATABASES[request.param](tmp_path)
    place = Place(request.param, next(source), clock)
    yield place
    place.close()
    next(source, None)


@pytest.fixture
def database(place: Place):
    """An empty database, under the frozen clock."""
    return place.open()


@pytest.fixture
def steps(database, clock: FrozenClock) -> Steps:
    """What a worker and an operator do, on that database."""
    return Steps(database, clock)
