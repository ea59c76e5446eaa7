"""What a login leaves in the browser: for whom it counts, and for how long."""

import pytest
from dashboard_site import HERE, SAME
from starlette.testclient import TestClient
from test_access import TOKEN, log_in

from lateshift.dashboard import create_dashboard


def test_a_session_ends_with_the_password(make_site):
    """A cookie that was signed under other secrets, changed, or made up, is nobody's."""
    old, new = make_site(dashboard_token=TOKEN), make_site(dashboard_token=f"{TOKEN}-2")
    client = old.client()
    log_in(client, password=TOKEN)
    cookie = client.cookies[old.desk.access.cookie]
    for value in (cookie, cookie[:-1] + "0", "x", "", ".", "ImFkYSI=.00"):
        other = new.client(cookies={new.desk.access.cookie: value})
        assert other.get("/", follow_redirects=False).status_code == 303


@pytest.mark.parametrize("other", [TOKEN, f"{TOKEN}-2"])
def test_dashboards_of_one_host_leave_each_other_alone(make_site, other):
    """Browsers send a cookie to every port of its host, so to log in to one dashboard ended the session of another."""
    made = {8642: make_site(dashboard_token=TOKEN).made, 8643: make_site(dashboard_token=other).made}

    async def host(scope, receive, send):
        await made[scope["server"][1]](scope, receive, send)

    browser = TestClient(host, headers=SAME)
    there = "http://localhost:8643"
    for link, token in ((HERE, TOKEN), (there, other)):
        assert browser.get(link, follow_redirects=False).status_code == 303
        browser.post(f"{link}/login", data={"password": token})
    assert browser.get(HERE, follow_redirects=False).status_code == 200
    browser.post(f"{there}/logout")
    assert [browser.get(link, follow_redirects=False).status_code for link in (HERE, there)] == [200, 303]


def test_a_session_outlasts_a_restart(make_site):
    """Another process with the same settings takes the same cookie."""
    site = make_site(dashboard_token=TOKEN)
    client = site.client()
    log_in(client, password=TOKEN)
    again = TestClient(create_dashboard(site.app), base_url=HERE, headers=SAME, cookies=client.cookies)
    assert again.get("/", follow_redirects=False).status_code == 200
    again.app.state.desk.close()
