"""Modules of jobs that call gevent's `monkey.patch_all()`: it replaces threads and locks under those that use them.

A worker's threads then end by LoopExit where they wait for work, or wait for ever for a lock; which of them cannot be
foretold. So the job fails with a reason, and the worker process is replaced.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lateshift.errors import CallableNotFound


def threads_are_patched() -> bool:
    """Whether gevent has replaced them in this process."""
    is_patched = getattr(sys.modules.get("gevent.monkey"), "is_module_patched", None)  # it may be half imported
    return is_patched is not None and bool(is_patched("threading"))


@contextmanager
def no_patching(name: str) -> Iterator[None]:
    """Around the import of a job's module: raises CallableNotFound if threads were patched by that, beside others."""
    may_be = threads_are_patched() or threading.current_thread() is threading.main_thread()
    try:
        yield
    finally:
        if not may_be and threads_are_patched():
            raise CallableNotFound(
                f"{name!r} cannot run: importing its module called gevent.monkey.patch_all(), which replaces the "
                "threads of the worker while they run. Call it only in the program that serves requests, and in no "
                "module that jobs import."
            )
