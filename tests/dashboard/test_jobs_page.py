"""The jobs page: one search, written by hand or by selects and links; tabs, orders, pages, and what is offered."""

import html
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from lateshift.dashboard.searching import read_address, with_filter, without_field
from lateshift.query import parse

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def rows(client, path):
    return re.findall(r'<tr id="j-(.*?)"', client.get(path).text)


def statuses(site, ids):
    return {site.app.get_job(job_id).status for job_id in ids}


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("queue:billing status:failed", 6),
        ("error:timeout", 8),
        ("name:ChargeCard status:failed", 6),
        ("parameters.partner:acme status:pending_retry", 1),
        ("ReadTimeout", 8),
        ("-status:failed error:timeout", 2),
        ("status:failed attempts:>3", 6),
        ("worker:nobody", 0),
        ("status:failed -status:failed", 0),
    ],
)
def test_a_search_finds_what_it_says(site, client, search, expected):
    """Fields, words and what is excluded hold for the rows."""
    assert len(rows(client, f"/jobs?q={search}")) == expected


def test_a_job_is_found_by_its_id(site, client):
    """All of an id, with the field or without."""
    job = site.app.list_jobs(status="failed", limit=1)[0]
    assert rows(client, f"/jobs?q=id:{job.id}") == rows(client, f"/jobs?q={job.id}") == [job.id]


def test_links_of_other_pages_become_a_search(client):
    """`queue` and `name` in an address are written into the text; status stays a tab."""
    answer = client.get("/jobs?status=failed&queue=billing&name=shop.billing", follow_redirects=False)
    found = parse_qs(urlsplit(answer.headers["location"]).query)
    assert found == {"q": ["queue:billing name:shop.billing"], "status": ["failed"]}


def test_tabs_count_what_matches_beside_the_status(client):
    """Each tab tells its own count for the same search, and leads to it."""
    text = client.get("/jobs?q=queue:billing+error:timeout&status=failed").text
    tabs = dict(re.findall(r'<a href="[^"]*"(?: aria-current="page")?>(\w+) <span class="num">(.*?)</span>', text))
    assert (tabs["Failed"], tabs["Retrying"], tabs["All"]) == ("6", "1", "7")
    assert re.search(r'aria-current="page">Failed', text)


def test_a_status_that_is_typed_counts_more_than_the_tab(site, client):
    """Who types a status means it; the tab of that one is shown, and other tabs lead away from it."""
    text = client.get("/jobs?q=status:cancelled&status=failed").text
    assert statuses(site, re.findall(r'<tr id="j-(.*?)"', text)) == {"cancelled"}
    assert re.search(r'aria-current="page">Cancelled', text)
    assert 'href="/jobs?status=completed"' in text


def test_a_mistyped_search_is_shown_with_its_place(client):
    """The message of the parser, the place marked, and the text as it was; no row, and no guess."""
    text = client.get("/jobs?q=queue:billing+eror:x&status=failed").text
    assert "There is no field &#39;eror&#39;. Did you mean error:?" in text
    assert "queue:billing <mark>eror:</mark>x" in text
    assert 'value="queue:billing eror:x"' in text
    assert 'name="status" value="failed"' in text
    assert "<tr id=" not in text


def test_a_filter_replaces_what_the_search_says_of_its_field():
    """Only that, and what is excluded stays; `*` takes it away; a text that cannot be read is left alone."""
    text = 'error:"timed  out" queue:mail -queue:search'
    assert with_filter(text, "queue", "billing") == 'error:"timed  out" -queue:search queue:billing'
    assert with_filter(text, "queue", "*") == 'error:"timed  out" -queue:search'
    assert with_filter("", "queue", "two words") == 'queue:"two words"'
    assert with_filter("attempts:2", "attempts", ">3") == "attempts:>3"
    assert with_filter("eror:x", "queue", "mail") == "eror:x queue:mail"
    assert without_field("status:failed -status:completed mail", "status") == "mail"


@pytest.mark.parametrize("value", ["a,b", 'a"b', "a\\b", "*x", "with space", "ä"])
def test_a_filter_reads_back_as_it_was_chosen(value):
    """Whatever a queue is called, choosing it searches for it."""
    term = parse(with_filter("", "queue", value)).of("queue")[0]
    assert term.values == (value,)


def test_selects_show_what_is_searched_for(client):
    """A select tells its filter, as its own unchanged value, and how to be rid of it."""
    text = client.get("/jobs?q=queue:billing+attempts:>1+priority:8,5").text
    assert '<option value="" selected>billing</option><option value="*">Any queue</option>' in text
    assert '<option value="" selected>More than 1</option>' in text
    assert '<option value="" selected>2 values</option>' in text
    assert '<option value="mail">mail</option>' in text


@pytest.mark.parametrize("search", ["", "status=failed", "status=pending", "q=queue:mail&sort=newest", "sort=due"])
def test_every_job_is_on_one_page_of_each_order(site, client, search):
    """From page to page and back, no job is missing and none comes twice."""
    for number in range(60):
        site.day.job("completed", 100 + number)
        site.day.job("pending", 100, ("shop.mail.send", "mail", 5, lambda _: {}, 1, 1))
        site.day.failure(100 + number, 1)
    seen, path, backward = [], f"/jobs?{search}", []
    while path:
        text = client.get(path).text
        seen.append(re.findall(r'<tr id="j-(.*?)"', text))
        backward.append(link(text, "prev"))
        path = link(text, "next")
    ids = [job_id for page in seen for job_id in page]
    assert len(ids) == len(set(ids)) > 50
    assert rows(client, backward[-1]) == seen[-2]


def link(text, rel):
    found = re.search(rf'rel="{rel}" href="(.*?)"', text)
    return found and html.unescape(found[1])


def test_orders_are_offered_where_an_index_allows(client):
    """What failed is shown by its end, what waits by when it is due; an order that does not fit is passed over."""
    assert '<option value="" selected>Finished last</option>' in client.get("/jobs?status=failed").text
    assert '<option value="" selected>Due first</option>' in client.get("/jobs?status=pending").text
    assert '<option value="" selected>Longest running</option>' in client.get("/jobs?status=running&sort=due").text
    assert '<option value="longest" selected>' in client.get("/jobs?sort=longest").text


def test_a_cursor_that_does_not_fit_shows_the_first_page(client):
    """An address that was cut or forged is no error."""
    for cursor in ("", "a", "axyz", "a1~2~3", "b99999999999999999999", "%00"):
        assert client.get(f"/jobs?cursor={cursor}").status_code == 200


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("que", "queue:"),
        ("queue:bil", "queue:billing"),
        ("status:fai", "status:failed"),
        ("error:time -queue:mai", "error:time -queue:mail"),
        ("name:ChargeC", "name:shop.billing.ChargeCard.handle"),
        ("parameters.or", "parameters.order_id:"),
        ("param", "parameters."),
        ("😀 queue:bil", "😀 queue:billing"),
    ],
)
def test_what_is_typed_is_completed(client, typed, offered):
    """Fields, values and names of parameters; the rest of the search stays."""
    text = client.get("/jobs/suggestions", params={"q": typed}).text
    first = re.search(r'data-text="(.*?)" data-caret="(\d+)"', text)
    assert html.unescape(first[1]) == offered
    assert int(first[2]) == len(offered)


def test_completion_works_in_the_middle(client):
    """What stands behind the caret is kept."""
    text = client.get("/jobs/suggestions", params={"q": "queue:bil error:timeout", "at": 9}).text
    assert 'data-text="queue:billing error:timeout" data-caret="13"' in text


def test_where_nothing_can_be_offered_the_mistake_is_told(client):
    """A field that does not exist is told while one types."""
    assert "There is no field" in client.get("/jobs/suggestions", params={"q": "eror:x"}).text
    assert client.get("/jobs/suggestions", params={"q": "error:x", "at": "-1"}).text.strip() == ""


def test_viewers_cannot_search_for_what_is_hidden_from_them(make_site):
    """Neither by the parameter, nor by a word that is in it: else it could be guessed letter by letter."""
    site = make_site(authorize=lambda request: request.headers["x-role"])
    viewer, operator = (site.client(headers={"x-role": role}) for role in ("viewer", "operator"))
    assert rows(operator, "/jobs?q=parameters.api_key:sk-live-1")
    assert rows(operator, "/jobs?q=sk-live")
    assert "hidden by LATESHIFT_REDACT" in viewer.get("/jobs?q=parameters.api_key:sk-live-1").text
    assert "hidden by LATESHIFT_REDACT" in viewer.get('/jobs?q=parameters.partner:{"api_key":"sk-live-1"}').text
    assert rows(viewer, "/jobs?q=sk-live") == []
    assert rows(viewer, "/jobs?q=-sk-live+queue:partners") == rows(viewer, "/jobs?q=queue:partners")
    assert rows(viewer, "/jobs?q=parameters.partner:acme")
    assert rows(viewer, "/jobs?q=sync_stock")


def test_hostile_searches_are_text(client):
    """What stands in the address is never markup."""
    for path in ("/jobs", "/jobs/suggestions", "/bulk/retry/jobs"):
        for search in (HOSTILE, f"queue:{HOSTILE}", f'queue:"{HOSTILE}'):
            text = client.get(path, params={"q": search, "all": "yes", "id": HOSTILE, "cursor": HOSTILE}).text
            assert "<script>alert" not in text
            assert "<img src=x" not in text


def test_an_address_says_what_it_means():
    """Words of a search hold its tab too, and an unknown tab or order is none."""
    assert read_address({"q": "queue:mail", "status": "failed"}).words == "status:failed queue:mail"
    found = read_address({"status": "odd", "sort": "odd"})
    assert (found.status, found.sort, found.words) == (None, None, "")
