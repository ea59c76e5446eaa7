"""Bulk actions: what they are about to touch, what they do in the background, how they end, how one takes them back."""

import re
import threading
from html import unescape

import pytest

from lateshift.dashboard import create_dashboard
from lateshift.dashboard.bulk_runs import Run, Runs
from lateshift.dashboard.bulk_words import ACTIONS
from lateshift.errors import SpawnError, StorageUnavailable
from lateshift.host import permits
from lateshift.job import FINISHED
from lateshift.query import parse
from lateshift.storage import audit, bulk, trash
from lateshift.storage.bulk import BulkAction
from lateshift.storage.counting import Count


def ids(site, **filters):
    return [job.id for job in site.app.list_jobs(limit=2000, **filters)]


def post(client, path, **fields):
    return client.post(path, data=fields, follow_redirects=False)


def finish(site):
    for run in site.desk.runs.all():
        assert run.over.wait(30)


def entries(site):
    return [(entry.action, entry.target, entry.number, entry.details) for entry in audit.page(site.app.database)]


@pytest.fixture
def gate(nobody_waits, monkeypatch):
    """Bulk actions wait before each step until this is set."""
    opened, step = threading.Event(), BulkAction.step

    def waiting(action):
        assert opened.wait(30)
        return step(action)

    monkeypatch.setattr(BulkAction, "step", waiting)
    yield opened
    opened.set()


def test_the_buttons_are_those_that_apply(client):
    """Of failed jobs nothing can be cancelled, of waiting ones nothing retried."""

    def offered(path):
        return re.findall(r'formaction="/bulk/(\w+)/jobs"', client.get(path).text)

    assert offered("/jobs?status=failed") == ["retry", "delete"]
    assert offered("/jobs?status=pending") == ["run_now", "priority", "cancel"]
    assert offered("/jobs") == ["retry", "run_now", "priority", "cancel", "delete"]
    assert offered("/jobs?q=queue:nothing") == []


def test_the_count_before_is_of_those_it_can_act_on(site, client):
    """The page that asks counts only jobs in states that the action is for."""
    assert "<h1>Retry 7 jobs?</h1>" in client.get("/bulk/retry/jobs?all=yes&q=queue:billing+error:timeout").text
    chosen = [("id", job_id) for job_id in (*ids(site, status="failed")[:2], *ids(site, status="running")[:3])]
    text = client.get("/bulk/delete/jobs", params=chosen).text
    assert "<h1>Delete 2 jobs?</h1>" in text
    assert "5 chosen jobs, of which 2 jobs can be acted on" in text
    assert text.count('name="id"') == 5
    text = client.get("/bulk/retry/jobs", params=chosen[2:]).text
    assert "<h1>Retry 0 jobs?</h1>" in text
    assert '<form method="post" action="/bulk' not in text


def test_the_page_that_asks_is_about_the_same_jobs_when_it_is_fetched_anew(site, client):
    """It kept the last of the chosen jobs only, and its button acted on that one."""
    chosen = ids(site, status="failed")[:3]
    text = client.get("/bulk/retry/jobs", params=[("id", job_id) for job_id in chosen]).text
    again = client.get(unescape(re.search(r'hx-get="(.*?)"', text)[1]), headers={"x-live": "1"}).text
    assert "Retry 3 jobs?" in again
    assert re.findall(r'name="id" value="(.*?)"', again) == chosen


@pytest.mark.parametrize("action", ACTIONS)
def test_everything_that_matches_is_acted_on(site, client, action):
    """Each action changes all jobs of the search that it applies to, and the audit has how many."""
    number = len([job for job in site.app.list_jobs(queue="mail", limit=500) if job.status in FINISHED])
    before = {job.id: job for job in site.app.list_jobs(limit=500)}
    answer = post(client, f"/bulk/{action}/jobs", all="yes", q="queue:mail", priority="9")
    assert answer.headers["location"] == "/jobs?q=queue%3Amail"
    after = {job.id: job for job in site.app.list_jobs(limit=500)}
    assert {job_id for job_id, job in before.items() if after.get(job_id) != job} <= set(ids_of(before, "mail"))
    [(noted, target, changed, details)] = entries(site)
    undo = f"undo {site.desk.runs.all()[0].id}"
    said = {"priority": "to 9", "delete": undo, "purge": undo}.get(action, "")
    assert (noted, target, details) == (action.replace("_", " "), "queue:mail", said)
    if action == "delete":
        assert changed == number == len(before) - len(after)
    if action == "priority":
        assert {after[job_id].priority for job_id in ids_of(before, "mail", "pending")} == {9}


def ids_of(jobs, queue, status=None):
    return [job.id for job in jobs.values() if job.queue == queue and status in (None, job.status)]


def test_only_what_was_chosen_is_acted_on(site, client):
    """Several ids, one of them twice and one of a job that is not there."""
    chosen = ids(site, status="failed")[:2]
    answer = client.post(
        "/bulk/retry/jobs", data={"id": [*chosen, chosen[0], "nothing"], "status": "failed"}, follow_redirects=False
    )
    assert answer.headers["location"] == "/jobs?status=failed"
    assert "Retried 2 jobs. 1 job stayed as it was." in client.get("/jobs").text
    assert {site.app.get_job(job_id).status for job_id in chosen} == {"pending_retry"}
    assert len(ids(site, status="failed")) == 4
    assert entries(site) == [("retry", "3 chosen jobs", 2, "")]


@pytest.mark.parametrize("path", ["/bulk/{}/undo", "/api/undo/{}"])
def test_a_runner_that_is_there_is_permitted_what_is_brought_back(make_site, path):
    """It may have the allow-list of another program, and failed these jobs."""
    site = make_site(spawn="auto")
    db, batch = site.app.database, "0" * 16
    trash.throw_away(db, batch, ids(site, status="pending"), ["pending"], db.now())
    answer = site.client().post(path.format(batch), json={} if "api" in path else None)
    assert not answer.is_error
    assert permits.granted(site.app.settings) == ("shop",)


def test_a_deletion_can_be_undone_from_where_one_is(site, client):
    """The sentence after it has a button that brings all of it back."""
    before = ids(site)
    answer = post(client, "/bulk/delete/jobs", all="yes", status="failed")
    assert len(ids(site, status="failed")) == 0
    path = re.search(r'action="(/bulk/\w+/undo)"', client.get(answer.headers["location"]).text)[1]
    answer = post(client, path)
    assert "Brought back 6 jobs." in client.get(answer.headers["location"]).text
    assert sorted(ids(site)) == sorted(before)
    assert [entry[:3] for entry in entries(site)][0] == ("undo delete", "everything that matches status:failed", 6)


def test_what_was_brought_back_is_not_brought_back_again(site, client):
    """A second undo says so, and changes nothing."""
    post(client, "/bulk/delete/jobs", all="yes", status="failed")
    deletion = site.desk.runs.all()[0]
    post(client, f"/bulk/{deletion.id}/undo")
    answer = post(client, f"/bulk/{deletion.id}/undo")
    assert "nothing left to bring back" in client.get(answer.headers["location"]).text


def test_a_single_job_comes_back_too(site, client):
    """Deleting on a job's page leads to the list, with the same way back."""
    job_id = ids(site, status="failed")[0]
    answer = post(client, f"/jobs/{job_id}/delete", confirmed="yes")
    path = re.search(r'action="(/bulk/\w+/undo)"', client.get(answer.headers["location"]).text)[1]
    assert client.get(f"/jobs/{job_id}").status_code == 404
    assert "/undo" in client.get(path.removesuffix("/undo")).text
    post(client, path)
    assert client.get(f"/jobs/{job_id}").status_code == 200


def test_another_process_can_undo(site, client):
    """What was deleted by one process of the dashboard is brought back by another, which only knows the address."""
    post(client, "/bulk/delete/jobs", all="yes", status="failed")
    batch = site.desk.runs.all()[0].id
    site.made = create_dashboard(site.app)
    other = site.client()
    assert f'action="/bulk/{batch}/undo"' in other.get(f"/bulk/{batch}").text
    post(other, f"/bulk/{batch}/undo")
    assert len(ids(site, status="failed")) == 6
    assert other.get(f"/bulk/{batch}").status_code == 404
    site.made.state.desk.close()


def test_many_jobs_take_a_while_and_can_be_watched(site, client, gate):
    """What is not done in a moment leads to its page, which tells how far it is, and the jobs page tells of it too."""
    site.app.database.transact(lambda: [site.day.job("completed", 100) for _ in range(1_100)])
    answer = post(client, "/bulk/delete/jobs", all="yes", status="completed")
    path = answer.headers["location"]
    text = client.get(path).text
    assert "Deleting jobs" in text
    assert "of 1,110 counted before" in text
    assert "/stop" in text
    assert "/undo" not in text
    assert "Deleting everything that matches status:completed" in client.get("/jobs").text
    assert "still deletes" in client.get(post(client, f"{path}/undo").headers["location"]).text
    gate.set()
    finish(site)
    text = client.get(path).text
    assert "Deleted 1,110 jobs." in text
    assert f'action="{path}/undo"' in text
    assert ids(site, status="completed") == []
    assert "everything that matches status:completed" in client.get("/bulk").text
    assert entries(site) == [("delete", "status:completed", 1_110, f"undo {path[-16:]}")]


def test_one_that_is_in_a_step_is_not_stopped_yet(site, client, gate):
    """A step of a slow database takes longer than a page waits, and what it does is done."""
    path = post(client, "/bulk/retry/jobs", all="yes", status="failed").headers["location"]
    text = client.get(post(client, f"{path}/stop").headers["location"]).text
    assert "It stops after the step" in text
    assert "Running" in text
    gate.set()
    finish(site)
    assert (site.desk.runs.all()[0].state, len(ids(site, status="failed"))) == ("stopped", 0)


def test_several_go_on_at_once(site, client, gate):
    """One does not wait for another."""
    for status in ("failed", "cancelled"):
        post(client, "/bulk/delete/jobs", all="yes", status=status)
    assert len(site.desk.runs.going()) == 2
    gate.set()
    finish(site)
    assert {run.changed for run in site.desk.runs.all()} == {6, 3}


def test_one_can_be_stopped(site, client, nobody_waits, monkeypatch):
    """It ends after the step it is in; what is done stays done, and can be undone."""
    site.app.database.transact(lambda: [site.day.job("completed", 100) for _ in range(1_100)])
    stepped, step = threading.Event(), BulkAction.step

    def one_step(action):
        done = step(action)
        stepped.set()
        return done

    monkeypatch.setattr("lateshift.dashboard.bulk_runs.SHARE", 1e6)  # a long rest after the first step
    monkeypatch.setattr(BulkAction, "step", one_step)
    path = post(client, "/bulk/delete/jobs", all="yes", status="completed").headers["location"]
    assert stepped.wait(30)
    monkeypatch.setattr("lateshift.dashboard.bulk_actions.SOON", 30)
    assert "It is stopped." in client.get(post(client, f"{path}/stop").headers["location"]).text
    run = site.desk.runs.all()[0]
    assert (run.state, run.changed) == ("stopped", 500)
    assert "/undo" in client.get(path).text
    assert entries(site) == [("delete", "status:completed", 500, f"stopped before its end, undo {run.id}")]
    assert "not running any more" in client.get(post(client, f"{path}/stop").headers["location"]).text


def test_one_that_breaks_off_says_why(site, client, monkeypatch):
    """A database that goes away in between is told on its page, and noted."""

    def broken(_):
        raise StorageUnavailable("The database is gone.")

    monkeypatch.setattr(BulkAction, "step", broken)
    path = post(client, "/bulk/retry/jobs", all="yes", status="failed").headers["location"]
    finish(site)
    text = client.get(path).text
    assert "The database is gone." in text
    assert "Broke off" in text
    assert entries(site) == [("retry", "status:failed", 0, "broke off")]


def test_a_mistake_of_ours_is_logged_and_told(site, monkeypatch, caplog):
    """A bug in a step ends the run, and nothing else."""
    monkeypatch.setattr(BulkAction, "step", lambda _: 1 / 0)
    runs, told = Runs(lambda: site.app.database, lambda: None), []
    work = BulkAction(site.app.database, "retry", parse("status:failed"))
    run = runs.start(work, Run(work.id, "retry", "all", "ada", 0, Count(6)), told.append)
    assert run.over.wait(30)
    assert (run.state, told) == ("broken", [run])
    assert "ZeroDivisionError" in caplog.text


def test_closing_the_dashboard_stops_them(site, client, nobody_waits, monkeypatch):
    """A server that is stopped does not wait for what would take long."""
    monkeypatch.setattr("lateshift.dashboard.bulk_runs.SHARE", 1e6)
    site.app.database.transact(lambda: [site.day.job("completed", 100) for _ in range(600)])
    post(client, "/bulk/delete/jobs", all="yes", status="completed")
    site.desk.runs.close()
    assert site.desk.runs.going() == []


def test_the_latest_are_remembered(site):
    """Fifty, and all that go on."""
    runs = Runs(lambda: site.app.database, lambda: None)
    for number in range(60):
        work = BulkAction(site.app.database, "retry", ["nothing"])
        assert runs.start(work, Run(str(number), "retry", "", "", 0, Count(0)), lambda _: None).over.wait(30)
    assert [run.id for run in runs.all()][:2] == ["59", "58"]
    assert len(runs.all()) == 50


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        ("/bulk/retry/jobs", {}, "No job was chosen"),
        ("/bulk/retry/jobs", {"all": "yes", "q": "eror:x"}, "There is no field"),
        ("/bulk/retry/jobs", {"id": [str(number) for number in range(1_001)]}, "No job was chosen"),
        ("/bulk/priority/jobs", {"all": "yes", "priority": "11"}, "from 1 to 10"),
        ("/bulk/priority/jobs", {"all": "yes", "priority": "high"}, "from 1 to 10"),
    ],
)
def test_what_cannot_be_done_is_told_in_words(site, client, path, fields, words):
    """Nothing chosen, a search that cannot be read, a priority that is none: back to the jobs, and nothing is done."""
    before = site.app.list_jobs(limit=500)
    answer = client.post(path, data=fields, follow_redirects=False)
    assert words in client.get(answer.headers["location"]).text
    assert site.app.list_jobs(limit=500) == before


def test_what_has_become_due_is_run(make_site, monkeypatch):
    """After a retry a runner is started where none serves; that it could not be is told, and the jobs wait.

    One that lives with the list of a program may run what the dashboard's own permits.
    """
    site = make_site(spawn="auto")
    client = site.client()

    def refuse(_, __, queues):
        assert "billing" in queues
        assert permits.granted(site.app.settings) == site.app.settings.allowed
        raise SpawnError("No runner could be started.")

    monkeypatch.setattr("lateshift.dashboard.actions.ensure_runner", refuse)
    answer = post(client, "/bulk/retry/jobs", all="yes", status="failed")
    text = client.get(answer.headers["location"]).text
    assert "is-refused" in text
    assert "Retried 6 jobs. No runner could be started." in text


def test_a_viewer_is_not_told_what_was_searched(make_site, gate):
    """A search may hold values that are hidden from viewers: neither while it goes on nor afterwards."""
    role = ["operator"]
    site = make_site(authorize=lambda _: role[0])
    client = site.client()
    here = post(client, "/bulk/cancel/jobs", all="yes", q="parameters.api_key:sk-live-1").headers["location"]
    for viewer in (False, True, True):
        role[0] = "viewer" if viewer else "operator"
        for path in ("/jobs", "/bulk", here):
            text = client.get(path).text
            assert ("Cancel" in text, "sk-live-1" in text.partition('<table class="jobs"')[0]) == (True, not viewer)
        if viewer:
            gate.set()
            finish(site)


def test_unknown_actions_and_runs_say_so(client):
    """A mistyped address is no error of ours."""
    assert client.get("/bulk/explode/jobs?all=yes").status_code == 404
    assert post(client, "/bulk/explode/jobs", all="yes").status_code == 404
    assert client.get("/bulk/retry/jobs").status_code == 422
    unknown = client.get("/bulk/0123456789abcdef")
    assert unknown.status_code == 404
    assert "may still be doing it" in unknown.text
    for what, words in (("stop", "may still be doing it"), ("undo", "nothing left to bring back")):
        told = client.get(post(client, "/bulk/nothing/" + what).headers["location"])
        assert told.status_code == 200
        assert words in re.search(r'class="toast is-refused">.*?<span>(.*?)</span>', told.text)[1]


@pytest.mark.parametrize(("role", "expected"), [("viewer", 403), ("operator", 403), ("admin", 200)])
def test_deleting_takes_an_admin(make_site, role, expected):
    """Below that it is neither offered nor asked nor done."""
    site = make_site(authorize=lambda _: role)
    client = site.client()
    assert client.get("/bulk/delete/jobs?all=yes").status_code == expected
    assert ("/bulk/delete/jobs" in client.get("/jobs?status=failed").text) == (role == "admin")
    assert post(client, "/bulk/delete/jobs", all="yes", status="failed").status_code == (
        303 if role == "admin" else 403
    )
    assert len(ids(site, status="failed")) == (0 if role == "admin" else 6)


def test_viewers_select_nothing(make_site):
    """Where nothing can be done with rows there is nothing to tick."""
    for options in ({"authorize": lambda _: "viewer"}, {"read_only": True}):
        client = make_site(**options).client()
        assert "checkbox" not in client.get("/jobs").text
        assert client.get("/bulk/retry/jobs?all=yes").status_code == 403


def test_every_action_of_the_storage_has_its_words():
    """An action that is added there is not forgotten here."""
    assert set(ACTIONS) == set(bulk.STATUSES)
    assert {ACTIONS[action].role for action in bulk.TAKEN_BACK} == {"admin"}
