"""A worker of this process as it makes itself known: what it is called, and its row."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lateshift.host.fleet import host_name
from lateshift.storage.workers import NewWorker
from lateshift.version import VERSION


def id_prefix() -> str:
    """What the ids begin with that this process makes, for itself or for the workers that it supervises."""
    return f"{host_name()}-{os.getpid()}-"


def new_worker_id() -> str:
    """An id by host, process and chance: by this form `presence` knows the files of a worker again."""
    return id_prefix() + os.urandom(3).hex()


def worker_of_this_process(
    worker_id: str,
    folder: Path | str,
    queues: tuple[str, ...],
    *,
    kind: Literal["worker", "runner"] = "worker",
    revision: str = "",
    slots: Mapping[Any, int] | None = None,
) -> NewWorker:
    """The row of a worker here. One that names no `revision` marks no deploy on the charts."""
    return NewWorker(
        id=worker_id,
        kind=kind,
        host=host_name(),
        pid=os.getpid(),
        folder=str(folder),
        queues=queues,
        version=VERSION,
        revision=revision,
        slots=slots or {},
    )
