"""What stands in `.env` and `pyproject.toml` is taken, or refused in words; never passed over."""

import logging
import os
import sys

import pytest
from settings_folder import enter_project, refusal

from lateshift import settings_sources
from lateshift.errors import SettingsError
from lateshift.settings import NAMES, Settings, load_settings


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A folder of its own as the current one."""
    return enter_project(tmp_path, monkeypatch)


def test_unreadable_files_are_refused(project):
    """A broken pyproject.toml or .env is an error with the file's name, not a silent default."""
    (project / "pyproject.toml").write_text("[tool.lateshift\n")
    assert "pyproject.toml cannot be read as TOML" in refusal()
    (project / "pyproject.toml").write_text("[tool]\nlateshift = 3\n")
    assert "no table" in refusal()
    (project / ".env").write_bytes(b"LATESHIFT_ALLOWED=\xff\n")
    assert "not UTF-8" in refusal()
    (project / ".env").write_text("LATESHIFT_ALLOWED=a\n", encoding="utf-16")
    assert "not UTF-8" in refusal()


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [
        ('X=1\nLATESHIFT_RELEASE="v1\n', "LATESHIFT_RELEASE", 2),
        ('OTHER="no end\nLATESHIFT_RELEASE=v1\nMORE="x"\n', "LATESHIFT_RELEASE", 2),
        ("LATESHIFT_RELEASE: v1\n", "LATESHIFT_RELEASE", 1),
        ('"LATESHIFT_RELEASE"=v1\n', "LATESHIFT_RELEASE", 1),
        ('LATESHIFT_RELEASE=v1\nexport LATESHIFT_RELEASE="v2\n', "LATESHIFT_RELEASE", 2),
    ],
)
def test_a_line_that_cannot_be_read_is_refused(project, text, name, line):
    """A quote that is not closed, above it or in it, or a colon: going on would use another value."""
    (project / ".env").write_text(text)
    assert f"{project / '.env'} line {line} has {name}, but cannot be read there" in refusal()


def test_lines_of_others_are_nobodys_business(project, caplog):
    """What other programs write into .env is not judged, nor warned about; ours may be in quotes."""
    (project / ".env").write_text("what: ever\nOTHER x=1\n'LATESHIFT_RELEASE'=v1\nLATESHIFT_TEST_X: 1\n")
    assert load_settings().release == "v1"
    assert caplog.records == []


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links are for administrators there")
@pytest.mark.parametrize("name", [".env", "pyproject.toml"])
def test_a_file_that_cannot_be_read_is_refused(project, name, tmp_path, monkeypatch, caplog):
    """In the current folder and in the one that is named as the root; one above is warned of."""
    (project / name).symlink_to(name)  # as unreadable as one of another user, and also for root
    assert f"{project / name} cannot be read" in refusal()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATESHIFT_ROOT", str(project))
    assert f"{project / name} cannot be read" in refusal()
    monkeypatch.delenv("LATESHIFT_ROOT")
    (project / "inner").mkdir()
    monkeypatch.chdir(project / "inner")
    assert load_settings().root == load_settings().root == project / "inner"
    [record] = caplog.records
    assert (record.levelno, str(project / name) in record.getMessage()) == (logging.WARNING, True)


@pytest.mark.parametrize("name", [".env", "pyproject.toml"])
def test_a_foreign_file_may_be_in_any_encoding(project, name, monkeypatch):
    """It stands above, perhaps, and has nothing for us."""
    (project / name).write_bytes(b"NAME = 'J\xfcrgen'\n")
    (project / "inner").mkdir()
    monkeypatch.chdir(project / "inner")
    assert load_settings().root == project / "inner"


@pytest.mark.skipif(sys.platform != "win32", reason="elsewhere a file may be called so")
@pytest.mark.parametrize(
    "line", [r'LATESHIFT_STORAGE_DIR="C:\temp\new"', r'LATESHIFT_DATABASE_URL="sqlite:///C:\temp\new.db"']
)
def test_a_backslash_in_double_quotes_is_refused(project, line):
    """The folder with a tab and a new line in its name could not be made; why, nobody saw."""
    (project / ".env").write_text(line)
    assert "in double quotes" in refusal()


def test_root_in_pyproject_is_refused(project):
    """In the words in which .env is told so."""
    (project / "pyproject.toml").write_text('[tool.lateshift]\nroot = "/elsewhere"\n')
    assert "what decides which pyproject.toml is read. Set it in the environment, as LATESHIFT_ROOT" in refusal()


def test_a_root_that_is_not_there_is_refused(project, monkeypatch):
    """A typing error must not make a new project without jobs."""
    monkeypatch.setenv("LATESHIFT_ROOT", str(project / "typo"))
    assert "there is no such folder" in refusal()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file systems take only text there")
def test_a_root_whose_name_is_no_text_is_refused(project, monkeypatch):
    """Workers are told their folder as JSON, which cannot hold it: they died, one after the other."""
    odd = os.fsdecode(os.fsencode(project) + b"/\xff")
    os.mkdir(odd)
    monkeypatch.chdir(odd)
    assert "has to be UTF-8 text" in refusal()
    monkeypatch.chdir(project)
    assert "has to be UTF-8 text" in refusal(database_url=f"sqlite:///{odd}/x.db")
    with pytest.raises(SettingsError, match="has to be UTF-8 text"):
        Settings(storage_dir=odd)


@pytest.mark.skipif(sys.platform == "win32", reason="no name has it there")
def test_a_root_that_no_url_can_name_is_refused(project, monkeypatch):
    """Each job was stored there and waited for ever, as no worker took the URL that it was told."""
    odd = project / "what?"
    odd.mkdir()
    monkeypatch.chdir(odd)
    assert f"sqlite:///{odd}/storage/lateshift.db', and an SQLite URL has no ? in a name: give" in refusal()
    elsewhere = f"sqlite:///{project}/lateshift.db"
    assert load_settings(database_url=elsewhere).database_url == elsewhere


KUBERNETES = """LATESHIFT_PORT LATESHIFT_SERVICE_HOST LATESHIFT_SERVICE_PORT LATESHIFT_SERVICE_PORT_HTTP
LATESHIFT_PORT_8642_TCP LATESHIFT_PORT_8642_TCP_PROTO LATESHIFT_PORT_8642_TCP_ADDR LATESHIFT_PORT_8642_UDP_PORT
LATESHIFT_DASHBOARD_PORT LATESHIFT_DASHBOARD_SERVICE_HOST LATESHIFT_DASHBOARD_PORT_80_TCP_ADDR"""


def test_a_service_of_kubernetes_may_have_our_name(monkeypatch):
    """It sets variables like tcp://10.0.0.1:80 in every container beside it; no setting of ours is called so."""
    for name in KUBERNETES.split():
        monkeypatch.setenv(name, "tcp://10.0.0.1:80")
    load_settings()
    assert not [name for name in NAMES if settings_sources.KUBERNETES.fullmatch(settings_sources.env_name(name))]
