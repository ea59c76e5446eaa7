"""Standard streams that are closed, broken or full, and what modules and jobs print into them."""

import json
import os
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

posix = pytest.mark.skipif(sys.platform == "win32", reason="streams are closed and end otherwise there")

PRINTING = """
print("imported")


def talk() -> str:
    print("hello from the job")
    return "talked"
"""


def without_streams():
    for number in (0, 1, 2):
        os.close(number)


@posix
def test_a_command_works_without_standard_streams(project):
    """As `>&-`, pythonw and some services start it: jobs are stored, and workers run them."""
    for arguments in (["enqueue", "app.jobs.later"], ["list"], ["work", "--burst", "--processes", "1"]):
        process = project.start(*arguments, preexec_fn=without_streams)
        assert (process.communicate(timeout=60), process.returncode) == (("", ""), 0)
    [job] = project.invoke_json("list")
    assert job["status"] == "completed"


@posix
def test_a_dashboard_starts_without_standard_streams(project):
    """It is served, and ends with a signal as it would otherwise."""
    code = (
        "import sys; from lateshift.cli import main; from lateshift.dashboard.serving import Serving;"
        "Serving.run = lambda self: open('served', 'w').write(self.link); sys.exit(main(['dashboard', '--port', '0']))"
    )
    process = project.start(python=["-c", code], preexec_fn=without_streams)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert "http://127.0.0.1:" in (project.folder / "served").read_text()


@posix
def test_all_jobs_are_acted_on_though_nobody_reads(project):
    """`lateshift cancel a b c | true` cancels all three."""
    jobs = [project.enqueue("quick") for _ in range(3)]
    process = project.start("cancel", jobs[0], "nope", *jobs[1:])
    process.stdout.close()
    process.stderr.close()
    assert process.wait(60) == 3
    assert {job["status"] for job in project.invoke_json("list")} == {"cancelled"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("command", ["--help", "list"])
def test_a_full_disk_is_one_line_of_error(project, command):
    """What cannot be written is an error of the system, told in words."""
    project.enqueue("quick")
    with open("/dev/full", "w") as full:
        process = project.start(command, stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith("error: [Errno 28] ")
    assert err.count("\n") == 1


@posix
def test_a_gone_current_folder_is_one_line_of_error(project):
    """As after a deploy that replaced the folder."""
    (project.folder / "gone").mkdir()

    def enter():
        os.chdir("gone")
        os.rmdir(project.folder / "gone")

    assert "current folder is gone" in project.run("list", preexec_fn=enter, code=2)


def test_what_is_printed_is_no_part_of_the_answer(project):
    """Neither what a module prints while it is imported nor, with --json, what the job prints."""
    with (project.folder / "app/jobs.py").open("a", encoding="utf-8") as code:
        code.write(PRINTING)
    [job_id] = project.run("enqueue", "app.jobs.talk").splitlines()
    assert project.json("status", job_id)["status"] == "pending"
    assert project.json("enqueue", "app.jobs.talk")["name"] == "app.jobs.talk"
    assert project.json("run", job_id)["result"] == "talked"
    other = project.run("enqueue", "app.jobs.talk").strip()
    assert "hello from the job" in project.run("run", other)


def test_results_cannot_drive_the_terminal(project):
    """JSON has escapes of its own for what is no text to read, and stays the same JSON."""
    odd = "\x9b31m \u202e\u2066 \x7f \u2028"
    job_id = project.done("loud", text=odd)
    for arguments in (["wait", job_id], ["wait", job_id, "--json"], ["show", job_id, "--json"]):
        told = project.invoke(*arguments).stdout
        assert not set(told) & set("\x9b\u202e\u2066\x7f\u2028")
        assert odd in (json.loads(told), json.loads(told)["result"] if told.startswith("{") else "")
    waiting = project.enqueue("loud", text=odd)
    assert project.invoke("run", waiting).stdout == json.dumps(odd).replace("\x7f", "\\u007f") + "\n"


def test_names_of_paused_queues_cannot_drive_the_terminal(project):
    """What `wait` and `explain` tell of a queue whose name other hands have written into the database."""
    job_id = project.enqueue("quick")
    project.invoke("queues", "pause", "default")
    with closing(sqlite3.connect(project.folder / "storage/lateshift.db")) as database, database:
        for table, column in (("jobs", "queue"), ("queues", "name")):
            database.execute(f"update lateshift_{table} set {column} = ?", ["a\x1b[2J\x9b\u202e"])
    waits = project.invoke("wait", job_id, "--timeout", "0.01", code=4).stderr
    for told in (waits, project.invoke("explain", job_id).stdout):
        assert re.search(r"`lateshift queues resume (['\"])a\\x1b\[2J\\x9b\\u202e\1`", told)
        assert not set(told) & set("\x1b\x9b\u202e")


def test_ctrl_c_while_it_is_imported_ends_it_quietly(project):
    """A quarter of a second is long enough for a hand that has changed its mind."""
    (project.folder / "click.py").write_text("raise KeyboardInterrupt\n")
    assert project.run("list", code=130) == ""
