"""Counts that stop say so."""

from __future__ import annotations

import pytest

from lateshift.storage.counting import COUNT_LIMIT, Count


@pytest.mark.parametrize(
    ("number", "short", "words"),
    [
        (0, "0", "0 jobs"),
        (1, "1", "1 job"),
        (1_204, "1,204", "1,204 jobs"),
        (COUNT_LIMIT, "10,000", "10,000 jobs"),
        (COUNT_LIMIT + 1, "10,000+", "more than 10,000 jobs"),
    ],
)
def test_a_bounded_count_tells_whether_it_stopped(number, short, words):
    """In a figure as in a sentence."""
    count = Count.of(number)
    assert (str(count), count.words("job")) == (short, words)
