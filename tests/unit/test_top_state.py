"""What the keys of `lateshift top` do, without a terminal: selections, and the bytes that stand for a key."""

import pytest

from lateshift.storage.reads import QueueRow
from lateshift.top.state import State
from lateshift.top.terminal import is_partial, keys_of


class Rows:
    """A picture of which only the rows are there."""

    def __init__(self, **panes):
        self._rows = {"queues": [], "running": [], "waiting": [], "failed": []} | panes
        self.queues = [QueueRow(name, False, 1, 0, 0, None) for name in self._rows["queues"]]

    def rows(self, pane):
        return self._rows[pane]

    def keys(self, pane):
        return self._rows[pane]


def pressed(state, picture, *keys):
    return [state.press(key, picture) for key in keys][-1]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("jk", ["j", "k"]),
        ("\x1b[A\x1bOB", ["up", "down"]),
        ("\x1b", ["escape"]),
        ("\x1b[5~\x1b[6~\x1b[Z", ["page up", "page down", "back tab"]),
        ("\x1b[1;5C", ["\x1b[1;5C"]),
        ("ä日\r\n\x7f", ["ä", "日", "enter", "enter", "backspace"]),
    ],
)
def test_keys_of_bytes(text, keys):
    """Sequences are keys with names, everything else is itself."""
    assert keys_of(text) == keys


@pytest.mark.parametrize(("text", "partial"), [("\x1b", True), ("a\x1b[", True), ("\x1b[1;", True), ("\x1b[A", False)])
def test_a_sequence_may_come_in_pieces(text, partial):
    """So that a slow line makes no Escape of an arrow."""
    assert is_partial(text) is partial


def test_a_selection_stays_on_its_row():
    """Rows that come before it do not move it; when its row goes, it stays where that stood."""
    state = State()
    state.settle(Rows(running=["a", "b", "c"]))
    pressed(state, Rows(running=["a", "b", "c"]), "down")
    state.settle(Rows(running=["new", "a", "b", "c"]))
    assert (state.chosen["running"], state.place["running"]) == ("b", 2)
    state.settle(Rows(running=["new", "a", "c"]))
    assert state.chosen["running"] == "c"
    state.settle(Rows())
    assert "running" not in state.chosen


def test_steps_end_at_the_ends():
    """Of a pane, and an empty one has none."""
    state, rows = State(), Rows(running=["a", "b", "c"])
    state.settle(rows)
    pressed(state, rows, "page down")
    assert state.chosen["running"] == "c"
    pressed(state, rows, "home", "up")
    assert state.chosen["running"] == "a"
    pressed(state, rows, "tab", "down")
    assert "waiting" not in state.chosen


def test_q_quits_except_where_one_types():
    """In a filter it is a letter, at a question it is a no."""
    state, rows = State(), Rows(running=["a"])
    state.settle(rows)
    assert pressed(state, rows, "/", "q") is None
    assert state.typed == "q"
    assert pressed(state, rows, "escape", "c", "q") is None
    assert pressed(state, rows, "q").verb == "quit"


def test_a_question_takes_only_an_answer():
    """Another key does nothing, and the question stays."""
    state, rows = State(), Rows(running=["a"])
    state.settle(rows)
    assert pressed(state, rows, "c", "x") is None
    assert state.mode == "confirm"
    assert pressed(state, rows, "y") == ("cancel", "a")
    assert state.mode == "browse"


def test_a_queue_is_paused_only_where_it_is_selected():
    """In another pane p says where to go."""
    state, rows = State(), Rows(queues=["mail"], running=["a"])
    state.settle(rows)
    assert pressed(state, rows, "p") is None
    assert "go to the queues" in state.told
    assert pressed(state, rows, "back tab", "p") == ("pause", "mail")


def test_keys_that_nobody_knows_do_nothing():
    """A function key, an arrow with Ctrl, a mouse."""
    state, rows = State(), Rows(running=["a"])
    state.settle(rows)
    assert pressed(state, rows, "\x1b[1;5C", "\x1b[15~", "") is None
    assert pressed(state, rows, "/", "\x1b[15~") is None
    assert state.typed == ""
