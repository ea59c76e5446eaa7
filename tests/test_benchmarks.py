"""The benchmarks: that what they measure of ours still runs, with small numbers; the peers are not installed here."""

from __future__ import annotations

import subprocess
import sys

import pytest
from test_soak import BENCHMARKS

MEASURED = """
import backlog, crowd, latency, raw
from place import Place

crowd.WORKERS = 2
with Place() as place:
    place.fill(500)
    print(raw.drain(place, 500))
with Place() as place, place.workers(1):
    print(*latency._measure(place, 3))
print(backlog._drain("sqlite", 200, 100, 100))
print(*crowd._drain("sqlite", 400)[:2])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="reads /proc")
def test_what_is_measured_still_runs():
    """A function that they hook into was renamed once, and nobody knew until they were to be run."""
    ran = subprocess.run([sys.executable, "-c", MEASURED], cwd=BENCHMARKS, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    figures = [[float(figure) for figure in line.split()] for line in ran.stdout.splitlines()]
    assert list(map(len, figures)) == [1, 3, 1, 2]
    assert all(figure > 0 for line in figures for figure in line)
