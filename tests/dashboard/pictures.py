"""Takes a picture of every page, wide and narrow, light and dark: `python tests/dashboard/pictures.py FOLDER`.

Look at them before you call a change of the pages done. `python tests/dashboard/pictures.py --readme` takes those that
README.md shows, into docs/images.
"""

import sys
import tempfile
from pathlib import Path

from dashboard_site import CHROMIUM, FLAGS, Site, served
from palette import in_palette
from playwright.sync_api import sync_playwright

from lateshift.storage import audit, failures

PAGES = {
    "overview": "/",
    "jobs": "/jobs",
    "queues": "/queues",
    "workers": "/workers",
    "callables": "/callables",
    "new-job": "/callables/new",
    "errors": "/errors",
    "errors-resolved": "/errors?state=resolved&range=30d",
    "doctor": "/doctor",
    "audit": "/audit",
    "audit-nobody": "/audit?actor=nobody",
    "nothing": "/jobs?queue=nothing",
    "jobs-found": "/jobs?status=failed&q=queue:billing+error:timeout",
    "jobs-wrong": "/jobs?q=queue:billing+eror:x",
    "bulk": "/bulk",
    "bulk-confirm": "/bulk/priority/jobs?all=yes&q=queue:mail",
}

PAGES |= {"overview-day": "/?range=24h", "overview-week": "/?range=7d", "overview-table": "/?numbers=yes"}
PAGES |= {"queue": "/queues/billing", "queue-paused": "/queues/partners", "queue-unknown": "/queues/none/such"}
PAGES |= {"worker": "/workers/w-81bc02", "worker-dead": "/workers/w-4410ee", "worker-gone": "/workers/w-3190ab"}

FORM = "every_input.report"


def deeds(site):
    """Some actions for the audit log."""
    db, now = site.app.database, site.app.database.now()
    job = site.app.list_jobs(status="failed", limit=1)[0]
    for number, (actor, action, target, many, details) in enumerate(
        [
            ("ada", "retry", job.id, 1, ""),
            ("ada", "resolve", f"fingerprint:{groups(site)[0]}", 1, "ValueError in shop/partners.py: sync_stock"),
            ("olga@example.com", "pause", "partners", 1, ""),
            ("token", "delete", "status:completed before:7d", 12_400, ""),
            ("olga@example.com", "retry", f"fingerprint:{groups(site)[1]}", 218, "KeyError in shop/reports.py: handle"),
        ]
    ):
        audit.append(db, now - (5 - number) * 1_400_000_000, actor, action, target, many, details)


def groups(site):
    return [group.fingerprint for group in failures.groups(site.app.database, 0)]


IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"


def take(browser, link, pages, folder, before=lambda: None):
    for width in (1280, 380):
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page = context.new_page()
            for name, path in pages.items():
                before()
                page.goto(link + path)
                page.wait_for_timeout(300)
                page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
            context.close()


def take_for_readme(browser, link, site):
    """The overview by day, a job that failed by night."""
    failed = site.app.list_jobs(status="failed", limit=1)[0]
    for name, path, scheme in (("overview", "/", "light"), ("job", f"/jobs/{failed.id}", "dark")):
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
        page.goto(link + path)
        page.wait_for_timeout(500)
        (IMAGES / f"{name}-{scheme}.png").write_bytes(in_palette(page.screenshot()))
        page.close()


def main():
    folder = IMAGES if "--readme" in sys.argv else Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        site = Site(Path(place), allowed=["shop", "every_input"])
        site.day.week()
        site.day.errors()
        deeds(site)
        jobs = {f"job-{each.status}": f"/jobs/{each.id}" for each in site.app.list_jobs(limit=200)}
        jobs |= {f"error-{number}": f"/errors/{key}" for number, key in enumerate(groups(site)[:3])}
        jobs |= {"job-edit": f"{jobs['job-failed']}/edit", "new-job-form": f"/callables/new?callable={FORM}"}
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with served(site) as serving:
            if folder == IMAGES:
                take_for_readme(browser, serving.link, site)
            else:
                take(browser, serving.link, PAGES | jobs, folder, site.day.alive)
        browser.close()
        site.close()


if __name__ == "__main__":
    main()
