"""The jobs page in a real browser: completing a search, selecting rows, acting on many, watching, taking it back."""

import re
import threading

import pytest
from playwright.sync_api import expect
from test_browser import open_page, own, shared  # noqa: F401 - fixtures

from lateshift.storage.bulk import BulkAction

pytestmark = pytest.mark.slow


def live(page):
    expect(page.locator("#live")).to_have_attribute("data-state", "on")


def test_what_was_fetched_before_does_not_disturb_who_types(own, open_page):  # noqa: F811
    """The page was asked for anew, and comes when somebody has begun to search: it waits, and the offer is taken."""
    site, link = own
    page, held = open_page(link, "/jobs"), []
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    page.route("**/jobs", lambda route: held.append(route))  # noqa: PLW0108 - playwright wants a function
    with page.expect_request("**/jobs"):
        site.day.job("failed", 0, ("shop.fresh.Arrived.handle", "fresh", 1, lambda _: {}, 1, 1))
    page.keyboard.press("/")
    page.keyboard.type("que")
    expect(page.locator("#offers [role=option]")).to_have_text([re.compile("^queue:")])
    page.keyboard.press("ArrowDown")
    held[0].continue_()
    expect(page.locator("#live")).to_have_attribute("data-state", "held")
    page.keyboard.press("Enter")
    expect(page.get_by_role("combobox", name="Search jobs")).to_have_value("queue:")


@pytest.mark.parametrize("answers", [True, False])
def test_keys_wait_for_what_is_offered(shared, open_page, answers):  # noqa: F811
    """Who types faster than the server answers takes what is offered for the whole word; else it is a search."""
    _, link = shared
    page, held = open_page(link, "/jobs", strict=answers), []
    page.route(re.compile("suggestions.q=que"), lambda route: held.append(route))  # noqa: PLW0108 - playwright wants a function
    page.keyboard.press("/")
    box, offers = page.get_by_role("combobox", name="Search jobs"), page.locator("#offers [role=option]")
    page.keyboard.type("q")
    expect(offers).to_have_text([re.compile("^queue:")])
    for key in ("u", "e", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    for _ in range(250):
        if not held:
            page.wait_for_timeout(20)
    if answers:
        held[0].continue_()
        expect(box).to_have_value("queue:")
    else:
        held[0].abort()
        page.wait_for_url("**/jobs?q=que")


def test_the_search_box_stays_what_it_is(own, open_page):  # noqa: F811
    """For a screen reader it has suggestions, also when the page was fetched anew."""
    site, link = own
    page = open_page(link, "/jobs")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    site.day.job("failed", 0, ("shop.fresh.Arrived.handle", "fresh", 1, lambda _: {}, 1, 1))
    expect(page.get_by_text("Arrived.handle")).to_be_visible()
    expect(page.get_by_role("combobox", name="Search jobs")).to_have_attribute("aria-controls", "offers")


def test_a_search_is_completed_by_keyboard(shared, open_page):  # noqa: F811
    """Down and Enter take an offer, Escape puts the list away, Enter searches; the address holds it."""
    _, link = shared
    page = open_page(link, "/jobs")
    page.keyboard.press("/")
    box, offers = page.get_by_role("combobox", name="Search jobs"), page.locator("#offers [role=option]")
    expect(box).to_be_focused()
    page.keyboard.type("que")
    expect(offers).to_have_text([re.compile("^queue:")])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(box).to_have_value("queue:")
    page.keyboard.type("bil")
    expect(offers).to_have_text(["billing"])
    page.keyboard.press("ArrowDown")
    expect(box).to_have_attribute("aria-activedescendant", "offer-1")
    page.keyboard.press("Tab")
    expect(box).to_have_value("queue:billing ")
    expect(offers.first).to_be_visible()
    page.keyboard.press("Escape")
    expect(offers).to_have_count(0)
    expect(box).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Queue", exact=True)).to_have_class("on")
    assert "/jobs?q=queue%3Abilling" in page.url


def test_a_select_writes_into_the_search(shared, open_page):  # noqa: F811
    """Choosing a value searches for it at once, beside what is there; choosing any takes it away."""
    _, link = shared
    page = open_page(link, "/jobs?status=failed&q=error:timeout")
    page.get_by_label("Queue", exact=True).select_option("billing")
    expect(page.get_by_label("Search jobs")).to_have_value("error:timeout queue:billing")
    assert "status=failed" in page.url
    page.get_by_label("Queue", exact=True).select_option(label="Any queue")
    expect(page.get_by_label("Search jobs")).to_have_value("error:timeout")


def test_rows_are_selected_by_keyboard_and_retried(own, open_page):  # noqa: F811
    """x selects; while something is selected the rows stay; the page that asks tells how many; a sentence tells it."""
    site, link = own
    page = open_page(link, "/jobs?status=failed")
    live(page)
    retry = page.get_by_role("button", name="Retry")
    expect(retry).to_be_disabled()
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    expect(page.locator("#picked")).to_have_text("2 selected")
    site.day.job("failed", 0, ("shop.fresh.Arrived.handle", "fresh", 1, lambda _: {}, 1, 1))
    expect(page.locator("#live")).to_have_attribute("data-state", "held")
    expect(page.get_by_text("Arrived.handle")).to_have_count(0)
    retry.click()
    expect(page.locator("h1")).to_have_text("Retry 2 jobs?")
    page.get_by_role("button", name="Retry 2 jobs").click()
    expect(page.locator(".toast")).to_contain_text("Retried 2 jobs.")
    expect(page.locator("tbody tr")).to_have_count(5)
    expect(page.get_by_text("Arrived.handle")).to_be_visible()


def test_boxes_of_the_page_and_of_everything(shared, open_page):  # noqa: F811
    """The box in the head selects the page, Shift a range, everything stands for all; Escape lets go of them."""
    _, link = shared
    page = open_page(link, "/jobs?status=completed")
    boxes = page.locator("tbody input[type=checkbox]")
    boxes.nth(1).click()
    boxes.nth(4).click(modifiers=["Shift"])
    expect(page.locator("#picked")).to_have_text("4 selected")
    page.get_by_label("Select all on this page").check()
    expect(page.locator("#picked")).to_have_text("10 selected")
    page.get_by_label("Everything that matches").check()
    expect(boxes.first).to_be_disabled()
    expect(page.locator("tr.picked")).to_have_count(10)
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("h1")).to_have_text("Delete 10 jobs?")
    assert "id=" not in page.url
    page.go_back()
    page.keyboard.press("Escape")
    expect(page.locator("tr.picked")).to_have_count(0)


def test_a_deletion_is_watched_and_undone(own, open_page, monkeypatch, nobody_waits):  # noqa: F811
    """It goes on while one is elsewhere, its page is live, and the button there brings all of it back."""
    site, link = own
    site.app.database.transact(lambda: [site.day.job("completed", 100) for _ in range(1_200)])
    gate, step = threading.Semaphore(0), BulkAction.step

    def waiting(action):
        assert gate.acquire(timeout=30)
        return step(action)

    monkeypatch.setattr(BulkAction, "step", waiting)
    page = open_page(link, "/bulk/delete/jobs?all=yes&status=completed")
    page.get_by_role("button", name="Delete 1,210 jobs").click()
    expect(page.locator("h1")).to_have_text("Deleting jobs")
    page.goto(link + "/jobs")
    page.get_by_role("link", name=re.compile("^Deleting everything")).click()
    gate.release()
    expect(page.locator(".run")).to_contain_text("500 of 1,210 counted before")
    gate.release(10)
    expect(page.locator("h1")).to_have_text("Deleted 1,210 jobs.")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Brought back 1,210 jobs.")).to_be_visible(timeout=30_000)
    assert len(site.app.list_jobs(status="completed", limit=5_000)) == 1_210


def test_many_are_acted_on_without_javascript(own, open_page):  # noqa: F811
    """Boxes, the page that asks, and the way back are plain forms; a filter is a plain form too."""
    site, link = own
    page = open_page(link, "/jobs?status=failed", java_script_enabled=False)
    page.locator("tbody input[type=checkbox]").nth(0).check()
    page.locator("tbody input[type=checkbox]").nth(1).check()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete 2 jobs").click()
    expect(page.locator("tbody tr")).to_have_count(4)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("tbody tr")).to_have_count(6)
    page.get_by_label("Priority").select_option("8")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_label("Search jobs")).to_have_value("priority:8")
    assert len(site.app.list_jobs(status="failed")) == 6
