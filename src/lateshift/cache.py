"""A job's status as the Laravel runner that Lateshift comes from told it: by the key `background_job:{id}`."""

from __future__ import annotations

from typing import Any

from lateshift.storage import reads
from lateshift.storage.database import Database
from lateshift.texts import is_id


class Cache:
    """The short way to a job's status, with the key that the Laravel runner used: `background_job:{id}`."""

    PREFIX = "background_job:"

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, key: str) -> dict[str, Any] | None:
        """The job behind `background_job:{id}` as a dict with at least "status"; None for any other key."""
        key = str(key)
        job_id = key.removeprefix(self.PREFIX)
        is_known = job_id != key and is_id(job_id) and self._db.exists()
        job = reads.get(self._db, job_id) if is_known else None
        if job is None:
            return None
        return {
            "id": job.id,
            "name": job.name,
            "status": job.status,
            "queue": job.queue,
            "priority": job.priority,
            "parameters": job.parameters,
            "attempts": job.attempts,
            "result": job.result,
            "error": None if job.error is None else f"{job.error.type}: {job.error.message}",
        }
