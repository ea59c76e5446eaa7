"""Histograms: what goes in comes out near enough, and sums are sums."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateshift import histogram

durations = st.lists(st.integers(0, 10**11), min_size=1, max_size=50)


def counted(microseconds: list[int]) -> list[int]:
    """The buckets of some durations."""
    lengths = [0] * histogram.LENGTHS
    for duration in microseconds:
        lengths[duration.bit_length()] += 1
    return histogram.by_length(lengths)


@given(durations)
def test_encoding_keeps_every_count(microseconds):
    """A histogram reads back as it was written."""
    buckets = counted(microseconds)
    assert sum(buckets) == len(microseconds)
    assert histogram.total([histogram.encode(buckets)]) == buckets


@given(durations, durations)
def test_a_sum_is_what_both_had(first, second):
    """Adding two histograms is counting all their durations."""
    texts = [histogram.encode(counted(first)), histogram.encode(counted(second))]
    assert histogram.total(texts) == counted(first + second)


@given(durations, st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_in_the_right_bucket(microseconds, fraction):
    """It lies within a factor of two of the duration that it stands for, or below a millisecond like it."""
    found = histogram.quantile(counted(microseconds), fraction) * 1_000_000
    exact = sorted(microseconds)[max(0, math.ceil(fraction * len(microseconds)) - 1)]
    if exact >= 1 << histogram.FLOOR_BITS:
        assert exact / 2 <= found <= exact * 2 or exact >= 1 << 36
    else:
        assert found <= 1 << histogram.FLOOR_BITS


def test_nothing_has_no_quantile():
    """Where nothing was counted there is nothing to tell."""
    assert histogram.quantile([0] * histogram.BUCKETS, 0.5) is None


@pytest.mark.parametrize("text", ["", "nonsense", "3:a", "40:1 2", "-", ":"])
def test_what_is_no_histogram_counts_for_nothing(text):
    """A row that other hands wrote does not keep the others from being read."""
    buckets = [0] * histogram.BUCKETS
    histogram.add(buckets, text)
    assert sum(buckets) == 0


def test_the_text_is_short():
    """A minute in which all took about as long takes a few bytes."""
    assert histogram.encode(counted([5_000] * 70 + [9_000] * 3)) == "3:70 3"
