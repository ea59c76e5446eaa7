"""`lateshift dashboard`: serves on this machine, finds a free port, refuses to be open to everybody."""

import re
import signal
import socket
import sys
import urllib.request

import pytest
from click.testing import CliRunner

from lateshift.accounts import check_password
from lateshift.cli import cli


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_it_serves_until_it_is_interrupted(project):
    """It prints its link, answers there, and ends in good order also while a page listens."""
    process = project.start("dashboard")
    line = process.stdout.readline()
    link = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
    with urllib.request.urlopen(f"{link}/jobs", timeout=10) as answer:
        assert "No jobs yet" in answer.read().decode()
    with urllib.request.urlopen(f"{link}/events", timeout=10) as stream:
        assert stream.readline() == b"retry: 2000\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert err == ""


def test_a_proxy_may_serve_it_below_a_path(project):
    """Links begin with the path, which the proxy has taken away from what is asked."""
    token = {"LATESHIFT_DASHBOARD_TOKEN": "a-token-of-many-characters"}
    process = project.start("dashboard", "--root-path", "/jobs/", env=token)
    told = process.stdout.readline()
    assert "for a proxy that serves it at /jobs (" in told
    link = re.search(r"http://127\.0\.0\.1:\d+", told)[0]
    asked = urllib.request.Request(f"{link}/queues", headers={"Authorization": "Bearer a-token-of-many-characters"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert 'href="/jobs/workers"' in answer.read().decode()
    process.terminate()
    process.communicate(timeout=10)


def test_a_taken_port_is_passed_over_unless_it_was_asked_for(project):
    """The next free one is taken; a port that was named is not replaced."""
    from lateshift import Lateshift
    from lateshift.dashboard.serving import PORT, Serving

    app = Lateshift()
    one = Serving(app, "127.0.0.1", None, read_only=False)
    other = Serving(app, "127.0.0.1", None, read_only=False)
    assert PORT <= one.port < other.port
    error = project.invoke("dashboard", "--port", str(one.port), code=1).stderr
    assert "Cannot listen on 127.0.0.1" in error
    for serving in (one, other):
        serving.socket.close()
        serving.desk.close()
    app.close()


@pytest.mark.parametrize(("option", "value"), [("--host", "0.0.0.0"), ("--root-path", "/jobs")])
def test_it_is_not_opened_to_everybody_by_mistake(project, option, value):
    """Another address than this machine's own, or a proxy in front, takes a token or users."""
    error = project.invoke("dashboard", option, value, code=2).stderr
    assert "LATESHIFT_DASHBOARD_TOKEN" in error
    assert f"leave {option} out" in error


@pytest.mark.parametrize("path", ["https://example.org/jobs", "//example.org", "jobs//"])
def test_what_is_no_path_is_refused(project, path):
    """Each page led to such a place."""
    assert "is no path such as /jobs" in project.invoke("dashboard", "--root-path", path, code=2).stderr


def test_with_a_token_it_listens_everywhere(project, monkeypatch):
    """Then whoever reaches it has to log in."""
    from lateshift import Lateshift
    from lateshift.dashboard.serving import Serving

    monkeypatch.setenv("LATESHIFT_DASHBOARD_TOKEN", "a-token-of-many-characters")
    app = Lateshift()
    serving = Serving(app, "0.0.0.0", 0, read_only=True)
    assert serving.desk.read_only
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", serving.link)
    serving.socket.close()
    app.close()


def test_users_who_cannot_log_in_are_told_of(project, monkeypatch):
    """A forgotten hash went unnoticed; where a proxy lets users in they need none."""
    from lateshift.accounts import locked_out, read_accounts
    from lateshift.settings import load_settings

    process = project.start("dashboard", env={"LATESHIFT_DASHBOARD_USERS": "eve:viewer"})
    process.stdout.readline()
    process.terminate()
    assert "Nobody can log in as eve" in process.communicate(timeout=10)[1]
    monkeypatch.setenv("LATESHIFT_DASHBOARD_USERS", "eve:viewer")
    checks = {check["name"]: check for check in project.invoke_json("doctor")}
    assert checks["LATESHIFT_DASHBOARD_USERS"]["level"] == "warning"
    proxied = load_settings(dashboard_proxies="10.0.0.5", dashboard_proxy_header="X-Forwarded-User")
    assert not locked_out(read_accounts(proxied.dashboard_users, proxied.root), proxied)


def test_it_hashes_passwords(empty):
    """What it prints is a hash of the line that a script gives it, alone on its line."""
    result = CliRunner().invoke(cli, ["dashboard", "--hash-password"], input="correct horse\n")
    assert check_password("correct horse", result.stdout.strip())


@pytest.mark.parametrize("given", ["", "\n"])
def test_no_password_is_refused(empty, given):
    """Without a terminal there is nobody to ask again."""
    result = CliRunner().invoke(cli, ["dashboard", "--hash-password"], input=given)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith("error: Standard input has no password.")


def test_an_ipv6_address_has_brackets(empty):
    """So that the link can be opened."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    from lateshift import Lateshift
    from lateshift.dashboard.serving import Serving

    app = Lateshift()
    try:
        serving = Serving(app, "::1", 0, read_only=False)
    except OSError:
        pytest.skip("no IPv6")
    assert serving.link.startswith("http://[::1]:")
    serving.socket.close()
    app.close()


@pytest.mark.parametrize(("users", "words"), [("abc", "is not name:role:hash"), ("@nofile", "cannot be read")])
def test_doctor_tells_of_users_that_it_refuses(project, monkeypatch, users, words):
    """It said ok to what `lateshift dashboard` does not start with; the value is not shown."""
    monkeypatch.setenv("LATESHIFT_DASHBOARD_USERS", users)
    checks = {check["name"]: check for check in project.invoke_json("doctor", code=1)}
    check = checks["LATESHIFT_DASHBOARD_USERS"]
    assert (check["level"], words in check["message"]) == ("error", True)
    assert check["message"].startswith("*** (environment): ")
