"""What was tried, drawn: trial by trial, epoch by epoch, and each choice by itself. Hollow: stopped before its end."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from markupsafe import Markup

from visto.report.axes import HEIGHT, WIDTH, Axis, Frame, frame
from visto.report.svg import dot, drawing, in_percent, plain, polyline, ticks

_BEYOND = 3.0  # times as far from the middle as the best: worse ones are drawn at the edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A trial: its place on the axis below, its figure, and whether it went to its end."""

    at: float
    figure: float
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """The upright axis: what the figure is called, whether it is a part of 1, and whether less of it is better."""

    what: str
    share: bool
    low_is_better: bool

    def axis(self, values: Sequence[float]) -> Axis:
        low, high = span(values, low_is_better=self.low_is_better)
        rim = 0.06 * (high - low) + 1e-4
        low, high = low - rim, high + rim
        if self.share:
            low, high = max(0.0, low), min(1.0, high)
        marks = [(v, in_percent(v) if self.share else plain(v)) for v in ticks(low, high)]
        return Axis(low=low, high=high, ticks=marks, words=self.what)


def span(values: Sequence[float], *, low_is_better: bool) -> tuple[float, float]:
    """The least and the greatest of the values, without those that are so bad that the others would all look alike.

    >>> span([0.1, 0.9, 0.92, 0.94], low_is_better=False)
    (0.82, 0.94)
    """
    low, high, middle = min(values), max(values), median(values)
    if low_is_better:
        return low, min(high, round(middle + _BEYOND * (middle - low), 6)) if middle > low else high
    return max(low, round(middle - _BEYOND * (high - middle), 6)) if high > middle else low, high


def trials_plot(dots: Sequence[Dot], up: Up, *, words: str) -> Markup:
    """Every trial at its number, and the best of those that went to their end so far."""
    last = max(each.at for each in dots)
    marks = [(v, plain(v)) for v in ticks(0, last) if v == int(v)] if last else [(0.0, "0")]
    area = frame(Axis(low=0, high=max(1.0, last), ticks=marks, words="trial"), up.axis([d.figure for d in dots]))
    best: list[tuple[float, float]] = []
    for each in dots:
        if not each.whole:
            continue
        better = not best or (each.figure < best[-1][1] if up.low_is_better else each.figure > best[-1][1])
        if best:
            best.append((each.at, best[-1][1]))
        if better:
            best.append((each.at, each.figure))
    steps = [area.at(x, y) for x, y in best]
    parts = [*area.parts, polyline("curve a", steps), *_dots(dots, area)]
    return drawing("tuning-trials", WIDTH, HEIGHT, title="Trial by trial", words=words, parts=parts)


def curves_plot(curves: Sequence[Sequence[tuple[float, float]]], best: int, up: Up, *, words: str) -> Markup:
    """The figure by epoch: all trials thin, the default (the first) dashed, the best in full."""
    values = [y for curve in curves for _, y in curve]
    last = max(x for curve in curves for x, _ in curve)
    area = frame(
        Axis(low=0, high=last, ticks=[(v, plain(v)) for v in ticks(0, last)], words="epoch of a trial"), up.axis(values)
    )
    parts = list(area.parts)
    order = [k for k in range(len(curves)) if k not in (0, best)] + [0] + ([best] if best else [])
    for k in order:
        kind = "curve a" if k == best else "curve b" if k == 0 else "faint"
        parts.append(polyline(kind, [area.at(x, y) for x, y in curves[k]]))
    return drawing("tuning-curves", WIDTH, HEIGHT, title="Epoch by epoch", words=words, parts=parts)


def slice_plot(name: str, dots: Sequence[Dot], options: Sequence[str], up: Up, *, title: str, words: str) -> Markup:
    """The figure against one choice: at the places of its ``options``, or (none) by the logarithm of a number."""
    figures = up.axis([each.figure for each in dots])
    if options:
        marks = [(float(k), option) for k, option in enumerate(options)]
        area = frame(Axis(low=-0.5, high=len(options) - 0.5, ticks=marks, words=title), figures)
    else:
        low, high = (f(math.log10(each.at) for each in dots) for f in (min, max))
        dots = [Dot(at=math.log10(each.at), figure=each.figure, whole=each.whole) for each in dots]
        area = frame(Axis(low=low, high=max(high, low + 0.1), ticks=_decades(low, high), words=title), figures)
    parts = [*area.parts, *_dots(dots, area)]
    return drawing(name, WIDTH, HEIGHT, title=title, words=words, parts=parts)


def _dots(dots: Sequence[Dot], area: Frame) -> list[Markup]:
    return [dot("value" if each.whole else "hollow", area.at(each.at, each.figure), 4) for each in dots]


def _decades(low: float, high: float) -> list[tuple[float, str]]:
    """1, 2 and 5 of each power of ten between, as many as have room."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    digits = (1, 2, 5) if high - low < 1.6 else (1, 3) if high - low < 3 else (1,)
    found = [(power + math.log10(digit), f"{digit * 10.0**power:g}") for power in powers for digit in digits]
    return [(at, text) for at, text in found if low - 1e-9 <= at <= high + 1e-9]
