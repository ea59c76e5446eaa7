"""Signatures of one parameter, and how a refusal is checked."""

import inspect

import pytest

from lateshift.errors import InvalidParameters
from lateshift.signature import Signature

LIMIT = 1_048_576


def taking(hint, default=inspect.Parameter.empty):
    """The signature of a function of one parameter `value` with a hint."""

    def job(value):
        pass

    job.__annotations__ = {"value": hint}
    if default is not inspect.Parameter.empty:
        job.__defaults__ = (default,)
    return Signature.of(job)


def there_and_back(hint, value):
    """What arrives at the job for a value."""
    signature = taking(hint)
    return signature.bind(signature.check({"value": value}, LIMIT))["value"]


def refusal(signature, parameters, limit=LIMIT):
    """The message of the InvalidParameters that checking raises, and the parameter that it names."""
    with pytest.raises(InvalidParameters) as caught:
        signature.check(parameters, limit)
    return str(caught.value), caught.value.parameter
