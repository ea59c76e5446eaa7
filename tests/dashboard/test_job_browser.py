"""A running job, and the forms for jobs, in a real browser: with a real worker, by keyboard, without JavaScript."""

import os
import re
import subprocess
import sys

import pytest
from accessibility import complaints
from dashboard_site import served
from playwright.sync_api import expect
from test_browser import open_page  # noqa: F401 - a fixture
from test_job_page import STACK

from lateshift.settings import to_environment
from lateshift.storage import requests

pytestmark = pytest.mark.slow

CODE = """
import logging
import time
from datetime import date
from enum import Enum
from pathlib import Path

from lateshift import current_job

log = logging.getLogger("patient")


class Paper(Enum):
    A4 = "a4"
    LETTER = "letter"


def patient(folder: str) -> str:
    log.info("the first line")
    current_job().progress(0.25, "a quarter")
    wait_for(Path(folder, "go"))
    log.info("the second line")
    wait_for(Path(folder, "end"))
    return "the result"


def wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(0.02)


def print_label(order_id: int, day: date, paper: Paper = Paper.A4, note: str = "") -> None:
    '''Prints the label of an order.'''
"""


@pytest.fixture
def own(make_site, tmp_path, monkeypatch):
    """A site of its own with a module whose jobs may run."""
    (tmp_path / "browser_code.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    site = make_site(allowed=["shop", "browser_code"])
    with served(site) as serving:
        yield site, serving.link


@pytest.fixture
def worker(own, tmp_path):
    """A real worker for the site's jobs; the lively ones are put aside."""
    site, _ = own
    site.app.database.transact(
        lambda: site.app.database.execute("update lateshift_jobs set status = 'cancelled' where status <> 'completed'")
    )
    command = [sys.executable, "-m", "lateshift", "work", "--processes", "1", "--threads", "2"]
    environment = {**os.environ, **to_environment(site.app.settings), "PYTHONPATH": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    yield process
    process.terminate()
    process.wait(30)


def test_a_running_job_is_followed_live(own, worker, open_page, tmp_path):  # noqa: F811
    """Its progress and its log grow on the page, its stack is shown when asked for, and its end comes by itself."""
    site, link = own
    job_id = site.app.run_background_job("browser_code.patient", parameters={"folder": str(tmp_path)})
    page = open_page(link, f"/jobs/{job_id}")
    page.set_default_timeout(30_000)
    expect(page.locator(".lede .state")).to_contain_text("Running", timeout=30_000)
    expect(page.locator(".log")).to_contain_text("the first line", timeout=10_000)
    expect(page.locator(".progress")).to_contain_text("25 %")
    (tmp_path / "go").touch()
    expect(page.locator(".log")).to_contain_text("the second line", timeout=10_000)
    page.get_by_role("button", name="Show its stack").click()
    stack = page.locator("#stack")
    expect(stack).to_contain_text("in wait_for", timeout=15_000)
    expect(stack.locator("details").first).to_contain_text("of library code")
    (tmp_path / "end").touch()
    expect(page.locator(".lede .state")).to_contain_text("Completed", timeout=10_000)
    expect(page.get_by_label("Result as JSON")).to_contain_text("the result")
    expect(stack).to_contain_text("in wait_for")
    assert page.url.endswith(job_id)


def test_a_stack_comes_though_the_dashboard_was_away(own, open_page):  # noqa: F811
    """A reading that fails is made again, and none before; the page said for ever that the worker is asked."""
    site, link = own
    job, db = site.app.list_jobs(status="running", limit=1)[0], site.app.database
    page, way = open_page(link, f"/jobs/{job.id}", strict=False), []

    def on_its_way(route):
        way.append("asked")
        if way.count("asked") == 1:
            route.abort()
        elif way.count("asked") == 2:
            route.fulfill(status=503)
        else:
            [request] = requests.unanswered(db, job.worker)
            requests.answer(db, request, db.now(), STACK)
            route.continue_()

    page.route("**/stack?*", on_its_way)
    page.on("requestfailed", lambda asked: way.append("failed"))
    page.on("response", lambda answer: way.append(str(answer.status)) if "/stack?" in answer.url else None)
    page.get_by_role("button", name="Show its stack").click()
    expect(page.locator("#stack")).to_contain_text("in handle")
    assert way == ["asked", "failed", "asked", "503", "asked", "200"]


def test_a_stack_comes_without_javascript(own, open_page):  # noqa: F811
    """The page of the stack asks for itself again until there is an answer, or says that none came."""
    site, link = own
    job = site.app.list_jobs(status="running", limit=1)[0]
    page = open_page(link, f"/jobs/{job.id}", java_script_enabled=False)
    page.get_by_role("button", name="Show its stack").click()
    expect(page.locator("#stack")).to_contain_text("The worker is asked")
    expect(page.locator("#stack")).to_contain_text("has not answered within 10 s", timeout=20_000)


@pytest.mark.parametrize("script", [True, False])
def test_a_new_job_by_the_form(own, open_page, script):  # noqa: F811
    """From the list of callables to the job: the form checks, keeps what was typed, and enqueues."""
    site, link = own
    site.day.job("pending", 1, ("browser_code.print_label", "q", 1, lambda _: {}, 1, 1))
    page = open_page(link, "/callables", java_script_enabled=script, strict=False)
    page.get_by_role("link", name="New job of print_label").click()
    expect(page.locator(".lede")).to_have_text("Prints the label of an order.")
    page.get_by_label("order_id").fill("42")
    page.get_by_label("day").fill("2026-11-25")
    page.get_by_label("paper").select_option("LETTER")
    page.get_by_label("Queue").fill("a,b")
    page.get_by_role("button", name="Enqueue").click()
    expect(page.locator(".problem").first).to_contain_text("1 value needs a correction")
    expect(page.get_by_label("order_id")).to_have_value("42")
    expect(page.get_by_label("paper")).to_have_value('"letter"')
    page.get_by_label("Queue").fill("labels")
    page.get_by_label("Queue").press("Enter")
    expect(page.locator(".toast")).to_contain_text("was enqueued")
    job = site.app.get_job(page.url.rpartition("/")[2])
    assert job.parameters == {"order_id": 42, "day": "2026-11-25", "paper": "letter"}
    assert job.queue == "labels"


def test_a_form_is_left_alone_while_the_page_changes(own, open_page):  # noqa: F811
    """What is typed for running a job again survives updates of the page, and becomes the new job."""
    site, link = own
    job_id = site.app.run_background_job("browser_code.print_label", parameters={"order_id": 1, "day": "2026-11-25"})
    site.app.cancel_job(job_id)
    page = open_page(link, f"/jobs/{job_id}")
    page.get_by_role("link", name="Edit and run again").click()
    parameters = page.get_by_label("Parameters")
    expect(parameters).to_have_value(re.compile('"order_id": 1'))
    parameters.fill('{"order_id": 2, "day": "2026-11-26"}')
    site.day.job("completed", 0)
    expect(page.locator("#live")).to_have_attribute("data-state", "held")
    before = page.locator("#page").get_attribute("data-now")
    parameters.blur()
    site.day.job("completed", 0)
    expect(page.locator("#page")).not_to_have_attribute("data-now", before)
    expect(parameters).to_have_value('{"order_id": 2, "day": "2026-11-26"}')
    page.get_by_role("button", name="Run again").click()
    expect(page.locator(".toast")).to_contain_text("with these parameters")
    assert site.app.get_job(page.url.rpartition("/")[2]).parameters == {"order_id": 2, "day": "2026-11-26"}


def test_the_call_is_copied(own, open_page):  # noqa: F811
    """The button puts the Python on the clipboard as it is shown."""
    site, link = own
    job = site.app.list_jobs(status="completed", limit=1)[0]
    page = open_page(link, f"/jobs/{job.id}", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the call").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("from lateshift import run_background_job")
    assert repr(job.name) in copied


def test_the_new_pages_are_accessible_and_fit(own, open_page):  # noqa: F811
    """axe has no complaint, and at 380 px nothing has to be scrolled sideways."""
    site, link = own
    job = site.app.list_jobs(status="failed", limit=1)[0]
    page = open_page(link, bypass_csp=True, viewport={"width": 380, "height": 800}, strict=False)
    found = []
    for path in (
        f"/jobs/{job.id}",
        f"/jobs/{job.id}/edit",
        f"/jobs/{job.id}/stack?worker=x&asked=x",
        "/callables",
        "/callables/new",
        "/callables/new?callable=os.system",
        "/callables/new?callable=browser_code.print_label",
    ):
        page.goto(link + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 380, path
        found += complaints(page)
    assert found == []
