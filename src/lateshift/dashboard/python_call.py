"""A job as the call that enqueues it: Python that runs when it is pasted, whatever the job's texts hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from lateshift import retry
from lateshift.errors import InvalidOption
from lateshift.job import CallOptions, Job, NewJob
from lateshift.retry import RetryPolicy

WIDTH: Final = 64


def as_python(job: Job, row: NewJob | None, parameters: Mapping[str, Any]) -> str:
    """The call that would enqueue a job like this one. `row` is what it was enqueued with, `parameters` what is shown.

    Every value is written by `repr`, and the name is a string, so nothing in a job can become code.
    """
    options = _options(row)
    policy = _policy(options)
    names = "RetryPolicy, run_background_job" if policy and policy.kind == "exponential" else "run_background_job"
    arguments = [_value(job.name, 4)]
    if parameters:
        arguments.append(f"parameters={_value(dict(parameters), 4)}")
    arguments += [f"priority={job.priority}", f"queue={job.queue!r}", f"max_retries={job.max_attempts - 1}"]
    if policy:
        arguments.append(f"retry_delay={_retry_delay(policy)}")
    if job.timeout is not None:
        arguments.append(f"timeout={job.timeout!r}")
    if options.max_memory is not None:
        arguments.append(f"max_memory={options.max_memory!r}")
    lines = "".join(f"    {argument},\n" for argument in arguments)
    return f"from lateshift import {names}\n\nrun_background_job(\n{lines})\n"


def _value(value: object, indent: int) -> str:
    """A value from JSON as Python; what is too long for a line takes one for each part."""
    flat = repr(value)
    if len(flat) + indent < WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    inner = indent + 4
    if isinstance(value, dict):
        parts = [f"{name!r}: {_value(item, inner)}" for name, item in value.items()]
    else:
        parts = [_value(item, inner) for item in value]
    begin, end = "{}" if isinstance(value, dict) else "[]"
    lines = "".join(f"{' ' * inner}{part},\n" for part in parts)
    return f"{begin}\n{lines}{' ' * indent}{end}"


def _options(row: NewJob | None) -> CallOptions:
    """What was given with the call; nothing if that was written by other hands, or by another version."""
    try:
        return msgspec.json.decode(row.options, type=CallOptions) if row and row.options else CallOptions()
    except (msgspec.DecodeError, RecursionError):
        return CallOptions()


def _policy(options: CallOptions) -> RetryPolicy | None:
    try:
        return retry.decode(options.retry) if options.retry else None
    except InvalidOption:
        return None


def _retry_delay(policy: RetryPolicy) -> str:
    if policy.kind == "exponential":
        step, factor, ceiling = policy.steps[0], policy.factor, policy.ceiling
        return f"RetryPolicy.exponential({step!r}, {factor!r}, {ceiling!r}, jitter={policy.jitter!r})"
    return repr(policy.steps[0] if policy.kind == "fixed" else list(policy.steps))
