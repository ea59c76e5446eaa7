"""Sites that are closed at the end, and a browser."""

import os

import pytest
from dashboard_site import CHROMIUM, FLAGS, Site


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    """On a busy machine as well, a search, a count and an action come to their end before the page is made."""
    monkeypatch.setattr("lateshift.storage.search.SECONDS", 60.0)
    monkeypatch.setattr("lateshift.dashboard.pages.jobs.SECONDS", 60.0)
    monkeypatch.setattr("lateshift.dashboard.bulk_actions.COUNTED", 60.0)
    monkeypatch.setattr("lateshift.dashboard.bulk_actions.SOON", 60.0)
    monkeypatch.setattr("lateshift.dashboard.api.bulk.AT_ONCE", 60.0)


@pytest.fixture
def nobody_waits(_patience, monkeypatch):
    """Every bulk action takes longer than a page waits for."""
    monkeypatch.setattr("lateshift.dashboard.bulk_actions.SOON", 0)


@pytest.fixture
def make_site(tmp_path):
    """Makes sites, and closes them at the end."""
    made = []

    def one(**options):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Site(folder, **options))
        return made[-1]

    yield one
    for site in made:
        site.close()


@pytest.fixture
def site(make_site):
    return make_site()


@pytest.fixture
def client(site):
    return site.client()


@pytest.fixture(scope="module")
def chromium():
    """A browser for the tests of a module. No longer: Playwright keeps an event loop running in this thread."""
    if CHROMIUM is None:
        if "CI" in os.environ:
            pytest.fail("There is no chromium on this machine; `python3 dev.py test` installs it on Debian as root.")
        pytest.skip("there is no chromium on this machine")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=20_000)  # a browser that shares its core with other tests is not wrong, only late
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
