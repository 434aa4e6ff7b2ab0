"""The few pieces that every drawing is made of: elements, axes, a scale. Text in them is always escaped.

Colours and fonts come from the page's style sheet by class, so that a drawing follows light, dark and paper.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """From values ``low`` … ``high`` to places ``start`` … ``stop``; values beyond are put at the ends.

    >>> Scale(0, 10, 100, 200)(2.5)
    125.0
    """

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        part = (value - self.low) / span if span else 0.5
        return self.start + min(1.0, max(0.0, part)) * (self.stop - self.start)


def place(value: float) -> str:
    """A coordinate with at most two digits.

    >>> place(12.0), place(3.14159), place(-0.001)
    ('12', '3.14', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def element(name: str, attributes: Mapping[str, str | float], *children: str) -> Markup:
    """One element; numbers are rounded to places, strings and children that are no Markup are escaped."""
    spelt = [(key, place(value) if isinstance(value, int | float) else value) for key, value in attributes.items()]
    opening = Markup("").join(Markup(' {}="{}"').format(key, value) for key, value in spelt)
    return Markup("<{0}{1}>{2}</{0}>").format(name, opening, Markup("").join(escape(c) for c in children))


def drawing(name: str, width: float, height: float, *, title: str, words: str, parts: Sequence[str]) -> Markup:
    """A whole picture with its title and a description in words, for those who cannot see it. ``name`` is unique."""
    return element(
        "svg",
        {
            "viewBox": f"0 0 {place(width)} {place(height)}",
            "width": width,
            "height": height,
            "role": "img",
            "aria-labelledby": f"{name}-t {name}-d",
        },
        element("title", {"id": f"{name}-t"}, title),
        element("desc", {"id": f"{name}-d"}, words),
        *parts,
    )


def line(kind: str, a: Point, b: Point) -> Markup:
    return element("line", {"class": kind, "x1": a[0], "y1": a[1], "x2": b[0], "y2": b[1]})


def polyline(kind: str, points: Sequence[Point]) -> Markup:
    return element("polyline", {"class": kind, "points": " ".join(f"{place(x)},{place(y)}" for x, y in points)})


def polygon(kind: str, points: Sequence[Point]) -> Markup:
    return element("polygon", {"class": kind, "points": " ".join(f"{place(x)},{place(y)}" for x, y in points)})


def dot(kind: str, at: Point, radius: float) -> Markup:
    return element("circle", {"class": kind, "cx": at[0], "cy": at[1], "r": radius})


def box(kind: str, corner: Point, width: float, height: float) -> Markup:
    return element("rect", {"class": kind, "x": corner[0], "y": corner[1], "width": width, "height": height})


def label(kind: str, at: Point, words: str) -> Markup:
    """Text whose class says where it is anchored: ``s`` (start), ``m`` (middle), ``e`` (end)."""
    return element("text", {"class": kind, "x": at[0], "y": at[1]}, words)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values from within ``low`` … ``high``, about so many.

    >>> ticks(0, 1), ticks(0.9, 1), ticks(0.42, 0.97)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.9, 0.92, 0.94, 0.96, 0.98, 1.0], [0.5, 0.6, 0.7, 0.8, 0.9])
    """
    if not high > low:
        return [low]
    rough = (high - low) / about
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= 0.7 * rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, 2 - math.floor(math.log10(step)))
    return [round(k * step, digits) for k in range(first, last + 1)]


def plain(value: float) -> str:
    """A tick as it is written: no more digits than it has.

    >>> plain(0.2), plain(5.0), plain(12000.0)
    ('0.2', '5', '12,000')
    """
    return f"{value:,.10f}".rstrip("0").rstrip(".")


def in_percent(value: float) -> str:
    """
    >>> in_percent(0.95), in_percent(0.995)
    ('95 %', '99.5 %')
    """
    return f"{plain(round(100 * value, 6))} %"


def thinned(count: int, most: int) -> list[int]:
    """At most ``most`` places of ``count``, evenly spread, the first and the last among them.

    >>> thinned(3, 10), thinned(101, 3)
    ([0, 1, 2], [0, 50, 100])
    """
    if count <= most:
        return list(range(count))
    return sorted({round(k * (count - 1) / (most - 1)) for k in range(most)})
