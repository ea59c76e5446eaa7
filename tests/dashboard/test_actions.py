"""What an operator does: each action changes what it says, needs its role, and is refused to other sites."""

import asyncio
import re

import pytest

from lateshift.accounts import hash_password
from lateshift.dashboard import application
from lateshift.dashboard.routes import PAGES
from lateshift.errors import SpawnError
from lateshift.host.fleet import Neighbours
from lateshift.storage import audit

JOB = """
def work(order_id: int = 0, amount: str = "") -> int:
    return order_id


def add(rows: list[int]) -> int:
    return sum(rows)
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A package whose jobs may run."""
    (tmp_path / "dashboard_code.py").write_text(JOB)
    monkeypatch.syspath_prepend(str(tmp_path))


def post(client, path, **fields):
    return client.post(path, data=fields, headers={"sec-fetch-site": "same-origin"}, follow_redirects=False)


def first(site, status):
    return site.app.list_jobs(status=status, limit=1)[0]


def test_a_failed_job_is_retried(site, client):
    """Retry makes it wait again, and the next page says so once."""
    job = first(site, "failed")
    answer = post(client, f"/jobs/{job.id}/retry")
    assert answer.status_code == 303
    assert site.app.get_job(job.id).status == "pending_retry"
    assert "waits to run again" in client.get(answer.headers["location"]).text
    assert "waits to run again" not in client.get(answer.headers["location"]).text


def test_a_waiting_job_is_cancelled(site, client):
    """Cancel ends a job that waits, at once."""
    job = first(site, "pending")
    post(client, f"/jobs/{job.id}/cancel")
    assert site.app.get_job(job.id).status == "cancelled"


def test_a_running_job_is_asked_to_stop(site, client):
    """Cancel of a running job is a request to its worker."""
    job = first(site, "running")
    post(client, f"/jobs/{job.id}/cancel")
    assert site.app.get_job(job.id).cancel_requested
    assert "asked to cancel" in client.get(f"/jobs/{job.id}").text


def test_deleting_asks_first(site, client):
    """Without the confirmation nothing is deleted, and a page asks for it; it works without JavaScript."""
    job = first(site, "failed")
    answer = post(client, f"/jobs/{job.id}/delete")
    assert answer.status_code == 200
    assert "Delete this job?" in answer.text
    assert site.app.get_job(job.id).status == "failed"
    assert post(client, f"/jobs/{job.id}/delete", confirmed="yes").headers["location"] == "/jobs"
    assert client.get(f"/jobs/{job.id}").status_code == 404


def test_a_job_is_run_again_as_a_new_one(make_site, code):
    """Run again enqueues the same call, and leads to the new job."""
    site = make_site(filled=False)
    site.app.close()
    from lateshift import Lateshift

    app = Lateshift(
        root=site.app.settings.root,
        database_url=site.app.settings.database_url,
        spawn="never",
        storage_dir=site.app.settings.storage_dir,
        allowed=["dashboard_code"],
    )
    site.desk.app = app
    job_id = app.run_background_job("dashboard_code.work", parameters={"order_id": 7}, priority=6, queue="q")
    app.cancel_job(job_id)
    new = post(site.client(), f"/jobs/{job_id}/again").headers["location"].rpartition("/")[2]
    job = app.get_job(new)
    assert (job.name, job.parameters, job.priority, job.queue) == ("dashboard_code.work", {"order_id": 7}, 6, "q")
    app.close()


def test_what_cannot_be_run_again_says_why(site, client):
    """A callable that is not there any more is refused with its reason, on the job's page."""
    job = first(site, "failed")
    answer = post(client, f"/jobs/{job.id}/again")
    assert answer.headers["location"] == f"/jobs/{job.id}"
    assert "is-refused" in client.get(answer.headers["location"]).text


def test_what_is_not_possible_is_refused(site, client):
    """A completed job cannot be cancelled: the page says so, and nothing has changed."""
    job = first(site, "completed")
    post(client, f"/jobs/{job.id}/cancel")
    assert "cannot be cancelled" in client.get("/jobs").text
    assert site.app.get_job(job.id).status == "completed"


def test_queues_are_paused_and_resumed(site, client):
    """Pause and resume change the queue, whatever its name holds."""
    site.day.job("pending", 1, ("shop.a", "odd / näme?", 1, lambda _: {}, 1, 1))
    page = client.get("/queues").text
    action = next(path for path in re.findall(r'action="(/queues/.*?/pause)"', page) if "odd" in path)
    post(client, action)
    assert 'action="/queues/odd%20/%20n%C3%A4me%3F/resume"' in client.get("/queues").text
    post(client, action.replace("/pause", "/resume"))
    assert action in client.get("/queues").text


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_a_queue_that_cannot_be_is_refused_in_a_sentence(client, action):
    """Back on the list, as every refusal of an action; nothing speaks of enqueuing."""
    answer = post(client, f"/queues/a%2Cb/{action}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/queues")
    assert "a comma" in client.get("/queues").text


CHANGES = [page for page in PAGES if page.change]


@pytest.mark.parametrize("page", CHANGES, ids=lambda page: page.path)
def test_an_action_needs_its_role(make_site, page):
    """Whoever is below the role is refused, and the button is not shown."""
    lower = {"operator": "viewer", "admin": "operator"}[page.role]
    site = make_site(authorize=lambda _: lower)
    job = first(site, "failed")
    path = page.path.replace("{id}", job.id).replace("{name:path}", "billing")
    answer = post(site.client(), path, confirmed="yes")
    assert answer.status_code == 403
    assert f"takes the role {page.role}" in answer.text
    assert site.app.get_job(job.id).status == "failed"
    assert f'action="{path}"' not in site.client().get("/queues" if "queues" in path else f"/jobs/{job.id}").text


@pytest.mark.parametrize("page", CHANGES, ids=lambda page: page.path)
def test_read_only_is_for_everybody(make_site, page):
    """With read_only no action is done and none is offered, not even to an admin."""
    site = make_site(read_only=True)
    job = first(site, "failed")
    path = page.path.replace("{id}", job.id).replace("{name:path}", "billing")
    assert post(site.client(), path, confirmed="yes").status_code == 403
    assert 'method="post"' not in site.client().get(f"/jobs/{job.id}").text


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://localhost:8642"}, False),
        ({"origin": "http://localhost:8642"}, True),
        ({"origin": "http://localhost:9999"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://["}, False),
        ({}, False),
        ({"authorization": "Basic eDp5"}, False),
    ],
    ids=str,
)
def test_other_sites_cannot_act(site, headers, allowed):
    """By Sec-Fetch-Site where it is sent, else by Origin against Host; with neither, no."""
    client = site.client(headers={})
    answer = client.post("/queues/billing/pause", headers=headers, follow_redirects=False)
    assert (answer.status_code == 303) == allowed
    assert ("/queues/billing/resume" in client.get("/queues").text) == allowed


def test_a_form_leads_back_only_within_the_dashboard(site, client):
    """A forged `back` leads nowhere else."""
    for wanted in ("https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "jobs"):
        assert post(client, "/queues/billing/pause", back=wanted).headers["location"] == "/queues"
    assert (
        post(client, "/queues/billing/pause", back="/jobs?status=failed").headers["location"] == "/jobs?status=failed"
    )


def test_a_search_forges_no_line_of_the_log(client, caplog):
    """What an action is told of may hold line breaks; it stays one line."""
    caplog.set_level("INFO", "lateshift.dashboard")
    post(client, "/bulk/retry/jobs", all="yes", q="error:none\r\n2026-11-27 root (admin): delete all")
    (told,) = [record.getMessage() for record in caplog.records]
    assert "\r" not in told
    assert "\n" not in told
    assert "root (admin): delete all" in told


def test_actions_are_told(site, client, caplog):
    """Who did what goes to the log, with name and role, and into the audit."""
    caplog.set_level("INFO", "lateshift.dashboard")
    job = first(site, "failed")
    post(client, f"/jobs/{job.id}/retry")
    assert [record.getMessage() for record in caplog.records] == [f"this machine (admin): retry {job.id} (1)"]
    noted = audit.page(site.app.database)
    assert [(entry.actor, entry.action, entry.target, entry.number) for entry in noted] == [
        ("this machine", "retry", job.id, 1)
    ]


def test_what_is_done_is_told_when_no_runner_starts(make_site, code, monkeypatch):
    """The job is sent to run, the queue is open, the new job is stored: the audit has it, the page says the rest."""

    def no_runner(_neighbours, _settings, _queues, job_ids=()):
        raise SpawnError("No runner could be started.", tuple(job_ids))

    monkeypatch.setattr(Neighbours, "see_to", no_runner)
    site = make_site(allowed=["dashboard_code"])
    client, job = site.client(), first(site, "failed")
    renamed = "update lateshift_jobs set name = 'dashboard_code.work' where id = :id"
    site.app.database.execute(renamed, {"id": job.id})
    here = f"/jobs/{job.id}"
    for path in (f"{here}/again", f"{here}/edit", f"{here}/retry", "/queues/partners/resume"):
        answer = post(client, path, parameters="{}")
        assert "No runner could be started." in client.get(answer.headers["location"]).text
    assert site.app.get_job(job.id).status == "pending_retry"
    assert [entry.action for entry in audit.page(site.app.database)] == ["resume", "retry", "run again", "run again"]


def test_a_large_form_is_refused(client):
    """Forms are read as far as the largest parameters take, and that of the login, which needs nobody, less far."""
    assert post(client, "/queues/billing/pause", back="x" * 10_000_000).status_code == 413
    assert post(client, "/login", name="x" * 100_000).status_code == 413
    assert client.post("/login", content=b"a&" * 30_000).status_code == 413


def test_a_form_is_read_beside_the_event_loop(site, client, monkeypatch):
    """One with half a million fields, without a login, kept everybody waiting for most of a second."""
    there = []
    read = application.parse_qsl

    def reading(*args, **kwargs):
        there.append(asyncio._get_running_loop())
        return read(*args, **kwargs)

    monkeypatch.setattr(application, "parse_qsl", reading)
    post(client, "/login", name="ada")
    post(client, "/queues/billing/pause")
    assert there == [None, None]


def test_large_parameters_fit_into_their_form(make_site, code):
    """What may be enqueued may be run again with other values, though as a form it is many times larger."""
    site = make_site(allowed=["dashboard_code"])
    job_id = site.app.run_background_job("dashboard_code.add", parameters={"rows": [7] * 400_000})
    typed = '{"rows": [\r\n    7' + ",\r\n    8" * 399_999 + "]}"
    answer = post(site.client(), f"/jobs/{job_id}/edit", parameters=typed)
    assert answer.status_code == 303
    assert site.app.get_job(answer.headers["location"].rpartition("/")[2]).parameters["rows"][-1] == 8


@pytest.mark.parametrize("path", ["/queues/billing/pause", "/api/bulk"])
def test_a_client_that_hangs_up_is_no_error(site, path):
    """Whoever has gone before the end of a request left a traceback of forty lines in the log."""
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "client": ("127.0.0.1", 1)}
    parts = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"{", "more_body": True}]

    async def receive():
        return parts.pop()

    async def send(_):
        pass

    asyncio.run(site.made(scope | {"headers": headers}, receive, send))
    assert parts == []


def test_passwords_are_hashed_with_salt():
    """Two hashes of a password differ."""
    assert hash_password("one") != hash_password("one")
