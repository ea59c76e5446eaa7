"""The values of parameters that LATESHIFT_REDACT names, in what is told, logged and stored of an error."""

from __future__ import annotations

import importlib

import pytest
from project import finished, until

from lateshift.errors import InvalidParameters

JOBS = """
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pydantic


class Login(pydantic.BaseModel):
    user: str
    password: str
    tenant: str = ""
    plan: str

    @pydantic.field_validator("password")
    @classmethod
    def not_so_simple(cls, password: str) -> str:
        if password == "hunter2":
            raise ValueError(f"{password} is too simple")
        return password


@dataclass
class Account:
    user: str
    password: Literal["long"]


class Pair(NamedTuple):
    user: str
    password: str


def with_login(login: Login) -> None:
    pass


def with_account(account: Account) -> None:
    pass


def with_pair(pair: Pair) -> None:
    pass


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


@pytest.mark.parametrize(
    ("job", "make", "reason"),
    [
        ("with_login", lambda _: {"user": "ada", "password": "hunter3"}, "plan; field required"),
        (
            "with_login",
            lambda _: {"user": "ada", "password": "hunter2", "plan": ""},
            "value error, •••••• is too simple",
        ),
        ("with_account", lambda _: {"user": "ada", "password": "hunter2"}, "invalid enum value '••••••'"),
        ("with_account", lambda of: of.Account(5, "hunter2"), "is an Account: expected `str`, got `int` - at `$.user`"),
        ("with_pair", lambda of: of.Pair(5, "hunter2"), "is a Pair: expected `str`, got `int`"),
        ("with_pair", lambda of: [of.Pair(5, "hunter2")], "is [a Pair]: "),
    ],
)
def test_neither_the_reason_nor_an_object_tells_them(app, job, make, reason):
    """A model's own words, the value that pydantic repeats, and what the repr of a dataclass has."""
    value = make(importlib.import_module("app.secret"))
    with pytest.raises(InvalidParameters) as error:
        app.run_background_job(f"app.secret.{job}", parameters={job.removeprefix("with_"): value})
    assert "hunter" not in str(error.value)
    assert reason.lower() in str(error.value).lower()


def test_a_job_that_its_code_does_not_fit_any_more_does_not_tell_them(project, app):
    """Neither the stored error nor any log file has them."""
    job_id = app.run_background_job("app.secret.log_in", parameters={"user": "ada", "password": 1}, max_retries=0)
    app.database.execute("""update lateshift_jobs set parameters = '{"user": "ada", "password": "hunter2"}'""")
    project.worker()
    job = finished(app, job_id)
    assert "password" in job.error.message
    until(lambda: "does not fit" in project.logs(""), what="the log of its end")
    assert "hunter2" not in f"{job.error}{app.get_job(job_id).attempts}{project.logs('')}"
