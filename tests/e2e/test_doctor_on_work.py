"""`diagnose` on workers and jobs: who is alive, who is missed, and what has got stuck."""

from __future__ import annotations

import re

from test_doctor import SECOND, app, find, hire, one  # noqa: F401 - a fixture among them

from lateshift.doctor import diagnose, exit_code
from lateshift.host import presence, turn
from lateshift.host.fleet import host_name
from lateshift.host.presence import Presence
from lateshift.storage import writes


def test_nobody_works_and_nobody_will(project, app):  # noqa: F811
    """With LATESHIFT_SPAWN=never a missing worker is worth a warning, otherwise not."""
    checks = diagnose(**project.settings)
    assert (one(checks, "workers").level, exit_code(checks)) == ("warning", 0)
    assert one(diagnose(**{**project.settings, "spawn": "auto"}), "workers").level == "ok"


def test_jobs_that_are_due_while_nobody_works(project, app, monkeypatch):  # noqa: F811
    """An error after a minute; also where runners start by themselves, unless one has had no time yet."""
    jobs = [app.run_background_job("app.jobs.add", parameters={"a": 1}, queue=queue) for queue in ("mail", "held")]
    app.pause_queue("held")
    monkeypatch.setattr(turn, "PAUSE", 3600.0)

    def told(spawn):
        check = one(diagnose(**{**project.settings, "spawn": spawn}), "workers")
        return check.level, check.message

    level, message = told("never")
    assert level == "warning"
    assert message.endswith("none starts by itself, because LATESHIFT_SPAWN is never; 1 job is due.")
    assert told("auto")[0] == "ok"
    app.database.execute("update lateshift_jobs set run_at = run_at - :late", {"late": 300 * SECOND})
    level, message = told("auto")
    assert (level, message[:33]) == ("error", "None is running, and 1 job is due")
    assert told("never")[0] == "error"
    assert exit_code(diagnose(**project.settings)) == 1
    starting = presence.runner_file(app.settings, "turn")
    turn.take_turn(starting)
    assert told("auto") == ("ok", "none is running yet; a runner is about to")
    turn.end_turn(starting)
    app.cancel_job(jobs[0])
    assert told("auto")[0] == "ok"


def test_workers_alive_and_dead(project, app):  # noqa: F811
    """The living are listed; each dead one has a line."""
    hire(app, "host-1")
    hire(app, "host-2", ago=40)
    held = Presence(project.folder / "storage", "host-3", 1)
    held.acquire()
    hire(app, "host-3", host=host_name())
    dead, alive = find(diagnose(**project.settings), "workers")
    held.release()
    assert dead.level == "warning"
    assert "host-2 (process 4711 on elsewhere) died; its last heartbeat was 40 s ago." in dead.message
    assert alive.message == "2 alive: host-1 (worker, 0 running), host-3 (worker, 0 running)"


def test_jobs_that_lost_their_worker(project, app):  # noqa: F811
    """Running jobs of a dead worker, and of one that has no row at all, are named."""
    hire(app, "host-2", ago=40)
    held = [app.run_background_job("app.jobs.add", parameters={"a": 1}) for _ in range(5)]
    for place, job_id in enumerate(held):
        writes.claim_one(app.database, "host-2" if place < 4 else "never-seen", app.database.now(), job_id)
    dead, absent = find(diagnose(**project.settings), "jobs")
    assert f"4 jobs marked as running on host-2, which is dead: {', '.join(held[:3])}, ..." in dead.message
    assert f"1 job marked as running on never-seen, which is dead: {held[4]}." in absent.message
    assert dead.remedy == "Start `lateshift work`, which sees to it."


def test_jobs_that_nobody_takes(project, app):  # noqa: F811
    """A due job that waits for minutes has a reason: a paused queue, no worker for it, or too few."""
    hire(app, "host-1", ("busy",))
    for queue in ("busy", "lonely", "held"):
        app.run_background_job("app.jobs.add", parameters={"a": 1}, queue=queue)
    app.pause_queue("held")
    app.database.execute("update lateshift_jobs set run_at = run_at - :late", {"late": 300 * SECOND})
    busy, held, lonely = find(diagnose(**project.settings), "jobs")
    said = r"The queue 'busy' has 1 due job, the oldest since 5 min( \d+ s)?, and 1 worker at it\."
    assert re.search(said, busy.message), "a busy machine takes some seconds more"
    assert held.message.endswith(": it is paused.")
    assert held.remedy == "`lateshift queues resume held`."
    assert "no worker serves it" in lonely.message
    assert [check.level for check in (busy, held, lonely)] == ["warning", "warning", "error"]
