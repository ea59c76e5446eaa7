"""Every address of the API: which function answers it, and which role it asks for.

What a function asks for and what it answers stand in its signature; its first sentence is what the document says of it.
To add one: a function in `reads` or `actions`, its Structs in `asking` and `shapes`, a row here, a test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, get_type_hints

from lateshift.accounts import Role
from lateshift.dashboard.api import actions, bulk, reads
from lateshift.dashboard.view import View

Method = Literal["GET", "POST", "DELETE"]


class Operation(NamedTuple):
    """One address and method; `role` is the least one that is let in, `location` where what was made is to be found.

    What `conflicts` may come too late: it is refused with 409 for what the job or action is by then.
    """

    method: Method
    path: str
    function: Callable[[View, Any], Any]
    role: Role = "viewer"
    status: int = 200
    location: str = ""
    conflicts: bool = False

    @property
    def asked(self) -> type[Any]:
        """The Struct of what it is asked: of the query for GET, of the body for the others."""
        hints = get_type_hints(self.function)
        found: type[Any] = next(hint for name, hint in hints.items() if name not in ("view", "return"))
        return found

    @property
    def answers(self) -> Any:
        """The type of its answer."""
        return get_type_hints(self.function)["return"]

    @property
    def change(self) -> bool:
        """Whether it changes something."""
        return self.method != "GET"


OPERATIONS: Final = (
    Operation("GET", "/summary", reads.summary),
    Operation("GET", "/jobs", reads.jobs),
    Operation("POST", "/jobs", actions.enqueue, "operator", 201, "/jobs/{id}"),
    Operation("GET", "/counts", reads.counts),
    Operation("GET", "/jobs/{id}", reads.job),
    Operation("DELETE", "/jobs/{id}", actions.delete, "admin", conflicts=True),
    Operation("GET", "/jobs/{id}/logs", reads.logs),
    Operation("GET", "/jobs/{id}/explain", reads.explanation),
    Operation("POST", "/jobs/{id}/retry", actions.retry, "operator", conflicts=True),
    Operation("POST", "/jobs/{id}/cancel", actions.cancel, "operator", conflicts=True),
    Operation("POST", "/jobs/{id}/again", actions.run_again, "operator", 201, "/jobs/{id}", conflicts=True),
    Operation(
        "POST", "/jobs/{id}/stack", actions.stack, "operator", 202, "/workers/{worker}/requests/{id}", conflicts=True
    ),
    Operation("POST", "/bulk", bulk.act_on_many, "operator"),
    Operation("GET", "/bulk/{id}", bulk.progress_of_many),
    Operation("POST", "/bulk/{id}/stop", bulk.stop_many, "operator", conflicts=True),
    Operation("POST", "/undo/{id}", bulk.undo, "admin", conflicts=True),
    Operation("GET", "/queues", reads.queues),
    Operation("POST", "/queues/{name}/pause", actions.pause, "operator"),
    Operation("POST", "/queues/{name}/resume", actions.resume, "operator"),
    Operation("GET", "/workers", reads.workers),
    Operation("GET", "/workers/{worker}", reads.worker),
    Operation("POST", "/workers/{worker}/stop", actions.stop, "operator", 202, "/workers/{worker}/requests/{id}"),
    Operation("POST", "/workers/{worker}/drain", actions.drain, "operator", 202, "/workers/{worker}/requests/{id}"),
    Operation("GET", "/workers/{worker}/requests/{request}", reads.answer_of_worker, "operator"),
    Operation("GET", "/errors", reads.errors),
    Operation("GET", "/errors/{fingerprint}", reads.error),
    Operation("POST", "/errors/{fingerprint}/resolve", actions.resolve, "operator"),
    Operation("POST", "/errors/{fingerprint}/reopen", actions.reopen, "operator"),
    Operation("GET", "/callables", reads.callables),
    Operation("GET", "/series", reads.series),
    Operation("GET", "/audit", reads.audit_log, "operator"),
    Operation("GET", "/doctor", reads.doctor, "operator"),
)
