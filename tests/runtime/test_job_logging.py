"""What jobs log themselves: tagged in the log files, and kept with the job."""

import json
import logging
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from log_files import AT, JOB, TAGGED, settings, written
from worker_here import store, worker_in

from lateshift import events
from lateshift.context import JobContext, current
from lateshift.host.job_logs import LONGEST_KEPT, JobLogHandler
from lateshift.host.logs import FileLog
from lateshift.job import Claimed
from lateshift.runtime.duties import Reports
from lateshift.storage import reads

said, go = threading.Semaphore(0), threading.Semaphore(0)


def stutter() -> None:
    for _ in range(3):
        current.get().log_lines.append("    ValueError: x")
        said.release()
        go.acquire(timeout=20)


@pytest.fixture
def logger(tmp_path):
    """A logger whose records go through the handler."""
    logger = logging.Logger("app.orders")
    logger.addHandler(JobLogHandler(settings(tmp_path)))
    return logger


@pytest.fixture
def job():
    """A job that this code runs in."""
    context = JobContext(Claimed("01-ab", 1, JOB[1], "{}", 2, 0, 3, AT, 1, None, "mail", "thread", 1), lambda *_: None)
    token = current.set(context)
    yield context
    current.reset(token)


def test_a_jobs_records_are_tagged_and_kept_with_it(tmp_path, logger, job):
    """What a job logs is in the day's file under its id, and among the job's own lines."""
    logger.warning("order %d is late", 7)
    assert re.fullmatch(rf"\S+ \S+ WARNING {TAGGED} \[app.orders\] order 7 is late\n", written(tmp_path))
    assert len(job.log_lines) == 1
    assert job.log_lines[0].endswith(" WARNING [app.orders] order 7 is late")


def test_a_record_outside_of_any_job_has_no_tag(tmp_path, logger):
    """What else is logged in a worker goes to the file as well."""
    logger.info("started")
    assert re.fullmatch(r"\S+ \S+ INFO    \[app.orders\] started\n", written(tmp_path))


def test_a_record_below_the_level_is_not_taken(tmp_path, logger, job):
    """LATESHIFT_LOG_LEVEL holds for what jobs log as well."""
    logger.debug("detail")
    assert list(job.log_lines) == []
    assert not (tmp_path / "storage").exists()


def test_a_logged_exception_comes_with_its_traceback(tmp_path, logger, job):
    """The traceback is indented below its line, in both files, and kept with the job line by line."""
    try:
        int("x")
    except ValueError:
        logger.exception("that\nfailed")
    for text in (written(tmp_path), written(tmp_path, "background-jobs-errors")):
        head, *rest = text.splitlines()
        assert head.endswith("[app.orders] that")
        assert rest[:2] == ["    failed", "    Traceback (most recent call last):"]
        assert rest[-1] == "    ValueError: invalid literal for int() with base 10: 'x'"
        assert all(line.startswith("    ") for line in rest)
    assert len(job.log_lines) == len(rest) + 1


def test_a_job_keeps_its_last_200_lines_and_none_is_too_long(logger, job):
    """However much a job logs, what is stored with it stays small."""
    for number in range(300):
        logger.info("line %d %s", number, "x" * 10_000)
    assert len(job.log_lines) == 200
    assert "line 299 " in job.log_lines[-1]
    assert {len(line) for line in job.log_lines} == {LONGEST_KEPT}


def test_a_record_that_cannot_be_formatted_does_not_reach_the_job(logger, job, capsys):
    """logging's own rule: a mistake in a logging call is told on standard error, and the job goes on."""
    logger.info("%d", "not a number")
    assert "not a number" in capsys.readouterr().err


def test_json_records_have_their_message_whole(tmp_path, job):
    """In the JSON format a record of several lines is one object."""
    logger = logging.Logger("app.orders")
    logger.addHandler(JobLogHandler(settings(tmp_path, log_format="json")))
    logger.info("two\nlines")
    line = json.loads(written(tmp_path))
    assert line.pop("time")
    assert line == {
        "level": "INFO",
        "event": "log",
        "job": "01-ab",
        "name": JOB[1],
        "attempt": 2,
        "logger": "app.orders",
        "message": "two\nlines",
    }


def test_what_a_running_job_says_again_is_stored(tmp_path):
    """The last line of a traceback has no time: of one that was logged each second the first only was stored."""
    with worker_in(tmp_path, allowed=[__name__]) as worker:
        job_id = store(worker, f"{__name__}.stutter")
        (reports,) = (duty for duty in worker.rota.duties if isinstance(duty, Reports))
        worker.turn()
        for times in (1, 2, 3):
            assert said.acquire(timeout=20)
            reports.tick(0)
            (attempt,) = reads.get(worker._db, job_id, history=True).history
            assert attempt.logs == ("    ValueError: x",) * times
            go.release()
        worker.tell("stop")
        worker.run()


def open_files_below(folder):
    """This process's open files in a folder; of other tests' files the garbage collector may close some meanwhile."""
    return [file.path for file in psutil.Process().open_files() if Path(file.path).is_relative_to(folder)]


def test_threads_log_whole_lines(tmp_path, logger):
    """Eight threads that log at once lose nothing, and leave no file open."""
    log = FileLog(settings(tmp_path))

    def chatter(me):
        for number in range(200):
            logger.info("%d-%d", me, number)
            log([events.WorkerStarted(time.time_ns() // 1000, f"{me}-{number}", number)])

    threads = [threading.Thread(target=chatter, args=(me,)) for me in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = written(tmp_path).splitlines()
    assert len(lines) == len(set(lines)) == 3_200
    assert open_files_below(tmp_path) == []


DIES = """
from pathlib import Path
from lateshift.host.job_logs import capture_logging
from lateshift.settings import Settings
capture_logging(Settings(root=Path("."), storage_dir=Path("storage"), log_level="{level}"))
raise LookupError("no such\\ntable")
"""


def test_what_a_process_dies_of_is_told_in_full_where_no_log_can_be_written(tmp_path):
    """It named a file that was not there."""
    (tmp_path / "storage").touch()
    code = DIES.format(level="INFO")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback (most recent call last)" in done.stderr
    assert "LookupError: no such" in done.stderr
    assert "The traceback is in" not in done.stderr


@pytest.mark.parametrize("level", ["INFO", "ERROR"])
def test_what_a_process_dies_of_is_one_line_and_its_traceback_in_the_log(tmp_path, level):
    """Who watches `lateshift work` reads the reason; who looks for the cause finds it with the errors."""
    code = DIES.format(level=level)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    line, *rest = done.stderr.splitlines()
    assert (done.returncode, rest) == (1, [])
    assert re.fullmatch(
        r"error: LookupError: no such table\. The traceback is in \S+background-jobs-errors-\S+\.log", line
    )
    assert "Traceback (most recent call last)" in written(tmp_path, "background-jobs-errors")
