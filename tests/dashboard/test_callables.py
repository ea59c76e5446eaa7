"""Callables: what ran in which time and how, what may run, and that telling it imports nothing."""

import re
import sys

import pytest
from lively import KINDS
from test_hostile import EVIL, assert_harmless, hostile  # noqa: F401 - a fixture


def rows(text):
    return re.findall(r'<tr id="c-(.*?)"', text)


def test_what_ran_is_listed_with_its_figures(site, client):
    """The busiest first, with its counts, durations, failures and a line over the period."""
    text = client.get("/callables").text
    assert set(rows(text)) == {name for name, *_ in KINDS}
    row = text[text.index('id="c-shop.billing.ChargeCard.handle"') :].partition("</tr>")[0]
    assert re.search(r"\d+\.\d %", row)
    assert re.search(r"1\.\d+ s", row)
    assert 'class="spark"' in row
    assert 'href="/jobs?name=shop.billing.ChargeCard.handle"' in row


@pytest.mark.parametrize(
    ("period", "words"),
    [("1h", "the last hour"), ("24h", "the last 24 hours"), ("7d", "the last 7 days"), ("x", "the last 24 hours")],
)
def test_the_period_stands_in_the_address(client, period, words):
    """An hour, a day or a week; any other is a day."""
    assert f"ran in {words}" in client.get(f"/callables?range={period}").text


def test_what_has_not_run_is_listed_too(site, client):
    """A job that was only enqueued makes its callable known."""
    site.day.job("pending", 1, ("shop.fresh.arrived", "q", 1, lambda _: {}, 1, 1))
    text = client.get("/callables").text
    assert rows(text)[-1] == "shop.fresh.arrived"
    assert "1 did not" in text


def test_the_allow_list_is_shown_and_nothing_is_imported(make_site, tmp_path, monkeypatch):
    """What it does not have is marked, and offers no new job; modules stay where they are."""
    (tmp_path / "never_imported.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(str(tmp_path))
    site = make_site(filled=False, allowed=["never_imported"])
    site.day.job("pending", 1, ("never_imported.f", "q", 1, lambda _: {}, 1, 1))
    site.day.job("pending", 1, ("elsewhere.f", "q", 1, lambda _: {}, 1, 1))
    text = site.client().get("/callables").text
    assert "<code>never_imported</code> may run" in text
    assert text.count("not allowed to run") == 1
    assert 'href="/callables/new?callable=never_imported.f"' in text
    assert 'href="/callables/new?callable=elsewhere.f"' not in text
    assert "never_imported" not in sys.modules


def test_a_viewer_is_offered_no_new_job(make_site):
    """And cannot open the form."""
    client = make_site(authorize=lambda _: "viewer").client()
    assert "/callables/new" not in client.get("/callables").text
    assert client.get("/callables/new").status_code == 403


def test_hostile_texts_are_text_on_the_new_pages_too(hostile):  # noqa: F811
    """Names in the lists and in the address, and parameters in the form that edits them."""
    client = hostile.client()
    job = hostile.app.list_jobs(limit=1)[0]
    assert_harmless(client.get("/callables").text)
    assert_harmless(client.get("/callables/new", params={"callable": EVIL}).text)
    assert_harmless(client.get(f"/jobs/{job.id}/edit").text)
    headers = {"sec-fetch-site": "same-origin"}
    assert_harmless(client.post(f"/jobs/{job.id}/edit", data={"parameters": EVIL}, headers=headers).text)
