"""Settings: where they come from, who wins, what is refused and how the message helps."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from settings_folder import enter_project, refusal

from lateshift import Lateshift
from lateshift.errors import SettingsError
from lateshift.settings import (
    NAMES,
    Settings,
    explain_in_force,
    explain_settings,
    load_settings,
    mask_url,
    to_environment,
)


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A folder of its own as the current one."""
    return enter_project(tmp_path, monkeypatch)


def test_defaults_are_those_of_the_design(project):
    """With nothing set anywhere, the documented defaults hold and paths are below the current folder."""
    settings = load_settings()
    assert settings.database_url == f"sqlite:///{(project / 'storage/lateshift.db').as_posix()}"
    assert settings.storage_dir == project / "storage"
    assert settings.root == project
    assert settings.allowed == ("app.jobs", "app.services")
    assert (settings.max_retries, settings.retry_delay, settings.log_level, settings.log_days) == (3, 5.0, "INFO", 14)
    assert (settings.spawn, settings.idle_exit, settings.sqlite_durability) == ("auto", 30.0, "full")
    assert settings.timeout is None
    assert settings.children >= 1


def test_precedence(project, monkeypatch):
    """Code wins over the environment, that over .env, that over pyproject.toml, that over the default."""
    (project / "pyproject.toml").write_text(
        "[tool.lateshift]\nmax_retries = 1\nthreads = 1\nlog_days = 1\ngrace = 1.5\n"
    )
    (project / ".env").write_text("LATESHIFT_MAX_RETRIES=2\nLATESHIFT_THREADS=2\nLATESHIFT_LOG_DAYS=2\n")
    monkeypatch.setenv("LATESHIFT_MAX_RETRIES", "3")
    monkeypatch.setenv("LATESHIFT_THREADS", "3")
    settings = load_settings(max_retries=4)
    assert (settings.max_retries, settings.threads, settings.log_days, settings.grace) == (4, 3, 2, 1.5)


def test_origins_are_explained(project, monkeypatch):
    """`explain_settings` names the source of each value, with the line for .env."""
    (project / "pyproject.toml").write_text('[tool.lateshift]\nallowed = ["orders", "mails.jobs"]\n')
    (project / ".env").write_text("# ours\n\nexport LATESHIFT_THREADS=2\n")
    monkeypatch.setenv("LATESHIFT_LOG_LEVEL", "debug")
    explained = {item.name: (item.value, item.origin) for item in explain_settings(max_retries=4)}
    assert explained["allowed"] == ("orders,mails.jobs", "pyproject.toml [tool.lateshift]")
    assert explained["threads"] == ("2", f"{project / '.env'} line 3")
    assert explained["log_level"] == ("DEBUG", "environment")
    assert explained["max_retries"] == ("4", "code")
    assert explained["grace"] == ("30.0", "default")
    assert list(explained) == list(NAMES)


def test_explanation_masks_the_password():
    """The database's password does not get into what doctor prints."""
    explained = {item.name: item.value for item in explain_settings(database_url="postgresql://app:geheim@db/jobs")}
    assert explained["database_url"] == "postgresql://app:***@db/jobs"


def test_settings_in_force_are_explained_by_who_says_the_same(project, monkeypatch):
    """A program tells the values that it uses; a source that was changed or spoilt since does not count as theirs."""
    (project / ".env").write_text("LATESHIFT_THREADS=2\nLATESHIFT_LOG_DAYS=3\n")
    settings = load_settings(max_retries=4, dashboard_token="a-token-of-many-characters")
    given = {item.name: item for item in explain_settings(max_retries=4, dashboard_token="a-token-of-many-characters")}
    told = {item.name: item for item in explain_in_force(settings)}
    assert told == given
    (project / ".env").write_text("LATESHIFT_THREADS=5\nLATESHIFT_LOG_DAYS=3\n")
    told = {item.name: item[1:] for item in explain_in_force(settings)}
    assert told["threads"] == ("2", "code")
    assert told["log_days"] == ("3", f"{project / '.env'} line 2")
    monkeypatch.setenv("LATESHIFT_MAX_RETRIES", "many")
    assert {item.name: item.origin for item in explain_in_force(settings)}["max_retries"] == "code"


def test_root_is_the_nearest_folder_with_settings(project, monkeypatch):
    """Started in a subfolder, relative paths are against the folder that has the settings."""
    (project / ".env").write_text("LATESHIFT_STORAGE_DIR=var\n")
    inner = project / "src" / "deep"
    inner.mkdir(parents=True)
    (inner / ".env").write_text("# LATESHIFT_THREADS=3\nDJANGO_DEBUG=1\nLATESHIFT_TEST_URL=x\n")
    (inner / "pyproject.toml").write_text('[project]\nname = "lateshift-user"\n')
    monkeypatch.chdir(inner)
    settings = load_settings()
    assert settings.root == project
    assert settings.storage_dir == project / "var"


def test_pyproject_marks_the_root_too(project, monkeypatch):
    """A pyproject.toml with [tool.lateshift] makes its folder the root."""
    (project / "pyproject.toml").write_text("[tool.lateshift]\n")
    (project / "inner").mkdir()
    monkeypatch.chdir(project / "inner")
    assert load_settings().root == project


def test_root_can_be_given(project, tmp_path, monkeypatch):
    """LATESHIFT_ROOT decides whose .env is read."""
    other = tmp_path / "other"
    other.mkdir()
    (other / ".env").write_text("LATESHIFT_THREADS=5\n")
    monkeypatch.setenv("LATESHIFT_ROOT", str(other))
    settings = load_settings()
    assert (settings.root, settings.threads) == (other, 5)
    assert load_settings(root=project).threads == 8


def test_root_in_dotenv_is_refused(project):
    """LATESHIFT_ROOT cannot stand in the file that it would choose."""
    (project / ".env").write_text("LATESHIFT_ROOT=/elsewhere\n")
    assert "Set it in the environment" in refusal()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("LATESHIFT_MAX_RETRY", "LATESHIFT_MAX_RETRIES"),
        ("LATESHIFT_DATABSE_URL", "LATESHIFT_DATABASE_URL"),
        ("LATESHIFT_DB_URL", "LATESHIFT_DATABASE_URL"),
    ],
)
def test_unknown_variable(name, near, monkeypatch):
    """An unknown LATESHIFT_ variable is refused with the nearest known one."""
    monkeypatch.setenv(name, "5")
    message = refusal()
    assert name in message
    assert f"did you mean {near}?" in message
    assert "environment" in message


def test_unknown_name_in_dotenv(project):
    """An unknown name in .env is refused with its line."""
    (project / ".env").write_text("X=1\nLATESHIFT_SPAWNS=never\n")
    message = refusal()
    assert ".env line 2" in message
    assert "did you mean LATESHIFT_SPAWN?" in message


def test_unknown_key_in_pyproject(project):
    """An unknown key in [tool.lateshift] is refused with the nearest one."""
    (project / "pyproject.toml").write_text("[tool.lateshift]\nmax-retries = 3\n")
    message = refusal()
    assert "max-retries (pyproject.toml [tool.lateshift])" in message
    assert "did you mean max_retries?" in message


def test_unknown_name_in_code():
    """An unknown keyword is refused, by name of the nearest, or with all names when none is near."""
    assert "did you mean max_retries?" in refusal(max_retrys=3)
    assert "known are root, database_url" in refusal(zzz=3)


def test_names_of_test_suites_are_ignored(monkeypatch):
    """LATESHIFT_TEST_ names are nobody's business here."""
    monkeypatch.setenv("LATESHIFT_TEST_POSTGRES", "postgresql://...")
    load_settings()


def test_bad_value_names_its_source(project, monkeypatch):
    """A bad value says where it stands: the line in .env, the environment, pyproject.toml, the code."""
    (project / "pyproject.toml").write_text("[tool.lateshift]\nthreads = true\n")
    assert refusal() == "threads is True (pyproject.toml [tool.lateshift]): expected a whole number from 1 to 1000."
    (project / ".env").write_text("\nLATESHIFT_THREADS=many\n")
    assert f"LATESHIFT_THREADS is 'many' ({project / '.env'} line 2)" in refusal()
    monkeypatch.setenv("LATESHIFT_THREADS", "0")
    assert "LATESHIFT_THREADS is '0' (environment): expected a whole number from 1 to 1000" in refusal()
    assert "threads is 3.5 (code): expected a whole number" in refusal(threads=3.5)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("retry_delay", float("nan"), "expected a number"),
        ("retry_delay", "inf", "expected a number"),
        ("retry_delay", -1, "expected a number"),
        ("retry_delay", True, "expected a number"),
        ("keep_days", "1_0", "expected a number"),
        ("idle_exit", "-1", "from 0 to 315360000"),
        ("retry_delay", [1], "expected a number"),
        ("timeout", 0, 'or "none"'),
        ("max_retries", "1e3", "whole number"),
        ("max_retries", "9" * 5000, "whole number"),
        ("max_retries", -1, "whole number"),
        ("log_level", "LOUD", "expected one of DEBUG, INFO, WARNING, ERROR"),
        ("log_format", "xml", "expected one of text, json"),
        ("spawn", 1, "expected one of auto, never"),
        ("allowed", [], "it names no package"),
        ("allowed", ",", "it names no package"),
        ("allowed", "app/jobs.py", "no dotted name"),
        ("allowed", "app.*", "without *"),
        ("allowed", "app..jobs", "no dotted name"),
        ("allowed", [3], "no dotted name"),
        ("allowed", [["app.jobs"]], "no dotted name"),
        ("allowed", 3, "expected dotted names"),
        ("storage_dir", 3, "expected a path"),
        ("storage_dir", "", "expected a path"),
        ("storage_dir", "a\0b", "NUL"),
        ("root", 3, "expected a folder"),
        ("database_url", "lateshift.db", "expected a URL"),
        ("database_url", "sqlite://storage/lateshift.db", "three slashes"),
        ("database_url", "sqlite:///", "other processes can open"),
        ("database_url", "sqlite:///:memory:", "other processes can open"),
        ("database_url", "sqlite:///storage/x.db?timeout=5", "takes no options after a ?"),
        ("database_url", Path("x"), "expected a URL"),
    ],
)
def test_bad_values(name, value, expected):
    """Values that make no sense are refused with what would."""
    message = refusal(**{name: value})
    assert message.startswith(f"{name} is ")
    assert expected in message


@pytest.mark.parametrize("start", ["sqlite://", "postgresql//", "postgresql:/", "", "sqlite:"])
def test_bad_url_does_not_leak_its_password(monkeypatch, start):
    """The message about a URL masks the password in it, also in one that is hardly one."""
    monkeypatch.setenv("LATESHIFT_DATABASE_URL", f"{start}app:geheim@host/x")
    assert "geheim" not in refusal()


def test_values_are_converted(monkeypatch):
    """Text, numbers and timedeltas all give the declared types; spaces and case are forgiven."""
    monkeypatch.setenv("LATESHIFT_ALLOWED", " orders , mails.jobs,orders,")
    monkeypatch.setenv("LATESHIFT_TIMEOUT", " None ")
    monkeypatch.setenv("LATESHIFT_SPAWN", "NEVER")
    settings = load_settings(retry_delay=timedelta(minutes=1), storage_dir="~/jobs", grace=3, max_retries="7")
    assert settings.allowed == ("orders", "mails.jobs")
    assert settings.timeout is None
    assert settings.spawn == "never"
    assert settings.retry_delay == 60.0
    assert load_settings(keep_days=timedelta(hours=12)).keep_days == 0.5
    assert settings.storage_dir == Path.home() / "jobs"
    assert isinstance(settings.grace, float)
    assert settings.max_retries == 7


def test_none_in_code_means_not_given(monkeypatch):
    """None leaves a setting to the next source, except the timeout, for which it is a value."""
    monkeypatch.setenv("LATESHIFT_THREADS", "3")
    monkeypatch.setenv("LATESHIFT_TIMEOUT", "9")
    assert load_settings(threads=None).threads == 3
    assert load_settings().timeout == 9.0
    assert load_settings(timeout=None).timeout is None


def test_empty_variable_counts_as_not_given(project, monkeypatch):
    """`LATESHIFT_THREADS=` leaves the setting to the next source."""
    (project / ".env").write_text("LATESHIFT_THREADS=4\nLATESHIFT_GRACE=\nLATESHIFT_LOG_DAYS\n")
    monkeypatch.setenv("LATESHIFT_THREADS", " ")
    settings = load_settings()
    assert (settings.threads, settings.grace, settings.log_days) == (4, 30.0, 14)


def test_dotenv_quoting_and_references(project, monkeypatch):
    """The .env is read as python-dotenv reads it: quotes, export, comments, references; the last one counts."""
    monkeypatch.setenv("DB_HOST", "db.internal")
    (project / ".env").write_text(
        'LATESHIFT_THREADS=1\nexport LATESHIFT_DATABASE_URL="mysql://a:b#c@${DB_HOST}/x" # ours\nLATESHIFT_THREADS=2',
        encoding="utf-8-sig",
    )
    settings = load_settings()
    assert settings.database_url == "mysql://a:b#c@db.internal/x"
    assert settings.threads == 2
    assert {item.name: item.origin for item in explain_settings()}["threads"].endswith("line 3")


def test_folders_named_like_the_files_are_no_settings(project):
    """A folder called .env, as some tools make for environments, is passed over."""
    (project / ".env").mkdir()
    assert load_settings().root == project


def test_a_gone_current_folder_is_explained(tmp_path, monkeypatch):
    """Loading in a deleted folder says so."""
    if sys.platform == "win32":
        pytest.skip("Windows does not delete a folder in use")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "current folder is gone" in refusal()


def test_settings_by_hand_are_checked():
    """`Settings(...)` made in code is checked and made absolute as well."""
    assert Settings(root=Path.cwd(), storage_dir=Path("x")).storage_dir == Path.cwd() / "x"
    with pytest.raises(SettingsError, match="threads is 0"):
        Settings(threads=0)


def test_environment_hands_the_same_settings_on(project, tmp_path, monkeypatch):
    """`to_environment` gives a process in another folder, with another .env, the very same settings."""
    settings = load_settings(allowed=["a.b", "c"], timeout=None, grace=0.25, storage_dir="var", log_format="json")
    other = tmp_path / "other"
    other.mkdir()
    (other / ".env").write_text("LATESHIFT_THREADS=77\nLATESHIFT_TIMEOUT=5\n")
    monkeypatch.chdir(other)
    for name, value in to_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_environment_has_every_setting():
    """No setting is forgotten, and all values are text."""
    environment = to_environment(Settings())
    assert set(environment) == {f"LATESHIFT_{name.upper()}" for name in NAMES}
    assert all(isinstance(value, str) and value for value in environment.values())


@given(grace=st.floats(0, 86_400), retries=st.integers(0, 10_000), timeout=st.none() | st.floats(0.001, 315_360_000))
def test_numbers_survive_the_environment(grace, retries, timeout):
    """Any number handed on through the environment comes back exactly."""
    settings = Settings(grace=grace, max_retries=retries, timeout=timeout)
    names = to_environment(settings)
    read = {name: names[f"LATESHIFT_{name.upper()}"] for name in NAMES}
    assert load_settings(**read) == settings


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://app:secret@db:5432/jobs", "postgresql://app:***@db:5432/jobs"),
        ("postgresql://app:p@ss:w/o?rd@db/jobs", "postgresql://app:***@db/jobs"),
        ("mysql://app@db/jobs", "mysql://app@db/jobs"),
        ("mysql://:secret@db/jobs", "mysql://:***@db/jobs"),
        ("postgresql://db/jobs?user=a&password=secret&x=1", "postgresql://db/jobs?user=a&password=***&x=1"),
        ("postgresql://db/jobs?pass%77ord=secret", "postgresql://db/jobs?pass%77ord=***"),
        ("sqlite:///C:/jobs@home/x.db", "sqlite:///C:/jobs@home/x.db"),
        ("mysql://app@azure:secret@db/jobs", "mysql://app@azure:***@db/jobs"),
        ("mysql://a/b:secret@db/jobs", "mysql://a/b:***@db/jobs"),
        ("mysql://app:sec\nret@db/jobs", "mysql://app:***@db/jobs"),
        ("mysql://app:secr", "mysql://app:***"),
        ("mysql://db:3306/jobs", "mysql://db:3306/jobs"),
        ("postgresql://a:1,b:2/jobs", "postgresql://a:1,b:2/jobs"),
        ("postgresql://[::1]:5432/jobs", "postgresql://[::1]:5432/jobs"),
        ("INFO", "INFO"),
    ],
)
def test_mask_url(url, masked):
    """Passwords become stars, wherever they stand; everything else stays."""
    assert mask_url(url) == masked


@given(st.text(st.characters(codec="ascii", min_codepoint=33), min_size=3).filter(lambda text: "*" not in text))
def test_no_password_gets_through(password):
    """Whatever the password is, it is not in the masked URL."""
    assert password not in mask_url(f"postgresql://u:{password}@h/d").replace("postgresql://u", "").replace("@h/d", "")


@pytest.mark.parametrize("dotenv", [False, True])
def test_nothing_is_imported_in_vain(project, dotenv):
    """Loading settings does not import asyncio, tomllib, pydantic; dotenv only where there is a .env of ours."""
    if dotenv:
        (project / ".env").write_text("LATESHIFT_THREADS=4\n")
    code = (
        "import sys; from lateshift.settings import load_settings; load_settings();"
        "print(*sorted({'asyncio', 'tomllib', 'pydantic', 'dotenv', 'difflib'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = {"dotenv"} if dotenv else set()
    assert set(result.stdout.split()) - ({"difflib"} if dotenv else set()) == expected


@pytest.mark.parametrize(("given", "named"), [(load_settings(), {"nonsense": 1}), ("sqlite:///x", {})])
def test_settings_beside_an_object_are_refused(given, named):
    """They were ignored without a word, even names that there are none of."""
    with pytest.raises(SettingsError, match="or settings by name"):
        Lateshift(given, **named)
