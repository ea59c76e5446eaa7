"""Going round: look at the database every interval, draw what has changed, do what a key wants."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from typing import Final

from rich.console import Console
from rich.text import Text

from lateshift.app import Lateshift
from lateshift.errors import LateshiftError
from lateshift.query import Query
from lateshift.storage.database import Database
from lateshift.storage.suggestions import suggest
from lateshift.top import detail, drawing
from lateshift.top.acting import act
from lateshift.top.picture import Picture, look
from lateshift.top.state import Command, State
from lateshift.top.terminal import Terminal

_ASCII: Final = str.maketrans("●▲■─…↑↓▁▂▃▄▅▆▇█", "*!#-~^v_.-:=+*#")

RESTS: Final = 4
"""How often the time of a look passes before the next one: a filter that no index serves takes a fifth at most."""


class Top:
    """`lateshift top` in a terminal, from the first picture to the key that ends it."""

    def __init__(self, app: Lateshift, db: Database, query: Query, interval: float, *, colours: bool) -> None:
        self._app, self._db, self._interval = app, db, interval
        self._spawns = app.settings.spawn != "never"
        self._state = State(query)
        self._away = ""
        self._picture = self._look()
        self._detail: detail.Detail | None = None
        # Rich finds out how many colours there are; it draws into a text, for only what has changed is written.
        self._console = Console(file=io.StringIO(), force_terminal=True, no_color=None if colours else True)
        self._utf8 = "utf" in (sys.stdout.encoding or "").lower()

    def run(self) -> None:
        """Until `q`. What is written to standard error would spoil the screen, so it comes afterwards."""
        said = io.StringIO()
        try:
            with Terminal() as terminal, contextlib.redirect_stderr(said):
                self._go_round(terminal)
        finally:
            sys.stderr.write(said.getvalue())

    def _go_round(self, terminal: Terminal) -> None:
        due = time.monotonic() + self._interval
        while True:
            self._draw(terminal)
            key = terminal.key(due - time.monotonic())
            command = self._state.press(key, self._picture) if key else None
            if command is not None and command.verb == "quit":
                return
            if self._obey(command, terminal) or time.monotonic() >= due:
                began = time.monotonic()
                rests = RESTS if self._look_again() else 1  # what was waited for in vain was no load
                if command is not None and command.verb == "search":
                    self._state.go_to_what_was_found(self._picture)
                due = time.monotonic() + max(self._interval, rests * (time.monotonic() - began))

    def _obey(self, command: Command | None, terminal: Terminal) -> bool:
        """Do what a key wanted; whether to look at the database again."""
        if command is None:
            return False
        if command.verb == "redraw":
            terminal.forget()
        try:
            if command.verb == "complete":
                self._complete()
            elif command.verb not in ("look", "search", "redraw"):
                act(self._app, command, self._state)
        except LateshiftError as error:
            self._state.tell(str(error), wrong=True)
        return command.verb != "complete"

    def _look(self) -> Picture:
        picture = look(self._db, self._state.query, spawns=self._spawns)
        self._state.settle(picture)
        return picture

    def _look_again(self) -> bool:
        """What was seen last stays on the screen while the database cannot be asked; whether it could."""
        state = self._state
        try:
            self._picture = self._look()
            if state.job is not None:
                self._detail = detail.read(self._app, self._db, state.job, self._detail)
        except LateshiftError as error:
            self._away = f"It goes on trying. {error}"
            state.tell(self._away, wrong=True)
            return False
        if state.told == self._away:
            state.tell("")
        return True

    def _complete(self) -> None:
        typed = self._state.typed
        offers = suggest(self._db, typed, len(typed), 1)
        if offers:
            self._state.typed = typed[: offers[0].start] + offers[0].text

    def _draw(self, terminal: Terminal) -> None:
        size = width, height = terminal.size()
        if self._state.job is not None:
            lines = detail.frame(self._detail, self._state, self._console, width, height)
        else:
            lines = drawing.frame(self._picture, self._state, self._db.place, width, height)
        terminal.draw([self._written(line) for line in lines], size)

    def _written(self, line: Text) -> str:
        """A line with the sequences that colour it."""
        with self._console.capture() as captured:
            self._console.print(line, end="", soft_wrap=True, highlight=False)
        text = captured.get()
        return text if self._utf8 else text.translate(_ASCII)
