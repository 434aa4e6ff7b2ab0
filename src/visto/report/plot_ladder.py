"""What each rung of a ladder is worth, with its interval, against the seconds that it took."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from visto.report.axes import BOTTOM, HEIGHT, WIDTH, Axis, frame
from visto.report.svg import dot, drawing, in_percent, label, line, plain, polygon, ticks

_LEAST = 0.05  # seconds: what is counted as no time at all has no place on a scale of powers
_WIDE = 20  # times as long from one to another: from here on a scale of powers
_FAR = 3.0  # times the spread of all others that one may lie below them before it is drawn at the edge
_NEAR = 15.0  # pixels between a number and the next
_OVER = ("passed", "kept", "best")
_PLACES = ((8, -7, "s"), (-8, -7, "e"), (8, 16, "s"), (-8, 16, "e"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A rung: its number in the table, seconds, value and interval; ``kind`` is best, kept or passed."""

    number: int
    seconds: float
    value: float
    low: float
    high: float
    kind: str


def ladder_plot(marks: Sequence[Mark], *, what: str, words: str, share: bool) -> Markup:
    """Filled dots were kept, hollow ones not, the best has a ring; one far below all others is drawn at the edge."""
    low, high = _ends(marks, share=share)
    seconds = [max(_LEAST, mark.seconds) for mark in marks]
    powers = max(seconds) > _WIDE * min(seconds)
    across = [math.log10(s) for s in seconds] if powers else seconds
    rim = 0.06 * (max(across) - min(across)) or (0.3 if powers else 0.3 * max(across))
    left, right = min(across) - rim, max(across) + rim
    area = frame(
        Axis(
            low=left if powers else max(0.0, left),
            high=right,
            ticks=_powers(left, right) if powers else [(v, plain(v)) for v in ticks(max(0.0, left), right)],
            words="seconds it took",
        ),
        Axis(
            low=low,
            high=high,
            ticks=[(v, in_percent(v) if share else plain(v)) for v in ticks(low, high)],
            words=what,
        ),
    )
    parts, taken = [*area.parts], [area.at(x, mark.value) for x, mark in zip(across, marks, strict=True)]
    # what was kept is drawn over what was not
    for x, mark in sorted(zip(across, marks, strict=True), key=lambda pair: _OVER.index(pair[1].kind)):
        at = area.at(x, mark.value)
        name = str(mark.number)
        if mark.value < low:
            at = (at[0], HEIGHT - BOTTOM - 9)
            parts.append(polygon("knot a", [(at[0] - 5, at[1]), (at[0] + 5, at[1]), (at[0], at[1] + 8)]))
            parts.append(label("key s", (at[0] + 9, at[1] + 7), name))
            continue
        parts.append(line("whisker", area.at(x, mark.low), area.at(x, mark.high)))
        if mark.kind == "best":
            parts.append(dot("ring", at, 8.5))
        parts.append(dot("hollow" if mark.kind == "passed" else "value", at, 4.5))
        dx, dy, anchor = _free(at, taken)
        taken.append((at[0] + 1.7 * dx, at[1] + dy - 4))
        parts.append(label(f"key {anchor}", (at[0] + dx, at[1] + dy), name))
    return drawing("ladder-plot", WIDTH, HEIGHT, title="What each rung is worth", words=words, parts=parts)


def _ends(marks: Sequence[Mark], *, share: bool) -> tuple[float, float]:
    """The ends of the scale of values: of all marks, but for a single one far below the rest."""
    order = sorted(marks, key=lambda mark: mark.value)
    rest = order[1:] if is_far(order) else order
    low, high = min(mark.low for mark in rest), max(mark.high for mark in rest)
    rim = 0.06 * (high - low) + 0.002
    return (max(0.0, low - rim), min(1.0, high + rim)) if share else (low - rim, high + rim)


def is_far(order: Sequence[Mark]) -> bool:
    """Whether the first of marks in ascending order lies so far down that the others could not be told apart."""
    if len(order) < 3:
        return False
    low, high = min(mark.low for mark in order[1:]), max(mark.high for mark in order[1:])
    return low - order[0].value > _FAR * (high - low)


def _powers(left: float, right: float) -> list[tuple[float, str]]:
    """Ticks for log10 of seconds: powers of ten, and 2 and 5 times these where there is room."""
    steps = (1, 2, 5) if right - left < 2.2 else (1,)
    values = [k * 10.0**power for power in range(math.floor(left), math.ceil(right) + 1) for k in steps]
    return [(math.log10(v), plain(v)) for v in values if left <= math.log10(v) <= right]


def _free(at: tuple[float, float], taken: Sequence[tuple[float, float]]) -> tuple[float, float, str]:
    """Where a number beside a dot is in the way of none that is there, or of the fewest."""

    def crowd(place: tuple[float, float, str]) -> int:
        x, y = at[0] + 1.7 * place[0], at[1] + place[1] - 4
        return sum(math.hypot(x - a, y - b) < _NEAR for a, b in taken if (a, b) != at)

    return min(_PLACES, key=crowd)
