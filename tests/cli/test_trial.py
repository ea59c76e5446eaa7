"""`lateshift work` tells what of its allow-list cannot be imported, and why jobs fail by that."""

import contextlib
import time

from lateshift import Call, Lateshift


@contextlib.contextmanager
def working(project, allowed, **variables):
    """A `lateshift work` with one worker, with its lines as they come."""
    environment = {"PYTHONUNBUFFERED": "1", "LATESHIFT_ALLOWED": allowed, **variables}
    with project.start("work", "--processes", "1", env=environment) as process:
        try:
            yield process
        finally:
            process.terminate()


def line_with(stream, words):
    for line in stream:
        if words in line:
            return " ".join(line.split())
    raise AssertionError(f"nothing said {words!r}")


def test_what_cannot_be_imported_is_told_at_the_start(project):
    """A variable that the service lacks, and a package that is not on the path: with doctor's remedies, each once."""
    (project.folder / "app/other.py").write_text('import os\nprint("hello")\nos.environ["STRIPE_KEY"]\n')
    with working(project, "app.jobs,app.other,shop.jobs") as process:
        first = line_with(process.stdout, "STRIPE_KEY")
        assert "Importing app.other fails: KeyError: 'STRIPE_KEY'. Correct that module" in first
        second = process.stdout.readline()
        assert "shop.jobs is not on the Python path (allowed by environment). Run this in" in second
        process.terminate()
        rest = process.stdout.read()
    assert "app.jobs" not in rest
    assert process.returncode == 0


def test_django_is_ready_as_in_a_worker(project):
    """Jobs that import models are no fault; what is one is told after them."""
    apps = "INSTALLED_APPS = ['django.contrib.auth', 'django.contrib.contenttypes']\n"
    (project.folder / "app/config.py").write_text(apps)
    (project.folder / "app/jobs.py").write_text("from django.contrib.auth.models import User\n")
    with working(project, "app.jobs,shop", DJANGO_SETTINGS_MODULE="app.config") as process:
        assert "shop is not on the Python path" in line_with(process.stdout, "Python path")
        process.terminate()
        assert "app.jobs" not in process.stdout.read()


def test_a_module_that_ends_who_imports_it_ends_no_worker(project):
    """The process that tried it is gone, and that is told; the workers go on."""
    (project.folder / "app/other.py").write_text("import os\nos._exit(3)\n")
    with working(project, "app.jobs,app.other") as process:
        assert "`lateshift doctor` does the same" in line_with(process.stdout, "could not be tried")
    assert process.returncode == 0


def test_a_module_that_hangs_holds_up_no_job_and_no_end(project):
    """Who tries it is ended with the supervisor."""
    (project.folder / "app/other.py").write_text("import time\nopen('trying', 'w').close()\ntime.sleep(3600)\n")
    with working(project, "app.jobs,app.other") as process:
        while not (project.folder / "trying").exists():
            time.sleep(0.01)
        project.invoke("enqueue", "app.jobs.quick", "--wait")
    assert process.returncode == 0


def test_a_worker_says_once_for_each_callable_why_its_jobs_fail(project):
    """Two jobs of one name, of two attempts each, give one line on standard error; that of another gives its own."""
    (project.folder / "app/later.py").write_text("def gone(): ...\ndef away(): ...\n")
    environment = {"LATESHIFT_ALLOWED": "app", "LATESHIFT_RETRY_DELAY": "0", "LATESHIFT_MAX_RETRIES": "1"}
    with contextlib.closing(Lateshift(allowed=["app"])) as app:
        app.enqueue_many([Call("app.later.gone"), Call("app.later.gone"), Call("app.later.away")])
    (project.folder / "app/later.py").unlink()
    process = project.start("work", "--burst", "--processes", "1", env=environment)
    _, err = process.communicate(timeout=60)
    assert [job["status"] for job in project.json("list")] == ["failed"] * 3
    assert err.count("jobs of app.later.gone fail: ") == err.count("jobs of app.later.away fail: ") == 1
