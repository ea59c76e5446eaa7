"""Starting the runner: what it gets from its caller, that it is independent of it, and what is said when it fails."""

import contextlib
import errno
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from children import children

from lateshift.errors import SpawnError
from lateshift.host.spawn import LOG_LIMIT, describe_process, start_runner, take_path
from lateshift.settings import Settings, to_environment

if sys.platform == "win32":
    pytest.skip("these tests speak through named pipes", allow_module_level=True)

# Stands in for the runner: tells what it sees through a named pipe, which it can open only once the test listens.
RUNNER = """
import json, os, sys
print("said on standard output", flush=True)
print("said on standard error", file=sys.stderr, flush=True)
facts = {
    "pid": os.getpid(), "parent": os.getppid(), "session": os.getsid(0), "folder": os.getcwd(),
    "environment": dict(os.environ), "input": sys.stdin.read(), "terminals": [os.isatty(fd) for fd in range(3)],
    "open": sorted(int(fd) for fd in os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else None,
}
with open(sys.argv[1], "w") as pipe:
    json.dump(facts, pipe)
"""


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def arguments(pipe: Path) -> list[str]:
    return ["-S", "-c", RUNNER, str(pipe)]


def settings(folder: Path, **more) -> Settings:
    return Settings(root=folder, storage_dir=folder / "storage", **more)


def hear(pipe: Path) -> dict:
    """What the runner tells; waits until it has."""
    handle = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    deadline, text = time.monotonic() + 20, b""
    try:
        while time.monotonic() < deadline:
            try:
                part = os.read(handle, 65_536)
            except OSError as error:
                assert error.errno == errno.EAGAIN
                part = b""
            text += part
            with contextlib.suppress(ValueError):
                return json.loads(text)
            time.sleep(0.005)
    finally:
        os.close(handle)
    raise AssertionError("the runner told nothing in 20 s")


def until_gone(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(20)


def test_the_runner_is_independent_of_its_caller(tmp_path, pipe):
    """It has another parent and a session of its own, reads nothing, and works in the caller's folder."""
    start_runner(settings(tmp_path), arguments(pipe))
    facts = hear(pipe)
    assert facts["parent"] != os.getpid()
    assert facts["session"] not in (os.getsid(0), os.getpid())
    assert facts["folder"] == os.getcwd()
    assert facts["input"] == ""
    assert facts["terminals"] == [False] * 3
    assert facts["open"] is None or len(facts["open"]) == 4, "a file of the caller was handed on"


def test_no_zombie_is_left_to_a_caller_that_lives_on(tmp_path, pipe):
    """Before and after the runner's end the caller has no child."""
    start_runner(settings(tmp_path), arguments(pipe))
    assert children() == []
    until_gone(hear(pipe)["pid"])
    assert children() == []


def test_the_first_process_of_a_container_awaits_the_runner_itself(tmp_path, pipe, monkeypatch):
    """Orphans come back to process 1, which a web server may be; it would not know of them."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    start_runner(settings(tmp_path), arguments(pipe))
    monkeypatch.undo()
    facts = hear(pipe)
    assert facts["parent"] == os.getpid()
    assert facts["session"] == facts["pid"]
    for thread in threading.enumerate():
        if thread.name == "lateshift-reaper":
            thread.join(20)
    assert children() == []


def test_the_runner_reads_the_callers_settings(tmp_path, pipe):
    """Its environment is the caller's with all settings and where to import from."""
    ours = settings(tmp_path, threads=3, allowed=("shop",))
    start_runner(ours, arguments(pipe))
    environment = hear(pipe)["environment"]
    assert to_environment(ours).items() <= environment.items()
    told = json.loads(environment["_LATESHIFT_PROCESS"])
    assert told["path"] == [os.path.abspath(entry) for entry in sys.path]
    assert environment.get("PYTHONPATH") == os.environ.get("PYTHONPATH"), "jobs would start other programs with it"
    assert environment["PATH"] == os.environ["PATH"]


def test_odd_values_in_the_environment_come_through(tmp_path, pipe, monkeypatch):
    """Empty, of several lines, with equals signs, or no text in any encoding: they are the caller's business."""
    odd = {"ODD_EMPTY": "", "ODD_LINES": "a\nb", "ODD_EQUALS": "=a=b=", "ODD_BYTES": "\udcff\udc80", "odd.name-1": "x"}
    for name, value in odd.items():
        monkeypatch.setenv(name, value)
    start_runner(settings(tmp_path), arguments(pipe))
    assert odd.items() <= hear(pipe)["environment"].items()


@pytest.mark.filterwarnings("ignore:subprocess")
def test_the_runner_starts_where_no_thread_is_to_be_had_for_awaiting_it(tmp_path, pipe, monkeypatch):
    """Enqueuing ended in a RuntimeError, though the job was stored and its runner there."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 1)
        patch.setattr(threading.Thread, "start", refuse)
        start_runner(settings(tmp_path), arguments(pipe))
    pid = hear(pipe)["pid"]
    psutil.Process(pid).wait(20)


def test_what_escapes_to_standard_output_is_in_runner_log(tmp_path, pipe):
    """Both streams are appended to one file, which only the owner may read."""
    for _ in range(2):
        start_runner(settings(tmp_path), arguments(pipe))
        until_gone(hear(pipe)["pid"])
    log = tmp_path / "storage/logs/runner.log"
    assert log.read_text() == "said on standard output\nsaid on standard error\n" * 2
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == stat.S_IMODE(log.parent.parent.stat().st_mode) == 0o700


def test_runner_log_does_not_grow_for_ever(tmp_path, pipe):
    """Beyond a megabyte the next start begins it anew."""
    log = tmp_path / "storage/logs/runner.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"x" * (LOG_LIMIT + 1))
    start_runner(settings(tmp_path), arguments(pipe))
    hear(pipe)
    assert log.stat().st_size < 100


def test_without_a_log_folder_the_runner_starts_all_the_same(tmp_path, pipe):
    """What nobody meant to print is no reason to leave jobs undone."""
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage/logs").write_text("a file where the folder should be")
    start_runner(settings(tmp_path), arguments(pipe))
    assert hear(pipe)["pid"]


def test_many_threads_may_start_runners_at_once(tmp_path):
    """Nothing is forked from a process with threads, so there is no warning and no deadlock; each start succeeds."""
    pipes = [tmp_path / f"pipe{number}" for number in range(6)]
    failures = []

    def start(pipe: Path) -> None:
        try:
            start_runner(settings(tmp_path), arguments(pipe))
        except BaseException as error:
            failures.append(error)

    for pipe in pipes:
        os.mkfifo(pipe)
    threads = [threading.Thread(target=start, args=(pipe,)) for pipe in pipes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len({hear(pipe)["pid"] for pipe in pipes}) == 6
    assert children() == []


CALLER = """
import os, sys
from pathlib import Path
from lateshift.host.spawn import start_runner
from lateshift.settings import Settings
folder = Path(sys.argv[1])
for name in sys.argv[3:]:
    os.close(int(name))
start_runner(Settings(root=folder, storage_dir=folder / "storage"), ["-S", "-c", sys.argv[2], str(folder / "pipe")])
os._exit(7)
"""


@pytest.mark.parametrize(
    "closed", [[], ["0"], ["1", "2"], ["0", "1", "2"]], ids=lambda names: "-".join(names) or "none"
)
def test_the_runner_outlives_a_caller_with_whatever_streams(tmp_path, pipe, closed):
    """The caller has ended before the runner gets a word out; its own streams may have been closed."""
    caller = subprocess.run([sys.executable, "-c", CALLER, str(tmp_path), RUNNER, *closed], check=False)
    assert caller.returncode == 7
    assert hear(pipe)["input"] == ""
    assert "said on standard error" in (tmp_path / "storage/logs/runner.log").read_text()


def test_signals_to_the_callers_group_do_not_reach_the_runner(tmp_path, pipe):
    """Ctrl-C, and a terminal that is closed, end the caller only."""
    command = [sys.executable, "-c", CALLER.replace("os._exit(7)", "os.killpg(0, 9)"), str(tmp_path), RUNNER]
    caller = subprocess.run(command, check=False, start_new_session=True)
    assert caller.returncode == -signal.SIGKILL
    assert hear(pipe)["pid"]


def test_a_deleted_current_folder_is_no_hindrance(tmp_path, pipe):
    """A caller whose folder is gone has nothing to import from it, and starts its runner."""
    (tmp_path / "gone").mkdir()
    leave = f"import os; os.chdir({str(tmp_path / 'gone')!r}); os.rmdir({str(tmp_path / 'gone')!r})"
    command = [sys.executable, "-c", CALLER.replace("folder =", f"{leave}\nfolder =", 1), str(tmp_path), RUNNER]
    facts_code = RUNNER.replace("os.getcwd()", "None")
    command[-1] = facts_code
    assert subprocess.run(command, check=False, cwd=tmp_path).returncode == 7
    assert hear(pipe)["pid"]


@pytest.mark.parametrize(
    ("executable", "reason"),
    [
        ("", "no Python interpreter is known"),
        ("/usr/sbin/uwsgi", "no Python"),
        ("/nowhere/python3", "FileNotFoundError"),
    ],
)
def test_a_runner_that_cannot_be_started_is_an_error_with_its_remedy(tmp_path, monkeypatch, executable, reason):
    """The message says why there is no runner, and what to run instead."""
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(SpawnError, match=reason) as caught:
        start_runner(settings(tmp_path))
    assert str(caught.value).startswith("No runner could be started: ")
    assert "`lateshift work`" in str(caught.value)
    assert children() == []


def test_a_frozen_program_is_not_started_again_by_mistake(tmp_path, monkeypatch):
    """In a frozen program sys.executable is the program itself: started as a runner it would start runners."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(SpawnError, match="frozen"):
        start_runner(settings(tmp_path))


@pytest.mark.parametrize("executable", ["", "/usr/sbin/uwsgi", None])
def test_under_an_application_server_the_environments_python_is_found(tmp_path, pipe, monkeypatch, executable):
    """uWSGI and mod_wsgi embed Python: the interpreter is then the one of the virtual environment."""
    monkeypatch.setattr(sys, "executable", executable)
    start_runner(settings(tmp_path), arguments(pipe))
    assert hear(pipe)["pid"]


def test_a_program_without_a_console_has_a_runner_with_one_that_is_hidden(tmp_path, pipe, monkeypatch):
    """Of pythonw.exe on Windows, whose runner's jobs opened a window with each program that they started."""
    (tmp_path / "pythonw.exe").touch()
    (tmp_path / "python.exe").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "pythonw.exe"))
    start_runner(settings(tmp_path), arguments(pipe))
    assert hear(pipe)["pid"]


def test_odd_entries_of_the_module_path_are_left_out(monkeypatch, tmp_path):
    """Relative entries become absolute, and what is no text is not imported from anyhow."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "lib", Path("/not/text"), "/lib\udcff"])
    assert describe_process()["path"] == [str(tmp_path), str(tmp_path / "lib"), "/lib\udcff"]


def test_a_python_that_was_replaced_keeps_the_modules_of_its_own(monkeypatch):
    """Where an environment was made anew with another version, each new worker died of a module of the old one."""
    old, new = (os.path.join("env", "lib", f"python3.{minor}") for minor in (11, 13))
    told = {"path": ["shop", old, os.path.join(old, "site-packages"), "env-of-ours"], "prefixes": ["env", "base"]}
    monkeypatch.setattr(sys, "path", [new])
    take_path({**told, "python": "3.11.2 (main)"})
    assert sys.path == ["shop", "env-of-ours", new]
    take_path({**told, "python": sys.version})
    assert sys.path == told["path"]
    take_path({})  # of a frozen program
    assert sys.path == told["path"]
