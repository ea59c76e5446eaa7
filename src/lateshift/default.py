"""The default application object, and the functions of the package that use it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Unpack

from lateshift.app import Lateshift
from lateshift.job import JobFilters
from lateshift.keywords import guiding
from lateshift.settings import load_settings
from lateshift.storage.database import undivided

if TYPE_CHECKING:
    from lateshift.clock import Clock
    from lateshift.enqueuing import Call
    from lateshift.job import Job
    from lateshift.retry import RetryLike
    from lateshift.settings import Settings

_app: Lateshift | None = None
_code: dict[str, Any] = {}
"""What `configure` was given."""
_widen: Callable[[Settings], Settings] | None = None
_stand_in: tuple[Lateshift, dict[str, Any]] | None = None
"""The application object of a test, and the settings of it that `configure` does not reach."""


def get_app() -> Lateshift:
    """The default application object, made at the first use of what `configure` and the environment say."""
    global _app  # noqa: PLW0603 - the state of the package: the object behind its functions
    with undivided():
        if _app is None:
            _app = Lateshift(**_code)
        return _app


def set_app(app: Lateshift | None) -> Lateshift | None:
    """Make `app` the default one (None: make it anew at the next use); returns the one before."""
    global _app
    with undivided():
        before, _app = _app, app
    return before


def widen_by(how: Callable[[Settings], Settings]) -> None:
    """Have the default application object go by `how(settings)`, and each that `configure` makes from now on.

    In a process that runs the jobs of several programs each of their modules may configure an allow-list of its own.
    """
    global _widen  # noqa: PLW0603 - as above
    with undivided():
        _widen = how
        _adopt_wider(get_app())


def _adopt_wider(app: Lateshift) -> None:
    if _widen is not None and (wider := _widen(app.settings)) is not app.settings:
        app.adopt(wider)


def configure(**code: Any) -> Lateshift:
    """Set the default application object up in code: `configure(allowed=["orders"], max_retries=5)`.

    The names are those of `Settings`; they win over the environment, `.env` and `pyproject.toml`. A runner that starts
    by itself gets the same settings; `lateshift work` reads its own environment. In a test that `lateshift.testing`
    has isolated, the test's own settings win, and its database stays. Raises SettingsError.
    """
    global _app, _code  # noqa: PLW0603 - as above
    with undivided():
        if _stand_in is None:
            app = _app = Lateshift(**code)
            _adopt_wider(app)
        else:
            app, own = _stand_in
            app.adopt(load_settings(**code | own | {"spawn": app.settings.spawn}))
        _code = code
        return app


@contextlib.contextmanager
def standing_in(clock: Clock | None, own: dict[str, Any]) -> Iterator[Lateshift]:
    """Until the block ends, an application object with settings of its `own` is the default one, whoever configures."""
    global _app, _stand_in  # noqa: PLW0603 - as above
    with undivided():
        code, before = _code, (_app, _stand_in)
        app = Lateshift(clock=clock, **code | own)
        _app, _stand_in = app, (app, own)
    try:
        yield app
    finally:
        app.close()
        with undivided():
            _app, _stand_in = before
            if _code is not code and _stand_in is None:
                _app = None  # what was configured meanwhile is in force from now on
            elif _code is not code:
                configure(**_code)


@guiding
def run_background_job(
    job: object,
    method: str = "handle",
    parameters: Mapping[str, Any] | None = None,
    priority: int | None = None,
    delay: float | timedelta = 0,
    *,
    queue: str | None = None,
    run_at: datetime | None = None,
    max_retries: int | None = None,
    retry_delay: RetryLike | None = None,
    timeout: float | timedelta | None = None,
    max_memory: int | str | None = None,
    connection: object | None = None,
) -> str:
    """Store a job, see to it that something runs it, and return its id; see `Lateshift.run_background_job`."""
    return get_app().run_background_job(
        job,
        method,
        parameters,
        priority,
        delay,
        queue=queue,
        run_at=run_at,
        max_retries=max_retries,
        retry_delay=retry_delay,
        timeout=timeout,
        max_memory=max_memory,
        connection=connection,
    )


@guiding
async def arun_background_job(
    job: object,
    method: str = "handle",
    parameters: Mapping[str, Any] | None = None,
    priority: int | None = None,
    delay: float | timedelta = 0,
    *,
    queue: str | None = None,
    run_at: datetime | None = None,
    max_retries: int | None = None,
    retry_delay: RetryLike | None = None,
    timeout: float | timedelta | None = None,
    max_memory: int | str | None = None,
    connection: object | None = None,
) -> str:
    """As `run_background_job`, for async code; see `Lateshift.arun_background_job`."""
    return await get_app().arun_background_job(
        job,
        method,
        parameters,
        priority,
        delay,
        queue=queue,
        run_at=run_at,
        max_retries=max_retries,
        retry_delay=retry_delay,
        timeout=timeout,
        max_memory=max_memory,
        connection=connection,
    )


def enqueue_many(calls: Iterable[Call], *, connection: object | None = None) -> list[str]:
    """Store many jobs in one transaction, all or none; returns their ids in order."""
    return get_app().enqueue_many(calls, connection=connection)


async def aenqueue_many(calls: Iterable[Call], *, connection: object | None = None) -> list[str]:
    """As `enqueue_many`, for async code."""
    return await get_app().aenqueue_many(calls, connection=connection)


def get_job(job_id: str) -> Job:
    """The job as it stands now, with the history of its attempts. Raises JobNotFound."""
    return get_app().get_job(job_id)


async def aget_job(job_id: str) -> Job:
    """As `get_job`, for async code."""
    return await get_app().aget_job(job_id)


def wait_for_job(job_id: str, timeout: float | timedelta | None = None, *, check: bool = False) -> Job:
    """Wait until the job is finished, at most `timeout` seconds. Raises JobNotFound, WaitTimeout.

    With `check` a job that has failed or was cancelled raises JobFailed; else look at `.status`.
    """
    return get_app().wait_for_job(job_id, timeout, check=check)


async def await_for_job(job_id: str, timeout: float | timedelta | None = None, *, check: bool = False) -> Job:
    """As `wait_for_job`, for async code."""
    return await get_app().await_for_job(job_id, timeout, check=check)


def list_jobs(
    *,
    status: str | None = None,
    queue: str | None = None,
    name: str | None = None,
    limit: int = 50,
    before: str | None = None,
) -> list[Job]:
    """Jobs, newest first; see `Lateshift.list_jobs`."""
    return get_app().list_jobs(status=status, queue=queue, name=name, limit=limit, before=before)


async def alist_jobs(**filters: Unpack[JobFilters]) -> list[Job]:
    """As `list_jobs`, for async code."""
    return await get_app().alist_jobs(**filters)


def cancel_job(job_id: str) -> None:
    """Cancel a waiting job, or ask a running one to stop. Raises JobNotFound, JobStateError when it has finished."""
    get_app().cancel_job(job_id)


async def acancel_job(job_id: str) -> None:
    """As `cancel_job`, for async code."""
    await get_app().acancel_job(job_id)


def retry_job(job_id: str) -> None:
    """Run a failed or cancelled job again, or a waiting retry at once. Raises JobNotFound, JobStateError."""
    get_app().retry_job(job_id)


async def aretry_job(job_id: str) -> None:
    """As `retry_job`, for async code."""
    await get_app().aretry_job(job_id)


def delete_job(job_id: str) -> None:
    """Delete a finished job with its attempts and logs. Raises JobNotFound, JobStateError."""
    get_app().delete_job(job_id)


async def adelete_job(job_id: str) -> None:
    """As `delete_job`, for async code."""
    await get_app().adelete_job(job_id)


def pause_queue(name: str) -> bool:
    """Let the jobs of a queue wait until it is resumed. False if it was paused already."""
    return get_app().pause_queue(name)


def resume_queue(name: str) -> bool:
    """Let the jobs of a paused queue run again. False if it was not paused."""
    return get_app().resume_queue(name)


async def apause_queue(name: str) -> bool:
    """As `pause_queue`, for async code."""
    return await get_app().apause_queue(name)


async def aresume_queue(name: str) -> bool:
    """As `resume_queue`, for async code."""
    return await get_app().aresume_queue(name)


class DefaultCache:
    """`Lateshift.cache` of the default application object."""

    def get(self, key: str) -> dict[str, Any] | None:
        """The job behind `background_job:{id}` as a dict with at least "status"; None for any other key."""
        return get_app().cache.get(key)


cache = DefaultCache()
