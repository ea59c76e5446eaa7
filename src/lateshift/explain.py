"""Why a job is where it is, and what will happen next and when: `lateshift explain`, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from lateshift.allowlist import AllowList
from lateshift.app import Lateshift
from lateshift.errors import CallableNotAllowed, LateshiftError
from lateshift.host import presence
from lateshift.host.fleet import LEASE, is_here, left_to_runners, living, serves
from lateshift.host.permits import runner_permits
from lateshift.job import WAITING, Job, JobError, moment
from lateshift.outcome import MAX_CRASHES, MAX_SHARED_CRASHES, WORKER_DIED
from lateshift.storage import reads
from lateshift.storage.counting import Count
from lateshift.storage.reads import WorkerRow
from lateshift.storage.workers import claims_jobs, held
from lateshift.target import resolve
from lateshift.wording import as_argument, as_sentence, count, duration, local_time, shortened

LONGEST_ERROR: Final = 300
"""Characters of an error's message; `lateshift show` has all of it."""


YEAR: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A job's status at the moment of asking, and the sentences that explain it: first what is, then what comes.

    `moments` are those that they name, as `local_time` writes them.
    """

    job_id: str
    status: str
    sentences: tuple[str, ...]
    moments: tuple[datetime, ...] = ()

    @property
    def beside_the_job(self) -> tuple[str, ...]:
        """The sentences without the commands that show more of the job or run it again: where both are at hand."""
        again = f"; `lateshift retry {self.job_id}` runs it again"
        shorter = (sentence.replace(again, "") for sentence in self.sentences)
        return tuple(sentence for sentence in shorter if f"`lateshift show {self.job_id}`" not in sentence)


def explain(app: Lateshift, job_id: str) -> Explanation:
    """Say why a job is where it is and what will happen next. Raises JobNotFound.

    Of a waiting job it imports the callable, as the worker will. It changes nothing and starts nothing.
    """
    job = app.get_job(job_id)
    now = app.database.now()
    scene = _Scene(app, job, now)
    if job.status in WAITING:
        sentences = _waiting(scene)
    elif job.status == "running":
        sentences = _running(scene)
    else:
        sentences = _finished(scene)
    return Explanation(job_id, job.status, tuple(sentences), tuple(scene.named))


class _Scene:
    """A job and what surrounds it, at one moment."""

    def __init__(self, app: Lateshift, job: Job, now: int) -> None:
        self.app, self.db, self.settings = app, app.database, app.settings
        self.job, self.now, self.moment = job, now, moment(now)
        self.named: list[datetime] = []
        self.workers = reads.workers(self.db)
        self.alive = living(self.workers, now)

    def since(self, then: datetime | None) -> str:
        """How long ago a moment was."""
        return "some time" if then is None else duration((self.moment - then).total_seconds())

    def how_long(self, then: datetime) -> str:
        """For how long something has been so; of more than a year the date tells more."""
        return f"for {self.since(then)}" if self.moment - then < YEAR else f"since {self.date(then)}"

    def at(self, then: datetime) -> str:
        """A moment to come, in this machine's time and, within a year, from now."""
        ahead = then - self.moment
        return f"{self.date(then)}, in {duration(ahead.total_seconds())}" if ahead < YEAR else self.date(then)

    def date(self, then: datetime) -> str:
        """A moment in this machine's time."""
        self.named.append(then)
        return local_time(then)


def _waiting(scene: _Scene) -> Iterator[str]:
    job = scene.job
    yield from _so_far(scene)
    due = job.run_at <= scene.moment
    if due:
        yield (
            f"It has been due {scene.how_long(job.run_at)} and waits in the queue {job.queue!r} "
            f"with priority {job.priority}."
        )
    else:
        what = _next_attempt(job) if job.status == "pending_retry" else "It is delayed: it"
        yield f"{what} is due at {scene.at(job.run_at)}."
    yield from _obstacles_of_the_callable(scene)
    paused = reads.queue_paused(scene.db, job.queue)
    if paused:
        resume = f"`lateshift queues resume {as_argument(job.queue)}`"
        yield f"The queue {job.queue!r} is paused: the job waits until {resume}."
    serving = [worker for worker in scene.alive if serves(worker, job.queue)]
    if not serving:
        yield _no_worker(scene, paused=paused)
    elif due and not paused:
        yield from _in_line(scene, serving)


def _so_far(scene: _Scene) -> Iterator[str]:
    """What has happened to a waiting job before."""
    job = scene.job
    yield f"{job.name} was enqueued {scene.since(job.enqueued_at)} ago, at {scene.date(job.enqueued_at)}."
    last = next((attempt for attempt in reversed(job.history) if attempt.outcome != "running"), None)
    if job.status == "pending_retry" and last is not None:
        yield from _last_attempt(scene, last.outcome, last.error, scene.since(last.finished_at))
    yield from _crashes(job)


def _last_attempt(scene: _Scene, outcome: str, error: JobError | None, ago: str) -> Iterator[str]:
    job = scene.job
    if outcome in ("failed", "cancelled", "completed"):
        yield f"Its last attempt {_ended(outcome)} {ago} ago; it was then sent to run again, with all its attempts."
    elif outcome == "snoozed":
        yield f"It asked to run later itself (Snooze), {ago} ago; that uses up no attempt."
    elif outcome == "returned" and error is not None:
        yield f"It could not begin {ago} ago, for {_error(error)}; that uses up no attempt."
    elif outcome == "returned":
        yield f"Its worker stopped {ago} ago and gave it back unfinished; that uses up no attempt."
    elif outcome == "lost" and error is None:
        yield f"Its worker died {ago} ago, before it could write how the attempt had ended; that uses up no attempt."
    elif outcome == "lost":
        yield f"Its worker died under it {ago} ago, so it runs again; that uses up no attempt."
    else:
        yield as_sentence(f"Attempt {job.attempts} of {job.max_attempts} failed {ago} ago with {_error(error)}")


def _next_attempt(job: Job) -> str:
    if job.attempts and job.history and job.history[-1].outcome == "retry":
        return f"Retry {job.attempts} of {job.max_attempts - 1}"
    return "Its next attempt" if job.attempts else "It"


def _obstacles_of_the_callable(scene: _Scene) -> Iterator[str]:
    """Whether the worker will be able to find the callable, tried out here."""
    name, allow = scene.job.name, AllowList(scene.settings.allowed)
    serving = [worker for worker in scene.alive if serves(worker, scene.job.queue)]
    runs = left_to_runners(serving, scene.settings) and runner_permits(scene.settings, name)
    if runs and not allow.permits(name):  # another program's module: it may configure whoever imports it
        return
    try:
        resolve(name, allow)
    except CallableNotAllowed as error:
        yield f"It is not allowed, and fails as soon as a worker with the settings of this folder takes it: {error}"
    except LateshiftError as error:
        yield (
            f"Its callable cannot be imported here: {error} A worker that cannot import it either fails the attempt."
        )
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of the module's own making
        what = shortened(str(error), LONGEST_ERROR)
        yield as_sentence(f"Importing its callable ends in {type(error).__name__}: {what}")


def _no_worker(scene: _Scene, *, paused: bool) -> str:
    queue = scene.job.queue
    claiming = [worker for worker in scene.alive if claims_jobs(worker.queues)]
    if claiming:
        others = sorted({name for worker in claiming for name in worker.queues})
        lead = (
            f"No worker serves the queue {queue!r}: {count(len(claiming), 'worker')} "
            f"{'is' if len(claiming) == 1 else 'are'} alive, for {', '.join(map(repr, others))} only."
        )
    else:
        lead = "No worker takes new jobs." if scene.alive else "No worker is running."
    if scene.settings.spawn == "never":
        return f"{lead} None starts by itself, because LATESHIFT_SPAWN is never: start one with `lateshift work`."
    if not runner_permits(scene.settings, scene.job.name):
        return f"{lead} Whatever starts one for it has to permit it: the program that enqueued it gives its own list."
    if paused:
        return f"{lead} One starts by itself when the queue is resumed."
    jobs = "job of this queue" if claiming else "job"
    log = scene.settings.storage_dir / "logs" / "runner.log"
    return (
        f"{lead} One starts by itself whenever a {jobs} is enqueued or waited for: `lateshift wait {scene.job.id}`, or "
        f"`lateshift work`, has it done. If a runner does not stay, {log} has its last words."
    )


def _in_line(scene: _Scene, serving: list[WorkerRow]) -> Iterator[str]:
    """What stands before a job that is due."""
    job = scene.job
    higher, same = reads.jobs_ahead(scene.db, job.id, scene.now)
    workers = count(len(serving), "worker")
    if not higher and not same:
        yield f"Nothing stands before it: {workers} can take it, and one that has room does within milliseconds."
        return
    ahead = []
    if higher:
        ahead.append(f"{Count.of(higher).words('job')} of higher priority")
    if same:
        ahead.append(
            f"{Count.of(same).words('job')} of its own priority that {'was' if same == 1 else 'were'} due before it"
        )
    yield f"It is behind {' and '.join(ahead)}."
    yield f"{workers.capitalize()} {'serves' if len(serving) == 1 else 'serve'} the queue, highest priority first."


def _running(scene: _Scene) -> Iterator[str]:
    job = scene.job
    worker = next((worker for worker in scene.workers if worker.id == job.worker), None)
    if worker is None or worker not in scene.alive:
        yield from _orphaned(scene, worker)
        return
    ran = scene.since(job.started_at)
    where = f"worker {worker.id}, process {worker.pid} on {worker.host}"
    begun = presence.started_jobs(worker.folder, worker.id) if is_here(worker) else None
    if begun is None or job.id in begun:
        yield f"{job.name} has been running for {ran} on {where}: attempt {job.attempts} of {job.max_attempts}."
    elif job.id in dict(presence.ended_jobs(worker.folder, worker.id) & held(scene.db, worker.id)):
        yield f"{job.name} has ended on {where}, which writes so as soon as it can use the database."
        return
    else:
        yield f"{job.name} was claimed {ran} ago by {where}, and waits there for a free place to run."
    if job.progress is not None or job.progress_message:
        told = " ".join(filter(None, (None if job.progress is None else f"{job.progress:.0%}", job.progress_message)))
        yield f"It last reported {shortened(told, LONGEST_ERROR)}."
    if job.cancel_requested:
        yield (
            "It was asked to cancel: a coroutine or a child process is stopped within about a second, code in a thread "
            "has to look at current_job().cancelled."
        )
        grace = duration(scene.settings.grace)
        yield f"To end it all the same, `lateshift workers stop {worker.id}` interrupts what runs there after {grace}."
    elif job.timeout is not None and job.started_at is not None:
        yield f"Its timeout ends the attempt at {scene.at(job.started_at + timedelta(seconds=job.timeout))}."
    yield from _crashes(job)
    yield from _after_this_attempt(job)


def _after_this_attempt(job: Job) -> Iterator[str]:
    left = job.max_attempts - job.attempts
    if left > 0 and not job.cancel_requested:
        yield f"If it fails, it is retried up to {count(left, 'more time')}."
    elif not job.cancel_requested:
        yield "If it fails, that is final: this is its last attempt."


def _orphaned(scene: _Scene, worker: WorkerRow | None) -> Iterator[str]:
    """A running job whose worker is not there any more."""
    job = scene.job
    began = f"{job.name} was begun {scene.since(job.started_at)} ago on worker {job.worker}"
    if worker is None:
        yield f"{began}, which is not among the workers any more: it died, or signed off without this job."
    else:
        silent = duration((scene.now - worker.heartbeat_at) / 1_000_000)
        yield f"{began}, process {worker.pid} on {worker.host}, which died: its last heartbeat was {silent} ago."
    fate = "it then runs again, and no attempt is used up"
    if job.cancel_requested:
        fate = "it is then cancelled, as an operator has asked"
    elif job.crashes + 1 >= MAX_CRASHES:
        fate += "; if no other job ran beside it, it fails"
    if any(other.id != job.worker for other in scene.alive):
        yield f"Another worker takes it back within about {_until_rescue(worker)}; {fate}."
    elif scene.settings.spawn == "never":
        yield f"It is taken back as soon as a worker starts: `lateshift work`; {fate}."
    else:
        yield f"It is taken back by the next worker: enqueue any job, or start `lateshift work`; {fate}."
    yield from _crashes(job)


def _until_rescue(worker: WorkerRow | None) -> str:
    """How long it takes at most: that a process of this host died is seen, of another one it is told by its silence."""
    here = worker is not None and is_here(worker)
    seen = worker is None or (here and presence.is_alive(worker.folder, worker.id) is False)
    return "a second" if seen else duration(LEASE)


def _crashes(job: Job) -> Iterator[str]:
    if job.crashes and job.status != "failed":
        times = "once" if job.crashes == 1 else f"{job.crashes} times"
        limits = f"it fails after {MAX_CRASHES} times, or after {MAX_SHARED_CRASHES} if others ran beside it"
        yield f"Its worker died under it {times}; {limits}."


def _finished(scene: _Scene) -> Iterator[str]:
    job = scene.job
    yield _how_it_ended(scene)
    if job.status == "failed":
        yield from _why_it_failed(job)
    if job.status == "cancelled":
        yield from _why_it_was_cancelled(job)
    again = "" if job.status == "completed" else f"; `lateshift retry {job.id}` runs it again"
    yield f"Nothing more happens to it{again}."
    if job.finished_at is not None:
        pruned = job.finished_at + timedelta(days=scene.settings.keep_days)
        when = f"at {scene.at(pruned)}" if pruned > scene.moment else "by the next worker that runs"
        yield f"It is deleted {when} (LATESHIFT_KEEP_DAYS={scene.settings.keep_days:g})."


def _how_it_ended(scene: _Scene) -> str:
    job = scene.job
    ended = f"{job.name} {_ended(job.status)} {scene.since(job.finished_at)} ago"
    if job.finished_at is not None:
        ended += f", at {scene.date(job.finished_at)}"
    last = job.history[-1] if job.history else None  # it may have ended long after, as it waited for the next one
    if last is None or last.started_at is None or last.finished_at is None or not job.attempts:
        return f"{ended}."
    took = duration((last.finished_at - last.started_at).total_seconds())
    return f"{ended}: attempt {job.attempts} of {job.max_attempts} ran for {took} on worker {last.worker}."


def _why_it_failed(job: Job) -> Iterator[str]:
    if job.error is not None and job.error.type == WORKER_DIED:
        yield (
            f"Its worker process died under it {job.crashes} times, and a job that brings down its worker so often is "
            'not tried again: look for os._exit, native code that crashes, or memory; isolation="process" contains it.'
        )
    else:
        yield as_sentence(f"Its last error was {_error(job.error)}")
        if job.attempts < job.max_attempts and job.error is not None:
            yield "Such an error is not to be retried."
    yield f"`lateshift show {job.id}` has the traceback of each attempt."


def _why_it_was_cancelled(job: Job) -> Iterator[str]:
    if not job.history:
        yield "It was cancelled before it ever started."
    elif job.error is not None and job.error.type.endswith(".Cancel"):
        yield as_sentence(f"It ended itself (Cancel): {shortened(job.error.message, LONGEST_ERROR)}")
    elif job.cancel_requested:
        yield "An operator asked to cancel it while it was running."
    elif not job.attempts:
        yield "It was cancelled while it waited to run again."
    else:
        yield f"It was cancelled after attempt {job.attempts} of {job.max_attempts}, before the next one."


def _ended(outcome: str) -> str:
    return "was cancelled" if outcome == "cancelled" else outcome


def _error(error: JobError | None) -> str:
    if error is None:
        return "an error that was not recorded"
    return f"{error.type}: {shortened(error.message, LONGEST_ERROR)}" if error.message else error.type
