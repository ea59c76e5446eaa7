"""`lateshift logs`: of a job, and of the day."""

import os
import signal
import sys

import pytest

from lateshift.cli.logs import new_lines, todays_file


def write(project, text):
    path = todays_file(project.folder / "storage/logs")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
    return path


@pytest.fixture
def quiet(project, monkeypatch):
    """A project whose log file holds only what the test writes."""
    monkeypatch.setenv("LATESHIFT_LOG_LEVEL", "ERROR")
    project.environment["LATESHIFT_LOG_LEVEL"] = "ERROR"
    return project


def test_the_lines_of_each_attempt(project):
    """Each attempt's lines stand under a title with its number and outcome."""
    told = project.invoke("logs", project.done("fail")).stdout.splitlines()
    assert told[0].startswith("--- attempt 1, retry, ")
    assert "about to fail" in told[1]


def test_a_job_without_lines(project):
    """That nothing was logged, or the job has not run, is told on standard error."""
    assert project.invoke("logs", project.enqueue("quick")).stderr == "The job has not run yet.\n"
    assert project.invoke("logs", project.done("quick")).stderr == "Nothing was logged.\n"


def test_the_end_of_todays_file(quiet):
    """Without an id the last lines of today's log are printed, as many as asked for."""
    assert "is empty or not there" in quiet.invoke("logs").stderr
    path = write(quiet, "".join(f"line {number}\n" for number in range(20_000)))
    assert quiet.invoke("logs", "--lines", "2").stdout == "line 19998\nline 19999\n"
    assert len(quiet.invoke("logs").stdout.splitlines()) == 50
    assert len(quiet.invoke("logs", "--lines", "30000").stdout.splitlines()) == 20_000
    told = quiet.invoke_json("logs", "--lines", "1")
    assert told == {"file": str(path), "lines": ["line 19999"]}


def test_following_a_job_ends_with_it(project):
    """`logs -f JOB_ID` prints what the job logs while it runs, and ends when it is finished."""
    job_id = project.enqueue("until_file", name="go")
    worker, follower = project.start("run", job_id), project.start("logs", "-f", job_id)
    assert "attempt 1, running" in follower.stdout.readline()
    assert "started in" in follower.stdout.readline()
    (project.folder / "go").touch()
    out, err = follower.communicate(timeout=30)
    worker.communicate(timeout=30)
    assert (follower.returncode, out, err) == (0, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="there Ctrl-C cannot be sent to one process")
def test_following_the_file(quiet):
    """`logs -f` prints what is appended, whole lines only, until Ctrl-C."""
    write(quiet, "before\n")
    process = quiet.start("logs", "-f")
    assert process.stdout.readline() == "before\n"
    write(quiet, "first\nsec")
    assert process.stdout.readline() == "first\n"
    write(quiet, "ond\n")
    assert process.stdout.readline() == "second\n"
    process.send_signal(signal.SIGINT)
    assert (process.communicate(timeout=30)[1].strip(), process.returncode) == ("", 130)


def test_the_file_that_jobs_write_is_todays(quiet):
    """Jobs that set another time zone, as Django does, may write that of tomorrow, or still that of yesterday."""
    today = write(quiet, "here\n")
    later = today.with_name("background-jobs-2099-01-01.log")
    later.write_text("there\n")
    os.utime(today, ns=(0, later.stat().st_mtime_ns - 1_000_000))
    assert quiet.invoke("logs").stdout == "there\n"
    os.utime(later, (0, 0))
    assert quiet.invoke("logs").stdout == "here\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there Ctrl-C cannot be sent to one process")
def test_following_two_files_of_a_day(quiet):
    """Where two time zones write, lines of both come, each once."""
    today = write(quiet, "before\n")
    later = today.with_name("background-jobs-2099-01-01.log")
    process = quiet.start("logs", "-f")
    assert process.stdout.readline() == "before\n"
    for number in range(3):
        for path in (later, today):
            with path.open("a") as file:
                file.write(f"{path.name} {number}\n")
            assert process.stdout.readline() == f"{path.name} {number}\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == ""


def test_new_lines_of_a_log_that_forgets():
    """Of a log that keeps its last lines only, what was added is found by where the two overlap."""
    assert new_lines((), ("a", "b")) == ("a", "b")
    assert new_lines(("a", "b"), ("a", "b", "c")) == ("c",)
    assert new_lines(("a", "b", "c"), ("b", "c", "d")) == ("d",)
    assert new_lines(("a", "b"), ("x", "y")) == ("x", "y")
    assert new_lines(("a", "b"), ("a", "b")) == ()
