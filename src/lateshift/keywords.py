"""Options by a name that there is not: what was meant is told, where Python says only that it is unexpected."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar, cast

from lateshift.errors import InvalidOption

F = TypeVar("F", bound=Callable[..., Any])

_COROUTINE: Final = 0x80
"""`inspect.CO_COROUTINE`, without the 13 ms of its module."""

_ELSEWHERE: Final = {
    "attempts": "max_retries",
    "countdown": "delay",
    "eta": "run_at",
    "args": "parameters",
    "kwargs": "parameters",
}
"""What other job runners call so."""


def refuse_unknown(place: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Raise InvalidOption for the first of the names given that is none of the known ones."""
    name = next((name for name in given if name not in known), None)
    if name is None:
        return
    import difflib  # only an error needs it

    near = [meant] if (meant := _ELSEWHERE.get(name)) in known else difflib.get_close_matches(name, known, 1)
    advice = f": did you mean {near[0]!r}?" if near else f". Known are {', '.join(known)}."
    if "parameters" in known:
        advice += f" What the job itself takes goes into parameters={{{name!r}: ...}}."
    raise InvalidOption(f"{place} has no option {name!r}{advice}")


def guiding(function: F) -> F:
    """Let a function refuse keywords that it does not take as `refuse_unknown` does; its type stays as it is."""
    code = cast("Any", function).__code__
    names = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    refuse = functools.partial(refuse_unknown, function.__name__, known=[name for name in names if name != "self"])
    takes = frozenset(names)

    @functools.wraps(function)
    def guided(*args: Any, **kwargs: Any) -> Any:
        if not kwargs.keys() <= takes:
            refuse(kwargs)
        return function(*args, **kwargs)

    @functools.wraps(function)
    async def guided_async(*args: Any, **kwargs: Any) -> Any:
        return await guided(*args, **kwargs)

    return cast("F", guided_async if code.co_flags & _COROUTINE else guided)
