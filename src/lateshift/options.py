"""What a job may choose about how it is run: the options of a class or function, and the checks of single values."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any, Final, Literal

import msgspec

from lateshift.durations import LONGEST, check_seconds
from lateshift.errors import InvalidOption, JobNotFound
from lateshift.job import STATUSES, Status, to_microseconds
from lateshift.retry import RetryPolicy, to_policy
from lateshift.texts import is_id, shown, storable

LONGEST_QUEUE_NAME: Final = 100
MOST_RETRIES: Final = 10_000
MOST_LISTED: Final = 1_000_000
LEAST_MEMORY: Final = 1024**2
MOST_MEMORY: Final = 2**62


Transactional = Literal[False, True, "sqlalchemy", "django"]


class JobOptions(msgspec.Struct, frozen=True):
    """The options that a job class or function declares; None where it leaves the choice to the settings."""

    queue: str = "default"
    priority: int = 1
    max_retries: int | None = None
    retry: RetryPolicy | None = None
    timeout: float | None = None
    isolation: Literal["process"] | None = None
    max_memory: int | None = None
    transactional: Transactional = False


_DEFAULTS: Final = JobOptions()


def read_options(job: object, owner: type | None = None) -> JobOptions:
    """The options of a job: from `@background`, and for a class from its attributes and those of its bases.

    What is declared nearest to the class wins; on one class `@background` wins, and on a method of `owner` over all of
    these. Raises InvalidOption naming the class.
    """
    chosen: dict[str, Any] = {}
    for one in (owner, job):
        if isinstance(one, type):
            for base in reversed(one.__mro__):
                chosen |= _of_class(base)
        else:
            chosen |= _declared(getattr(one, "__lateshift__", None))
    return JobOptions(**chosen)


def check_priority(value: object) -> int:
    """A priority from 1 to 10, 10 first. Raises InvalidOption."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10:
        raise InvalidOption(f"The priority is {shown(value)}: give a whole number from 1 to 10; 10 runs first.")
    return int(value)


def check_queue(value: object) -> str:
    """A queue name: up to 100 printable characters, without a space at either end, no path. Raises InvalidOption."""
    if not isinstance(value, str):
        raise InvalidOption(f"The queue is {shown(value)}: give its name as text.")
    if not value.strip():
        raise InvalidOption(f"The queue name {shown(value)} is empty: give a name, or leave it out for 'default'.")
    if len(value) > LONGEST_QUEUE_NAME:
        raise InvalidOption(
            f"The queue name {value[:20]!r}... has {len(value)} characters: give at most {LONGEST_QUEUE_NAME}."
        )
    if not value.isprintable() or value != value.strip() or "," in value:
        raise InvalidOption(
            f"The queue name {shown(value)} has spaces at its ends, a comma, or characters that cannot be printed. "
            "`lateshift work --queues` takes names with commas between them."
        )
    if {".", ".."}.intersection(value.split("/")):
        raise InvalidOption(
            f"The queue name {shown(value)} cannot be part of an address, where . and .. lead elsewhere, and so "
            "would have no page: give another name."
        )
    return value


def check_delay(value: object) -> float:
    """Seconds until a job is due: a number or a timedelta from 0 to ten years. Raises InvalidOption."""
    return check_seconds(value, "The delay")


def check_run_at(value: object, delay: object = 0, now: int | None = None) -> int:
    """The moment when a job is due, as microseconds UTC: an aware datetime, past ones meaning at once.

    Raises InvalidOption for a naive datetime, together with a delay, or more than ten years after `now`.
    """
    if not isinstance(value, datetime):
        raise InvalidOption(
            f"run_at is {shown(value)}: give an aware datetime, such as datetime.now(UTC) + timedelta(hours=1)."
        )
    if value.utcoffset() is None:
        raise InvalidOption(
            f"run_at is {value.isoformat()}, without a time zone: it could mean different moments. "
            "Use datetime.now(UTC), or .astimezone() for local time."
        )
    if delay:
        raise InvalidOption(
            f"Both run_at ({value.isoformat()}) and delay ({shown(delay)}) were given: give one of them."
        )
    try:
        due = to_microseconds(value.astimezone(UTC))
    except (OverflowError, ValueError):
        raise InvalidOption(f"run_at is {value.isoformat()}: that is outside the calendar in UTC.") from None
    if due > (time.time_ns() // 1000 if now is None else now) + LONGEST * 1_000_000:
        raise InvalidOption(f"run_at is {value.isoformat()}: that is more than ten years ahead.")
    return due


def check_timeout(value: object) -> float:
    """Seconds that an attempt may take: a number or a timedelta above 0. Raises InvalidOption."""
    return check_seconds(value, "The timeout", above_zero=True)


def check_retries(value: object) -> int:
    """How often a failed job is tried again: 0 to 10,000. Raises InvalidOption."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_RETRIES:
        raise InvalidOption(f"max_retries is {shown(value)}: give a whole number from 0 to {MOST_RETRIES}.")
    return int(value)


def check_isolation(value: object) -> Literal["process"] | None:
    """How attempts are kept apart: "process" for a child process each, or None. Raises InvalidOption."""
    if value is None:
        return None
    if value == "process":
        return "process"
    raise InvalidOption(
        f'isolation is {shown(value)}: give "process" for a child process per attempt, or leave it out.'
    )


def check_memory(value: object) -> int:
    """Bytes that a job's process may use: a whole number, or text such as "500M"; 1M or more. Raises InvalidOption."""
    size = to_bytes(value) if isinstance(value, str) else value
    if not isinstance(size, int) or isinstance(size, bool) or not LEAST_MEMORY <= size <= MOST_MEMORY:
        raise InvalidOption(
            f'max_memory is {shown(value)}: give bytes, 1,048,576 or more, or text such as "500M" or "2G".'
        )
    return size


def to_bytes(text: str) -> int | None:
    """Bytes for text such as 500M, with K, M or G for the powers of 1024; None when it is no size."""
    found = re.fullmatch(r"(\d{1,12}(?:\.\d+)?)\s*([kmg]?)(?:i?b)?", text.strip().lower())
    return int(float(found[1]) * 1024 ** " kmg".index(found[2] or " ")) if found else None


def check_transactional(value: object) -> Transactional:
    """Whose connection a transactional job gets: the driver's (True) or that of a library. Raises InvalidOption."""
    if value is None or value is False:
        return False
    if value is True:
        return True
    if value == "sqlalchemy":
        return "sqlalchemy"
    if value == "django":
        return "django"
    raise InvalidOption(
        f'transactional is {shown(value)}: give True for a connection of the driver, "sqlalchemy" or "django", '
        "or leave it out."
    )


def check_status(value: object) -> Status:
    """One of the six statuses. Raises InvalidOption."""
    for status in STATUSES:
        if value == status:
            return status
    raise InvalidOption(f"The status is {shown(value)}: give one of {', '.join(STATUSES)}.")


def check_limit(value: object) -> int:
    """How many jobs a list may have: 0 to 1,000,000. Raises InvalidOption."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_LISTED:
        raise InvalidOption(f"The limit is {shown(value)}: give a whole number from 0 to {MOST_LISTED}.")
    return int(value)


def check_name(value: object) -> str:
    """A callable path to look for, or a part of one. Raises InvalidOption."""
    if not isinstance(value, str) or storable(value) != value:
        raise InvalidOption(f"The name is {shown(value)}: give a callable path or a part of one, as text.")
    return value


def check_id(value: object) -> str:
    """A job's id. Raises InvalidOption for what is no text, JobNotFound for text that cannot be an id."""
    if not isinstance(value, str):
        raise InvalidOption(
            f"The job's id is of type {type(value).__name__}: give text, as run_background_job returned it, job.id, or "
            "str(id) for a UUID."
        )
    if not is_id(value):
        raise JobNotFound(value)
    return value


def _retry_policy(value: object) -> RetryPolicy:
    return to_policy(value.__func__ if isinstance(value, staticmethod) else value)


_ATTRIBUTES: Final[dict[str, tuple[str, Callable[[object], Any]]]] = {
    "queue": ("queue", check_queue),
    "priority": ("priority", check_priority),
    "max_retries": ("max_retries", check_retries),
    "retry_delay": ("retry", _retry_policy),
    "retry": ("retry", _retry_policy),
    "timeout": ("timeout", check_timeout),
    "isolation": ("isolation", check_isolation),
    "max_memory": ("max_memory", check_memory),
    "transactional": ("transactional", check_transactional),
}
"""Class attribute -> field of JobOptions and check; of `retry` and `retry_delay` the former wins."""


_OFTEN_WRITTEN: Final = {
    **dict.fromkeys(("max_retry", "max_retrys", "retries", "tries", "max_tries"), "max_retries"),
    **dict.fromkeys(("attempts", "max_attempts"), "max_retries"),
    **dict.fromkeys(("isolate", "isolated"), "isolation"),
    "backoff": "retry_delay",
    "max_mem": "max_memory",
    "prio": "priority",
}
"""What is further from the option, or what other job runners call it."""


def refuse_misspelt(owner: type) -> None:
    """Raise InvalidOption where a class or a base declares what is nearly the name of an option, with a value for it.

    Any other attribute is the user's own, and one beside the option that it is near is so too.
    """
    declared = {name: (base, value) for base in reversed(owner.__mro__) for name, value in vars(base).items()}
    for name, (base, value) in declared.items():
        if name.startswith("_") or name in _ATTRIBUTES or value is None or callable(value):
            continue
        for option, (_, check) in _ATTRIBUTES.items():
            near = _OFTEN_WRITTEN.get(name) == option or _near(name, option)
            if near and option not in declared and _fits(value, check):
                counts = " It counts the attempts after the first." if option == "max_retries" else ""
                raise InvalidOption(
                    f"{base.__module__}.{base.__qualname__} has {name!r}, which is no option: did you mean {option!r}?"
                    f"{counts} Call an attribute of your own something else."
                )


def _near(name: str, option: str) -> bool:
    """Whether one slip makes the difference; or two in a long name, none of which is another letter or begins a word.

    So `max_entries` and `max_replies` are not taken for `max_retries`.
    """
    initials = [[word[:1] for word in text.split("_")] for text in (name, option)]
    long = len(option) >= 8 and initials[0] == initials[1]
    return _slips_apart(name, option, 1, other_letters=True) or (long and _slips_apart(name, option, 2))


def _slips_apart(one: str, other: str, slips: int, *, other_letters: bool = False) -> bool:
    """Whether so many slips at most make the difference: a letter too many or too few, two swapped, another one."""
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    start = sum(1 for _ in alike)
    one, other = one[start:], other[start:]
    if not slips or one == other:
        return one == other
    ways = [(one[1:], other), (one, other[1:]), (one[1::-1] + one[2:], other)]
    ways += [(one[1:], other[1:])] if other_letters else []
    return any(_slips_apart(*way, slips - 1, other_letters=other_letters) for way in ways)


def _fits(value: object, check: Callable[[object], Any]) -> bool:
    try:
        check(value)
    except InvalidOption:
        return False
    return True


def _of_class(owner: type) -> dict[str, Any]:
    """What one class declares itself, without its bases."""
    chosen: dict[str, Any] = {}
    attributes = vars(owner)
    for name, (option, check) in _ATTRIBUTES.items():
        if name not in attributes:
            continue
        value = attributes[name]
        if value is None:  # undoes what a base has declared
            chosen.setdefault(option, getattr(_DEFAULTS, option))
            continue
        label = f"{owner.__module__}.{owner.__qualname__}.{name}"
        if getattr(value, "__qualname__", "") == f"{owner.__qualname__}.{name}" and not isinstance(value, staticmethod):
            raise InvalidOption(
                f"{label} is a method or descriptor, but this name sets an option of the job. Call it something else."
            )
        try:
            chosen[option] = check(value)
        except InvalidOption as error:
            raise InvalidOption(f"{label}: {error}") from None
    return chosen | _declared(attributes.get("__lateshift__"))


def _declared(options: object) -> dict[str, Any]:
    """What `@background` was given; no option that has its default value."""
    if not isinstance(options, JobOptions):
        return {}
    values = msgspec.structs.asdict(options)
    return {name: value for name, value in values.items() if value != getattr(_DEFAULTS, name)}
