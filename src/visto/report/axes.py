"""The frame of a plot: grid, ticks, and what the two axes are."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from visto.report.svg import Scale, label, line

WIDTH, HEIGHT = 420.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 24.0, 30.0, 46.0

Ticks = Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The values at its ends, where to write them, and what they are."""

    low: float
    high: float
    ticks: Ticks
    words: str


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot area with its two scales."""

    x: Scale
    y: Scale
    parts: tuple[Markup, ...]

    def at(self, x: float, y: float) -> tuple[float, float]:
        return self.x(x), self.y(y)


def frame(x: Axis, y: Axis, *, floor: float = HEIGHT - BOTTOM) -> Frame:
    """Axes over the whole drawing; ``floor`` is the place of the lower end of y, where something else lies below."""
    across = Scale(x.low, x.high, LEFT, WIDTH - RIGHT)
    up = Scale(y.low, y.high, floor, TOP)
    parts: list[Markup] = []
    for value, text in y.ticks:
        parts.append(line("grid", (LEFT, up(value)), (WIDTH - RIGHT, up(value))))
        parts.append(label("tick e", (LEFT - 7, up(value) + 4.5), text))
    for value, text in x.ticks:
        parts.append(line("grid", (across(value), TOP), (across(value), floor)))
        parts.append(label("tick m", (across(value), HEIGHT - BOTTOM + 18), text))
    parts.append(label("axis m", ((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6), x.words))
    parts.append(label("axis s", (0, 12), y.words))
    return Frame(across, up, tuple(parts))
