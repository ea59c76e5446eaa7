#!/usr/bin/env python3
"""Work on Lateshift. Needs nothing but Python 3.11 or newer and pip; makes its own .venv at the first call.

    python3 dev.py demo [FOLDER]          see Lateshift at work
    python3 dev.py test                   what the CI does: checks, all tests, and some again on the newest Python here
    python3 dev.py test [PYTEST OPTIONS]  only pytest, for example: test tests/unit -k retry
    python3 dev.py test --portable        the tests that hold on every system, with no database server but SQLite
    python3 dev.py test --windows         the same with a Python for Windows, under Wine, and PostgreSQL
    python3 dev.py check                  ruff, mypy and the architecture test
    python3 dev.py docs                   run the code in README.md and docs/, follow their links
    python3 dev.py bench [OPTIONS]        the benchmark, with its peers
    python3 dev.py soak [OPTIONS]         work for long on each database: does anything grow?
    python3 dev.py chaos [OPTIONS]        the fault suite: --seed N --minutes M --database sqlite|postgres|mariadb|all
    python3 dev.py pictures [FOLDER]      every page of the dashboard, into build/pictures
    python3 dev.py lock [--upgrade]       resolve the dependency groups of pyproject.toml into requirements/

CONTRIBUTING.md says how we work.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one should hear it in a sentence
    sys.exit(f"Lateshift needs Python 3.11 or newer; this is {sys.version.split()[0]}.")

ROOT = Path(__file__).resolve().parent
REQUIREMENTS = ROOT / "requirements"

LOCKS = {
    "installer": ["--group", "installer"],
    "mysqlclient": ["--group", "mysqlclient"],
    "windows": ["--group", "windows"],
    "dev": ["pyproject.toml", "--group", "build", "--group", "tests", "--group", "lint"],
    "bench": ["--group", "bench", "-c", "requirements/dev.lock"],  # into the same environment, so the same versions
}

# What is not in a wheel: a program, or where none shows it a file, and the packages of Debian that bring it.
SERVERS = {
    "mariadbd": "mariadb-server-core",
    "my_print_defaults": "mariadb-client-core",  # which the former's mariadb-install-db calls
    "pgbouncer": "pgbouncer",
    "ss": "iproute2",
}
WINE = {"wine": "wine64 wine"}
BROWSER = {"chromium-headless-shell": "chromium-headless-shell"}
COMPILING = {
    "cc": "gcc libc6-dev",
    "pkg-config": "pkg-config",
    "mariadb_config": "libmariadb-dev",
    sysconfig.get_path("include") + "/Python.h": "python3-dev",
}

PROBE = """
import json, sqlite3, ssl, sys, sysconfig, venv
assert sys.implementation.name == "cpython" and sys.version_info.releaselevel == "final"
assert not sysconfig.get_config_var("Py_GIL_DISABLED")
print(json.dumps([sys.executable, sys.version_info[:3]]))
"""

END_TO_END = ("families", "running", "faults", "starting", "fence", "fence_of_children")
PORTABLE = (
    *("tests/unit", "tests/runtime", "tests/storage", "tests/cli"),
    *(f"tests/e2e/test_{name}.py" for name in END_TO_END),
)
LOCKS_AND_LOGS = ("tests/runtime/test_presence.py", "tests/runtime/test_turn.py", "tests/runtime/test_logs.py")
QUICK_ON_WINDOWS = ("tests/e2e/test_families.py", *LOCKS_AND_LOGS, "tests/windows")
"""What tells most of Windows in the time that the CI has."""

# Most tests wait for processes: two at once leave two cores idle for half of the time. A file's tests stay together,
# and the order of the files is ours: tests/conftest.py has the slow ones first.
AT_ONCE = ("-n", "4", "--dist", "loadfile", "--no-loadscope-reorder")

Command = Sequence[str]
interrupts: list[int] = []


@dataclass(frozen=True)
class Step:
    """A command to run from the repository's root; `live` shows its output as it comes, else it is shown on failure."""

    name: str
    command: Command
    live: bool = False


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine."""

    path: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


@dataclass(frozen=True)
class Environment:
    """A virtual environment in this repository, filled from the lock files."""

    folder: Path
    base: Interpreter

    @property
    def bin(self) -> Path:
        return self.folder / ("Scripts" if sys.platform == "win32" else "bin")

    @property
    def python(self) -> str:
        return str(self.bin / "python")

    def prepare(self, lock: str = "dev", *, needed: bool = True) -> None:
        """Install what a lock file names, and Lateshift itself, unless exactly that has been installed before."""
        inputs = [REQUIREMENTS / f"{lock}.lock", ROOT / "pyproject.toml"]
        wanted = hashlib.sha256(repr([ROOT, self.base, *(file.read_text() for file in inputs)]).encode()).hexdigest()
        stamp = self.folder / f"{lock}.installed"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        config = self.folder / "pyvenv.cfg"
        if not config.exists() or f"version = {self.base}\n" not in config.read_text():
            self._create()
        if self._install(f"{lock}.lock", "--require-hashes", "-r", str(inputs[0]), needed=needed):
            self._install("lateshift itself", "--no-deps", "--no-build-isolation", "-e", str(ROOT))
            stamp.write_text(wanted)

    def _create(self) -> None:
        make = [self.base.path, "-m", "venv", "--clear", "--without-pip", str(self.folder)]
        must(Step(f"make {self.folder.name} with Python {self.base}", make))
        if self == MAIN:  # whose uv fills the others as well
            run(Step("install uv", [*self._pip(), "--require-hashes", "-r", str(REQUIREMENTS / "installer.lock")]))

    def _install(self, what: str, *options: str, needed: bool = True) -> bool:
        """With uv, which takes 2 seconds instead of 11; with pip where uv fails: it does not know pip's settings."""
        uv = [MAIN.python, "-m", "uv", "pip", "install", "--python", self.python, *options]
        if run(Step(f"install {what}", uv)):
            return True
        pip = Step(f"install {what} with pip", [*self._pip(), *options])
        return must(pip) if needed else run(pip)

    def _pip(self) -> Command:
        """The pip of the Python below; Debian's cannot give a virtual environment one of its own."""
        if subprocess.run([self.base.path, "-c", "import pip"], capture_output=True, check=False).returncode == 0:
            return [self.base.path, "-m", "pip", "--python", self.python, "install"]
        must(Step("install pip", [self.python, "-m", "ensurepip"]))
        return [self.python, "-m", "pip", "install"]

    def pytest(self, *arguments: str) -> Command:
        return [self.python, "-m", "pytest", *arguments]


# The Python below, when this runs in a virtual environment: that one has pip. Undocumented, but there since 3.8.
THIS = Interpreter(getattr(sys, "_base_executable", sys.executable), sys.version_info[:3])
MAIN = Environment(ROOT / ".venv", THIS)

LINT = [
    Step("ruff check", [MAIN.python, "-m", "ruff", "check", "--quiet", "--output-format=concise"]),
    Step("ruff format", [MAIN.python, "-m", "ruff", "format", "--check", "--quiet", "--output-format=concise"]),
    Step("mypy", [MAIN.python, "-m", "mypy"]),
]


def run(step: Step, *, at_once: bool = False) -> bool:
    """Do one step and report it in a line; whether it passed. One of several at once shows its output when it ends."""
    if step.live:
        print(f"     {step.name} ...", flush=True)
    began = time.monotonic()
    out = None if step.live and not at_once else subprocess.PIPE
    done = subprocess.run(step.command, cwd=ROOT, check=False, stdout=out, stderr=out and subprocess.STDOUT)
    if interrupts:
        raise KeyboardInterrupt
    passed = done.returncode == 0
    verdict = f"{'ok  ' if passed else 'FAIL'} {step.name} ({time.monotonic() - began:.1f} s)"
    told = (done.stdout or b"").decode(errors="replace")
    print(f"{told}{verdict}" if step.live else verdict if passed else f"{verdict}\n{told}", flush=True)
    return passed


def must(step: Step) -> bool:
    """Do a step that all later ones need."""
    return run(step) or sys.exit(f"Stopped: could not {step.name}.")


def run_all(steps: Sequence[Step], beside: Sequence[Step] = ()) -> int:
    """Do every step, also after one has failed, and others beside them, one after the other; then sum up."""
    print("Plan:", ", ".join(step.name for step in (*steps, *beside)), flush=True)
    began = time.monotonic()
    with ThreadPoolExecutor() as pool:
        aside = pool.submit(lambda: [run(step, at_once=True) for step in beside])
        passed = [*map(run, steps), *aside.result()]
    failed = [step.name for step, well in zip((*steps, *beside), passed, strict=True) if not well]
    verdict = f"FAILED: {', '.join(failed)}" if failed else f"All {len(passed)} steps passed"
    print(f"{verdict} ({time.monotonic() - began:.1f} s)")
    return 1 if failed else 0


def become(command: Command) -> int:
    """Run a command as the caller would: in their folder, with their terminal, for its exit code."""
    return subprocess.run(command, check=False).returncode


def demo(arguments: Sequence[str]) -> int:
    return become([str(MAIN.bin / "lateshift"), "demo", *arguments])


def test(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["--windows"] and sys.platform != "win32":
        return windows(arguments[1:] or [*PORTABLE, "tests/windows"])
    if arguments[:1] in (["--portable"], ["--windows"]):
        return become(MAIN.pytest("-k", "not postgres and not mariadb", *AT_ONCE, *(arguments[1:] or PORTABLE)))
    install(SERVERS | COMPILING | ({} if arguments else WINE))
    install(BROWSER)  # apart: Ubuntu has it not, and the tests take another Chromium then
    prepare_mysqlclient(MAIN, needed="CI" in os.environ)
    if arguments:
        return become(MAIN.pytest(*arguments))
    steps = [Step(f"tests on Python {THIS}", MAIN.pytest(*AT_ONCE), live=True)]
    newest = newest_python()
    if newest.version[:2] > THIS.version[:2]:
        other = Environment(ROOT / f".venv-3.{newest.version[1]}", newest)
        other.prepare()
        prepare_mysqlclient(other, needed=False)
        steps.append(Step(f"quick tests on Python {newest}", other.pytest("-m", "not slow", *AT_ONCE), live=True))
    beside = [*LINT, Step("some faults", faults("--minutes", "0.7"), live=True)]
    if has_wine := not missing(WINE):
        beside.append(Step("quick tests on Windows, under Wine", under_wine(*QUICK_ON_WINDOWS), live=True))
    code = run_all(steps, beside)  # the tests leave two cores idle for a part of their time
    if not has_wine:
        print("NOT TESTED ON WINDOWS: there is no Wine on this machine, and it could not be installed.", flush=True)
    return code


def windows(arguments: Sequence[str]) -> int:
    """Tests with a Python for Windows, where Wine is or can be installed."""
    install(WINE)
    return 1 if missing(WINE) else become(under_wine(*arguments))


def under_wine(*arguments: str) -> Command:
    return [MAIN.python, str(ROOT / "tests" / "windows" / "windows_python.py"), *arguments]


def check(_arguments: Sequence[str]) -> int:
    return run_all([*LINT, Step("architecture", MAIN.pytest("-q", "tests/test_architecture.py"))])


def docs(arguments: Sequence[str]) -> int:
    return become(MAIN.pytest(*map(str, sorted((ROOT / "tests").glob("test_docs*.py"))), *arguments))


def pictures(arguments: Sequence[str]) -> int:
    """Pictures of every page of the dashboard, into the folder that is named, or build/pictures."""
    install(BROWSER)
    folder = Path(arguments[0] if arguments else ROOT / "build" / "pictures").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return become([MAIN.python, str(ROOT / "tests" / "dashboard" / "pictures.py"), str(folder)])


def bench(arguments: Sequence[str]) -> int:
    MAIN.prepare("bench")
    install(SERVERS | {"redis-server": "redis-server"})
    return become([MAIN.python, str(ROOT / "benchmarks" / "run.py"), *arguments])


def soak(arguments: Sequence[str]) -> int:
    install(SERVERS)
    return become([MAIN.python, str(ROOT / "benchmarks" / "soak.py"), *arguments])


def chaos(arguments: Sequence[str]) -> int:
    """The fault suite; it prints how to repeat what it finds."""
    install(SERVERS)
    return become(faults(*arguments))


def faults(*arguments: str) -> Command:
    return [MAIN.python, str(ROOT / "tests" / "chaos" / "run.py"), *arguments]


def lock(arguments: Sequence[str]) -> int:
    options = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url", "--quiet"]
    compile_ = [MAIN.python, "-m", "uv", "pip", "compile", *options, "--custom-compile-command", "python3 dev.py lock"]
    for name, groups in LOCKS.items():
        must(Step(f"lock {name}", [*compile_, "-o", str(REQUIREMENTS / f"{name}.lock"), *groups, *arguments]))
    MAIN.prepare()
    return 0


def prepare_mysqlclient(environment: Environment, *, needed: bool) -> None:
    """The driver that has to be compiled; where that cannot be, its tests are skipped."""
    if needed or not missing(COMPILING):
        environment.prepare("mysqlclient", needed=needed)


def install(programs: Mapping[str, str]) -> None:
    """See to it that programs are there, where we may install them; else say what is missing."""
    if not (lacking := missing(programs)):
        return
    packages = " ".join(programs[program] for program in lacking)
    if not shutil.which("apt-get") or os.geteuid() != 0:
        print(f"     missing, so tests are skipped or slow: {', '.join(lacking)}; on Debian: {packages}", flush=True)
        return
    os.environ["RUNLEVEL"] = "1"  # lets Debian install a server without starting it as a service
    run(Step("apt-get update", ["apt-get", "update"]))
    run(Step(f"install {packages}", ["apt-get", "install", "-y", "--no-install-recommends", *packages.split()]))


def missing(programs: Iterable[str]) -> list[str]:
    """Those that are not on this machine; Debian keeps servers where only root looks."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    return [program for program in programs if not (shutil.which(program, path=path) or Path(program).is_file())]


def newest_python() -> Interpreter:
    """The newest released CPython: this one, or a newer one on PATH, from pyenv, or known to Windows' py launcher."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for version in (f"3.{minor}" for minor in range(30, THIS.version[1], -1)):
        builds = [[str(path)] for path in pyenv.glob(f"versions/{version}*/bin/python")]
        if found := [*filter(None, map(interpreter, [[f"python{version}"], ["py", f"-{version}"], *builds]))]:
            return max(found, key=lambda python: python.version)
    return THIS


def interpreter(command: Command) -> Interpreter | None:
    """The Python behind a command; None if there is none that can run Lateshift."""
    if not (program := shutil.which(command[0])):
        return None
    probe = subprocess.run([program, *command[1:], "-c", PROBE], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        return None
    path, version = json.loads(probe.stdout)
    return Interpreter(path, tuple(version))


COMMANDS = {
    "demo": demo,
    "test": test,
    "check": check,
    "docs": docs,
    "bench": bench,
    "soak": soak,
    "chaos": chaos,
    "pictures": pictures,
    "lock": lock,
}


def main(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__)
        return 0 if arguments and arguments[0] in ("help", "-h", "--help") else 2
    signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))  # Ctrl-C is for the command to handle
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each of thousands of processes compiles all that it imports
    try:
        MAIN.prepare()
        return COMMANDS[arguments[0]](arguments[1:])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
