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
VERSION = "3.11"

NOT_THERE = ("-k", "not mariadb")
"""There is no server of MariaDB, whose driver is written in Python anyway."""

LOOK = (sys.executable, "-m", "pytest", "-q", "tests/windows")


def prepare() -> None:
    """Make the folder, unless exactly that has been made before."""
    wanted = hashlib.sha256(repr([ROOT, *(lock.read_text() for lock in LOCKS), "2"]).encode()).hexdigest()
    stamp = FOLDER / "installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    python, site = FOLDER / "python", FOLDER / "python" / "Lib" / "site-packages"
    embedded, requirements = map(str, LOCKS)
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet"]
    windows = ["--python-platform", "x86_64-pc-windows-msvc", "--python-version", VERSION, "--only-binary", ":all:"]
    _run(*install, "--require-hashes", "--target", str(python), "-r", embedded)
    for path in python.glob("python3*._pth"):  # with this file it would ignore PYTHONPATH, which the tests set
        path.unlink()
    (python / "_wmi.pyd").unlink(missing_ok=True)  # calls what Wine does not have
    _run(*install, "--require-hashes", *windows, "--target", str(site), "-r", requirements)
    _run(*install, "--no-deps", "--no-build-isolation", "--target", str(site), "-e", str(ROOT))
    for path in site.glob("*lateshift*.pth"):  # has the place of the sources as Linux names it
        path.write_text(f"{windows_path(ROOT / 'src')}\n")
    _run("wine", "wineboot", "-i")
    _run("wine", "winecfg", "-v", "win10")
    stamp.write_text(wanted)


def pytest(*arguments: str) -> int:
    """Run pytest there, with its output as it comes; the exit code."""
    # One plugin writes beside the sources, and the other has a library that Wine cannot load.
    options = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "--timeout", "120", *NOT_THERE)
    running = subprocess.Popen(
        ["wine", str(FOLDER / "python" / "python.exe"), "-m", "pytest", *options, *arguments],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,  # which is what Wine needs: plain files it gives to no program
        stderr=subprocess.STDOUT,
    )
    assert running.stdout is not None
    for line in running.stdout:
        sys.stdout.buffer.write(line)
        sys.stdout.flush()
    return running.wait()


def windows_path(path: Path) -> str:
    """How Windows names a file of this machine: Wine shows it the root as drive Z."""
    return "Z:" + str(path).replace("/", "\\")


def environment(**more: str) -> dict[str, str]:
    """What a program of Windows needs to see, in a time zone two hours east."""
    ours = {"WINEPREFIX": str(FOLDER / "prefix"), "WINEARCH": "win64", "WINEDEBUG": "-all", "TZ": "XYZ-2"}
    return {name: value for name, value in os.environ.items() if name != "DISPLAY"} | ours | more


def main(arguments: Sequence[str]) -> int:
    """Run the tests that are named on Windows, and those of tests/windows, which look at it from this side, here."""
    prepare()
    sys.path.insert(0, str(ROOT / "tests"))
    from database_servers import new_folder, start_postgres

    folder = new_folder()
    server = start_postgres(folder)
    os.environ |= {"LATESHIFT_TEST_POSTGRES_URL": server.url, "LATESHIFT_TEST_WINDOWS": "yes"}
    there = [argument for argument in arguments if argument != "tests/windows"]
    try:
        return pytest(*there) or (len(there) < len(arguments) and subprocess.call(LOOK, cwd=ROOT))
    finally:
        server.kill()
        shutil.rmtree(folder)
        subprocess.run(["wineserver", "-k"], env=environment(), check=False)


def _run(*command: str) -> None:
    done = subprocess.run(
        command,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout.decode(errors='replace')}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
