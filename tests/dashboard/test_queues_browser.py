"""Overview, queues and workers in a real browser: charts with marks, periods, a purge without JavaScript, draining."""

import re

import pytest
from playwright.sync_api import expect
from test_browser import open_page, own, shared  # noqa: F401 - fixtures

from lateshift.storage import requests

pytestmark = pytest.mark.slow


def test_a_chart_tells_moment_values_and_marks_under_the_pointer(shared, open_page):  # noqa: F811 - the fixtures
    """The caption says when, how long, and that a version came then; away from the chart it says the unit again."""
    _, link = shared
    page = open_page(link)
    plot, when = page.locator("#waits .u-over"), page.locator("#waits .when")
    expect(when).to_have_text("from due to started")
    read = "name => JSON.parse(document.querySelector(`#waits .${name}`).getAttribute('value'))"
    (seconds, kind, label), (at, *_) = page.evaluate(read, "flags")[0], page.evaluate(read, "numbers")
    box, point = plot.bounding_box(), max(each for each in at if each <= seconds)
    plot.hover(position={"x": box["width"] * (point - at[0]) / (at[-1] - at[0]), "y": 20})
    expect(when).to_have_text(re.compile(rf"^\d\d:\d\d · {kind} of {label}$"))
    expect(page.locator("#waits .key").first).to_have_text(re.compile(r"p50 [\d.]+ (ms|s)"))
    page.mouse.move(5, 5)
    expect(when).to_have_text("from due to started")


def test_a_period_is_chosen_by_keyboard_and_stays(own, open_page):  # noqa: F811 - the fixtures
    """Links that keep the address: the table of a week survives an update by itself."""
    site, link = own
    page = open_page(link)
    for name in ("7 days", "Table"):
        page.get_by_role("link", name=name).focus()
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="The last 7 days")).to_be_visible()
    assert page.url.endswith("/?range=7d&numbers=yes")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    before = page.locator("#page").get_attribute("data-now")
    site.day.job("completed", 0)
    expect(page.locator("#page")).not_to_have_attribute("data-now", before)
    expect(page.get_by_role("rowheader")).to_have_count(168)


def test_charts_stay_when_the_page_is_fetched_anew(own, open_page):  # noqa: F811 - the fixtures
    """Each chart is drawn once, and goes on with the new numbers."""
    site, link = own
    page = open_page(link)
    expect(page.locator("canvas")).to_have_count(4)
    before = page.locator("#page").get_attribute("data-now")
    site.day.job("completed", 0)
    expect(page.locator("#page")).not_to_have_attribute("data-now", before)
    expect(page.locator("canvas")).to_have_count(4)


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
def test_a_queue_is_purged_with_its_name_typed(own, open_page, script):  # noqa: F811 - the fixtures
    """A page asks for the name and says how many jobs it is about; the undo brings them back."""
    site, link = own
    page = open_page(link, "/queues", java_script_enabled=script)
    page.get_by_role("link", name="mail").click()
    page.get_by_role("button", name="Purge").click()
    expect(page.locator("h1")).to_have_text("Purge the queue mail?")
    page.get_by_role("textbox").fill("male")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not the name")
    assert site.app.list_jobs(queue="mail", status="pending")
    page.get_by_role("textbox").fill("mail")
    page.get_by_role("button", name=re.compile(r"Purge \d+ jobs")).click()
    expect(page.locator(".lede")).to_have_text("Nothing waits in it.")
    assert site.app.list_jobs(queue="mail", status="pending") == []
    page.get_by_label("Purged").get_by_role("button", name="Undo").click()
    expect(page.get_by_text("thrown away")).to_have_count(0)
    assert site.app.list_jobs(queue="mail", status="pending")


def test_a_worker_is_drained_after_a_dialog(own, open_page):  # noqa: F811 - the fixtures
    """The dialog says how many jobs end first; then the page says that it was asked, and stays."""
    site, link = own
    page = open_page(link, "/workers")
    page.get_by_role("link", name="worker 4122").click()
    page.get_by_role("button", name="Drain").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(re.compile(r"Its \d+ jobs? ends? first"))
    assert requests.unanswered(site.app.database, "w-81bc02") == []
    dialog.get_by_role("button", name="Drain").click()
    expect(page.locator(".lede")).to_contain_text("It was asked to end")
    assert [request.kind for request in requests.unanswered(site.app.database, "w-81bc02")] == ["drain"]


@pytest.mark.parametrize("path", ["/callables/new?callable=os.system", "/queues/nothing", "/workers/none"])
def test_a_page_that_says_what_is_not_there_stays_live(own, open_page, path):  # noqa: F811 - the fixtures
    """Its answer is no success, but the page is there, and nothing is disconnected when it is fetched anew."""
    site, link = own
    page = open_page(link, path, strict=False)  # the browser notes such an answer in its console
    page.locator("h1").click()  # the form's first box has the focus, and holds updates
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    before = page.locator("#page").get_attribute("data-now")
    site.day.failure(1)
    expect(page.locator("#page")).not_to_have_attribute("data-now", before)
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    expect(page.locator("#lost")).to_be_hidden()


def test_a_queue_is_paused_by_keyboard_alone(own, open_page):  # noqa: F811 - the fixtures
    """From anywhere: g q, to the button by Tab, Enter, and Enter on the dialog's own button; on a phone as well."""
    site, link = own
    site.app.pause_queue("customer-notifications-eu-west-1")
    page = open_page(link, "/jobs", viewport={"width": 380, "height": 800})
    page.keyboard.press("g")
    page.keyboard.press("q")
    expect(page.locator("h1")).to_have_text("Queues")
    page.get_by_role("row", name=re.compile("^mail")).get_by_role("button").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row", name=re.compile("^mail")).get_by_text("paused")).to_be_visible()
    row = page.get_by_role("row", name="customer")
    name_ends = row.get_by_role("link").evaluate("link => link.getBoundingClientRect().right")
    number_begins = row.locator("td:nth-child(2)").evaluate("cell => cell.getBoundingClientRect().left")
    assert name_ends <= number_begins
