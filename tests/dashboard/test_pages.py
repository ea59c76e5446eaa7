"""Every page answers, shows what it should, and is mounted wherever it is asked to be."""

import asyncio
import json
import re
import threading
from types import SimpleNamespace

import httpx2 as httpx
import pytest
from dashboard_site import HERE
from starlette.applications import Starlette
from starlette.routing import Mount

from lateshift.dashboard import desk
from lateshift.dashboard.routes import PAGES
from lateshift.dashboard.sections import SECTIONS
from lateshift.errors import QueryTooSlow, StorageUnavailable

PLAIN = [page.path for page in PAGES if not page.change and not page.part and "{" not in page.path]


def job_of(site, status):
    return next(job for job in site.app.list_jobs(status=status, limit=50))


@pytest.mark.parametrize("path", PLAIN)
def test_a_page_answers(client, path):
    """Each page of the table is there, complete, and without anything from elsewhere."""
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.text.rstrip().endswith("</html>")
    assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", answer.text)
    assert " style=" not in answer.text
    assert "<script>" not in answer.text


@pytest.mark.parametrize("path", [path for path in PLAIN if path != "/doctor"])  # there is always something to check
def test_a_page_of_an_empty_database_teaches(make_site, path):
    """Where there is nothing yet, a page says what would fill it."""
    answer = make_site(filled=False).client().get(path)
    assert answer.status_code == 200
    assert 'class="empty"' in answer.text


@pytest.mark.parametrize("status", ["pending", "running", "completed", "failed", "pending_retry", "cancelled"])
def test_a_job_in_each_status_has_its_page(site, client, status):
    """A job's page tells its callable, its id and its parameters."""
    job = job_of(site, status)
    text = client.get(f"/jobs/{job.id}").text
    assert job.id in text
    assert job.name.rpartition(".")[2] in text
    assert all(name in text for name in job.parameters)


def test_the_live_part_comes_alone(client):
    """What a page fetches of itself is its content, without the rail around it."""
    text = client.get("/queues", headers={"X-Live": "1"}).text
    assert '<main id="page"' in text
    assert 'class="rail"' not in text


def test_any_parameters_may_stand_in_an_address(client):
    """Those that a page does not know are kept, also those called as something in our code."""
    for path in PLAIN:
        answer = client.get(f"{path}?path=x&self=y")
        assert (answer.status_code, f'hx-get="{path}?path=x&amp;self=y"' in answer.text) == (200, True)


def test_jobs_are_filtered_by_address(site, client):
    """Status, queue and callable stand in the address, and hold for the rows."""
    text = client.get("/jobs?status=failed&queue=billing&name=shop.billing").text
    rows = re.findall(r'<tr id="j-(.*?)"', text)
    assert len(rows) == 6
    assert {site.app.get_job(row).status for row in rows} == {"failed"}
    assert "No such jobs" in client.get("/jobs?queue=nothing").text


def test_paging_shows_every_job_once(site, client):
    """From page to page by the link, no job is missing and none comes twice."""
    for _ in range(70):
        site.day.job("completed", 100)
    seen, path = [], "/jobs"
    while path:
        text = client.get(path).text
        seen += re.findall(r'<tr id="j-(.*?)"', text)
        found = re.search(r'rel="next" href="(.*?)"', text)
        path = found and found[1].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == len(site.app.list_jobs(limit=1000)) > 100


def test_an_unknown_page_or_job_says_so(client):
    """A wrong address gets words and a way back, with the right code."""
    assert client.get("/nothing").status_code == 404
    answer = client.get("/jobs/nothing")
    assert answer.status_code == 404
    assert "There is no such job" in answer.text


def test_mounted_below_a_path_all_links_stay_there(site):
    """Below another application no link, form or file leads out of the mount."""
    outer = Starlette(routes=[Mount("/ops/jobs", site.made)])
    from starlette.testclient import TestClient

    client = TestClient(outer, client=("127.0.0.1", 1), base_url="http://localhost")
    job = job_of(site, "failed")
    for path in [*PLAIN, f"/jobs/{job.id}"]:
        text = client.get(f"/ops/jobs{path}").text
        links = re.findall(r'(?:href|src|action|hx-get|hx-post)="(.*?)"', text)
        assert links
        assert [link for link in links if not link.startswith(("/ops/jobs/", "#"))] == []
        for link in {link for link in links if "/static/" in link}:
            assert client.get(link).status_code == 200


def test_files_are_kept_by_browsers_and_change_their_name_with_their_content(client):
    """A file under its present name may be kept for ever, under an old one not at all; nothing else is served."""
    path = re.search(r'href="(/static/\w+/app.css)"', client.get("/").text)[1]
    answer = client.get(path)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert client.get("/static/old/app.css").headers["cache-control"] == "no-cache"
    assert client.get("/static/old/../desk.py").status_code == 404
    assert client.get("/static/old/%2e%2e/desk.py").status_code == 404


def test_all_pages_together_weigh_little(site, client):
    """CSS and JavaScript of all pages stay below 60 KB on their way."""
    paths = [section.path for section in SECTIONS] + [f"/jobs/{site.app.list_jobs(limit=1)[0].id}"]
    pages = "".join(client.get(path).text for path in paths)
    links = set(re.findall(r'(?:href|src)="(/static/\w+/.*?\.(?:css|js))"', pages))
    assert len(links) > 4
    assert sum(int(client.get(link).headers["content-length"]) for link in links) < 60_000


def test_probes_need_nobody(make_site):
    """Liveness and readiness answer without a user, also where one is asked for."""
    client = make_site(dashboard_token="0123456789abcdef").client()
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").text == "ok\n"


def test_ready_is_no_when_the_database_is_gone(make_site):
    """A database that cannot be opened is told by the code alone."""
    site = make_site(filled=False)
    site.desk.__dict__["database"] = None

    class Gone:
        def query(self, *_):
            from lateshift.errors import StorageUnavailable

            raise StorageUnavailable("gone with its password")

        def within(self, _, read):
            return read()

        now = query

        def close(self):
            pass

    site.desk.__dict__["database"] = Gone()
    answer = site.client().get("/readyz")
    assert answer.status_code == 503
    assert "password" not in answer.text
    page = site.client().get("/jobs?status=failed")
    assert (page.status_code, '<a class="button primary" href="">Try again</a>' in page.text) == (503, True)
    assert "Try again" not in site.client().post("/queues/mail/pause").text, "that address is for a form"


def test_ten_tabs_ask_the_database_once(site, client, monkeypatch):
    """The same question within a second is asked once; here that second does not end."""
    monkeypatch.setattr(desk, "time", SimpleNamespace(monotonic=lambda: 1.0))
    asked = []
    query = site.desk.database.query

    def counting(sql, parameters=()):
        asked.append(sql)
        return query(sql, parameters)

    client.get("/")
    site.desk.forget()
    site.desk.database.query = counting
    client.get("/")
    once = len(asked)
    for _ in range(9):
        client.get("/")
    assert len(asked) == once


def test_a_database_that_hangs_takes_no_login_with_it(site):
    """All who ask the same wait for one answer and get what comes of it; each asked once more, one after the other."""
    asked, joined, given_up = [], [], threading.Event()

    def hang(*_):
        asked.append(1)
        assert given_up.wait(30)
        raise StorageUnavailable("It does not answer.")

    class Asking(dict):
        def setdefault(self, key, answer):
            joined.append(key)
            return super().setdefault(key, answer)

    site.desk.database.query = site.desk.database.now = hang
    site.desk._asking = Asking()

    async def visit():
        transport = httpx.ASGITransport(site.made, client=("127.0.0.1", 50_000))
        async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
            waiting = [asyncio.create_task(client.get(path)) for path in ["/readyz"] * 50 + ["/jobs"] * 10]
            while len(asked) < 2 or len(joined) < 11:  # those of /readyz share one task
                await asyncio.sleep(0)
            for path in ("/login", site.desk.assets.path("app.css")):
                assert (await client.get(path)).status_code in (200, 303)
            assert not any(task.done() for task in waiting)
            given_up.set()
            return [answer.status_code for answer in await asyncio.gather(*waiting)]

    assert asyncio.run(asyncio.wait_for(visit(), 25)) == [503] * 60
    assert len(asked) == 2


def test_what_serves_for_longer_is_not_read_anew_for_each_change(site):
    """A change elsewhere outdates what was just read, one made here everything; no question is kept for ever."""
    asked = []
    for outdate, expected in (
        (lambda: None, "short long"),
        (site.desk._outdate, "short"),
        (site.desk.forget, "short long"),
    ):
        outdate()
        site.desk.once("short", lambda: asked.append("short"))
        site.desk.once("long", lambda: asked.append("long"), 60)
        assert " ".join(asked) == expected
        asked.clear()
    for moment in range(100):
        site.desk.once(("moment", moment), lambda: None)
        site.desk._outdate()
    assert len(site.desk._asking) < 10


def test_answers_are_let_go(site, monkeypatch):
    """What is out of date goes with the next question, few are kept at once, and of a question that failed nothing."""
    now = [1.0]
    monkeypatch.setattr(desk, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for number in range(200):
        site.desk.once(number, lambda: "large")
        with pytest.raises(ZeroDivisionError):
            site.desk.once(("wrong", number), lambda: 1 / 0)
    assert (len(site.desk._answers), site.desk._asking) == (64, {})
    now[0] += 2
    site.desk.once("another", lambda: "small")
    assert list(site.desk._answers) == ["another"]


def test_a_read_that_takes_too_long_is_given_up(site, monkeypatch):
    """No page can keep the database busy for long, whatever it has come to hold."""
    monkeypatch.setattr(desk, "PATIENCE", 0.05)
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
    with pytest.raises(QueryTooSlow):
        site.desk.read(lambda db: db.query(endless))


def test_the_chart_has_the_counts_of_the_hour(client):
    """The overview's chart holds sixty minutes of what was counted."""
    text = client.get("/").text
    data = re.search(r'id="throughput-data" hidden value="(.*?)"', text)[1]
    minutes, completed, _, failed = json.loads(data)
    assert len(minutes) == len(completed) == 60
    assert sum(failed) > 0
