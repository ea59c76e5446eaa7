"""The doctor's page: the checks of `lateshift doctor` with their remedies, and what the dashboard works with."""

import re

import pytest
from dashboard_site import Site
from test_hostile import EVIL, assert_harmless

from lateshift.dashboard import checkup
from lateshift.errors import StorageUnavailable
from lateshift.storage.schema import LATEST


def checks(text):
    """(state, check, words) of each line."""
    found = re.findall(r'<tr id="c-\d+".*?<span>(\w+)</span></span></td><td.*?>(.*?)</td><td.*?>(.*?)</td>', text)
    return [(state, name, re.sub("<.*?>", "", words)) for state, name, words in found]


def test_checks_are_live_with_their_remedies(site, client):
    """What is wrong comes first, with what to do; the headline says how much of it there is."""
    found = checks(client.get("/doctor").text)
    assert {"database", "schema", "indexes", "disk space", "logs", "clock"} <= {name for _, name, _ in found}
    assert [state for state, _, _ in found] == sorted((state for state, _, _ in found), key="Error Warning Fine".index)
    [paused] = [words for _, name, words in found if name == "jobs"]
    assert "it is paused" in paused
    assert "lateshift queues resume partners" in paused
    warnings = sum(state == "Warning" for state, _, _ in found)
    assert f"{warnings} warning" in client.get("/doctor").text


def test_user_code_is_not_imported(site, client):
    """The allow-list is checked by an import, which is left to the command; the page says so."""
    text = client.get("/doctor").text
    assert "allow-list" not in [name for _, name, _ in checks(text)]
    assert "The allow-list is not looked at here" in text


def test_a_look_serves_for_a_while(site, client, monkeypatch):
    """However often the page is asked for: a look writes to the database."""
    looks = []
    monkeypatch.setattr(checkup, "examine", lambda *_, **__: looks.append(1) or [])
    for _ in range(3):
        assert client.get("/doctor").status_code == 200
        site.desk.forget()
    assert len(looks) == 1
    monkeypatch.setattr(checkup, "INTERVAL", -1.0)
    text = client.get("/doctor").text
    assert len(looks) == 2
    assert "0 checks, all is fine" in text


def test_an_operator_sees_settings_with_their_origin(make_site, monkeypatch):
    """Values and sources, those that were set apart from defaults; secrets are masked."""
    monkeypatch.setenv("LATESHIFT_LOG_DAYS", "9")
    site = make_site(authorize=lambda _: "operator", dashboard_token="a-token-of-many-characters", max_retries=7)
    text = site.client().get("/doctor").text
    found = {
        name: (re.sub("<.*?>", "", value), origin)
        for name, value, origin in re.findall(
            r'<tr id="s-(\w+)".*?<td class="break">(.*?)</td><td class=".*?">(.*?)</td>', text
        )
    }
    assert found["max_retries"] == ("7", "code")
    assert found["log_days"] == ("9", "environment")
    assert found["grace"] == ("30.0", "default")
    assert found["dashboard_token"] == ("***", "code")
    assert "a-token-of-many-characters" not in text
    assert f"{LATEST}, the current one" in text
    assert re.search(r"<dt>Size</dt><dd.*?>\d+\.\d MB</dd>", text)
    assert "SQLite 3." in text


def test_a_viewer_sees_the_checks_only(make_site):
    """No settings, nothing of this process, and a word on who does see them: not on paths, which checks do name."""
    site = make_site(authorize=lambda _: "viewer")
    text = site.client().get("/doctor").text
    assert checks(text)
    assert str(site.app.settings.storage_dir) in text
    assert "paths" not in text
    assert "LATESHIFT_ROOT" not in text
    assert "<dt>Executable</dt>" not in text
    assert "shown to operators" in text


def test_there_may_be_no_database_yet(make_site):
    """Before the first job the page says so, and makes none."""
    site = make_site(filled=False)
    text = site.client().get("/doctor").text
    assert "not there yet" in text


def test_it_comes_without_a_database(tmp_path, monkeypatch):
    """When the database does not answer, this page is there to say why."""
    site = Site(tmp_path)

    def gone(*_):
        raise StorageUnavailable("The server db.example does not answer.")

    try:
        database = site.desk.database
        for name in ("now", "query"):
            monkeypatch.setattr(database, name, gone)
        answer = site.client().get("/doctor")
        assert answer.status_code == 200
        assert "The server db.example does not answer." in answer.text
        assert site.client().get("/").status_code == 503
    finally:
        site.close()


@pytest.mark.parametrize("text", [EVIL])
def test_hostile_settings_are_text(make_site, text):
    """A release that is named like markup is shown as text."""
    site = make_site(release=text[:100])
    found = site.client().get("/doctor").text
    assert "&lt;script&gt;" in found
    assert_harmless(found)
