"""What the API is asked: Structs for the query of an address and for the body of an action.

What is unknown, missing or of a wrong type is refused with its place; see `reading`. In an address there is no null, so
what may be left out there is UNSET.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from lateshift.durations import LONGEST as LONGEST_DURATION
from lateshift.options import LONGEST_QUEUE_NAME, MOST_RETRIES
from lateshift.query import LONGEST
from lateshift.storage.bulk import Action
from lateshift.storage.search import Sort

Search = Annotated[
    str, Meta(max_length=LONGEST, description="A search as the Jobs page takes it: status:failed error:timeout")
]
Range = Annotated[str, Meta(pattern=r"^[0-9]{1,5}[mhdw]$", description="How far back: 30m, 2h, 7d, 4w")]
Text = Annotated[str, Meta(max_length=300)]
QueueName = Annotated[str, Meta(min_length=1, max_length=LONGEST_QUEUE_NAME)]
Identifier = Annotated[str, Meta(pattern="^[!-~]{1,64}$")]
Path = Annotated[str, Meta(min_length=1, max_length=500, description="A dotted name: app.jobs.ProcessOrder")]
Seconds = Annotated[float, Meta(ge=0, le=LONGEST_DURATION)]
Memory = Annotated[int | str, Meta(description="Of an isolated job: bytes, or text such as 500M")]

Step = Annotated[int, Meta(ge=60, le=2_678_400, description="Seconds; by default a sixtieth of the time")]


class Asked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all: only what is named may be given."""


class Nothing(Asked, frozen=True):
    """Nothing to say."""


class JobSearch(Asked, frozen=True):
    """Which jobs, in which order, and which page of them."""

    q: Search = ""
    sort: Sort | UnsetType = UNSET
    cursor: Annotated[str, Meta(max_length=200, description="`next` or `previous` of a page")] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class Counted(Asked, frozen=True):
    """Which jobs to count; what the search says of the status is left out."""

    q: Search = ""


class Period(Asked, frozen=True):
    """The time that counts, which ends at `until`, by default now."""

    range: Range = "24h"
    until: Annotated[datetime, Meta(tz=True)] | UnsetType = UNSET


class CallablePeriod(Period, frozen=True):
    """The time that counts, and a queue if only that."""

    queue: Text | UnsetType = UNSET


class SeriesPeriod(Period, frozen=True):
    """The time that counts, its steps, and a queue or a callable if only that.

    A step that is finer than what is kept becomes the next coarser one.
    """

    step: Step | UnsetType = UNSET
    queue: Text | UnsetType = UNSET
    callable: Text | UnsetType = UNSET


class AuditSearch(Asked, frozen=True):
    """Which actions, and which page of them."""

    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    before: Identifier | UnsetType = UNSET
    actor: Text | UnsetType = UNSET


class NewJob(Asked, frozen=True):
    """A job to enqueue. What is left out is the callable's own choice."""

    name: Path
    method: Annotated[str, Meta(max_length=200, description="For a class")] = "handle"
    parameters: dict[str, Any] = {}
    queue: QueueName | None = None
    priority: Annotated[int, Meta(ge=1, le=10)] | None = None
    delay: Seconds = 0
    run_at: Annotated[datetime, Meta(tz=True)] | None = None
    max_retries: Annotated[int, Meta(ge=0, le=MOST_RETRIES)] | None = None
    retry_delay: Seconds | list[Seconds] | None = None
    timeout: Annotated[float, Meta(gt=0, le=LONGEST_DURATION)] | None = None
    max_memory: Memory | None = None


class Again(Asked, frozen=True):
    """Other parameters for a new job like this one; null for the same."""

    parameters: dict[str, Any] | None = None


class NewBulk(Asked, frozen=True):
    """An action on many jobs: on those that a search matches, or on some by their ids. Give one of the two.

    With `dry_run` they are only counted.
    """

    action: Action
    q: Search | None = None
    ids: Annotated[list[Identifier], Meta(max_length=10_000)] | None = None
    priority: Annotated[int, Meta(ge=1, le=10, description="For the action priority")] | None = None
    dry_run: bool = False
