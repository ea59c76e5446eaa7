"""Workers and one worker: slots and what is in them, memory and CPU, the dead; stop and drain, which ask first."""

import re

import pytest

from lateshift.dashboard import formatting
from lateshift.storage import audit, requests, workers

ALIVE, DEAD, GONE = "w-81bc02", "w-4410ee", "w-3190ab"


def post(client, path, **fields):
    return client.post(path, data=fields, headers={"sec-fetch-site": "same-origin"}, follow_redirects=False)


def row_of(text, name):
    return re.search(rf'<tr id="w-{name}".*?</tr>', text, re.DOTALL)[0]


def test_a_worker_tells_what_it_uses(client):
    """Memory, CPU, slots by kind of executor, its version."""
    row = row_of(client.get("/workers").text, ALIVE)
    for words in ("1.3 GB", "97 %", "v41", "NightlyRevenue", "thread", "/ 100", "process"):
        assert words in row
    assert row.count('<i class="full"') == len(re.findall(r'class="held"', row))


def test_a_worker_has_a_page(client):
    """Each job in a slot with its queue and a link to its page, on which its stack is."""
    text = client.get(f"/workers/{ALIVE}").text
    assert "page 41 of 64" in text
    assert re.search(r'<a class="row-link" href="/jobs/[0-9a-f-]{36}">', text)
    assert "its live stack" in text
    assert 'action="/workers/w-81bc02/drain"' in text


def test_jobs_stand_in_their_kind_of_slot(site, client):
    """What runs on the loop is not counted as a thread."""
    site.app.database.execute(
        "update lateshift_jobs set executor = 'loop' where worker = :id and status = 'running'", {"id": ALIVE}
    )
    text = client.get(f"/workers/{ALIVE}").text
    assert re.search(r'loop</span> <b class="num">[1-9]', text)
    assert re.search(r'thread</span> <b class="num">0<', text)


def test_a_dead_worker_says_what_its_jobs_wait_for(site, client):
    """Until a living one takes them back, on both pages; nobody can be asked to stop."""
    site.day.job("running", 950, worker=DEAD)
    text = client.get("/workers").text
    assert "waits for a living worker to take it back" in row_of(text, DEAD)
    page = client.get(f"/workers/{DEAD}").text
    assert "1 job of it waits for a living worker to take it back" in page
    assert "/drain" not in page


def test_the_dead_are_told_with_what_became_of_their_jobs(client):
    """Whose jobs were taken back has no row any more, but a mark; its page says how it ended."""
    text = client.get("/workers").text
    assert "4 jobs taken back, 0 of them failed for good" in text
    answer = client.get(f"/workers/{GONE}")
    assert answer.status_code == 200
    assert "4 jobs taken back" in answer.text


def test_an_unknown_worker_says_so(client):
    """It may have ended in good order; who looks on while it does so is not told of a wrong address."""
    answer = client.get("/workers/w-nobody")
    assert answer.status_code == 404
    assert "No such worker" in answer.text
    assert client.get("/workers/w-nobody", headers={"X-Live": "1"}).status_code == 200


def test_stopping_asks_first_and_says_what_it_means(site, client):
    """How many jobs it touches, how long they get, and that nobody comes in its place."""
    text = post(client, f"/workers/{ALIVE}/stop").text
    assert "Stop this worker?" in text
    assert re.search(r"Its \d jobs? gets? 30 s to end", text)
    assert "No other worker is started" in text
    assert requests.unanswered(site.app.database, ALIVE) == []


def test_a_worker_is_drained(site, client):
    """It is asked, the audit has it, and the page says so until it answers; then that it takes no more jobs."""
    answer = post(client, f"/workers/{ALIVE}/drain", confirmed="yes")
    assert answer.headers["location"] == f"/workers/{ALIVE}"
    [request] = requests.unanswered(site.app.database, ALIVE)
    assert request.kind == "drain"
    [entry] = audit.page(site.app.database)
    assert (entry.action, entry.target, entry.number) == ("drain", ALIVE, 1)
    text = client.get(f"/workers/{ALIVE}").text
    assert "It was asked to end" in text
    assert f"/workers/{ALIVE}/stop" not in text
    requests.answer(site.app.database, request, site.app.database.now(), "It stops when its jobs have ended.")
    workers.stop_claiming(site.app.database, ALIVE)
    site.desk.forget()
    assert "It takes no more jobs" in client.get(f"/workers/{ALIVE}").text
    assert "Leaving" in row_of(client.get("/workers").text, ALIVE)


def test_an_act_is_noted_alike_by_page_and_api(site, client):
    """The audit had two names for a stack, and said only of a page's stop how many jobs that touched."""
    job = next(job for job in site.app.list_jobs(status="running") if job.worker == ALIVE)
    for path in (f"/workers/{ALIVE}/stop", f"/workers/{ALIVE}/drain", f"/jobs/{job.id}/stack"):
        post(client, path, confirmed="yes")
        assert client.post(f"/api{path}", json={}).status_code == 202
        api, page = audit.page(site.app.database, 2)
        assert (page.action, page.target, page.number, page.details) == (api.action, api.target, 1, "")


def test_the_dead_are_not_asked(site, client):
    """There is nobody to ask: the page says so, and nothing is noted."""
    post(client, f"/workers/{DEAD}/stop", confirmed="yes")
    assert "is not alive" in client.get("/workers").text
    assert requests.unanswered(site.app.database, DEAD) == []
    assert audit.page(site.app.database) == []


def test_a_worker_of_an_odd_name_has_a_page(site, client):
    """A host may be called anything."""
    row = workers.NewWorker("a/b c?-1", "worker", "a/b c?", 1, "/run", ("mail",), "1", slots={"thread": 20})
    workers.register_worker(site.app.database, row, site.app.database.now())
    link = re.search(r'href="(/workers/a/b[^"]*)"', client.get("/workers").text)[1]
    text = client.get(link).text
    assert "on a/b c?" in text
    assert "It serves mail." in text
    assert "<meter" in text
    post(client, f"{link}/drain", confirmed="yes")
    assert requests.unanswered(site.app.database, "a/b c?-1")


def test_lateshift_run_is_no_worker_for_others(site, client):
    """It takes no more jobs than the one that it was started for, and can be asked to stop all the same."""
    row = workers.NewWorker("run-1", "worker", "a host", 1, "/run", (workers.ONE_JOB,), "1")
    workers.register_worker(site.app.database, row, site.app.database.now())
    text = client.get("/workers/run-1").text
    assert "It serves one job" not in text
    assert "/workers/run-1/stop" in text
    assert "Leaving" in row_of(client.get("/workers").text, "run-1")


def test_a_viewer_asks_nothing_of_a_worker(make_site):
    """Neither button is there."""
    text = make_site(authorize=lambda _: "viewer").client().get(f"/workers/{ALIVE}").text
    assert 'method="post"' not in text


@pytest.mark.parametrize(("size", "words"), [(0, "0 MB"), (84_300_000, "84 MB"), (1_310_000_000, "1.3 GB")])
def test_memory_is_told_as_people_compare_processes(size, words):
    """In megabytes, from a thousand of them in gigabytes."""
    assert formatting.memory(size) == words
