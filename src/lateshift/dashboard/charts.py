"""Charts drawn on the server: SVG without a line of script, coloured by classes so that it follows light and dark.

Everything has a title that says what is shown, in which unit; each bar tells its value under the pointer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from lateshift.dashboard.formatting import compact


@dataclass(frozen=True, slots=True)
class Bar:
    """One step of time: what its tooltip calls it, and the parts that stand on each other, by their class."""

    label: str
    parts: Sequence[tuple[str, float]]

    @property
    def total(self) -> float:
        """How high it is."""
        return sum(value for _, value in self.parts)


def ceiling(value: float) -> float:
    """A round number that is no less: 1, 2, 4, 5 or 10 times a power of ten; an axis ends there."""
    if value <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 10) if step * power >= value * 0.999)


def bars(
    title: str, unit: str, items: Sequence[Bar], ticks: Sequence[tuple[int, str]] = (), height: int = 120
) -> Markup:
    """Stacked bars over time, as wide as there is room; the numbers of the axis stand above its lines.

    `ticks` are labels below, each with the number of the bar that it begins at.
    """
    top, step, inner = ceiling(max((item.total for item in items), default=0)), 100 / max(len(items), 1), height - 20
    drawn = [
        Markup('<line class="grid" x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>').format(inner - level * (inner - 16))
        for level in (0.0, 0.5, 1.0)
    ]
    for number, item in enumerate(items):
        drawn.append(_bar(item, number * step, step, inner, top))
    for level in (0.5, 1.0) if top % 2 == 0 else (1.0,):
        place = inner - level * (inner - 16) - 4
        drawn.append(Markup('<text class="tick" x="0" y="{:.1f}">{}</text>').format(place, compact(top * level)))
    for number, text in ticks:
        drawn.append(Markup('<text class="tick" x="{:.2f}%" y="{}">{}</text>').format(number * step, height - 4, text))
    totals = [item.total for item in items]
    summary = f"{title}, {unit}: {compact(sum(totals))} in all, at most {compact(max(totals, default=0))}"
    return Markup('<svg class="bars" height="{}" role="img" aria-label="{}">{}</svg>').format(
        height, summary, Markup().join(drawn)
    )


def spikes(title: str, values: Sequence[float], width: int = 96, height: int = 24) -> Markup:
    """Counts over time as small bars, for a cell of a table; its title gives the numbers."""
    top, step = max(values, default=0) or 1, width / max(len(values), 1)
    drawn = ""
    for number, value in enumerate(values):
        high = max(2.0, value / top * (height - 2))
        drawn += f"M{number * step + 0.5:g} {height}v-{high:.1f}h{step - 1:g}v{high:.1f}z" if value else ""
    label = f"{title}: {compact(sum(values))} in all, at most {compact(max(values, default=0))} at a time"
    return Markup(
        '<svg class="spikes" width="{0}" height="{1}" role="img" aria-label="{2}"><title>{2}</title>'
        '<line class="grid" x1="0" x2="{0}" y1="{3}" y2="{3}"/><path d="{4}"/></svg>'
    ).format(width, height, label, height - 0.5, drawn)


def sparkline(title: str, values: Sequence[float], width: int = 96, height: int = 24) -> Markup:
    """A line without axes, for a cell of a table; its title gives the numbers."""
    top = max(values, default=0) or 1
    step = width / max(len(values) - 1, 1)
    points = " ".join(f"{n * step:.1f},{height - 2 - value / top * (height - 4):.1f}" for n, value in enumerate(values))
    label = f"{title}: {compact(values[-1] if values else 0)} now, at most {compact(max(values, default=0))}"
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}"><title>{}</title>'
        '<polygon points="0,{} {} {},{}"/><polyline points="{}"/></svg>'
    ).format(width, height, width, height, label, label, height, points, width, height, points)


def _bar(item: Bar, x: float, step: float, inner: int, top: float) -> Markup:
    drawn, y = "", float(inner)
    for name, value in item.parts:
        high = value / top * (inner - 16)
        y -= high
        if value:
            place = f'x="{x + step * 0.12:.2f}%" y="{y:.1f}" width="{step * 0.76:.2f}%" height="{max(high, 1.0):.1f}"'
            drawn += f'<rect class="s-{escape(name)}" {place}/>'
    hit = f'<rect class="hit" x="{x:.2f}%" y="0" width="{step:.2f}%" height="{inner}"/>'
    return Markup(f"<g><title>{escape(item.label)}: {escape(_told(item))}</title>{hit}{drawn}</g>")  # noqa: S704 - a week has 168 of them, and format() took 60 ms


def _told(item: Bar) -> str:
    return ", ".join(f"{compact(value)} {name}" for name, value in item.parts if value) or "none"
