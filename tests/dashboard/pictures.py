"""Takes a picture of every page, wide and narrow, light and dark: `python tests/dashboard/pictures.py FOLDER`.

Look at them before you call a change of the pages done.
"""

import sys
import tempfile
from pathlib import Path

from dashboard_site import CHROMIUM, FLAGS, Site, served
from playwright.sync_api import sync_playwright

PAGES = {
    "overview": "/",
    "jobs": "/jobs",
    "queues": "/queues",
    "workers": "/workers",
    "nothing": "/jobs?queue=nothing",
    "jobs-found": "/jobs?status=failed&q=queue:billing+error:timeout",
    "jobs-wrong": "/jobs?q=queue:billing+eror:x",
    "bulk": "/bulk",
    "bulk-confirm": "/bulk/priority/jobs?all=yes&q=queue:mail",
}


def take(browser, link, pages, folder):
    for width in (1280, 380):
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page = context.new_page()
            for name, path in pages.items():
                page.goto(link + path)
                page.wait_for_timeout(300)
                page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
            context.close()


def main():
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        site = Site(Path(place))
        jobs = {f"job-{each.status}": f"/jobs/{each.id}" for each in site.app.list_jobs(limit=200)}
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with served(site) as serving:
            take(browser, serving.link, PAGES | jobs, folder)
        browser.close()
        site.close()


if __name__ == "__main__":
    main()
