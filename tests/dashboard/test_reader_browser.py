"""What depends on the reader's browser: its time zone, what it forbids, whether it runs scripts."""

import random
import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from dashboard_site import served
from lively import counted
from playwright.sync_api import expect
from test_browser import open_page, shared  # noqa: F401 - fixtures

from lateshift.storage import tallies

pytestmark = pytest.mark.slow

ELSEWHERE = "Asia/Kathmandu"
"""A quarter of an hour off every zone that a server is likely to be in."""

PAINTED = """name => {
  const figure = document.querySelector(name), canvas = figure.querySelector("canvas");
  const probe = document.createElement("i");
  probe.className = "s-p50";
  probe.style.color = "var(--c)";
  figure.append(probe);
  const colour = getComputedStyle(probe).color.match(/[0-9]+/g).map(Number);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let at = 0; at < data.length; at += 4) {
    found += data[at + 3] === 255 && colour.every((value, part) => data[at + part] === value);
  }
  return found;
}"""
"""How many pixels of a chart have the colour of the median."""


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


def test_without_scripts_nothing_is_left_for_them(shared, open_page):  # noqa: F811 - the fixtures
    """No empty room where a chart would be drawn, and no button that does nothing."""
    site, link = shared
    page = open_page(link, java_script_enabled=False)
    for name in ("#throughput", "#waits"):
        caption, figure = page.locator(f"{name} figcaption").bounding_box(), page.locator(name).bounding_box()
        assert figure["height"] - caption["height"] < 150
    expect(page.get_by_label("Light or dark")).to_be_hidden()
    expect(page.get_by_label("Keyboard shortcuts")).to_be_hidden()
    page.goto(f"{link}/jobs/{site.app.list_jobs(limit=1)[0].id}")
    expect(page.get_by_label("Copy the id")).to_be_hidden()


def test_the_charts_of_a_row_are_equally_high(shared, open_page):  # noqa: F811 - the fixtures
    """Also those of a day, whose unit is the longest."""
    _, link = shared
    page = open_page(link, "/?range=24h")
    boxes = [page.locator(name).bounding_box() for name in ("#throughput", "#failures", "#throughput-plot")]
    assert boxes[0]["height"] == boxes[1]["height"]
    assert boxes[2]["y"] == page.locator("#failures-plot").bounding_box()["y"]


def test_a_lone_value_of_a_line_is_a_point(make_site, open_page):  # noqa: F811 - the fixtures
    """Of a queue in which one minute had jobs there is something to see."""
    site = make_site(filled=False)
    minute = site.day.now // 60_000_000 - 20
    counts = counted(random.Random(1), 50, 0, 1.0, 0.5)
    site.app.database.transact(lambda: tallies.add(site.app.database, "w", 1, [((minute, "mail", "a.b"), counts)]))
    with served(site) as serving:
        page = open_page(serving.link)
        expect(page.locator("#waits canvas")).to_be_visible()
        assert page.evaluate(PAINTED, "#waits") > 5
