"""A dashboard on a lively database, asked in this process, and served on a port for a real browser."""

import shutil
import threading
import time
from contextlib import contextmanager

from lively import Day, make
from starlette.testclient import TestClient

from lateshift.dashboard import create_dashboard
from lateshift.dashboard.serving import Serving

HERE = "http://localhost:8642"
SAME = {"sec-fetch-site": "same-origin", "accept": "text/html"}
CHROMIUM = next(filter(None, map(shutil.which, ["chromium-headless-shell", "chromium", "chromium-browser"])), None)
"""Without the frame of windows, tabs and menus where possible: it takes more of the processor than our pages do."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync", "--no-first-run", "--in-process-gpu", "--renderer-process-limit=1"]


class Site:
    """A dashboard and what it shows, asked as a browser on this machine would ask."""

    def __init__(self, folder, *, authorize=None, read_only=None, filled=True, **settings):
        self.app = make(folder, **settings)
        self.day = Day(self.app)
        if filled:
            self.day.fill(10)
        self.made = create_dashboard(self.app, authorize=authorize, read_only=read_only)
        self.desk = self.made.state.desk

    def client(self, **options):
        given = {"client": ("127.0.0.1", 50_000), "base_url": HERE, "headers": SAME}
        return TestClient(self.made, **(given | options))

    def close(self):
        self.desk.close()
        self.app.close()


@contextmanager
def served(site, port=0):
    """The site on a port, by the server of `lateshift dashboard`."""
    serving = Serving(site.app, "127.0.0.1", port, read_only=False)
    thread = threading.Thread(target=serving.run)
    thread.start()
    while not serving._server.started:
        time.sleep(0.01)
    site.serving = serving
    try:
        yield serving
    finally:
        serving.stop()
        thread.join()
