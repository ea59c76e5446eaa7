"""`lateshift demo --dashboard`: the demo as ever, the dashboard beside it, and a shop that gives it much to show."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from project import until

from lateshift.demo import run_demo
from lateshift.demo.feed import MAIL, PARTNERS, QUEUES, REPORTS, Feed
from lateshift.demo.run import DemoRefused
from lateshift.demo.shop import ChargeCard, MakeThumbnails, MonthlyReport, ReindexProduct, SendReceipt, SyncStock
from lateshift.storage import reads
from lateshift.testing import drain, isolated

pytestmark = pytest.mark.slow


@pytest.fixture
def files(tmp_path, project, monkeypatch):
    """Three small files, and an environment in which a runner does not stay for long."""
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(3):
        (folder / f"file{number}.py").write_text("value = other\n" * (number + 1))
    monkeypatch.setenv("LATESHIFT_IDLE_EXIT", "1")
    return folder


@pytest.fixture
def demo(project, files):
    """The demo with the dashboard, as a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "lateshift", "demo", "--dashboard", str(files)],
        cwd=project.folder,
        env=project.environment(LATESHIFT_IDLE_EXIT="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)  # it cancels what would keep a runner
    process.wait(30)
    process.stdout.close()


def told(process, expected):
    """What it prints, up to the line that holds what is expected."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if expected in line:
            return "".join(lines)
    pytest.fail("".join(lines))


def page(link, path):
    with contextlib.suppress(urllib.error.URLError):
        return urllib.request.urlopen(link + path, timeout=10).read().decode()
    return ""


def test_the_dashboard_goes_on_after_the_demo(project, demo):
    """Its address is printed first; each page has something to show; Ctrl-C ends all, and nothing of it stays."""
    link = re.search(r"http://127\.0\.0\.1:\d+", told(demo, "The dashboard is at"))[0]
    output = told(demo, "Ctrl-C ends both")
    assert "Everything that should complete did." in output
    assert f"The dashboard goes on at {link}" in output
    until(lambda: "MonthlyReport" in page(link, "/jobs?status=running"))
    until(lambda: all(queue in page(link, "/queues") for queue in (PARTNERS, REPORTS, MAIL)))
    until(lambda: "ChargeCard" in page(link, "/jobs?status=pending_retry"))
    assert f"The queue {PARTNERS} is paused" in page(link, "/")
    assert "runner" in page(link, "/workers")
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=30)
    assert demo.returncode == 0
    assert "The dashboard has ended." in rest
    app = project.app()
    until(lambda: not [lane for lane in reads.lanes(app.database) if lane.queue in QUEUES])
    assert not reads.queue_paused(app.database, PARTNERS)
    until(lambda: not reads.workers(app.database))
    app.close()


def test_ctrl_c_before_its_end(demo):
    """Then the demo is interrupted as it is without the dashboard, which ends too."""
    link = re.search(r"http://127\.0\.0\.1:\d+", told(demo, "The dashboard is at"))[0]
    until(lambda: page(link, "/healthz"))
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=30)
    told_so = demo.returncode, "Interrupted. The jobs go on" in output, "Traceback" in output
    assert told_so == (130, True, False), output


def test_without_what_the_dashboard_needs(files, monkeypatch):
    """One line says what is missing, before any job is enqueued."""
    monkeypatch.delitem(sys.modules, "lateshift.dashboard.serving", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(DemoRefused, match=r"uvicorn is not installed\. .*leave --dashboard out"):
        run_demo(files, plain=True, dashboard=True)


def test_the_feed_has_all_kinds_and_an_end(project):
    """Several queues and priorities, delays, pictures in bursts, reports; and no end of jobs for nobody."""
    app = project.app(allowed=["lateshift.demo.shop"], spawn="never")
    feed = Feed(app)
    feed.open()
    for _ in range(41):
        assert feed.tick() == 1
    jobs = app.list_jobs(limit=10_000)
    assert {job.queue for job in jobs} == set(QUEUES)
    assert {job.priority for job in jobs} == {1, 2, 3, 5, 8}
    assert any(job.run_at > job.enqueued_at for job in jobs)
    assert sum(job.queue == "demo-reports" for job in jobs) == 3
    feed._lots = 3600
    feed.tick()
    assert len(app.list_jobs(limit=10_000)) == len(jobs)
    feed.close()
    assert app.list_jobs(status="pending") == []
    app.close()


@pytest.mark.parametrize(
    ("job", "parameters", "end"),
    [
        (ChargeCard, {"order_id": 14, "amount": "9.90 EUR"}, "completed"),
        (ChargeCard, {"order_id": 35, "amount": "9.90 EUR"}, "lateshift.demo.shop.GatewayTimeout"),
        (ChargeCard, {"order_id": 119, "amount": "9.90 EUR"}, "lateshift.demo.shop.CardDeclined"),
        (SendReceipt, {"order_id": 4, "to": "ada@example.com"}, "completed"),
        (SendReceipt, {"order_id": 4, "to": "(none)"}, "ValueError"),
        (MakeThumbnails, {"picture": 5}, "completed"),
        (MakeThumbnails, {"picture": 115}, "KeyError"),
        (ReindexProduct, {"product": 1}, "completed"),
        (MonthlyReport, {"month": "2026-01", "pages": 1}, "completed"),
        (SyncStock, {"partner": "Acme"}, "completed"),
    ],
)
def test_the_jobs_of_the_shop(job, parameters, end):
    """What becomes of one is told by its number, so that errors come in groups and a retry is as one expects."""
    with isolated(allowed=["lateshift.demo.shop"]) as app:
        job_id = app.run_background_job(job, parameters=parameters, max_retries=0)
        drain()
        done = app.get_job(job_id)
        assert (done.error.type if done.error else done.status) == end
