"""A job's life to scale: waiting, running, pauses before retries, one after the other, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from markupsafe import Markup

from lateshift.job import FINISHED, WAITING, Job
from lateshift.wording import long_duration

WIDTH: Final = 640
HEIGHT: Final = 46
LEAST: Final = 3.0
"""Pixels of the shortest span: an attempt of a millisecond beside a pause of an hour is still to be seen."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a job's life; `kind` is its class: waiting, delayed, or how the attempt ended."""

    kind: str
    words: str
    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """How long it was."""
        return max(0.0, (self.end - self.start).total_seconds())


def spans(job: Job, now: datetime) -> list[Span]:
    """The job's life up to now, without gaps."""
    found: list[Span] = []
    at = job.enqueued_at
    for attempt in job.history:
        if attempt.started_at is None:
            continue
        found += _before(found, at, attempt.started_at)
        end = attempt.finished_at or now
        words = f"Attempt {attempt.number}" if attempt.outcome != "running" else f"Attempt {attempt.number}, running"
        found.append(Span(attempt.outcome, words, attempt.started_at, max(end, attempt.started_at)))
        at = found[-1].end
    if job.status in WAITING:
        found += _before(found, at, max(now, at))
    elif job.status in FINISHED and job.finished_at and job.finished_at > at:
        found += _before(found, at, job.finished_at)
    return found


def _before(found: Sequence[Span], start: datetime, end: datetime) -> list[Span]:
    if end <= start:
        return []
    return [Span("pause", "Pause before the retry" if found else "Waiting", start, end)]


def draw(items: Sequence[Span]) -> Markup:
    """The spans in one row, to scale, with the whole length below."""
    if not items:
        return Markup()
    total = sum(item.seconds for item in items) or 1.0
    scale = (WIDTH - LEAST * len(items)) / total if 2 * LEAST * len(items) < WIDTH else WIDTH / total
    drawn, x = [], 0.0
    for item in items:
        width = LEAST + item.seconds * scale
        drawn.append(_one(item, x, width))
        x += width
    words = "; ".join(f"{item.words} {long_duration(item.seconds)}" for item in items)
    return Markup(
        '<svg class="timeline" viewBox="0 0 {:.0f} {}" role="img" aria-label="{}" preserveAspectRatio="none">{}</svg>'
    ).format(max(x, 1.0), HEIGHT, words, Markup().join(drawn))


def _one(item: Span, x: float, width: float) -> Markup:
    high, y = (8, 19) if item.kind == "pause" else (HEIGHT - 12, 6)
    return Markup(
        '<g><title>{}: {}</title><rect class="hit" x="{:.1f}" y="0" width="{:.1f}" height="{}"/>'
        '<rect class="t-{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}" rx="2"/></g>'
    ).format(item.words, long_duration(item.seconds), x, width, HEIGHT, item.kind, x, y, max(width - 1, 1.5), high)
