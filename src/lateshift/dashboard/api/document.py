"""The OpenAPI document, made from the operations and their Structs: what it says is what is done."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

import msgspec

import lateshift
from lateshift.dashboard import problems
from lateshift.dashboard.api.operations import OPERATIONS, Operation
from lateshift.dashboard.problems import Problem

PROBLEMS: Final = {
    400: "The body is not JSON",
    401: "Nobody is logged in, and no token was sent",
    403: "The role does not allow it, or the request may come from another site",
    404: "There is no such thing",
    409: "Not possible as the job stands",
    413: "The body is too large",
    415: "The body is not sent as JSON",
    422: "Something in the request is unknown, missing or of a wrong type; `place` says where",
    429: "Too many logins have failed; `Retry-After` says when to try again",
    503: "The database does not answer",
}

DESCRIPTION: Final = """What the pages of the dashboard show and do, for programs. Times are RFC 3339 in UTC, durations
seconds, ids text. More keys may be added to answers; a request may hold none but those that are named."""

Schema = dict[str, Any]


@lru_cache(maxsize=8)
def document(url: str, cookie: str, *, open_here: bool) -> bytes:
    """The document for the API at this address, with sessions in this cookie.

    `open_here` when nothing but the machine's own address is asked for.
    """
    kinds = list({_key(kind): kind for kind in _kinds()}.values())
    shown, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schemas = dict(zip(map(_key, kinds), shown, strict=True))
    paths: dict[str, Schema] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas, components)
    bodies = {operation.asked for operation in OPERATIONS if operation.change}
    for kind in {operation.asked for operation in OPERATIONS} - bodies:  # these are spread out as parameters
        del components[kind.__name__]
    access: list[Schema] = [{"token": []}, {"password": []}, {"session": []}]
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Lateshift", "version": lateshift.__version__, "description": _one_line(DESCRIPTION)},
            "servers": [{"url": url}],
            "security": [*access, {}] if open_here else access,
            "paths": paths,
            "components": {
                "schemas": components,
                "responses": {f"Problem{status}": _problem(words) for status, words in PROBLEMS.items()},
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer", "description": "LATESHIFT_DASHBOARD_TOKEN"},
                    "password": {"type": "http", "scheme": "basic", "description": "LATESHIFT_DASHBOARD_USERS"},
                    "session": {"type": "apiKey", "in": "cookie", "name": cookie},
                },
            },
        }
    )


def _kinds() -> list[Any]:
    return [
        Problem,
        *(operation.asked for operation in OPERATIONS),
        *(operation.answers for operation in OPERATIONS),
    ]


def _key(kind: Any) -> str:
    return str(kind)


def _operation(operation: Operation, schemas: dict[str, Schema], components: dict[str, Schema]) -> Schema:
    summary, _, more = str(operation.function.__doc__).strip().partition("\n")
    found: Schema = {
        "operationId": operation.function.__name__,
        "tags": [operation.path.split("/")[1]],
        "summary": summary.strip(),
        "description": f"{_one_line(more)} Takes the role {operation.role}.".strip(),
        "parameters": [_path_parameter(name) for name in re.findall(r"{(\w+)}", operation.path)],
        "responses": {str(operation.status): _answer(operation, schemas)} | _refusals(operation),
    }
    asked = components[operation.asked.__name__]
    if operation.change:
        content = {"application/json": {"schema": schemas[_key(operation.asked)]}}
        found["requestBody"] = {"required": bool(asked.get("required")), "content": content}
    else:
        required = asked.get("required", ())
        found["parameters"] += [
            _query_parameter(name, schema, required=name in required) for name, schema in asked["properties"].items()
        ]
    return found


def _answer(operation: Operation, schemas: dict[str, Schema]) -> Schema:
    answer: Schema = {
        "description": "Done" if operation.change else "The answer",
        "content": {"application/json": {"schema": schemas[_key(operation.answers)]}},
    }
    if operation.location:
        answer["headers"] = {"Location": {"schema": {"type": "string"}}}
    return answer


def _refusals(operation: Operation) -> Schema:
    statuses = {401, 403, 422, 429, 503}
    if "{" in operation.path:
        statuses.add(404)
    if operation.change:
        statuses |= {400, 413, 415}
    if operation.conflicts:
        statuses.add(409)
    return {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in sorted(statuses)}


def _problem(words: str) -> Schema:
    return {
        "description": words,
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _path_parameter(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query_parameter(name: str, schema: Schema, *, required: bool) -> Schema:
    said = {"description": schema["description"]} if "description" in schema else {}
    shown = {key: value for key, value in schema.items() if key != "description"}
    return {"name": name, "in": "query", "required": required, "schema": shown, **said}


def _one_line(text: str) -> str:
    return " ".join(text.split())
