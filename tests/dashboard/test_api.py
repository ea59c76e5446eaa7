"""What the API tells: the same as the pages, in the shapes of `lateshift ... --json`, to whom it may be told."""

import re

import msgspec
import pytest

from lateshift.cli import shapes as printed
from lateshift.dashboard.api import shapes
from lateshift.errors import StorageUnavailable
from lateshift.fingerprint import fingerprint
from lateshift.job import STATUSES, JobError
from lateshift.storage import audit, failures, reads


def job_of(site, status):
    return site.app.list_jobs(status=status, limit=1)[0]


def group(site):
    """A group of failures, and the key by which it is known."""
    mark, now = fingerprint(JobError("ValueError", "bad order 7")), site.app.database.now()
    count = failures.FailureCount(mark, "shop.mail.send_receipt", "bad order 7", 1, 2, now - 5_000_000, now, "j1")
    failures.add(site.app.database, "w-7f3a90", [count])
    return mark.key


def get(client, path, status=200):
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_the_summary_judges(site, client):
    """The light and the counts of the overview."""
    found = get(client, "/api/summary")
    assert found["light"] == "warning"
    assert any("is paused" in reason["words"] for reason in found["reasons"])
    assert found["jobs"]["failed"] == {"number": 6, "more": False}
    assert (found["workers_alive"], found["workers_dead"]) == (2, 1)
    assert found["running"] == len(site.app.list_jobs(status="running"))


def test_jobs_are_paged_by_cursors(site, client):
    """Following `next` gives every job once, newest first; `previous` leads back."""
    ids, cursor, pages = [], "", []
    while cursor is not None:
        page = get(client, f"/api/jobs?limit=7{f'&cursor={cursor}' if cursor else ''}")
        pages.append(page)
        ids += [job["id"] for job in page["jobs"]]
        cursor = page["next"]
    assert ids == [job.id for job in site.app.list_jobs(limit=1000)]
    assert get(client, f"/api/jobs?limit=7&cursor={pages[1]['previous']}")["jobs"] == pages[0]["jobs"]
    assert pages[-1]["complete"]


def test_jobs_are_searched_and_sorted(client):
    """As on the Jobs page; the answer says by what it is sorted, and how it could be."""
    page = get(client, "/api/jobs?q=status:failed queue:billing&sort=newest")
    assert {(job["status"], job["queue"]) for job in page["jobs"]} == {("failed", "billing")}
    assert (page["sort"], page["sorts"]) == ("newest", ["finished", "newest"])
    assert get(client, "/api/jobs?q=status:failed -status:failed")["jobs"] == []
    counts = get(client, "/api/counts?q=queue:billing")
    assert counts["failed"]["number"] == len(page["jobs"])


@pytest.mark.parametrize("status", STATUSES)
def test_a_job_is_as_the_command_line_prints_it(site, client, status):
    """`lateshift show --json` and the API have the same keys and values."""
    job = site.app.get_job(job_of(site, status).id)
    wanted = {**printed.job_shape(job), "history": [printed.attempt_shape(attempt) for attempt in job.history]}
    assert get(client, f"/api/jobs/{job.id}") == msgspec.json.decode(msgspec.json.encode(wanted))


@pytest.mark.parametrize(
    ("keys", "shape"),
    [
        (printed.JOB_KEYS, shapes.Job),
        (printed.ATTEMPT_KEYS, shapes.Attempt),
        (printed.QUEUE_KEYS.partition(";")[0], shapes.Queue),
        (printed.WORKER_KEYS, shapes.Worker),
        (printed.CHECK_KEYS, shapes.Check),
    ],
)
def test_every_key_of_the_command_line_is_there(keys, shape):
    """A shape of the API has at least what the command line prints."""
    assert {key.strip() for key in re.sub(r"\([^)]*\)", "", keys).split(",")} <= set(shape.__struct_fields__)


def test_a_job_is_explained_and_its_logs_told(site, client):
    """Why it is where it is, and what each attempt logged."""
    job = job_of(site, "failed")
    told = get(client, f"/api/jobs/{job.id}/explain")
    assert (told["job_id"], told["status"]) == (job.id, "failed")
    assert "failed" in told["sentences"][0]
    logs = get(client, f"/api/jobs/{job.id}/logs")
    assert [attempt["number"] for attempt in logs] == [1, 2, 3, 4]
    assert "charging order" in logs[0]["lines"][0]


def test_queues_have_speeds(site, client):
    """What waits, who is paused, and how fast it goes."""
    found = {queue["name"]: queue for queue in get(client, "/api/queues")}
    rows = {row.name: row for row in reads.queues(site.app.database, site.app.database.now())}
    assert found.keys() == rows.keys()
    assert found["partners"]["paused"]
    assert found["billing"]["speed_out"] > 0
    assert found["billing"]["waiting"] == rows["billing"].waiting


def test_workers_tell_what_they_run(client):
    """The living and the dead, each with its jobs; one alone by its id."""
    found = {worker["id"]: worker for worker in get(client, "/api/workers")}
    assert {id_: worker["alive"] for id_, worker in found.items()} == {
        "w-7f3a90": True,
        "w-81bc02": True,
        "w-4410ee": False,
    }
    running = found["w-7f3a90"]
    assert running["running"] == len(running["jobs"]) > 0
    assert get(client, "/api/workers/w-7f3a90")["pid"] == 4121
    assert "has signed off" in get(client, "/api/workers/none", 404)["detail"]


def test_errors_come_in_groups(site, client):
    """With how often, since when, where; and only within the time that is asked for."""
    key = group(site)
    found = {each["fingerprint"]: each for each in get(client, "/api/errors?range=1h")}
    assert [found[key][name] for name in ("failed", "retried", "state")] == [1, 2, "open"]
    assert get(client, f"/api/errors/{key}") in get(client, "/api/errors")
    assert get(client, "/api/errors?until=2026-01-01T00:00:00Z") == []
    assert get(client, f"/api/errors/{key}?until=2026-01-01T00:00:00Z", 404)["title"] == "No such group"


def test_the_history_is_told_by_time_and_callable(client):
    """Points in steps of what was asked for, whose sum is the total; the same numbers by callable."""
    found = get(client, "/api/series?range=1h&step=600")
    assert found["step"] == 600
    assert sum(point["completed"] for point in found["points"]) == found["total"]["completed"] > 1000
    assert found["total"]["running"]["p50"] > 0
    rows = get(client, "/api/callables?range=2h&queue=billing")
    assert [row["name"] for row in rows] == ["shop.billing.ChargeCard.handle"]
    one = get(client, "/api/series?range=2h&callable=shop.billing.ChargeCard.handle")
    assert one["total"]["completed"] == rows[0]["total"]["completed"]


def test_the_audit_is_paged(site, client):
    """The latest first, then what comes before."""
    for number in range(5):
        audit.append(site.app.database, site.app.database.now(), "ada", "retry", f"job-{number}")
    page = get(client, "/api/audit?limit=3&actor=ada")
    assert [entry["target"] for entry in page["entries"]] == ["job-4", "job-3", "job-2"]
    rest = get(client, f"/api/audit?limit=3&before={page['next']}")
    assert ([entry["target"] for entry in rest["entries"]], rest["next"]) == (["job-1", "job-0"], None)


def test_the_doctor_looks_at_this_dashboards_database(site, client):
    """Its checks are about the database that is shown here."""
    found = get(client, "/api/doctor")
    assert {check["level"] for check in found} <= {"ok", "warning", "error"}
    assert any(str(site.app.settings.database_url) in check["message"] for check in found)


@pytest.mark.parametrize(
    ("path", "place", "words"),
    [
        ("/api/jobs?limit=0", "query.limit", ">= 1"),
        ("/api/jobs?limit=x", "query.limit", "int"),
        ("/api/jobs?colour=red", "query", "colour"),
        ("/api/jobs?sort=colour", "query.sort", "colour"),
        ("/api/jobs?sort=null", "query.sort", "null"),
        ("/api/jobs?q=colour:red", "query.q[0:7]", "no field 'colour'"),
        ("/api/series?range=ever", "query.range", "matching"),
        ("/api/series?range=9999d", "query.range", "two years"),
        ("/api/series?range=24h%0A", "query.range", "age"),
        ("/api/series?step=1", "query.step", ">= 60"),
        ("/api/audit?actor=a%00", "query.actor", "character"),
        ("/api/audit?before=%C3%BC", "query.before", "matching"),
        ("/api/errors?until=yesterday", "query.until", "RFC3339"),
        ("/api/errors?until=2026-01-01T00:00:00", "query.until", "timezone"),
    ],
)
def test_what_is_asked_wrongly_is_refused_with_its_place(client, path, place, words):
    """An unknown field, a wrong type, a value out of range, a search that cannot be read: 422, and where."""
    answer = client.get(path)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 422
    assert problem["place"] == place
    assert words in problem["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/jobs/none", 404),
        ("GET", "/api/jobs/%00", 404),
        ("GET", "/api/nothing", 404),
        ("PATCH", "/api/jobs", 405),
        ("POST", "/api/summary", 405),
    ],
)
def test_every_refusal_is_a_problem(client, method, path, status):
    """Also those that no operation makes."""
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert status != 405 or "GET" in answer.headers["allow"]


def test_a_database_that_does_not_answer_is_told(site, client, monkeypatch):
    """503, with the reason."""

    def gone(*_):
        raise StorageUnavailable("The database is away.")

    monkeypatch.setattr(type(site.desk.database), "query", gone)
    answer = client.get("/api/queues")
    assert (answer.status_code, answer.json()["detail"]) == (503, "The database is away.")


def test_viewers_do_not_get_secrets(make_site):
    """What LATESHIFT_REDACT names is hidden from viewers, in every list, and cannot be found by searching either."""
    guesses = ["parameters.api_key:sk-live-1", 'parameters.x:{"api_key"}', "parameters.a.my_token:1"]
    for role, sees in (("viewer", False), ("operator", True)):
        site = make_site(authorize=lambda _, role=role: role)
        client = site.client()
        job = next(job for job in site.app.list_jobs(limit=100) if "api_key" in job.parameters)
        for path in (f"/api/jobs/{job.id}", "/api/jobs?limit=100"):
            assert ("sk-live-1" in client.get(path).text) == sees
        assert bool(get(client, "/api/jobs?q=sk-live")["jobs"]) == sees
        for guess in guesses:
            answer = client.get("/api/jobs", params={"q": guess})
            assert answer.status_code == (200 if sees else 422)
            assert sees or "LATESHIFT_REDACT" in answer.json()["detail"]
        assert get(client, "/api/jobs?q=parameters.partner:acme")["jobs"]
        assert get(client, "/api/jobs?q=send_receipt")["jobs"]


def test_answers_are_not_for_other_sites(site):
    """No answer of the API may be read by another site's page: no CORS header, and nosniff."""
    headers = site.client().get("/api/jobs", headers={"origin": "https://evil.example"}).headers
    assert not [name for name in headers if name.startswith("access-control")]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
