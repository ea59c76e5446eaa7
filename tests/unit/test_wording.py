"""Numbers and times as people read them."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

import pytest

from lateshift.wording import as_argument, duration, local_time

DAY = 86_400


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0004, "0 ms"),
        (0.9994, "999 ms"),
        (3.21, "3.21 s"),
        (59, "59 s"),
        (240, "4 min"),
        (9000, "2.5 h"),
        (3 * DAY, "3 days"),
        (730 * DAY, "730 days"),
        (739_945 * DAY, "2,026 years"),
    ],
)
def test_a_duration_has_two_or_three_digits(seconds, expected):
    """The unit grows with it."""
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("name", "elsewhere", "on_windows"),
    [("mail", "mail", "mail"), ("late mail", "'late mail'", '"late mail"'), ("a;b", "'a;b'", '"a;b"')],
)
def test_a_name_is_one_argument_of_a_command(monkeypatch, name, elsewhere, on_windows):
    """What `lateshift queues resume late mail` meant was refused, and a shell would have run what is behind a `;`."""
    for platform, expected in (("linux", elsewhere), ("win32", on_windows)):
        monkeypatch.setattr(sys, "platform", platform)
        assert as_argument(name) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="the zone cannot be set there")
@pytest.mark.parametrize(
    ("zone", "moment", "expected"),
    [
        ("XYZ-2", datetime(2026, 11, 24, 3, 46, 32, 999, UTC), "2026-11-24 05:46:32"),
        ("XYZ-2", datetime(1, 1, 1, tzinfo=UTC), "0001-01-01 02:00:00"),
        ("XYZ+5", datetime(1, 1, 1, tzinfo=UTC), "0001-01-01 00:00:00"),
        ("XYZ-9", datetime.max.replace(tzinfo=UTC), "9999-12-31 23:59:59"),
    ],
)
def test_a_moment_in_local_time(monkeypatch, zone, moment, expected):
    """At the ends of the calendar, where the local time may not exist, it is the one in UTC."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    told = local_time(moment)
    monkeypatch.undo()
    time.tzset()
    assert told == expected
