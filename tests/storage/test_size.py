"""How much room the tables take, by the database's own count."""

from __future__ import annotations

from lateshift.storage import health


def test_the_size_grows_with_what_is_stored(steps):
    """It is some kilobytes for empty tables, and at least that much with a job in them."""
    before = health.size(steps.db)
    assert 10_000 < before < 50_000_000
    steps.enqueue()
    assert health.size(steps.db) >= before
