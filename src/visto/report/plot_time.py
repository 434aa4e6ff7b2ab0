"""What happens along a sequence, one drawing above the other on one axis of time: scores, a series, what mattered."""

import math
from collections.abc import Sequence

import torch
from markupsafe import Markup
from torch import Tensor

from visto.report.axes import LEFT, RIGHT, WIDTH
from visto.report.in_time import Span
from visto.report.svg import Scale, box, drawing, label, line, plain, polyline, thinned, ticks

MOST_LINES = 6
_POINTS = 300
_KEY = 22.0  # the height of the line that says which line is which
_SCORES, _SERIES, _BARS, _BELOW = 120.0, 110.0, 56.0, 40.0


def _across(steps: int) -> Scale:
    """A step k fills the place from k to k + 1."""
    return Scale(0, steps, LEFT, WIDTH - RIGHT)


def scores_plot(name: str, lines: Sequence[tuple[str, Tensor]], *, words: str) -> Markup:
    """The scores (0–1) of some classes after each of T steps, each with what it is called; the second dashed."""
    steps = len(lines[0][1])
    across, up = _across(steps), Scale(0, 1, _KEY + _SCORES, _KEY)
    parts: list[Markup] = []
    for value in (0.0, 0.5, 1.0):
        parts.append(line("grid", (LEFT, up(value)), (WIDTH - RIGHT, up(value))))
        parts.append(label("tick e", (LEFT - 7, up(value) + 4.5), plain(value)))
    for place, (called, values) in enumerate(lines):
        kind, left = "ab"[place % 2], LEFT + 176 * place
        points = [(across(k + 1), up(float(values[k]))) for k in thinned(steps, _POINTS)]
        # before the first step nothing is known, and nothing drawn
        parts.append(polyline(f"curve {kind}", points))
        parts.append(line(f"curve {kind}", (left, 8), (left + 24, 8)))
        parts.append(label("key s", (left + 30, 12.5), called))
    return drawing(name, WIDTH, _KEY + _SCORES + 6, title="Scores over time", words=words, parts=parts)


def series_plot(name: str, values_tf: Tensor, *, words: str) -> Markup:
    """The first few numbers of each of T steps as lines, each between its own least and largest."""
    steps = len(values_tf)
    across, up = _across(steps), Scale(0, 1, _SERIES + 4, 4)
    shown = values_tf[:, :MOST_LINES].float()
    low, high = shown.amin(0), shown.amax(0)
    parts = [line("grid", (LEFT, y), (WIDTH - RIGHT, y)) for y in (4.0, _SERIES + 4)]
    ends: list[tuple[float, int]] = []
    for place, values in enumerate(((shown - low) / (high - low).clamp_min(1e-12)).T):
        points = [(across(k + 0.5), up(float(values[k]))) for k in thinned(steps, _POINTS)]
        parts.append(polyline(f"signal s{place}", points))
        ends.append((points[-1][1], place))
    parts += _numbered(ends)
    return drawing(name, WIDTH, _SERIES + 8, title="The series", words=words, parts=parts)


def _numbered(ends: Sequence[tuple[float, int]]) -> list[Markup]:
    """The number of each line beside its end, no closer to another than can be read."""
    parts, least = [], 0.0
    for y, place in sorted(ends):
        least = max(least + 12, y + 4.5)
        parts.append(label("tick s", (WIDTH - RIGHT + 5, least), str(place + 1)))
    return parts


def falls_plot(
    name: str, spans: Sequence[Span], falls_s: Tensor, *, ends: tuple[float, float], axis: str, words: str
) -> Markup:
    """A bar for each span of steps: up where the score falls without it, down where it rises; ``ends`` of the scale."""
    steps, (low, high) = spans[-1][1], ends
    across, up = _across(steps), Scale(low, high, _BARS + 8, 8)
    parts = []
    for value in sorted({low, 0.0, high}):
        parts.append(line("track" if value == 0 else "grid", (LEFT, up(value)), (WIDTH - RIGHT, up(value))))
        if value == 0 or abs(up(value) - up(0)) > 14:
            parts.append(label("tick e", (LEFT - 7, up(value) + 4.5), plain(value)))
    for (start, stop), fall in zip(spans, falls_s.tolist(), strict=True):
        top, bottom = sorted((up(fall), up(0)))
        left, right = across(start), across(stop)
        if bottom - top >= 0.25:
            gap = min(1.0, (right - left) / 6)
            kind = "fell" if fall > 0 else "rose"
            parts.append(box(kind, (left + gap, top), right - left - 2 * gap, bottom - top))
    floor = _BARS + 8
    for value in ticks(0, steps, 6):
        if value == int(value):
            parts.append(label("tick m", (across(value), floor + 16), plain(value)))
    parts.append(label("axis m", ((LEFT + WIDTH - RIGHT) / 2, floor + 33), axis))
    return drawing(name, WIDTH, floor + _BELOW, title="What mattered", words=words, parts=parts)


def scale_of(falls: Sequence[Tensor]) -> tuple[float, float]:
    """Ends in tenths for all the bars of a page, 0 between or at them, so that what weighs nothing looks it.

    >>> scale_of([torch.tensor([0.0, 0.42])]), scale_of([torch.tensor([-0.02, 0.03])])
    ((0.0, 0.5), (-0.1, 0.1))
    """
    every = torch.cat([*falls, torch.tensor([0.0, 0.1])])
    low, high = math.floor(10 * float(every.min()) + 1e-4), math.ceil(10 * float(every.max()) - 1e-4)
    return low / 10, high / 10
