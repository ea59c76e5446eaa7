"""Jobs: found by one search, in tabs by status, a page at a time; with what the search box offers while one types."""

from __future__ import annotations

from typing import Final, NamedTuple

from starlette.responses import HTMLResponse, RedirectResponse, Response

from lateshift.dashboard import searching
from lateshift.dashboard.bulk_actions import which
from lateshift.dashboard.bulk_words import ACTIONS, OFFERED, words
from lateshift.dashboard.rows import job_rows
from lateshift.dashboard.searching import Search
from lateshift.dashboard.view import View
from lateshift.errors import InvalidSearch
from lateshift.query import parse
from lateshift.storage import bulk, search, suggestions
from lateshift.storage.counting import Count
from lateshift.storage.search import Found
from lateshift.wording import last_part

SHOWN: Final = 50

SECONDS: Final = 0.04
"""How long a page looks for rows where no index helps; then it shows what it has, and offers to go on."""

LISTED: Final = 30.0
"""Seconds for which the lists of queues, callables and so on serve."""

TABS: Final = ("pending", "pending_retry", "running", "completed", "failed", "cancelled")

AGES: Final = {
    "15m": "Last 15 minutes",
    "1h": "Last hour",
    "6h": "Last 6 hours",
    "24h": "Last day",
    "7d": "Last 7 days",
}
ATTEMPTS: Final = {"0": "None yet", "1": "One", ">1": "More than 1", ">3": "More than 3"}
PRIORITIES: Final = {str(number): f"Priority {number}" for number in range(10, 0, -1)}

SORTS: Final = {
    "newest": ("Newest first", "Newer", "Older"),
    "finished": ("Finished last", "Newer", "Older"),
    "due": ("Due first", "Earlier", "Later"),
    "longest": ("Longest running", "Longer", "Shorter"),
}
"""What an order is called, and the ways to the pages before and behind."""


class Filter(NamedTuple):
    """A select: its name in the address, its title, and what can be chosen, each by the word that is shown."""

    field: str
    title: str
    none: str
    options: dict[str, str]
    chosen: str


class Button(NamedTuple):
    """A bulk action that jobs of this list can be given."""

    action: str
    verb: str
    icon: str
    danger: bool


def show(view: View) -> Response:
    """The page; its address holds all that it shows. Filters beside the text are written into it first."""
    added = searching.added_filters(view.query)
    if added:
        return RedirectResponse(view.url("/jobs", **_with(view, added)), 303)
    wanted = wanted_by(view)
    found = view.read(search.search, wanted.query, sort=wanted.sort, cursor=wanted.cursor, limit=SHOWN, seconds=SECONDS)
    counts = view.read(search.state_counts, wanted.query) if not wanted.trouble else {}
    return view.page(
        "jobs.html",
        section="jobs",
        title="Jobs",
        wanted=wanted,
        without_status=searching.without_field(wanted.text, "status"),
        hidden=hidden(view),
        words=words,
        found=found,
        rows=job_rows(found.jobs, view.moment),
        tabs=[(status, counts.get(status)) for status in TABS],
        tab=_tab(wanted),
        total=sum(counts.values(), Count(0)) if counts else None,
        matching=sum((counts.get(status, Count(0)) for status in wanted.query.statuses), Count(0)),
        filters=[] if wanted.trouble else _filters(view, wanted),
        sorts=SORTS,
        buttons=_buttons(view, wanted, found),
        going=[(run, which(view, run)) for run in view.desk.runs.going()],
        meanings=suggestions.MEANINGS,
    )


def suggest(view: View) -> Response:
    """What could stand at the caret, as a list; or what is wrong with the search, when there is nothing to offer."""
    text, caret = view.query.get("q", "")[:2000], view.query.get("at", "")
    place = int(caret) if caret.isascii() and caret.isdigit() and len(caret) < 5 else len(text)
    offers = view.read(suggestions.suggest, text, place)
    template = view.desk.templates.get_template("suggestions.html")
    return HTMLResponse(template.render(offers=offers, text=text, trouble=_trouble(text)))


def wanted_by(view: View) -> Search:
    """The search that a request's address is about."""
    return searching.read_address(view.query, hidden(view))


def hidden(view: View) -> tuple[str, ...]:
    """The patterns of parameters that this user must not see."""
    return () if view.user.may("operator") else tuple(view.desk.settings.redact)


def _with(view: View, added: dict[str, str]) -> dict[str, str | None]:
    """The address with filters written into its text."""
    text = view.query.get("q", "")
    for field, value in added.items():
        text = searching.with_filter(text, field, value)
    return {"q": text, "status": view.query.get("status"), "sort": view.query.get("sort")}


def _tab(wanted: Search) -> str | None:
    """The tab that is shown: of one status, "all", or none where the text names several."""
    if wanted.status:
        return wanted.status
    if not wanted.query.of("status"):
        return "all"
    return wanted.query.statuses[0] if len(wanted.query.statuses) == 1 else None


def _filters(view: View, wanted: Search) -> list[Filter]:
    def make(field: str, title: str, none: str, options: dict[str, str]) -> Filter:
        chosen = wanted.value_of(field)
        left = {value: word for value, word in options.items() if value != chosen}
        return Filter(field, title, none, left, options.get(chosen, chosen))

    def known(field: str) -> list[str]:
        database = view.desk.database
        found: list[str] = view.desk.once(("known", field), lambda: suggestions.known(database, field), LISTED)
        return found

    return [
        make("queue", "Queue", "Any queue", {name: name for name in known("queue")}),
        make("name", "Callable", "Any callable", {name: last_part(name) for name in known("name")}),
        make("error", "Error", "Any error", {name: name for name in known("error")}),
        make("after", "Time", "Any time", AGES),
        make("attempts", "Attempts", "Any attempts", ATTEMPTS),
        make("priority", "Priority", "Any priority", PRIORITIES),
        make("worker", "Worker", "Any worker", {name: name for name in known("worker")}),
    ]


def _buttons(view: View, wanted: Search, found: Found) -> list[Button]:
    if not found.jobs:
        return []
    fitting = [action for action in OFFERED if set(bulk.STATUSES[action]) & set(wanted.query.statuses)]
    return [
        Button(action, ACTIONS[action].verb, ACTIONS[action].icon, action in ("cancel", "delete"))
        for action in fitting
        if view.may(ACTIONS[action].role)
    ]


def _trouble(text: str) -> str:
    try:
        parse(text)
    except InvalidSearch as error:
        return str(error)
    return ""
