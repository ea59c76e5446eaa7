"""The values of parameters that LATESHIFT_REDACT names, in what is told, logged and stored of an error."""

from __future__ import annotations

import pytest
from project import finished, until

from lateshift.errors import InvalidParameters

JOBS = """
def log_in(user: str, password: int, login: dict[str, int] | None = None) -> None:
    pass
"""


@pytest.fixture
def app(project):
    (project.folder / "app/secret.py").write_text(JOBS)
    return project.app()


@pytest.mark.parametrize("parameters", [{"password": "hunter2"}, {"password": 1, "login": {"api_key": "hunter2"}}])
def test_a_refused_call_does_not_tell_them(app, parameters):
    """The program that enqueues may log what it is told."""
    with pytest.raises(InvalidParameters, match="log_in") as error:
        app.run_background_job("app.secret.log_in", parameters={"user": "ada", **parameters})
    assert "hunter2" not in str(error.value)
    with pytest.raises(InvalidParameters, match="'user' of log_in is 5"):
        app.run_background_job("app.secret.log_in", parameters={"user": 5, "password": 1})


def test_a_job_that_its_code_does_not_fit_any_more_does_not_tell_them(project, app):
    """Neither the stored error nor any log file has them."""
    job_id = app.run_background_job("app.secret.log_in", parameters={"user": "ada", "password": 1}, max_retries=0)
    app.database.execute("""update lateshift_jobs set parameters = '{"user": "ada", "password": "hunter2"}'""")
    project.worker()
    job = finished(app, job_id)
    assert "password" in job.error.message
    until(lambda: "does not fit" in project.logs(""), what="the log of its end")
    assert "hunter2" not in f"{job.error}{app.get_job(job_id).attempts}{project.logs('')}"
