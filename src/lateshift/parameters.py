"""Reading a callable's parameters, and saying what is wrong with a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from lateshift.errors import InvalidJob
from lateshift.hints import Nothing, resolve_hints, signature_of, supported, unpacked
from lateshift.openness import Watch, watch

if TYPE_CHECKING:
    import inspect


class Parameter(NamedTuple):
    """One parameter: its hint as msgspec takes it, and as it is written. `problem` says why it takes no value.

    `watch` says what of a value that fits may change in JSON. `default` is what it is without a value (of a key of a
    TypedDict: UNSET); of one that is required it means nothing.
    """

    name: str
    hint: Any
    written: str
    required: bool
    problem: str | None
    default: object
    watch: Watch


def read_parameters(
    function: Callable[..., Any], label: str, *, drop_self: bool
) -> tuple[tuple[Parameter, ...], Parameter | None]:
    """The parameters that can be given by name, and the `**` one if there is one.

    Raises InvalidJob for a callable that cannot be called by names alone.
    """
    hints = resolve_hints(function)
    named: list[Parameter] = []
    others: Parameter | None = None
    for item in _items(function, label, drop_self=drop_self):
        parameter = _parameter(item, hints)
        if item.kind is item.VAR_KEYWORD and (keys := unpacked(hints.get(item.name))) is not None:
            taken = {parameter.name for parameter in named}
            named += [_key(name, *keys[name]) for name in keys if name not in taken]
        elif item.kind is item.VAR_KEYWORD:
            others = parameter
        elif item.kind is item.POSITIONAL_ONLY and parameter.required:
            raise InvalidJob(
                f"{label} takes {item.name!r} by position only, but jobs are called with names: "
                "remove the / from its signature."
            )
        elif item.kind not in (item.POSITIONAL_ONLY, item.VAR_POSITIONAL):
            named.append(parameter)
    return tuple(named), others


_PLAINER: Final = {
    "`array`": "`list`",
    "`duration`": "`duration` (PT90S)",
    "ISO8601 duration": "ISO8601 duration (PT90S)",
    "RFC3339 encoded datetime": "RFC3339 encoded datetime (2026-01-31T08:30:00)",
}
"""What msgspec says, in the words of Python, or with an example."""


def complaint(error: Exception) -> str:
    """The reason in an error as a part of a sentence: of a message in many lines, the first three."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = "; ".join(lines[:3]) or type(error).__qualname__
    for words, plainer in _PLAINER.items():
        text = text.replace(words, plainer)
    text = text.rstrip(".")
    first_word = text.split(" ", 1)[0]
    return text[0].lower() + text[1:] if first_word[1:].islower() else text  # a name, such as OrderedDict, stays


def _items(function: Callable[..., Any], label: str, *, drop_self: bool) -> list[inspect.Parameter]:
    import inspect  # 13 ms, though today dataclasses imports it as well

    try:
        items = list(signature_of(function).parameters.values())
    except (TypeError, ValueError):
        raise InvalidJob(f"{label} does not tell its parameters; write a function around it.") from None
    if not drop_self or (items and items[0].kind is inspect.Parameter.VAR_POSITIONAL):
        return items
    if not items or items[0].kind not in (items[0].POSITIONAL_ONLY, items[0].POSITIONAL_OR_KEYWORD):
        raise InvalidJob(f"{label} is a method without `self`: add it, or make it a @staticmethod.")
    return items[1:]


def _parameter(item: inspect.Parameter, hints: dict[str, Any]) -> Parameter:
    import inspect

    written = item.name
    if item.annotation is not item.empty:
        annotation = getattr(item.annotation, "__forward_arg__", item.annotation)
        written += f": {annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)}"
    hint, required = hints.get(item.name, Any), item.default is item.empty
    made = _made(item.name, hint, written, required=required, default=item.default)
    if item.kind is item.VAR_KEYWORD and made.problem is not None:  # P.kwargs, which says nothing of one of them
        return made._replace(hint=Any, problem=None, watch=watch(Any))
    return made


def _key(name: str, hint: Any, required: bool) -> Parameter:  # noqa: FBT001 - as `unpacked` has it
    """A key of a TypedDict as a parameter."""
    import inspect

    written = f"{name}: {inspect.formatannotation(hint)}"
    return _made(name, hint, written, required=required, default=msgspec.UNSET)


def _made(name: str, given: Any, written: str, *, required: bool, default: object) -> Parameter:
    hint, problem = _supported(given)
    problem = problem and f"{problem} ({written})"
    return Parameter(name, hint, written, required, problem, default, watch(hint))


def _supported(hint: Any) -> tuple[Any, str | None]:
    try:
        return supported(hint), None
    except Exception as error:  # a hint may be any object, a dataclass have fields of any hint
        return Nothing, f"its type hint is not one that JSON can be converted to: {complaint(error)}"
