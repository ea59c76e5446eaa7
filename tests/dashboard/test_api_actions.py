"""What the API does: each action changes what it says, is noted, needs its role, and is refused to other sites."""

import re

import pytest

from lateshift.dashboard.api.operations import OPERATIONS
from lateshift.errors import SpawnError
from lateshift.fingerprint import fingerprint
from lateshift.host.fleet import Neighbours
from lateshift.job import JobError
from lateshift.storage import audit, failures, requests

JOB = """
from datetime import date

def work(order_id: int = 0, on: date | None = None) -> int:
    return order_id
"""


@pytest.fixture
def site(make_site, tmp_path, monkeypatch):
    """A site with a package whose jobs may run."""
    (tmp_path / "api_code.py").write_text(JOB)
    monkeypatch.syspath_prepend(str(tmp_path))
    return make_site(allowed=["shop", "api_code"])


def job_of(site, status):
    return site.app.list_jobs(status=status, limit=1)[0]


def ask(client, method, path, body=None, status=200):
    answer = client.request(method, f"/api{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def noted(site):
    entries = audit.page(site.app.database)
    return [(entry.actor, entry.action, entry.target, entry.number) for entry in entries]


def test_a_job_is_enqueued(site, client):
    """With its parameters and options; the answer says where it is, and the audit who did it."""
    body = {"name": "api_code.work", "parameters": {"order_id": 7}, "queue": "q", "priority": 6, "delay": 60}
    answer = client.post("/api/jobs", json=body | {"max_retries": 2, "retry_delay": [1, 2.5], "timeout": 9})
    assert answer.status_code == 201
    job = site.app.get_job(answer.json()["id"])
    assert answer.headers["location"] == f"/api/jobs/{job.id}"
    assert (job.name, job.parameters, job.queue, job.priority) == ("api_code.work", {"order_id": 7}, "q", 6)
    assert (job.max_attempts, job.timeout, (job.run_at - job.enqueued_at).total_seconds()) == (3, 9, 60)
    assert answer.json()["warning"] is None
    assert noted(site) == [("this machine", "enqueue", job.id, 1)]


@pytest.mark.parametrize(
    ("body", "place", "words"),
    [
        ({}, "body", "`name`"),
        ({"name": 7}, "body.name", "`str`"),
        ({"name": "api_code.work", "prority": 1}, "body", "prority"),
        ({"name": "api_code.work", "priority": 11}, "body.priority", "<= 10"),
        ({"name": "api_code.work", "retry_delay": [1, "x"]}, "body.retry_delay[1]", "`float`"),
        ({"name": "api_code.work", "parameters": {"order_id": "x"}}, "body.parameters.order_id", "order_id"),
        ({"name": "api_code.work", "parameters": {"other": 1}}, "body.parameters.other", "no parameter 'other'"),
        ({"name": "os.system", "parameters": {"command": "ls"}}, None, "LATESHIFT_ALLOWED"),
        ({"name": "api_code.gone"}, None, "gone"),
        ({"name": "api_code.work", "queue": "a,b"}, None, "comma"),
        ({"name": "api_code.work", "max_memory": "500M"}, None, 'isolation="process"'),
        ({"name": "api_code.work", "delay": 1, "run_at": "2030-01-01T00:00:00Z"}, None, "one of them"),
    ],
    ids=str,
)
def test_a_job_that_cannot_be_is_refused(site, client, body, place, words):
    """With the place at fault, or the reason, and nothing is stored."""
    before = len(site.app.list_jobs(limit=1000))
    problem = ask(client, "POST", "/jobs", body, 422)
    assert problem.get("place") == place
    assert words in problem["detail"]
    assert len(site.app.list_jobs(limit=1000)) == before


def test_a_body_has_to_be_json(make_site, client):
    """Text that is none, and a form, are refused; so is more than the settings allow."""
    json = {"content-type": "application/json"}
    assert client.post("/api/jobs", content=b"{", headers=json).status_code == 400
    assert client.post("/api/jobs", content=b'{"parameters":{"a":' + b"[" * 100_000, headers=json).status_code == 400
    assert client.post("/api/jobs", content=b"\xff", headers=json).status_code == 400
    assert client.post("/api/jobs", data={"name": "api_code.work"}).status_code == 415
    large = {"content": b" " * 5_000_000, "headers": json}
    assert "LATESHIFT_MAX_PARAMETERS" in client.post("/api/jobs", **large).json()["detail"]
    assert make_site(max_parameters=2_000_000).client().post("/api/jobs", **large).status_code == 400


def test_a_job_nobody_will_run_is_stored_with_a_warning(site, client, monkeypatch):
    """When no runner can be started the job is there all the same, and the answer says so."""

    def no_runner(*_):
        raise SpawnError("No runner could be started.")

    monkeypatch.setattr(Neighbours, "see_to", no_runner)
    monkeypatch.setattr("lateshift.dashboard.actions.ensure_runner", no_runner)
    job = job_of(site, "failed")
    told = ask(client, "POST", f"/jobs/{job.id}/retry")
    assert (told["status"], told["warning"]) == ("pending_retry", "No runner could be started.")
    assert ask(client, "POST", "/queues/partners/resume")["warning"] == "No runner could be started."
    done = ask(client, "POST", "/bulk", {"action": "retry", "q": "status:failed"})
    assert (done["state"], done["changed"], done["warning"]) == ("done", 5, "No runner could be started.")
    gone = ask(client, "POST", "/bulk", {"action": "purge", "q": "status:pending"})
    assert ask(client, "POST", f"/undo/{gone['undo']}")["warning"] == "No runner could be started."
    assert [entry[1] for entry in noted(site)] == ["undo delete", "purge", "retry", "resume", "retry"]


def test_jobs_are_retried_cancelled_and_deleted(site, client):
    """Each answers how the job is now; what is not possible is a conflict, and says why."""
    failed, pending, running = (job_of(site, status) for status in ("failed", "pending", "running"))
    assert ask(client, "POST", f"/jobs/{failed.id}/retry")["status"] == "pending_retry"
    assert ask(client, "POST", f"/jobs/{pending.id}/cancel", {})["status"] == "cancelled"
    assert ask(client, "POST", f"/jobs/{running.id}/cancel")["cancel_requested"]
    assert "cannot be cancelled" in ask(client, "POST", f"/jobs/{pending.id}/cancel", status=409)["detail"]
    assert "cancel it first" in ask(client, "DELETE", f"/jobs/{running.id}", status=409)["detail"]
    deleted = ask(client, "DELETE", f"/jobs/{pending.id}")
    ask(client, "GET", f"/jobs/{pending.id}", status=404)
    assert ask(client, "POST", f"/undo/{deleted['undo']}") == {"restored": 1, "more": False, "warning": None}
    ask(client, "GET", f"/jobs/{pending.id}")
    assert [entry[1] for entry in noted(site)] == ["undo delete", "delete", "cancel", "cancel", "retry"]


def test_a_job_is_run_again_with_other_parameters(site, client):
    """As a new job; what does not fit the signature is refused with its place."""
    old = ask(client, "POST", "/jobs", {"name": "api_code.work", "parameters": {"order_id": 7}, "queue": "q"}, 201)
    same = ask(client, "POST", f"/jobs/{old['id']}/again", status=201)
    other = ask(client, "POST", f"/jobs/{old['id']}/again", {"parameters": {"on": "2026-01-31"}}, 201)
    assert (same["parameters"], same["queue"]) == ({"order_id": 7}, "q")
    assert other["parameters"] == {"on": "2026-01-31"}
    assert len({old["id"], same["id"], other["id"]}) == 3
    problem = ask(client, "POST", f"/jobs/{old['id']}/again", {"parameters": {"on": "never"}}, 422)
    assert problem["place"] == "body.parameters.on"
    ask(client, "POST", "/jobs/none/again", status=404)


def test_queues_are_paused_and_resumed(site, client):
    """Whatever their name holds; a second time changes nothing."""
    for name, path in (("mail", "mail"), ("odd / näme?", "odd%20%2F%20n%C3%A4me%3F")):
        told = ask(client, "POST", f"/queues/{path}/pause")
        assert told == {"name": name, "paused": True, "changed": True, "warning": None}
        assert not ask(client, "POST", f"/queues/{path}/pause")["changed"]
        assert ask(client, "POST", f"/queues/{path}/resume")["changed"]
    refused = ask(client, "POST", "/queues/a%07/pause", status=422)
    assert ("printed" in refused["detail"], refused["place"]) == (True, "path.name")
    assert "no name has" in ask(client, "POST", "/queues/a%00/pause", status=404)["detail"]


def test_many_jobs_are_counted_then_changed(site, client):
    """A search is counted first, with `dry_run`; then all that match are changed, and others not."""
    body = {"action": "retry", "q": "queue:billing status:failed"}
    counted = ask(client, "POST", "/bulk", body | {"dry_run": True})
    assert (counted["state"], counted["id"], counted["total"]["number"]) == ("counted", None, 6)
    assert len(site.app.list_jobs(status="failed")) == 6
    done = ask(client, "POST", "/bulk", body)
    assert (done["state"], done["changed"], done["undo"]) == ("done", 6, None)
    assert ask(client, "GET", f"/bulk/{done['id']}") == done
    assert site.app.list_jobs(status="failed") == []
    assert noted(site) == [("this machine", "retry", "queue:billing status:failed", 6)]


def test_jobs_are_chosen_by_their_ids(site, client):
    """Those that the action does not apply to are passed over."""
    pending, completed = job_of(site, "pending"), job_of(site, "completed")
    body = {"action": "priority", "ids": [pending.id, completed.id, "none"], "priority": 9}
    done = ask(client, "POST", "/bulk", body)
    assert (done["seen"], done["changed"]) == (3, 1)
    assert site.app.get_job(pending.id).priority == 9
    entry = audit.page(site.app.database)[0]
    assert (entry.action, entry.target, entry.number, entry.details) == ("priority", "3 chosen jobs", 1, "to 9")


def test_an_action_on_many_is_stopped(make_site, monkeypatch):
    """After the step it is in, by whoever may begin it; then it is over, and there is nothing to stop."""
    monkeypatch.setattr("lateshift.dashboard.api.bulk.AT_ONCE", 0)
    monkeypatch.setattr("lateshift.dashboard.bulk_runs.SHARE", 1e6)  # a long rest after the first step
    role = ["admin"]
    site = make_site(authorize=lambda _: role[0])
    client = site.client()
    site.app.database.transact(lambda: [site.day.job("completed", 100) for _ in range(1_100)])
    begun = ask(client, "POST", "/bulk", {"action": "delete", "q": "status:completed"})
    assert begun["state"] == "running"
    role[0] = "operator"
    assert "role admin" in ask(client, "POST", f"/bulk/{begun['id']}/stop", status=403)["detail"]
    role[0] = "admin"
    ask(client, "POST", f"/bulk/{begun['id']}/stop")
    assert site.desk.runs.get(begun["id"]).over.wait(30)
    ended = ask(client, "GET", f"/bulk/{begun['id']}")
    assert ended["state"] == "stopped"
    assert ended["changed"] < 1_100
    assert "stopped" in ask(client, "POST", f"/bulk/{begun['id']}/stop", status=409)["detail"]
    ask(client, "POST", "/bulk/none/stop", status=404)


def test_a_deletion_is_undone(site, client):
    """For ten minutes, by what the action called `undo`; once."""
    before = site.app.list_jobs(limit=1000)
    done = ask(client, "POST", "/bulk", {"action": "delete", "q": "status:completed,failed"})
    assert done["changed"] == len(before) - len(site.app.list_jobs(limit=1000)) > 10
    undone = ask(client, "POST", f"/undo/{done['undo']}")
    assert (undone["restored"], undone["more"]) == (done["changed"], False)
    assert site.app.list_jobs(limit=1000) == before
    ask(client, "POST", f"/undo/{done['undo']}", status=404)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"action": "retry"}, "body"),
        ({"action": "retry", "q": "", "ids": []}, "body"),
        ({"action": "explode", "q": ""}, "body.action"),
        ({"action": "priority", "q": ""}, "body.priority"),
        ({"action": "retry", "q": "", "priority": 3}, "body.priority"),
        ({"action": "retry", "q": "colour:red"}, "body.q[0:7]"),
    ],
    ids=str,
)
def test_what_is_asked_of_many_has_to_be_clear(client, body, place):
    """An action on no jobs in particular, or on those of a search that cannot be read, is refused."""
    assert ask(client, "POST", "/bulk", body, 422)["place"] == place


def test_deleting_many_takes_the_admin(make_site):
    """An operator retries many, and deletes none."""
    site = make_site(authorize=lambda _: "operator")
    for action in ("delete", "purge"):
        assert "role admin" in ask(site.client(), "POST", "/bulk", {"action": action, "q": ""}, 403)["detail"]
    assert ask(site.client(), "POST", "/bulk", {"action": "retry", "q": ""})["state"] == "done"


def test_workers_are_asked(site, client):
    """To stop, to drain, for a stack: the answer says where theirs will be, and it is there when it came."""
    db = site.app.database
    for kind, path in (("stop", "/workers/w-7f3a90/stop"), ("drain", "/workers/w-7f3a90/drain")):
        assert ask(client, "POST", path, status=202)["kind"] == kind
    job = job_of(site, "running")
    asked = client.post(f"/api/jobs/{job.id}/stack")
    assert asked.status_code == 202
    where = asked.headers["location"]
    assert where == f"/api/workers/{job.worker}/requests/{asked.json()['id']}"
    assert client.get(where).json()["answer"] is None
    request = requests.answer_to(db, job.worker, asked.json()["id"])
    requests.answer(db, request, db.now(), "File ...")
    assert client.get(where).json()["answer"] == "File ..."
    assert "only running jobs" in ask(client, "POST", f"/jobs/{job_of(site, 'failed').id}/stack", status=409)["detail"]
    ask(client, "POST", "/workers/none/stop", status=404)
    assert [entry[1] for entry in noted(site)] == ["stack", "drain", "stop"]


def test_error_groups_are_resolved_and_reopened(site, client):
    """With the name of who did it."""
    mark, now = fingerprint(JobError("ValueError", "bad")), site.app.database.now()
    count = failures.FailureCount(mark, "shop.a", "bad", 1, 0, now - 2, now - 1, "j1")
    failures.add(site.app.database, "w-7f3a90", [count])
    told = ask(client, "POST", f"/errors/{mark.key}/resolve")
    assert (told["state"], told["resolved_by"]) == ("resolved", "this machine")
    assert ask(client, "POST", f"/errors/{mark.key}/reopen")["state"] == "open"
    ask(client, "POST", "/errors/none/resolve", status=404)


CHANGES = [operation for operation in OPERATIONS if operation.role != "viewer"]


@pytest.mark.parametrize("operation", CHANGES, ids=lambda each: f"{each.method} {each.path}")
def test_an_operation_needs_its_role(make_site, operation):
    """Whoever is below it is refused; in read-only mode so is everybody who would change something."""
    path = "/api" + re.sub(r"{\w+}", "x", operation.path)
    lower = {"operator": "viewer", "admin": "operator"}[operation.role]
    answer = make_site(authorize=lambda _: lower, filled=False).client().request(operation.method, path, json={})
    assert answer.status_code == 403
    assert f"takes the role {operation.role}" in answer.json()["detail"]
    answer = make_site(read_only=True, filled=False).client().request(operation.method, path, json={})
    assert (answer.status_code == 403) == operation.change
    assert not operation.change or answer.json()["title"] == "Read-only"


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "cross-site", "content-type": "application/json"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"origin": "https://evil.example", "content-type": "application/json"}, False),
        ({"origin": "null"}, False),
        ({"content-type": "application/json"}, True),  # curl: no page can send that elsewhere
        ({"content-type": "text/plain"}, False),
        ({}, False),
        ({"authorization": "Bearer any"}, True),
    ],
    ids=str,
)
def test_other_sites_cannot_act(site, headers, allowed):
    """The rules of the pages; a program needs a token in its header, or sends JSON."""
    answer = site.client(headers={}).post("/api/queues/mail/pause", headers=headers)
    assert answer.status_code == (200 if allowed else 403)
    assert allowed or answer.json()["title"] in ("Not from this page", "Neither JSON nor a token")
