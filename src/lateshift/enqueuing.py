"""From a call as the user writes it to the row that is stored: every check of enqueuing is here, before any SQL."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from lateshift import codec, retry
from lateshift.allowlist import AllowList
from lateshift.errors import InvalidJob, InvalidOption, InvalidParameters, SpawnError, StorageError
from lateshift.job import CallOptions, NewJob
from lateshift.options import (
    check_delay,
    check_memory,
    check_priority,
    check_queue,
    check_retries,
    check_run_at,
    check_timeout,
    refuse_misspelt,
)
from lateshift.outcome import EnqueuedByImport
from lateshift.settings import Settings
from lateshift.signature import Signature
from lateshift.target import Target, importing, resolve, resolve_job
from lateshift.texts import shown


class Call(msgspec.Struct, frozen=True):
    """One job to be enqueued, for `enqueue_many`; the fields are the arguments of `run_background_job`."""

    job: object
    method: str = "handle"
    parameters: Mapping[str, Any] | None = None
    priority: int | None = None
    delay: float | timedelta = 0
    queue: str | None = None
    run_at: datetime | None = None
    max_retries: int | None = None
    retry_delay: retry.RetryLike | None = None
    timeout: float | timedelta | None = None
    max_memory: int | str | None = None


def calls_of(given: Iterable[Call]) -> list[Call]:
    """The calls that `enqueue_many` was given. Raises InvalidJob for anything else than Call objects."""
    if isinstance(given, Iterable):
        calls = list(given)
        if all(isinstance(call, Call) for call in calls):
            return calls
    raise InvalidJob(
        f"enqueue_many was given {shown(given)}: give a list of Call objects, such as "
        '[Call("app.jobs.send_receipt", parameters={"order_id": 1})].'
    )


class Preparation:
    """Turns calls into rows. Remembers what each callable resolved to, since most programs enqueue a few, often.

    And what stood at the top of its module then, for as long as that stands there: `importlib.reload`, notebooks, and
    Streamlit at each click put new code in its place. The old one, with all that its program had read, is forgotten.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._allow = AllowList(settings.allowed)
        self._targets: dict[tuple[object, str], tuple[Target, object]] = {}

    def prepare(self, call: Call, now: int) -> NewJob:
        """The row for a call. Raises InvalidJob, or one of its subclasses, with what is wrong and what to do."""
        if (module := importing()) is not None:
            raise EnqueuedByImport(
                f"A job was enqueued while Lateshift was importing {module!r} in order to run one: it would enqueue "
                'itself for ever. Put the enqueuing under `if __name__ == "__main__":`, or into a function.'
            )
        target = self.target(call.job, call.method)
        options = target.options
        if target.executor != "process" and (call.max_memory or options.max_memory):
            raise InvalidOption(
                f"{target.path} has a max_memory, but runs in a worker's own process, where nobody can tell its memory "
                'from that of others: give it isolation="process" as well.'
            )
        retries = call.max_retries if call.max_retries is not None else options.max_retries
        return NewJob(
            new_id(now),
            target.path,
            options.queue if call.queue is None else check_queue(call.queue),
            target.executor,
            options.priority if call.priority is None else check_priority(call.priority),
            target.signature.check(
                {} if call.parameters is None else call.parameters, self._settings.max_parameters, self._settings.redact
            ),
            self._settings.max_retries if retries is None else check_retries(retries),
            _due(call, now),
            now,
            _overrides(call),
        )

    def again(self, old: NewJob, now: int, parameters: Mapping[str, Any] | None = None) -> NewJob:
        """The row for one more job like an old one, due at once, with other parameters if given.

        They are checked against the signature of today. Raises InvalidJob or a subclass.
        """
        key = old.name, ""
        target = self._known(key) or self._learnt(key, resolve(old.name, self._allow))
        if parameters is None:
            text = old.parameters
            target.signature.bind(text, self._settings.redact)
        else:
            text = self._as_text(target.signature, parameters)
        return msgspec.structs.replace(
            old, id=new_id(now), executor=target.executor, parameters=text, run_at=now, enqueued_at=now
        )

    def _as_text(self, signature: Signature, parameters: Mapping[str, Any]) -> str:
        """Parameters as somebody has edited them as JSON: a date is text there, which `check` may not take for one."""
        limit, hide = self._settings.max_parameters, self._settings.redact
        try:
            return signature.check(parameters, limit, hide)
        except InvalidParameters as refused:
            try:
                text = codec.to_json(dict(parameters))
                signature.bind(text.decode(), hide)
            except (InvalidParameters, TypeError, ValueError):  # neither way, no dict, nothing for JSON
                raise refused from None
            if len(text) > limit:
                raise signature.refusal_of_size(parameters, len(text), limit) from None
            return text.decode()

    def target(self, job: object, method: str) -> Target:
        """What a job and its method resolve to, checked against the allow-list."""
        key = job, method
        try:
            known = self._known(key)
        except TypeError:  # not hashable: no job, or a class whose metaclass has an __eq__
            return self._resolve(job, method)
        return known or self._learnt(key, self._resolve(job, method))

    def _known(self, key: tuple[object, str]) -> Target | None:
        target, top = self._targets.get(key, (None, None))
        return target if target is not None and _top(target) is top else None

    def _learnt(self, key: tuple[object, str], target: Target) -> Target:
        for other, (known, top) in self._targets.copy().items():
            if _top(known) is not top:
                self._targets.pop(other, None)
        self._targets[key] = target, _top(target)
        return target

    def _resolve(self, job: object, method: str) -> Target:
        target = resolve_job(job, method, self._allow)
        if target.owner is not None:
            refuse_misspelt(target.owner)
        return target


def _top(target: Target) -> object:
    """What stands at the top of the module that a target is in, by the name of the class or function."""
    thing: Any = target.owner or target.function
    names: dict[str, object] = getattr(sys.modules.get(thing.__module__), "__dict__", {})
    return names.get(thing.__qualname__.partition(".")[0])


_last = 0


def new_id(now: int) -> str:
    """A unique id that sorts by time: a UUID of version 7 (RFC 9562), with microseconds in its first random bits.

    Those of one process grow in the order in which they are made: of several asked for at once, each is 1 µs later.
    """
    global _last  # noqa: PLW0603 - the order of this process's ids; threads that meet here only get equal times
    now = _last = max(now, _last + 1)
    milliseconds, micros = divmod(now, 1000)
    high = f"{milliseconds:012x}7{micros * 4:03x}"
    low = os.urandom(8).hex()
    variant = "89ab"[int(low[0], 16) & 3]
    return f"{high[:8]}-{high[8:12]}-{high[12:]}-{variant}{low[1:4]}-{low[4:]}"


def _due(call: Call, now: int) -> int:
    if call.run_at is not None:
        return check_run_at(call.run_at, call.delay, now)
    return now if call.delay == 0 else now + round(check_delay(call.delay) * 1_000_000)


def _overrides(call: Call) -> str | None:
    if call.retry_delay is None and call.timeout is None and call.max_memory is None:
        return None
    policy = None if call.retry_delay is None else retry.encode(retry.to_policy(call.retry_delay))
    timeout = None if call.timeout is None else check_timeout(call.timeout)
    memory = None if call.max_memory is None else check_memory(call.max_memory)
    return msgspec.json.encode(CallOptions(retry=policy, timeout=timeout, max_memory=memory)).decode()


def tell_trouble(error: SpawnError | StorageError, ids: Sequence[str], *, in_transaction: bool) -> None:
    """Say that jobs are stored and perhaps nobody runs them: raise SpawnError, as another attempt would double them.

    In a caller's transaction, which an exception would roll back, it is an error in the log of `lateshift` instead.
    """
    if not in_transaction and isinstance(error, SpawnError):
        raise error
    if not in_transaction:
        raise SpawnError(f"Whether a worker is there to run it could not be found out. {error}", tuple(ids)) from error
    import logging  # only this needs it

    more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
    logging.getLogger("lateshift").error("Enqueued in your transaction: job %s%s. %s", ids[0], more, error)
