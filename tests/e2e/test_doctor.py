"""`diagnose` looks at a project as it is on the disk, finds what is wrong, and does not stop at it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lateshift.doctor import Check, diagnose, examine, exit_code, machine
from lateshift.doctor.machine import has_wal_reset_bug, network_mount
from lateshift.host.presence import presence_folder
from lateshift.settings import explain_in_force
from lateshift.storage import audit, reads, workers
from lateshift.storage.migrations import migrate
from lateshift.storage.workers import NewWorker

SECOND = 1_000_000


def find(checks: list[Check], name: str) -> list[Check]:
    """The lines of one check."""
    return [check for check in checks if check.name == name]


def one(checks: list[Check], name: str) -> Check:
    """The only line of one check."""
    found = find(checks, name)
    assert len(found) == 1, checks
    return found[0]


def hire(app, worker="host-1", queues=(), *, host="elsewhere", ago=0.0):
    """A worker announces itself, some seconds ago."""
    row = NewWorker(worker, "worker", host, 4711, str(app.settings.storage_dir), queues, "1")
    workers.register_worker(app.database, row, app.database.now() - round(ago * SECOND))


@pytest.fixture
def app(project):
    """The project's application object, with a database that is there."""
    app = project.app()
    migrate(app.database)
    yield app
    app.close()


@pytest.fixture
def wreck(project):
    """The folder of a database that a test may spoil; it is gone at the end."""
    folder = project.folder / "storage"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.unlink(missing_ok=True)


def test_a_project_in_order_has_no_error(project, app):
    """Every check has a line; nothing is an error; what is not fine has a remedy."""
    checks = diagnose(**project.settings)
    assert exit_code(checks) == 0
    names = "python,python path,allow-list,database,schema,sqlite,file system,disk space,logs,permissions,clock,jobs"
    assert {check.name for check in checks} >= set(names.split(","))
    assert all(check.message and (check.remedy or check.level == "ok") for check in checks)
    assert one(checks, "database").message.startswith(f"{app.database.path} can be read and written")
    assert one(checks, "allow-list").message == "app can be imported"


def test_a_program_may_examine_itself(app):
    """With the settings that it has, without what it does not want to be looked at; its charts show nothing of it."""
    checks = examine(app.settings, explain_in_force(app.settings), without=("settings", "allow-list"))
    names = {check.name for check in checks}
    assert names >= {"python", "database", "jobs"}
    assert not names & {"allow-list", "LATESHIFT_ROOT"}
    assert [*reads.workers(app.database), *audit.marks(app.database, 0, app.database.now() + SECOND)] == []


def test_a_folder_without_anything_is_left_as_it_is(tmp_path, monkeypatch):
    """Before the first job there is nothing to complain of but that there is no job, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    checks = diagnose()
    assert [check.name for check in checks if check.level == "error"] == []
    assert "Neither app.jobs nor app.services exists" in one(checks, "allow-list").message
    assert "lateshift init" in one(checks, "allow-list").remedy
    assert one(checks, "database").message.endswith("is not there yet; the first enqueued job makes it")
    assert list(tmp_path.iterdir()) == []


def test_settings_say_where_they_come_from(project, monkeypatch):
    """What was set is listed by its variable's name with its source, the rest in one line, passwords masked."""
    monkeypatch.setenv("LATESHIFT_MAX_RETRIES", "7")
    (project.folder / ".env").write_text("\nLATESHIFT_LOG_DAYS=3\n")
    checks = diagnose(**project.settings)
    assert one(checks, "LATESHIFT_MAX_RETRIES").message == "7 (environment)"
    assert one(checks, "LATESHIFT_LOG_DAYS").message == f"3 ({project.folder}/.env line 2)"
    assert one(checks, "LATESHIFT_SPAWN").message == "never (code)"
    assert "busy_timeout=30.0" in one(checks, "other settings").message


def test_broken_settings_are_one_error(monkeypatch):
    """Without settings there is nothing else to look at, and still no traceback."""
    monkeypatch.setenv("LATESHIFT_MAX_RETRIES", "many")
    checks = diagnose()
    assert [(check.name, check.level) for check in checks] == [("settings", "error")]
    assert "LATESHIFT_MAX_RETRIES is 'many' (environment)" in checks[0].message
    assert exit_code(checks) == 1


def test_an_unknown_kind_of_database_is_one_error_and_shows_no_password():
    """A database that cannot be opened by any means is an error of the settings."""
    checks = diagnose(database_url="oracle://app:geheim@db/jobs")
    assert [(check.name, check.level) for check in checks] == [("settings", "error")]
    assert "geheim" not in str(checks)


def test_each_entry_of_the_allow_list_is_imported(project, capsys):
    """Packages, modules and classes count; what is missing or broken is an error that says which."""
    (project.folder / "broken.py").write_text("print('hello')\nimport nothing_of_that_name\n")
    (project.folder / "leaves.py").write_text("raise SystemExit(1)\n")
    (project.folder / "odd.py").write_text("raise BaseException('of its own')\n")
    entries = ["app", "app.jobs.ProcessOrder", "app.jobs.Nobody", "absent.jobs", "broken", "leaves", "odd"]
    checks = find(diagnose(**{**project.settings, "allowed": entries}), "allow-list")
    assert [check.level for check in checks] == ["ok", "ok", "error", "error", "error", "error", "error"]
    assert "absent.jobs is not on the Python path" in checks[3].message
    assert "No module named 'nothing_of_that_name'" in checks[4].message
    assert "SystemExit: 1" in checks[5].message
    assert "BaseException: of its own" in checks[6].message
    assert capsys.readouterr().out == ""
    for name in ("broken", "leaves"):
        sys.modules.pop(name, None)


def test_a_script_that_enqueues_when_it_is_imported_does_not(project, app):
    """Looking at the allow-list runs no code of the user's that a worker would not run, and enqueues nothing."""
    (project.folder / "script.py").write_text("import lateshift\nlateshift.run_background_job('app.jobs.add')\n")
    checks = diagnose(**{**project.settings, "allowed": ["script"]})
    assert "it would enqueue itself for ever" in one(checks, "allow-list").message
    assert app.list_jobs() == []


def test_a_default_of_the_allow_list_may_be_missing(project, monkeypatch):
    """Who has app.jobs need not have app.services."""
    settings = {name: value for name, value in project.settings.items() if name != "allowed"}
    checks = find(diagnose(**settings), "allow-list")
    assert [check.level for check in checks] == ["ok", "ok"]
    assert "app.services does not exist; it is a default" in checks[1].message


def test_a_damaged_database_does_not_stop_the_other_checks(project, wreck, app):
    """The database's line says it is damaged; the checks after it still look."""
    app.close()
    for path in wreck.glob("lateshift.db*"):
        path.unlink()
    Path(app.database.path).write_bytes(b"this is no database" * 1000)
    checks = diagnose(**project.settings)
    assert one(checks, "database").level == "error"
    assert "is damaged" in one(checks, "database").message
    assert one(checks, "logs").level == "ok"
    assert one(checks, "clock").level == "ok"
    assert exit_code(checks) == 1


def test_a_database_that_cannot_be_made(project, wreck):
    """A file in the place of the folder is found before the first job is."""
    wreck.touch()
    checks = diagnose(**project.settings)
    assert one(checks, "database").level == "error"
    assert "cannot be made" in one(checks, "database").message
    assert "no worker can start" in one(checks, "locks").message
    assert "nothing is logged" in one(checks, "logs").message


@pytest.mark.parametrize("name", ["run", "logs"])
def test_a_folder_that_cannot_be_written_or_made_is_an_error(project, app, wreck, name):
    """A file in its place, or a link that leads nowhere; without the one of the locks no job runs."""
    check = {"run": "locks", "logs": "logs"}[name]
    assert one(diagnose(**project.settings), check).level == "ok"
    shutil.rmtree(wreck / name, ignore_errors=True)
    if sys.platform != "win32":
        (wreck / name).symlink_to("nowhere")
        assert one(diagnose(**project.settings), check).level == "error"
        (wreck / name).unlink()
    (wreck / name).touch()
    assert one(diagnose(**project.settings), check).level == "error"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit of what can be written")
def test_folders_in_which_nothing_can_be_stored(project, app):
    """As on a full disk, which has room for an empty file: they were fine, while no worker could start."""
    import resource

    presence_folder(app.settings).mkdir(parents=True)
    (app.settings.storage_dir / "logs").mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        checks = diagnose(**project.settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {one(checks, name).level for name in ("locks", "logs")} == {"error"}
    assert "free space" in one(checks, "locks").remedy


def test_a_database_of_a_newer_lateshift(project, wreck, app):
    """It says so, and that the package wants an upgrade."""
    app.database.execute("update lateshift_meta set value = 999 where name = 'schema'")
    app.close()
    check = one(diagnose(**project.settings), "database")
    assert (check.level, "schema 999" in check.message) == ("error", True)


def test_a_database_that_is_not_up_to_date_is_not_touched(project):
    """Looking does not migrate."""
    path = project.folder / "storage/lateshift.db"
    path.parent.mkdir()
    sqlite3.connect(path).close()
    path.touch()
    check = one(diagnose(**project.settings), "schema")
    assert check.level == "warning"
    assert "`lateshift migrate`" in check.remedy
    with sqlite3.connect(path) as connection:
        assert connection.execute("select count(*) from sqlite_master").fetchone() == (0,)
    connection.close()


def test_a_locked_database(project, app, monkeypatch):
    """Another process's open transaction is reported after a short wait."""
    monkeypatch.setattr("lateshift.doctor.place.PATIENCE", 0.1)
    other = sqlite3.connect(app.database.path, isolation_level=None)
    other.execute("begin immediate")
    check = one(diagnose(**project.settings), "database")
    other.close()
    assert (check.level, "locked by another process" in check.message) == ("error", True)


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("3.6.23", False),
        ("3.7.0", True),
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.45.0", True),
        ("3.50.6", True),
        ("3.50.7", False),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.52.0", True),
        ("3.53.0", False),
        ("3.53.0.1", False),
    ],
)
def test_which_sqlite_has_the_wal_reset_bug(version, affected):
    """From 3.7.0 to 3.51.2 but for two back-ports; 3.52.0 was withdrawn."""
    assert has_wal_reset_bug(version) is affected


def test_this_sqlite_is_judged(project):
    """The check names the version that this Python is linked to."""
    check = one(diagnose(**project.settings), "sqlite")
    assert f"SQLite {sqlite3.sqlite_version}" in check.message
    assert (check.level == "warning") is has_wal_reset_bug(sqlite3.sqlite_version)


MOUNTS = [
    ("/", "ext4", "rw"),
    ("/srv", "nfs4", "rw,hard"),
    ("/srv/local disk", "xfs", "rw"),
    ("/home/u/far", "fuse.sshfs", "rw"),
    ("/mnt/c", "9p", "rw"),
    ("/overlaid", "fuse.fuse-overlayfs", "rw"),
    ("C:\\", "NTFS", "rw,fixed"),
    ("Z:\\", "NTFS", "rw,remote"),
]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/var/jobs", None),
        ("/srv", ("/srv", "nfs4")),
        ("/srv/jobs", ("/srv", "nfs4")),
        ("/srvice/jobs", None),
        ("/srv/local disk/jobs", None),
        ("/home/u/far/jobs", ("/home/u/far", "fuse.sshfs")),
        ("/mnt/c/jobs", ("/mnt/c", "9p")),
        ("/overlaid/jobs", None),
        ("C:\\jobs", None),
        ("Z:\\jobs", ("Z:\\", "NTFS")),
        ("\\\\server\\share\\jobs", ("\\\\server\\share\\jobs", "a network share")),
    ],
)
def test_network_file_systems_are_known(path, found):
    """The innermost mount decides, on Linux and macOS by its type, on Windows by its kind of drive."""
    assert network_mount(path, MOUNTS) == found


def test_a_database_on_a_network_file_system(project, monkeypatch):
    """There is a warning with the way out."""
    mount = SimpleNamespace(mountpoint="/", fstype="nfs", opts="rw")
    monkeypatch.setattr("psutil.disk_partitions", lambda **_: [mount])
    check = one(diagnose(**project.settings), "file system")
    assert (check.level, "is on nfs (mounted at /)" in check.message) == ("warning", True)
    assert "local disk" in check.remedy


def test_little_disk_space(project, monkeypatch):
    """Less than 100 MB is worth a warning."""
    usage = shutil.disk_usage(project.folder)._replace(free=42_000_000)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)
    checks = find(diagnose(**project.settings), "disk space")
    assert [check.level for check in checks] == ["warning"]
    assert "Only 42 MB are free" in checks[0].message


def test_a_clock_that_is_off(project, monkeypatch):
    """The disk of another machine with another time is noticed."""
    real = machine.time.time
    monkeypatch.setattr(machine.time, "time", lambda: real() - 30)
    check = one(diagnose(**project.settings), "clock")
    assert (check.level, "30 s away from this machine's" in check.message) == ("warning", True)


def test_a_clock_that_was_set_back(project, app):
    """A heartbeat from the future tells of it."""
    hire(app, ago=-60)
    check = one(diagnose(**project.settings), "clock")
    assert (check.level, "in the future" in check.message) == ("warning", True)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other permissions")
def test_root_in_the_project_of_another_user(project, app, monkeypatch):
    """Its runner would run the jobs of that user, with all rights."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    if os.getuid() == 0:
        os.chown(app.database.file, 65534, -1)
    check = one(diagnose(**project.settings), "permissions")
    assert (check.level, "runs that user's jobs as root" in check.message) == ("warning", True)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other permissions")
def test_files_that_others_may_read(project, app):
    """Job parameters are nobody else's business."""
    os.chmod(project.folder / "storage", 0o755)
    os.chmod(app.database.path, 0o644)
    check = one(diagnose(**project.settings), "permissions")
    assert (check.level, check.remedy) == ("warning", f"chmod -R o-rwx {app.database.path}")
    os.chmod(project.folder / "storage", 0o700)
    assert one(diagnose(**project.settings), "permissions").level == "ok"


def test_a_check_that_breaks_does_not_stop_the_next(project, app, monkeypatch):
    """What nobody foresaw becomes a line as well, and the others look on."""

    def broken(**_):
        raise ZeroDivisionError("no mounts")

    monkeypatch.setattr("psutil.disk_partitions", broken)
    checks = diagnose(**project.settings)
    assert one(checks, "file system").message == "This could not be checked: ZeroDivisionError: no mounts"
    assert one(checks, "jobs").level == "ok"


def test_the_exit_code_is_that_of_errors_only():
    """A warning is not a failure."""
    fine = Check("a", "ok", "fine")
    assert exit_code([fine, replace(fine, level="warning")]) == 0
    assert exit_code([fine, replace(fine, level="error")]) == 1
