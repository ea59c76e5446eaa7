"""Queues and one queue: speeds, who serves it, its callables; purging it with its name typed, and taking that back."""

import html
import re
import threading

import pytest

from lateshift.dashboard import formatting, purging
from lateshift.dashboard.pages.queue import outlook
from lateshift.dashboard.queue_lines import QueueLine
from lateshift.judgement import find_trouble
from lateshift.storage import audit
from lateshift.storage.counting import Count
from lateshift.storage.history import QueueRate
from lateshift.storage.reads import QueueRow, WorkerRow

ODD = ("shop.odd.handle", "odd / näme?", 1, lambda _: {}, 1, 1)


def post(client, path, **fields):
    return client.post(path, data=fields, headers={"sec-fetch-site": "same-origin"}, follow_redirects=False)


def in_queue(site, queue, *statuses):
    return [job for job in site.app.list_jobs(queue=queue, limit=500) if job.status in statuses]


WAITING = ("pending", "pending_retry")


def row_of(text, name):
    return re.search(rf'<tr id="queue-{name}">.*?</tr>', text, re.DOTALL)[0]


def test_a_queue_tells_speeds_and_when_it_is_empty(client):
    """What came in and went out, and how long what waits will take."""
    cells = re.findall(r'<td class="n.*?">\s*(.*?)\s*</td>', row_of(client.get("/queues").text, "mail"), re.DOTALL)
    assert re.fullmatch(r"[\d.]+ / (s|min)", cells[4])
    assert re.fullmatch(r"[\d.]+ / (s|min)", cells[5])
    assert re.fullmatch(r"[\d.]+ (ms|s|min)", cells[6])
    assert cells[7] == "2"


def test_a_queue_that_is_done_stays_listed(site, client):
    """What ran lately and has nothing to do now is still there, last."""
    site.app.database.execute("update lateshift_jobs set queue = 'mail' where queue = 'search'", {})
    names = re.findall(r'<tr id="queue-(.*?)">', client.get("/queues").text)
    assert "search" in names
    assert ">0</td>" in row_of(client.get("/queues").text, "search")


def test_a_queue_has_a_page(client):
    """With its figures, its charts, its callables and who serves it."""
    text = client.get("/queues/billing").text
    assert "shop.billing." in text
    assert "shop.mail." not in text.partition("Who serves it")[0]
    assert 'href="/workers/w-7f3a90"' in text
    assert 'id="throughput-data"' in text


def test_a_queue_of_any_name_has_a_page(site, client):
    """Slashes, spaces and question marks lead nowhere else, on the page and in its actions."""
    site.day.job("pending", 1, ODD)
    link = next(path for path in re.findall(r'href="(/queues/.*?)"', client.get("/queues").text) if "odd" in path)
    text = client.get(html.unescape(link)).text
    assert "<h1>odd / näme?" in text
    action = re.search(r'action="(/queues/[^"]*/purge)"', text)[1]
    assert "Purge the queue odd / näme?" in html.unescape(post(client, action).text)


def test_a_queue_called_as_an_action_has_a_page(site, client):
    """A name that ends as an action does is a name."""
    site.day.job("pending", 1, ("shop.odd.handle", "billing/pause", 1, lambda _: {}, 1, 1))
    assert "<h1>billing/pause" in client.get("/queues/billing/pause").text
    post(client, "/queues/billing/pause/pause")
    assert 'action="/queues/billing/pause/resume"' in client.get("/queues").text


def test_an_unknown_queue_says_so(client):
    """With the code of what is not there, and how it would come into being."""
    answer = client.get("/queues/nothing")
    assert answer.status_code == 404
    assert "Nothing is known of a queue nothing" in answer.text


def line(*, waiting=0, delayed=0, paused=False, served=True, empty_in=None):
    row = QueueRow("q", paused, waiting, delayed, 0, 1 if waiting else None)
    alive = [WorkerRow("w", "worker", "h", 1, "/", (), "1", 0, 0)] if served else []
    return QueueLine(row, QueueRate("q", 1.0, 2.0, Count(waiting + delayed), empty_in), alive, None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (line(), "Nothing waits"),
        (line(waiting=3, paused=True), "is paused"),
        (line(delayed=3), "Nothing is due"),
        (line(waiting=3, served=False), "No living worker"),
        (line(waiting=3), "fills as fast"),
        (line(waiting=3, empty_in=4.0), ""),
    ],
)
def test_the_outlook_says_what_will_become_of_it(given, words):
    """The first thing that matters, and nothing where the page gives a time."""
    assert words in outlook(given)
    assert bool(outlook(given)) == bool(words)


def trouble(*, waiting=3, age=5.0, paused=False, served=True, spawns=True, fills=False):
    row = QueueRow("q", paused, waiting, 0, 0, 10**9 - round(age * 1e6) if waiting else None)
    rate = QueueRate("q", 2.0 if fills else 0.0, 1.0, Count(waiting), None)
    found = find_trouble(row, 10**9, served=served, spawns=spawns, rate=rate)
    return (found.light, found.words) if found else None


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, None),
        ({"waiting": 0, "served": False}, None),
        ({"served": False}, None),
        ({"served": False, "age": 11}, ("bad", "no worker serves it")),
        ({"served": False, "spawns": False}, ("bad", "no worker serves it")),
        ({"paused": True, "served": False, "age": 900}, ("warning", "paused")),
        ({"age": 90}, ("warning", "late by 1 min 30 s")),
        ({"fills": True}, None),
        ({"fills": True, "waiting": 100}, ("warning", "filling up")),
    ],
)
def test_a_queue_has_one_trouble_at_most(given, found):
    """The worst that can be said of it; a runner that is about to start is none."""
    assert trouble(**given) == found


@pytest.mark.parametrize(
    ("speed", "words"),
    [(0, "0 / s"), (4.2, "4.2 / s"), (1234, "1.2k / s"), (0.45, "27 / min"), (0.001, "3.6 / h"), (0.0001, "0.36 / h")],
)
def test_a_speed_has_the_unit_that_keeps_it_readable(speed, words):
    """From thousands a second to one in some hours."""
    assert formatting.speed(speed) == words


def test_purging_asks_for_the_name(site, client):
    """Without the name, or with another, nothing is thrown away; the page says how many jobs it is about."""
    number = len(in_queue(site, "mail", *WAITING))
    for fields in ({}, {"typed": "Mail"}, {"confirmed": "yes"}):
        answer = post(client, "/queues/mail/purge", **fields)
        assert answer.status_code == 200
        assert f"<b>{number} jobs</b>" in answer.text
    assert "That is not the name" in post(client, "/queues/mail/purge", typed="mai").text
    assert len(in_queue(site, "mail", *WAITING)) == number
    assert audit.page(site.app.database) == []


def test_purging_throws_away_what_waits_and_nothing_else(site, client):
    """Due, delayed and retrying jobs of this queue; running ones and those of other queues stay. It can be undone."""
    site.day.job("running", 3, ("shop.billing.x", "billing", 1, lambda _: {}, 1, 1))
    before = {job.id for job in in_queue(site, "billing", *WAITING)}
    others = len(in_queue(site, "mail", *WAITING))
    assert len(before) > 2
    answer = post(client, "/queues/billing/purge", typed="billing")
    assert answer.headers["location"] == "/queues/billing"
    text = client.get("/queues/billing").text
    assert f"Deleted {len(before)} jobs." in text
    assert in_queue(site, "billing", *WAITING) == []
    assert in_queue(site, "billing", "running")
    assert len(in_queue(site, "mail", *WAITING)) == others
    [entry] = audit.page(site.app.database)
    assert (entry.action, entry.target, entry.number) == ("purge", "billing", len(before))
    undo = re.search(r'action="(/bulk/[0-9a-f]{16}/undo)"', text.partition('id="told"')[0])[1]
    post(client, undo)
    assert {job.id for job in in_queue(site, "billing", *WAITING)} == before
    assert undo not in client.get("/queues/billing").text
    assert [entry.action for entry in audit.page(site.app.database)] == ["undo delete", "purge"]


def test_a_purge_cannot_be_undone_for_ever(site, client):
    """After ten minutes the page does not offer it any more."""
    post(client, "/queues/mail/purge", typed="mail")
    client.get("/jobs")
    assert "was thrown away" in client.get("/queues/mail").text.replace("were", "was")
    site.app.database.execute("update lateshift_audit set at = at - 601000000", {})
    site.desk.forget()
    assert "thrown away" not in client.get("/queues/mail").text


def test_there_may_be_nothing_to_purge(site, client):
    """Then nothing is noted as done."""
    post(client, "/queues/mail/purge", typed="mail")
    assert "/queues/mail/purge" not in client.get("/queues/mail").text
    post(client, "/queues/mail/purge", typed="mail")
    assert "Nothing waited in the queue mail" in client.get("/queues/mail").text
    assert len(audit.page(site.app.database)) == 1


def test_a_long_purge_has_a_page_of_its_own(site, client, nobody_waits, monkeypatch):
    """Nobody waits for it: the page shows how far it is, and leads back to the queue."""
    begin, step = threading.Event(), purging.BulkAction.step
    monkeypatch.setattr(purging.BulkAction, "step", lambda action: (begin.wait(5), step(action))[1])
    bulk = ("shop.bulk.x", "bulk", 1, lambda _: {}, 1, 1)
    site.app.database.transact(lambda: [site.day.job("pending", 1, bulk) for _ in range(600)])
    link = post(client, "/queues/bulk/purge", typed="bulk").headers["location"]
    assert re.fullmatch(r"/bulk/[0-9a-f]{16}", link)
    text = client.get(link).text
    assert "what waits in the queue" in text
    assert 'href="/queues/bulk"' in text
    begin.set()
    [run] = site.desk.runs.all()
    assert run.over.wait(10)
    assert in_queue(site, "bulk", *WAITING) == []
    assert audit.page(site.app.database)[0].number == 600


def test_only_an_admin_purges(make_site):
    """An operator sees that something was thrown away, and who did it; the way back is the admin's."""
    site = make_site(authorize=lambda request: request.headers.get("role"))
    admin, operator = (site.client(headers={"role": role, "accept": "text/html"}) for role in ("admin", "operator"))
    assert "/queues/mail/purge" not in operator.get("/queues/mail").text
    assert "/queues/mail/purge" in admin.get("/queues/mail").text
    post(admin, "/queues/mail/purge", typed="mail")
    text = operator.get("/queues/mail").text
    assert "thrown away" in text
    assert "/undo" not in text


def test_each_callable_of_a_queue_has_its_row(site, client):
    """Only those of the queue, with how many of its attempts raised and how long they took."""
    text = client.get("/queues/billing?range=24h").text
    rows = re.findall(r'<tr id="c-(.*?)">(.*?)</tr>', text, re.DOTALL)
    assert [name for name, _ in rows] == ["shop.billing.ChargeCard.handle"]
    assert re.search(r"\d\.\d %", rows[0][1])
    assert '<svg class="spark"' in rows[0][1]
