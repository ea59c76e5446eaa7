"""What each command prints and with which exit code it ends."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

JOB_KEYS = {
    *("id", "name", "queue", "priority", "status", "parameters", "attempts", "max_attempts", "crashes", "run_at"),
    *("enqueued_at", "started_at", "finished_at", "result", "error", "worker", "progress", "progress_message"),
    *("timeout", "cancel_requested"),
}


def test_enqueue_prints_the_id(project):
    """`enqueue` prints nothing but the id, and stores the options, and parameters also as Python writes them."""
    result = project.invoke(
        *("enqueue", "app.jobs.ProcessOrder", "--method", "refund", "--params", "{'order_id': 3}"),
        *("--priority", "9", "--delay", "60", "--queue", "slow"),
    )
    job = project.invoke_json("status", result.stdout.strip())
    assert (job["name"], job["priority"], job["queue"]) == ("app.jobs.ProcessOrder.refund", 9, "slow")
    assert job["parameters"] == {"order_id": 3}
    run_at = datetime.fromisoformat(job["run_at"])
    assert timedelta(seconds=50) < run_at - datetime.now(UTC) < timedelta(seconds=61)
    assert result.stderr == ""


def test_enqueue_takes_what_a_call_takes(project):
    """A moment, times with units, and what comes after a failure."""
    options = ("--run-at", "2030-01-31T08:30+01:00", "--max-retries", "7", "--retry-delay", "2m", "--timeout", "1h")
    job = project.invoke_json("enqueue", "app.jobs.quick", *options)
    assert (job["run_at"], job["max_attempts"], job["timeout"]) == ("2030-01-31T07:30:00Z", 8, 3600.0)
    delayed = project.invoke_json("enqueue", "app.jobs.quick", "--delay", "1d")
    assert datetime.fromisoformat(delayed["run_at"]) - datetime.now(UTC) > timedelta(hours=23)
    refused = project.invoke("enqueue", "app.jobs.quick", "--max-memory", "500M", code=2)
    assert 'isolation="process"' in refused.stderr


def test_enqueue_can_print_the_job(project):
    """With --json, `enqueue` prints the stored job."""
    job = project.invoke_json("enqueue", "app.jobs.quick")
    assert (set(job), job["status"]) == (JOB_KEYS, "pending")


def test_a_job_is_one_object_of_documented_keys(project):
    """status, list, show and wait print the same keys, which stay; the times are UTC in ISO 8601."""
    job_id = project.done("ProcessOrder", order_id=1)
    shown = project.invoke_json("show", job_id)
    history = shown.pop("history")
    assert shown == project.invoke_json("status", job_id) == project.invoke_json("wait", job_id)
    assert [shown] == project.invoke_json("list")
    assert set(shown) == JOB_KEYS
    assert set(history[0]) == {"number", "outcome", "started_at", "finished_at", "worker", "error", "logs"}
    assert shown["finished_at"].endswith("Z")
    assert datetime.fromisoformat(shown["finished_at"]).utcoffset() == timedelta(0)


def test_an_error_is_an_object(project):
    """What an attempt failed with has type, message and traceback."""
    job = project.invoke_json("show", project.done("fail", message="boo"))
    assert set(job["error"]) == {"type", "message", "traceback"}
    assert (job["error"]["type"], job["error"]["message"]) == ("ValueError", "boo")
    assert job["history"][0]["error"]["traceback"].startswith("Traceback")


@pytest.mark.parametrize("command", ["enqueue", "run", "wait", "status", "list", "show", "explain", "logs", "queues"])
def test_help_names_the_keys(project, command):
    """The keys of --json are part of each command's help."""
    told = project.invoke(command, "--help").stdout
    assert "--json" in told
    assert any(key in told for key in ("name", "sentences", "outcome"))


def test_status_is_one_line(project):
    """`status` begins with the status and names what matters for it."""
    waiting = project.enqueue("quick")
    assert project.invoke("status", waiting).stdout == "pending app.jobs.quick (due now)\n"
    delayed = project.invoke("enqueue", "app.jobs.quick", "--delay", "3600").stdout.strip()
    assert "(in " in project.invoke("status", delayed).stdout
    failed = project.invoke("status", project.done("fail", message="two\nlines")).stdout
    assert failed.startswith("pending_retry app.jobs.fail (attempt 1 of 4, due ")
    assert failed.endswith("ValueError: two lines)\n")
    assert "attempt 1 of 4, in " in project.invoke("status", project.done("quick")).stdout


def test_a_job_took_as_long_as_its_last_attempt(project):
    """One that was cancelled an hour later, while it waited to run again, has not run for an hour."""
    job_id = project.done("fail")
    project.invoke("cancel", job_id)
    database = project.app().database
    database.execute("update lateshift_jobs set finished_at = finished_at + 3600000000 where id = :id", {"id": job_id})
    database.close()
    assert "attempt 1 of 4, in " in project.invoke("status", job_id).stdout
    assert " min" not in project.invoke("status", job_id).stdout + project.invoke("show", job_id).stdout


def test_list_filters(project):
    """`list` knows status, queue, part of a name, a limit, and where to go on."""
    done, first, second = project.done("quick"), project.enqueue("ProcessOrder", order_id=1), project.enqueue("quick")

    def ids(*options):
        return [job["id"] for job in project.invoke_json("list", *options)]

    assert ids() == [second, first, done]
    assert ids("--status", "completed") == [done]
    assert ids("--queue", "orders") == [first]
    assert ids("--name", "ProcessOrder") == [first]
    assert ids("--limit", "1") == [second]
    assert ids("--before", second) == [first, done]
    assert project.invoke("list", "--limit", "1").stderr == f"More: the same with --before {second}\n"
    assert project.invoke("list", "--limit", "3").stderr == ""
    assert project.invoke("list", "--limit", "1", "--queue", "orders").stderr == ""
    project.invoke("list", "--before", "nope", code=3)


def test_tables_are_plain_outside_a_terminal(project):
    """Aligned columns under titles, no colours, no frame."""
    job_id = project.enqueue("quick")
    title, line = project.invoke("list").stdout.splitlines()
    assert title.split() == ["ID", "STATUS", "NAME", "ENQUEUED", "QUEUE", "ATTEMPTS", "PRIORITY"]
    assert line.startswith(f"{job_id}  pending  app.jobs.quick  ")
    assert line.index("pending") == title.index("STATUS")


def test_nothing_to_show(project):
    """An empty database is told in words, and as an empty array."""
    project.invoke("migrate")
    assert project.invoke("list").stdout == "No jobs.\n"
    assert project.invoke_json("list") == project.invoke_json("queues") == project.invoke_json("workers") == []
    assert "no queue is paused" in project.invoke("queues").stdout
    assert "none starts by itself, as LATESHIFT_SPAWN is never; `lateshift work`" in project.invoke("workers").stdout


def test_show_tells_every_attempt(project):
    """`show` has the parameters, the error with its traceback, and the log lines."""
    shown = project.invoke("show", project.done("fail", message="boo")).stdout
    for text in ('{"message":"boo"}', "Attempt 1: retry", "    Traceback (most recent call last):", "about to fail"):
        assert text in shown


def test_control_characters_do_not_reach_the_terminal(project):
    """What a job logged or raised is printed, but cannot drive the terminal."""
    job_id = project.done("fail", message="\x1b[31mred \u202e\u200e\u2028\ufeff")
    project.done("loud", text="\x1b]0;title\x07")
    for command in (["show", job_id], ["status", job_id], ["logs", job_id], ["list"]):
        assert not set(project.invoke(*command).stdout) & set("\x1b\x07\u202e\u200e\u2028\ufeff")
    assert "\\x1b[31mred" in project.invoke("show", job_id).stdout


def test_several_jobs_at_once(project):
    """cancel, retry and delete take several ids; one refusal holds up none and gives its exit code."""
    first, second = project.enqueue("quick"), project.enqueue("quick")
    cancelled = project.invoke("cancel", first, "nope", second, code=3)
    assert cancelled.stdout == f"{first} cancelled\n{second} cancelled\n"
    assert cancelled.stderr.startswith("error: There is no job 'nope'")
    assert project.invoke("retry", first).stdout == f"{first} runs again\n"
    refused = project.invoke("delete", first, second, "nope", code=2)
    assert refused.stdout == f"{second} deleted\n"
    assert refused.stderr.count("error: ") == 2
    assert [job["id"] for job in project.invoke_json("list")] == [first]


def test_cancelled_jobs_make_run_and_wait_fail(project):
    """A job that cancels itself is no success."""
    job_id = project.enqueue("give_up")
    assert "not today" in project.invoke("run", job_id, code=1).stderr
    assert project.invoke_json("wait", job_id, code=1)["status"] == "cancelled"


def test_an_error_that_is_a_question_gets_no_full_stop(project):
    """What an error says may end as it likes: the next sentence begins after it."""
    job_id = project.invoke("enqueue", "app.jobs.fail", "--params", '{"message": "why?"}', "--max-retries", "0").stdout
    told = project.invoke("run", job_id.strip(), code=1).stderr
    assert "ValueError: why? `lateshift show" in told


def test_prune(project):
    """`prune` deletes the finished jobs of a given age; by default those that workers would delete."""
    project.done("quick")
    waiting = project.enqueue("quick")
    assert project.invoke("prune").stdout == "Deleted 0 finished jobs.\n"
    assert project.invoke("prune", "--dry-run").stdout == "0 finished jobs are to be deleted.\n"
    assert project.invoke("prune", "--older-than", "0", "--dry-run").stdout == "1 finished job is to be deleted.\n"
    assert "--yes does it" in project.invoke("prune", "--older-than", "23h", code=2).stderr
    assert project.invoke("prune", "--older-than", "0", "--yes").stdout == "Deleted 1 finished job.\n"
    assert [job["id"] for job in project.invoke_json("list")] == [waiting]
    assert "pruned jobs=1 older_than=0s" in project.invoke("logs").stdout
    for days in ("-1", "nan", "1e9"):
        assert "--older-than is a number of days" in project.invoke("prune", "--older-than", days, code=2).stderr
    assert (
        "'7 days' is no age: 30 for days, 12h, 2w." in project.invoke("prune", "--older-than", "7 days", code=2).stderr
    )


@pytest.mark.parametrize(("age", "deleted"), [("3m", 1), ("5m", 0), ("0.002", 1), ("1", 0)])
def test_prune_takes_units(project, age, deleted):
    """A number alone is in days; with a unit it is what it says, as wherever a time is asked for."""
    job_id = project.done("quick")
    with sqlite3.connect(project.folder / "storage/lateshift.db") as database:
        database.execute("update lateshift_jobs set finished_at = finished_at - 240000000 where id = ?", [job_id])
    database.close()
    assert f"Deleted {deleted} finished" in project.invoke("prune", "--older-than", age, "--yes").stdout


def test_queues(project):
    """Queues can be paused before they have jobs, which is told, as it may be a slip; the keys are documented."""
    unused = "No job of it waits or runs.\n"
    assert project.invoke("queues", "pause", "mail").stdout == f"Queue mail is paused. {unused}"
    assert project.invoke("queues", "pause", "mail").stdout == f"Queue mail was paused already. {unused}"
    project.enqueue("ProcessOrder", order_id=1)
    assert "waits or runs. Did you mean orders?" in project.invoke("queues", "pause", "oders").stdout
    project.invoke("queues", "resume", "oders")
    assert project.invoke("queues", "pause", "orders").stdout == "Queue orders is paused.\n"
    project.invoke("queues", "resume", "orders")
    mail, orders = project.invoke_json("queues")
    assert set(mail) == {"name", "paused", "waiting", "delayed", "running", "oldest"}
    assert (mail["paused"], orders["waiting"], orders["oldest"][-1]) == (True, 1, "Z")
    assert project.invoke("queues").stdout.splitlines()[1].split()[:3] == ["mail", "paused", "0"]
    assert project.invoke("queues", "resume", "mail").stdout == "Queue mail is resumed.\n"
    project.invoke("queues", "pause", " ", code=2)
    for arguments in (["queues", "--json", "pause", "mail"], ["workers", "--json", "stop", "--here"]):
        assert "--json is for the list" in project.invoke(*arguments, code=2).stderr


def test_migrate(project):
    """`migrate --plan` only tells, `migrate` does; both say when there is nothing to do."""
    assert project.invoke("migrate", "--plan").stdout.startswith("Pending 1: jobs")
    assert not (project.folder / "storage/lateshift.db").exists()
    assert project.invoke("migrate").stdout.startswith("Applied 1: jobs")
    for arguments in (["migrate"], ["migrate", "--plan"]):
        assert project.invoke(*arguments).stdout.startswith("The database is up to date")


def test_explain(project):
    """`explain` prints sentences, or an object with them."""
    job_id = project.enqueue("quick")
    explanation = project.invoke_json("explain", job_id)
    assert set(explanation) == {"job_id", "status", "sentences"}
    assert len(project.invoke("explain", job_id).stdout.splitlines()) == len(explanation["sentences"])
    project.invoke("explain", "nope", code=3)
    with (project.folder / "app/jobs.py").open("a", encoding="utf-8") as code:
        code.write("print('printed while importing')\n")
    assert project.json("explain", job_id)["status"] == "pending"


def test_doctor(project):
    """`doctor` prints a line or an object for each check; an error makes it end with 1."""
    project.invoke("migrate")
    project.environment["LATESHIFT_SPAWN"] = "auto"
    checks = project.json("doctor")
    assert {key for check in checks for key in check} == {"name", "level", "message", "remedy"}
    assert len(project.run("doctor").splitlines()) == len(checks)
    (project.folder / ".env").write_text("LATESHIFT_RETRIES=1\n")
    [check] = project.invoke_json("doctor", code=1)
    assert (check["name"], check["level"]) == ("settings", "error")
    assert project.invoke("doctor", code=1).stdout.startswith("error    settings  ")


def test_completion(project):
    """`completion` prints a script for each shell; ids and queues come from the database."""
    for shell in ("bash", "zsh", "fish"):
        assert "_LATESHIFT_COMPLETE" in project.invoke("completion", shell).stdout
    job_id = project.enqueue("ProcessOrder", order_id=1)
    environment = {"_LATESHIFT_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    told = project.run(env={**environment, "COMP_WORDS": "lateshift status "}, code=0)
    assert job_id in told
    told = project.run(env={**environment, "COMP_WORDS": "lateshift list --queue ", "COMP_CWORD": "3"})
    assert "plain,orders" in told


def test_a_subfolder_will_do(project, monkeypatch):
    """In a subfolder of the project the settings, the database and the jobs are found all the same."""
    (project.folder / ".env").write_text("LATESHIFT_MAX_RETRIES=7\n")
    (project.folder / "docs").mkdir()
    monkeypatch.chdir(project.folder / "docs")
    job_id = project.enqueue("quick")
    assert project.invoke_json("status", job_id)["max_attempts"] == 8
    assert not (project.folder / "docs/storage").exists()


def test_json_is_utf8_whatever_the_locale(project):
    """Letters stay what they are where the environment claims that the terminal knows ASCII only."""
    job_id = project.done("loud", text="Grüße, 你好")
    process = project.start("status", job_id, "--json", env={"PYTHONIOENCODING": "ascii"}, encoding="utf-8")
    out, _ = process.communicate(timeout=30)
    assert json.loads(out)["result"] == "Grüße, 你好"
