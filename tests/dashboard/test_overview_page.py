"""The overview: headline facts, charts of three periods with their marks, the same as a table, queues by trouble."""

import json
import re
from itertools import pairwise

import pytest

from lateshift.storage import audit, workers

SECOND = 1_000_000


def chart(text, name):
    return json.loads(re.search(rf'id="{name}-data" hidden value="(.*?)"', text)[1].replace("&#34;", '"'))


@pytest.mark.parametrize(
    ("period", "words", "points", "step"),
    [("1h", "hour", 60, 60), ("24h", "24 hours", 144, 600), ("7d", "7 days", 168, 3600)],
)
def test_each_period_has_its_points(client, period, words, points, step):
    """Minutes for an hour, ten minutes for a day, hours for a week; every chart without a gap."""
    text = client.get(f"/?range={period}").text
    for name, lines in (("throughput", 3), ("failures", 2), ("waits", 3), ("runs", 3)):
        seconds, *columns = chart(text, name)
        assert len(columns) == lines
        assert {len(column) for column in columns} == {len(seconds)} == {points}
        assert {later - earlier for earlier, later in pairwise(seconds)} == {step}
    assert f">The last {words}</h2>" in text


def test_periods_are_links_that_keep_the_rest_of_the_address(client):
    """Whoever looks at the table of a day gets the table of a week; and the page fetches itself with its address."""
    text = client.get("/?range=24h&numbers=yes").text
    assert 'href="/?range=7d&amp;numbers=yes"' in text
    assert 'href="/?range=24h"' in text
    assert 'hx-get="/?range=24h&amp;numbers=yes"' in text
    assert 'aria-current="true">24 hours</a>' in text


def test_an_unknown_period_is_the_hour(client):
    """A mistyped address shows something all the same."""
    assert ">The last hour</h2>" in client.get("/?range=decade").text


def test_the_charts_are_what_was_counted(client):
    """Failures are those of throughput, and 99 % wait no less than 50 %."""
    text = client.get("/").text
    assert chart(text, "failures")[1:] == chart(text, "throughput")[2:]
    _, half, most, nearly_all = chart(text, "waits")
    for values in zip(half, most, nearly_all, strict=True):
        found = [value for value in values if value is not None]
        assert found == sorted(found)
    assert any(half)


def test_the_table_has_the_numbers_of_the_charts(client):
    """The latest first, with the seconds in words; no chart is drawn beside it."""
    charts, table = client.get("/").text, client.get("/?numbers=yes").text
    rows = re.findall(r'<tr><th scope="row">.*?</tr>', table)
    completed = [re.findall(r'<td class="n">(.*?)</td>', row)[0] for row in rows]
    assert completed[::-1] == [str(number) for number in chart(charts, "throughput")[1]]
    assert re.search(r"\d+ ms|\d s", rows[10])
    assert "<figure" not in table


@pytest.mark.parametrize(
    ("period", "form"), [("1h", r"\d\d:\d\d"), ("24h", r"\d\d:\d\d"), ("7d", r"[A-Z][a-z]{2} \d\d:\d\d")]
)
def test_a_row_says_when_it_began(client, period, form):
    """In a week every hour comes seven times, so the day is said, too; and so on a chart without JavaScript."""
    began = re.findall(r'<th scope="row"><time [^>]*>(.*?)</time>', client.get(f"/?range={period}&numbers=yes").text)
    ticks = re.findall(r'class="tick" x="[\d.]+%"[^>]*>(.*?)</text>', client.get(f"/?range={period}").text)
    assert len(began) >= 60
    assert len(ticks) >= 6
    assert [each for each in (*began, *ticks) if not re.fullmatch(form, each)] == []


def test_marks_are_on_the_charts_and_in_words(client):
    """A version that came and a worker that died, with what became of its jobs."""
    text = client.get("/").text
    marks = json.loads(re.search(r'id="runs-marks" hidden value="(.*?)"', text)[1].replace("&#34;", '"'))
    assert [(kind, label) for _, kind, label in marks] == [("deploy", "v41"), ("death", "w-3190ab")]
    assert marks[0][0] < marks[1][0]
    assert "4 jobs taken back, 0 of them failed for good" in text


def test_marks_of_another_time_are_not_shown(site, client):
    """Only those of the period."""
    audit.mark_deploy(site.app.database, site.app.database.now() - 7200 * SECOND, "w-1", "v40")
    assert "v40" not in client.get("/").text
    assert "v40" in client.get("/?range=24h").text


def test_the_headline_has_the_facts(client):
    """Speed and failure rate come from the history, the rest from what is there now."""
    text = client.get("/?range=7d").text
    figures = dict(re.findall(r"<dt>(.*?)</dt><dd>(?:<a[^>]*>)?(.*?)<", text))
    assert float(figures["Speed"]) > 0
    assert figures["Failure rate"].endswith(" %")
    assert (figures["Running"], figures["Workers"]) == ("6", "2")


def test_what_waits_in_paused_queues_is_not_the_oldest_wait(make_site):
    """They wait as long as somebody wants; the figure says that it leaves them out."""
    site = make_site(filled=False)
    site.day.job("pending", 40, ("shop.lost.handle", "lost", 1, lambda _: {}, 1, 1))
    client = site.client()
    assert "paused ones aside" not in client.get("/").text
    site.app.pause_queue("lost")
    site.desk.forget()
    assert re.search(r"<dt>Oldest wait</dt><dd>none <small>paused ones aside</small>", client.get("/").text)


def test_queues_come_by_trouble(site, client):
    """First the one that nobody serves, then the paused one, then those that are well."""
    db = site.app.database
    db.execute("update lateshift_workers set queues = :queues", {"queues": '["mail", "partners"]'})
    site.day.job("pending", 40, ("shop.lost.handle", "lost", 1, lambda _: {}, 1, 1))
    db.execute("update lateshift_jobs set status = 'cancelled' where queue not in ('mail', 'partners', 'lost')", {})
    names = re.findall(r'<tr id="q-[^"]*"><td><a[^>]*>(.*?)</a>', client.get("/").text)
    assert names.index("lost") < names.index("partners") < names.index("mail")
    text = client.get("/").text
    assert "no worker serves it" in text
    assert "1 job waits in the queue lost, which no living worker serves" in text


def test_a_new_deploy_is_marked_once_for_all_workers(make_site):
    """The mark comes from the workers that wear the version."""
    site = make_site(filled=False)
    db, now = site.app.database, site.app.database.now()
    for number in range(3):
        row = workers.NewWorker(f"w-{number}", "worker", "h", number, "/run", (), "1", "v9")
        workers.register_worker(db, row, now)
    site.day.statistics()
    assert site.client().get("/").text.count("<b>v9</b>") == 1


def test_nothing_is_counted_to_its_end(site, client, monkeypatch):
    """Every count of jobs on these pages stops at a limit, or is of what runs."""
    asked, query = [], site.desk.database.query
    monkeypatch.setattr(site.desk.database, "query", lambda sql, *more: (asked.append(sql), query(sql, *more))[1])
    for path in ("/", "/queues", "/queues/billing", "/workers", "/workers/w-81bc02"):
        client.get(path)
    counts = [sql for sql in asked if "count(*)" in sql and "lateshift_jobs" in sql]
    assert len(counts) > 5
    assert [sql for sql in counts if "limit :" not in sql and "status = 'running'" not in sql] == []


def test_an_empty_overview_says_how_long_failures_are_kept(make_site):
    """As it is set."""
    site = make_site(filled=False, keep_days=30.0)
    site.day.job("running", 1)
    assert "Finished jobs are kept for 30 days." in site.client().get("/").text
