"""Refusals for programs: `application/problem+json`, as RFC 9457 has it, with a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.responses import Response

from lateshift.dashboard.api.shapes import Problem

MEDIA_TYPE: Final = "application/problem+json"


class Refused(Exception):
    """A request that cannot be done as it is; `place` is the part of it that is at fault."""

    def __init__(self, status: int, title: str, detail: str, place: str | None = None) -> None:
        super().__init__(detail)
        self.problem = Problem(title, status, detail, place)


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """A problem as a response."""
    return Response(msgspec.json.encode(problem), problem.status, headers, MEDIA_TYPE)
