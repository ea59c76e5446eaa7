"""What was typed into a form as JSON, read with words about what is wrong."""

from __future__ import annotations

import json
from typing import Any

from lateshift import codec
from lateshift.errors import InvalidJob


def read_json(text: str) -> Any:
    """The value of a text. Raises ValueError with where it stops being JSON."""
    try:
        return codec.decode(text)
    except ValueError as error:
        raise ValueError(f"this is no JSON: {_where(text) or error}") from None


def read_parameters(text: str) -> dict[str, Any]:
    """The parameters in a text. Raises InvalidJob."""
    try:
        parameters = read_json(text)
    except ValueError as error:
        raise InvalidJob(f"T{str(error)[1:]}.") from None
    if not isinstance(parameters, dict):
        raise InvalidJob('The parameters are an object with a value for each name, such as {"order_id": 123}.')
    return parameters


def _where(text: str) -> str:
    """The line and column of the mistake; the standard library tells them."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"{error.msg} (line {error.lineno}, column {error.colno})"
    except RecursionError:
        return ""
    return ""
