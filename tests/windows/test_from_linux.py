"""What of a Lateshift on Windows is seen from the machine around it. `python3 dev.py test --windows` runs this."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from windows_python import FOLDER, ROOT, environment, windows_path

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or "LATESHIFT_TEST_WINDOWS" not in os.environ, reason="`python3 dev.py test --windows`"
)

SHOP = '''
"""The jobs of a shop."""


def process(order_id: int, note: str) -> str:
    print("七 ü")
    return f"order {order_id} processed: {note}"
'''


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A command of Lateshift on Windows, in a folder of this machine."""
    return subprocess.Popen(
        ["wine", str(FOLDER / "python" / "python.exe"), "-m", "lateshift", *arguments],
        cwd=folder,
        env=environment(LATESHIFT_ALLOWED="shop", LATESHIFT_IDLE_EXIT="2", PYTHONPATH=windows_path(folder)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(folder: Path, *arguments: str) -> str:
    """What it prints."""
    process = start(folder, *arguments)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    return out


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address of the dashboard that Windows serves of it."""
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    process = start(tmp_path, "dashboard", "--port", "0")
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\d+\S*", line):
            break
    else:
        pytest.fail("the dashboard did not start")
    yield tmp_path, found[0]
    process.kill()
    process.communicate()


def test_a_job_is_enqueued_run_and_seen(dashboard: tuple[Path, str]) -> None:
    """Windows enqueues it as told, a runner starts there by itself, and the dashboard shows it to this side."""
    folder, address = dashboard
    parameters = {"order_id": 7, "note": "100 $PATH, 50 %PATH%"}
    job_id = run(folder, "enqueue", "shop.process", "--params", json.dumps(parameters), "--wait").split()[0]
    with urllib.request.urlopen(f"{address.rstrip('/')}/jobs") as answer:
        page = answer.read().decode()
    assert "shop.process" in page
    [job] = json.loads(run(folder, "list", "--json"))
    assert (job["id"], job["status"]) == (job_id, "completed")
    assert job["result"] == "order 7 processed: 100 $PATH, 50 %PATH%"
    assert "七 ü" in (folder / "storage/logs/runner.log").read_text(encoding="utf-8")
    assert "completed" in "".join(path.read_text() for path in (folder / "storage/logs").glob("background-jobs-2*.log"))


def test_the_scheduled_task_is_one(tmp_path: Path) -> None:
    """Windows' own program takes the file that docs/windows.md speaks of, and refuses one that is broken."""
    text = (ROOT / "deploy/lateshift-task.xml").read_text()
    # The service behind it is started at its first use, and Wine gives that up where the machine is busy.
    assert any(makes_task("Good", text, tmp_path) for _ in range(5))
    assert not makes_task("Bad", text.replace("</Exec>", ""), tmp_path)


def makes_task(name: str, content: str, folder: Path) -> bool:
    """Whether a file is taken as a task."""
    task, file = FOLDER / "prefix/drive_c/windows/system32/tasks" / name, folder / "task.xml"
    file.write_text(content)
    task.unlink(missing_ok=True)
    command = ["wine", "schtasks", "/create", "/tn", name, "/xml", windows_path(file)]
    subprocess.run(command, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return task.exists()


def test_the_service_starts_and_stops_what_there_is() -> None:
    """The commands in the file for WinSW are such as Lateshift has."""
    text = (ROOT / "deploy/lateshift-service.xml").read_text()
    commands = re.findall(r"<(?:start|stop)arguments>(.*)</", text)
    lateshift = shutil.which("lateshift", path=str(Path(sys.executable).parent))
    assert commands == ["work", "workers stop --here"]
    for command in commands:
        subprocess.run([str(lateshift), *command.split(), "--help"], check=True, capture_output=True)
