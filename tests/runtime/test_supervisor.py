"""The supervisor over real processes."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from stand_ins import COMMAND, Stage

from lateshift.runtime import supervisor as module
from lateshift.runtime.supervisor import Supervisor, how_it_died, pause_before
from lateshift.runtime.terms import CUT_OFF, FINISHED, RECYCLE, REPLACED, UNFINISHED

if sys.platform == "win32":
    pytest.skip("these tests send signals", allow_module_level=True)


@pytest.fixture
def stage():
    with contextlib.closing(Stage()) as stage:
        yield stage


def test_it_starts_as_many_workers_as_asked_and_ends_with_them(stage):
    """Each worker is told its own configuration; when all have ended for good, so does the supervisor, with 0."""
    workers = stage.start(3)
    assert len({worker.pid for worker in workers}) == 3
    assert {worker.worker for worker in workers} == {worker for kind, worker in stage.story if kind == "configure"}
    for worker in workers:
        worker.tell(FINISHED)
    assert stage.end() == 0
    assert "rescue" not in dict(stage.story)


def test_no_workers_at_all_end_at_once():
    """With nothing to wait for, run returns, and the signal handlers are as before."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    assert Supervisor(0, dict, lambda _: None).run() == 0
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("reason", ["recycle", "outdated"])
def test_a_worker_that_wants_to_be_recycled_is_replaced_without_a_rescue(stage, reason):
    """Its exit code brings another process with an id of its own, and tells why where that is of use."""
    code, why = REPLACED[reason]
    first, other = stage.start(2)
    first.tell(code)
    second = stage.next_worker()
    assert second.worker not in (first.worker, other.worker)
    for worker in (second, other):
        worker.tell(FINISHED)
    assert stage.end() == 0
    assert "rescue" not in dict(stage.story)
    assert f"worker {first.worker} ended, to be replaced {why}".rstrip() in stage.events()


@pytest.mark.parametrize("death", ["kill", 1, 70])
def test_the_jobs_of_a_dead_worker_are_rescued(stage, death):
    """However a worker dies, another takes its place, and its jobs are taken back."""
    (worker,) = stage.start(1)
    if death == "kill":
        worker.kill()
    else:
        worker.tell(death)
    stage.next_worker().tell(FINISHED)
    assert stage.end() == 0
    kinds = [(kind, what) for kind, what in stage.story if kind != "event"]
    assert [kind for kind, _ in kinds] == ["configure", "configure", "rescue"]
    assert kinds[2] == ("rescue", worker.worker)
    assert ("was killed by SIGKILL" if death == "kill" else f"died with exit code {death}") in stage.events()


@pytest.mark.parametrize("code", [FINISHED, RECYCLE, CUT_OFF])
def test_a_good_exit_code_is_not_believed_of_a_worker_that_has_not_signed_off(stage, code):
    """A job ended the process with it: its jobs are taken back, and another worker takes its place."""
    (worker,) = stage.start(1, signed_off=lambda worker_id: worker_id != worker.worker)
    worker.tell(code)
    stage.next_worker().tell(FINISHED)
    assert stage.end() == 0
    assert ("rescue", worker.worker) in stage.story
    assert f"died with exit code {code}" in stage.events()


def test_a_crash_on_windows_is_told_by_the_code_that_it_is_known_by():
    """An access violation was "exit code 3221225477"; codes of a program's own stay as they are."""
    assert how_it_died(0xC0000005) == "died with exit code 0xC0000005"
    assert how_it_died(70) == "died with exit code 70"


def test_a_rescue_that_fails_does_not_end_the_supervisor(stage):
    """A locked database is told of, and the worker is replaced all the same; others rescue later."""

    def locked(*_):
        raise OSError("database is locked")

    (worker,) = stage.start(1, rescue=locked)
    worker.kill()
    stage.next_worker().tell(FINISHED)
    assert stage.end() == 0
    assert (
        f"the jobs of worker {worker.worker}, if any, wait for another rescue: OSError: database is locked"
        in stage.events()
    )


def test_a_rescue_that_has_to_wait_keeps_no_successor_waiting(stage):
    """The database is locked: another worker is there before the jobs are taken back."""
    unlocked = threading.Event()
    (worker,) = stage.start(1, rescue=lambda *_: unlocked.wait(20))
    worker.kill()
    successor = stage.next_worker()
    unlocked.set()
    successor.tell(FINISHED)
    assert stage.end() == 0


@pytest.mark.parametrize("end", [RECYCLE, 1])
def test_nobody_replaces_a_worker_whose_place_others_may_take(stage, end):
    """A runner's worker that takes no more jobs: another runner is there, or will be started if one is needed."""
    (worker,) = stage.start(1, has_left=lambda _: True)
    worker.tell(end)
    assert stage.end() == (0 if end == RECYCLE else 1)
    assert [kind for kind, _ in stage.story].count("configure") == 1


def test_what_a_dead_worker_has_started_dies_too(stage):
    """A program that a job started must not go on beside the job's next attempt."""
    (worker,) = stage.start(1)
    worker.tell("child")
    child = psutil.Process(worker.next()[1])
    worker.kill()
    stage.next_worker().tell(FINISHED)
    child.wait(20)
    assert stage.end() == 0


@pytest.mark.parametrize("code", [FINISHED, RECYCLE])
def test_what_the_jobs_had_started_dies_with_a_worker_that_could_not_stop_them(stage, code):
    """It ended in good order, and its jobs run again; what one that had stopped them has left is not touched."""
    worker, other = stage.start(2)
    for one in (worker, other):
        one.tell("child")
    child, spared = (psutil.Process(one.next()[1]) for one in (worker, other))
    other.tell(FINISHED)
    worker.tell(code + UNFINISHED)
    child.wait(20)
    if code == RECYCLE:
        stage.next_worker().tell(FINISHED)
    assert stage.end() == 0
    assert "rescue" not in dict(stage.story)
    assert spared.is_running()
    spared.kill()


def test_stopping_is_passed_on_once_for_good_order_and_twice_for_now(stage):
    """The workers hear `stop`, then `now`, and are not replaced when they end."""
    workers = stage.start(2)
    stage.supervisor.stop()
    assert [worker.next() for worker in workers] == [["heard", "stop"]] * 2
    stage.supervisor.stop()
    assert [worker.next() for worker in workers] == [["heard", "now"]] * 2
    workers[0].tell(FINISHED)
    workers[1].tell(RECYCLE)
    assert stage.end() == 0
    assert "stopping: running jobs have 30 s to finish / stopping now" in stage.events()


def test_the_third_request_to_stop_kills(stage):
    """Who asks three times does not wait; the jobs are rescued and the exit code says so."""
    (worker,) = stage.start(1)
    for _ in range(3):
        stage.supervisor.stop()
    assert stage.end() == 1
    assert ("rescue", worker.worker) in stage.story
    assert "did not stop and is killed" in stage.events()


def test_a_worker_that_does_not_stop_in_time_is_killed(stage, monkeypatch):
    """After the grace period and a margin for settling, patience ends; the one that did stop is left in peace."""
    monkeypatch.setattr(module, "KILL_AFTER", 0.1)
    good, bad = stage.start(2, grace=0.2)
    stage.supervisor.stop()
    good.next()
    good.tell(FINISHED)
    assert stage.end() == 1
    assert [worker for kind, worker in stage.story if kind == "rescue"] == [bad.worker]


def test_a_worker_that_dies_while_stopping_is_rescued_but_not_replaced(stage):
    """The exit code is then 1, for whoever looks at it."""
    (worker,) = stage.start(1)
    stage.supervisor.stop()
    worker.next()
    worker.tell(3)
    assert stage.end() == 1
    assert [kind for kind, _ in stage.story if kind != "event"] == ["configure", "rescue"]


def test_a_stop_before_the_start_is_not_lost(stage):
    """Asked to stop while it starts its workers, the supervisor tells them as soon as they are there."""
    original = stage.configure

    def stop_meanwhile():
        stage.supervisor.stop()
        return original()

    stage.configure = stop_meanwhile
    (worker,) = stage.start(1)
    assert worker.next() == ["heard", "stop"]
    worker.tell(FINISHED)
    assert stage.end() == 0


def test_the_pause_before_a_replacement_grows_with_quick_deaths():
    """The first is replaced at once, then it doubles from 0.1 s up to 5 s."""
    assert [pause_before(deaths) for deaths in (0, 1, 2, 3, 4, 7, 8, 9, 1_000)] == [0, 0, 0.1, 0.2, 0.4, 3.2, 5, 5, 5]


def test_a_worker_that_always_dies_is_replaced_more_and_more_slowly(stage):
    """Four deaths in a row take at least 0 + 0.1 + 0.2 seconds; meanwhile a stop is heard at once."""
    (worker,) = stage.start(1)
    began = time.monotonic()
    for _ in range(3):
        worker.tell(9)
        worker = stage.next_worker()
    assert time.monotonic() - began >= 0.3
    worker.kill()
    stage.supervisor.stop()
    stage.end()
    assert time.monotonic() - began < 15


def test_it_gives_up_when_told_after_how_many_deaths(stage):
    """A runner whose worker cannot live ends, and stops the others in good order."""
    workers = stage.start(2, give_up_after=2)
    dying, other = workers
    dying.tell(9)
    stage.next_worker().tell(9)
    assert other.next() == ["heard", "stop"]
    other.tell(FINISHED)
    assert stage.end() == 1
    assert "died at once, 2 times in a row" in stage.events()


def test_a_command_that_cannot_be_started_is_told_and_tried_again(stage):
    """What cannot be run counts as a death, with nothing to rescue."""
    stage.start(1, command=[str(Path(__file__).parent)], give_up_after=2)
    assert stage.end() == 1
    assert stage.events().count("worker process 0 could not be started: ") == 2
    assert "rescue" not in dict(stage.story)


def test_a_program_that_is_gone_is_tried_once(stage):
    """A runner whose virtual environment was moved kept all others from starting, and said nothing for minutes."""
    stage.start(1, command=["/nowhere/python"], give_up_after=20)
    assert stage.end() == 1
    assert stage.events().count("worker process 0 could not be started: ") == 1


SUPERVISOR = f"""
import os, sys
from lateshift.runtime.supervisor import Supervisor
def rescue(worker, how): print("rescue", worker, flush=True)
sys.exit(Supervisor(2, lambda: {{"worker": os.urandom(3).hex()}}, rescue, command={COMMAND!r}).run())
"""


@contextlib.contextmanager
def in_a_process(stage, **options):
    """A supervisor of two workers in a process of its own."""
    environment = {**os.environ, "PORT": stage.port}
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR], env=environment, **options) as process:
        try:
            yield process, [stage.next_worker(), stage.next_worker()]
        finally:
            process.kill()


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP])
def test_signals_stop_it(stage, first):
    """SIGTERM, or a terminal that closes, stops in good order and SIGINT after it now, as two of the same would."""
    with in_a_process(stage) as (process, workers):
        process.send_signal(first)
        assert [worker.next() for worker in workers] == [["heard", "stop"]] * 2
        process.send_signal(signal.SIGINT)
        assert [worker.next() for worker in workers] == [["heard", "now"]] * 2
        for worker in workers:
            worker.tell(FINISHED)
        assert process.wait(20) == 0


def test_ctrl_c_in_a_terminal_reaches_the_supervisor_alone(stage):
    """A terminal sends SIGINT to a whole process group; running jobs and their children are in another one."""
    with in_a_process(stage, start_new_session=True) as (process, workers):
        assert {os.getpgid(worker.pid) for worker in workers} == {worker.pid for worker in workers}
        os.killpg(process.pid, signal.SIGINT)
        assert [worker.next() for worker in workers] == [["heard", "stop"]] * 2
        for worker in workers:
            worker.tell(FINISHED)
        assert process.wait(20) == 0


def test_an_ignored_signal_stays_ignored(stage):
    """In a shell's background job SIGINT is ignored, because its Ctrl-C is meant for another."""
    with in_a_process(stage, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) as (process, workers):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert [worker.next() for worker in workers] == [["heard", "stop"]] * 2
        for worker in workers:
            worker.tell(FINISHED)
        assert process.wait(20) == 0


def test_it_hears_of_a_death_also_where_sigchld_is_ignored(stage):
    """Who ignores it, such as a server that wants no zombies, passes that on to `lateshift work`."""
    ignore = {"preexec_fn": lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN), "stdout": subprocess.PIPE}
    with in_a_process(stage, **ignore) as (process, workers):
        workers[0].kill()
        assert process.stdout.readline() == f"rescue {workers[0].worker}\n".encode()
        for worker in (workers[1], stage.next_worker()):
            worker.tell(FINISHED)
        assert process.wait(20) == 0


def test_the_workers_of_a_killed_supervisor_notice(stage):
    """Nobody but the supervisor holds the other end of a worker's input, so its end is seen at once by all."""
    with in_a_process(stage) as (process, workers):
        process.kill()
        assert [worker.next() for worker in workers] == [["heard", "the end"]] * 2
        for worker in workers:
            worker.tell(FINISHED)
