"""docs/api.md tells the truth: its commands run against a dashboard, and its tables have every operation and metric."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dashboard_site import Site, served

from lateshift.dashboard.api.operations import OPERATIONS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
TOKEN = "a-token-of-many-characters"

JOBS = """
def send_receipt(order_id: int) -> None:
    pass
"""


def forget(package):
    """What was imported as this package: another test may have one of the same name."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


@pytest.fixture
def served_site(tmp_path, monkeypatch):
    """A dashboard on a port, whose application has the job that the page enqueues."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    forget("app")
    site = Site(tmp_path, dashboard_token=TOKEN, allowed=["app"])
    with served(site):
        yield site
    site.close()
    forget("app")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_the_commands_run(served_site):
    """All blocks in one shell, in their order; only the address and the token are this test's."""
    job_id = served_site.app.run_background_job("app.jobs.send_receipt", parameters={"order_id": 7})
    served_site.app.cancel_job(job_id)
    blocks = re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    script = "set -euo pipefail\n" + "".join(
        re.sub(r"^export DASHBOARD=.*$", "", block, flags=re.MULTILINE) for block in blocks
    )
    environment = {"DASHBOARD": served_site.serving.link, "LATESHIFT_DASHBOARD_TOKEN": TOKEN, "ID": job_id}
    done = subprocess.run(
        ["bash", "-c", script], env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert served_site.app.get_job(job_id).status == "pending_retry"
    assert len(served_site.app.list_jobs(name="app.jobs.send_receipt")) == 3


def test_every_operation_is_named():
    """In the tables, with its path and, if it changes something, its role."""
    named = {re.sub(r"\?.*", "", path) for path in re.findall(r"`(?:GET |POST |DELETE )?([\w/{}?=&]+)`", TEXT)}
    for operation in OPERATIONS:
        path = operation.path.removeprefix("/")
        last = "/" + path.rpartition("/")[2]
        if path != "workers/{worker}/requests/{request}":  # which `Location` leads to
            assert path in named or last in named, path
    for method, path, role in re.findall(r"^\| `(POST|DELETE) ([\w/{}]+)`.*?\| (\w+) \|", TEXT, re.MULTILINE):
        assert next(o.role for o in OPERATIONS if (o.method, o.path) == (method, f"/{path}")) == role


def test_every_metric_is_named(client):
    """In the table, and none that is not there."""
    told = set(re.findall(r"^# TYPE (\w+) ", client.get("/metrics").text, re.MULTILINE))
    assert set(re.findall(r"^\| `(lateshift_\w+)`", TEXT, re.MULTILINE)) == told
