"""Refusals for programs: `application/problem+json`, as RFC 9457 has it, with a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why something was not done, and what to do (RFC 9457); `place` is the part of the request that is at fault."""

    title: str
    status: int
    detail: str
    place: str | None = None


class Refused(Exception):
    """A request that cannot be done as it is; `place` is the part of it that is at fault."""

    def __init__(self, status: int, title: str, detail: str, place: str | None = None) -> None:
        super().__init__(detail)
        self.problem = Problem(title, status, detail, place)


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """A problem as a response."""
    return Response(msgspec.json.encode(problem), problem.status, headers, MEDIA_TYPE)
