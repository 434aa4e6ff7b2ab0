"""Figures over the epochs of a run: one line each, told apart by dashes and words, not by colour alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from visto.report.axes import HEIGHT, WIDTH, Axis, frame
from visto.report.svg import dot, drawing, in_percent, label, line, plain, polyline, thinned, ticks

_POINTS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line by name, with its points (epoch, value) in order."""

    name: str
    points: Sequence[tuple[float, float]]


def lines_plot(
    name: str, lines: Sequence[Line], *, title: str, words: str, what: str, share: bool, best: int | None = None
) -> Markup:
    """``share``: the values are parts of 1, written in per cent. ``best`` marks a point of the first line."""
    drawn = [(each, [each.points[k] for k in thinned(len(each.points), _POINTS)]) for each in lines if each.points]
    values = [y for _, points in drawn for _, y in points]
    last = max((x for _, points in drawn for x, _ in points), default=1.0)
    low, high = min([0.0, *values]) if not share else min(values, default=0.0), max(values, default=1.0)
    if share:
        low, high = max(0.0, low - 0.05 * (high - low) - 0.005), min(1.0, high + 0.05 * (high - low) + 0.005)
    elif high <= low:
        high = low + 1
    area = frame(
        Axis(low=min(1.0, last), high=max(last, 2.0), ticks=_epochs(last), words="epoch"),
        Axis(
            low=low, high=high, ticks=[(v, in_percent(v) if share else plain(v)) for v in ticks(low, high)], words=what
        ),
    )
    parts = [*area.parts]
    for place, (each, points) in enumerate(drawn):
        kind = "ab"[place % 2]
        at = [area.at(x, y) for x, y in points]
        parts.append(polyline(f"curve {kind}", at))
        if len(at) <= 30:
            parts += [dot(f"knot {kind}", p, 2.5) for p in at]
        if len(drawn) > 1:
            left = WIDTH - 128 * (len(drawn) - place)
            parts.append(line(f"curve {kind}", (left, 7), (left + 24, 7)))
            parts.append(label("key s", (left + 30, 11.5), each.name))
    if best is not None and drawn:
        parts.append(dot("value", area.at(*lines[0].points[best]), 4.5))
    return drawing(name, WIDTH, HEIGHT, title=title, words=words, parts=parts)


def _epochs(last: float) -> list[tuple[float, str]]:
    """Whole epochs only, the first among them."""
    marks = [v for v in ticks(1, last) if v == int(v) and v >= 1] if last > 1 else []
    return [(v, plain(v)) for v in sorted({1.0, *marks}) if v == 1 or v - 1 > 0.08 * last]
