"""Names, parameters, errors and logs are written by others: they are shown as text, never as markup."""

import json
import re
from urllib.parse import quote

import pytest

from lateshift.redaction import HIDDEN

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg/onload=alert(3)>{{7*7}}"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"
QUEUE, WORKER = f"/queues/q{quote(EVIL)}", f"/workers/{quote(EVIL)}"


@pytest.fixture
def hostile(make_site):
    """A site whose every text is hostile."""
    site = make_site(filled=False)
    day = site.day
    kind = (f"shop.{EVIL}", f"q{EVIL}", 1, lambda _: {EVIL: EVIL}, 1, 1)
    error = {
        "error_type": EVIL,
        "error_message": EVIL,
        "error_traceback": f'  File "{EVIL}", line 1, in {EVIL}\n    {EVIL}\n{EVIL}',
    }
    day.job("pending", 100, kind)
    day.job("running", 1, kind, worker=EVIL, progress=0.5, progress_message=EVIL)
    day.job("completed", 5, kind, result=json.dumps(EVIL))
    failed = day.job("failed", 5, kind, attempts=2, **error)
    day.job("pending_retry", 5, kind, id="retrying", **error)
    site.app.database.execute(
        "insert into lateshift_attempts values (:id, 1, 1, 'failed', :evil, 1, 2, :evil, :evil, :evil, null)",
        {"id": failed["id"], "evil": EVIL},
    )
    site.app.database.execute(
        "insert into lateshift_logs values (:id, 1, 1, :evil)", {"id": failed["id"], "evil": EVIL}
    )
    site.app.database.execute(
        "insert into lateshift_workers values (:e, 'worker', :e, 1, :e, :q, :e, 1, :now, :e, null, 1, 1)",
        {"e": EVIL, "q": json.dumps([EVIL]), "now": site.app.database.now()},
    )
    return site


def assert_harmless(text):
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "<svg/onload" not in text
    assert not re.search(r"<[^>]*\son\w+=", re.sub(r'"[^"]*"', '""', text))


@pytest.mark.parametrize(
    "path", ["/", "/jobs", "/queues", "/workers", "/jobs?name=x", f"/jobs?queue=q{EVIL}", QUEUE, WORKER]
)
def test_lists_show_hostile_texts_as_text(hostile, path):
    """No list turns what is stored, or what stands in its address, into markup."""
    answer = hostile.client().get(path)
    assert answer.status_code == 200
    assert_harmless(answer.text)


def test_job_pages_show_hostile_texts_as_text(hostile):
    """Name, parameters, result, error, traceback, logs, progress and worker of a job are text."""
    for job in hostile.app.list_jobs():
        answer = hostile.client().get(f"/jobs/{job.id}")
        assert answer.status_code == 200
        assert_harmless(answer.text)
        assert ESCAPED in answer.text


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_a_job_that_is_nested_deep_takes_nothing_away(make_site, role):
    """Its own parameters and result are hidden from viewers, who may not see all in them; searches pass it by."""
    site = make_site(filled=False, authorize=lambda _: role)
    deep = json.loads("[" * 600 + '{"token": "sk-live-1"}' + "]" * 600)
    kind = ("shop.deep", "q", 1, lambda _: {"order_id": 42, "deep": deep}, 1, 1)
    job = site.day.job("completed", 5, kind, result=json.dumps(deep))
    client = site.client()
    for path in ("/jobs", f"/jobs/{job['id']}", "/api/jobs", f"/api/jobs/{job['id']}"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert role == "operator" or "sk-live" not in answer.text
    found = client.get(f"/api/jobs/{job['id']}").json()
    assert role == "operator" or found["parameters"] == {"order_id": HIDDEN, "deep": HIDDEN}
    for search, ids in (("parameters.deep:1", []), ("parameters.order_id:42", [job["id"]])):
        assert [each["id"] for each in client.get("/api/jobs", params={"q": search}).json()["jobs"]] == ids


def test_what_an_action_says_is_text(hostile):
    """Also the sentence after an action, which names the queue."""
    client = hostile.client()
    path = next(path for path in re.findall(r'action="(/queues/.*?/pause)"', client.get("/queues").text))
    client.post(path, headers={"sec-fetch-site": "same-origin"})
    text = client.get("/").text
    assert "is paused" in text
    assert_harmless(text)


def test_what_is_asked_before_an_action_is_text(hostile):
    """The names of a queue and of a worker, in the question and in what is to be typed."""
    client = hostile.client()
    for path in (f"{QUEUE}/purge", f"{WORKER}/drain"):
        answer = client.post(path, data={"typed": "no"}, headers={"sec-fetch-site": "same-origin"})
        assert answer.status_code == 200
        assert ESCAPED in answer.text
        assert_harmless(answer.text)


def test_the_login_repeats_nothing_as_markup(make_site):
    """Name and address come back as text."""
    client = make_site(dashboard_users=f"a:admin:scrypt.AA.{'A' * 43}").client()
    assert_harmless(client.get(f"/login?next={EVIL}").text)
    headers = {"sec-fetch-site": "same-origin"}
    assert_harmless(client.post("/login", data={"name": EVIL, "next": EVIL, "password": "x"}, headers=headers).text)


def test_a_forged_note_is_ignored(make_site):
    """A cookie that another subdomain may have set is text at most."""
    site = make_site()
    for value in ("%5B1%5D", "nonsense", "%22x%22", "null", '["x","y"]'):
        assert site.client(cookies={"lateshift_told": value}).get("/").status_code == 200
