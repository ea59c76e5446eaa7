"""What the keys have chosen, and what they want done: decided here, without a terminal and without a database."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from lateshift.errors import InvalidSearch
from lateshift.query import Query, parse
from lateshift.top.picture import PANES, Pane, Picture
from lateshift.wording import short_id

Verb = Literal["quit", "retry", "cancel", "pause", "resume", "complete", "look", "search", "redraw"]
Mode = Literal["browse", "job", "filter", "confirm"]

PAGE: Final = 10
_STEPS: Final = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -PAGE, "page down": PAGE, "home": -9999, "end": 9999}
_TABS: Final = {"tab": 1, "right": 1, "l": 1, "back tab": -1, "left": -1, "h": -1}


class Command(NamedTuple):
    """What is to be done, to which job or queue."""

    verb: Verb
    target: str = ""


@dataclass(slots=True)
class State:
    """What is looked at. `chosen` is the selected row of each pane, by its name or id.

    `place` is where it stood, for when it goes; `job` is the id of the one that fills the screen, `scroll` how far down
    that is; `typed` is a filter that is being written, `asked` what waits for a yes; `told` is the last line of all.
    """

    query: Query = field(default_factory=Query)
    pane: Pane = "running"
    mode: Mode = "browse"
    chosen: dict[Pane, str] = field(default_factory=dict)
    place: dict[Pane, int] = field(default_factory=dict)
    job: str | None = None
    scroll: int = 0
    typed: str = ""
    asked: Command | None = None
    told: str = ""
    wrong: bool = False

    def tell(self, words: str, *, wrong: bool = False) -> None:
        """Show a sentence in the last line."""
        self.told, self.wrong = words, wrong

    def settle(self, picture: Picture) -> None:
        """Keep each selection on its row, or where that stood when it is gone."""
        for pane in PANES:
            keys = picture.keys(pane)
            if self.chosen.get(pane) in keys:
                self.place[pane] = keys.index(self.chosen[pane])
            elif keys:
                self.place[pane] = min(self.place.get(pane, 0), len(keys) - 1)
                self.chosen[pane] = keys[self.place[pane]]
            else:
                self.chosen.pop(pane, None)

    def go_to_what_was_found(self, picture: Picture) -> None:
        """To the first pane with jobs, if that which is looked at has nothing."""
        if not picture.rows(self.pane):
            self.pane = next((pane for pane in PANES[1:] if picture.rows(pane)), self.pane)

    def press(self, key: str, picture: Picture) -> Command | None:
        """What a key does: it changes this state, or wants something done."""
        if key == "redraw":
            return Command("redraw")
        if self.mode == "filter":
            return self._typing(key)
        self.tell("")
        if self.mode == "confirm":
            return self._confirming(key)
        if key == "q":
            return Command("quit")
        return self._on_job(key) if self.mode == "job" else self._browsing(key, picture)

    def _browsing(self, key: str, picture: Picture) -> Command | None:
        if key in _STEPS:
            self._step(_STEPS[key], picture)
        elif key in _TABS:
            self.pane = PANES[(PANES.index(self.pane) + _TABS[key]) % len(PANES)]
        elif key in ("1", "2", "3", "4"):
            self.pane = PANES[int(key) - 1]
        elif key == "/":
            self.mode, self.typed = "filter", self.query.text
        elif key == "escape" and self.query.text:
            self.query = Query()
            return Command("search")
        elif key == "p":
            return self._pausing(picture)
        elif key in ("r", "c", "enter"):
            return self._acting(key, self._job_chosen(picture))
        return None

    def _on_job(self, key: str) -> Command | None:
        if key in _STEPS:
            self.scroll = max(0, self.scroll + _STEPS[key])
        elif key in ("escape", "enter", "backspace", "left", "h"):
            self.mode, self.job = "browse", None
        elif key in ("r", "c"):
            return self._acting(key, self.job)
        return None

    def _acting(self, key: str, job: str | None) -> Command | None:
        if job is None:
            self.tell("There is no job here: go to another pane with Tab, and select one.", wrong=True)
        elif key == "enter":
            self.mode, self.job, self.scroll = "job", job, 0
            return Command("look")
        elif key == "r":
            return Command("retry", job)
        else:
            self.mode, self.asked = "confirm", Command("cancel", job)
            self.tell(f"Cancel job {short_id(job)}? y or n (a running one is asked to stop)")
        return None

    def _pausing(self, picture: Picture) -> Command | None:
        queue = next((row for row in picture.queues if row.name == self.chosen.get("queues")), None)
        if self.pane != "queues" or queue is None:
            self.tell("p pauses and resumes a queue: go to the queues with Tab, and select one.", wrong=True)
            return None
        return Command("resume" if queue.paused else "pause", queue.name)

    def _confirming(self, key: str) -> Command | None:
        if key not in ("y", "n", "escape", "q"):
            self.tell("y cancels the job, n leaves it alone.")
            return None
        wanted, self.asked = self.asked, None
        self.mode = "browse" if self.job is None else "job"
        return wanted if key == "y" else None

    def _typing(self, key: str) -> Command | None:
        if key == "escape":
            self.mode = "browse"
            self.tell("")
        elif key == "enter":
            return self._search()
        elif key == "tab":
            return Command("complete")
        elif key in ("backspace", "clear"):
            self.typed = self.typed[:-1] if key == "backspace" else ""
        elif len(key) == 1 and key.isprintable():
            self.typed += key
        return None

    def _search(self) -> Command | None:
        try:
            self.query = parse(self.typed.strip())
        except InvalidSearch as error:
            self.tell(str(error), wrong=True)
            return None
        self.mode = "browse"
        self.tell("")
        return Command("search")

    def _step(self, by: int, picture: Picture) -> None:
        keys = picture.keys(self.pane)
        if keys:
            self.place[self.pane] = max(0, min(len(keys) - 1, self.place.get(self.pane, 0) + by))
            self.chosen[self.pane] = keys[self.place[self.pane]]

    def _job_chosen(self, picture: Picture) -> str | None:
        chosen = self.chosen.get(self.pane)
        return chosen if self.pane != "queues" and chosen in picture.keys(self.pane) else None
