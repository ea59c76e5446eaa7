"""Whether a stored job may run at all: the program that stored it may have an allow-list of its own, in its code."""

from __future__ import annotations

from collections.abc import Collection

from lateshift.allowlist import AllowList
from lateshift.app import Lateshift
from lateshift.cli.base import Refusal
from lateshift.host.fleet import left_to_runners, living, serves
from lateshift.host.permits import runner_permits
from lateshift.host.presence import presence_folder
from lateshift.job import Job
from lateshift.storage import reads


class Permission:
    """Which jobs run where the command's settings decide, and which a living worker may run by other settings."""

    def __init__(self, app: Lateshift) -> None:
        self._app = app
        self._own = AllowList(app.settings.allowed)
        self._elsewhere: dict[tuple[str, str], bool] = {}

    def here(self, name: str) -> bool:
        """Whether this process, or a `lateshift work` of this folder, would run the callable."""
        return self._own.permits(name)

    def anywhere(self, name: str, queue: str) -> bool:
        """Whether it would be run here, or a living worker may have a list which permits it."""
        if self.here(name):
            return True
        if (name, queue) not in self._elsewhere:
            self._elsewhere[name, queue] = self._permitted_by_others(name, queue)
        return self._elsewhere[name, queue]

    def require(self, job: Job, *, anywhere: bool = False) -> None:
        """Refuse a job that would fail at once."""
        if not (self.anywhere(job.name, job.queue) if anywhere else self.here(job.name)):
            raise Refusal(
                f"Job {job.id} would fail at once in a worker with these settings. {self.trouble([job.name])}"
            )

    def trouble(self, names: Collection[str]) -> str:
        """What keeps jobs of these callables from running, and the remedy."""
        listed, some = ",".join(self._own.entries) or "no entry", ", ".join(sorted(names)[:3])
        return (
            f"LATESHIFT_ALLOWED has {listed} here and does not permit {some}: the program that enqueued that may give "
            f"another list in its code. Put {self._own.with_modules_of(sorted(names))} into .env."
        )

    def _permitted_by_others(self, name: str, queue: str) -> bool:
        """What a runner in this storage folder may run is known; a `lateshift work` there has the folder's list."""
        db, settings = self._app.database, self._app.settings
        serving = [row for row in living(reads.workers(db), db.now()) if serves(row, queue)]
        folder = str(presence_folder(settings))
        if any(row.folder != folder for row in serving):  # of other machines and folders nobody can tell
            return True
        return left_to_runners(serving, settings) and runner_permits(settings, name)
