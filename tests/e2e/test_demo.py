"""`lateshift demo`: real files, a runner that starts by itself, and no job twice however it is interrupted."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest
from project import until

from lateshift import Lateshift
from lateshift.demo import run_demo
from lateshift.demo.jobs import AnalyseFile
from lateshift.demo.run import ALLOWED, QUEUE, DemoRefused, Run
from lateshift.demo.sources import find_sources, standard_library
from lateshift.host.presence import try_lock
from lateshift.storage import reads

pytestmark = pytest.mark.slow

FILES = 7


class Theatre:
    """A project without jobs of its own, a folder of source files, and the demo on it as a process."""

    def __init__(self, project, files: Path) -> None:
        self.project, self.files = project, files
        self.app: Lateshift = project.app()
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The demo as its own process."""
        environment = self.project.environment(LATESHIFT_IDLE_EXIT="1", LATESHIFT_LOG_LEVEL="INFO")
        demo = subprocess.Popen(
            [sys.executable, "-m", "lateshift", "demo", *(arguments or (str(self.files),))],
            cwd=self.project.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(demo)
        return demo

    def play(self, *arguments: str) -> str:
        """The demo to its end, which has to be a good one; what it prints."""
        demo = self.start(*arguments)
        output, _ = demo.communicate(timeout=60)
        assert demo.returncode == 0, output
        return output

    def typed(self, command: str) -> subprocess.CompletedProcess[str]:
        """A command line as somebody types it in the project's folder."""
        folder, environment = self.project.folder, self.project.environment()
        return subprocess.run(
            shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    def statuses(self) -> Counter[str]:
        """How many of the demo's jobs have each status."""
        return Counter(job.status for job in self.app.list_jobs(queue=QUEUE, limit=10_000))

    def each_file_once(self) -> bool:
        """Whether there is one job for each file, and one of each of the others."""
        jobs = self.app.list_jobs(queue=QUEUE, limit=10_000)
        paths = Counter(job.parameters.get("path", job.name) for job in jobs)
        return len(paths) == FILES + 2 and set(paths.values()) == {1}

    def close(self) -> None:
        """End what is left."""
        for demo in self.started:
            if demo.poll() is None:
                demo.kill()
            demo.wait()
            demo.stdout.close()
        self.app.close()


@pytest.fixture
def theatre(project, tmp_path, monkeypatch):
    """Seven small files of different size, one below the other; the settings are those of the environment."""
    files = tmp_path / "files [of all kinds]"
    (files / "deep").mkdir(parents=True)
    for number in range(FILES):
        (files / ("deep" if number % 2 else "") / f"file{number}.py").write_text("value = other\n" * (number + 1))
    for name, value in {"LATESHIFT_IDLE_EXIT": "1", "PYTHONPATH": str(project.folder)}.items():
        monkeypatch.setenv(name, value)
    theatre = Theatre(project, files)
    yield theatre
    theatre.close()


def test_the_demo_from_beginning_to_end(theatre):
    """It shows totals, the longest files, what was retried, what failed, and where everything is; exit code 0."""
    output = theatre.play()
    assert "Stored 9 jobs" in output
    assert "Everything that should complete did." in output
    assert re.search(r"Files +7 with 28 lines, 84 words", output)
    assert re.search(r"Jobs +8 completed, 1 failed", output)
    assert re.search(r"file6.py +7 +21 +other \(7 times\)", output)
    assert re.search(r"Retried +UnsteadyService: completed at attempt 3 of 4", output)
    assert re.search(r"Failed +AlwaysFails: failed after attempt 2 of 2, on purpose", output)
    assert "ValueError: this job of the demo" in output
    assert re.search(r"Database +storage/lateshift.db", output)
    assert "storage/logs/background-jobs-2" in output
    assert theatre.each_file_once()


def test_what_is_no_terminal_gets_each_thing_in_one_line(theatre):
    """Nothing is wrapped or filled up with spaces, so that one can search in it."""
    lines = theatre.play().splitlines()
    assert next(line for line in lines if line.startswith("7 files, each a job")).endswith("and one always fails.")
    assert re.search(r"the first began after [\d.]+ m?s$", next(line for line in lines if line.startswith("Speed")))
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.skipif(sys.platform == "win32", reason="pipes tell of their end otherwise there")
def test_a_reader_that_leaves_is_no_failure(theatre):
    """`lateshift demo | head -1` ends with 0: with 1 it says that a job did not complete."""
    demo = theatre.start()
    demo.stdout.close()
    assert demo.wait(60) == 0


def test_the_commands_it_proposes_work_as_printed(theatre):
    """The next three commands do what they promise, in the folder where the demo ran."""
    output = theatre.play()
    commands = output[output.index("Try next") :].splitlines()[2:5]
    for command, expected in zip(commands, ["AnalyseFile", "on purpose", "No answer"], strict=True):
        done = theatre.typed(command)
        assert (done.returncode, expected in done.stdout) == (0, True), (command, done)


def test_delays_and_priorities_are_kept(theatre):
    """The larger a file the higher its priority; no file is begun before it is due."""
    theatre.play()
    jobs = theatre.app.list_jobs(name="AnalyseFile")
    assert sorted((job.run_at - job.enqueued_at).total_seconds() for job in jobs) == [0, 0, 0, 0, 2, 3, 4]
    assert all(job.started_at >= job.run_at for job in jobs)
    by_size = sorted(jobs, key=lambda job: -job.result["bytes"])
    assert [job.priority for job in by_size] == sorted((job.priority for job in jobs), reverse=True)
    assert by_size[0].priority == 10


def test_killed_in_the_middle_it_carries_on(theatre):
    """After a kill -9 the next demo on the folder follows the same jobs to their end, without a second one."""
    demo = theatre.start()
    until(lambda: theatre.statuses()["completed"])
    demo.kill()
    demo.wait()
    assert theatre.statuses()["completed"] < FILES + 1
    output = theatre.play()
    assert re.search(r"Carrying on with the demo of .*: \d of its 9 jobs (is|are) finished, and none is", output)
    assert theatre.each_file_once()


def test_what_was_done_in_the_meantime_is_only_told(theatre):
    """When the jobs of an interrupted demo are all finished, there is no progress to show, and no speed."""
    demo = theatre.start()
    until(lambda: theatre.statuses()["completed"])
    demo.kill()
    demo.wait()
    until(lambda: theatre.statuses()["completed"] == FILES + 1 and theatre.statuses()["failed"] == 1)
    output = theatre.play()
    assert re.search(r"Carrying on with the demo of .*: all of its 9 jobs are finished\.\n\nEverything", output)
    assert "per second:" not in output


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent to a whole console there")
def test_ctrl_c_says_how_to_carry_on(theatre):
    """An interrupted demo ends with 130 and the command that carries on, which works as printed."""
    demo = theatre.start()
    until(lambda: theatre.statuses()["completed"])
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=20)
    assert (demo.returncode, "Traceback" in output) == (130, False)
    command = next(line for line in output.splitlines() if line.startswith("  ") and " demo " in line)
    assert theatre.typed(command).returncode == 0
    assert theatre.each_file_once()


@pytest.mark.parametrize("moment", ["before they are enqueued", "after they are enqueued"])
def test_killed_around_the_enqueuing_no_job_is_lost_or_doubled(theatre, monkeypatch, moment):
    """The run is written down before its jobs, which come in one transaction: none, or all of them."""
    enqueue_many = Lateshift.enqueue_many

    def killed(self, calls):
        if moment.startswith("after"):
            enqueue_many(self, calls)
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(Lateshift, "enqueue_many", killed)
        with pytest.raises(SystemExit):
            run_demo(theatre.files, plain=True)
    assert sum(theatre.statuses().values()) == (FILES + 2 if moment.startswith("after") else 0)
    assert run_demo(theatre.files, plain=True) == 0
    assert theatre.each_file_once()


def test_a_killed_runner_is_replaced(theatre):
    """While the demo looks on, somebody kills the runner and its worker: another starts, and nothing is lost."""
    demo = theatre.start()
    until(lambda: theatre.statuses()["completed"])
    (worker,) = reads.workers(theatre.app.database)
    supervisor = psutil.Process(worker.pid).parent()
    supervisor.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(worker.pid).kill()
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0, output
    assert theatre.each_file_once()


def test_after_its_end_the_next_demo_is_a_new_one(theatre):
    """What was shown to its end is over; another demo enqueues its files anew."""
    theatre.play()
    assert list(theatre.project.folder.glob("storage/demo.json")) == []
    output = theatre.play()
    assert "Carrying on" not in output
    assert sum(theatre.statuses().values()) == 2 * (FILES + 2)


def test_two_folders_are_two_demos(theatre, tmp_path):
    """An interrupted demo of one folder is not taken for that of another."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "single.py").write_text("x = 1\n")
    demo = theatre.start()
    until(lambda: theatre.statuses()["completed"])
    demo.kill()
    demo.wait()
    assert re.search(r"Jobs +2 completed, 1 failed", theatre.play(str(other)))
    assert "Carrying on" in theatre.play()


def test_a_second_demo_at_the_same_time_is_refused(theatre):
    """Two at once would enqueue every file twice."""
    lock = try_lock(theatre.project.folder / "storage/demo.lock")
    with pytest.raises(DemoRefused, match="Another demo is running"):
        run_demo(theatre.files)
    os.close(lock)
    assert theatre.statuses() == {}


def test_a_storage_folder_that_is_none_is_refused(theatre, tmp_path, monkeypatch):
    """It says which folder, and which setting names it."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("LATESHIFT_STORAGE_DIR", str(tmp_path / "file"))
    with pytest.raises(DemoRefused, match=r"file cannot be written .* LATESHIFT_STORAGE_DIR"):
        run_demo(theatre.files)


def test_a_folder_without_sources_is_refused(theatre, tmp_path):
    """There is nothing to do in it, and it says so."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(DemoRefused, match=r"no \*\.py file in"):
        run_demo(tmp_path / "empty")


def test_a_worker_that_may_not_run_it_is_noticed_before_all_fails(theatre):
    """A project's own worker would fail every job of the demo: nothing is enqueued, and it says what to do."""
    theatre.project.worker()
    with pytest.raises(DemoRefused, match=f"whose allow-list does not have {re.escape(ALLOWED)}"):
        run_demo(theatre.files)
    assert theatre.statuses() == {}


def test_what_fails_against_expectation_is_told(theatre, capsys):
    """A file that vanishes after it was enqueued fails its job; the demo says so and ends with 1."""
    app = theatre.project.app(allowed=[ALLOWED])
    run = Run(app, theatre.files)
    run.begin(find_sources(theatre.files)[0])
    app.close()
    (theatre.files / "file0.py").unlink()
    assert run_demo(theatre.files, plain=True) == 1
    output = capsys.readouterr().out
    assert "1 job did not complete that should have." in output
    assert "AnalyseFile file0.py: failed after attempt 2 of 2" in output
    assert "FileNotFoundError" in output


@pytest.mark.slow
def test_a_demo_that_does_not_move_says_why(theatre):
    """When nothing changes for some seconds it explains one of the jobs, and goes on when that is put right."""
    theatre.app.pause_queue(QUEUE)
    demo = theatre.start()
    for line in demo.stdout:
        if "is paused" in line:
            break
    theatre.app.resume_queue(QUEUE)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0, output


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
def test_in_a_terminal_it_draws_and_leaves_the_terminal_in_order(theatre):
    """A bar and the states move; the cursor comes back, also after Ctrl-C."""
    import pty

    leader, follower = pty.openpty()
    environment = theatre.project.environment(TERM="xterm", COLUMNS="80", LATESHIFT_IDLE_EXIT="1")
    command = [sys.executable, "-m", "lateshift", "demo", str(theatre.files)]
    demo = subprocess.Popen(
        command, cwd=theatre.project.folder, env=environment, stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    drawn, interrupted = b"", False
    with contextlib.suppress(OSError):  # the terminal's end
        while piece := os.read(leader, 65536):
            drawn += piece
            if not interrupted and b" of 9" in drawn:
                demo.send_signal(signal.SIGINT)
                interrupted = True
    os.close(leader)
    assert demo.wait(20) == 130
    text = drawn.decode()
    assert "pending_retry" in text
    assert "jobs per second" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    until(lambda: theatre.statuses()["completed"] == FILES + 1)


@pytest.mark.slow
def test_the_standard_library(theatre):
    """Without a folder it takes Python's own sources, some hundred at least, and all of them go well."""
    done = theatre.typed(f"{shlex.quote(sys.executable)} -m lateshift demo")
    output = done.stdout
    assert done.returncode == 0, done
    assert "own library" in output
    files = len(find_sources(standard_library())[0])
    assert files > 300
    assert re.search(rf"Files +{files:,} with", output), output


def test_which_files_are_taken(tmp_path, monkeypatch):
    """Sources of the folder itself, largest first and a limited number; no packages, caches or hidden folders."""
    for name in ("a.py", "b/c.py", "b/site-packages/d.py", ".git/e.py", "__pycache__/f.py", "g.txt", ".hidden.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n" * len(name))
    (tmp_path / "folder.py").mkdir()
    sources, in_all = find_sources(tmp_path)
    assert ([source.path.name for source in sources], in_all) == ([".hidden.py", "c.py", "a.py"], 3)
    monkeypatch.setattr("lateshift.demo.sources.MOST", 1)
    sources, in_all = find_sources(tmp_path)
    assert ([source.path.name for source in sources], in_all) == ([".hidden.py"], 3)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_file_whose_name_is_no_text_is_left_out(tmp_path):
    """It could not be a parameter, and would keep all the others from being enqueued."""
    (tmp_path / "good.py").touch()
    open(os.fsencode(tmp_path) + b"/\xff.py", "wb").close()
    assert [source.path.name for source in find_sources(tmp_path)[0]] == ["good.py"]


@pytest.mark.parametrize(
    ("source", "identifier", "occurrences"),
    [
        (b"", "", 0),
        (b"# only a comment\n'and text'\n", "", 0),
        (b"alpha = beta = alpha  # beta beta beta\n", "alpha", 2),
        (b"print('alpha alpha', rb\"alpha\", f'''alpha\n'alpha'\n''')\nprint\n", "print", 2),
        (b"def f(self): return self.self\n", "f", 1),
        (b"b = a\n", "a", 1),
        (b"'unclosed\nname\n\xff\xfe", "name", 1),
    ],
)
def test_the_most_frequent_identifier(tmp_path, source, identifier, occurrences):
    """Names count where they are code, not in comments and strings; keywords and self do not count."""
    path = tmp_path / "source.py"
    path.write_bytes(source)
    facts = AnalyseFile().handle(path, "test")
    assert (facts["identifier"], facts["occurrences"]) == (identifier, occurrences)
    assert (facts["bytes"], facts["lines"], facts["words"]) == (len(source), source.count(b"\n"), len(source.split()))
    assert len(facts["digest"]) == 64
