"""JSON text for parameters and results, and the types beyond JSON that it carries: paths, pydantic models, and so on.

Never pickle. What JSON would change silently is refused: NaN, infinities, and models that do not survive the way back.
"""

from __future__ import annotations

import math
import sys
from pathlib import PurePath
from typing import Any, Final

import msgspec

from lateshift.errors import ResultNotStorable
from lateshift.texts import type_name

TOO_DEEP: Final = "it is nested too deeply, or contains itself"


class NotJson(ValueError):
    """A value that JSON cannot hold; the message names what in it, and what to do."""


def encode(value: object, *, limit: int) -> str:
    """The JSON text of a job's result, at most `limit` bytes in UTF-8. Raises ResultNotStorable."""
    if value is None:
        return "null"
    try:
        text = to_json(value)
        _refuse_lost_keys(text)
    except NotJson as error:
        raise ResultNotStorable(
            f"The job ran, but its result cannot be stored: {error}. Return values that JSON can hold, or nothing."
        ) from None
    if len(text) > limit:
        raise ResultNotStorable(
            f"The job ran, but its result takes {len(text):,} bytes as JSON, and LATESHIFT_MAX_RESULT is {limit:,}. "
            "Store it yourself and return where it is, or raise the setting."
        )
    return text.decode()


def decode(text: str) -> Any:
    """The plain values (dict, list, str, int, float, bool, None) of a JSON text. Raises ValueError."""
    try:
        return _PLAIN.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        raise ValueError(f"not a JSON text: {error}") from None


def to_json(value: object) -> bytes:
    """A value as JSON. Raises NotJson."""
    try:
        text = _encode(value)
    except NotJson:
        raise
    except RecursionError:
        raise NotJson(TOO_DEEP) from None
    except UnicodeEncodeError:
        raise NotJson("it has text with half a surrogate pair, which UTF-8 cannot hold") from None
    except Exception as error:  # what a user's own type raises while it is read
        raise NotJson(f"it cannot be written as JSON: {error}") from error
    if b"null" in text:
        _refuse_infinities(value)
    return text


def encode_hook(value: Any) -> Any:
    """What stands in JSON for a value that msgspec does not know."""
    if isinstance(value, PurePath):
        return str(value)
    for base in (str, int, float):  # subclasses, such as Django's SafeString and numpy's float64
        if isinstance(value, base):
            return base(value) if base is not str else str.__str__(value)
    if is_model(type(value)):
        return _dump_model(value)
    if isinstance(value, tuple):
        raise NotJson("it has a dict with a tuple as a key: in JSON keys are text")
    is_array = hasattr(type(value), "tolist")  # of numpy, pandas
    instead = "what its .tolist() gives" if is_array else "its id or plain values"
    raise NotJson(f"it has a value of type {type_name(type(value))}, which JSON cannot hold; use {instead} instead")


def decode_hook(kind: Any, value: Any) -> Any:
    """The value of a type that msgspec does not know, made from what stands for it in JSON. Raises ValueError."""
    if isinstance(kind, type):
        if issubclass(kind, PurePath):
            if isinstance(value, str | PurePath):
                return kind(value)
            raise ValueError(f"expected a path, got {type(value).__name__}")
        if is_model(kind):
            text = to_json(value)
            try:
                # As JSON, so that strict models take "2026-01-01" for a date.
                return kind.model_validate_json(text)  # type: ignore[attr-defined]
            except sys.modules["pydantic"].ValidationError as error:
                raise ValueError(_reason(error)) from error
    advice = ": for a value of any kind the hint is Any" if kind is object else ""
    raise ValueError(f"`{getattr(kind, '__qualname__', kind)}` cannot be made from JSON{advice}")


def are_alike(model: Any, arrived: Any) -> bool:
    """Whether two models, or values in them, are the same; not what models keep private, which is made anew."""
    if is_model(type(model)):
        return type(model) is type(arrived) and are_alike(_content(model), _content(arrived))
    if isinstance(model, dict) and isinstance(arrived, dict):
        return model.keys() == arrived.keys() and all(are_alike(model[key], arrived[key]) for key in model)
    if isinstance(model, list | tuple) and type(model) is type(arrived):
        return len(model) == len(arrived) and all(map(are_alike, model, arrived))
    return bool(model == arrived)


def _content(model: Any) -> dict[str, Any]:
    """The fields of a model, and what it has beside them."""
    return {name: getattr(model, name) for name in type(model).model_fields} | (model.__pydantic_extra__ or {})


def is_model(kind: type) -> bool:
    """Whether a type is a pydantic model; pydantic is looked at only if the program has imported it."""
    pydantic = sys.modules.get("pydantic")
    base = getattr(pydantic, "BaseModel", None)
    return base is not None and issubclass(kind, base)


_encode = msgspec.json.Encoder(enc_hook=encode_hook).encode
_PLAIN: Final = msgspec.json.Decoder()


def _dump_model(model: Any) -> Any:
    data = model.model_dump(mode="json", by_alias=True, round_trip=True)
    kind = type(model)
    try:
        again = kind.model_validate_json(to_json(data))
        same = again.model_dump() == model.model_dump()
    except Exception as error:  # pydantic's errors, and those of the model's own validators
        raise NotJson(f"its {kind.__qualname__} cannot be read back from JSON: {_reason(error)}") from error
    if not same:  # a SecretStr, for example, is written as stars
        raise NotJson(
            f"its {kind.__qualname__} would not come back from JSON as it is; does it hold a secret or a NaN?"
        )
    return data


def _reason(error: Exception) -> str:
    """What an error says, on one line; pydantic's own text repeats values of the model, among which may be a secret."""
    if not isinstance(error, sys.modules["pydantic"].ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    count = error.error_count()
    head = f"{count} validation error{'s' if count > 1 else ''} for {error.title}"
    return "; ".join(filter(None, (head, ".".join(map(str, first["loc"])), first["msg"])))


def _refuse_lost_keys(text: bytes) -> None:
    """Keys that differ in Python may be the same text; one of their values is gone when it is read."""
    try:
        if len(_encode(_PLAIN.decode(text))) < len(text):
            import json  # only it tells of a key that is there twice

            json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise NotJson(TOO_DEEP) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotJson(f"it has a msgspec.Raw that is not JSON: {error}") from None


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(items)
    if len(made) < len(items):
        keys = [key for key, _ in items]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise NotJson(f"it has a dict with two keys that JSON writes as {twice!r}, of which one would be lost")
    return made


def _refuse_infinities(value: object) -> None:
    """msgspec writes NaN and the infinities as null; find them, where a null says that there may be some."""
    waiting = [msgspec.to_builtins(value, enc_hook=encode_hook)]
    while waiting:
        item = waiting.pop()
        if isinstance(item, float) and not math.isfinite(item):
            raise NotJson(f"it has the number {item}, which JSON does not know; pass None instead")
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            waiting.extend(item)
