"""`lateshift init`: what it writes, and what it leaves alone."""

import importlib
import sys
from pathlib import Path

import pytest

from lateshift.settings import load_settings


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_an_empty_folder_becomes_a_project(empty):
    """init writes settings, a package with one job, and keeps the storage out of git; the job runs."""
    told = empty.invoke("init").stdout
    assert set(files(empty.folder)) == {".env", ".gitignore", "app/__init__.py", "app/jobs.py"}
    assert files(empty.folder)[".gitignore"] == "storage/\n"
    assert "wrote  app/jobs.py" in told
    job_id = empty.enqueue("ProcessOrder", order_id=5)
    assert empty.invoke("run", job_id).stdout == '{"order_id":5,"processed":true}\n'
    assert (empty.folder / "storage/lateshift.db").exists()


def test_the_second_time_nothing_changes(empty):
    """init never overwrites; it says what it kept."""
    empty.invoke("init")
    before = files(empty.folder)
    told = empty.invoke("init").stdout
    assert files(empty.folder) == before
    assert told.count("kept") == 4


@pytest.mark.parametrize("present", ["*.pyc", "*.pyc\n"])
def test_a_gitignore_gets_one_line_more(empty, present):
    """What a .gitignore says already stays."""
    (empty.folder / ".gitignore").write_text(present)
    empty.invoke("init")
    assert files(empty.folder)[".gitignore"] == "*.pyc\nstorage/\n"


def test_a_program_named_app_is_not_hidden(empty, monkeypatch):
    """Beside an app.py the jobs go to jobs.py, since a package `app` would hide the program from Python."""
    (empty.folder / "app.py").write_text("print('my program')\n")
    monkeypatch.delenv("LATESHIFT_ALLOWED")
    told = empty.invoke("init").stdout
    assert not (empty.folder / "app").exists()
    assert "lateshift enqueue jobs.ProcessOrder" in told
    job_id = empty.invoke("enqueue", "jobs.ProcessOrder", "--params", '{"order_id": 1}').stdout.strip()
    empty.invoke("run", job_id)


def test_what_another_source_says_is_not_overruled(empty, monkeypatch):
    """A value in pyproject.toml or the environment stays in force: its line in .env is commented out."""
    monkeypatch.delenv("LATESHIFT_ALLOWED")
    (empty.folder / "pyproject.toml").write_text(
        '[tool.lateshift]\nallowed = ["app"]\ndatabase_url = "sqlite:///here.db"\n'
    )
    told = empty.invoke("init").stdout
    settings = load_settings()
    assert (settings.allowed, Path(settings.database_url).name) == (("app",), "here.db")
    assert "# LATESHIFT_ALLOWED=app.jobs" in files(empty.folder)[".env"]
    assert "Now have a first job done" in told


def test_init_in_a_subfolder_of_a_project_is_refused(empty, monkeypatch):
    """It would make another project, with a database of its own; who wants that names the folder."""
    empty.invoke("init")
    (empty.folder / "inner").mkdir()
    monkeypatch.chdir(empty.folder / "inner")
    assert f"belongs to the project in {empty.folder}" in empty.invoke("init", code=2).stderr
    assert not list((empty.folder / "inner").iterdir())
    monkeypatch.setenv("LATESHIFT_ROOT", ".")
    empty.invoke("init")
    assert (empty.folder / "inner/.env").exists()


def test_what_is_kept_changes_the_advice(empty, monkeypatch):
    """With settings or jobs of one's own, init says what to set or to name before the command works."""
    monkeypatch.delenv("LATESHIFT_ALLOWED")
    (empty.folder / ".env").write_text("LATESHIFT_ALLOWED=shop\n")
    told = " ".join(empty.invoke("init").stdout.split())
    assert f"Set LATESHIFT_ALLOWED to shop,app.jobs ({empty.folder / '.env'} line 1); then" in told
    assert files(empty.folder)[".env"] == "LATESHIFT_ALLOWED=shop\n"
    (empty.folder / "app/jobs.py").write_text("def mine(): ...\n")
    assert "app/jobs.py has jobs of its own" in empty.invoke("init").stdout


@pytest.mark.parametrize("present", ["", "SECRET=1", "SECRET=1\n"])
def test_an_env_without_settings_of_ours_gets_them(empty, monkeypatch, present):
    """Else the folder would be no project for its subfolders; what stands in the file already stays, and counts."""
    monkeypatch.delenv("LATESHIFT_ALLOWED")
    (empty.folder / ".env").write_text(present)
    assert "added  .env: " in empty.invoke("init").stdout
    text = files(empty.folder)[".env"]
    assert text.startswith(present)
    assert "LATESHIFT_ALLOWED=app.jobs\n" in text
    assert "kept   .env\n" in empty.invoke("init").stdout
    assert files(empty.folder)[".env"] == text
    (empty.folder / "inner").mkdir()
    monkeypatch.chdir(empty.folder / "inner")
    assert load_settings().root == empty.folder


@pytest.mark.parametrize("present", ["SECRET=für mich\n".encode("latin-1"), "SECRET=1\n".encode("utf-16")])
def test_an_env_that_is_not_utf_8_is_kept(empty, present):
    """Lateshift could not read settings in it, and to add any could spoil it for others."""
    (empty.folder / ".env").write_bytes(present)
    assert "kept   .env, which is not UTF-8 text" in empty.invoke("init").stdout
    assert (empty.folder / ".env").read_bytes() == present


def test_an_application_that_reads_the_same_file_is_told_of(empty, monkeypatch):
    """A class of pydantic-settings with env_file=".env" refuses names that it does not know: it would not start."""
    assert "pydantic" not in empty.invoke("init").stdout
    monkeypatch.delitem(sys.modules, "pydantic_settings")
    (empty.folder / "pydantic_settings.py").touch()
    importlib.invalidate_caches()
    assert 'Give it extra="ignore"' in empty.invoke("init").stdout


def test_a_package_of_jobs_is_kept(empty):
    """Beside app/jobs/ a file app/jobs.py would never be imported, or would hide what is in the folder."""
    (empty.folder / "app/jobs").mkdir(parents=True)
    (empty.folder / "app/jobs/mail.py").touch()
    told = empty.invoke("init").stdout
    assert "kept   app/jobs/\n" in told
    assert "app/jobs/ has jobs of its own: name one of them" in told
    assert not (empty.folder / "app/jobs.py").exists()


def test_a_file_named_app_leaves_no_room_for_a_package(empty):
    """Beside a file `app`, such as a program that was built, the jobs go to jobs.py."""
    (empty.folder / "app").touch()
    assert "wrote  jobs.py" in empty.invoke("init").stdout
