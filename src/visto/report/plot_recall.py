"""Precision by recall: the mean over the classes with each class faint behind it, and a small panel a class."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from visto.report.axes import HEIGHT, WIDTH, Axis, frame
from visto.report.svg import Point, Scale, dot, drawing, in_percent, label, line, polyline, ticks
from visto.report.words import percent

_WIDE, _HIGH = 210.0, 186.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 42.0, 12.0, 24.0, 40.0
_SAID = (0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """The precision at evenly spaced recalls from 0 to 1: where half covered is enough, and where boxes must fit.

    ``at`` is (recall, precision) at the threshold of the model, None where that says nothing.
    """

    half: Sequence[float]
    tight: Sequence[float]
    at: tuple[float, float] | None


def recall_plot(mean: Curves, classes: Sequence[Curves], *, words: str) -> Markup:
    """The mean over the classes, full size; ``classes`` are drawn faint where they are more than one."""
    marks = [(v, in_percent(v)) for v in ticks(0, 1)]
    area = frame(
        Axis(low=0, high=1, ticks=marks, words="recall: how many of the things it finds"),
        Axis(low=0, high=1, ticks=marks, words="precision"),
    )
    parts = [*area.parts]
    for each in classes if len(classes) > 1 else ():
        parts.append(polyline("faint", _points(each.half, area.x, area.y)))
    parts += _lines(mean, area.x, area.y)
    for place, (kind, text) in enumerate((("a", "IoU 0.5"), ("c", "IoU 0.75"))):
        left = WIDTH - 110 * (2 - place)
        parts.append(line(f"curve {kind}", (left, 7), (left + 24, 7)))
        parts.append(label("key s", (left + 30, 11.5), text))
    return drawing("recall", WIDTH, HEIGHT, title="Precision by recall", words=words, parts=parts)


def recall_panel(name: str, curves: Curves, *, title: str) -> Markup:
    """A class, small; ``name`` is unique on the page."""
    x, y = Scale(0, 1, _LEFT, _WIDE - _RIGHT), Scale(0, 1, _HIGH - _BOTTOM, _TOP)
    parts: list[Markup] = []
    for value in (0.0, 0.5, 1.0):
        parts.append(line("grid", (x(0), y(value)), (x(1), y(value))))
        parts.append(line("grid", (x(value), y(0)), (x(value), y(1))))
        parts.append(label("tick e", (_LEFT - 5, y(value) + 4.5), f"{100 * value:.0f}"))
        parts.append(label("tick m", (x(value), _HIGH - _BOTTOM + 16), f"{100 * value:.0f}"))
    parts.append(label("axis m", ((x(0) + x(1)) / 2, _HIGH - 5), "recall, %"))
    parts.append(label("axis s", (0, 12), "precision, %"))
    parts += _lines(curves, x, y)
    return drawing(name, _WIDE, _HIGH, title=title, words=said(curves), parts=parts)


def said(curves: Curves) -> str:
    """The curves in words, for those who cannot see them.

    >>> said(Curves(half=[1.0] * 101, tight=[0.0] * 101, at=None)).replace("\\xa0", " ")[:66]
    'at IoU 0.5: precision 100 % at recall 25 %, 100 % at 50 %, 100 % a'
    """
    texts = []
    for name, line_ in (("0.5", curves.half), ("0.75", curves.tight)):
        places = [
            f"{percent(line_[round(r * (len(line_) - 1))])} at {'' if k else 'recall '}{in_percent(r)}"
            for k, r in enumerate(_SAID)
        ]
        texts.append(f"at IoU {name}: precision {', '.join(places)}")
    return "; ".join(texts)


def _lines(curves: Curves, x: Scale, y: Scale) -> list[Markup]:
    parts = [polyline("curve c", _points(curves.tight, x, y)), polyline("curve a", _points(curves.half, x, y))]
    if curves.at is not None:
        parts.append(dot("value", (x(curves.at[0]), y(curves.at[1])), 4.5))
    return parts


def _points(values: Sequence[float], x: Scale, y: Scale) -> list[Point]:
    """Without the places between two of the same height, and without what lies at 0 but for the fall to it."""
    last = max((k for k, value in enumerate(values) if value > 0), default=0) + 1
    kept = list(values[: last + 1])
    corners = [k for k, v in enumerate(kept) if k in (0, len(kept) - 1) or v != kept[k - 1] or v != kept[k + 1]]
    return [(x(k / (len(values) - 1)), y(kept[k])) for k in corners]
