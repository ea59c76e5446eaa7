"""Programs of one folder have allow-lists of their own: the runner that they share runs the jobs of each."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from project import finished, gone, until

from lateshift import Lateshift, default
from lateshift.errors import InvalidOption
from lateshift.host import permits
from lateshift.host.presence import runner_file
from lateshift.runtime.process import _widen
from lateshift.storage import reads, requests

PROGRAM = """\
import os
from pathlib import Path
from lateshift import background, configure, run_background_job, wait_for_job
configure(allowed=[Path(__file__).stem])
def told() -> str:
    return __name__
def asks() -> str:
    return run_background_job(told)
@background(isolation="process")
def alone() -> str:
    return f"{__name__} {os.environ['LATESHIFT_ALLOWED']}"
if __name__ == "__main__":
    print(wait_for_job(run_background_job(told), 20, check=True).result)
"""


@pytest.fixture
def environment(project):
    """That of a program whose allow-list is in its code; three such programs are in the folder."""
    for name in ("orders", "mails", "reports"):
        (project.folder / f"{name}.py").write_text(PROGRAM)
    environment = project.environment()
    del environment["LATESHIFT_ALLOWED"]
    return environment


def start(project, environment, name: str) -> subprocess.Popen[str]:
    """Start a program."""
    command = [sys.executable, f"{name}.py"]
    return subprocess.Popen(command, cwd=project.folder, env=environment, text=True, stdout=subprocess.PIPE)


def said(program: subprocess.Popen[str]) -> str:
    """What a program has printed."""
    out, _ = program.communicate(timeout=60)
    return out.strip()


def age(app: Lateshift) -> None:
    """Let it be long ago that a program has looked at what is granted."""
    os.utime(runner_file(app.settings, "allowed"), (0, 0))


def runner(app: Lateshift) -> reads.WorkerRow:
    """The one there is."""
    [row] = [row for row in reads.workers(app.database) if row.kind == "runner"]
    return row


def test_programs_with_allow_lists_of_their_own_share_a_runner(project, environment):
    """It had the list of the one that started it, and failed the jobs of the others."""
    app = project.app(allowed=["orders"])
    assert said(start(project, environment, "orders")) == "orders"
    waits = app.run_background_job("orders.told", delay=3600)
    first = runner(app)
    for name in ("mails", "orders", "reports", "mails"):
        assert said(start(project, environment, name)) == name
    assert runner(app).id == first.id
    app.cancel_job(waits)


def test_programs_that_start_at_once_find_no_runner_and_fail_no_job(project, environment):
    """As with the machine: nobody could be asked yet, and the runner that began refused what was not of its starter."""
    programs = [(name, start(project, environment, name)) for name in ("orders", "mails", "reports") * 2]
    assert [(name, said(program)) for name, program in programs] == [(name, name) for name, _ in programs]


@pytest.mark.parametrize("how", ["killed", "asked"])
def test_what_waits_runs_whichever_program_starts_the_next_runner(project, environment, how):
    """The machine goes down, or the code is a new one; another program is the first to enqueue after that."""
    app = project.app(allowed=["orders"])
    app.pause_queue("later")
    assert said(start(project, environment, "orders")) == "orders"
    waits = app.run_background_job("orders.told", queue="later")
    worker = psutil.Process(runner(app).pid)
    age(app)
    if how == "killed":
        for process in (worker.parent(), worker):
            process.kill()
    else:
        requests.ask(app.database, runner(app).id, "stop", app.database.now())
    until(lambda: gone(worker.pid))
    assert said(start(project, environment, "mails")) == "mails"
    app.resume_queue("later")
    assert finished(app, waits).result == "orders"


def test_what_was_granted_is_for_child_processes_and_for_what_jobs_enqueue(project, environment):
    """Each has settings of its own."""
    orders, mails = (project.app(allowed=[name], spawn="auto") for name in ("orders", "mails"))
    waits = orders.run_background_job("orders.told", delay=3600)
    assert finished(mails, mails.run_background_job("mails.alone")).result == "mails orders,mails"
    asked = finished(mails, mails.run_background_job("mails.asks"))
    assert finished(mails, asked.result).result == "mails"
    assert finished(orders, orders.run_background_job("orders.alone")).result == "orders orders,mails"
    orders.cancel_job(waits)


def test_what_was_granted_is_for_jobs_whose_modules_configure_lists_of_their_own(project, environment):
    """The runner had all from its starter, and the module that was imported last refused the jobs of the other."""
    app = project.app(allowed=["orders", "mails"], spawn="auto")
    ids = [app.run_background_job(f"{name}.asks") for name in ("orders", "mails", "orders", "mails")]
    asked = [finished(app, finished(app, job_id).result) for job_id in ids]
    assert [job.result for job in asked] == ["orders", "mails", "orders", "mails"]


def test_a_job_of_a_callers_own_transaction_is_granted_before_it_is_committed(project, environment):
    """The runner sees it as soon as that is done, and nobody comes back to ask."""
    orders, mails = (project.app(allowed=[name], spawn="auto") for name in ("orders", "mails"))
    waits = orders.run_background_job("orders.told", delay=3600)
    connection = sqlite3.connect(mails.database.path)
    job_id = mails.run_background_job("mails.told", connection=connection)
    connection.commit()
    connection.close()
    assert finished(mails, job_id).result == "mails"
    orders.cancel_job(waits)


def test_an_async_caller_grants_it_before_the_connection_is_used(project, environment):
    """It did so for other connections only."""
    mails = project.app(allowed=["mails"], spawn="auto")
    with pytest.raises(InvalidOption):
        asyncio.run(mails.arun_background_job("mails.told", connection="none of ours"))
    assert permits.granted(mails.settings) == ("mails",)


@pytest.mark.parametrize("verb", ["retry_job", "run_again"])
def test_to_run_a_job_again_grants_what_it_needs(project, environment, verb):
    """The job failed again, with the list of another program."""
    orders = project.app(allowed=["orders"], spawn="auto")
    waits = orders.run_background_job("orders.told", delay=3600)
    finished(orders, orders.run_background_job("orders.told"))
    mails = project.app(allowed=["mails"], spawn="never").run_background_job("mails.told", delay=3600)
    orders.cancel_job(mails)
    again = getattr(project.app(allowed=["mails"], spawn="auto"), verb)(mails)
    assert finished(orders, again or mails).result == "mails"
    orders.cancel_job(waits)


@pytest.mark.parametrize("asked", [False, True])
def test_a_runner_that_has_ended_leaves_nothing_granted(project, environment, asked):
    """A list that was made shorter since would have its old entries for ever."""
    app = project.app(allowed=["orders"], spawn="auto", idle_exit=60 if asked else 0.5)
    waits = app.run_background_job("orders.told", delay=3600)
    finished(app, app.run_background_job("orders.told"))
    assert permits.granted(app.settings) == ("orders",)
    age(app)
    app.cancel_job(waits)
    if asked:
        requests.ask(app.database, runner(app).id, "stop", app.database.now())
    until(lambda: not permits.granted(app.settings), what="it to be taken back")


def test_a_lateshift_work_goes_by_its_own_list(project, environment):
    """Whoever starts one decides what it may run."""
    app = project.app(allowed=["mails"], spawn="auto")
    project.worker()
    job = finished(app, app.run_background_job("mails.told"))
    assert (job.status, job.error.type) == ("failed", "lateshift.errors.CallableNotAllowed")


@pytest.mark.parametrize(
    "written",
    [b"", b"orders\n", b'["orders', b'["orders"', b"\xff\n", b'["no name"]\n', b'{"a": 1}\n[1]\n["orders", "../x"]\n'],
)
def test_a_line_that_cannot_be_read_grants_nothing_and_hides_no_other(project, written):
    """The disk was full in the middle of it: `app` of `app.jobs` would be a wider entry."""
    settings = project.app(allowed=["mails"]).settings
    file = runner_file(settings, "allowed")
    file.parent.mkdir(parents=True)
    file.write_bytes(written)
    assert permits.granted(settings) == ()
    permits.grant(settings, ["mails", "reports"])
    assert permits.granted(settings) == ("mails", "reports")


def test_what_a_program_is_about_to_need_is_not_taken_back(project, monkeypatch):
    """It has looked, and its job is not stored yet, while a runner ends and the runner of another program begins."""
    app = project.app(allowed=["mails"])
    rename = Path.replace

    def rename_late(file: Path, target: Path) -> None:
        permits.grant(app.settings, ["mails"])
        rename(file, target)
        assert permits.granted(app.settings) == ("mails",), "a runner may meet the job just now"

    permits.grant(app.settings, ["mails"])
    permits.withdraw(app.settings)
    assert permits.granted(app.settings) == ("mails",)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", rename_late)
        age(app)
        permits.withdraw(app.settings)
    assert permits.granted(app.settings) == ("mails",)
    age(app)
    permits.withdraw(app.settings)
    assert not permits.granted(app.settings)


def test_what_a_running_job_may_need_is_not_taken_back(project, environment):
    """It may fail, and wait for whichever runner is there then."""
    app = project.app(allowed=["orders"], spawn="auto", idle_exit=60)
    worker = project.worker(queues=["elsewhere"])
    project.app().run_background_job("app.jobs.wait_for_file", parameters={"name": "go"}, queue="elsewhere")
    until(project.journal, what="it to begin")
    finished(app, app.run_background_job("orders.told"))
    age(app)
    supervisor = psutil.Process(runner(app).pid).parent()
    requests.ask(app.database, runner(app).id, "stop", app.database.now())
    until(lambda: gone(supervisor.pid))
    assert permits.granted(app.settings) == ("orders",)
    worker.kill()


def test_where_nobody_can_tell_what_was_granted_no_job_is_refused(project, monkeypatch):
    """A job that leaks files had others fail for good; so they are tried again. Enqueuing goes on."""
    app = project.app(allowed=["orders"])
    permits.grant(app.settings, ["mails"])

    def read(_: Path) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", read)
        with pytest.raises(OSError, match="Too many"):
            permits.with_granted(app.settings)
        permits.grant(app.settings, ["reports"])


def test_one_look_at_what_was_granted_does_for_a_new_name(project, monkeypatch):
    """The file was read for the worker, and again for what its jobs enqueue."""
    app, looks = project.app(allowed=["orders"]), []
    permits.grant(app.settings, ["mails"])
    read = permits._read
    monkeypatch.setattr(permits, "_read", lambda file: looks.append(file) or read(file))
    monkeypatch.setattr(default, "_widen", None)
    monkeypatch.setattr(default, "_app", app)
    monkeypatch.setenv("LATESHIFT_ALLOWED", "orders")
    assert _widen(app.settings).allowed == app.settings.allowed == ("orders", "mails")
    assert os.environ["LATESHIFT_ALLOWED"] == "orders,mails"
    assert len(looks) == 3, "one look, as the file may be taken away and put back meanwhile"


def test_a_private_module_is_granted_beside_the_package_it_is_in(project):
    """An entry lets public names run that are below it, and a program may name a private module itself."""
    app = project.app(allowed=["orders"])
    permits.grant(app.settings, ["orders", "orders._late"])
    assert permits.runner_permits(app.settings, "orders._late.told")


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links are for administrators there")
def test_a_link_to_the_folder_leads_to_what_was_granted(project):
    """A release is a link in many a deployment; the database, and so its runner, is the same one."""
    app = project.app(allowed=["orders"])
    link = project.folder.with_name("link")
    link.symlink_to(project.folder)
    linked = project.app(database_url=f"sqlite:///{link}/storage/lateshift.db", storage_dir=link / "storage")
    permits.grant(linked.settings, ["mails"])
    assert permits.granted(app.settings) == ("mails",)


def test_where_nobody_can_read_what_was_granted_each_goes_by_its_own_list(project):
    """As with too many open files: who waited for a job, or asked about one, got that error for an answer."""
    settings = project.app(allowed=["mails"]).settings
    runner_file(settings, "allowed").mkdir(parents=True)
    assert permits.runner_permits(settings, "mails.told")
    assert not permits.runner_permits(settings, "orders.told")
    permits.grant(settings, ["orders"])


def test_where_nothing_can_be_written_enqueuing_goes_on(project):
    """A folder that can only be read: its runner may refuse the job then, and says why."""
    app = project.app(storage_dir=project.folder / "app/jobs.py/storage")
    permits.grant(app.settings, ["mails"])
    assert permits.with_granted(app.settings) is app.settings
