"""The soak: that it runs at all, and that it sees what grows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def judged(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What the report says about the samples of a folder."""
    command = [sys.executable, str(BENCHMARKS / "soak_report.py"), str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="counts file descriptors")
def test_a_soak_of_some_seconds_measures_and_draws(tmp_path):
    """It feeds workers, and writes and draws what it has measured; how it judges that is shown below."""
    options = ["--minutes", "0.05", "--rate", "100", "--every", "1", "--database", "sqlite", "--keep", "2"]
    picture = tmp_path / "soak.svg"
    command = [sys.executable, str(BENCHMARKS / "soak.py"), *options, "--folder", str(tmp_path), "--svg", str(picture)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert ran.returncode in (0, 1), ran.stderr
    samples = [json.loads(line) for line in (tmp_path / "sqlite.jsonl").read_text().splitlines()]
    assert len(samples) >= 2
    assert samples[-1]["fed"] > samples[0]["fed"]
    assert samples[-1]["workers_mb"] > 10
    assert "| memory of the workers, MB |" in ran.stdout
    assert ET.parse(picture).getroot().tag.endswith("svg")


@pytest.mark.parametrize(("leak", "code"), [(0, 0), (0.1, 1)])
def test_what_grows_is_seen(tmp_path, leak, code):
    """What goes on growing after the first quarter breaks its bound; what is still until then does not."""
    samples = [{"at": at, "fed": at * 300, "workers_mb": 70 + min(at, 20) + leak * at} for at in range(0, 400, 5)]
    (tmp_path / "sqlite.jsonl").write_text("".join(f"{json.dumps(sample)}\n" for sample in samples))
    report = judged(tmp_path)
    assert report.returncode == code, report.stderr
    assert ("It grew:\nSQLite: memory of the workers, MB" in report.stdout) == bool(code)


@pytest.mark.parametrize(("extra", "code"), [(0, 0), (0.2, 1)])
def test_what_more_jobs_explain_is_no_growth(tmp_path, extra, code):
    """A database that has had to hold half as many jobs again is larger by so much, and no more."""
    samples = []
    for at in range(0, 400, 5):
        jobs = 1_000 * (100 + at / 8)
        samples.append({"at": at, "fed": at, "jobs": 100_000, "database_mb": jobs / 1_000 + extra * at})
        samples[-1]["jobs"] = jobs if at % 10 else jobs / 2  # the file does not shrink in between
    (tmp_path / "sqlite.jsonl").write_text("".join(f"{json.dumps(sample)}\n" for sample in samples))
    report = judged(tmp_path)
    assert ("SQLite: database, MB" in report.stdout.partition("It grew:")[2]) == bool(code), report.stdout


@pytest.mark.parametrize(("kept", "code"), [(60, 0), (90, 1)])
def test_jobs_that_are_kept_for_longer_than_they_should_are_seen(tmp_path, kept, code):
    """Twice as fast in the end, it has twice as many jobs of the last minute; older ones are a leak."""
    fed = {at: at * 100 + max(0, at - 200) * 100 for at in range(0, 400, 5)}
    samples = []
    for at, number in fed.items():
        since = max(0, at - (60 if at < 200 else kept))
        samples.append({"at": at, "fed": number, "keep": 60, "jobs": number - fed[since]})
    (tmp_path / "sqlite.jsonl").write_text("".join(f"{json.dumps(sample)}\n" for sample in samples))
    report = judged(tmp_path)
    assert ("SQLite: rows of jobs" in report.stdout.partition("It grew:")[2]) == bool(code), report.stdout
