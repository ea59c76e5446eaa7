"""Errors, doctor and audit log in a real browser: seen by everybody, on any screen, and acted on in place."""

import re

import pytest
from accessibility import complaints
from lively import TIMEOUT
from pictures import deeds
from playwright.sync_api import expect
from test_browser import open_page, own, shared  # noqa: F401 - fixtures

from lateshift.fingerprint import fingerprint

pytestmark = pytest.mark.slow

KEY = fingerprint(TIMEOUT).key
PAGES = ["/errors", "/errors?range=30d&state=resolved", f"/errors/{KEY}", "/doctor", "/audit", "/audit?actor=nobody"]


@pytest.fixture(scope="module", autouse=True)
def noted(shared):  # noqa: F811
    """Some actions for the audit log."""
    deeds(shared[0])


def test_axe_finds_nothing(shared, open_page):  # noqa: F811
    """axe-core has no complaint about these pages, the console neither, and each becomes live."""
    _, link = shared
    page, found = open_page(link, bypass_csp=True), []
    for path in PAGES:
        page.goto(link + path)
        expect(page.locator("#live")).to_have_attribute("data-state", "on")
        found += complaints(page)
    assert found == []


def test_a_small_screen_needs_no_sideways_scrolling(shared, open_page):  # noqa: F811
    """At 380 px nothing of these pages is cut off."""
    _, link = shared
    page = open_page(link, viewport={"width": 380, "height": 800})
    for path in PAGES:
        page.goto(link + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 380, path
        cut = "[...document.querySelectorAll('.panel')].filter((each) => each.scrollWidth > each.clientWidth).length"
        assert page.evaluate(cut) == 0, path


def test_a_group_is_resolved_in_its_list(own, open_page):  # noqa: F811
    """The row goes, the sentence comes, the address stays; under the other tab it is reopened."""
    _, link = own
    page = open_page(link, "/errors?range=7d")
    page.locator(f"#e-{KEY}").get_by_role("button", name="Resolve").click()
    expect(page.locator(".toast")).to_contain_text("ReadTimeout is resolved")
    expect(page.locator(f"#e-{KEY}")).to_have_count(0)
    assert page.url.endswith("/errors?range=7d")
    page.get_by_role("link", name=re.compile("^Resolved")).click()
    page.locator(f"#e-{KEY}").get_by_role("button", name="Reopen").click()
    expect(page.locator(f"#e-{KEY}")).to_have_count(0)
    page.get_by_role("link", name=re.compile("^Open")).click()
    expect(page.locator(f"#e-{KEY}")).to_have_count(1)


def test_a_group_is_retried_by_keyboard(own, open_page):  # noqa: F811
    """g e, to its row, Enter; the dialog says how many jobs; then they wait, and the button is gone."""
    site, link = own
    page = open_page(link)
    page.keyboard.press("g")
    page.keyboard.press("e")
    expect(page.locator("h1")).to_contain_text("kinds of error")
    page.locator(f"#e-{KEY} .row-link").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Retry 6 failed jobs").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Retry 6 jobs").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("6 jobs")
    assert site.app.list_jobs(status="failed") == []


def test_acting_needs_no_javascript(own, open_page):  # noqa: F811
    """Retrying asks on a page of its own, and resolving leads back to the group."""
    _, link = own
    page = open_page(link, f"/errors/{KEY}", java_script_enabled=False)
    page.get_by_role("link", name="Retry 6 failed jobs").click()
    page.get_by_role("button", name="Retry 6 jobs").click()
    expect(page.locator(".toast")).to_contain_text("6 jobs")
    page.goto(f"{link}/errors/{KEY}")
    page.get_by_role("button", name="Resolve").click()
    page.goto(f"{link}/audit")
    expect(page.locator("tbody tr")).to_have_count(2)
