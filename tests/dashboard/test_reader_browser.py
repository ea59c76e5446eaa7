"""What depends on the reader's browser: its time zone, what it forbids, whether it runs scripts."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect
from test_browser import open_page, shared  # noqa: F401 - fixtures

pytestmark = pytest.mark.slow

ELSEWHERE = "Asia/Kathmandu"
"""A quarter of an hour off every zone that a server is likely to be in."""


def test_every_time_of_a_page_is_the_readers(shared, open_page):  # noqa: F811 - the fixtures
    """The sentences of a job, its facts and the rows of a table agree, though the server is in another zone."""
    site, link = shared
    job = site.app.list_jobs(status="failed", limit=1)[0]
    page = open_page(link, f"/jobs/{job.id}", timezone_id=ELSEWHERE)
    ended = f"{job.finished_at.astimezone(ZoneInfo(ELSEWHERE)):%Y-%m-%d %H:%M:%S}"
    expect(page.locator(".lede")).to_contain_text(f"ago, at {ended}")
    page.keyboard.press("t")
    expect(page.locator(".facts")).to_contain_text(f"Finished{ended}", use_inner_text=False)
    page.goto(f"{link}/?range=7d&numbers=yes")
    row = page.locator("tbody th time").first
    began = datetime.fromisoformat(row.get_attribute("datetime")).astimezone(ZoneInfo(ELSEWHERE))
    expect(row).to_have_text(f"{began:%a %H:%M}")


def test_labels_that_only_the_server_writes_name_their_zone(shared, open_page):  # noqa: F811 - the fixtures
    """The chart of an error is drawn there."""
    _, link = shared
    page = open_page(link, "/errors")
    page.locator("tbody .row-link").first.click()
    expect(page.locator("#h-trend")).to_contain_text(re.compile(r"times in UTC([+-]\d\d:\d\d)?"))


def test_a_browser_that_keeps_nothing_runs_the_page_all_the_same(shared, chromium):  # noqa: F811 - the fixtures
    """Where site data is blocked even looking at it raises: the page is live, and `t` works until it is left."""
    _, link = shared
    context = chromium.new_context()
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    page = context.new_page()
    page.goto(f"{link}/jobs?status=completed")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    page.keyboard.press("t")
    expect(page.locator("tbody time").first).to_have_text(re.compile(r"^\d{4}-"))
    context.close()
