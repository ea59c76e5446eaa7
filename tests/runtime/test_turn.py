"""Whose turn it is to start a runner."""

from __future__ import annotations

import subprocess
import sys
import time

from lateshift.host.turn import end_turn, take_turn


def test_a_turn_lasts_until_the_runner_appears_or_two_seconds(tmp_path, monkeypatch):
    """One starts a runner, others do not; then again at once when it has appeared, and later if it never does."""
    turn, now = tmp_path / "run/its.turn", time.time()
    assert take_turn(turn)
    assert not take_turn(turn)
    end_turn(turn)
    assert take_turn(turn)
    monkeypatch.setattr(time, "time", lambda: now + 10)
    assert take_turn(turn)
    assert not take_turn(turn)
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    assert take_turn(turn), "a clock that was set back does not keep runners from starting"
    turn.write_text("nonsense")
    assert take_turn(turn)


CROWD = """
import sys
from pathlib import Path
from lateshift.host import turn
turn.PAUSE = 3600.0
print("ready", flush=True)
sys.stdin.readline()
print(sum(turn.take_turn(Path(sys.argv[1])) for _ in range(50)))
"""


def test_of_many_processes_one_takes_the_turn(tmp_path):
    """Eight processes that ask at the same moment, many times each: exactly one is told to start a runner."""
    command = [sys.executable, "-c", CROWD, str(tmp_path / "run/its.turn")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    crowd = [subprocess.Popen(command, **pipes) for _ in range(8)]
    for process in crowd:
        assert process.stdout.readline() == "ready\n"
    for process in crowd:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert sum(int(process.communicate()[0]) for process in crowd) == 1
