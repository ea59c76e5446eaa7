"""What Lateshift does for programs that use Django. Where nobody has imported that, it costs a look into a dict."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any, Final

from lateshift.loops import outside_of_loops

SETTINGS: Final = "DJANGO_SETTINGS_MODULE"
_DB: Final = "django.db"

_setting_up = threading.RLock()
_ours = False
_failure: BaseException | None = None


def process_is_ours() -> None:
    """Say that this process is one of Lateshift's: in those nobody else gets Django ready. A program does so itself."""
    global _ours  # noqa: PLW0603 - a fact about this process
    _ours = True


def set_up() -> BaseException | None:
    """Get Django ready before jobs are imported, where the environment names its settings; what prevented it, or None.

    What comes here while applications load, such as a job that is enqueued in `AppConfig.ready()`, goes on.
    """
    if not _ours or not os.environ.get(SETTINGS):
        return None
    return outside_of_loops(_set_up, "lateshift-django")  # where one runs, Django refuses the queries of a `ready()`


def _set_up() -> BaseException | None:
    global _failure  # noqa: PLW0603 - Django does not try again once applications have begun to load
    try:
        import django  # type: ignore[import-untyped] # it has no types of its own
        from django.apps import apps  # type: ignore[import-untyped]
    except ImportError:  # the variable is meant for another program
        return None
    with _setting_up:
        if not (apps.ready or apps.loading):
            _failure = None
            try:
                django.setup()
            except (Exception, SystemExit) as error:
                _failure = error
        return _failure


def close_old_connections() -> None:
    """For a worker's thread, between two attempts: let go of connections as Django does between two requests.

    One that is still in a transaction belongs to an attempt that was interrupted on its way out, and nobody ends it.
    """
    if _DB not in sys.modules:  # said first, as it is asked twice for each job
        return
    for connection in _connections():
        with suppress(Exception):  # the next query will tell
            if connection.in_atomic_block:
                connection.close()
                del sys.modules[_DB].connections[connection.alias]
            else:
                connection.close_if_unusable_or_obsolete()


def close_for_coroutines() -> None:
    """Around an attempt that is a coroutine: the same in the thread in which Django runs the queries of all of them.

    They take turns there, so this comes before or after those of the attempt, and nobody has to wait for it.
    """
    with suppress(Exception):  # an asgiref without it
        if _is_configured():
            from asgiref.sync import SyncToAsync

            SyncToAsync.single_thread_executor.submit(_close_idle_ones)


def _close_idle_ones() -> None:
    for connection in _connections():
        with suppress(Exception):
            if not connection.in_atomic_block:  # of another coroutine, which is not interrupted
                connection.close_if_unusable_or_obsolete()


def for_queries_of_coroutine() -> AbstractAsyncContextManager[None]:
    """Around a coroutine in a test: its queries use the connections of the thread that calls this, which waits for it.

    So they see the rows of a `TestCase`, which nobody else does. Call it where no event loop runs: where one does,
    Django knows of none. asgiref would send the queries to a thread with other connections; or, in an async test, to
    this one, which waits.
    """
    return _lent(_connections()) if _is_configured() else nullcontext()


@asynccontextmanager
async def _lent(connections: list[Any]) -> AsyncIterator[None]:
    from concurrent.futures import ThreadPoolExecutor

    from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext

    outer, own = getattr(AsyncToSync.executors, "current", None), ThreadSensitiveContext()
    with ThreadPoolExecutor(1, "lateshift-django", _take_over, (connections,)) as thread:
        SyncToAsync.context_to_thread_executor[own] = thread
        token = SyncToAsync.thread_sensitive_context.set(own)
        if outer is not None:
            del AsyncToSync.executors.current
        for connection in connections:
            connection.inc_thread_sharing()
        try:
            yield
        finally:
            for connection in connections:
                connection.dec_thread_sharing()
            if outer is not None:
                AsyncToSync.executors.current = outer
            SyncToAsync.thread_sensitive_context.reset(token)
            thread.submit(_close_others, connections)


def _take_over(connections: list[Any]) -> None:
    for connection in connections:
        sys.modules[_DB].connections[connection.alias] = connection


def _close_others(connections: list[Any]) -> None:
    for connection in _connections():
        if connection not in connections:
            connection.close()


def may_have_locked(path: str) -> bool:
    """Whether this thread has `atomic` open on an SQLite file, and has the lock by that or may have written there."""
    for connection in _connections():
        with suppress(Exception):  # no such file
            own = connection.vendor == "sqlite" and os.path.samefile(connection.settings_dict["NAME"], path)
            at_once = getattr(connection, "transaction_mode", None) in ("IMMEDIATE", "EXCLUSIVE")  # from Django 5.1 on
            if own and connection.in_atomic_block and (at_once or connection.connection.total_changes):
                return True
    return False


def _connections() -> list[Any]:
    """Those that this thread has made, if the program has imported and configured Django."""
    try:
        return list(sys.modules[_DB].connections.all(initialized_only=True)) if _is_configured() else []
    except Exception:  # no database is configured
        return []


def _is_configured() -> bool:
    if _DB not in sys.modules:
        return False
    settings = getattr(sys.modules.get("django.conf"), "settings", None)  # another thread may just be importing both
    return hasattr(sys.modules[_DB], "connections") and settings is not None and bool(settings.configured)
