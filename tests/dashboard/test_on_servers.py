"""Every page on the database servers: what it reads is written for all of them."""

import pytest

from lateshift import Lateshift
from lateshift.job import STATUSES
from lateshift.storage import migrations, open_database

SERVERS = ["postgres_url", "mariadb_url"]


@pytest.mark.parametrize("server", SERVERS)
def test_every_page_on_a_server(make_site, request, server):
    """Lists, all kinds of jobs and a probe answer, and an action works."""
    site = make_site(database_url=ready(request.getfixturevalue(server)))
    client = site.client()
    jobs = [f"/jobs/{site.app.list_jobs(status=status, limit=1)[0].id}" for status in STATUSES]
    for path in ("/", "/jobs", "/jobs?status=failed&queue=billing&name=shop", "/queues", "/workers", "/readyz", *jobs):
        assert client.get(path).status_code == 200, path
    for path in (
        "/?range=24h",
        "/?range=7d&numbers=yes",
        "/queues/mail",
        "/queues/mail?range=7d",
        "/workers/w-81bc02",
    ):
        assert client.get(path).status_code == 200, path
    client.post("/queues/mail/purge", data={"typed": "mail"})
    assert site.app.list_jobs(queue="mail", status="pending") == []
    client.post(f"/bulk/{site.desk.runs.all()[0].id}/undo")
    assert site.app.list_jobs(queue="mail", status="pending")
    client.post("/workers/w-81bc02/drain", data={"confirmed": "yes"})
    assert "It was asked to end" in client.get("/workers/w-81bc02").text
    assert "ReadTimeout" in client.get("/jobs?q=error:timeout+-queue:mail").text
    assert 'data-text="queue:billing"' in client.get("/jobs/suggestions?q=queue:bil").text
    answer = client.post("/bulk/delete/jobs", data={"all": "yes", "status": "failed"})
    assert "Deleted 6 jobs." in answer.text
    answer = client.post(f"/bulk/{site.desk.runs.all()[0].id}/undo")
    assert "Brought back 6 jobs." in answer.text
    client.post("/queues/mail/pause")
    assert "/queues/mail/resume" in client.get("/queues").text


ODD = ["/jobs/{}", "/jobs/{}/edit", "/bulk/{}", "/errors/{}", "/queues/{}", "/workers/{}", "/api/jobs/{}"]
ODD += ["/api/errors/{}", "/api/workers/{}/requests/{}", "/bulk/retry/jobs?id={}"]


@pytest.mark.parametrize("server", [*SERVERS, None])
def test_an_address_of_nothing_is_no_trouble_of_the_database(make_site, request, server):
    """A server refuses to look for some characters in some columns; what no id and no name can be is just not there."""
    site = make_site(database_url=ready(request.getfixturevalue(server))) if server else make_site()
    client = site.client()
    for odd in ("%00", "x%00", "%C3%A4", "%ED%A0%80"):
        for path in ODD:
            assert client.get(path.format(odd, odd)).status_code in (404, 422), (path, odd)
        for path in ("/jobs/{}/retry", "/jobs/{}/stack", "/errors/{}/resolve", "/bulk/{}/undo", "/api/undo/{}"):
            assert client.post(path.format(odd), json={}).status_code == 404, (path, odd)
    job = site.app.list_jobs(status="running", limit=1)[0]
    for odd in ("%00", "%C3%A4"):
        assert client.get(f"/jobs/{job.id}/stack?worker={odd}&asked={odd}").status_code == 200


def ready(url):
    """The address of a database with the tables in it."""
    app = Lateshift(database_url=url, spawn="never")
    database = open_database(app.settings, as_is=True)
    migrations.migrate(database)
    database.close()
    app.close()
    return url
