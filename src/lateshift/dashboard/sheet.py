"""The form for a new job of one callable: its inputs, and what was typed there as a call or as problems by input."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lateshift import codec
from lateshift.dashboard.fields import Field, field_of
from lateshift.errors import InvalidOption, InvalidParameters
from lateshift.options import MOST_RETRIES, check_delay, check_priority, check_queue, check_retries
from lateshift.settings import Settings
from lateshift.target import Target

OTHERS: Final = "p.**"
"""The input for what a callable with `**` takes besides its named parameters."""

_CHECKS: Final[Mapping[str, Callable[[object], Any]]] = {
    "queue": check_queue,
    "priority": check_priority,
    "delay": check_delay,
    "max_retries": check_retries,
}


@dataclass(frozen=True, slots=True)
class Filled:
    """What was typed: the keyword arguments for the job and the options, and what is wrong with which input."""

    parameters: dict[str, Any]
    options: dict[str, Any]
    problems: dict[str, str]


class Sheet:
    """The inputs for one callable."""

    def __init__(self, target: Target, settings: Settings) -> None:
        self.target = target
        self.fields = [field_of(parameter) for parameter in target.signature.parameters]
        if target.signature.is_open:
            told = 'As JSON, such as {"name": 1}: what it takes besides.'
            self.fields.append(Field(OTHERS, "Other parameters", "json", default="none", help=told))
        self.options = _options(target, settings)

    @property
    def words(self) -> str:
        """What the callable says of itself: the first line of its docstring."""
        holder = self.target.owner if self.target.binding == "instance" else None
        text = inspect.getdoc(self.target.function) or (inspect.getdoc(holder) if holder else None) or ""
        return text.partition("\n")[0].strip()

    def read(self, form: Mapping[str, str]) -> Filled:
        """What was typed, checked against the signature."""
        problems: dict[str, str] = {}
        values = {field.key: self._value(field, form, problems) for field in self.fields}
        others = values.pop(OTHERS, _LEFT_OUT)
        given = {key.removeprefix("p."): value for key, value in values.items() if value is not _LEFT_OUT}
        if others is not _LEFT_OUT:
            self._add_others(given, others, problems)
        options = {field.key: self._option(field, form, problems) for field in self.options}
        options = {name: value for name, value in options.items() if value is not _LEFT_OUT}
        parameters: dict[str, Any] = {}
        if not problems:
            try:
                parameters = self.target.signature.bind(codec.to_json(given).decode())
            except InvalidParameters as error:
                problems[self.key_of(error.parameter)] = str(error)
        return Filled(parameters, options, problems)

    def key_of(self, parameter: str | None) -> str:
        """The input of a parameter; empty for what concerns them all."""
        keys = {field.key for field in self.fields}
        return next((key for key in (f"p.{parameter}", OTHERS) if parameter and key in keys), "")

    def _value(self, field: Field, form: Mapping[str, str], problems: dict[str, str]) -> Any:
        text = form.get(field.key, "")
        if not text.strip():
            if field.required:
                problems[field.key] = "It needs a value."
            return None if field.nullable else _LEFT_OUT
        try:
            value = field.read(text)
        except ValueError as error:
            problems[field.key] = _sentence(str(error))
            return _LEFT_OUT
        if field.key != OTHERS and (problem := self.target.signature.problem(field.label, value)) is not None:
            problems[field.key] = _sentence(problem)
        return value

    def _add_others(self, given: dict[str, Any], others: object, problems: dict[str, str]) -> None:
        if not isinstance(others, dict):
            problems[OTHERS] = 'It is an object with a value for each name, such as {"name": 1}.'
            return
        for name, value in others.items():
            if name in {field.label for field in self.fields if field.key != OTHERS}:
                problems[OTHERS] = f"{name} has an input of its own."
            elif (problem := self.target.signature.problem(name, value)) is not None:
                problems[OTHERS] = f"{name}: {problem}."
        given |= others

    def _option(self, field: Field, form: Mapping[str, str], problems: dict[str, str]) -> Any:
        text = form.get(field.key, "")
        if not text.strip():
            return _LEFT_OUT
        try:
            return _CHECKS[field.key](field.read(text))
        except InvalidOption as error:
            problems[field.key] = str(error)
        except ValueError as error:
            problems[field.key] = _sentence(str(error))
        return _LEFT_OUT


_LEFT_OUT: Final = object()


def _options(target: Target, settings: Settings) -> list[Field]:
    chosen = target.options
    retries = settings.max_retries if chosen.max_retries is None else chosen.max_retries
    return [
        Field("queue", "Queue", "text", default=chosen.queue),
        Field("priority", "Priority", "int", default=str(chosen.priority), least=1, most=10, help="10 runs first."),
        Field("delay", "Delay", "float", default="0", least=0, help="In seconds."),
        Field("max_retries", "Retries", "int", default=str(retries), least=0, most=MOST_RETRIES),
    ]


def _sentence(problem: str) -> str:
    return f"{problem[:1].upper()}{problem[1:]}."
