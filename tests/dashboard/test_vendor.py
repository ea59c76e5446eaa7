"""The files of others are unchanged, have their licences, and come with the package."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "src/lateshift/dashboard/static/vendor"
SUMS = {VENDOR / "SHA256SUMS": VENDOR, ROOT / "tests/dashboard/axe-4.14.1.sha256": ROOT / "tests/dashboard"}


@pytest.mark.parametrize("sums", SUMS, ids=lambda path: path.name)
def test_files_of_others_are_unchanged(sums):
    """Each file has the hash that was written down when it came, and each folder its licence."""
    folder = SUMS[sums]
    lines = [line.split(maxsplit=1) for line in sums.read_text().splitlines()]
    for digest, name in lines:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    listed = {name for _, name in lines}
    for part in {Path(name).parts[0] for name in listed}:
        assert f"{part}/LICENSE" in listed
        assert {path.relative_to(folder).as_posix() for path in (folder / part).iterdir()} <= listed


def test_everything_is_in_the_wheel(tmp_path):
    """Templates and static files are part of what is installed."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    inside = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    files = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src/lateshift/dashboard").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files
    assert files <= inside
