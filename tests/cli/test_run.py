"""`lateshift run`: one job in the command's own process, which counts as a worker for that long."""

import signal
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there signals cannot be sent to one process")


def started(process):
    """Wait until the job has logged that it runs."""
    while "started in" not in (line := process.stderr.readline()):
        assert line, "it ended before the job started"


def test_a_running_job_belongs_to_the_process_that_runs_it(project):
    """Others neither rescue the job nor count on that worker for theirs."""
    job_id, other = project.enqueue("until_file", name="go"), project.enqueue("later")
    process = project.start("run", job_id)
    started(process)
    [worker] = project.json("workers")
    assert (worker["pid"], worker["alive"], worker["running"]) == (process.pid, True, 1)
    assert (worker["queues"], worker["claims"]) == ([], False)
    assert project.run("workers").splitlines()[1].endswith("  one job")
    assert "runs again" not in project.run("work", "--burst", "--processes", "1")
    assert project.run("status", other).startswith("completed ")
    assert project.json("status", job_id)["worker"] == worker["id"]
    (project.folder / "go").touch()
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, '"found"\n')
    assert project.json("workers") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_gives_the_job_back(project, number):
    """Ctrl-C and SIGTERM return the job without using up the attempt, with 130."""
    job_id = project.enqueue("until_file", name="go")
    process = project.start("run", job_id)
    started(process)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.strip()) == (130, "")
    job = project.json("show", job_id)
    assert (job["status"], job["attempts"], [a["outcome"] for a in job["history"]]) == (
        "pending_retry",
        0,
        ["returned"],
    )
    assert project.json("workers") == []


def test_a_run_is_asked_to_stop(project):
    """It is a worker like any other: after the grace it gives its job back, as at Ctrl-C."""
    job_id = project.enqueue("until_file", name="go")
    process = project.start("run", job_id, env={"LATESHIFT_GRACE": "0.2"})
    started(process)
    assert "was asked to stop" in project.run("workers", "stop", "--here")
    process.communicate(timeout=30)
    job = project.json("show", job_id)
    assert (process.returncode, job["status"], job["attempts"]) == (130, "pending_retry", 0)
    assert project.json("workers") == []


def test_a_killed_run_is_rescued(project):
    """After kill -9 the job is taken back by the next worker, counted as a crash, and runs again."""
    job_id = project.enqueue("until_file", name="go")
    process = project.start("run", job_id)
    started(process)
    process.kill()
    process.communicate(timeout=30)
    (project.folder / "go").touch()
    project.enqueue("later")
    while not project.run("status", job_id).startswith("completed "):
        project.run("work", "--burst", "--processes", "1")
    job = project.json("show", job_id)
    assert (job["crashes"], [a["outcome"] for a in job["history"]]) == (1, ["lost", "completed"])


def test_a_cancel_reaches_the_job(project):
    """`lateshift cancel` from elsewhere makes the job's own look at `cancelled` true."""
    job_id = project.enqueue("until_file", name="never")
    process = project.start("run", job_id)
    started(process)
    assert project.run("cancel", job_id) == f"{job_id} asked to stop\n"
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "cancelled" in err


def test_a_job_is_run_once(project):
    """A job that runs elsewhere is refused."""
    job_id = project.enqueue("until_file", name="go")
    process = project.start("run", job_id)
    started(process)
    assert "only a waiting job can be run" in project.run("run", job_id, code=2)
    (project.folder / "go").touch()
    process.communicate(timeout=30)


def test_results_and_errors(project):
    """The result is printed as JSON; a failed attempt is one line of error, with what happens next."""
    assert project.run("run", project.enqueue("later")) == '"async"\n'
    failing = project.enqueue("fail")
    error = project.invoke("run", failing, code=1).stderr
    assert "attempt 1 of 4" in error
    assert "ValueError: no luck" in error
    assert ".." not in project.invoke("run", project.enqueue("fail", message="Gone."), code=1).stderr
    assert project.invoke_json("status", failing)["status"] == "pending_retry"
    late = project.invoke("wait", failing, "--timeout", "0", code=4).stderr
    assert "it goes on. Its last error: ValueError: no luck. `lateshift explain" in late


def test_timeouts_count(project):
    """A job that runs longer than its timeout is ended."""
    assert "ran longer than its timeout of 0.2 s" in project.run("run", project.enqueue("Slow"), code=1)


def test_isolated_jobs_get_their_process(project):
    """A job with isolation="process" runs in a child of the command."""
    job_id = project.enqueue("Isolated")
    process = project.start("run", job_id)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out.strip()) == (0, str(process.pid)), err


def test_logs_of_the_attempt_are_kept(project):
    """What the job logs is kept with its attempt."""
    [attempt] = project.invoke_json("logs", project.done("loud", text="hear, hear"))
    assert [line for line in attempt["lines"] if "hear, hear" in line]


TALKING = """

def talk(much: int, fails: bool) -> str:
    print("talk" * much)
    if fails:
        raise ValueError
    return "talked"
"""


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize(("much", "fails"), [(1, True), (10_000, False)])
def test_it_keeps_the_exit_code_though_nobody_reads(project, options, much, fails):
    """`lateshift run ID 2>&1 | true`: a job that failed ended with 0, and one that prints much failed by that."""
    with (project.folder / "app/jobs.py").open("a", encoding="utf-8") as code:
        code.write(TALKING)
    job_id = project.enqueue("talk", much=much, fails=fails)
    process = project.start("run", job_id, *options)
    process.stdout.close()
    process.stderr.close()
    assert process.wait(30) == int(fails)
    assert project.invoke_json("status", job_id)["status"] == ("pending_retry" if fails else "completed")


def test_what_is_not_there_or_not_waiting(project):
    """An unknown job ends with 3, a finished one with 2."""
    job_id = project.done("quick")
    project.invoke("run", "nope", code=3)
    assert "enqueue it anew" in project.invoke("run", job_id, code=2).stderr
