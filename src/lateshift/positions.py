"""Arguments given by position: a job is stored with its parameters by name, so they get those of the signature."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from typing import Any, cast

from lateshift.errors import InvalidParameters
from lateshift.hints import signature_of


def by_name(job: object, args: tuple[Any, ...], kwargs: dict[str, Any], options: Iterable[str]) -> dict[str, Any]:
    """The arguments of a call of a job, which is a class or a background function, each by its name.

    Raises InvalidParameters, also for one of the `options` that no parameter takes.
    """
    asked = kwargs.keys() & options
    if not args and not asked:
        return kwargs

    handle = cast("Any", job).handle if isinstance(job, type) else cast("Any", job).function
    items = list(signature_of(handle).parameters.values())[1 if _has_self(job) else 0 :]
    name = getattr(job, "__qualname__", repr(job))
    takes_any = any(item.kind is item.VAR_KEYWORD for item in items)
    for option in sorted(() if takes_any else asked - {item.name for item in items}):
        raise InvalidParameters(
            f"{name} has no parameter {option!r}. If it is meant as an option of the call, write "
            f".options({option}=...).enqueue(...).",
            option,
        )
    names = [item.name for item in itertools.takewhile(lambda item: item.kind is item.POSITIONAL_OR_KEYWORD, items)]
    if len(args) > len(names):
        why = ""
        if any(item.kind is item.POSITIONAL_ONLY for item in items):
            why = ": what stands before the / of its signature cannot be given, because jobs are called with names"
        raise InvalidParameters(f"{name} takes {len(names)} parameters by position, {len(args)} were given{why}.")
    named = dict(zip(names, args, strict=False))
    if twice := sorted(named.keys() & kwargs.keys()):
        raise InvalidParameters(f"The parameter {twice[0]!r} was given by position and by name.", twice[0])
    return named | kwargs


def _has_self(job: object) -> bool:
    """Whether the first parameter of a job's code is the instance, or the class, that it is called on."""
    import inspect

    if isinstance(job, type):
        return not isinstance(inspect.getattr_static(job, "handle"), staticmethod | classmethod)
    # A function does not know that it stands in a class, where `@background` saw it before there was one.
    *outer, name = getattr(job, "__qualname__", "").split(".")
    owner: Any = sys.modules.get(job.__module__)
    for part in outer:
        owner = getattr(owner, part, None)
    return isinstance(owner, type) and not isinstance(inspect.getattr_static(owner, name, None), staticmethod)
