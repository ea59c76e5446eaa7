"""What the page of one job offers beyond looking: again with other parameters, as Python, its runs, its stack."""

import re
from datetime import date

import pytest
from dashboard_site import SAME

from lateshift import RetryPolicy, codec
from lateshift.dashboard.other_runs import compare
from lateshift.dashboard.python_call import as_python
from lateshift.errors import JobNotFound
from lateshift.storage import audit, bulk, requests
from lateshift.storage.history import Point, Quantiles

CODE = """
from datetime import date

from lateshift import background

RAN = []


def send(order_id: int, on: date | None = None, api_key: str = "", note: str = "") -> None:
    RAN.append(order_id)


@background(isolation="process")
def render(order_id: int) -> None:
    pass
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A package whose jobs may run."""
    (tmp_path / "job_page_code.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))


def post(client, path, **fields):
    return client.post(path, data=fields, headers={"sec-fetch-site": "same-origin"}, follow_redirects=False)


def enqueued(site, name="job_page_code.send", **options):
    """A job of that package, cancelled before it ran."""
    given = {"parameters": {"order_id": 7, "on": date(2026, 1, 31), "api_key": "sk-live-1"}} | options
    job_id = site.app.run_background_job(name, **given)
    site.app.cancel_job(job_id)
    return job_id


@pytest.fixture
def own(make_site, code):
    """A site on which that package may run."""
    return make_site(filled=False, allowed=["job_page_code"])


def test_a_job_runs_again_with_other_parameters(own):
    """The form has them as JSON; what is typed becomes a new job like the old one, and the audit knows."""
    job_id, client = enqueued(own, priority=7, queue="mail", max_retries=9), own.client()
    assert "2026-01-31" in client.get(f"/jobs/{job_id}/edit").text
    answer = post(client, f"/jobs/{job_id}/edit", parameters='{"order_id": 8, "on": "2026-02-01"}')
    new = own.app.get_job(answer.headers["location"].rpartition("/")[2])
    assert new.parameters == {"order_id": 8, "on": "2026-02-01"}
    assert (new.name, new.priority, new.queue, new.max_attempts) == ("job_page_code.send", 7, "mail", 10)
    assert own.app.get_job(job_id).status == "cancelled"
    [noted] = audit.page(own.app.database)
    assert (noted.action, noted.target, noted.details) == ("run again", job_id, f"with other parameters, as {new.id}")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ('{"order_id": "two"}', "expected `int`"),
        ('{"order_id": 1, "extra": 1}', "has no parameter"),
        ('{"order_id": 1, "on": "2026-02-31"}', "on: date"),
        ('{"order_id": 1,\n"on"}', "This is no JSON: Expecting ':' delimiter (line 2, column 5)."),
        ("[1]", "an object with a value for each name"),
        ('{"order_id": NaN}', "no JSON"),
        ("", "no JSON"),
    ],
)
def test_a_mistake_comes_back_as_typed(own, typed, words):
    """With what is wrong, and nothing is enqueued."""
    job_id, client = enqueued(own), own.client()
    answer = post(client, f"/jobs/{job_id}/edit", parameters=typed)
    assert answer.status_code == 422
    text = answer.text.replace("&#34;", '"').replace("&#39;", "'")
    assert f">\n{typed}</textarea>" in text
    assert words in re.sub(r"</?code>", "`", text[text.index('role="alert"') :])
    assert len(own.app.list_jobs()) == 1


def test_what_may_not_run_any_more_is_not_run_again(site, client):
    """The allow-list and the code of today count."""
    job = site.app.list_jobs(status="failed", limit=1)[0]
    answer = post(client, f"/jobs/{job.id}/edit", parameters="{}")
    assert answer.status_code == 422
    assert "was not found" in answer.text


def test_running_again_keeps_the_options_of_the_call(own):
    """Also those that the job does not show: its retry policy."""
    job_id = enqueued(own, retry_delay=[1, 60], timeout=30)
    answer = post(own.client(), f"/jobs/{job_id}/again")
    new = answer.headers["location"].rpartition("/")[2]
    assert bulk.original(own.app.database, new).options == bulk.original(own.app.database, job_id).options


def test_a_job_that_is_gone_cannot_run_again(site, client):
    """Neither in code nor by the form."""
    with pytest.raises(JobNotFound):
        site.app.run_again("nothing")
    assert client.get("/jobs/nothing/edit").status_code == 404
    assert post(client, "/jobs/nothing/edit", parameters="{}").status_code == 404
    assert post(client, "/jobs/nothing/stack").status_code == 404


def test_as_python_works_when_pasted(own):
    """Running the text enqueues the same call, whatever its values hold."""
    hostile = "'''\"\"\"\\\n); raise SystemExit #\u202e\x00" + "x" * 100
    policy = RetryPolicy.exponential(2, 3, 60)
    for options in (
        {"priority": 7, "queue": "it's", "max_retries": 9, "timeout": 30},
        {"parameters": {"order_id": 1, "note": hostile}, "retry_delay": [1, 60]},
        {"retry_delay": policy},
        {"retry_delay": 4},
        {"name": "job_page_code.render", "parameters": {"order_id": 1}, "max_memory": "500M"},
    ):
        job_id = enqueued(own, **options)
        row = bulk.original(own.app.database, job_id)
        text = as_python(own.app.get_job(job_id), row, own.app.get_job(job_id).parameters)
        lateshift = {"run_background_job": own.app.run_background_job, "RetryPolicy": RetryPolicy}
        exec(text.partition("\n")[2], lateshift)
        new = bulk.original(own.app.database, own.app.list_jobs(limit=1)[0].id)
        same = ("name", "queue", "priority", "parameters", "max_retries", "options")
        assert [getattr(new, each) for each in same] == [getattr(row, each) for each in same]


def test_a_viewer_sees_masked_values_and_no_form(make_site, code):
    """In the Python, too; and the way to edit is closed."""
    site = make_site(filled=False, allowed=["job_page_code"], authorize=lambda _: "viewer")
    job_id, client = enqueued(site), site.client()
    text = client.get(f"/jobs/{job_id}").text
    assert "run_background_job(" in text
    assert "sk-live-1" not in text
    assert "are hidden here, too" in text
    assert "/edit" not in text
    assert client.get(f"/jobs/{job_id}/edit").status_code == 403
    assert client.get(f"/jobs/{job_id}/stack").status_code == 403


def test_large_parameters_leave_the_page_small(site, client):
    """A megabyte is allowed: the page, fetched anew at each change, shows the beginning, and where all of it is."""
    job = site.app.list_jobs(status="completed", limit=1)[0]
    large = codec.to_json({"rows": [{"id": number, "name": "n"} for number in range(40_000)]}).decode()
    change = "update lateshift_jobs set parameters = :large, result = :large where id = :id"
    site.app.database.execute(change, {"large": large, "id": job.id})
    text = client.get(f"/jobs/{job.id}").text
    assert len(text) < 250_000
    assert text.count(f'<a href="/api/jobs/{job.id}">The API has all of it</a>') == 2
    assert "too long" in text
    assert len(client.get(f"/api/jobs/{job.id}").json()["parameters"]["rows"]) == 40_000


def test_read_only_has_no_form(make_site):
    """Not even to look at."""
    site = make_site(read_only=True)
    job = site.app.list_jobs(status="failed", limit=1)[0]
    answer = site.client().get(f"/jobs/{job.id}/edit")
    assert answer.status_code == 403
    assert "read-only" in answer.text


def test_the_runs_around_a_job(site, client):
    """Those of the same callable, the newest first, with this one marked, and what is usual."""
    rows = [site.day.job("completed", ago, ("shop.rare.f", "mail", 1, lambda _: {}, 2, 1)) for ago in (90, 60, 30)]
    site.day.job("completed", 45, ("shop.rare.f2", "mail", 1, lambda _: {}, 2, 1))
    text = client.get(f"/jobs/{rows[1]['id']}").text
    listed = re.findall(r'<tr id="r-(.*?)"( class="at")?', text)
    assert listed == [(rows[2]["id"], ""), (rows[1]["id"], ' class="at"'), (rows[0]["id"], "")]
    job = site.app.list_jobs(status="completed", name="ChargeCard", limit=1)[0]
    assert re.search(r"Half of its [\d,]+ runs in 7 days", client.get(f"/jobs/{job.id}").text)


def usual(count=100):
    return Point(0, count, 0, 0, 0, Quantiles(None, None, None), Quantiles(1.0, 3.0, 4.0), 0.1, 1.2)


@pytest.mark.parametrize(
    ("seconds", "words", "slow"),
    [(0.5, "less than half", False), (2, "as usual", False), (5, "longer than 95 % do, 5.0 times", True)],
)
def test_how_a_run_compares(seconds, words, slow):
    """With half of the runs, and with 95 % of them."""
    told, is_slow = compare(seconds, usual())
    assert words in told
    assert is_slow is slow


def test_few_runs_are_no_comparison():
    """What ran a few times has no usual duration; what has not run cannot be compared."""
    assert compare(5, usual(count=3)) == ("", False)
    assert compare(None, usual()) == ("", False)
    assert compare(2, usual(), running=True) == ("This one has run for 2 s.", False)


@pytest.fixture
def running(site):
    return site.app.list_jobs(status="running", limit=1)[0]


def asked(site, running, client=None):
    """What the page has asked the job's worker for."""
    answer = post(client or site.client(), f"/jobs/{running.id}/stack")
    [request] = requests.unanswered(site.app.database, running.worker)
    return request, answer.headers["location"]


STACK = (
    '  File "/x/site-packages/requests/a.py", line 1, in post\n  File "/srv/shop/b.py", line 88, in handle\n    f()\n'
)


def test_the_stack_comes_when_the_worker_answers(site, client, running):
    """First the page waits, without a script too; then it shows the stack, own frames open, and a time that stays."""
    request, page = asked(site, running)
    assert (request.kind, request.job_id) == ("stack", running.id)
    waiting = client.get(page).text
    assert "The worker is asked." in waiting
    assert '<meta http-equiv="refresh" content="1">' in waiting
    requests.answer(site.app.database, request, site.app.database.now(), STACK)
    shown = client.get(page).text
    assert "http-equiv" not in shown
    assert "in <b>handle</b>" in shown
    assert "1 frame of library code" in shown
    assert 'data-as="stamp"' in re.search(r'id="h-stack">.*?<time (.*?)>', shown)[1]
    assert [entry.action for entry in audit.page(site.app.database)] == ["stack"]


def test_in_place_the_stack_is_a_part_of_the_page(site, client, running):
    """With htmx the answer is only the part, which fetches itself until it is complete."""
    answer = client.post(f"/jobs/{running.id}/stack", headers={**SAME, "hx-request": "true"})
    assert "<html" not in answer.text
    again = re.search(r'hx-get="(.*?)"', answer.text)[1].replace("&amp;", "&")
    [request] = requests.unanswered(site.app.database, running.worker)
    requests.answer(site.app.database, request, site.app.database.now(), STACK)
    part = client.get(again, headers={"hx-request": "true"}).text
    assert "in <b>handle</b>" in part
    assert "hx-get" not in part


def test_a_worker_that_does_not_answer(site, client, running):
    """After ten seconds the page says so, and offers to ask again; of what is long gone it says that."""
    db = site.app.database
    early = requests.ask(db, running.worker, "stack", db.now() - 11_000_000, running.id)
    page = client.get(f"/jobs/{running.id}/stack?worker={running.worker}&asked={early}").text
    assert "has not answered within 10 s" in page
    assert "Ask again" in page
    assert "more than a minute ago" in client.get(f"/jobs/{running.id}/stack?worker=x&asked=x").text


def test_only_a_running_job_has_a_stack(site, client):
    """Of another the refusal says why; and an answer is shown for its own job only."""
    failed = site.app.list_jobs(status="failed", limit=1)[0]
    assert "only running jobs have a stack" in post(client, f"/jobs/{failed.id}/stack").text
    running = site.app.list_jobs(status="running", limit=1)[0]
    _, page = asked(site, running)
    assert "more than a minute ago" in client.get(page.replace(running.id, failed.id)).text
