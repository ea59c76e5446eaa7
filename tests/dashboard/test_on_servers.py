"""Every page on the database servers: what it reads is written for all of them."""

import pytest

from lateshift import Lateshift
from lateshift.job import STATUSES
from lateshift.storage import migrations, open_database

SERVERS = ["postgres_url", "mariadb_url"]


@pytest.mark.parametrize("server", SERVERS)
def test_every_page_on_a_server(make_site, request, server):
    """Lists, all kinds of jobs and a probe answer, and an action works."""
    url = request.getfixturevalue(server)
    app = Lateshift(database_url=url, spawn="never")
    database = open_database(app.settings, as_is=True)
    migrations.migrate(database)
    database.close()
    app.close()
    site = make_site(database_url=url)
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
