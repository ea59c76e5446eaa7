"""What all requests share: the application object, the templates, who may come in, what was read a moment ago."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from lateshift.app import Lateshift
from lateshift.dashboard import charts, formatting, problems
from lateshift.dashboard.access import Access, Authorize
from lateshift.dashboard.assets import Assets
from lateshift.dashboard.bulk_runs import Runs
from lateshift.dashboard.checkup import Checkup
from lateshift.dashboard.guard import desk_root, is_program
from lateshift.dashboard.problems import Problem
from lateshift.dashboard.watcher import Watcher
from lateshift.storage import open_database
from lateshift.storage.database import Database
from lateshift.storage.pulse import pulse

T = TypeVar("T")
P = ParamSpec("P")

PATIENCE: Final = 5.0
"""Seconds that a page waits for a database server, and that one statement of it may take."""

FRESH: Final = 0.9
"""Seconds for which an answer of the database serves every tab that asks for the same: less than between two looks."""

MOST: Final = 64
"""Answers that are kept: some are megabytes large."""

ASSETS: Final = Assets(Path(__file__).with_name("static"))


@cache
def templates() -> Environment:
    """The pages. A name that a page forgot to hand over is an error, and everything is escaped."""
    environment = Environment(
        loader=PackageLoader("lateshift.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(formatting.FILTERS)
    environment.globals.update(charts=charts, asset=ASSETS.path)
    return environment


class Answer(NamedTuple):
    """What was read, until when it serves, and whether it does so though something has changed elsewhere."""

    value: Any
    until: float
    lasting: bool


class Desk:
    """One dashboard. Safe to share between threads; opens nothing before the first request."""

    def __init__(self, app: Lateshift, authorize: Authorize | None, *, read_only: bool) -> None:
        self.app = app
        self.settings = app.settings
        self.read_only = read_only
        self.access = Access(app.settings, authorize)
        self.assets = ASSETS
        self.checkup = Checkup(app.settings)
        self.watcher = Watcher(lambda: pulse(self.database), self._outdate)
        self.runs = Runs(lambda: self.database, self.forget)
        self._answers: dict[Hashable, Answer] = {}
        self._asking: dict[Hashable, Future[Any]] = {}
        self._lock = threading.Lock()
        self._age = 0

    @cached_property
    def database(self) -> Database:
        """A way of its own to the database, so that reading pages does not hold up the program that enqueues."""
        return open_database(self.settings, self.app.clock, timeout=PATIENCE)

    @property
    def templates(self) -> Environment:
        """The pages; see `templates`."""
        return templates()

    def read(self, function: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a storage function answers; the same question within a second is asked once, however many tabs ask."""
        key = (function, args, tuple(sorted(kwargs.items())))
        return self.once(key, lambda: self.database.within(PATIENCE, lambda: function(self.database, *args, **kwargs)))

    def once(self, key: Hashable, work: Callable[[], T], seconds: float = FRESH) -> T:
        """What `work` gives, or gave less than `seconds` ago under the same key.

        Who asks while it works waits for it, and gets what it raises as well. With more seconds than usual it may do
        without what changes elsewhere, but not without what is changed here.
        """
        with self._lock:
            kept, age = self._answers.get(key), self._age
            if kept is not None and time.monotonic() <= kept.until:
                found: T = kept.value
                return found
            joins = key in self._asking
            asked: Future[T] = self._asking.setdefault(key, Future())
        if not joins:
            try:
                value = work()
                self._keep(key, Answer(value, time.monotonic() + seconds, lasting=seconds > FRESH), age)
                asked.set_result(value)
            except BaseException as error:
                asked.set_exception(error)
            finally:
                with self._lock:
                    if self._asking.get(key) is asked:
                        del self._asking[key]
        return asked.result()

    def forget(self) -> None:
        """Read everything anew: something was changed here."""
        self._outdate(everything=True)
        self.watcher.nudge()

    def refuse(
        self, request: Request, status: int, title: str, words: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        """A page that says why something was not done, and what to do; for programs a problem."""
        if is_program(request):
            return problems.answer(Problem(title, status, words), headers)
        if "text/html" not in request.headers.get("accept", "text/html"):
            return PlainTextResponse(f"{title}. {words}\n", status, headers)
        again = status == 503 and request.method == "GET"
        return self.bare(request, "refusal.html", status, headers, title=title, words=words, again=again)

    def bare(
        self,
        request: Request,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **context: Any,
    ) -> Response:
        """A page with nothing around it: a question, a refusal, the login."""
        text = self.templates.get_template(template).render(
            status=status, root=desk_root(request), theme=theme(request), **context
        )
        return HTMLResponse(text, status, headers)

    def close(self) -> None:
        """Close what is open; the next request opens it again."""
        self.watcher.close()
        self.runs.close()
        if "database" in self.__dict__:
            self.database.close()

    def _outdate(self, *, everything: bool = False) -> None:
        """Something was changed: who asks from now on does not wait for what was asked before, either."""
        with self._lock:
            self._age += 1
            self._answers = {key: kept for key, kept in self._answers.items() if kept.lasting and not everything}
            self._asking = {}

    def _keep(self, key: Hashable, answer: Answer, age: int) -> None:
        now = time.monotonic()
        with self._lock:
            if age != self._age:  # something changed while it was read
                return
            fresh = [(other, kept) for other, kept in self._answers.items() if now < kept.until and other != key]
            self._answers = dict([*fresh[1 - MOST :], (key, answer)])


def theme(request: Request) -> str:
    """The colours that were chosen: light, dark, or as the system has it."""
    chosen = request.cookies.get("lateshift_theme", "")
    return chosen if chosen in ("light", "dark") else "system"
