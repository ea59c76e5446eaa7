"""Run pytest with a real CPython for Windows, under Wine: `python3 dev.py test --windows`.

    <folder>/python     python.org's embeddable CPython, from a wheel, with the requirements in Lib/site-packages
    <folder>/prefix     Wine's drive C: and registry

PostgreSQL stays on this side: it is started here, and Windows reaches it by TCP.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv-windows"
LOCKS = [ROOT / "requirements" / "windows.lock", ROOT / "requirements" / "dev.lock"]
PYTHON = "3.11"

SUITE = ["tests/unit", "tests/runtime/test_logs.py"]
"""What is known to hold there."""

NOT_THERE = ["no:cacheprovider", "no:schemathesis"]
"""Plugins: one that writes beside the sources, and one with a library that Wine cannot load."""


def prepare() -> None:
    """Make the folder, unless exactly that has been made before."""
    wanted = hashlib.sha256(repr([ROOT, *(lock.read_text() for lock in LOCKS), "1"]).encode()).hexdigest()
    stamp = FOLDER / "installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    python = FOLDER / "python"
    site = python / "Lib" / "site-packages"
    embedded, requirements = LOCKS
    pip = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--require-hashes"]
    windows = ["--python-platform", "x86_64-pc-windows-msvc", "--python-version", PYTHON, "--only-binary", ":all:"]
    _run(*pip, "--target", str(python), "-r", str(embedded))
    _run(*pip, "--target", str(site), *windows, "-r", str(requirements))
    for path in python.glob("python3*._pth"):  # with this file it would ignore PYTHONPATH, which runners need
        path.unlink()
    (python / "_wmi.pyd").unlink(missing_ok=True)  # calls what Wine does not have
    _run(*pip[:-1], "--no-deps", "--no-build-isolation", "--target", str(site), "-e", str(ROOT))
    for path in site.glob("*lateshift*.pth"):  # names the sources as Linux does
        path.write_text(f"{windows_path(ROOT / 'src')}\n")
    _run("wine", "wineboot", "-i")
    _run("wine", "winecfg", "-v", "win10")
    stamp.write_text(wanted)


def pytest(arguments: Sequence[str]) -> int:
    """Run pytest there, with its output as it comes; the exit code."""
    plugins = [part for name in NOT_THERE for part in ("-p", name)]
    command = ["wine", str(FOLDER / "python" / "python.exe"), "-m", "pytest", *plugins, *(arguments or SUITE)]
    # Wine gives a program only pipes as its standard files.
    running = subprocess.Popen(
        command,
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert running.stdout is not None
    for line in running.stdout:
        sys.stdout.buffer.write(line)
        sys.stdout.flush()
    return running.wait()


def pytest_with_postgres(arguments: Sequence[str]) -> int:
    """The same, with a PostgreSQL of this side for the tests that want one."""
    sys.path.insert(0, str(ROOT / "tests"))
    from database_servers import new_folder, start_postgres

    folder = new_folder()
    server = start_postgres(folder)
    os.environ["LATESHIFT_TEST_POSTGRES_URL"] = server.url
    try:
        return pytest(arguments)
    finally:
        server.kill()
        shutil.rmtree(folder)


def windows_path(path: Path) -> str:
    """How Windows names a file of this machine: Wine shows it the root as drive Z."""
    return "Z:" + str(path).replace("/", "\\")


def _environment() -> dict[str, str]:
    ours = {"WINEPREFIX": str(FOLDER / "prefix"), "WINEARCH": "win64", "WINEDEBUG": "-all"}
    return {name: value for name, value in os.environ.items() if name != "DISPLAY"} | ours


def _run(*command: str) -> None:
    done = subprocess.run(
        command,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout.decode(errors='replace')}")


if __name__ == "__main__":
    prepare()
    raise SystemExit(pytest_with_postgres(sys.argv[1:]))
