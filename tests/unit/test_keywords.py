"""Options by a name that there is not: what was meant is told, as for every other mistake."""

from __future__ import annotations

import asyncio
from inspect import iscoroutinefunction

import pytest

import lateshift
from lateshift import Lateshift, RetryPolicy, background
from lateshift.errors import InvalidOption
from lateshift.testing import isolated


@background
def fetch(url: str) -> None:
    """A job."""


@pytest.fixture
def app():
    with isolated(allowed=[__name__]) as app:
        yield app


GIVEN = [
    ({"retry": RetryPolicy.fixed(1)}, "did you mean 'retry_delay'?"),
    ({"job_timeout": 3}, "did you mean 'timeout'?"),
    ({"retries": 3}, "did you mean 'max_retries'?"),
    ({"attempts": 3}, "did you mean 'max_retries'?"),
    ({"countdown": 3}, "did you mean 'delay'?"),
    ({"kwargs": {"url": "x"}}, "did you mean 'parameters'?"),
    ({"url": "x"}, "What the job itself takes goes into parameters={'url': ...}."),
]


@pytest.mark.parametrize(("options", "words"), GIVEN)
def test_enqueuing(app, options, words):
    """By the functions of the package and of an application object, sync and async; nothing is stored."""
    (name,) = options
    for one in (lateshift, app):
        with pytest.raises(InvalidOption) as caught:
            one.run_background_job(fetch, **options)
        assert f"run_background_job has no option {name!r}" in str(caught.value)
        assert words in str(caught.value)
        with pytest.raises(InvalidOption, match=f"arun_background_job has no option {name!r}"):
            asyncio.run(one.arun_background_job(fetch, **options))
    assert app.list_jobs() == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"retries": 3}, "background has no option 'retries': did you mean 'max_retries'?"),
        ({"retry_delay": 3}, "did you mean 'retry'?"),
        ({"rate_limit": "1/s"}, "Known are queue, priority, max_retries, retry, timeout, isolation, max_memory, trans"),
    ],
)
def test_the_decorator(options, words):
    """It has other names than a call."""
    with pytest.raises(InvalidOption) as caught:
        background(**options)
    assert words in str(caught.value)


def test_the_options_of_a_call():
    """As the function that they stand for."""
    with pytest.raises(InvalidOption, match=r"options\(\) has no option 'job_timeout': did you mean 'timeout'\?"):
        fetch.options(job_timeout=3)


def test_what_is_async_is_seen_to_be_so():
    """Frameworks ask."""
    for one in (lateshift, Lateshift):
        assert iscoroutinefunction(one.arun_background_job)
        assert not iscoroutinefunction(one.run_background_job)
