"""Which functions and classes can be jobs, and where they run."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Final, TypeGuard

from lateshift.errors import InvalidJob
from lateshift.hints import signature_of
from lateshift.job import ExecutorKind
from lateshift.options import JobOptions

FUNCTIONS: Final = (FunctionType, type(lambda: None))
"""The types of functions that are written in Python: one, but for a program that Nuitka has compiled, whose own have
another type, as ours have that are compiled with it."""


def is_function(thing: object) -> TypeGuard[FunctionType]:
    """Whether a thing is a function, whatever it says of itself."""
    return type(thing) in FUNCTIONS


def check_kind(function: FunctionType, path: str) -> None:
    """Raise InvalidJob for a generator, and for what `functools.singledispatch` makes."""
    import inspect  # 13 ms, though today dataclasses imports it as well

    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidJob(f"{path!r} is a generator: calling it would run nothing. Return a list instead of yielding.")
    if function.__globals__ is vars(functools) and hasattr(function, "dispatch"):
        raise InvalidJob(
            f"{path!r} is a singledispatch function: it chooses by its first argument by position, and jobs are called "
            "with names. Write a function that calls it."
        )


def check_instantiable(owner: type) -> None:
    """Raise InvalidJob for a class of which no instance can be made without arguments."""
    import inspect

    if inspect.isabstract(owner) or getattr(owner, "_is_protocol", False):
        raise InvalidJob(
            f"{owner.__qualname__} is abstract or a Protocol, and each attempt makes an instance of it: pass a "
            "concrete class."
        )
    try:
        parameters = signature_of(owner).parameters.values()
    except (TypeError, ValueError):
        return  # C code that does not tell
    for item in parameters:
        if item.default is item.empty and item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD):
            raise InvalidJob(
                f"{owner.__qualname__} needs {item.name!r} to be made, but each attempt makes an instance without "
                f"arguments: give it a default, or make {item.name!r} a parameter of the method."
            )


def executor_of(function: FunctionType, options: JobOptions, path: str) -> ExecutorKind:
    """Where a function runs. Raises InvalidJob for a coroutine that is to be transactional."""
    import inspect

    if options.transactional and inspect.iscoroutinefunction(function):
        raise InvalidJob(
            f"{path!r} is `async def`, and a transactional job has a connection of a driver that waits: write it with "
            "`def`, or leave `transactional` out."
        )
    if options.isolation == "process":
        return "process"
    return "loop" if inspect.iscoroutinefunction(function) else "thread"
