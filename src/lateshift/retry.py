"""How long to wait before a job is tried again, and after which exceptions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import force_setattr

from lateshift.durations import LONGEST, check_seconds
from lateshift.errors import InvalidOption
from lateshift.outcome import Retry
from lateshift.texts import shown

FALLBACK: Final = 5.0
"""Seconds to wait when a job's own retry function breaks; its error must not take the retries away."""

RetryFunction = Callable[[int, BaseException], float | timedelta | None]
"""(attempt that failed, its exception) -> seconds to wait, or None for "do not retry this"."""

Exceptions = tuple[type[BaseException], ...]


class RetryPolicy(msgspec.Struct, frozen=True):
    """How long to wait, and for which exceptions; made by `fixed`, `exponential`, `delays` or `function`.

    `only` lists the exception types worth a retry, `never` those that are not; `never` wins. A job that raises `Retry`
    asks for it outright, so neither applies. Seconds are numbers or timedeltas. All raise InvalidOption.
    """

    kind: Literal["fixed", "exponential", "delays", "function"]
    steps: tuple[float, ...] = ()
    factor: float = 2.0
    ceiling: float = 3600.0
    jitter: bool = False
    compute: RetryFunction | None = None
    only: Exceptions = ()
    never: Exceptions = ()

    def __post_init__(self) -> None:
        if self.kind == "function":
            _function(self.compute)
        elif self.kind in ("fixed", "exponential", "delays"):
            force_setattr(self, "steps", _steps(self.steps))
        else:
            raise InvalidOption(
                f"There is no retry policy {shown(self.kind)}: make one with RetryPolicy.fixed, exponential, delays or "
                "function."
            )
        force_setattr(self, "factor", _factor(self.factor))
        force_setattr(self, "ceiling", check_seconds(self.ceiling, "The ceiling of the retry delay"))
        force_setattr(self, "only", _types(self.only, "only"))
        force_setattr(self, "never", _types(self.never, "never"))

    @classmethod
    def fixed(cls, seconds: float | timedelta, *, only: Sequence[type] = (), never: Sequence[type] = ()) -> RetryPolicy:
        """The same wait before each retry."""
        step = check_seconds(seconds, "The retry delay")
        return cls("fixed", (step,), only=_types(only, "only"), never=_types(never, "never"))

    @classmethod
    def exponential(
        cls,
        base: float | timedelta = 5,
        factor: float = 2,
        ceiling: float | timedelta = 3600,
        *,
        jitter: bool = True,
        only: Sequence[type] = (),
        never: Sequence[type] = (),
    ) -> RetryPolicy:
        """`base` seconds, then `factor` times as long each time, at most `ceiling`.

        With jitter each wait is between half of that and all of it, so that jobs which failed together do not return
        together (the "equal jitter" of the AWS Architecture Blog, 2015-03-04).
        """
        return cls(
            "exponential",
            (check_seconds(base, "The first retry delay"),),
            factor=_factor(factor),
            ceiling=check_seconds(ceiling, "The ceiling of the retry delay"),
            jitter=bool(jitter),
            only=_types(only, "only"),
            never=_types(never, "never"),
        )

    @classmethod
    def delays(
        cls, steps: Sequence[float | timedelta], *, only: Sequence[type] = (), never: Sequence[type] = ()
    ) -> RetryPolicy:
        """One wait for each retry; the last one repeats, and how many retries there are is for `max_retries` to say."""
        return cls("delays", _steps(steps), only=_types(only, "only"), never=_types(never, "never"))

    @classmethod
    def function(cls, compute: RetryFunction, *, only: Sequence[type] = (), never: Sequence[type] = ()) -> RetryPolicy:
        """A function of (attempt, exception) that returns seconds, or None not to try again."""
        return cls("function", compute=_function(compute), only=_types(only, "only"), never=_types(never, "never"))

    def delay(self, attempt: int, exception: BaseException, random: Callable[[], float] | None = None) -> float | None:
        """Seconds to wait after the failure of an attempt (1 for the first), or None when it is not to be tried again.

        `random` gives numbers from 0 to 1 for the jitter.
        """
        if not isinstance(exception, Retry) and not self._worth(exception):
            return None
        if self.compute is not None:
            return _computed(self.compute, attempt, exception)
        if self.kind == "exponential":
            return self._exponential(attempt, random)
        return self.steps[min(max(attempt, 1), len(self.steps)) - 1]

    def _worth(self, exception: BaseException) -> bool:
        if isinstance(exception, self.never):
            return False
        return not self.only or isinstance(exception, self.only)

    def _exponential(self, attempt: int, random: Callable[[], float] | None) -> float:
        try:
            wait = min(self.ceiling, self.steps[0] * self.factor ** (max(attempt, 1) - 1))
        except OverflowError:
            wait = self.ceiling if self.steps[0] else 0.0
        if not self.jitter:
            return wait
        if random is None:
            import random as standard  # 8 ms that a program without jitter need not pay

            random = standard.random
        return wait * (0.5 + random() / 2)


RetryLike = float | timedelta | Sequence[float | timedelta] | RetryFunction | RetryPolicy
"""What users may give for a retry policy: seconds, a list of seconds, a function, or a policy."""


def to_policy(value: object) -> RetryPolicy:
    """The policy that a RetryLike stands for. Raises InvalidOption for anything else."""
    if isinstance(value, RetryPolicy):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return RetryPolicy.delays(value)
    if callable(value) and not isinstance(value, type):
        return RetryPolicy.function(value)
    if isinstance(value, int | float | timedelta):
        return RetryPolicy.fixed(value)
    raise InvalidOption(
        f"The retry delay is {shown(value)}: give seconds, a timedelta, a list of seconds, a function or a RetryPolicy."
    )


def encode(policy: RetryPolicy) -> dict[str, Any]:
    """A policy as it is stored with one call. Raises InvalidOption for what is code: a function, exception types."""
    if policy.kind == "function" or policy.only or policy.never:
        what = "a function" if policy.kind == "function" else "exception types (only=, never=)"
        raise InvalidOption(
            f"A retry policy with {what} cannot be stored with a single call. Put it on the job: "
            "@background(retry=...), or the class attribute `retry`."
        )
    stored: dict[str, Any] = {"kind": policy.kind, "steps": list(policy.steps)}
    if policy.kind == "exponential":
        stored |= {"factor": policy.factor, "ceiling": policy.ceiling, "jitter": policy.jitter}
    return stored


def decode(stored: Mapping[str, Any]) -> RetryPolicy:
    """The policy that `encode` wrote. Raises InvalidOption for anything else."""
    steps = stored.get("steps")
    if isinstance(steps, list) and steps:
        match stored.get("kind"):
            case "fixed":
                return RetryPolicy.fixed(steps[0])
            case "delays":
                return RetryPolicy.delays(steps)
            case "exponential":
                options = {name: stored[name] for name in ("factor", "ceiling", "jitter") if name in stored}
                return RetryPolicy.exponential(steps[0], **options)
    raise InvalidOption(f"The stored retry policy {shown(dict(stored))} is none that this version knows.")


def _computed(compute: RetryFunction, attempt: int, exception: BaseException) -> float | None:
    try:
        value = compute(attempt, exception)
        if value is None:
            return None
        seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
        if math.isnan(seconds) or isinstance(value, bool):
            raise ValueError(f"it returned {value}, which is no number of seconds")
    except Exception:
        import logging  # only a broken function needs it

        logging.getLogger("lateshift").exception("The retry function failed; the job waits %g seconds.", FALLBACK)
        return FALLBACK
    return min(max(seconds, 0.0), LONGEST)


def _factor(given: object) -> float:
    if isinstance(given, int | float) and not isinstance(given, bool) and 1 <= given <= 1000:
        return float(given)
    raise InvalidOption(f"The retry factor is {shown(given)}: give a number from 1 to 1000.")


def _steps(given: object) -> tuple[float, ...]:
    if isinstance(given, Sequence) and not isinstance(given, str | bytes) and given:
        return tuple(check_seconds(step, "A retry delay") for step in given)
    raise InvalidOption(f"The retry delays are {shown(given)}: give a list of seconds, such as [1, 10, 60].")


def _function(given: object) -> RetryFunction:
    import inspect  # 13 ms that a program without such a function need not pay

    if not callable(given) or isinstance(given, type):
        raise InvalidOption(f"The retry function is {shown(given)}: give a function of (attempt, exception).")
    if inspect.iscoroutinefunction(given) or inspect.iscoroutinefunction(type(given).__call__):
        raise InvalidOption(f"The retry function is {shown(given)}, which is async: give one that nobody has to await.")
    return given


def _types(given: Any, name: str) -> Exceptions:
    types = tuple(given) if isinstance(given, Sequence | set | frozenset) else (given,)
    for item in types:
        if not (isinstance(item, type) and issubclass(item, BaseException)):
            raise InvalidOption(f"{name}= has {shown(item)}: give exception types, such as {name}=(ConnectionError,).")
    return types
