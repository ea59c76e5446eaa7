"""Reverse proxies that are trusted: in what they say of addresses and https, and of users where that is set."""

import re

import pytest
from test_access import SAME, USERS, log_in


def test_whoever_passes_by_the_proxies_is_told_of_them(make_site):
    """Where only proxies are set, no application is there that could let anybody in."""
    for header, told in ((None, "LATESHIFT_DASHBOARD_PROXY_HEADER"), ("X-User", "names the user in X-User")):
        site = make_site(dashboard_proxies="10.0.0.5", dashboard_proxy_header=header)
        text = site.client(client=("10.1.1.1", 1)).get("/").text
        assert "LATESHIFT_DASHBOARD_PROXIES" in text
        assert told in text
        assert "application" not in text


def test_a_trusted_proxy_names_the_user(make_site):
    """Its header counts, with the role of LATESHIFT_DASHBOARD_USERS or as a viewer; from elsewhere it does not."""
    site = make_site(dashboard_users=USERS, dashboard_proxies=["10.0.0.0/24"], dashboard_proxy_header="X-User")
    job = site.app.list_jobs(status="failed", limit=1)[0]
    proxied = site.client(client=("10.0.0.7", 1))
    assert f'action="/jobs/{job.id}/retry"' in proxied.get(f"/jobs/{job.id}", headers={"x-user": "pat"}).text
    text = proxied.get(f"/jobs/{job.id}", headers={"x-user": "<b>new"}).text
    assert "retry" not in re.findall(rf'action="/jobs/{job.id}/(\w+)"', text)
    assert "&lt;b&gt;new" in text
    direct = site.client(client=("10.0.1.7", 1))
    assert direct.get("/", headers={"x-user": "ada"}, follow_redirects=False).status_code == 303


@pytest.mark.parametrize("trusted", ["10.0.0.5", "::ffff:10.0.0.5"])
def test_a_proxy_is_known_on_a_socket_for_both_kinds_of_addresses(make_site, trusted):
    """Such a socket tells an IPv4 address as one of IPv6; either way to write it in the settings will do."""
    site = make_site(dashboard_proxies=trusted, dashboard_proxy_header="X-User")
    for address, code in (("::ffff:10.0.0.5", 200), ("::ffff:10.0.0.6", 403)):
        assert site.client(client=(address, 1)).get("/", headers={"x-user": "pat"}).status_code == code


@pytest.mark.parametrize("name", ["jürgen", "noà"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_proxy_names_users_in_any_letters(make_site, name, encoding):
    """As most proxies write them, in UTF-8; what cannot be that is Latin-1."""
    site = make_site(dashboard_users=f"{name}:admin:", dashboard_proxies="10.0.0.5", dashboard_proxy_header="X-User")
    client = site.client(client=("10.0.0.5", 1))
    assert client.get("/api/audit", headers={"x-user": name.encode(encoding)}).status_code == 200


def test_a_proxy_that_is_only_believed_where_browsers_are_names_nobody(make_site):
    """nginx hands on what somebody has sent: X-Forwarded-User let them in as whoever it named, without the password."""
    site = make_site(dashboard_users=USERS, dashboard_proxies="127.0.0.1")
    told = {"x-forwarded-user": "ada", "x-forwarded-for": "8.8.8.8", "x-forwarded-proto": "https"}
    client = site.client(headers=told)
    assert client.get("/").status_code == 401
    assert "secure" in log_in(client, "ada", "correct horse").headers["set-cookie"].lower()


@pytest.mark.parametrize(("told", "secure"), [("https, http", True), ("HTTPS", True), ("http, https", False)])
def test_the_first_of_several_proxies_knows_what_the_browser_speaks(make_site, told, secure):
    """Each of them may add how it was asked itself; scheme names are the same in capitals."""
    site = make_site(dashboard_users=USERS, dashboard_proxies="127.0.0.1")
    client = site.client(headers={"x-forwarded-proto": told} | SAME)
    paused = client.post("/queues/mail/pause", auth=("ada", "correct horse"), follow_redirects=False)
    for answer in (log_in(client, "ada", "correct horse"), paused):
        assert ("Secure" in answer.headers["set-cookie"].split("; ")) is secure
