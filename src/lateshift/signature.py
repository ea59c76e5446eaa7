"""A callable's parameters: checked when a job is enqueued, converted by their type hints when it runs.

Both go through one msgspec Struct with a field for each parameter. Only when that refuses are the parameters looked at
one by one, to name the culprit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from lateshift import codec
from lateshift.errors import InvalidParameters
from lateshift.hints import signature_of, value_hook, wire_hook
from lateshift.openness import changed_by_json, hidden_items
from lateshift.parameters import Parameter, complaint, read_parameters
from lateshift.redaction import HIDDEN, is_hidden, mask, told

_latest: Final[dict[tuple[str, str, bool], tuple[Callable[..., Any], Signature]]] = {}
"""Of each name in each module that of the function which had it last: where a program runs anew in the same process, as
in a notebook, those of before would keep all that it had read then."""


class Signature:
    """What a callable takes by name; one with `**` is open to any name. Make it with `Signature.of`."""

    def __init__(self, function: Callable[..., Any], *, drop_self: bool) -> None:
        self.label: str = getattr(function, "__qualname__", repr(function))
        self.parameters, self._others = read_parameters(function, self.label, drop_self=drop_self)
        self.is_open = self._others is not None
        self._bound = _bound_name(function) if drop_self else None
        self._by_name = {parameter.name: parameter for parameter in self.parameters}
        self._numbered = any(parameter.name.startswith("__") for parameter in self.parameters)
        self._struct = _struct(self.parameters, open_ended=self.is_open, numbered=self._numbered)
        self._decode = msgspec.json.Decoder(self._struct, dec_hook=wire_hook).decode
        self._all_required = all(parameter.required for parameter in self.parameters)
        self._may_change = self.is_open or any(parameter.watch.needed for parameter in self.parameters)

    @staticmethod
    def of(function: Callable[..., Any], *, drop_self: bool = False) -> Signature:
        """The signature of a function; `drop_self` for a method that will be bound. Raises InvalidJob."""
        key = str(getattr(function, "__module__", "")), str(getattr(function, "__qualname__", "")), drop_self
        latest, signature = _latest.get(key, (None, None))
        if signature is None or latest is not function:
            signature = Signature(function, drop_self=drop_self)
            _latest[key] = function, signature
        return signature

    def check(self, parameters: Any, limit: int, hide: Sequence[str] = ()) -> str:
        """The JSON text to store for a mapping of parameters that fit, at most `limit` bytes. Raises InvalidParameters.

        A missing, unknown or wrongly typed parameter is refused, and one that would not come back from JSON the same.
        The message has no value whose name matches one of the patterns in `hide`.
        """
        if type(parameters) is not dict and isinstance(parameters, Mapping):
            if isinstance(parameters, dict) and (hidden := hidden_items(parameters)):
                raise InvalidParameters(f"The parameters of {self.label} are {hidden}.")
            parameters = dict(parameters)
        try:
            msgspec.convert(parameters, self._struct, dec_hook=value_hook)
            text = codec.to_json(parameters)
            decoded = self._decode(text)
        except Exception as error:  # a user's type may raise anything; _refusal finds out what and where
            refusal: InvalidParameters | None = self._refusal(parameters, error, hide)
        else:
            refusal = self._refusal_of_change(parameters, decoded, text, hide) if self._may_change else None
            if refusal is None and len(text) > limit:
                refusal = self.refusal_of_size(parameters, len(text), limit)
        if refusal is not None:
            raise refusal
        return text.decode()

    def bind(self, text: str, hide: Sequence[str] = ()) -> dict[str, Any]:
        """The keyword arguments that a stored text means, converted by the type hints. Raises as `check` does."""
        try:
            values = self._values(self._decode(text), text)
        except Exception as error:
            refusal = self._refusal_of_stored(text, error, hide)
        else:
            return values
        raise refusal

    def problem(self, name: str, value: object) -> str | None:
        """What is wrong with the value of one parameter as it comes from JSON, or None."""
        parameter = self._taking(name)
        if parameter is None:
            return f"there is no such parameter; it takes ({self.describe()})"
        return parameter.problem or _wire_problem(parameter, value)

    def refusal_of_size(self, parameters: Mapping[str, Any], size: int, limit: int) -> InvalidParameters:
        """What to tell about parameters that take so many bytes as JSON, which is more than the limit."""
        name = max(parameters, key=lambda name: len(codec.to_json(parameters[name])), default=None)
        return InvalidParameters(
            f"The parameters of {self.label} take {size:,} bytes as JSON, most of it in {name!r}, and "
            f"LATESHIFT_MAX_PARAMETERS is {limit:,}. Pass an id or a path to the data, or raise the setting.",
            name,
        )

    def describe(self) -> str:
        """The parameters as they are written, for messages: `order_id: int, note: str = ...`."""
        written = [item.written + ("" if item.required else " = ...") for item in self.parameters]
        return ", ".join(written if self._others is None else [*written, f"**{self._others.written}"])

    def _taking(self, name: str) -> Parameter | None:
        """The parameter that takes a value of this name; none takes one of the name that the instance itself has."""
        return self._by_name.get(name) or (None if name == self._bound else self._others)

    def _values(self, decoded: msgspec.Struct, text: str | bytes) -> dict[str, Any]:
        values = msgspec.structs.asdict(decoded)
        if self._numbered:
            values = dict(zip(self._by_name, values.values(), strict=True))
        if not self._all_required:  # a default that was not overridden is the function's own business
            values = {name: value for name, value in values.items() if value is not msgspec.UNSET}
        if self._others is not None:
            values |= self._bind_others(text, self._others.hint)
        return values

    def _bind_others(self, text: str | bytes, hint: Any) -> dict[str, Any]:
        raw = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        return {
            name: msgspec.json.decode(value, type=hint, dec_hook=wire_hook)
            for name, value in raw.items()
            if name not in self._by_name
        }

    def _refusal(self, parameters: Any, error: Exception, hide: Sequence[str]) -> InvalidParameters:
        """What to tell about parameters that do not fit: the first one at fault, and why."""
        if not isinstance(parameters, Mapping):
            given = told(parameters, hide)
            return InvalidParameters(
                f"The parameters of {self.label} are {given}: give a dict, such as {{'order_id': 123}}."
            )
        refusal = self._refusal_of_names(parameters) or self._refusal_of_values(parameters, _problem, hide)
        why = "" if refusal else mask(complaint(error), parameters, hide)
        return refusal or InvalidParameters(f"The parameters of {self.label} cannot be stored as JSON: {why}.")

    def _refusal_of_names(self, parameters: Mapping[Any, Any]) -> InvalidParameters | None:
        takes = f"It takes ({self.describe()})."
        for name in parameters:
            if not isinstance(name, str):
                return InvalidParameters(f"{self.label} got a parameter named {name!r}: names are text. {takes}")
            if self._taking(name) is None:
                return InvalidParameters(f"{self.label} has no parameter {name!r}. {takes}", name)
        for parameter in self.parameters:
            if parameter.required and parameter.name not in parameters:
                return InvalidParameters(
                    f"{self.label} needs the parameter {parameter.name!r}. {takes}", parameter.name
                )
        return None

    def _refusal_of_values(
        self, parameters: Mapping[str, Any], problem_of: Callable[[Parameter, object], str | None], hide: Sequence[str]
    ) -> InvalidParameters | None:
        for name, value in parameters.items():
            parameter = self._taking(name)
            problem = None if parameter is None else parameter.problem or problem_of(parameter, value)
            if problem is not None:
                return self._refusal_of_value(name, value, problem, hide)
        return None

    def _refusal_of_value(self, name: str, value: object, problem: str, hide: Sequence[str]) -> InvalidParameters:
        if is_hidden(name, hide):
            return InvalidParameters(f"{self._about(name)} is {HIDDEN}, which does not fit its type.", name)
        return InvalidParameters(f"{self._about(name)} is {told(value, hide)}: {mask(problem, value, hide)}.", name)

    def _refusal_of_change(
        self, parameters: Mapping[str, Any], decoded: msgspec.Struct, text: bytes, hide: Sequence[str]
    ) -> InvalidParameters | None:
        """Refuse what fits, but would silently become something else: a datetime without a hint, text; a subclass."""
        if self._others is not None:
            refusal = self._refusal_of_names(parameters) or self._refusal_of_values(parameters, _problem, hide)
            if refusal is not None:
                return refusal
        arrived = self._values(decoded, text)
        for name, given in parameters.items():
            parameter = self._taking(name)
            change = None if parameter is None else _change(parameter, given, arrived[name])
            if change is not None:
                return self._refusal_of_value(name, given, change, hide)
        return None

    def _refusal_of_stored(self, text: str, error: Exception, hide: Sequence[str]) -> InvalidParameters:
        try:
            stored = codec.decode(text)
        except ValueError as reason:
            return InvalidParameters(f"The stored parameters of {self.label} are {reason}.")
        refusal: InvalidParameters | None = None
        if isinstance(stored, dict):
            refusal = self._refusal_of_names(stored) or self._refusal_of_values(stored, _wire_problem, hide)
        if refusal is None:
            why = mask(complaint(error), stored, hide)
            refusal = InvalidParameters(f"{self.label} takes ({self.describe()}), not {told(stored, hide)}: {why}.")
        told_so = f"The stored parameters do not fit the code that this process has. {refusal}"
        return InvalidParameters(told_so, refusal.parameter)

    def _about(self, name: str) -> str:
        return f"The parameter {name!r} of {self.label}"


def _bound_name(function: Callable[..., Any]) -> str | None:
    """What the first parameter of a method is called, unless it can be given by position only."""
    first = next(iter(signature_of(function).parameters.values()))
    return first.name if first.kind is first.POSITIONAL_OR_KEYWORD else None


def _struct(parameters: tuple[Parameter, ...], *, open_ended: bool, numbered: bool) -> type[msgspec.Struct]:
    """A field for each parameter; `numbered` where one has a name like `__x`, which no field can have."""
    fields: list[Any] = []
    for number, item in enumerate(parameters):
        default = msgspec.NODEFAULT if item.required else msgspec.UNSET
        field = msgspec.field(default=default, name=item.name)
        fields.append((f"p{number}" if numbered else item.name, item.hint, field))
    return msgspec.defstruct("Parameters", fields, kw_only=True, forbid_unknown_fields=not open_ended)


def _problem(parameter: Parameter, value: object) -> str | None:
    """What is wrong with a value that is to be stored, or None."""
    try:
        msgspec.convert(value, parameter.hint, dec_hook=value_hook)
    except Exception as error:  # a user's type may raise anything
        advice = ": pass what its .tolist() gives" if hasattr(type(value), "tolist") else ""  # numpy, pandas
        found = f"{complaint(error)}; the signature has {parameter.written}{advice}"
        return _change_on_the_way(parameter, value) or found
    return _wire_problem(parameter, value)


def _change_on_the_way(parameter: Parameter, value: object) -> str | None:
    """What a value that does not fit would become; says more of a subclass than what msgspec calls it: an object."""
    try:
        arrived = msgspec.json.decode(codec.to_json(value), type=parameter.hint, dec_hook=wire_hook)
    except Exception:  # it cannot even be stored
        return None
    return _change(parameter, value, arrived)


def _change(parameter: Parameter, given: object, arrived: object) -> str | None:
    """What of a value that is to be stored would arrive as something else, or None."""
    if not parameter.watch.needed:
        return None
    change = changed_by_json(given, arrived, parameter.watch)
    return None if change is None else f"it has {change}; the signature has {parameter.written}"


def _wire_problem(parameter: Parameter, value: object) -> str | None:
    """What is wrong with a value once it is JSON, or None."""
    try:
        text = codec.to_json(value)
    except codec.NotJson as error:
        return str(error)
    try:
        msgspec.json.decode(text, type=parameter.hint, dec_hook=wire_hook)
    except Exception as error:
        return f"{complaint(error)}; the signature has {parameter.written}"
    return None
