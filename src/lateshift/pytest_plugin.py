"""Fixtures for pytest, installed with the package.

@pytest.fixture
def lateshift_settings():
    return {"allowed": ["shop"], "max_retries": 0}

def test_an_order_sends_a_receipt(lateshift_app):
    order_a_book()
    assert_enqueued(SendReceipt)
    assert [job.status for job in drain()] == ["completed"]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lateshift.app import Lateshift
    from lateshift.testing import FrozenClock


@pytest.fixture
def lateshift_settings() -> dict[str, Any]:
    """Override it, in a module or a conftest, to say which settings `lateshift_app` has besides the project's own.

    Jobs that are defined in the test module itself are allowed by `{"allowed": [__name__]}`.
    """
    return {}


@pytest.fixture
def lateshift_clock() -> FrozenClock:
    """The clock of `lateshift_app`: it stands still until a test calls `.move(seconds)`."""
    from lateshift.testing import FrozenClock  # here and below, because every run of pytest imports this module

    return FrozenClock()


@pytest.fixture
def lateshift_app(lateshift_settings: dict[str, Any], lateshift_clock: FrozenClock) -> Iterator[Lateshift]:
    """The default application object for one test, on an empty database; jobs wait until the test drains them."""
    from lateshift.testing import isolated

    with isolated(clock=lateshift_clock, **lateshift_settings) as app:
        yield app


@pytest.fixture
def lateshift_inline(lateshift_app: Lateshift) -> Iterator[Lateshift]:
    """As `lateshift_app`, and each job runs at once when it is enqueued."""
    from lateshift.testing import inline

    with inline(lateshift_app) as app:
        yield app
