"""From a request to the Struct that an operation asks for, or to a refusal that names the place at fault."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request

from lateshift.dashboard.guard import leads_nowhere
from lateshift.dashboard.problems import Refused
from lateshift.texts import storable

T = TypeVar("T")

MOST: Final = 1 << 20
"""Bytes of a body, besides parameters in it."""

SWELL: Final = 3
"""How many times larger parameters may be than when they are stored: many programs write `\\u00e4` for a letter."""

_PLACE: Final = re.compile(r"(.*?)(?: - at `(.*)`)?", re.DOTALL)


def read_query(request: Request, kind: type[T]) -> T:
    """The query of an address. Raises Refused with 422."""
    for name, value in request.query_params.items():
        if storable(name + value) != name + value:
            raise unfit("It holds a character that no text here can have.", f"query.{storable(name)}")
    try:
        return msgspec.convert(dict(request.query_params), kind, strict=False)
    except msgspec.ValidationError as error:
        raise _unfit(error, "query") from None


def check_path(request: Request) -> None:
    """See to it that what stands in the path may be a name of something. Raises Refused with 404."""
    if leads_nowhere(request):
        raise Refused(404, "There is no such thing", "It holds a character that no name has, or no id.")


async def read_body(request: Request, max_parameters: int) -> bytes:
    """The body, if it is JSON and not too large for such parameters. Raises Refused with 413 or 415."""
    body, most = bytearray(), MOST + SWELL * max_parameters
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            words = f"The body has more than {most:,} bytes. Send less at once, or raise LATESHIFT_MAX_PARAMETERS."
            raise Refused(413, "Too large", words)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and media_type != "application/json":
        raise Refused(415, "Not JSON", "Send the body as JSON, with the header `Content-Type: application/json`.")
    return bytes(body)


def decode(body: bytes, kind: type[T]) -> T:
    """A body as a Struct; none counts as an empty object. Raises Refused with 400 or 422."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise _unfit(error, "body") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(400, "Not JSON", f"The body cannot be read as JSON: {error}.") from None


def unfit(detail: str, place: str | None = None) -> Refused:
    """A refusal of what was asked for, with the place at fault."""
    return Refused(422, "Not as it has to be", detail, place)


def _unfit(error: Exception, where: str) -> Refused:
    found: Any = _PLACE.fullmatch(str(error))
    words = found[1].rstrip(".").replace("Object", f"The {where}")
    return unfit(f"{words}. /api/openapi.json has what is taken here.", f"{where}{(found[2] or '$').removeprefix('$')}")
