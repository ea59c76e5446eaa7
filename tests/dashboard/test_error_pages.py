"""Errors in groups: which there are, how one of them looks, and what an operator does with it."""

import html
import re

import pytest
from lively import TIMEOUT
from lively_errors import STORIES
from test_actions import post
from test_hostile import EVIL, assert_harmless

from lateshift.dashboard.charts import Bar, bars, spikes
from lateshift.fingerprint import Fingerprint, fingerprint
from lateshift.query import parse
from lateshift.storage import audit, failures, search
from lateshift.storage.failures import HOUR, FailureCount

# "0+" as a word of its own: one of ten times of day has it too, as in "22.601960+00:00".
COUNTED_TO_ZERO = re.compile(r"(?<![\w.:])0\+(?!\d)")
KEY = fingerprint(TIMEOUT).key
STORED = {story.error.type: fingerprint(story.error).key for story in STORIES}
RESOLVED, RETURNED, NEW = (
    STORED[name] for name in ("smtplib.SMTPRecipientsRefused", "PIL.UnidentifiedImageError", "KeyError")
)


def rows(client, path="/errors"):
    """The groups of a list, in its order, each with its row."""
    return dict(re.findall(r'<tr id="e-(\w+)">(.*?)</tr>', client.get(path).text, re.DOTALL))


def only(site, key=KEY):
    return failures.groups(site.app.database, 0, fingerprint=key)[0]


def test_groups_are_listed_by_state(client):
    """What is open, with what came back and what is new among it, and what is resolved."""
    shown = rows(client, "/errors?range=30d")
    assert set(shown) == {KEY, NEW, RETURNED, STORED["psycopg.errors.DeadlockDetected"]}
    assert "came back" in shown[RETURNED]
    assert ">new<" in shown[NEW]
    assert "shop/reports.py: handle" in shown[NEW]
    assert "NightlyRevenue.handle" in shown[NEW]
    assert set(rows(client, "/errors?range=30d&state=resolved")) == {RESOLVED, STORED["ValueError"]}


def test_a_period_shows_what_was_seen_in_it(client):
    """The last hour, the last day, a week, a month; an unknown one is the day."""
    counted = {
        name: len(rows(client, f"/errors?range={name}")) + len(rows(client, f"/errors?range={name}&state=resolved"))
        for name in ("1h", "24h", "7d", "30d", "nonsense")
    }
    assert counted["1h"] == 2
    assert counted["1h"] < counted["24h"] == counted["nonsense"] <= counted["7d"] <= counted["30d"] == 6


def test_the_last_hour_is_counted_by_the_hour(make_site):
    """Failures are known by the hour: the page says since when it counts, and does not count what was before."""
    site = make_site(filled=False)
    now = site.app.database.now()
    for back, failed in ((0, 3), (5, 100)):
        at = now - back * HOUR
        failures.add(site.app.database, "w", [FailureCount(fingerprint(TIMEOUT), "a.b", "m", failed, 0, at, at, "")])
    text = site.client().get("/errors?range=1h").text
    assert "3 failed attempts in the last hour" in text
    assert re.search(r"Counted by the hour: since <time [^>]*>\d\d:00</time>", text)
    assert "103 failed attempts" in site.client().get("/errors").text


def test_groups_are_sorted(client):
    """By when they were seen last, by how often, by when they were seen first."""
    last, count, first = (list(rows(client, f"/errors?range=30d&sort={sort}")) for sort in ("last", "count", "first"))
    assert len({tuple(last), tuple(count), tuple(first)}) == 3
    assert first[0] == NEW
    assert last == list(rows(client, "/errors?range=30d&sort=nonsense"))


def test_many_groups_are_cut(make_site):
    """A page shows a hundred, and says how many more there are."""
    site = make_site(filled=False)
    now = site.app.database.now()
    marks = [Fingerprint(f"{number:016x}", "E", "a.py: b", "m") for number in range(103)]
    failures.add(site.app.database, "w", [FailureCount(mark, "a.b", "m", 1, 0, now, now, "") for mark in marks])
    assert len(rows(site.client())) == 100
    assert "3 more are not shown" in site.client().get("/errors").text


def test_a_group_has_its_page(site, client):
    """The message, the traceback of the latest occurrence, who raises it, its jobs, and where to find them all."""
    text = client.get(f"/errors/{KEY}").text
    assert "requests.exceptions." in text
    assert "Read timed out" in text
    assert "frames of library code" in text
    assert "receipt = self.gateway.charge(order, amount)" in text
    assert "ChargeCard.handle" in text
    assert "sync_stock" in text
    jobs = re.findall(r'<tr id="j-(.*?)"', text)
    assert len(jobs) == 8
    assert {site.app.get_job(job).error.type for job in jobs} == {TIMEOUT.type}
    assert f"q=fingerprint%3A{KEY}+status%3Afailed" in text
    assert "Retry 6 failed jobs" in text


def test_what_could_not_be_counted_can_be_retried_all_the_same(client, monkeypatch):
    """Of a slow database the page knew no number of failed jobs, and had no button to retry them."""
    monkeypatch.setattr("lateshift.storage.search.SECONDS", 0)
    monkeypatch.setattr("lateshift.dashboard.bulk_actions.COUNTED", 0)
    monkeypatch.setattr("lateshift.dashboard.purging.COUNTED", 0)
    text = client.get(f"/errors/{KEY}").text
    assert "Retry its failed jobs" in text
    assert not COUNTED_TO_ZERO.search(text)
    text = client.get(html.unescape(re.search(r'href="(/bulk/retry/jobs.*?)"', text)[1])).text
    assert "Retry these jobs?" in text
    assert not COUNTED_TO_ZERO.search(text)
    assert "all jobs" in client.post("/queues/mail/purge").text


def test_its_period_is_the_widest_that_is_needed(client):
    """A group that was not seen in the period is shown for all that is known."""
    assert "in the last 24 hours" not in client.get(f"/errors/{STORED['ValueError']}?range=1h").text
    text = client.get(f"/errors/{KEY}?range=7d").text
    assert "per 7 hours, the last 7 days" in text


def test_a_group_without_jobs_says_so(client):
    """Jobs are kept for a shorter time than groups: the page says why there is no traceback."""
    text = client.get(f"/errors/{RESOLVED}").text
    assert "its traceback is gone" in text
    assert "Retry" not in re.sub(r"<title>.*?</title>", "", text.split("<main")[1].split("</main>")[0])


def test_an_error_that_a_job_got_over_has_its_traceback(site, client):
    """Where the job has failed in another way since, the attempt tells how it failed so."""
    job = site.app.list_jobs(status="failed", name="shop.billing.ChargeCard.handle", limit=1)[0]
    at = site.app.database.now()
    failures.add(site.app.database, "w", [FailureCount(fingerprint(TIMEOUT), job.name, "m", 1, 0, at, at, job.id)])
    site.app.database.execute("update lateshift_jobs set error_type = 'X', error_message = 'other'")
    site.app.database.execute("update lateshift_attempts set fingerprint = null")
    text = client.get(f"/errors/{KEY}").text
    assert "receipt = self.gateway.charge(order, amount)" in text
    assert "None is kept any more" in text


def test_an_unknown_group_is_told(client):
    """An address of a group that is not there, or that cannot be one, is answered in words."""
    for key in ("0123456789abcdef", "nonsense here", "'"):
        answer = client.get(f"/errors/{key}")
        assert answer.status_code == 404
        assert "There is no such error group" in answer.text
        for action in ("resolve", "reopen"):
            assert post(client, f"/errors/{key}/{action}", confirmed="yes").status_code == 404


def test_a_group_is_resolved_and_reopened(site, client):
    """Resolved it is put away under the name of who did it; reopened it is back. Both lead back to where one was."""
    answer = post(client, f"/errors/{KEY}/resolve", back="/errors?range=7d")
    assert answer.headers["location"] == "/errors?range=7d"
    assert "ReadTimeout is resolved" in client.get("/errors").text
    assert KEY not in rows(client)
    assert "resolved by this machine" in client.get(f"/errors/{KEY}").text
    post(client, f"/errors/{KEY}/reopen")
    assert only(site).state == "open"
    assert KEY in rows(client)
    noted = [(entry.action, entry.target, entry.details) for entry in audit.page(site.app.database)]
    told = f"{TIMEOUT.type} in shop/gateway.py: charge"
    assert noted == [("reopen", f"fingerprint:{KEY}", told), ("resolve", f"fingerprint:{KEY}", told)]


def test_a_resolved_group_that_is_seen_again_is_open(site, client):
    """Nobody has to reopen it."""
    post(client, f"/errors/{KEY}/resolve")
    at = site.app.database.now()
    failures.add(site.app.database, "w", [FailureCount(fingerprint(TIMEOUT), "a.b", "m", 1, 0, at, at, "")])
    site.desk.forget()
    assert "came back" in rows(client)[KEY]


def test_the_failed_jobs_of_a_group_are_retried_and_no_others(site, client):
    """The button leads to the bulk action on them, which says how many they are."""
    site.day.errors()
    link = re.search(
        r'href="(/bulk/retry/jobs[^"]+)"[^>]*>.*?Retry (\d+) failed jobs', client.get(f"/errors/{NEW}").text, re.DOTALL
    )
    asked = client.get(html.unescape(link[1]))
    assert asked.status_code == 200
    assert f"{link[2]} jobs" in asked.text
    query = f"fingerprint:{NEW} status:failed"
    post(client, "/bulk/retry/jobs", all="yes", q=query)
    [run] = site.desk.runs.all()
    assert run.over.wait(20)
    assert not search.search(site.app.database, parse(query)).jobs
    left = {job.error.type for job in site.app.list_jobs(status="failed", limit=100)}
    assert "KeyError" not in left
    assert TIMEOUT.type in left
    assert [(e.action, e.target, e.number) for e in audit.page(site.app.database)] == [("retry", query, int(link[2]))]


@pytest.mark.parametrize("action", ["reopen", "resolve"])
def test_a_viewer_may_only_look(make_site, action):
    """Neither the list nor the page has a button, and the action is refused."""
    site = make_site(authorize=lambda _: "viewer")
    for path in ("/errors", f"/errors/{KEY}"):
        text = site.client().get(path).text
        assert "ReadTimeout" in text
        assert 'method="post"' not in text
    assert post(site.client(), f"/errors/{KEY}/{action}", confirmed="yes").status_code == 403
    assert only(site).state == "open"


def test_a_viewer_is_not_shown_redacted_parameters(make_site):
    """The jobs of a group are shown as everywhere: without the values that LATESHIFT_REDACT names."""
    assert "sk-live-1" in make_site().client().get(f"/errors/{KEY}").text
    assert "sk-live-1" not in make_site(authorize=lambda _: "viewer").client().get(f"/errors/{KEY}").text


def test_the_overview_leads_to_the_groups(client):
    """A failure among the latest links to all of its kind."""
    assert f'href="/errors/{KEY}"' in client.get("/").text


def test_hostile_errors_are_text(make_site):
    """Type, place, message and callable of a group are shown as text."""
    site = make_site(filled=False)
    now = site.app.database.now()
    mark = Fingerprint("0" * 16, EVIL, EVIL, EVIL)
    failures.add(site.app.database, "w", [FailureCount(mark, f"shop.{EVIL}", EVIL, 1, 0, now, now, EVIL)])
    post(site.client(), f"/errors/{mark.key}/resolve")
    for path in ("/errors?state=resolved", f"/errors/{mark.key}", "/audit"):
        text = site.client().get(path).text
        assert "&lt;script&gt;" in text
        assert_harmless(text)


def test_counts_are_drawn_with_their_numbers():
    """Each part tells its value, the whole is summed up, and half a failure is on no axis."""
    drawn = bars("Failed", "of late", [Bar("10:00", [("failed", 3)]), Bar("11:00", [])], [(0, "10:00")])
    assert "10:00: 3 failed" in drawn
    assert "11:00: none" in drawn
    assert "Failed, of late: 3 in all, at most 3" in drawn
    assert ">2<" in drawn
    assert "2.5" not in bars("Failed", "of late", [Bar("10:00", [("failed", 5)])])
    small = spikes("Failed", [0, 4, 0, 2])
    assert re.search(r'd="(.*?)"', small)[1].count("M") == 2
    assert "Failed: 6 in all, at most 4 at a time" in small
    assert 'd=""' in spikes("Failed", [])


def test_a_jobs_error_leads_to_its_group(site, client):
    """From one failure to all that are like it."""
    site.day.errors()
    key = failures.groups(site.app.database, 0)[0].fingerprint
    job = search.search(site.app.database, parse(f"fingerprint:{key}")).jobs[0]
    assert f'href="/errors/{key}"' in client.get(f"/jobs/{job.id}").text
