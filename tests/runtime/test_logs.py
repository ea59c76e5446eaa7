"""The daily log files: what a line says, that none is lost or torn, and that a full disk stays outside of jobs."""

import io
import json
import logging
import re
import stat
import subprocess
import sys
import time
from datetime import date

import pytest
from log_files import AT, JOB, SECOND, TAGGED, settings, written

from lateshift import events
from lateshift.host.logs import LEVELS, FileLog, delete_old, escape
from lateshift.job import JobError
from lateshift.outcome import Outcome


@pytest.fixture(autouse=True)
def _two_hours_east(monkeypatch):
    if sys.platform == "win32":
        yield
        return
    monkeypatch.setenv("TZ", "XYZ-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def ended(kind, status="completed", **more) -> events.JobFinished:
    outcome = Outcome(kind, status, AT - 12_000, AT, **more)
    return events.JobFinished(AT, *JOB, 2, "w1", outcome, AT)


ERROR = JobError("builtins.ValueError", "bad\nvalue", "Traceback (most recent call last):\n  File x\nValueError: bad")
CASES = [
    (
        events.JobEnqueued(AT, *JOB, 0, 5, AT + 60 * SECOND),
        f"INFO    {TAGGED} enqueued queue=mail priority=5 delay=60s",
    ),
    (events.JobStarted(AT, *JOB, 2, "w1"), f"INFO    {TAGGED} started attempt=2 queue=mail worker=w1"),
    (ended("completed"), f"INFO    {TAGGED} completed attempt=2 duration=0.012s queue=mail worker=w1"),
    (
        ended("retry", "pending_retry", run_at=AT + 5 * SECOND, error=ERROR),
        f"WARNING {TAGGED} retry attempt=2 duration=0.012s queue=mail worker=w1 delay=5s"
        r" error=builtins.ValueError: bad\nvalue",
    ),
    (
        ended("failed", "failed", error=ERROR),
        f"ERROR   {TAGGED} failed attempt=2 duration=0.012s queue=mail worker=w1"
        r" error=builtins.ValueError: bad\nvalue",
    ),
    (
        ended("cancelled", "cancelled"),
        f"WARNING {TAGGED} cancelled attempt=2 duration=0.012s queue=mail worker=w1 error=none",
    ),
    (
        ended("snoozed", "pending_retry", run_at=AT + SECOND // 2),
        f"INFO    {TAGGED} snoozed attempt=2 duration=0.012s queue=mail worker=w1 delay=0.5s",
    ),
    (
        ended("returned", "pending_retry", run_at=AT),
        f"INFO    {TAGGED} returned attempt=2 duration=0.012s queue=mail worker=w1 delay=0s",
    ),
    (
        ended("returned", "pending_retry", run_at=AT + SECOND, error=JobError("OSError", "no process")),
        f"WARNING {TAGGED} returned attempt=2 duration=0.012s queue=mail worker=w1 delay=1s error=OSError: no process",
    ),
    (
        ended("lost", "pending_retry", run_at=AT, error=JobError("WorkerDied", "gone")),
        f"WARNING {TAGGED} lost attempt=2 duration=0.012s queue=mail worker=w1 delay=0s error=WorkerDied: gone",
    ),
    (
        events.JobRescued(AT, *JOB, 2, "w1", "pending_retry"),
        f"WARNING {TAGGED} rescued attempt=2 queue=mail worker=w1 status=pending_retry",
    ),
    (events.LeaseLost(AT, *JOB, 2, "w1"), f"WARNING {TAGGED} lease lost attempt=2 queue=mail worker=w1"),
    (events.JobChanged(AT, *JOB, 2, "cancelled"), f"WARNING {TAGGED} cancelled attempt=2 queue=mail"),
    (events.JobChanged(AT, *JOB, 2, "cancel_requested"), f"INFO    {TAGGED} cancel requested attempt=2 queue=mail"),
    (events.QueueChanged(AT, "mail", True), "INFO    queue paused queue=mail"),
    (events.JobsPruned(AT, 3, 86_400.0), "INFO    pruned jobs=3 older_than=86400s"),
    (events.QueueChanged(AT, "mail", False), "INFO    queue resumed queue=mail"),
    (events.WorkerStarted(AT, "w1", 42), "INFO    worker started worker=w1 pid=42"),
    (events.WorkerStopped(AT, "w1", "idle"), "INFO    worker stopped worker=w1 reason=idle"),
    (events.DatabaseAway(AT, "w1", "It is away."), "WARNING database away worker=w1 reason=It is away."),
    (events.DatabaseBack(AT, "w1", 8.2), "WARNING database back worker=w1 duration=8.200s"),
]


@pytest.mark.parametrize(("event", "line"), CASES, ids=[line.split(" attempt")[0].strip() for _, line in CASES])
def test_each_event_has_its_line(tmp_path, event, line):
    """A line says when in local time, the level, the job, and what happened in which attempt."""
    FileLog(settings(tmp_path))([event])
    assert written(tmp_path) == f"2026-11-24 05:46:40.123 {line}\n"


@pytest.mark.parametrize("event", [event for event, _ in CASES])
def test_each_event_has_its_json_line(tmp_path, event):
    """With LATESHIFT_LOG_FORMAT=json a line is an object, and its time names its distance from UTC."""
    FileLog(settings(tmp_path, log_format="json"))([event])
    line = json.loads(written(tmp_path))
    assert line["time"] == "2026-11-24T05:46:40.123+02:00"
    assert line.get("job") == getattr(event, "job_id", None)
    assert {"level", "event"} < set(line)


def test_a_json_line_has_its_values_typed(tmp_path):
    """Numbers stay numbers; the errors file adds the traceback."""
    FileLog(settings(tmp_path, log_format="json"))([ended("failed", "failed", error=ERROR)])
    line = json.loads(written(tmp_path))
    assert line.pop("time")
    assert line == {
        "level": "ERROR",
        "event": "failed",
        "job": "01-ab",
        "name": "app.jobs.Order.handle",
        "attempt": 2,
        "duration": 0.012,
        "queue": "mail",
        "worker": "w1",
        "error": "builtins.ValueError: bad\nvalue",
    }
    assert json.loads(written(tmp_path, "background-jobs-errors"))["traceback"] == ERROR.traceback


def test_errors_have_a_file_of_their_own_with_their_tracebacks(tmp_path):
    """What failed is in both files, its traceback indented in the one for errors."""
    FileLog(settings(tmp_path))([ended("completed"), ended("failed", "failed", error=ERROR)])
    first, *traceback = written(tmp_path, "background-jobs-errors").splitlines()
    assert "ERROR   01-ab app.jobs.Order.handle failed attempt=2" in first
    assert traceback == ["    " + line for line in ERROR.traceback.splitlines()]
    assert [line.split()[2] for line in written(tmp_path).splitlines()] == ["INFO", "ERROR"]


def test_the_levels_are_those_of_logging():
    """Records of jobs come with the standard library's numbers."""
    assert {name: logging.getLevelNamesMapping()[name] for name in LEVELS} == LEVELS


def test_the_level_decides_what_is_written(tmp_path):
    """With LATESHIFT_LOG_LEVEL=WARNING the files tell of trouble only."""
    FileLog(settings(tmp_path, log_level="WARNING"))([event for event, _ in CASES])
    assert {line.split()[2] for line in written(tmp_path).splitlines()} == {"WARNING", "ERROR"}


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("evil", ["a\nb", "a\r\x1b[31mb", "a\u2028b", "a\u202eb", "a\x9bb", "a\x85b", "a\udcffb"])
def test_nothing_forges_a_line_or_talks_to_the_terminal(tmp_path, log_format, evil):
    """Line ends, escape sequences, changes of direction and broken text are escaped, wherever they come from."""
    log = FileLog(settings(tmp_path, log_format=log_format))
    error = JobError("E", evil, evil)
    outcome = Outcome("failed", "failed", AT, AT, error=error)
    log(
        [events.JobFinished(AT, "id", evil, evil, 1, evil, outcome, AT), events.JobStarted(AT, "id", evil, "q", 1, "w")]
    )
    log.write_job_records([log.format_record(AT, "INFO", evil, evil, ("id", evil, 1))], AT)
    for line in (written(tmp_path) + written(tmp_path, "background-jobs-errors")).split("\n"):
        assert line.isprintable()
        assert line == "" or line.startswith(("2026-11-24", "{", "    "))


def test_a_long_message_is_cut_in_the_line(tmp_path):
    """A megabyte of message does not fill the log; the traceback keeps it."""
    FileLog(settings(tmp_path))([ended("failed", "failed", error=JobError("E", "x" * 1_000_000, "whole"))])
    assert len(written(tmp_path)) < 1_300
    assert "(1,000,003 characters)" in written(tmp_path)


def test_a_batch_over_midnight_goes_to_two_files(tmp_path):
    """Each line is in the file of its own local day, also when two days come in one batch."""
    midnight = AT - AT % (24 * 3600 * SECOND) + 22 * 3600 * SECOND
    moments = [midnight - 2, midnight - 1, midnight, midnight + 1, midnight - 3]
    FileLog(settings(tmp_path))([events.WorkerStarted(at, f"w{n}", n) for n, at in enumerate(moments)])
    workers = {
        path.name: re.findall(r"worker=(\w+)", path.read_text()) for path in (tmp_path / "storage/logs").iterdir()
    }
    assert workers == {
        "background-jobs-2026-11-24.log": ["w0", "w1", "w4"],
        "background-jobs-2026-11-25.log": ["w2", "w3"],
    }


def test_a_deleted_folder_is_made_again(tmp_path):
    """The log goes on after somebody has cleaned up."""
    log = FileLog(settings(tmp_path))
    log([ended("completed")])
    for path in (tmp_path / "storage/logs").iterdir():
        path.unlink()
    (tmp_path / "storage/logs").rmdir()
    log([ended("completed")])
    assert written(tmp_path).count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="modes of files are those of POSIX")
def test_only_the_owner_may_read_the_logs(tmp_path):
    """Files are made with mode 0600, folders with 0700."""
    FileLog(settings(tmp_path))([ended("failed", "failed", error=ERROR)])
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "storage/logs").iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "storage/logs").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "storage").stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path, capsys):
    """Nothing is raised; standard error has one line with the remedy."""
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage/logs").write_text("a file where the folder should be")
    log = FileLog(settings(tmp_path))
    for _ in range(3):
        log([ended("failed", "failed", error=ERROR)])
    said = capsys.readouterr().err
    assert said.count("Lateshift cannot write its log") == 1
    assert "LATESHIFT_STORAGE_DIR" in said


@pytest.mark.parametrize("stream", [None, "closed"])
def test_a_program_without_standard_error_goes_on(tmp_path, monkeypatch, stream):
    """Under pythonw there is nobody to tell, and that is no error either."""
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed if stream else None)
    (tmp_path / "storage").write_text("a file where the folder should be")
    FileLog(settings(tmp_path))([ended("completed")])


FULL = """
import resource, signal, sys
from pathlib import Path
from lateshift import events
from lateshift.host.logs import FileLog
from lateshift.settings import Settings
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ours = Settings(root=Path(sys.argv[1]), storage_dir=Path(sys.argv[1]) / "storage")
log, other = FileLog(ours), FileLog(ours)
def tell(name, log=log): log([events.WorkerStarted(1795492000000000, name, 1)])
tell("before")
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
tell("torn")
tell("lost")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
tell("after", other)
tell("last")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit of the file size")
def test_a_full_disk_raises_nothing_and_later_lines_are_whole(tmp_path):
    """What does not fit is lost and told of; once there is room, lines begin at their beginning, whoever writes."""
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stderr.count("Lateshift cannot write its log") == 1
    lines = written(tmp_path).splitlines()
    assert [re.findall(r"worker=(\w+) pid=1$", line) for line in lines] == [["before"], [], ["after"], ["last"]]


WRITER = """
import sys
from pathlib import Path
from lateshift import events
from lateshift.host.logs import FileLog
from lateshift.settings import Settings
me, folder = sys.argv[1], Path(sys.argv[2])
log = FileLog(Settings(root=folder, storage_dir=folder / "storage"))
print("ready", flush=True)
sys.stdin.readline()
line, size = 0, 1
while line < 2000:
    batch = range(line, min(2000, line + size))
    log([events.WorkerStopped(1795492000000000, f"{me}-{n}", "x" * (n % 300) + "end") for n in batch])
    line, size = line + size, size % 7 + 1
"""


def test_several_processes_lose_no_line_and_tear_none(tmp_path):
    """Four processes append 2,000 lines each at the same time; all are there, whole, and in each process's order."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(me), str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for me in range(4)
    ]
    for writer in writers:
        assert writer.stdout.readline().strip() == b"ready"
    for writer in writers:
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    assert [writer.communicate()[0] for writer in writers] == [b""] * 4
    found = {str(me): [] for me in range(4)}
    for line in written(tmp_path).splitlines():
        me, number, filling = re.fullmatch(
            r"2026-11-24 05:46:40\.000 INFO    worker stopped worker=(\d)-(\d+) reason=(x*)end", line
        ).groups()
        assert len(filling) == int(number) % 300
        found[me].append(int(number))
    assert found == {str(me): list(range(2000)) for me in range(4)}


def test_old_files_are_deleted(tmp_path):
    """As many days as asked are kept, today's among them; files of others stay."""
    today = date(2026, 11, 24)
    for day in range(1, 25):
        for kind in ("background-jobs-", "background-jobs-errors-"):
            (tmp_path / f"{kind}2026-11-{day:02}.log").touch()
    others = (
        "runner.log",
        "background-jobs-of-mine.log",
        "background-jobs-2026-11-01.log.gz",
        "background-jobs-backup-2026-11-01.log",
    )
    for other in others:
        (tmp_path / other).touch()
    assert delete_old(tmp_path, 14, today) == 20
    assert sorted(path.name for path in tmp_path.glob("background-jobs-2*.log"))[0] == "background-jobs-2026-11-11.log"
    assert len(list(tmp_path.iterdir())) == 28 + len(others)
    assert delete_old(tmp_path, 14, today) == 0
    assert delete_old(tmp_path / "not there", 14) == 0


def test_what_is_printable_is_not_escaped():
    """Umlauts and other scripts stay readable; a tab becomes spaces."""
    assert escape("Größe: 日本語 ✓") == "Größe: 日本語 ✓"
    assert escape("a\tb") == "a   b"
