"""Walks through every state that a model can come to, breadth first, so that a counterexample is as short as can be."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class Step(NamedTuple):
    """One thing that may happen next. `calls` are what it does to the database, in the model's words.

    `heals` tells whether it comes about by itself: it is no fault, and nobody has to wish it.
    """

    story: str
    state: Any
    calls: tuple[tuple[Any, ...], ...] = ()
    heals: bool = True


class Model(Protocol):
    """What can be explored."""

    def start(self) -> Any:
        """The first state."""

    def steps(self, state: Any) -> Iterable[Step]:
        """What may happen next."""

    def wrong(self, state: Any) -> str | None:
        """What must never be, where it is so."""

    def ended(self, state: Any) -> bool:
        """Whether this is how it shall end."""

    def alike(self, state: Any) -> Hashable:
        """The same for states between which no difference matters."""


@dataclass(frozen=True)
class Report:
    """How many states there are; the first in which something is wrong, and the steps that lead there."""

    states: int
    wrong: str | None = None
    story: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.wrong is None:
            return f"{self.states} states, nothing wrong"
        return "\n".join([f"{self.wrong}:", *(f"  {place}. {told}" for place, told in enumerate(self.story, 1))])


def explore(model: Model) -> Report:
    """Look at every state; stops at the first that is wrong, or from which nothing leads to an end by itself."""
    first = model.start()
    states, numbers = [first], {model.alike(first): 0}
    known = {first: 0}  # the very same state is found faster than one that is alike
    came: list[tuple[int, str]] = [(0, "")]
    healed_from: list[list[int]] = [[]]
    at = 0
    while at < len(states):
        if wrong := model.wrong(states[at]):
            return Report(len(states), wrong, _story(came, at))
        for step in model.steps(states[at]):
            number = known.get(step.state)
            if number is None:
                number = known[step.state] = numbers.setdefault(model.alike(step.state), len(states))
            if number == len(states):
                states.append(step.state)
                came.append((at, step.story))
                healed_from.append([])
            if step.heals:
                healed_from[number].append(at)
        at += 1
    return _with_a_way_out(states, came, healed_from, model.ended)


def _with_a_way_out(
    states: list[Any], came: list[tuple[int, str]], healed_from: list[list[int]], ended: Callable[[Any], bool]
) -> Report:
    reached = {number for number, state in enumerate(states) if ended(state)}
    todo = [*reached]
    while todo:
        before = [number for number in healed_from[todo.pop()] if number not in reached]
        reached.update(before)
        todo.extend(before)
    stuck = next((number for number in range(len(states)) if number not in reached), None)
    if stuck is None:
        return Report(len(states))
    return Report(len(states), "there is no way out", _story(came, stuck))


def _story(came: list[tuple[int, str]], number: int) -> tuple[str, ...]:
    told: list[str] = []
    while number:
        number, story = came[number]
        told.append(story)
    return tuple(reversed(told))
