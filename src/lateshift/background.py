"""Enqueueing a callable by its own, typed signature: the `@background` decorator and the `BackgroundJob` base class.

mypy does not apply class decorators (python/mypy#3135), so under it `@background class X` leaves `X.enqueue` unknown,
where pyright knows it. A class that derives from `BackgroundJob` is typed under both.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from types import MethodType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Generic,
    NoReturn,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from lateshift.default import get_app
from lateshift.enqueuing import Call
from lateshift.errors import InvalidJob, InvalidOption
from lateshift.keywords import guiding, refuse_unknown
from lateshift.options import (
    JobOptions,
    Transactional,
    check_isolation,
    check_memory,
    check_priority,
    check_queue,
    check_retries,
    check_timeout,
    check_transactional,
)
from lateshift.positions import by_name
from lateshift.retry import RetryLike, to_policy
from lateshift.target import BOUND
from lateshift.target_kinds import is_function

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
R_co = TypeVar("R_co", covariant=True)
T_co = TypeVar("T_co", covariant=True)


class HasHandle(Protocol[P, R_co]):
    """A job class: what its `handle` method takes is what its `enqueue` takes."""

    def handle(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the job."""


class _CallOptions(TypedDict, total=False):
    delay: float | timedelta
    priority: int | None
    queue: str | None
    run_at: datetime | None
    max_retries: int | None
    retry_delay: RetryLike | None
    timeout: float | timedelta | None
    max_memory: int | str | None


class EnqueueOptions(_CallOptions, total=False):
    """What `.options(...)` takes: as the arguments of `run_background_job` of the same names."""

    connection: object | None


_NAMES: Final = tuple(EnqueueOptions.__annotations__)


class Enqueueing(Generic[P]):
    """How to enqueue one callable with certain options; made by `.options(...)`."""

    def __init__(self, job: object, *, connection: object | None = None, **chosen: Unpack[_CallOptions]) -> None:
        refuse_unknown("options()", chosen, _NAMES)
        self._job = job
        self._connection = connection
        self._chosen = chosen

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> str:
        """Store the job and return its id; takes what the callable takes. Raises as `run_background_job`."""
        return get_app().enqueue_many([self._call(args, kwargs)], connection=self._connection)[0]

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> str:
        """As `enqueue`, for async code."""
        return (await get_app().aenqueue_many([self._call(args, kwargs)], connection=self._connection))[0]

    def call(self, /, *args: P.args, **kwargs: P.kwargs) -> Call:
        """The call itself, for `enqueue_many`. Raises InvalidOption with `connection`, which is for all calls."""
        if self._connection is not None:
            raise InvalidOption("A call has no connection of its own: use `enqueue_many(calls, connection=...)`.")
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        parameters = by_name(self._job, args, kwargs, EnqueueOptions.__annotations__)
        return Call(self._job, parameters=parameters, **self._chosen)


class BackgroundFunction(Generic[P, R]):
    """A function that can be called as before, and enqueued."""

    def __init__(self, function: Callable[P, R], options: JobOptions) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.__lateshift__ = options
        if sys.version_info >= (3, 12):
            import inspect  # 13 ms, though today dataclasses imports it as well

            if inspect.iscoroutinefunction(function):
                inspect.markcoroutinefunction(self)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, as if it had no decorator."""
        return self.function(*args, **kwargs)

    @overload
    def __get__(self, instance: None, owner: object = None, /) -> BackgroundFunction[P, R]: ...
    @overload
    def __get__(
        self: BackgroundFunction[Concatenate[S, Q], R], instance: S, owner: object = None, /
    ) -> Callable[Q, R]: ...
    def __get__(self, instance: object, owner: object = None, /) -> Any:
        """In a class it is a method, as every function is; that of an object can be called, but not enqueued."""
        home = str(vars(self)["__qualname__"]).rpartition(".")[0]
        if not home or home.endswith("<locals>"):  # no method, only a function that the class refers to
            return self if instance is None else MethodType(self, instance)
        # An instance may be a class: that of a @classmethod, which up to Python 3.12 asks here.
        holder = owner if instance is None else instance
        at_home = isinstance(holder, type) and (holder.__module__, holder.__qualname__) == (self.__module__, home)
        if instance is not None:
            return MethodType(self if at_home else self._of_object, instance)
        is_own = at_home or _attribute(holder, self.function.__name__, None) is not self
        return self if is_own else _Inherited(self, holder)

    @functools.cached_property
    def _of_object(self) -> _OfObject[P, R]:
        return _OfObject(self.function, self.__lateshift__)

    def __reduce__(self) -> str | tuple[Any, ...]:
        """It is pickled by its name, as every function is."""
        return str(vars(self)["__qualname__"])

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> str:
        """Store the job and return its id; takes what the function takes. Raises as `run_background_job`."""
        return self.options().enqueue(*args, **kwargs)

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> str:
        """As `enqueue`, for async code."""
        return await self.options().aenqueue(*args, **kwargs)

    def call(self, /, *args: P.args, **kwargs: P.kwargs) -> Call:
        """The call itself, for `enqueue_many`."""
        return self.options().call(*args, **kwargs)

    def options(self, **chosen: Unpack[EnqueueOptions]) -> Enqueueing[P]:
        """The same job with other options: `send.options(delay=60).enqueue(to="a@example.com")`."""
        return Enqueueing(self, **chosen)

    if sys.version_info < (3, 12):

        @property
        def _is_coroutine(self) -> object:
            """Where asyncio, which alone asks for it, looks whether a call has to be awaited; 3.12 brought the mark."""
            from asyncio import coroutines

            return coroutines.iscoroutinefunction(self.function) and vars(coroutines)["_is_coroutine"]

    if not TYPE_CHECKING:  # to which it would say that there is every attribute

        def __getattr__(self, name: str) -> NoReturn:
            own = getattr(self.__dict__.get("function"), "__qualname__", "a background function")
            raise AttributeError(f"{own} has no {name!r}{_INSTEAD.get(name, '.')}", name=name, obj=self)


class _OfObject(BackgroundFunction[P, R]):
    """A method of an object. Only the method's name would be stored, and an object of the worker's be its `self`."""

    def options(self, **chosen: Unpack[EnqueueOptions]) -> NoReturn:
        raise InvalidJob(f"{vars(self)['__qualname__']} cannot be a job: {BOUND}")


class _Inherited(BackgroundFunction[P, R]):
    """A method of a class that has it from another: its job is for an instance of that class, with its options."""

    def __init__(self, method: BackgroundFunction[P, R], owner: Any) -> None:
        super().__init__(method.function, method.__lateshift__)
        self.__lateshift_owner__ = owner
        self._key = (self.function, owner)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Inherited) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self.__lateshift_owner__, self.function.__name__)


_INSTEAD: Final = {
    "delay": ": use .enqueue(...), and .options(delay=60).enqueue(...) to run it later.",
    "s": ": there are no chains yet. Let the job enqueue what comes after it.",
    "apply_async": ": use .enqueue(...), and .options(delay=60, priority=5).enqueue(...) for options.",
}
"""What to write for what Celery calls so."""


class BackgroundJob:
    """Base of job classes that are enqueued by the signature of their `handle` method, under every type checker.

    class ProcessOrder(BackgroundJob):
        priority = 5

        def handle(self, order_id: int) -> None: ...

    ProcessOrder.enqueue(order_id=123)
    """

    @classmethod
    def enqueue(cls: type[HasHandle[P, Any]], /, *args: P.args, **kwargs: P.kwargs) -> str:
        """Store the job and return its id; takes what `handle` takes. Raises as `run_background_job`."""
        return Enqueueing[P](cls).enqueue(*args, **kwargs)

    @classmethod
    async def aenqueue(cls: type[HasHandle[P, Any]], /, *args: P.args, **kwargs: P.kwargs) -> str:
        """As `enqueue`, for async code."""
        return await Enqueueing[P](cls).aenqueue(*args, **kwargs)

    @classmethod
    def call(cls: type[HasHandle[P, Any]], /, *args: P.args, **kwargs: P.kwargs) -> Call:
        """The call itself, for `enqueue_many`."""
        return Enqueueing[P](cls).call(*args, **kwargs)

    @classmethod
    def options(cls: type[HasHandle[P, Any]], **chosen: Unpack[EnqueueOptions]) -> Enqueueing[P]:
        """The same job with other options: `ProcessOrder.options(delay=60).enqueue(order_id=123)`."""
        return Enqueueing(cls, **chosen)


class BackgroundClass(Protocol[P, T_co]):
    """A job class after `@background`: the class itself, with what `BackgroundJob` has added."""

    def __call__(self, *args: Any, **kwargs: Any) -> T_co:
        """Make an instance, as before."""

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> str:
        """As `BackgroundJob.enqueue`."""

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> str:
        """As `enqueue`, for async code."""

    def call(self, /, *args: P.args, **kwargs: P.kwargs) -> Call:
        """The call itself, for `enqueue_many`."""

    def options(self, **chosen: Unpack[EnqueueOptions]) -> Enqueueing[P]:
        """The same job with other options."""


class Decorator(Protocol):
    """What `background(queue=...)` returns."""

    # A class is a callable too, but its own parameters are not those of the job: hence the overlap, in this order.
    @overload
    def __call__(self, job: type[HasHandle[P, Any]], /) -> BackgroundClass[P, Any]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, job: Callable[P, R], /) -> BackgroundFunction[P, R]: ...


@overload
def background(job: type[HasHandle[P, Any]], /) -> BackgroundClass[P, Any]: ...  # type: ignore[overload-overlap]
@overload
def background(job: Callable[P, R], /) -> BackgroundFunction[P, R]: ...
@overload
def background(
    *,
    queue: str = ...,
    priority: int = ...,
    max_retries: int | None = ...,
    retry: RetryLike | None = ...,
    timeout: float | timedelta | None = ...,
    isolation: str | None = ...,
    max_memory: int | str | None = ...,
    transactional: Transactional = ...,
) -> Decorator: ...
@guiding
def background(
    job: Any = None,
    /,
    *,
    queue: str = "default",
    priority: int = 1,
    max_retries: int | None = None,
    retry: RetryLike | None = None,
    timeout: float | timedelta | None = None,
    isolation: str | None = None,
    max_memory: int | str | None = None,
    transactional: Transactional = False,
) -> Any:
    """Make a function, or a class with a `handle` method, enqueueable by its own signature.

    `retry` is seconds, a list of seconds, a function or a RetryPolicy; `timeout` is in seconds; `isolation="process"`
    runs each attempt in a child process, which may use `max_memory` (bytes, or text such as "500M"); with
    `transactional` True, "sqlalchemy" or "django" what the job writes on `current_job().connection` and its completion
    are one transaction. The allow-list applies as to any other callable. Raises InvalidOption, and InvalidJob
    for what is no function and no class.
    """
    options = JobOptions(
        queue=check_queue(queue),
        priority=check_priority(priority),
        max_retries=None if max_retries is None else check_retries(max_retries),
        retry=None if retry is None else to_policy(retry),
        timeout=None if timeout is None else check_timeout(timeout),
        isolation=check_isolation(isolation),
        max_memory=None if max_memory is None else check_memory(max_memory),
        transactional=check_transactional(transactional),
    )
    if job is None:
        return functools.partial(_decorate, options=options)
    return _decorate(job, options)


def _decorate(job: Any, options: JobOptions) -> Any:
    if is_function(job):
        return BackgroundFunction(job, options)
    if not isinstance(job, type):
        raise InvalidJob(f"@background {_misplaced(job)}")
    cls = cast("Any", job)
    cls.__lateshift__ = options
    for name in ("enqueue", "aenqueue", "call", "options"):
        ours = BackgroundJob.__dict__[name]
        if _attribute(cls, name, ours) is not ours:
            raise InvalidOption(
                f"{cls.__qualname__} has a {name!r} of its own, but @background gives the class one to enqueue it by. "
                "Call it something else."
            )
        setattr(cls, name, ours)
    return cls


def _attribute(cls: Any, name: str, default: object) -> object:
    """What stands in a class, or the nearest of its bases, by a name."""
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), default)


def _misplaced(job: object) -> str:
    """What is wrong with `@background` on what is no function and no class, and what to do."""
    if isinstance(job, staticmethod | classmethod):
        return f"stands above @{type(job).__name__}: put it below, right above the `def`."
    if isinstance(job, BackgroundFunction):
        return f"stands twice above {vars(job)['__qualname__']}: leave one out."
    kind = type(job)
    return (
        f"takes functions and classes, and this is an object of type {kind.__module__}.{kind.__qualname__}: put it "
        "right above the `def`, or write a function that calls the object."
    )
