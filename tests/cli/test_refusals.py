"""A refused command prints one line on standard error, with what to do, and ends with a documented code."""

import errno
import json
import sqlite3
import sys
from contextlib import closing

import pytest

from lateshift import Lateshift
from lateshift.cli import base
from lateshift.errors import StorageUnavailable


def refusal(project, *arguments, code=2):
    result = project.invoke(*arguments, code=code)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "No such command"),
        (["list", "--frob"], "--frob"),
        (["status"], "Missing argument"),
        (["list", "--status", "lost"], "pending_retry"),
        (["list", "--limit", "0"], "--limit"),
        (["list", "--limit", "9" * 23], "--limit"),
        (["list", "--name", ""], "--name is empty"),
        (["enqueue", "app.jobs.quick", "--priority", "high"], "'high'"),
        (["enqueue", "app.jobs.quick", "--priority", "11"], "11"),
        (["enqueue", "app.jobs.quick", "--delay", "-1"], "-1"),
        (["enqueue", "app.jobs.quick", "--delay", "nan"], "nan"),
        (["enqueue", "app.jobs.quick", "--delay", "5 apples"], "'5 apples' is no duration: 90, 5m, 2h"),
        (["enqueue", "app.jobs.quick", "--run-at", "tomorrow"], "'tomorrow' is no moment"),
        (["enqueue", "app.jobs.quick", "--run-at", "2030-01-31T08:30"], "is no moment: 2026-01-31T08:30+01:00"),
        (["enqueue", "app.jobs.quick", "--run-at", "2030-01-31T08:30Z", "--delay", "5"], "delay"),
        (["enqueue", "app.jobs.quick", "--max-retries", "-1"], "-1"),
        (["enqueue", "app.jobs.quick", "--timeout", "0"], "timeout"),
        (["enqueue", "app.jobs.quick", "--queue", ""], "queue"),
        (["enqueue", "app.jobs.quick", "--params", "{"], "--params is not JSON"),
        (["enqueue", "app.jobs.quick", "--params", "[1]"], "--params must be a JSON object"),
        (["enqueue", "app.jobs.quick", "--params", "{print('x')}"], "--params is not JSON"),
        (["enqueue", "app.jobs.quick", "--params", "{1: 'x'}"], "1"),
        (["enqueue", "app.jobs.quick", "--params", '{"x": "\udcff"}'], "--params is not JSON"),
        (["enqueue", "app.jobs.quick", "--params", '{"x": 1}'], "x"),
        (["enqueue", "app.jobs.ProcessOrder"], "order_id"),
        (["enqueue", "app.jobs.ProcessOrder", "--method", "_private"], "_private"),
        (["enqueue", "app.jobs.missing"], "missing"),
        (["enqueue", "os.system"], "LATESHIFT_ALLOWED"),
        (
            ["enqueue", "app.jobs.quick", "{}"],
            "unexpected extra argument ({}). Parameters of the job go into --params, in quotes: ",
        ),
        (["work", "--max-memory", "lots"], "500M"),
        (["work", "--processes", "0"], "--processes"),
        (["work", "--queues", "a,,b"], "--queues has an empty name: "),
        (["work", "--queues", ","], "leave it out to serve all queues"),
        (["top", "--once", "--interval", "often"], "'often' is no duration: 90, 5m, 2h"),
        (["top", "--once", "--interval", "0"], "--interval is 0.1 to 3600 seconds, not 0"),
        (["completion", "tcsh"], "bash"),
        (["demo", "no/such/folder"], "no/such/folder"),
    ],
)
def test_wrong_usage_ends_with_2(project, arguments, words):
    """What cannot be done as written is refused before anything happens."""
    assert words in refusal(project, *arguments)


@pytest.mark.parametrize("command", ["status", "retry"])
def test_bytes_that_are_no_text_are_no_job(project, command):
    """What a terminal hands over of a broken file, for example, is the id of nothing."""
    project.invoke("migrate")
    assert "no job 'a\\udcff'" in refusal(project, command, "a\udcff", code=3)


def test_bytes_that_are_no_text_are_no_queue(project):
    """Nor are they the name of a queue or of a callable."""
    project.invoke("migrate")
    assert "characters that cannot be printed" in refusal(project, "list", "--queue", "a\udcff")
    assert "give a callable path" in refusal(project, "list", "--name", "a\udcff")


def test_bad_settings_end_with_2(project, monkeypatch):
    """A setting that is unknown is refused, naming the nearest."""
    project.invoke("migrate")
    monkeypatch.setenv("LATESHIFT_RETRY_DELEY", "3")
    assert "LATESHIFT_RETRY_DELAY" in refusal(project, "list")


def test_following_and_json_exclude_each_other(project):
    """An endless JSON array is no JSON."""
    assert "--follow" in refusal(project, "logs", "-f", "--json")


@pytest.mark.parametrize("command", ["status", "show", "explain", "wait", "run", "logs"])
def test_an_unknown_job_ends_with_3(project, command):
    """Every command that takes an id says that there is no such job."""
    project.invoke("migrate")
    assert "'nope'" in refusal(project, command, "nope", code=3)


def test_no_database_ends_with_5(empty):
    """In a folder without a database a reading command says so, and makes none."""
    for command in ("list", "status x", "queues", "workers", "prune", "cancel x", "queues resume x"):
        told = refusal(empty, *command.split(), code=5)
        assert "There is no database at" in told
        assert "(LATESHIFT_DATABASE_URL, default)" in told
    assert not (empty.folder / "storage").exists()


@pytest.mark.parametrize(
    ("path", "words"),
    [("app", "is a folder: LATESHIFT_DATABASE_URL names a file"), ("app/jobs.py/jobs.db", "could not be created")],
)
def test_a_path_that_can_be_no_database_ends_with_5(project, monkeypatch, path, words):
    """A folder was told to have wrong permissions, or a full disk."""
    monkeypatch.setenv("LATESHIFT_DATABASE_URL", f"sqlite:///{path}")
    assert words in refusal(project, "enqueue", "app.jobs.quick", code=5)


def test_a_database_that_is_locked_is_waited_for_once(project, monkeypatch):
    """What is left of the jobs is not tried: with a hundred ids it took a hundred times as long to say so."""
    ids = [project.enqueue("quick") for _ in range(3)]
    monkeypatch.setenv("LATESHIFT_BUSY_TIMEOUT", "0.1")
    with closing(sqlite3.connect(project.folder / "storage/lateshift.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        result = project.invoke("cancel", *ids, code=5)
    assert result.stderr.count("was locked by another process") == 1
    assert result.stderr.endswith("error: 2 more jobs were not tried.\n")


@pytest.mark.parametrize("as_json", [False, True])
def test_the_id_of_a_job_that_is_stored_is_printed_though_nobody_runs_it(project, monkeypatch, as_json):
    """With --json nothing was, so a script had to take the job for not stored."""
    monkeypatch.setenv("LATESHIFT_SPAWN", "auto")
    project.invoke("migrate")
    (project.folder / "storage/run").write_text("a file where the folder should be")
    result = project.invoke("enqueue", "app.jobs.quick", *(["--json"] if as_json else []), code=1)
    job_id = json.loads(result.stdout)["id"] if as_json else result.stdout.strip()
    assert "No runner could be started" in result.stderr
    assert project.app().get_job(job_id).status == "pending"


def test_the_id_of_a_job_that_is_stored_is_printed_though_nobody_can_read_it(project, monkeypatch):
    """The database went away just after the commit: whoever took that for a refusal enqueued the job again."""

    def away(*_: object) -> None:
        raise StorageUnavailable("It is away for a moment.")

    with monkeypatch.context() as patch:
        patch.setattr(Lateshift, "get_job", away)
        told = project.invoke_json("enqueue", "app.jobs.quick")
    assert [job.id for job in project.app().list_jobs()] == [told["id"]]


def test_a_damaged_database_ends_with_5(project):
    """A file that is no database is told from one that is not there."""
    (project.folder / "storage").mkdir()
    (project.folder / "storage/lateshift.db").write_bytes(b"no database at all " * 100)
    for arguments in (["list"], ["enqueue", "app.jobs.quick"], ["work"], ["migrate", "--plan"]):
        assert "damaged" in refusal(project, *arguments, code=5)


def test_a_newer_database_ends_with_5(project):
    """The database of a newer Lateshift is left alone."""
    project.invoke("migrate")
    connection = sqlite3.connect(project.folder / "storage/lateshift.db")
    with connection:
        connection.execute("update lateshift_meta set value = 99 where name = 'schema'")
    connection.close()
    for arguments in (["list"], ["work"], ["migrate"], ["migrate", "--plan"]):
        assert "schema 99" in refusal(project, *arguments, code=5)


def test_a_folder_that_cannot_be_made_ends_with_5(project):
    """A database that cannot be made is refused with its path."""
    (project.folder / "storage").touch()
    assert "storage" in refusal(project, "migrate", code=5)
    assert "storage" in refusal(project, "enqueue", "app.jobs.quick", code=5)


def test_a_runner_that_cannot_be_started_leaves_the_job(project, monkeypatch):
    """The id is printed, since the job is stored; the error says how it gets run; the exit code is 1."""
    monkeypatch.setenv("LATESHIFT_SPAWN", "auto")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    result = project.invoke("enqueue", "app.jobs.quick", code=1)
    assert "lateshift work" in result.stderr
    assert project.invoke("status", result.stdout.strip()).stdout.startswith("pending ")


def test_what_is_not_foreseen_is_one_line_too(project, monkeypatch):
    """An unexpected exception becomes one line that tells how to see more; --traceback shows it."""

    def break_down(*_, **__):
        raise KeyError("surprise")

    project.invoke("migrate")
    monkeypatch.setattr(base.Lateshift, "list_jobs", break_down)
    assert "KeyError: 'surprise'. `lateshift --traceback" in refusal(project, "list", code=1)
    told = project.invoke("--traceback", "list", code=1).stderr
    assert "Traceback (most recent call last)" in told
    assert "break_down" in told


def test_what_this_user_may_not_touch_is_named_with_a_remedy(capsys):
    """A bare "[Errno 13]" would not say what to do."""

    def init():
        raise PermissionError(errno.EACCES, "Permission denied", "/srv/x/app")

    assert base.report(init) == base.Code.FAILED
    assert capsys.readouterr().err == (
        "error: /srv/x/app: Permission denied. Run this as a user who may, or give this one the right.\n"
    )


def test_help_documents_the_exit_codes(project):
    """Each exit code is in `lateshift --help`."""
    told = project.invoke("--help").stdout
    lines = {line.split()[0] for line in told.partition("Exit codes:")[2].splitlines() if line.strip()}
    assert {str(int(code)) for code in base.Code} <= lines


def test_no_command_at_all_prints_the_help(project):
    """As --help does; it was squashed into one line of error."""
    assert project.run() == project.run("--help")


def test_version(project):
    """`lateshift --version` names the installed version."""
    assert project.invoke("--version").stdout.startswith("lateshift 0.")
